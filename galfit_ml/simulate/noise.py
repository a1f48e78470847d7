"""One observation of one arm: white noise, sky residual, calibration error, reported ivar, mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from galfit_ml.simulate.masks import UNUSABLE, MaskBit

NOISE_SCALE = 0.1
"""Sigma of ln of the factor s by which the reported inverse variance is wrong."""


class Exposure(Protocol):
    """What a noise model says about n spectra taken under given conditions."""

    def white_variance(self, flux: Tensor) -> Tensor:
        """[n, n_pix] of a noiseless flux."""

    def residual(self, generator: torch.Generator) -> Tensor:
        """[n, n_pix] one draw of the sky residual."""

    def residual_variance(self) -> Tensor:
        """[n, n_pix] variance of the sky residual."""

    def residual_modes(self) -> Tensor:
        """[n, n_mode, n_pix] modes of the sky residual."""

    def floor_variance(self, flux: Tensor) -> Tensor | None:
        """[n, n_pix] variance that is reported and that the pixels do not have; None where there is none."""

    def saturated(self, flux: Tensor) -> Tensor | None:
        """[n, n_pix] True where the detector is full; None where that cannot be."""


@dataclass(frozen=True)
class Frame:
    """Arrays an observation is written to, all [n, n_pix] but `noise_scale` [n]; see `Observation`."""

    flux: Tensor
    ivar: Tensor
    white_ivar: Tensor
    mask: Tensor
    noise_scale: Tensor

    @classmethod
    def empty(cls, n: int, n_pix: int, device: torch.device) -> Frame:
        """Room for n spectra."""
        flux, ivar, white = (torch.empty(n, n_pix, device=device) for _ in range(3))
        mask = torch.empty(n, n_pix, dtype=torch.uint8, device=device)
        return cls(flux, ivar, white, mask, torch.ones(n, device=device))

    def part(self, pixels: slice = slice(None), rows: slice = slice(None)) -> Frame:
        """A view of some pixels and spectra."""
        flux, ivar, white = (array[rows, pixels] for array in (self.flux, self.ivar, self.white_ivar))
        return Frame(flux, ivar, white, self.mask[rows, pixels], self.noise_scale[rows])


def add_white(out: Frame, flux: Tensor, exposure: Exposure, generator: torch.Generator) -> Tensor:
    """Tier 0: flux with white noise and its inverse variance into `out`; the variance [n, n_pix] is returned."""
    variance = exposure.white_variance(flux)
    noise = torch.randn(flux.shape, generator=generator, device=flux.device).mul_(variance.sqrt())
    torch.add(flux, noise, out=out.flux)
    torch.reciprocal(variance, out=out.white_ivar)
    return variance


def add_systematics(
    out: Frame,
    variance: Tensor,
    exposure: Exposure,
    calibration: Tensor,
    *,
    clean: Tensor,
    generator: torch.Generator,
) -> None:
    """Tier 1: sky residual, calibration error and the ivar a pipeline would report.

    Args:
        out: holds the result of `add_white` and the noise scale.
        variance: white variance, [n, n_pix]; used up.
        exposure: of the same spectra.
        calibration: [n_mode, n_pix] modes of the relative calibration error.
        clean: [n, n_pix] noiseless flux.
        generator: source of all randomness.
    """
    amplitudes = torch.randn(len(variance), len(calibration), generator=generator, device=variance.device)
    error = (amplitudes @ calibration).add_(1.0)
    out.flux.add_(exposure.residual(generator)).mul_(error)
    weight = error.square_().reciprocal_()
    out.white_ivar.mul_(weight)
    reported, floor = variance.add_(exposure.residual_variance()), exposure.floor_variance(clean)
    if floor is not None:
        reported.add_(floor)
    torch.div(weight.mul_(out.noise_scale[:, None]), reported, out=out.ivar)


def add_saturation(mask: Tensor, clean: Tensor, exposure: Exposure) -> None:
    """Mark the pixels of noiseless spectra `clean` [n, n_pix] that fill the detector."""
    full = exposure.saturated(clean)
    if full is not None:
        mask.bitwise_or_(full.view(torch.uint8).mul_(int(MaskBit.SATURATED)))


def blank_unusable(out: Frame) -> None:
    """Flux and inverse variances of unusable pixels become 0."""
    good = (out.mask & UNUSABLE).clamp_(max=1).bitwise_xor_(1).to(out.flux.dtype)
    for array in (out.flux, out.ivar, out.white_ivar):
        array.mul_(good)
