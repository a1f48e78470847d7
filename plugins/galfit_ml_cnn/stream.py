"""Batches of training spectra: rows of a pool, at a new brightness, under new conditions, with new noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galfit_ml.instruments import Instrument
from galfit_ml.simulate.conditions import Conditions
from galfit_ml.simulate.cosmology import Cosmology
from galfit_ml.simulate.spectrograph import Spectrograph
from galfit_ml.simulate.surveys.settings import TRAINING_EXPOSURE
from galfit_ml_cnn.brightness import Brightness
from galfit_ml_cnn.inputs import Inputs, look
from galfit_ml_cnn.layout import Layout
from galfit_ml_cnn.mismatch import Mismatch
from galfit_ml_cnn.network import truth_in_bins
from galfit_ml_cnn.pool import COLUMNS, Piece, magnitude_limits
from galfit_ml_cnn.rebinning import Rebinning
from galfit_ml_cnn.targets import NAMES, Setting, encode

LOST_ARM, LOST_BLOCKS = 0.08, 0.15
"""Shares of training spectra without one of their arms, and with blocks of pixels missing."""

SPIKES, SPIKE_SIZE, SPIKE_SCATTER = 2.0, 8.0, 0.7
"""Pixels with residuals that nothing marks: how many in a spectrum, on average; the median size in standard deviations,
and its scatter in ln."""

JITTER = 3.0
"""Redshift bins (sigma) by which the reading of the rest frame misses the true one: readings stand for bins around."""


@dataclass(frozen=True, eq=False)
class Examples:
    """n spectra with their truth, as the network's loss takes them.

    Args:
        inputs: n spectra.
        bins: [n] true redshift bins.
        offset: [n] place of the redshift within its bin.
        encoded: [n, n_properties] as `targets.encode` makes them.
        labels: [n, n_column] in plain units.
        weight: [n] of each in a mean over the prior.
        reading: [n] bins at which the rest frame is read, near the true ones.
    """

    inputs: Inputs
    bins: Tensor
    offset: Tensor
    encoded: Tensor
    labels: NDArray[np.float64]
    weight: Tensor
    reading: Tensor

    def to(self, device: torch.device) -> Examples:
        """The same on a device; labels stay."""
        if device.type == "cpu":
            return self
        inputs = Inputs(self.inputs.channels.to(device), self.inputs.log_scale.to(device))
        moved = {name: getattr(self, name).to(device) for name in ("bins", "offset", "encoded", "weight", "reading")}
        return replace(self, inputs=inputs, **moved)


class Stream:
    """Makes batches.

    Args:
        instrument: observed with.
        layout: of the network.
        pieces: of the pool.
        mismatch: amount of errors of the model, see `mismatch`; 0 also leaves out residuals that nothing marks.
    """

    def __init__(self, instrument: Instrument, layout: Layout, pieces: list[Piece], mismatch: float = 0.0) -> None:
        self.instrument, self.layout, self.pieces = instrument, layout, pieces
        self.spectrograph = Spectrograph(instrument)
        self.rebinning = Rebinning(instrument, layout.grid)
        self.brightness = Brightness(instrument.magnitude_range)
        self.cosmology = Cosmology.default()
        pixels = self.spectrograph.pixels.wavelength.numpy()
        self.mismatch = Mismatch(pixels, mismatch) if mismatch else None

    @torch.no_grad()
    def batch(self, n: int, rng: np.random.Generator, *, whole: bool = False) -> Examples:
        """n examples; `whole` leaves no arm or block out and reads the rest frame at the true redshift."""
        piece = self.pieces[int(rng.integers(len(self.pieces)))]
        rows = np.sort(rng.choice(len(piece), n, replace=False))
        flux, labels, weight = self._rescaled(piece, rows, rng)
        if self.mismatch is not None:
            flux = self.mismatch(flux, torch.as_tensor(labels[:, COLUMNS.index("redshift")]), rng)
        low, high = TRAINING_EXPOSURE
        exposure = torch.as_tensor(low * (high / low) ** rng.random(n), dtype=torch.float32)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        conditions = Conditions.draw(self.instrument, n, exposure, generator)
        seen = self.spectrograph.observe(flux, conditions, tier=2, generator=generator)
        ivar = seen.ivar if whole else seen.ivar * self._kept(n, rng)
        if self.mismatch is not None and not whole:
            add_spikes(seen.flux, ivar, rng)
        inputs = look(*self.rebinning(seen.flux * (ivar > 0), ivar), self.layout.pool)
        jitter = np.zeros(n) if whole else np.round(JITTER * rng.standard_normal(n))
        return self._examples(inputs, labels, weight, jitter)

    def _rescaled(
        self, piece: Piece, rows: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[Tensor, NDArray[np.float64], NDArray[np.float64]]:
        labels = piece.labels[rows].copy()
        bright, faint = magnitude_limits(labels, self.instrument)
        magnitude, weight = self.brightness.draw(bright, faint, rng)
        gain = -0.4 * (magnitude - labels[:, COLUMNS.index("magnitude")])
        for name in ("log_stellar_mass", "log_sfr", "log_mean"):
            labels[:, COLUMNS.index(name)] += gain
        labels[:, COLUMNS.index("magnitude")] = magnitude
        mean = torch.as_tensor(10 ** labels[:, COLUMNS.index("log_mean")], dtype=torch.float32)
        return torch.as_tensor(np.asarray(piece.flux[rows])).float() * mean[:, None], labels, weight

    def _kept(self, n: int, rng: np.random.Generator) -> Tensor:
        """[n, n_native] 0 where an arm or a block of pixels is left out."""
        kept = torch.ones(n, self.spectrograph.n_pix)
        arms = list(self.spectrograph.arms)
        for row in np.flatnonzero(rng.random(n) < LOST_ARM) if len(arms) > 1 else []:
            kept[row, arms[int(rng.integers(len(arms)))]] = 0.0
        for row in np.flatnonzero(rng.random(n) < LOST_BLOCKS):
            for _ in range(int(rng.integers(1, 12))):
                width = int(rng.integers(20, 800))
                start = int(rng.integers(kept.shape[1]))
                kept[row, start : start + width] = 0.0
        return kept

    def _examples(
        self, inputs: Inputs, labels: NDArray[np.float64], weight: NDArray[np.float64], jitter: NDArray[np.float64]
    ) -> Examples:
        redshift = torch.as_tensor(labels[:, COLUMNS.index("redshift")])
        bins, offset = truth_in_bins(redshift, self.layout)
        reading = (bins + torch.as_tensor(jitter).long()).clamp(0, self.layout.n_bins - 1)
        values = {name: torch.as_tensor(labels[:, COLUMNS.index(name)]) for name in NAMES}
        encoded = encode(values, Setting(redshift, inputs.log_scale), self.cosmology)
        return Examples(inputs, bins, offset, encoded, labels, torch.as_tensor(weight).float(), reading)


class Mixture:
    """Batches of several instruments, one instrument in each batch.

    Args:
        streams: of one layout.
    """

    def __init__(self, streams: list[Stream]) -> None:
        self.streams, self.layout = streams, streams[0].layout
        self.pieces = [piece for stream in streams for piece in stream.pieces]

    def batch(self, n: int, rng: np.random.Generator, *, whole: bool = False) -> Examples:
        """n examples of an instrument drawn at random; see `Stream.batch`."""
        return self.streams[int(rng.integers(len(self.streams)))].batch(n, rng, whole=whole)


def add_spikes(flux: Tensor, ivar: Tensor, rng: np.random.Generator) -> None:
    """Residuals of cosmic rays and sky lines that no mask knows, put into `flux` [n, n_pix] at random pixels."""
    for row in range(len(flux)):
        for _ in range(int(rng.poisson(SPIKES))):
            start, width = int(rng.integers(flux.shape[1])), int(rng.integers(1, 4))
            size = rng.choice([-1.0, 1.0]) * SPIKE_SIZE * np.exp(SPIKE_SCATTER * rng.standard_normal())
            pixels = slice(start, start + width)
            flux[row, pixels] += float(size) * ivar[row, pixels].clamp(min=1e-30).rsqrt() * (ivar[row, pixels] > 0)
