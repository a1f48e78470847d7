"""Which of the source's spectra are at air and which at vacuum wavelengths.

Above 2000 A the cool and the older stars of the source are at air wavelengths, but the model spectra of its hot stars
are at vacuum wavelengths already (He I 5877.2 and 6680.0 A of populations of 1–3 Myr lie 75–84 km/s redward of their
air wavelengths). A population of middling age mixes both; its lines lie between. So the share of the shift that each
spectrum already has is measured, on Mg II, Balmer lines and the calcium triplet, and only the rest is applied.
Where the two kinds of star share the light, lines that only one of them has stay displaced by part of 83 km/s.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from galfit_ml.grid import SPEED_OF_LIGHT_KMS, air_to_vacuum

Floats = NDArray[np.float64]

HOT_BINS = 5
"""Age bins, to 2.8 Myr, with hot stars only: vacuum. Blends of He II pull their Balmer lines blueward."""
COOL_BIN = 23
"""From this age bin on (178 Myr) no star is hot enough: air."""

# Where the share is measured: a wavelength (A), and the lines that show it by air wavelength and half width (km/s).
Lines = tuple[tuple[float, float], ...]
_ANCHORS: tuple[tuple[float, Lines], ...] = (
    (2796.0, ((2795.53, 300.0),)),
    (4200.0, ((3797.90, 500.0), (4101.73, 500.0), (4340.46, 500.0), (4861.32, 500.0))),
    (6563.0, ((6562.80, 500.0),)),
    (8662.0, ((8662.14, 300.0),)),
)
_SHALLOWEST = 0.01


def vacuum_wavelengths(wavelength: Floats, spectra: Floats) -> Floats:
    """Vacuum wavelengths [n_age, n], A, of the points of each spectrum [n_age, n] of one metallicity.

    Args:
        wavelength: [n] A, as in the source: vacuum below 2000 A, air or vacuum above.
        spectra: [n_age, n] means over the age bins.
    """
    shares = [vacuum_share(wavelength, spectra, lines) for _, lines in _ANCHORS]
    places = [place for place, _ in _ANCHORS]
    rows = [_interpolate_known(wavelength, places, row) for row in np.transpose(shares)]
    return wavelength + (1 - np.array(rows)) * (air_to_vacuum(wavelength) - wavelength)


def _interpolate_known(wavelength: Floats, places: list[float], values: Floats) -> Floats:
    """Straight lines between those places whose value is known (some always is), level beyond."""
    known = np.isfinite(values)
    return np.interp(wavelength, np.array(places)[known], values[known])


def vacuum_share(wavelength: Floats, spectra: Floats, lines: Lines) -> Floats:
    """Median share [n_age] of the air-to-vacuum shift that the `lines` of each spectrum show; NaN if none is deep."""
    shares = np.full((len(lines), len(spectra)), np.nan)
    for row, (line, half_width) in enumerate(lines):
        whole = air_to_vacuum(line) / line - 1
        velocities = [line_velocity(wavelength, spectrum, line, half_width) for spectrum in spectra]
        shares[row] = np.array(velocities) / (SPEED_OF_LIGHT_KMS * whole)
    share = np.clip(_median(shares), 0.0, 1.0)
    share[:HOT_BINS], share[COOL_BIN:] = 1.0, 0.0
    return share


def line_velocity(wavelength: Floats, spectrum: Floats, line: float, half_width: float) -> float:
    """Velocity, km/s, of the centroid of an absorption line at `line` A; NaN if it is shallower than 1 %.

    The centroid is that of the light missing below a straight line between both ends of a window of that half width.
    """
    velocity = np.linspace(-half_width, half_width, 201)
    flux = np.interp(line * (1 + velocity / SPEED_OF_LIGHT_KMS), wavelength, spectrum)
    missing = np.clip(np.linspace(flux[0], flux[-1], len(flux)) - flux, 0.0, None)
    if missing.max() < _SHALLOWEST * flux.mean():
        return float("nan")
    return float((velocity * missing).sum() / missing.sum())


def _median(shares: Floats) -> Floats:
    known = np.isfinite(shares).any(axis=0)
    median = np.full(shares.shape[1], np.nan)
    median[known] = np.nanmedian(shares[:, known], axis=0)
    return median
