"""One spectrum as bagpipes takes it: one increasing wavelength array, masked pixels with an enormous error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import SpectrumError
from galfit_ml.instruments import FWHM_PER_SIGMA
from galfit_ml.prepare import Prepared
from galfit_ml.spectra import FLUX_UNIT

Floats = NDArray[np.float64]

MIN_GOOD_PIXELS = 50

IGNORED = 9.9e99
"""Error of a masked pixel, erg s^-1 cm^-2 A^-1: what bagpipes itself gives to one."""

GAP = 1.5
"""Pixels further apart than this many times the typical step stand beside a gap."""

RELATIVE_LEVEL = 1.0
"""Median flux, in units of `FLUX_UNIT`, that a spectrum without a flux scale is given."""


@dataclass(frozen=True, eq=False)
class Observed:
    """One spectrum.

    Args:
        wavelength: [n_pix] observed vacuum wavelength, angstrom, increasing.
        flux, error: [n_pix] erg s^-1 cm^-2 A^-1; the error is `IGNORED` where a pixel does not count.
        good: [n_pix] pixels that count.
        resolution: [n_pix] wavelength / FWHM.
        scale: by which fluxes in `FLUX_UNIT` were multiplied, other than to change the unit.
    """

    wavelength: Floats
    flux: Floats
    error: Floats
    good: NDArray[np.bool_]
    resolution: Floats
    scale: float = 1.0

    @property
    def n_ignored(self) -> int:
        """Number of pixels that do not count."""
        return int((~self.good).sum())


def observed(native: Prepared, row: int, relative: bool) -> Observed:
    """Spectrum `row` of native pixels, from its first to its last good pixel.

    Raises:
        SpectrumError: there are too few good pixels.
    """
    keep = _in_order(native)
    good = native.good[row, keep] & (native.ivar[row, keep] > 0)
    if good.sum() < MIN_GOOD_PIXELS:
        raise SpectrumError(
            f"only {int(good.sum())} good pixels, {MIN_GOOD_PIXELS} are needed; check mask and uncertainty"
        )
    ends = np.flatnonzero(good)[[0, -1]]
    inside = slice(ends[0], ends[1] + 1)
    good, index = good[inside], keep[inside]
    wave, flux = native.wavelength[index], native.flux[row, index]
    good &= ~_beside_gaps(wave)
    level = float(np.median(np.abs(flux[good])))
    scale = RELATIVE_LEVEL / level if relative and level > 0 else 1.0
    # bagpipes cuts off the ends where the flux is exactly 0, and divides by the highest flux.
    flux = np.where(good & (flux != 0), flux, 1e-3 * level or 1.0) * scale * FLUX_UNIT
    sigma = np.where(good, native.ivar[row, index], 1.0) ** -0.5 * scale * FLUX_UNIT
    resolution = wave / (FWHM_PER_SIGMA * native.lsf_sigma[row, index])
    return Observed(wave, flux, np.where(good, sigma, IGNORED), good, resolution, scale)


def _in_order(native: Prepared) -> NDArray[np.intp]:
    """Indices of pixels of increasing wavelength; where arms overlap the blue one ends in the middle."""
    arms = sorted(
        (np.flatnonzero(native.arm == a) for a in np.unique(native.arm)), key=lambda i: native.wavelength[i[0]]
    )
    kept = [arms[0]]
    for index in arms[1:]:
        before, here = native.wavelength[kept[-1]], native.wavelength[index]
        border = 0.5 * (before[-1] + here[0]) if before[-1] >= here[0] else here[0]
        kept[-1] = kept[-1][before < border]
        kept.append(index[here >= border])
    return np.concatenate(kept)


def _beside_gaps(wavelength: Floats) -> NDArray[np.bool_]:
    """[n_pix] True at both ends of a gap: bagpipes would take half of the gap for part of the pixel."""
    step = np.diff(wavelength)
    wide = step > GAP * np.median(step)
    wide &= step > GAP * np.minimum(np.append(step[1:], np.inf), np.append(np.inf, step[:-1]))
    return np.append(wide, False) | np.append(False, wide)
