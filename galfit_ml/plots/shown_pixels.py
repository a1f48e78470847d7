"""The pixels of one best fit, made ready to be drawn: arms apart, noise as found, averages for the eye."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import SpectrumError

if TYPE_CHECKING:
    from galfit_ml.companions import BestFit
    from galfit_ml.posterior import Posterior

Floats = NDArray[np.float64]

CLEAR_SNR, POINTS_ACROSS = 5.0, 1500
"""Spectra of lower signal-to-noise per pixel are also shown averaged, to about so many points."""


@dataclass(frozen=True, eq=False)
class ShownPixels:
    """The pixels of one best fit, [n_pix] each, with a NaN pixel wherever the wavelengths jump (arms, gaps).

    Args:
        sigma: of the noise as it was found: the reported one times `noise_scale`, where that is known.
        calibration: the factor that `model` contains, or None.
        noise_scale: or None.
    """

    wavelength: Floats
    flux: Floats
    sigma: Floats
    model: Floats
    good: NDArray[np.bool_]
    calibration: Floats | None = None
    noise_scale: float | None = None

    @classmethod
    def of(cls, row: Posterior) -> ShownPixels:
        """Of the only spectrum of `row`; SpectrumError where it has no best model."""
        best = row.best_fit
        assert best is not None
        keep = np.isfinite(best.wavelength[0]) & np.isfinite(best.model[0])
        if not keep.any():
            raise SpectrumError(f"{row.ids[0]} has no best model to plot.")
        wavelength, good = best.wavelength[0, keep], best.good[0, keep]
        step = np.diff(wavelength)
        jumps = 1 + np.flatnonzero((step <= 0) | (step > 5 * np.median(np.abs(step))))
        apart = partial(np.insert, obj=jumps, values=np.nan)
        noise = _noise_scale(best)
        flux, sigma = np.where(good, best.flux[0, keep], np.nan), _sigma(best, noise)[keep]
        factor = np.nan if best.calibration is None else best.calibration[0, keep]
        return cls(
            apart(wavelength),
            apart(flux),
            apart(sigma),
            apart(best.model[0, keep]),
            np.insert(good, jumps, True),
            apart(factor) if np.isfinite(factor).any() else None,
            noise_scale=noise,
        )

    @property
    def crowding(self) -> int:
        """How many pixels to average for the eye: 1, or more where many noisy ones would make a black wall."""
        snr = np.abs(self.flux) / self.sigma
        noisy = np.isfinite(snr).any() and np.nanmedian(snr) < CLEAR_SNR
        return max(1, len(self.flux) // POINTS_ACROSS) if noisy else 1

    def binned(self, n: int) -> ShownPixels:
        """Inverse-variance means over groups of n pixels; a group that spans a jump is NaN."""
        whole = len(self.flux) // n * n
        groups = [a[:whole].reshape(-1, n) for a in (self.wavelength, self.flux, self.sigma, self.model)]
        wavelength, flux, sigma, model = groups
        weight = np.where(np.isfinite(flux) & np.isfinite(sigma), sigma**-2.0, 0.0)
        total = np.where(weight.sum(axis=1) > 0, weight.sum(axis=1), np.nan)
        mean = np.where(weight > 0, weight * flux, 0.0).sum(axis=1) / total
        return ShownPixels(wavelength.mean(axis=1), mean, total**-0.5, model.mean(axis=1), np.isfinite(mean))

    @property
    def limits(self) -> tuple[float, float]:
        """Flux range to show: all of the model and nearly all of the data, with room for labels above and below."""
        continuum = np.nanpercentile(self.model, 90)
        data = self.flux[np.isfinite(self.flux)] if np.isfinite(self.flux).any() else self.model
        low = min(np.nanpercentile(self.model, 0.2), np.percentile(data, 1.0), 0.25 * continuum)
        high = max(np.nanmax(self.model), np.percentile(data, 99.5))
        high = min(high, max(12 * continuum, np.percentile(data, 99)))
        span = (high - low) or 1.0
        return low - 0.26 * span, high + 0.3 * span


def _noise_scale(best: BestFit) -> float | None:
    """Of a single row; None where it is not known."""
    scale = np.nan if best.noise_scale is None else float(best.noise_scale[0])
    return scale if np.isfinite(scale) and scale > 0 else None


def _sigma(best: BestFit, noise_scale: float | None) -> Floats:
    """Noise [n_pix] of a single row, as found where that is known; NaN where a pixel did not take part."""
    ivar = best.ivar[0]
    used = best.good[0] & (ivar > 0)
    return np.where(used, (noise_scale or 1.0) / np.sqrt(np.where(used, ivar, 1.0)), np.nan)
