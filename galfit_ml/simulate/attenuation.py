"""Dust within a galaxy: how much of the light of stars and lines comes out."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from galfit_ml.simulate.dust import V_BAND, calzetti
from galfit_ml.simulate.galaxies import Galaxies


class DiffuseDust:
    """Attenuation at fixed rest wavelengths [n_wave], A: the Calzetti curve, tilted.

    Noll et al. (2009, A&A 507, 1793, eq. 8, without the bump). Birth clouds (stars below 10 Myr and the gas they
    ionise) see `dust_eta` times as much of it.
    """

    def __init__(self, wavelength: Tensor) -> None:
        self.curve = calzetti(wavelength)
        self.tilt = torch.log(wavelength / V_BAND)

    def depth(self, g: Galaxies, window: slice = slice(None)) -> Tensor:
        """ln of the transmission at the wavelengths `window`, [n, n_window]."""
        scale = (-0.4 * np.log(10.0) * g.dust_av)[:, None]
        curve = self.curve[window]
        if bool((g.dust_slope == 0).all()):
            return scale * curve
        return scale * curve * torch.exp(g.dust_slope[:, None] * self.tilt[window])
