"""What the network is shown of a spectrum: numbers of order one, with every bad pixel marked as such."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d, interpolate

from galfit_ml.prepare import Prepared

N_CHANNELS = 8
CONTINUUM_WINDOW = 51
"""Feature pixels of 240 km/s over which the continuum is averaged, twice."""

LOG_SCALE_OF_RELATIVE = -0.5
"""log10 of the flux that a spectrum without a flux scale is taken to have, 1e-17 erg s^-1 cm^-2 A^-1."""

SMOOTHING = 5
"""Pixels over which the second view of the signal is averaged."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """n spectra as the network sees them.

    Args:
        channels: [n, N_CHANNELS, n_pix].
        log_scale: [n] log10 of the flux that `channels` are relative to, 1e-17 erg s^-1 cm^-2 A^-1.
    """

    channels: Tensor
    log_scale: Tensor

    def __len__(self) -> int:
        return len(self.channels)


def look(flux: Tensor, ivar: Tensor, pool: int) -> Inputs:
    """Inputs of spectra on the network's grid.

    The channels: signal-to-noise of flux less continuum, the same averaged over five pixels, both through asinh; the
    continuum and the noise over the scale, through asinh and log; the signal-to-noise of the continuum; good pixels;
    and the two numbers that make the likelihood of absorption features. Where a template is the continuum c times 1 + t
    it is exp sum of ((f - c) c / sigma^2) t - (c^2 / sigma^2) t^2 / 2: linear in t, and weak features add up.

    Args:
        flux: [n, n_pix] 1e-17 erg s^-1 cm^-2 A^-1, 0 at bad pixels.
        ivar: [n, n_pix], 0 at bad pixels.
        pool: pixels of a feature pixel.
    """
    good = (ivar > 0).to(flux.dtype)
    scale = flux_scale(flux, ivar)[:, None]
    continuum, depth = running_mean(flux, ivar, pool)
    root = ivar.sqrt()
    signal = (flux - continuum) * root
    smooth = _box(signal) * SMOOTHING / _box(good).mul(SMOOTHING).clamp(min=1.0).sqrt()
    noise = torch.where(good > 0, torch.rsqrt(ivar.clamp(min=1e-30)) / scale, torch.ones_like(flux))
    channels = [
        torch.asinh(signal),
        torch.asinh(smooth),
        torch.asinh(2.0 * continuum / scale),
        0.4 * torch.log(noise.clamp(1e-3, 1e4)) * good,
        0.5 * torch.asinh(continuum * depth.sqrt()),
        good,
        torch.asinh(signal * continuum * root),
        torch.asinh(continuum.square() * ivar),
    ]
    return Inputs(torch.stack(channels, dim=1), torch.log10(scale[:, 0]))


def look_at(seen: Prepared, pool: int) -> Inputs:
    """Inputs of prepared spectra."""
    return look(torch.as_tensor(seen.flux).float(), torch.as_tensor(seen.ivar).float(), pool)


def flux_scale(flux: Tensor, ivar: Tensor) -> Tensor:
    """[n] typical flux: the mean weighted by inverse variance and, in quadrature, three times its error."""
    total = ivar.sum(dim=1).clamp(min=1e-30)
    mean = (ivar * flux).sum(dim=1) / total
    return torch.sqrt(mean.square() + 9.0 / total).clamp(1e-6, 1e8)


def running_mean(flux: Tensor, ivar: Tensor, pool: int) -> tuple[Tensor, Tensor]:
    """Continuum [n, n_pix], a weighted mean in a triangular window, and its inverse variance."""
    weight, weighted = (_window(avg_pool1d(x[:, None], pool)) for x in (ivar, ivar * flux))
    mean = weighted / weight.clamp(min=1e-30)
    # Squares of a triangle add up to 2/3 of its width.
    depth = weight * (pool * CONTINUUM_WINDOW * 1.5)
    up = [interpolate(x, scale_factor=float(pool), mode="linear", align_corners=False)[:, 0] for x in (mean, depth)]
    return up[0], up[1]


def _window(values: Tensor) -> Tensor:
    """Average over a window, twice; what lies outside counts as nothing."""
    for _ in range(2):
        values = avg_pool1d(values, CONTINUUM_WINDOW, stride=1, padding=CONTINUUM_WINDOW // 2)
    return values


def _box(values: Tensor) -> Tensor:
    return avg_pool1d(values[:, None], SMOOTHING, stride=1, padding=SMOOTHING // 2)[:, 0]
