"""`RedshiftHead`: a redshift is a shift, so its logit is made of correlations of features with learned templates."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from galfit_ml_cnn.correlation import Spectra, correlate
from galfit_ml_cnn.layout import Layout

N_WAVES = 24
"""Cosines in ln(1 + z) with which brightness and noise alone can prefer redshifts."""


class RedshiftHead(nn.Module):
    """Features to the logit of each redshift bin.

    With S(k, z) = sum_c sum_p F_c[p] K_c[k, p - s(z)] for templates K of several kinds of galaxies in the rest frame,

        logit(z) = ln sum_k exp(S(k, z) + preference(k, z)) + ln sum_j exp(S'(j, z)),

    the first sum over coarse kinds, at whole shifts of a feature pixel and interpolated between, the second over fine
    ones, that know the place of a redshift within a feature pixel. The sums of exponentials are what a library of
    templates does: galaxies are of one kind or of another, and all lines of a galaxy of the same.

    What the templates learn at one redshift they know at all.

    Args:
        layout: grids.
        width: feature maps.
        n_summary: numbers about the whole spectrum.
        kinds: coarse kinds.
        fine: fine kinds.
    """

    waves: Tensor

    def __init__(self, layout: Layout, width: int, n_summary: int, kinds: int, fine: int) -> None:
        super().__init__()
        self.layout, self.kinds, self.fine = layout, kinds, fine
        scale = 0.3 * (width * layout.n_features) ** -0.5
        self.coarse_templates = nn.Parameter(scale * torch.randn(kinds, width, layout.n_rest))
        # Phases are alike at first.
        within = scale * torch.randn(fine, 1, width, layout.n_rest).expand(fine, layout.phases, -1, -1)
        self.fine_templates = nn.Parameter(within.contiguous())
        self.smooth = nn.Sequential(nn.Linear(n_summary, 48), nn.SiLU(), nn.Linear(48, kinds * (N_WAVES + 1)))
        x = torch.linspace(0.0, 1.0, layout.n_shifts)
        self.register_buffer("waves", torch.cos(torch.pi * torch.arange(N_WAVES + 1)[:, None] * x), persistent=False)

    @property
    def templates(self) -> Tensor:
        """[n_template, width, n_rest], coarse ones first."""
        return torch.cat([self.coarse_templates, self.fine_templates.flatten(0, 1)])

    def forward(self, features: Tensor, summary: Tensor) -> Tensor:
        """Logits [n, n_bins] from features [n, width, n_features] and [n, n_summary]."""
        return self.logits(self.sums(features), self.preference(summary))

    def sums(self, features: Tensor) -> Tensor:
        """S of every template at every whole shift, [n, n_template, n_shifts], in order of redshift."""
        return correlate(features, self.templates, self.layout.n_shifts).flip(-1)

    def spectra(self) -> Spectra:
        """Transforms of the templates, to be used for many spectra."""
        return Spectra.of(self.templates, self.layout.n_shifts)

    def masked_at(self, features: Tensor, factors: Tensor, shifts: Tensor, templates: Tensor) -> Tensor:
        """`sums` of one spectrum's features [width, n_features] under factors [m, width], at shifts [k]: [m, t, k].

        Sums over pixels, for few shifts; `templates` are the head's own, joined once for many spectra.
        """
        starts = (self.layout.n_shifts - 1 - shifts).tolist()
        each = [(templates[..., s : s + features.shape[1]] * features).sum(-1) for s in starts]
        return torch.einsum("mc,ktc->mtk", factors, torch.stack(each))

    def preference(self, summary: Tensor) -> Tensor:
        """The smooth part, [n, kinds, n_shifts]."""
        return self.smooth(summary).view(-1, self.kinds, N_WAVES + 1) @ self.waves

    def logits(self, sums: Tensor, preference: Tensor) -> Tensor:
        """Logits [n, n_bins] from `sums` and `preference`."""
        coarse = torch.logsumexp(sums[:, : self.kinds] + preference, dim=1)
        fine = sums[:, self.kinds :].unflatten(1, (self.fine, self.layout.phases))
        within = torch.logsumexp(fine, dim=1).movedim(1, -1)
        return (self._between(coarse) + within).flatten(1)

    def _between(self, coarse: Tensor) -> Tensor:
        """Values [n, n_shifts] at the middle of feature pixels, interpolated to the bins, [n, n_shifts, phases]."""
        padded = torch.nn.functional.pad(coarse[:, None], (1, 1), mode="replicate")[:, 0]
        place = (torch.arange(self.layout.phases, device=coarse.device) + 0.5) / self.layout.phases - 0.5
        left, right = (-place).clamp(min=0.0), place.clamp(min=0.0)
        before, here, after = padded[:, :-2, None], padded[:, 1:-1, None], padded[:, 2:, None]
        return before * left + here * (1 - left - right) + after * right
