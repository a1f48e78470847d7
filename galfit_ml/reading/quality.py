"""What is wrong with a row, and what a user should know of one that can be used."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from galfit_ml.flags import Flag
from galfit_ml.instruments import Instrument
from galfit_ml.reading.measure import Measured
from galfit_ml.spectra import ArmSpectra

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MIN_GOOD_PIXELS = 10

BRIGHTEST, FAINTEST = 1e8, 1e-9
"""Median |flux|, 1e-17 erg s^-1 cm^-2 A^-1, beyond which the unit is wrong: V < 1.5 or > 43 mag."""


def why_unusable(arms: Sequence[Measured]) -> tuple[str, ...]:
    """For each of the n rows why it cannot be used; "" where it can."""
    flux = np.concatenate([arm.flux for arm in arms], axis=1)
    ivar = np.concatenate([arm.ivar for arm in arms], axis=1)
    mask = np.concatenate([arm.mask for arm in arms], axis=1)
    finite = np.isfinite(flux)
    good = ~mask & finite & (ivar > 0)
    enough = good.sum(axis=1) >= MIN_GOOD_PIXELS
    negative = (ivar < 0).sum(axis=1) > 0.5 * ivar.shape[1]
    flat = ~np.any(good & (flux != 0), axis=1)
    absurd = np.zeros(len(flux), dtype=bool) if arms[0].relative else _absurd(flux, good)
    reasons = [""] * len(flux)
    for i in np.flatnonzero(negative | ~enough | flat | absurd):
        if negative[i]:
            reasons[i] = _NEGATIVE.format(100 * np.mean(ivar[i] < 0))
        elif not enough[i]:
            reasons[i] = _too_few(mask[i], finite[i], ivar[i], all(arm.estimated for arm in arms))
        elif flat[i]:
            reasons[i] = "every usable flux value is exactly 0: an unplugged fibre, or an array that was never filled."
        else:
            reasons[i] = _ABSURD.format(float(np.median(np.abs(flux[i, good[i]]))))
    return tuple(reasons)


_NEGATIVE = (
    "{:.0f} % of the uncertainties are negative: the array is probably something else (sky, residuals), or its sign is "
    "wrong. Give StdDevUncertainty, VarianceUncertainty or InverseVariance of the noise; ivar = 0 marks a bad pixel."
)

_ABSURD = (
    "the median flux is {:.3g} x 1e-17 erg/(s cm2 Angstrom), which no galaxy has. Usually the factor 1e-17 was "
    "forgotten or applied twice: give flux * u.Unit('1e-17 erg / (s cm2 Angstrom)'), or flux * "
    "u.dimensionless_unscaled if there is no absolute scale."
)


def _too_few(mask: Bools, finite: Bools, ivar: Floats, estimated: bool) -> str:
    """Why a row [n_pix] has too few good pixels."""
    if mask.all():
        return "every pixel is masked. A mask is True where a pixel is bad: if yours marks the good ones, give ~mask."
    if not finite.any():
        return "every flux value is NaN or infinite. Was the spectrum resampled beyond its range, or divided by zero?"
    if estimated and not (ivar > 0).any():
        return (
            "it has no uncertainty, and no scatter between its pixels to estimate one from: a noiseless model, or "
            "smoothed data. Give uncertainty=StdDevUncertainty(sigma)."
        )
    if not (ivar > 0).any():
        return (
            "no pixel has a usable uncertainty: ivar is 0 (or sigma 0 or infinite) everywhere, the mark of a pixel "
            "without data. If the noise is unknown, give uncertainty=None and it is estimated."
        )
    usable = (~mask & finite & (ivar > 0)).sum()
    return (
        f"only {usable} of {len(mask)} pixels are usable ({mask.sum()} masked, {(~finite).sum()} not finite, "
        f"{(ivar <= 0).sum()} without uncertainty); at least {MIN_GOOD_PIXELS} are needed."
    )


def _absurd(flux: Floats, good: Bools) -> Bools:
    size = row_medians(np.abs(flux), good)
    return ~((size <= BRIGHTEST) & ((size >= FAINTEST) | (size == 0)))


def row_medians(values: Floats, good: Bools) -> Floats:
    """[n] median of each row over good pixels; 0 without any."""
    out = np.zeros(len(values))
    whole = good.all(axis=1)
    out[whole] = np.median(values[whole], axis=1)
    for i in np.flatnonzero(~whole & good.any(axis=1)):
        out[i] = np.median(values[i, good[i]])
    return out


def observed_flags(arms: Sequence[ArmSpectra], instrument: Instrument) -> NDArray[np.int64]:
    """[n] bits for signal-to-noise, bad pixels and coverage."""
    good = ~np.concatenate([arm.bad for arm in arms], axis=1)
    snr = np.concatenate([arm.flux * np.sqrt(arm.ivar) for arm in arms], axis=1)
    flags = np.where(row_medians(snr, good) < 1.0, int(Flag.LOW_SNR), 0)
    flags = flags | np.where(good.mean(axis=1) < 0.5, int(Flag.MANY_BAD_PIXELS), 0)
    if not instrument.generic:
        flags = flags | np.where(_coverage(arms, instrument) < 0.5, int(Flag.LITTLE_COVERAGE), 0)
    return flags.astype(np.int64)


def _coverage(arms: Sequence[ArmSpectra], instrument: Instrument) -> Floats:
    """[n] fraction of the instrument's wavelengths that good pixels cover; where arms overlap the best one counts."""
    covered = []
    for low, high in _ranges(instrument):
        probe = np.linspace(low, high, max(2, int((high - low) / 5.0)))
        seen = np.zeros((len(arms[0].flux), len(probe)), dtype=bool)
        for arm in arms:
            index = np.searchsorted(arm.grid.edges, probe) - 1
            inside = (index >= 0) & (index < len(arm.grid))
            seen[:, inside] |= ~arm.bad[:, index[inside]]
        covered.append(seen)
    return np.concatenate(covered, axis=1).mean(axis=1)


def _ranges(instrument: Instrument) -> list[tuple[float, float]]:
    """Wavelength ranges of an instrument, its overlapping arms merged."""
    merged: list[tuple[float, float]] = []
    for low, high in sorted((arm.low, arm.high) for arm in instrument.arms):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged
