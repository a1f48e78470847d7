"""Line-spread functions: what an instrument adds to the library's own, as a blend of few smoothed copies.

The width to be added differs from pixel to pixel, so it cannot be one product in Fourier space. A Gaussian-smoothed
spectrum is a smooth function of ln(variance), though: polynomial interpolation between copies smoothed at Chebyshev
nodes of that variable gives every pixel its own width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from galfit_ml.simulate.populations import StellarPopulations
from galfit_ml.simulate.smoothing import C_KMS, lagrange

NARROWEST = 30.0**2
"""Least variance of a feature in the library, (km/s)^2, when choosing copies."""

SPREADS = (0.003, 0.15, 0.7, 1.2, 1.7, 2.4)
"""Largest spread of ln(variance) that 1, 2, ... copies follow to 4e-4 of the flux of an old population; one more copy
beyond."""


@dataclass(frozen=True)
class Blend:
    """Galaxies that need the same number of smoothed copies.

    Args:
        rows: [r] which galaxies; None for all of them, in order.
        variances: K of [r], (km/s)^2 to be added to the dispersion of each copy.
        weights: K of [r, n_pix] that combine the copies; None for K = 1.
    """

    rows: Tensor | None
    variances: list[Tensor]
    weights: list[Tensor] | None


def library_variance(grid: StellarPopulations) -> Tensor:
    """Variance of the library's own line spread on the fine grid, its pixel included, [n_wave], (km/s)^2."""
    high = torch.searchsorted(grid.lsf_wavelength, grid.wavelength).clamp(1, len(grid.lsf_wavelength) - 1)
    left, right = grid.lsf_wavelength[high - 1], grid.lsf_wavelength[high]
    share = ((grid.wavelength - left) / (right - left)).clamp(0, 1)
    sigma = torch.lerp(grid.lsf_sigma[high - 1], grid.lsf_sigma[high], share)
    return sigma**2 + (C_KMS * grid.dln) ** 2 / 12


def blends(excess: Tensor | None, dispersion: Tensor) -> Iterator[Blend]:
    """Copies and weights that give each pixel its excess variance; a galaxy's do not depend on the others'.

    Args:
        excess: [n, n_pix] variance to be added, (km/s)^2; None for none anywhere.
        dispersion: [n] velocity dispersion, km/s, of what is smoothed.
    """
    if excess is None:
        yield Blend(None, [torch.zeros_like(dispersion)], None)
        return
    base = dispersion**2 + NARROWEST
    low, high = (excess.amin(1) + base).log(), (excess.amax(1) + base).log()
    count = 1 + torch.searchsorted(torch.tensor(SPREADS, device=excess.device), high - low)
    for number in torch.unique(count).tolist():
        rows = torch.nonzero(count == number)[:, 0]
        yield _blend(rows, number, excess, base, (low, high))


def _blend(rows: Tensor, number: int, excess: Tensor, base: Tensor, ends: tuple[Tensor, Tensor]) -> Blend:
    low, high, base = ends[0][rows], ends[1][rows], base[rows]
    abscissae = [math.cos(math.pi * (i + 0.5) / number) for i in range(number)]
    variances = [((0.5 * (low + high) + 0.5 * (high - low) * x).exp() - base).clamp(min=0) for x in abscissae]
    if number == 1:
        return Blend(rows, variances, None)
    place = ((excess[rows] + base[:, None]).log() - 0.5 * (low + high)[:, None]) * (2 / (high - low))[:, None]
    return Blend(rows, variances, lagrange(abscissae, place))
