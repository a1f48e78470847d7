"""How much of a source's light enters a fibre."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from galfit_ml.instruments import FWHM_PER_SIGMA

RADIUS_PER_SIGMA = float(np.sqrt(2.0 * np.log(2.0)))
"""Half-light radius over sigma of a round Gaussian."""

AIRMASS_POWER = 0.6
"""Seeing grows as airmass^0.6 (Roddier 1981, Progress in Optics 19, 281)."""


def effective_fwhm(image_quality: Tensor, seeing: Tensor, airmass: Tensor) -> Tensor:
    """FWHM of a point source at the fibre, arcsec, [n, n_wave].

    Args:
        image_quality: [n_wave] FWHM over `seeing`, at airmass 1.
        seeing: [n] FWHM at 5000 angstrom and airmass 1, arcsec.
        airmass: [n].
    """
    return (seeing * airmass**AIRMASS_POWER)[:, None] * image_quality


def fibre_fraction(diameter: float, fwhm: Tensor, size: Tensor) -> Tensor:
    """Share of the light of a centred source inside a round fibre; source and seeing are Gaussians.

    f = 1 - exp(-(d/2)^2 / 2 s^2) with s^2 = (FWHM / 2.355)^2 + (r_e / 1.177)^2.

    Args:
        diameter: of the fibre, arcsec.
        fwhm: of a point source at the fibre, arcsec.
        size: half-light radius of the source, arcsec; broadcast against `fwhm`.
    """
    variance = (fwhm / FWHM_PER_SIGMA) ** 2 + (size / RADIUS_PER_SIGMA) ** 2
    return -torch.expm1(-(diameter**2) / (8.0 * variance))
