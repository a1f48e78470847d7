"""Rest-frame stacks of real and simulated spectra, and how far they differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

REST = 10 ** np.arange(np.log10(3650.0), np.log10(8900.0), 1e-4)
"""Rest-frame pixels, vacuum angstrom."""

ANCHOR = (5450.0, 5600.0)
"""Range without strong features in which each spectrum is brought to mean 1, angstrom."""

LEAST = 20
"""Spectra a pixel of a stack needs."""

EMISSION = {
    "[O II]": 3729.0, "[Ne III]": 3869.9, "Hε ": 3971.2, "Hδ": 4102.9, "Hγ": 4341.7, "[O III]4364 ": 4364.4,
    "Hβ": 4862.7, "[O III] ": 4960.3, "[O III]": 5008.2, "He I": 5877.2, "[O I]": 6302.0, "[N II] ": 6549.9,
    "Hα": 6564.6, "[N II]  ": 6585.3, "[S II]": 6718.3, "[S II] ": 6732.7, "[Ar III]": 7137.8,
}  # fmt: skip
"""Vacuum wavelengths of emission lines, angstrom."""

ABSORPTION = {
    "Ca K": 3934.8, "Ca H ": 3969.6, "CN": 4160.0, "G": 4305.6, "Mg b": 5176.6, "Fe": 5271.0, "Na D": 5893.6,
    "TiO": 6190.0, "TiO ": 7100.0, "TiO  ": 7700.0, "Na I": 8190.0, "Ca T": 8544.0,
}  # fmt: skip
"""Features of stars and of interstellar gas."""

LIMIT = 0.05
"""Deviation that a stack should keep within."""

BLOCK = 20.0
"""Angstrom over which a ratio is averaged."""

HALF_WIDTH_KMS = 600.0
C_KMS = 299792.458


@dataclass(frozen=True)
class Stack:
    """Median of normalised spectra.

    Args:
        real, mock: [n_rest] medians; NaN where fewer than `LEAST` spectra reach.
        n: number of spectra.
    """

    real: Floats
    mock: Floats
    n: int

    @property
    def ratio(self) -> Floats:
        """[n_rest] real over mock."""
        return self.real / self.mock


@dataclass(frozen=True)
class Deviation:
    """Of a ratio from 1, outside lines.

    Args:
        rms: over native pixels.
        within: share of native pixels nearer to 1 than 5 %.
        smooth_rms, smooth_within: the same of means over 20 angstrom.
        largest, at: the largest deviation of such a mean, and its rest wavelength.
    """

    rms: float
    within: float
    smooth_rms: float
    smooth_within: float
    largest: float
    at: float


def rest_range(low: float, high: float) -> slice:
    """Pixels of `REST` between two wavelengths."""
    return slice(*np.searchsorted(REST, [low, high]).tolist())


def to_rest(wavelength: Floats, flux: Floats, good: Mask, redshift: float) -> Floats:
    """One spectrum on `REST`, mean 1 over `ANCHOR`; NaN where it has no good pixel."""
    filled = np.interp(wavelength, wavelength[good], flux[good])
    at = REST * (1 + redshift)
    out = np.interp(at, wavelength, filled, left=np.nan, right=np.nan)
    near = np.interp(at, wavelength, good.astype(float), left=0.0, right=0.0)
    out[near < 0.99] = np.nan
    return out / np.nanmean(out[rest_range(*ANCHOR)])


def median_stack(rows: list[Floats]) -> Floats:
    """[n_rest] median of the rows that reach a pixel."""
    table = np.stack(rows)
    out = np.full(table.shape[1], np.nan)
    reached = np.isfinite(table).sum(axis=0) >= min(LEAST, len(rows))
    out[reached] = np.nanmedian(table[:, reached], axis=0)
    return out


def line_mask() -> Mask:
    """[n_rest] True within 600 km/s of an emission line."""
    lines = np.array(list(EMISSION.values()))
    return np.asarray(np.abs(REST[:, None] / lines - 1).min(axis=1) < HALF_WIDTH_KMS / C_KMS)


def deviation(ratio: Floats, masked: Mask) -> Deviation:
    """How far `ratio` [n_rest] is from 1 where it is finite and not masked."""
    off = np.where(masked, np.nan, ratio - 1.0)
    means, at = block_means(off)
    native, worst = off[np.isfinite(off)], int(np.abs(means).argmax())
    shares = [float(np.mean(np.abs(values) < LIMIT)) for values in (native, means)]
    rms = [float(np.sqrt(np.mean(values**2))) for values in (native, means)]
    return Deviation(rms[0], shares[0], rms[1], shares[1], float(means[worst]), float(at[worst]))


def block_means(values: Floats) -> tuple[Floats, Floats]:
    """Means of `values` [n_rest] over 20 angstrom and the middles of these; half of the pixels must be finite."""
    block = ((REST - REST[0]) // BLOCK).astype(np.intp)
    finite = np.isfinite(values)
    seen = np.bincount(block, finite)
    enough = seen >= 0.5 * np.bincount(block)
    sums = np.bincount(block, np.where(finite, values, 0.0))
    return sums[enough] / seen[enough], REST[0] + BLOCK * (np.flatnonzero(enough) + 0.5)
