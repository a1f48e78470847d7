"""The cosmology that is written into bagpipes, flat with H0 = 70 km/s/Mpc and Omega_m = 0.3, and the way to ours."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

HUBBLE_GYR = 977.7922 / 70.0
"""1 / H0, Gyr."""

OMEGA_M = 0.3


def age_gyr(redshift: ArrayLike) -> NDArray[np.float64]:
    """Age of bagpipes' universe, Gyr, at `redshift` [any shape]."""
    vacuum = 1.0 - OMEGA_M
    stretch = (1.0 + np.asarray(redshift, dtype=np.float64)) ** -1.5
    return 2.0 / (3.0 * np.sqrt(vacuum)) * HUBBLE_GYR * np.arcsinh(np.sqrt(vacuum / OMEGA_M) * stretch)


def log_mass_shift(redshift: NDArray[np.float64]) -> NDArray[np.float64]:
    """What turns log10 of a mass or rate in bagpipes' cosmology into that in Planck 2018, at `redshift` [n].

    The same flux at another distance is another luminosity: 2 log10 of the ratio of the luminosity distances.
    """
    import torch
    from astropy.cosmology import FlatLambdaCDM

    from galfit_ml.simulate.cosmology import CM_PER_MPC, Cosmology

    ours = Cosmology.default().luminosity_distance_cm(torch.as_tensor(redshift)).numpy() / CM_PER_MPC
    return 2.0 * np.log10(ours / FlatLambdaCDM(H0=70.0, Om0=OMEGA_M).luminosity_distance(redshift).value)
