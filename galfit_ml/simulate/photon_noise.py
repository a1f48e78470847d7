"""`PhotonNoise`: electrons of object, sky and detector, for instruments whose telescope, fibre and sky are known.

Per pixel of width D (A), collecting area A, solid angle W of the fibre and time t on the target::

    k = lambda / (h c) * T_atm * A * eta * f * D * t        electrons per unit flux density
    sky = (a_OH * lines + a_cont * continuum + thermal) * A * W * eta * D * t
    detector = n_spatial * (dark * t + RON^2 * NDIT) + stray * <sky>_arm
    white variance = noise_factor * (object + m * (sky + detector)),  object = F * k

with f the fibre fraction (`galfit_ml.simulate.fibre`), m the background factor of the sky mode and <>_arm the mean over
an arm. The sky fills the fibre and carries its own absorption. At an airmass X other than that of the sky table the
transmission is T^(X / X_table), pixel by pixel, and the lines grow with the path through the airglow layer, the
continuum with its power 0.9 (`galfit_ml.simulate.sky`). The sky-subtraction residual is coherent over all exposures,
`sky * (g_0 + 0.3 * sum_k g_k T_k(x)) + w * d sky / d lambda` per arm, with normal g and w (A) of the stated rms.

Everything is a low-rank product of numbers per spectrum and curves per pixel, so that an observation costs a few passes
over its pixels. White noise is Gaussian: a pixel holds tens to 10^5 electrons.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galfit_ml.instruments import Arm
from galfit_ml.observatory import Curve, Observatory, SkyMode
from galfit_ml.simulate.arm_curves import ArmCurves
from galfit_ml.simulate.calibration import chebyshev
from galfit_ml.simulate.conditions import Conditions
from galfit_ml.simulate.fibre import effective_fwhm, fibre_fraction
from galfit_ml.simulate.masks import static_mask
from galfit_ml.simulate.sky import AIRGLOW_HEIGHT, CONTINUUM_POWER, SkyTable

Floats = NDArray[np.float64]

LEAST_TRANSMISSION = 0.01
"""Floor of the transmission: below 0.1 a pixel is masked anyway, and its variance stays finite."""

RESIDUAL_TILT = 0.3
RESIDUAL_ORDER = 3
FIBRE_NODES = 5
"""Wavelengths per arm at which the fibre fraction is computed; its logarithm is linear between them."""

SECONDS_PER_HOUR = 3600.0


def residual_shape(n_pix: int) -> Floats:
    """Modes [4, n_pix] of the sky residual of an arm: standard normals times these are 1 + 0.3 cheb_3.

    A common amplitude times (1 + 0.3 times a random cubic of unit rms) has the same variance; an amplitude for each
    order keeps the residual Gaussian and linear.
    """
    width = np.array([1.0, *[RESIDUAL_TILT * np.sqrt(2.0 / RESIDUAL_ORDER)] * RESIDUAL_ORDER])
    return width[:, None] * chebyshev(RESIDUAL_ORDER, n_pix)


class PhotonNoise:
    """Noise of one arm.

    Args:
        arm: with throughput and detector.
        index: of the arm in the instrument.
        observatory: telescope, fibre and sky.
        mode: how the sky is measured.
        device: "cpu" or "cuda".
    """

    def __init__(
        self, arm: Arm, index: int, observatory: Observatory, mode: SkyMode, device: str | torch.device = "cpu"
    ) -> None:
        assert arm.detector is not None
        table = SkyTable.load(observatory.sky)
        self.index, self.observatory, self.mode, self.detector = index, observatory, mode, arm.detector
        self.curves = ArmCurves.of(arm, observatory)
        self.device = torch.device(device)
        self.sky_basis = self._tensor(self.curves.sky)
        self.mean_sky = self._tensor(self.curves.sky.mean(axis=1))
        self.residual_basis = self._tensor(observatory.residual * residual_shape(self.n_pix))
        self.slope = self._tensor(observatory.wavelength_residual * self.curves.slope)
        self.residual_power, self.slope_power = self.residual_basis.square().sum(dim=0), self.slope.square()
        nodes = fibre_nodes(observatory.image_quality, self.curves.wavelength)
        self.image_quality = self._tensor(observatory.image_quality(nodes))
        self.gain_basis = self._tensor(gain_rows(self.curves, nodes, table.airmass))
        self.table_path = airglow_path(torch.tensor(table.airmass, device=self.device))

    @property
    def n_pix(self) -> int:
        """Pixels of the arm."""
        return len(self.curves.wavelength)

    def _tensor(self, array: Floats) -> Tensor:
        return torch.as_tensor(array, dtype=torch.float32, device=self.device)

    def mask(self) -> NDArray[np.uint8]:
        """[n_pix] mask bits that every spectrum has."""
        return static_mask(self.curves.sky.sum(axis=0), self.curves.transmission, self.curves.throughput)

    def exposed(self, conditions: Conditions) -> PhotonExposure:
        """Electrons under given conditions, on the same device."""
        on_target = conditions.exposure * self.mode.on_target
        growth = airglow_path(conditions.airmass) / self.table_path
        lines, continuum = conditions.oh * growth, conditions.continuum * growth**CONTINUUM_POWER
        light = torch.stack([lines, continuum, torch.ones_like(on_target)], dim=1) * on_target[:, None]
        return PhotonExposure(
            model=self,
            light=light,
            n_dit=torch.ceil(on_target / self.observatory.dit - 1e-6).clamp(min=1.0),
            noise_factor=conditions.noise_factor[:, self.index],
            gain=(self._gain(conditions, on_target) @ self.gain_basis).exp_(),
            sky=light @ self.sky_basis,
        )

    def _gain(self, c: Conditions, on_target: Tensor) -> Tensor:
        """[n, n_row] numbers whose product with `gain_basis` is ln(1 / k)."""
        fwhm = effective_fwhm(self.image_quality, c.seeing, c.airmass)
        fraction = fibre_fraction(self.observatory.fibre, fwhm, c.size[:, None])
        own = torch.stack([torch.ones_like(on_target), c.airmass, -on_target.log()], dim=1)
        return torch.cat([own, -fraction.log()], dim=1)


@dataclass(frozen=True)
class PhotonExposure:
    """n observations with one arm.

    Args:
        model: of the arm.
        light: [n, 3] seconds on the target times the factors on lines, continuum and thermal emission of the sky.
        n_dit: [n] integrations.
        noise_factor: [n] on the white variance.
        gain: [n, n_pix] flux density per electron, 1 / k.
        sky: [n, n_pix] electrons.
    """

    model: PhotonNoise
    light: Tensor
    n_dit: Tensor
    noise_factor: Tensor
    gain: Tensor
    sky: Tensor

    def detector_electrons(self) -> Tensor:
        """[n] variance of dark current, read-out and stray light of one fibre."""
        detector = self.model.detector
        read = detector.read_noise**2 * self.n_dit
        dark = detector.dark / SECONDS_PER_HOUR * self.light[:, 2]
        return detector.spatial_pixels * (dark + read) + detector.stray * (self.light @ self.model.mean_sky)

    def white_variance(self, flux: Tensor) -> Tensor:
        """[n, n_pix] of a noiseless flux."""
        variance = (self.sky + self.detector_electrons()[:, None]).mul_(self.gain).mul_(self.model.mode.background)
        variance.add_(flux.clamp(min=0.0)).mul_(self.gain)
        return variance.mul_(self.noise_factor[:, None])

    def residual(self, generator: torch.Generator) -> Tensor:
        """[n, n_pix] one draw of the sky residual, flux density."""
        shape = self.model.residual_basis
        draw = torch.randn(len(self.sky), len(shape) + 1, generator=generator, device=self.sky.device)
        residual = (draw[:, 1:] @ shape).mul_(self.sky)
        return residual.addcmul_(draw[:, :1] * self.light[:, :1], self.model.slope).mul_(self.gain)

    def residual_variance(self) -> Tensor:
        """[n, n_pix] variance of the sky residual."""
        variance = self.sky.square().mul_(self.model.residual_power)
        variance.addcmul_(self.light[:, :1].square(), self.model.slope_power)
        return variance.mul_(self.gain).mul_(self.gain)

    def floor_variance(self, flux: Tensor) -> Tensor | None:
        """None: what is reported is what was counted."""
        return None

    def residual_modes(self) -> Tensor:
        """[n, n_mode, n_pix] modes of the sky residual: standard normals times these, summed."""
        moved = self.light[:, :1] * self.gain * self.model.slope
        return torch.cat([(self.sky * self.gain)[:, None] * self.model.residual_basis, moved[:, None]], dim=1)

    def saturated(self, flux: Tensor) -> Tensor | None:
        """[n, n_pix] True where one integration fills the detector, the light spread evenly across the trace."""
        full = self.model.detector.saturation * self.model.detector.spatial_pixels
        if math.isinf(full):
            return None
        return flux > torch.sub(full * self.n_dit[:, None], self.sky).mul_(self.gain)


def airglow_path(airmass: Tensor) -> Tensor:
    """Path through the airglow layer over that at the zenith (van Rhijn 1921; Noll et al. 2012, eq. 18)."""
    return (1.0 - (1.0 - airmass**-2) / (1.0 + AIRGLOW_HEIGHT) ** 2) ** -0.5


def fibre_nodes(image_quality: Curve, wavelength: Floats) -> Floats:
    """Wavelengths [n_node] between which ln of the fibre fraction is linear: even ones, and the nodes of the curve."""
    given = np.asarray(image_quality.wavelength)
    inside = given[(given > wavelength[0]) & (given < wavelength[-1])]
    return np.unique(np.concatenate([np.linspace(wavelength[0], wavelength[-1], FIBRE_NODES), inside]))


def gain_rows(curves: ArmCurves, nodes: Floats, airmass: float) -> Floats:
    """Rows [3 + n_node, n_pix] that add up to ln(1 / k): response, atmosphere per airmass, time, fibre at its nodes."""
    atmosphere = -np.log(np.clip(curves.transmission, LEAST_TRANSMISSION, 1.0)) / airmass
    fibre = [np.interp(curves.wavelength, nodes, row) for row in np.eye(len(nodes))]
    return np.stack([-np.log(curves.response), atmosphere, np.ones(len(atmosphere)), *fibre])
