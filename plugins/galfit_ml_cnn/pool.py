"""A pool of noiseless spectra on disk: training draws from it and puts fresh noise on every time.

A pool grows in pieces; each piece is two npy files that appear under their names when complete. Spectra are stored over
their mean in half precision (5e-4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from galfit_ml.instruments import Instrument
from galfit_ml.simulate.galaxy import GalaxyModel, reported_parameters
from galfit_ml.simulate.prior import MASS_RANGE, GalaxyPrior
from galfit_ml.simulate.spectrograph import Spectrograph
from galfit_ml.simulate.surveys.training import TrainingPopulation
from galfit_ml.writing import whole_file
from galfit_ml_cnn.targets import NAMES

Report = Callable[[int, int, str], None]

PIECE = 4096
BATCH = 256
COLUMNS = ("redshift", *NAMES, "magnitude", "log_mean")


@dataclass(frozen=True, eq=False)
class Piece:
    """n spectra.

    Args:
        flux: [n, n_pix] float16, over the mean.
        labels: [n, n_column] float64, the `COLUMNS`.
    """

    flux: NDArray[np.float16]
    labels: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.labels)


class Pool:
    """Pieces in a folder.

    Args:
        folder: of the pool.
        instrument: whose pixels the spectra have.
        seed: of the pool; pieces of another seed belong to another pool.
    """

    def __init__(self, folder: Path, instrument: Instrument, seed: int) -> None:
        self.folder, self.instrument, self.seed = folder, instrument, seed

    def path(self, number: int, what: str) -> Path:
        """File of a piece."""
        return self.folder / f"{self.instrument.name}-{self.seed}-{number:03d}-{what}.npy"

    def load(self) -> list[Piece]:
        """All complete pieces, memory-mapped."""
        pieces: list[Piece] = []
        while self.path(len(pieces), "labels").is_file():
            flux, labels = (np.load(self.path(len(pieces), what), mmap_mode="r") for what in ("flux", "labels"))
            pieces.append(Piece(flux, np.asarray(labels)))
        return pieces

    def grow(self, n_pieces: int, report: Report | None = None) -> None:
        """Make pieces until there are `n_pieces`; WriteError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        missing = range(len(self.load()), n_pieces)
        if not missing:
            return
        maker = _Maker(self.instrument)
        for number in missing:
            piece = maker.piece(np.random.default_rng([self.seed, number]))
            for what, array in (("flux", piece.flux), ("labels", piece.labels)):
                with whole_file(self.path(number, what)) as file:
                    np.save(file, array)
            if report is not None:
                report((number + 1) * PIECE, n_pieces * PIECE, "noiseless spectra")


class _Maker:
    """Draws galaxies of the training prior."""

    def __init__(self, instrument: Instrument) -> None:
        pixels = Spectrograph(instrument).pixels
        prior = GalaxyPrior(instrument.redshift_range, instrument.magnitude_range)
        self.population = TrainingPopulation(GalaxyModel(), pixels, prior)

    def piece(self, rng: np.random.Generator) -> Piece:
        flux, labels = zip(*self._batches(rng), strict=True)
        return Piece(np.concatenate(flux), np.concatenate(labels))

    @torch.no_grad()
    def _batches(self, rng: np.random.Generator) -> Iterator[tuple[NDArray[np.float16], NDArray[np.float64]]]:
        for _ in range(PIECE // BATCH):
            sample = self.population.sample(range(BATCH), rng)
            part = sample.parts[0]
            values = reported_parameters(part.galaxies, part.made)
            mean = sample.flux.abs().mean(dim=1, keepdim=True)
            own = {**values, "magnitude": part.galaxies.magnitude, "log_mean": torch.log10(mean[:, 0])}
            columns = [own[name].double().numpy() for name in COLUMNS]
            yield (sample.flux / mean).clamp(max=6e4).half().numpy(), np.stack(columns, axis=1)


def magnitude_limits(labels: NDArray[np.float64], instrument: Instrument) -> tuple[NDArray[np.float64], ...]:
    """Least and largest magnitude [n] at which galaxies could have been drawn: ranges of the prior and of mass.

    Given everything else the prior is flat between them, so that a spectrum may be made fainter or brighter.
    """
    magnitude, mass = (labels[:, COLUMNS.index(name)] for name in ("magnitude", "log_stellar_mass"))
    low, high = instrument.magnitude_range
    bright = np.maximum(low, magnitude + 2.5 * (mass - MASS_RANGE[1]))
    faint = np.minimum(high, magnitude + 2.5 * (mass - MASS_RANGE[0]))
    return np.minimum(bright, magnitude), np.maximum(faint, magnitude)
