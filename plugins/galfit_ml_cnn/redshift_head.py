"""`RedshiftHead`: a redshift is a shift, so its logit is a correlation of features with learned templates."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from galfit_ml.simulate.smoothing import fast_length
from galfit_ml_cnn.layout import Layout

N_WAVES = 24
"""Cosines in ln(1 + z) with which brightness and noise alone can prefer redshifts."""


class RedshiftHead(nn.Module):
    """Features to the logit of each redshift bin.

    logit(z) = sum_c sum_p F_c[p] K_c[p - s(z)] + a smooth function of z whose coefficients depend on what is known of
    the whole spectrum. What the templates K, in the rest frame, learn at one redshift they know at all.

    Args:
        layout: grids.
        width: feature maps.
        n_summary: numbers about the whole spectrum.
    """

    waves: Tensor

    def __init__(self, layout: Layout, width: int, n_summary: int) -> None:
        super().__init__()
        self.layout = layout
        scale = (width * layout.n_features) ** -0.5
        self.common = nn.Parameter(0.3 * scale * torch.randn(1, width, layout.n_rest))
        self.own = nn.Parameter(torch.zeros(layout.phases, width, layout.n_rest))
        self.smooth = nn.Sequential(nn.Linear(n_summary, 32), nn.SiLU(), nn.Linear(32, N_WAVES))
        x = torch.linspace(0.0, 1.0, layout.n_bins)
        self.register_buffer("waves", torch.cos(torch.pi * torch.arange(1, N_WAVES + 1)[:, None] * x), persistent=False)

    @property
    def templates(self) -> Tensor:
        """[phases, width, n_rest]: one for each place of a redshift within a feature pixel, alike at first."""
        return self.common + self.own

    def correlations(self, features: Tensor) -> Tensor:
        """Contribution of each feature map, [n, width, n_bins]: what dropout of whole maps acts on."""
        left, right, size = self._transformed(features)
        sums = torch.fft.irfft(left.conj()[:, None] * right, n=size)
        return self._bins(sums).movedim(1, -1).flatten(2)

    def forward(self, features: Tensor, summary: Tensor) -> Tensor:
        """Logits [n, n_bins]; dropout of maps is a factor on `features`."""
        left, right, size = self._transformed(features)
        sums = torch.fft.irfft(_conjugate_product(left, right), n=size)
        return self._bins(sums).movedim(1, -1).flatten(1) + self.preference(summary)

    def preference(self, summary: Tensor) -> Tensor:
        """The smooth part, [n, n_bins]."""
        return self.smooth(summary) @ self.waves

    def _transformed(self, features: Tensor) -> tuple[Tensor, Tensor, int]:
        size = fast_length(self.layout.n_rest)
        return torch.fft.rfft(features.float(), n=size), torch.fft.rfft(self.templates, n=size), size

    def _bins(self, sums: Tensor) -> Tensor:
        """Lags [..., size] to shifts in order of redshift, [..., n_shifts]."""
        return sums[..., : self.layout.n_shifts].flip(-1)


def _conjugate_product(left: Tensor, right: Tensor) -> Tensor:
    """Sum over c of conj(left[n, c, f]) right[p, c, f], complex [n, p, f], as one real product for each frequency."""
    rows = torch.cat([left.real, left.imag], dim=1).permute(2, 0, 1)
    real = torch.cat([right.real, right.imag], dim=1)
    imaginary = torch.cat([right.imag, -right.real], dim=1)
    columns = torch.cat([real, imaginary]).permute(2, 1, 0)
    first, second = (rows @ columns).permute(1, 2, 0).chunk(2, dim=1)
    return torch.complex(first.contiguous(), second.contiguous())
