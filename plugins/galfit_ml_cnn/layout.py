"""`Layout`: the wavelength grid a network reads, the coarse grid it thinks on, and the redshifts it tells apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.grid import SPEED_OF_LIGHT_KMS, WavelengthGrid
from galfit_ml.instruments import Instrument

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Layout:
    """Three grids uniform in ln(wavelength), each a multiple of the one before.

    Pixels are read at `step_kms`; `pool` of them are one feature pixel, which holds `phases` redshift bins.

    Args:
        low: blue edge of the first pixel, vacuum angstrom.
        n_pix: pixels read, a multiple of `pool`.
        redshift: range.
        step_kms: width of a pixel.
        pool: pixels of a feature pixel.
        phases: redshift bins within a feature pixel.
    """

    low: float
    n_pix: int
    redshift: tuple[float, float]
    step_kms: float = 40.0
    pool: int = 6
    phases: int = 8

    @classmethod
    def of(cls, *instruments: Instrument, step_kms: float = 40.0, pool: int = 6, phases: int = 8) -> Layout:
        """The grids that hold all arms of the instruments and their redshifts."""
        edges = [arm.grid.edges for instrument in instruments for arm in instrument.arms]
        low, high = min(e[0] for e in edges), max(e[-1] for e in edges)
        n_features = int(np.ceil(np.log(high / low) / (pool * step_kms / SPEED_OF_LIGHT_KMS)))
        ranges = np.array([instrument.redshift_range for instrument in instruments])
        redshift = float(ranges[:, 0].min()), float(ranges[:, 1].max())
        return cls(float(low), n_features * pool, redshift, step_kms, pool, phases)

    @property
    def step(self) -> float:
        """Width of a feature pixel in ln(wavelength)."""
        return self.pool * self.step_kms / SPEED_OF_LIGHT_KMS

    @property
    def bin_width(self) -> float:
        """Width of a redshift bin in ln(1 + z)."""
        return self.step / self.phases

    @property
    def n_features(self) -> int:
        """Feature pixels of a spectrum."""
        return self.n_pix // self.pool

    @property
    def grid(self) -> WavelengthGrid:
        """The pixels that are read."""
        edges = self.low * np.exp(self.step / self.pool * np.arange(self.n_pix + 1))
        return WavelengthGrid(edges, np.sqrt(edges[1:] * edges[:-1]))

    @property
    def first_shift(self) -> int:
        """Feature pixels by which the lowest redshift bin is shifted."""
        return int(np.floor(np.log1p(self.redshift[0]) / self.step))

    @property
    def n_shifts(self) -> int:
        """Whole shifts; each holds `phases` redshift bins."""
        return int(np.ceil(np.log1p(self.redshift[1]) / self.step)) - self.first_shift

    @property
    def n_bins(self) -> int:
        """Redshift bins."""
        return self.n_shifts * self.phases

    @property
    def n_rest(self) -> int:
        """Feature pixels of the rest frame: all that any redshift needs."""
        return self.n_features + self.n_shifts - 1

    @property
    def bins(self) -> Floats:
        """[n_bins] centres in ln(1 + z)."""
        return np.asarray(self.log_stretch(np.arange(self.n_bins)), np.float64)

    def log_stretch(self, bins: Any, offset: Any = 0.0) -> Any:
        """ln(1 + z) at places -0.5 .. 0.5 within bins, arrays or tensors of one shape."""
        return (self.first_shift * self.phases + bins + 0.5 + offset) * self.bin_width
