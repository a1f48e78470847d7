"""Extinction of the Milky Way: the curve, and spectra with it taken out."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.reading.measure import Measured

Floats = NDArray[np.float64]

CURVE = "Fitzpatrick (1999), R_V = 3.1"

ANCHORS = {
    np.inf: 0.0,
    26500.0: 0.265,
    12200.0: 0.829,
    6000.0: 2.688,
    5470.0: 3.055,
    4670.0: 3.806,
    4110.0: 4.315,
    2700.0: 6.265,
    2600.0: 6.591,
}
"""Wavelength, angstrom -> A(lambda) / E(B-V) for R_V = 3.1: Fitzpatrick (1999), table 3."""

ULTRAVIOLET = 2700.0
FAREST = 1150.0
"""Wavelength, angstrom, below which the curve stays constant; at longer ones IUE measured it."""


def milky_way(wavelength: Floats) -> Floats:
    """A(lambda) / E(B-V) of the diffuse Milky Way with R_V = 3.1, any shape, from observed wavelength in angstrom.

    Fitzpatrick (1999, PASP 111, 63): a cubic spline through his table 3 redward of 2700 A, the form of Fitzpatrick &
    Massa (1990, ApJS 72, 163, eq. 2) with his coefficients for R_V = 3.1 blueward. It is the curve for which
    Schlafly & Finkbeiner (2011, ApJ 737, 103) recalibrated E(B-V); the residual in the galaxy prior follows Cardelli
    et al. (1989), which differs by less than 0.2 between 3600 and 9000 A (1 % of the flux for the prior's largest).
    """
    x = 1e4 / np.maximum(wavelength, FAREST)
    return np.where(wavelength > ULTRAVIOLET, _spline()(x), _ultraviolet(x))


@cache
def _spline() -> Any:
    from scipy.interpolate import CubicSpline

    return CubicSpline([1e4 / wavelength for wavelength in ANCHORS], list(ANCHORS.values()), bc_type="natural")


def _ultraviolet(x: Floats) -> Floats:
    """A / E(B-V) at x per micron: a line, the bump at 2175 A and the rise beyond 5.9 per micron."""
    slope = -0.824 + 4.717 / 3.1
    bump = x**2 / ((x**2 - 4.596**2) ** 2 + (0.99 * x) ** 2)
    far = np.maximum(x - 5.9, 0.0)
    return 3.1 + 2.030 - 3.007 * slope + slope * x + 3.23 * bump + 0.41 * (0.5392 * far**2 + 0.05644 * far**3)


def dereddened(measured: Measured, ebv: Floats) -> Measured:
    """An arm as it would be seen without the Milky Way: flux times 10^(0.4 A), inverse variance divided by its square.

    Args:
        measured: the arm, n spectra.
        ebv: [n] E(B-V), mag.
    """
    factor = 10 ** (0.4 * ebv[:, None] * milky_way(measured.grid.centres))
    return replace(measured, flux=measured.flux * factor, ivar=measured.ivar / factor**2)
