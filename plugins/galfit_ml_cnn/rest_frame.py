"""Features shifted to rest, and the embedding that is read there."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from galfit_ml_cnn.layout import Layout
from galfit_ml_cnn.trunk import ResidualBlock


def to_rest(features: Tensor, bins: Tensor, layout: Layout) -> Tensor:
    """Features [n, c, n_features] of spectra at the centre of redshift bins [n], in the rest frame [n, c, n_rest].

    Linear interpolation between feature pixels; 0 where the spectrum does not reach.
    """
    place = (bins + 0.5) / layout.phases
    whole = place.floor()
    share = (place - whole).to(features.dtype)[:, None, None]
    padded = torch.nn.functional.pad(features, (layout.n_shifts, layout.n_shifts))
    starts = (whole.long() + 1).clamp(0, layout.n_shifts).tolist()
    # A row is a slice: gathering pixel by pixel takes several times as long.
    rows = torch.stack([row[:, start : start + layout.n_rest + 1] for row, start in zip(padded, starts, strict=True)])
    return rows[..., :-1] * (1 - share) + rows[..., 1:] * share


class RestEncoder(nn.Module):
    """Rest-frame features to the embedding, the latent layer that all properties share.

    Args:
        layout: grids.
        width: rest-frame maps.
        n_summary: numbers about the whole spectrum.
        n_embedding: size of the embedding.
    """

    def __init__(self, layout: Layout, width: int, n_summary: int, n_embedding: int) -> None:
        super().__init__()
        self.maps = nn.Sequential(
            nn.Conv2d(width, 32, (1, 8), stride=(1, 4), padding=(0, 2)),
            ResidualBlock(32, 2),
            nn.Conv2d(32, 48, (1, 8), stride=(1, 4), padding=(0, 2)),
            ResidualBlock(48, 2),
            nn.Conv2d(48, 32, (1, 4), stride=(1, 2), padding=(0, 1)),
            nn.SiLU(),
        )
        with torch.no_grad():
            n_flat = self.maps(torch.zeros(1, width, 1, layout.n_rest)).numel()
        self.dense = nn.Sequential(nn.Linear(n_flat + n_summary + 1, 192), nn.SiLU(), nn.Linear(192, n_embedding))

    def maps_of(self, rest: Tensor) -> Tensor:
        """Rest-frame features [n, width, n_rest] to maps, flattened."""
        return self.maps(rest.unsqueeze(2).contiguous(memory_format=torch.channels_last)).flatten(1)

    def forward(self, maps: Tensor, summary: Tensor, log_stretch: Tensor) -> Tensor:
        """Embedding [n, n_embedding].

        Args:
            maps: from `maps_of`.
            summary: [n, n_summary].
            log_stretch: [n] ln(1 + z).
        """
        return self.dense(torch.cat([maps, summary, log_stretch[:, None]], dim=1))
