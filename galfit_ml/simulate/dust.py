"""Dust curves in closed form: galaxies (Calzetti et al. 2000, tilted) and the Milky Way (Cardelli et al. 1989)."""

from __future__ import annotations

import torch
from torch import Tensor

V_BAND = 5500.0
"""Wavelength at which A_V is defined here, angstrom."""


def calzetti(wavelength: Tensor) -> Tensor:
    """A(lambda) / A_V of the starburst law, any shape, from rest wavelength in angstrom.

    Calzetti et al. (2000, ApJ 533, 682, eq. 4): k(lambda) / R_V with R_V = 4.05, 0.12 to 2.2 micron. Beyond the red end
    the formula goes on and stops at 0; below 0.12 micron it follows lambda^-0.77 from its last value, the slope
    of Leitherer et al. (2002, ApJS 140, 303).
    """
    x = 1e4 / wavelength.clamp(min=1200.0)
    blue = 2.659 * (-2.156 + 1.509 * x - 0.198 * x**2 + 0.011 * x**3) + 4.05
    red = 2.659 * (-1.857 + 1.040 * x) + 4.05
    inside = torch.where(wavelength < 6300.0, blue, red).clamp(min=0.0) / 4.05
    return inside * (wavelength.clamp(max=1200.0) / 1200.0) ** -0.77


def milky_way(wavelength: Tensor) -> Tensor:
    """A(lambda) / E(B-V) of the diffuse Milky Way with R_V = 3.1, any shape, from observed wavelength in angstrom.

    Cardelli, Clayton & Mathis (1989, ApJ 345, 245, eqs. 2-4): infrared and optical (0.3 to 3.3 per micron) and the
    near ultraviolet (3.3 to 8 per micron); constant beyond.
    """
    x = (1e4 / wavelength).clamp(0.3, 8.0)
    y = x - 1.82
    a_optical = 1 + y * (
        0.17699 + y * (-0.50447 + y * (-0.02427 + y * (0.72085 + y * (0.01979 + y * (-0.77530 + y * 0.32999)))))
    )
    b_optical = y * (
        1.41338 + y * (2.28305 + y * (1.07233 + y * (-5.38434 + y * (-0.62251 + y * (5.30260 - y * 2.09002)))))
    )
    far = (x - 5.9).clamp(min=0.0)
    a_uv = 1.752 - 0.316 * x - 0.104 / ((x - 4.67) ** 2 + 0.341) - 0.04473 * far**2 - 0.009779 * far**3
    b_uv = -3.090 + 1.825 * x + 1.206 / ((x - 4.62) ** 2 + 0.263) + 0.2130 * far**2 + 0.1207 * far**3
    a = torch.where(x < 1.1, 0.574 * x**1.61, torch.where(x < 3.3, a_optical, a_uv))
    b = torch.where(x < 1.1, -0.527 * x**1.61, torch.where(x < 3.3, b_optical, b_uv))
    return 3.1 * a + b
