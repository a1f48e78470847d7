"""Wavelength grids, flux-conserving rebinning, and air against vacuum. Wavelengths are vacuum angstroms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galfit_ml.errors import SpectrumError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Floats = NDArray[np.float64]

SPEED_OF_LIGHT_KMS = 299792.458


@dataclass(frozen=True, eq=False)
class WavelengthGrid:
    """Pixels on a wavelength axis.

    Args:
        edges: [n_pix + 1] pixel edges, angstrom, strictly increasing.
        centres: [n_pix] pixel centres, angstrom.
    """

    edges: Floats
    centres: Floats

    def __post_init__(self) -> None:
        if self.edges.ndim != 1 or len(self.edges) != len(self.centres) + 1 or len(self.centres) < 1:
            raise ValueError("A wavelength grid needs n_pix >= 1 centres and n_pix + 1 edges, both 1-D.")
        if not (np.all(np.isfinite(self.edges)) and np.all(np.diff(self.edges) > 0) and self.edges[0] > 0):
            raise ValueError("Wavelength edges must be finite, positive and strictly increasing.")

    @classmethod
    def from_centres(cls, centres: ArrayLike) -> WavelengthGrid:
        """Grid whose edges lie halfway between neighbouring `centres` [n_pix >= 2], angstrom, increasing."""
        mid = np.asarray(centres, dtype=np.float64)
        if mid.ndim != 1 or len(mid) < 2 or not np.all(np.diff(mid) > 0):
            raise SpectrumError("Wavelengths must be a 1-D, strictly increasing array of at least 2 values.")
        inner = 0.5 * (mid[1:] + mid[:-1])
        first, last = mid[0] - (inner[0] - mid[0]), mid[-1] + (mid[-1] - inner[-1])
        return cls(np.concatenate([[first], inner, [last]]), mid)

    @classmethod
    def log10(cls, low: float, high: float, step: float) -> WavelengthGrid:
        """Grid uniform in log10 of the wavelength: centres from `low` to `high` angstrom, `step` dex apart."""
        first = float(np.log10(low))
        n_pix = int(np.floor((float(np.log10(high)) - first) / step + 1e-6)) + 1
        pixel = np.arange(n_pix + 1, dtype=np.float64)
        return cls(10 ** (first + step * (pixel - 0.5)), 10 ** (first + step * pixel[:-1]))

    @classmethod
    def linear(cls, low: float, high: float, step: float) -> WavelengthGrid:
        """Grid uniform in wavelength: centres from `low` to `high` angstrom, `step` angstrom apart."""
        n_pix = int(np.floor((high - low) / step + 1e-6)) + 1
        pixel = np.arange(n_pix + 1, dtype=np.float64)
        return cls(low + step * (pixel - 0.5), low + step * pixel[:-1])

    def __len__(self) -> int:
        return len(self.centres)

    @property
    def widths(self) -> Floats:
        """[n_pix] pixel widths, angstrom."""
        return np.diff(self.edges)

    def key(self) -> bytes:
        """Bytes that are equal for equal grids."""
        return np.ascontiguousarray(self.edges).tobytes()


def rebin_matrix(source: WavelengthGrid, target: WavelengthGrid) -> csr_array:
    """Sparse matrix [n_target, n_source] that maps mean flux densities and conserves flux.

    Row i holds the overlap of target pixel i with each source pixel divided by the width of pixel i, so that
    `matrix @ flux_density` is the mean flux density in the target pixels (Carnall 2017, arXiv:1705.05165, eq. 3).
    Where the target reaches beyond the source its row sums to less than 1. Cached per pair of grids.
    """
    return _rebin_matrix(source.key(), target.key())


@lru_cache(maxsize=64)
def _rebin_matrix(source_key: bytes, target_key: bytes) -> csr_array:
    from scipy.sparse import csr_array

    source, target = np.frombuffer(source_key), np.frombuffer(target_key)
    first = np.clip(np.searchsorted(source, target[:-1], "right") - 1, 0, len(source) - 2)
    last = np.clip(np.searchsorted(source, target[1:], "left") - 1, 0, len(source) - 2)
    counts = np.maximum(last - first + 1, 0)
    rows = np.repeat(np.arange(len(target) - 1), counts)
    columns = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
    overlap = np.minimum(source[columns + 1], target[rows + 1]) - np.maximum(source[columns], target[rows])
    weights = np.clip(overlap, 0, None) / np.diff(target)[rows]
    return csr_array((weights, (rows, columns)), shape=(len(target) - 1, len(source) - 1))


@dataclass(frozen=True, eq=False)
class Rebinned:
    """Spectra on a new grid: flux and ivar [n, n_pix], bad [n, n_pix], covered [n, n_pix] in 0..1."""

    flux: Floats
    ivar: Floats
    bad: NDArray[np.bool_]
    covered: Floats


def rebin(
    flux: NDArray[Any], ivar: NDArray[Any], bad: NDArray[np.bool_], source: WavelengthGrid, target: WavelengthGrid
) -> Rebinned:
    """Rebin spectra flux-conservingly; bad source pixels take no part.

    Args:
        flux, ivar: [n, n_source] flux density and its inverse variance (any unit).
        bad: [n, n_source] True where a pixel must not be used.
        source, target: the two grids.

    A target pixel is bad where less than half of it is covered by good source pixels. Errors are taken as independent
    between source pixels; the covariance that rebinning makes between target pixels is not kept.
    """
    weights = rebin_matrix(source, target)
    good = ~bad & (ivar > 0) & np.isfinite(flux)
    clean = np.where(good, flux, 0.0)
    variance = np.where(good, 1.0 / np.where(good, ivar, 1.0), 0.0)
    covered = (weights @ good.T.astype(np.float64)).T
    safe = np.where(covered > 0, covered, 1.0)
    mean = (weights @ clean.T).T / safe
    var = (weights.power(2) @ variance.T).T / safe**2
    use = (covered >= 0.5) & (var > 0)
    return Rebinned(np.where(use, mean, 0.0), np.where(use, 1.0 / np.where(use, var, 1.0), 0.0), ~use, covered)


def air_to_vacuum(wavelength: ArrayLike) -> Floats:
    """Vacuum wavelength, angstrom, of an air wavelength [any shape], angstrom.

    Refractive index of Ciddor (1996, Applied Optics 35, 1566) as fitted by N. Piskunov for VALD3; 1e-3 km/s from the
    inverse of `vacuum_to_air`. Below 2000 A wavelengths are vacuum by convention and returned as they are.
    """
    air = np.asarray(wavelength, dtype=np.float64)
    s2 = (1e4 / air) ** 2
    index = (
        1 + 8.336624212083e-5 + 2.408926869968e-2 / (130.1065924522 - s2) + 1.599740894897e-4 / (38.92568793293 - s2)
    )
    return np.where(air >= 2000.0, air * index, air)


def vacuum_to_air(wavelength: ArrayLike) -> Floats:
    """Air wavelength, angstrom, of a vacuum wavelength [any shape], angstrom.

    Ciddor (1996) in the form of Morton (2000, ApJS 130, 403, eq. 8). Below 2000 A returned as it is.
    """
    vacuum = np.asarray(wavelength, dtype=np.float64)
    s2 = (1e4 / vacuum) ** 2
    index = 1 + 8.34254e-5 + 2.406147e-2 / (130 - s2) + 1.5998e-4 / (38.9 - s2)
    return np.where(vacuum >= 2000.0, vacuum / index, vacuum)
