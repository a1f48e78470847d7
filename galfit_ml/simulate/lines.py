"""Emission lines as Gaussians integrated over pixels: flux conserved at any sub-pixel phase."""

from __future__ import annotations

import torch
from torch import Tensor

N_SIGMA = 5.0
"""Half-width, in sigma, over which a line is drawn; beyond lies 6e-7 of its flux."""


def add_lines(spectra: Tensor, edges: Tensor, centre: Tensor, sigma: Tensor, flux: Tensor, start: int = 0) -> Tensor:
    """Add emission lines to spectra, in place.

    Args:
        spectra: [n, n_pix] flux density per angstrom, contiguous; changed and returned.
        edges: [n_arm_pix + 1] observed pixel edges of one arm, angstrom, increasing, float64.
        centre, sigma, flux: [n, n_line] observed wavelength and Gaussian sigma, angstrom, and integrated flux.
        start: pixel of `spectra` at which the arm begins.

    Each pixel receives the integral of the Gaussian over it divided by its width.
    """
    n_arm, n_line = len(edges) - 1, centre.shape[1]
    reach = N_SIGMA * sigma
    first = (torch.searchsorted(edges, (centre - reach).double().contiguous()) - 1).clamp(0, n_arm)
    last = torch.searchsorted(edges, (centre + reach).double().contiguous()).clamp(0, n_arm)
    line = torch.nonzero(((last > first) & (flux != 0)).view(-1))[:, 0]
    if len(line) == 0:
        return spectra
    first, last = first.view(-1)[line], last.view(-1)[line]
    which, edge = _runs(first, last)
    offset = (edges[edge] - centre.double().reshape(-1)[line][which]).to(spectra.dtype)
    below = torch.erf(offset * (0.5**0.5 / sigma.reshape(-1)[line])[which])
    # One value fewer than edges: a run's last edge begins no pixel, and its difference belongs to two lines.
    share = (0.5 * flux.reshape(-1)[line])[which[:-1]] * below.diff()
    share[(last - first + 1).cumsum(0)[:-1] - 1] = 0.0
    width = torch.cat([edges.diff(), edges.new_ones(1)]).to(spectra.dtype)
    edge, row = edge[:-1], line.div(n_line, rounding_mode="floor")[which[:-1]]
    pixel = row * spectra.shape[1] + edge + start
    spectra.view(-1).index_add_(0, pixel.clamp(max=spectra.numel() - 1), share / width[edge])
    return spectra


def _runs(first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """Integers first .. last of each run, one run after the other, and the number of the run of each."""
    length = last - first + 1
    which = torch.repeat_interleave(torch.arange(len(length), device=length.device), length)
    begin = first - (length.cumsum(0) - length)
    return which, torch.arange(len(which), device=length.device) + begin[which]
