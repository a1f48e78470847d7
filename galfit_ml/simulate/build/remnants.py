"""Mass locked in stellar remnants, from the mass still in living stars.

The initial mass function is Kroupa (2001, MNRAS 322, 231), 0.1–100 M_sun; the mass left by a star of initial mass m is
that of Renzini & Ciotti (1993, ApJ 416, L49): a white dwarf of 0.077 m + 0.48 below 8.5 M_sun, a neutron star of 1.4
up to 40 M_sun, a black hole of m / 2 above.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LOWEST_MASS, HIGHEST_MASS = 0.1, 100.0
_N_MASS = 20_001


def kroupa_imf(mass: Floats) -> Floats:
    """Number of stars per unit mass (any normalisation) at `mass` [any shape], M_sun: slope -1.3 to 0.5, then -2.3."""
    return np.where(mass < 0.5, 2.0 * mass**-1.3, mass**-2.3)


def remnant_mass(mass: Floats) -> Floats:
    """Mass, M_sun, that a star of initial `mass` [any shape], M_sun, leaves behind."""
    return np.where(mass < 8.5, 0.077 * mass + 0.48, np.where(mass < 40.0, 1.4, 0.5 * mass))


def turn_off_mass(living_fraction: Floats) -> Floats:
    """Mass, M_sun, below which the initial mass function holds that fraction [any shape] of all mass."""
    mass, cumulative = _cumulative(lambda m: m)
    return np.interp(living_fraction, cumulative / cumulative[-1], mass)


def remnant_fraction(living_fraction: Floats) -> Floats:
    """Mass in remnants per mass formed, when that fraction [any shape] of it is in living stars."""
    mass, left = _cumulative(remnant_mass)
    formed = _cumulative(lambda m: m)[1][-1]
    return (left[-1] - np.interp(turn_off_mass(living_fraction), mass, left)) / formed


def _cumulative(weight: Callable[[Floats], Floats]) -> tuple[Floats, Floats]:
    """Masses [n] and the integral [n] of weight × IMF up to each."""
    mass = np.geomspace(LOWEST_MASS, HIGHEST_MASS, _N_MASS)
    density = weight(mass) * kroupa_imf(mass) * mass
    step = np.diff(np.log(mass))
    return mass, np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * step)])
