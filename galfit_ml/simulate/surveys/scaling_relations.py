"""Scaling relations of galaxies at z = 0.2-3, each with the paper it comes from.

Masses are log10 M_sun in living stars and remnants for a Kroupa initial mass function; arrays broadcast together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def _array(value: ArrayLike) -> Floats:
    return np.asarray(value, dtype=np.float64)


MAIN_SEQUENCE_SCATTER = 0.3
"""dex: Speagle et al. (2014, ApJS 214, 15); Schreiber et al. (2015, A&A 575, A74) find 0.31."""

STARBURST_FRACTION = 0.033
STARBURST_BOOST = np.log10(5.24)
"""Share of star-forming galaxies that are starbursts, and how far above the sequence they are, dex (Schreiber et al.
2015, eq. 10)."""


def main_sequence(log_mass: ArrayLike, age_gyr: ArrayLike) -> Floats:
    """log10 SFR (M_sun/yr) of the star-forming main sequence when the Universe is `age_gyr` old.

    Popesso et al. (2023, MNRAS 519, 1526, eq. 14): a0 + a1 t - log(1 + (M / 10^(a2 + a3 t))^-a4), Kroupa.
    """
    mass, time = _array(log_mass), _array(age_gyr)
    turnover = 10.85 - 0.0729 * time
    return np.asarray(2.693 - 0.186 * time - np.log10(1 + 10 ** (-0.99 * (mass - turnover))))


def main_sequence_speagle(log_mass: ArrayLike, age_gyr: ArrayLike) -> Floats:
    """The same after Speagle et al. (2014, eq. 28): (0.84 - 0.026 t) log M - (6.51 - 0.11 t), Kroupa."""
    mass, time = _array(log_mass), _array(age_gyr)
    return np.asarray((0.84 - 0.026 * time) * mass - (6.51 - 0.11 * time))


def gas_metallicity(log_mass: ArrayLike, redshift: ArrayLike, above_sequence: ArrayLike = 0.0) -> Floats:
    """12 + log O/H of star-forming galaxies.

    Z0 - (gamma / beta) log(1 + (M / M_TO)^-beta), the form and the z ~ 0 values of Sanders et al. (2021, ApJ 914, 19:
    Z0 8.82, gamma 0.28, beta 3.43, log M_TO 10.16). The turnover moves up with redshift and Z0 stays, as
    Zahid et al. (2014, ApJ 791, 130) found; 1.83 dex per dex of (1 + z) puts 10^10 M_sun at 8.51 at z = 2.3, as
    Sanders et al. measure. Above the main sequence it is lower by 0.14 dex per dex of SFR (their sec. 4.4).

    Args:
        log_mass, redshift: of the galaxies.
        above_sequence: log10 of SFR over that of the main sequence.
    """
    turnover = 10.16 + 1.83 * np.log10(1 + _array(redshift))
    curve = 8.82 - (0.28 / 3.43) * np.log10(1 + 10 ** (-3.43 * (_array(log_mass) - turnover)))
    return np.asarray(curve - 0.14 * np.clip(_array(above_sequence), -1.0, 1.0))


GAS_METALLICITY_SCATTER = 0.07
"""dex at fixed mass and SFR: below 0.1 dex intrinsic at z ~ 2.3 (Sanders et al. 2021, sec. 4.4)."""

_LOCAL_MASS = np.array([6.0, 9.51, 9.72, 9.91, 10.11, 10.31, 10.51, 10.72, 10.91, 11.11, 11.31, 11.51])
_LOCAL_METALLICITY = np.array([-1.66, -0.61, -0.52, -0.41, -0.23, -0.11, -0.01, 0.04, 0.07, 0.10, 0.12, 0.13])


def stellar_metallicity(log_mass: ArrayLike, redshift: ArrayLike, quiescent: ArrayLike) -> Floats:
    """log10 of the stellar metallicity over the Sun's.

    Medians of Gallazzi et al. (2005, MNRAS 362, 41, table 2) at z ~ 0.1 above 10^9.5 M_sun; below, the slope of dwarf
    galaxies, 0.30 (Kirby et al. 2013, ApJ 779, 102: -0.94 at 10^8.5 M_sun, here -0.91), where the SDSS medians, flat at
    -0.6 from 10^8.9 on, rest on few galaxies of wide uncertainty. Star-forming galaxies fall by 0.2 dex per unit
    redshift: 0.13 dex at z = 0.7 (Gallazzi et al. 2014, ApJ 788, 72), 0.45 dex at z = 2.2 (Kashino et al. 2022, ApJ
    925, 82: -0.81 at 10^10 M_sun). Quiescent ones hardly fall: 0.05 per unit redshift (Kriek et al. 2019, ApJ 880, L31:
    iron 0.2 dex lower at z = 1.4, made up for in part by alpha elements).
    """
    local = np.interp(_array(log_mass), _LOCAL_MASS, _LOCAL_METALLICITY)
    return np.asarray(local - np.where(np.asarray(quiescent, dtype=bool), 0.05, 0.2) * _array(redshift))


STELLAR_METALLICITY_SCATTER = 0.15
"""dex: half the 16-84 range of Gallazzi et al. (2005) at 10^11 M_sun."""


def halpha_attenuation(log_mass: ArrayLike) -> Floats:
    """Attenuation of H-alpha in star-forming galaxies, mag.

    Garn & Best (2010, MNRAS 409, 421, eq. 12): 0.91 + 0.77 X + 0.11 X^2 - 0.09 X^3, X = log10 of the mass over 10^10.
    It hardly changes to z ~ 1.5-2 (Dominguez et al. 2013, ApJ 763, 145; Shapley et al. 2022, ApJ 926, 145).
    """
    x = np.clip(_array(log_mass) - 10.0, -1.5, 1.5)
    return np.asarray(0.91 + 0.77 * x + 0.11 * x**2 - 0.09 * x**3)


HALPHA_ATTENUATION_SCATTER = 0.28
"""mag (Garn & Best 2010, sec. 5)."""

_SIZE_REDSHIFT = np.array([0.25, 0.75, 1.25, 1.75, 2.25, 2.75])
_LATE = np.array([[0.86, 0.78, 0.70, 0.65, 0.55, 0.51], [0.25, 0.22, 0.22, 0.23, 0.22, 0.18]])
_EARLY = np.array([[0.60, 0.42, 0.22, 0.09, -0.05, -0.06], [0.75, 0.71, 0.76, 0.76, 0.76, 0.79]])
_PIVOT = np.log10(5e10)
LATE_SIZE_SCATTER, EARLY_SIZE_SCATTER = 0.18, 0.13
"""dex, means over redshift of table 1 of van der Wel et al. (2014)."""


def size_kpc(log_mass: ArrayLike, redshift: ArrayLike, quiescent: ArrayLike) -> Floats:
    """Half-light radius along the major axis, kpc.

    van der Wel et al. (2014, ApJ 788, 28, table 1): A (M / 5e10)^alpha. Their fit to early types is to masses above
    2e10 M_sun, below which sizes hardly change.
    """
    mass, z = _array(log_mass), _array(redshift)
    late = [np.interp(z, _SIZE_REDSHIFT, row) for row in _LATE]
    early = [np.interp(z, _SIZE_REDSHIFT, row) for row in _EARLY]
    log_late = late[0] + late[1] * (mass - _PIVOT)
    log_early = early[0] + early[1] * (np.maximum(mass, np.log10(2e10)) - _PIVOT)
    return np.asarray(10 ** np.where(np.asarray(quiescent, dtype=bool), log_early, log_late))


def bulge_fraction(log_mass: ArrayLike, quiescent: ArrayLike) -> Floats:
    """Median share of the stellar mass that is in the bulge.

    Read from Lang et al. (2014, ApJ 788, 11, fig. 5), z = 0.5-2.5: star-forming galaxies rise from 0.2 at 10^10 to 0.45
    at 10^11.3 M_sun, quiescent ones from 0.55 to 0.7.
    """
    x = np.clip(_array(log_mass), 9.5, 11.5) - 10.0
    return np.asarray(np.where(np.asarray(quiescent, dtype=bool), 0.55 + 0.11 * x, 0.20 + 0.19 * x))


def bulge_dispersion(log_mass: ArrayLike, redshift: ArrayLike) -> Floats:
    """Velocity dispersion of early types and bulges, km/s, against the mass of the galaxy.

    Zahid et al. (2016, ApJ 832, 203): 118.3 km/s at 10^10.26 M_sun, slope 0.403 below and 0.293 above; times
    (1 + z)^0.20 (Mason et al. 2015, ApJ 805, 79).
    """
    x = _array(log_mass) - 10.26
    return np.asarray(118.3 * 10 ** (np.where(x < 0, 0.403, 0.293) * x) * (1 + _array(redshift)) ** 0.20)


def disc_dispersion(log_mass: ArrayLike) -> Floats:
    """S_0.5 = sqrt(0.5 V_rot^2 + sigma^2) of star-forming discs, km/s: what an integrated spectrum shows, on average.

    Kassin et al. (2007, ApJ 660, L35): log S_0.5 = 1.89 + 0.34 (log M - 10), without evolution since z = 1.2.
    """
    return np.asarray(10 ** (1.89 + 0.34 * (_array(log_mass) - 10.0)))


def electron_density(redshift: ArrayLike) -> Floats:
    """log10 cm^-3: 26 at z = 0 and 250 at z = 2.3 (Sanders et al. 2016, ApJ 816, 23)."""
    return np.asarray(np.minimum(1.41 + 0.43 * _array(redshift), 2.5))


def agn_fraction(log_mass: ArrayLike, redshift: ArrayLike) -> Floats:
    """Share of galaxies with an AGN above 1 % of Eddington's rate.

    After Aird, Coil & Georgakakis (2018, MNRAS 474, 1225, fig. 8): about 3 % at 10^9.5, 10 % at 10^10.5 and above, at
    z = 0.75, twice that at z = 2.
    """
    rise = 10 ** np.clip(0.5 * (_array(log_mass) - 10.5), -1.0, 0.1)
    return np.asarray(np.clip(0.10 * rise * ((1 + _array(redshift)) / 1.75) ** 1.3, 0.0, 0.4))
