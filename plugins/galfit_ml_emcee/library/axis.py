"""`ScanAxis`: observed pixels and redshifts on one grid in ln(wavelength), where a redshift is a whole shift."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from galfit_ml.grid import SPEED_OF_LIGHT_KMS
from galfit_ml.instruments import Instrument

Floats = NDArray[np.float64]

LYMAN_ALPHA = 1215.67
STEP_KMS = 35.0


@dataclass(frozen=True)
class Bin:
    """Redshifts that share templates: lags `start` <= s < `stop`, with ln(1 + z) = s * step."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class ScanAxis:
    """Grid points ln(wavelength) = ln(low) + p * step and redshifts ln(1 + z) = s * step, with whole p and s.

    Args:
        low, high: observed range, vacuum angstrom.
        redshift: range.
        step_kms: of both, km/s.
    """

    low: float
    high: float
    redshift: tuple[float, float]
    step_kms: float = STEP_KMS

    @classmethod
    def of(cls, instrument: Instrument, step_kms: float = STEP_KMS) -> ScanAxis:
        """The range and redshifts of an instrument, with a pixel to spare at both ends."""
        grids = [arm.grid for arm in instrument.arms]
        spare = 1.0 + 1.5 * step_kms / SPEED_OF_LIGHT_KMS
        low, high = min(g.centres[0] for g in grids), max(g.centres[-1] for g in grids)
        return cls(float(low / spare), float(high * spare), instrument.redshift_range, step_kms)

    @property
    def step(self) -> float:
        """In ln(wavelength)."""
        return self.step_kms / SPEED_OF_LIGHT_KMS

    @property
    def n_pix(self) -> int:
        """Number of grid points."""
        return int(np.ceil(np.log(self.high / self.low) / self.step)) + 1

    @property
    def everything(self) -> Bin:
        """All redshifts as one bin."""
        first, last = (np.log1p(z) / self.step for z in self.redshift)
        return Bin(int(np.floor(first + 1e-9)), int(np.ceil(last - 1e-9)) + 1)

    @property
    def lags(self) -> NDArray[np.int64]:
        """[n_z] s of each redshift."""
        return np.arange(self.everything.start, self.everything.stop)

    @property
    def redshifts(self) -> Floats:
        """[n_z] uniform in ln(1 + z)."""
        return np.expm1(self.lags * self.step)

    def points(self, first: int, last: int) -> Floats:
        """Wavelengths, angstrom, of the grid points first <= p < last (which may lie outside the observed range)."""
        return self.low * np.exp(self.step * np.arange(first, last))

    def bins(self, width: float = 0.2, forest_width: float = 0.05) -> list[Bin]:
        """Divide the redshifts into bins of about `width` in ln(1 + z), finer where the Lyman-alpha forest is seen."""
        whole = self.everything
        forest = int(np.clip(np.log(self.low / LYMAN_ALPHA) / self.step, whole.start, whole.stop))
        edges: list[int] = []
        for start, stop, size in ((whole.start, forest, width), (forest, whole.stop, forest_width)):
            number = max(int(np.ceil((stop - start) * self.step / size)), 1)
            edges += np.linspace(start, stop, number + 1).round().astype(int).tolist()
        unique = sorted(set(edges))
        return [Bin(a, b) for a, b in itertools.pairwise(unique)]

    def spreading(self, wavelength: Floats) -> csr_array:
        """Sparse matrix [n_pix, n_native] that shares each native pixel between its two neighbours on the grid.

        Its transpose interpolates a model on the grid linearly at the native pixels; native pixels outside the grid are
        left out.
        """
        position = np.log(wavelength / self.low) / self.step
        left = np.floor(position).astype(int)
        inside = np.flatnonzero((left >= 0) & (left < self.n_pix - 1))
        share = (position - left)[inside]
        rows = np.concatenate([left[inside], left[inside] + 1])
        values = np.concatenate([1.0 - share, share])
        return csr_array((values, (rows, np.tile(inside, 2))), shape=(self.n_pix, len(wavelength)))
