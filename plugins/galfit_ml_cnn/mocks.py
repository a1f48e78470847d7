"""Mocks that a trained network is calibrated on: of the training prior, with the errors of the model it was shown."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from galfit_ml.simulate.surveys import ChunkMaker, make_settings
from galfit_ml_cnn.mismatch import Mismatch
from galfit_ml_cnn.strange import Strange

STRANGERS = {"star": 0.15, "quasar": 0.2}
STRANGE = 0.35
"""Shares of what the detector learns of: of all spectra, and of the galaxies that are left."""


@dataclass(frozen=True)
class Mocks:
    """Mocks to learn from.

    Args:
        instrument, n, seed: name, number of spectra and seed.
        mismatch: amount of errors of the model.
        strangers: True for stars, quasars and strange things among the galaxies.
    """

    instrument: str
    n: int
    seed: int
    mismatch: float = 0.0
    strangers: bool = False

    @property
    def n_chunks(self) -> int:
        """Chunks they come in."""
        return self._settings().n_chunks

    def _settings(self) -> Any:
        others = STRANGERS if self.strangers else None
        return make_settings(self.instrument, self.n, "training", self.seed, tier=2, contaminants=others)

    def maker(self) -> ChunkMaker:
        """Makes each chunk."""
        maker = ChunkMaker(self._settings())
        pixels = maker.spectrograph.pixels.wavelength.numpy()
        steps = [Mismatch(pixels, self.mismatch)] if self.mismatch else []
        maker.alteration = Alterations([*steps, *([Strange(pixels, STRANGE)] if self.strangers else [])])
        return maker


class Alterations:
    """Several, one after the other.

    Args:
        steps: each takes fluxes, redshifts and random numbers.
    """

    def __init__(self, steps: list[Any]) -> None:
        self.steps = steps

    def __call__(self, flux: Tensor, redshift: Tensor, rng: np.random.Generator) -> Tensor:
        """Noiseless spectra after all steps."""
        for step in self.steps:
            flux = step(flux, redshift, rng)
        return flux

    @property
    def strange(self) -> NDArray[np.bool_]:
        """[n] rows of the last call that are no galaxies any more."""
        return np.asarray(next(step.rows for step in self.steps if isinstance(step, Strange)))


@lru_cache(maxsize=2)
def maker_of(mocks: Mocks) -> ChunkMaker:
    """The maker of mocks, kept for the next chunk."""
    return mocks.maker()
