"""Statistics of the noise of real and simulated spectra, by the same rules."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

R_BAND = (5600.0, 6900.0)
BANDS = {"4300-5500": (4300.0, 5500.0), "5950-6800": (5950.0, 6800.0), "8400-9100": (8400.0, 9100.0)}
"""Observed wavelengths, angstrom."""

DIFFERENCE = np.array([1.0, -4.0, 6.0, -4.0, 1.0]) / np.sqrt(70.0)
"""Fourth difference, of unit variance for white noise: what varies from pixel to pixel, faster than any line."""


def signal_to_noise(wavelength: Floats, flux: Floats, ivar: Floats) -> float:
    """Median per pixel in the r band."""
    use = (wavelength > R_BAND[0]) & (wavelength < R_BAND[1]) & (ivar > 0)
    return float(np.median(flux[use] * np.sqrt(ivar[use])))


def magnitude(wavelength: Floats, flux: Floats) -> float:
    """AB magnitude of the mean f_nu in the r band of a spectrum in 1e-17 erg s^-1 cm^-2 A^-1, of equal pixels in ln."""
    use = (wavelength > R_BAND[0]) & (wavelength < R_BAND[1])
    f_nu = 1e-17 * (flux * wavelength**2)[use].mean() / 2.99792458e18
    return float(-2.5 * np.log10(f_nu) - 48.6)


def pixel_pulls(flux: Floats, ivar: Floats) -> Floats:
    """Fourth differences over their reported error; NaN where a pixel is bad."""
    good = ivar > 0
    variance = np.where(good, 1.0 / np.where(good, ivar, 1.0), np.nan)
    return np.convolve(flux, DIFFERENCE, "same") / np.sqrt(np.convolve(variance, DIFFERENCE**2, "same"))


def spread(values: Floats) -> float:
    """Half of the range that holds the middle 68 % of the finite values."""
    low, high = np.nanpercentile(values, [16, 84])
    return float(0.5 * (high - low))


def band(wavelength: Floats, name: str) -> NDArray[np.bool_]:
    """True inside one of `BANDS`."""
    low, high = BANDS[name]
    return (wavelength > low) & (wavelength < high)


def by_magnitude(table: dict[str, Floats], n_bins: int = 6) -> list[dict[str, float]]:
    """Median S/N of real and simulated spectra in bins of equal numbers, by magnitude."""
    bins = np.array_split(np.argsort(table["magnitude"]), n_bins)
    return [
        {
            "magnitude": float(np.median(table["magnitude"][rows])),
            "real": float(np.median(table["real"][rows])),
            "mock": float(np.median(table["mock"][rows])),
            "ratio": float(np.median(table["mock"][rows] / table["real"][rows])),
        }
        for rows in bins
    ]
