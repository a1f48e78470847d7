"""`CurveNoise`: noise of an instrument of which a measured noise curve is known, such as SDSS.

With the exposure time t and that of the curve, t_ref::

    white variance = noise_factor * (sky(lambda)^2 + object(lambda) * F) * t_ref / t

The sky residual is coherent over an arm and does not fall with t: the stated fraction of what the sky lines add to the
noise of the continuum between them (its running median), times the random cubic of `photon_noise`.

Some pipelines report more than the pixels scatter by: that of SDSS adds 3 % of the flux to the error of each exposure
(`adderr` of spcombine in idlspec2d), 1.7 % after three. This floor goes into the reported inverse variance alone, as
(floor * F)^2 * t_ref / t.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from torch import Tensor

from galfit_ml.instruments import Arm
from galfit_ml.observatory import NoiseCurve
from galfit_ml.simulate.conditions import Conditions
from galfit_ml.simulate.masks import WINDOW, MaskBit, bright_sky
from galfit_ml.simulate.photon_noise import residual_shape

Floats = NDArray[np.float64]


class CurveNoise:
    """Noise of one arm.

    Args:
        arm: gives the pixels.
        index: of the arm in the instrument.
        curve: measured noise.
        device: "cpu" or "cuda".
    """

    def __init__(self, arm: Arm, index: int, curve: NoiseCurve, device: str | torch.device = "cpu") -> None:
        wavelength = arm.grid.centres
        self.index, self.reference, self.device = index, curve.exposure, torch.device(device)
        self.floor = curve.floor
        self.sky = curve.sky(wavelength)
        self.sky_variance = self._tensor(self.sky**2)
        self.per_flux = self._tensor(curve.object(wavelength))
        self.residual_basis = self._tensor(curve.residual * residual_shape(self.n_pix) * line_noise(self.sky))
        self.residual_power = self.residual_basis.square().sum(dim=0)

    @property
    def n_pix(self) -> int:
        """Pixels of the arm."""
        return len(self.sky)

    def _tensor(self, array: Floats) -> Tensor:
        return torch.as_tensor(array, dtype=torch.float32, device=self.device)

    def mask(self) -> NDArray[np.uint8]:
        """[n_pix] mask bits that every spectrum has."""
        return np.where(bright_sky(self.sky**2), int(MaskBit.BRIGHT_SKY), 0).astype(np.uint8)

    def exposed(self, conditions: Conditions) -> CurveExposure:
        """Noise under given conditions, on the same device."""
        shortening = self.reference / conditions.exposure
        return CurveExposure(self, shortening * conditions.noise_factor[:, self.index], shortening)


@dataclass(frozen=True)
class CurveExposure:
    """n observations with one arm.

    Args:
        model: of the arm.
        factor: [n] white variance over that of the curve.
        shortening: [n] exposure time of the curve over that of the observation.
    """

    model: CurveNoise
    factor: Tensor
    shortening: Tensor

    def white_variance(self, flux: Tensor) -> Tensor:
        """[n, n_pix] of a noiseless flux."""
        variance = flux.clamp(min=0.0).mul_(self.model.per_flux).add_(self.model.sky_variance)
        return variance.mul_(self.factor[:, None])

    def residual(self, generator: torch.Generator) -> Tensor:
        """[n, n_pix] one draw of the sky residual, flux density."""
        n_mode, device = len(self.model.residual_basis), self.factor.device
        return torch.randn(len(self.factor), n_mode, generator=generator, device=device) @ self.model.residual_basis

    def residual_variance(self) -> Tensor:
        """[n, n_pix] variance of the sky residual."""
        return self.model.residual_power.expand(len(self.factor), -1)

    def residual_modes(self) -> Tensor:
        """[n, n_mode, n_pix] modes of the sky residual: standard normals times these, summed."""
        return self.model.residual_basis.expand(len(self.factor), -1, -1)

    def floor_variance(self, flux: Tensor) -> Tensor | None:
        """[n, n_pix] of a noiseless flux; None without a floor."""
        if self.model.floor == 0:
            return None
        return flux.mul(self.model.floor).square_().mul_(self.shortening[:, None])

    def saturated(self, flux: Tensor) -> Tensor | None:
        """None: the curve knows of no saturation."""
        return None


def line_noise(sky: Floats) -> Floats:
    """[n_pix] by how much the noise `sky` of an arm exceeds its running median; 0 where it does not."""
    return np.maximum(sky - median_filter(sky, size=min(WINDOW, len(sky)), mode="nearest"), 0.0)
