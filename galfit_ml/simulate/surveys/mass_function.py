"""Stellar mass functions of star-forming and quiescent galaxies at z = 0.2-3, and draws from them.

Tomczak et al. (2014, ApJ 783, 85, tables 1-2; ZFOURGE): double Schechter functions in eight redshift bins, for a
Chabrier initial mass function. Between the middles of the bins ln of the density is interpolated in redshift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from galfit_ml.simulate.cosmology import CM_PER_MPC, Cosmology

Floats = NDArray[np.float64]

REDSHIFT_RANGE = (0.2, 3.0)
"""Where mass functions were measured."""

KROUPA_OVER_CHABRIER = 0.03
"""dex by which masses for a Kroupa initial mass function exceed those for Chabrier's (Madau & Dickinson 2014, sec. 3.1:
0.66 and 0.61 of Salpeter's)."""

_MIDDLE = np.array([0.35, 0.625, 0.875, 1.125, 1.375, 1.75, 2.25, 2.75])


@dataclass(frozen=True)
class DoubleSchechter:
    """phi(M) dlogM = ln 10 exp(-x) x (phi_1 x^alpha_1 + phi_2 x^alpha_2) dlogM, x = M / M*; one entry per redshift bin.

    Args:
        log_mass: log10 M*, M_sun, Chabrier.
        alpha_1, alpha_2: slopes.
        log_phi_1, log_phi_2: log10 of the normalisations, Mpc^-3 dex^-1 without the factor ln 10.
    """

    log_mass: Floats
    alpha_1: Floats
    log_phi_1: Floats
    alpha_2: Floats
    log_phi_2: Floats

    def density(self, log_mass: ArrayLike, redshift: ArrayLike) -> Floats:
        """Comoving Mpc^-3 dex^-1 at log10 mass (M_sun, Kroupa) and redshift, which broadcast together."""
        mass, z = np.broadcast_arrays(np.asarray(log_mass, dtype=np.float64), np.asarray(redshift, dtype=np.float64))
        x = 10 ** (mass[..., None] - KROUPA_OVER_CHABRIER - self.log_mass)
        first, second = 10**self.log_phi_1 * x**self.alpha_1, 10**self.log_phi_2 * x**self.alpha_2
        # Ten orders below the knee the exponential underflows; a floor keeps the logarithm finite.
        ln_density = np.log(np.log(10) * np.exp(-np.minimum(x, 500.0)) * x * (first + second))
        return np.exp(_interpolated(ln_density, z))


def _interpolated(values: Floats, redshift: Floats) -> Floats:
    """`values` [..., 8] at the middles of the bins, linear in redshift and constant beyond the ends."""
    place = np.interp(redshift, _MIDDLE, np.arange(len(_MIDDLE)))
    low = np.minimum(place.astype(np.intp), len(_MIDDLE) - 2)
    share = place - low
    lower = np.take_along_axis(values, low[..., None], axis=-1)[..., 0]
    upper = np.take_along_axis(values, low[..., None] + 1, axis=-1)[..., 0]
    return np.asarray((1 - share) * lower + share * upper)


STAR_FORMING = DoubleSchechter(
    log_mass=np.array([10.59, 10.65, 10.56, 10.44, 10.69, 10.59, 10.58, 10.61]),
    alpha_1=np.array([-1.08, -0.97, -0.46, 0.53, -0.55, 0.75, 2.06, 2.36]),
    log_phi_1=np.array([-2.67, -2.97, -2.81, -2.98, -3.04, -3.37, -4.30, -4.95]),
    alpha_2=np.array([-2.00, -1.58, -1.61, -1.44, -1.62, -1.47, -1.38, -1.67]),
    log_phi_2=np.array([-4.46, -3.34, -3.36, -3.11, -3.59, -3.28, -3.28, -3.71]),
)

QUIESCENT = DoubleSchechter(
    # The two highest bins are single Schechter functions: there is no upturn to be seen.
    log_mass=np.array([10.75, 10.68, 10.63, 10.63, 10.49, 10.77, 10.73, 10.65]),
    alpha_1=np.array([-0.47, -0.10, 0.04, 0.11, 0.85, -0.19, -0.49, -0.43]),
    log_phi_1=np.array([-2.76, -2.67, -2.81, -3.03, -3.36, -3.41, -3.63, -3.92]),
    alpha_2=np.array([-1.97, -1.69, -1.51, -1.57, -0.54, -0.18, 0.0, 0.0]),
    log_phi_2=np.array([-5.21, -4.29, -4.40, -4.80, -3.72, -3.91, -50.0, -50.0]),
)


def quenched_fraction(log_mass: ArrayLike, redshift: ArrayLike) -> Floats:
    """Share of quiescent galaxies at log10 mass (M_sun, Kroupa) and redshift, which broadcast together."""
    quiescent = QUIESCENT.density(log_mass, redshift)
    return np.asarray(quiescent / (quiescent + STAR_FORMING.density(log_mass, redshift)))


def comoving_volume(redshift: ArrayLike, cosmology: Cosmology | None = None) -> Floats:
    """Comoving volume of the whole sky within `redshift` [...] of a flat universe, Mpc^3."""
    cosmology = cosmology or Cosmology.default()
    z = np.asarray(redshift, dtype=np.float64)
    distance = cosmology.luminosity_distance_cm(torch.as_tensor(z)).numpy() / CM_PER_MPC / (1 + z)
    return np.asarray(4.0 / 3.0 * np.pi * distance**3)
