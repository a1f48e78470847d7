"""Random numbers of posterior draws, and the dropout masks that are made of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from galfit_ml_cnn.network import Architecture
from galfit_ml_cnn.targets import NAMES

N_CANDIDATES = 8
"""Places within its bin among which a draw is chosen where the redshift has a distribution as its prior."""


@dataclass(frozen=True, eq=False)
class Random:
    """Random numbers of one spectrum's draws; two draws in succession share a dropout mask.

    What two draws of one mask have in common is what the network does not know of itself: their covariance is the
    epistemic variance.

    Args:
        maps, latent: [n_masks, n_templates], [n_masks, n_embedding] uniform: what masks leave out.
        bins: [n_draws] uniform.
        offset: [n_draws, N_CANDIDATES, 2] uniform.
        choice: [n_draws] uniform.
        uniform, normal: [n_draws, n_properties].
    """

    maps: Tensor
    latent: Tensor
    bins: Tensor
    offset: Tensor
    choice: Tensor
    uniform: Tensor
    normal: Tensor

    @classmethod
    def of(cls, architecture: Architecture, n_draws: int, rng: np.random.Generator) -> Random:
        """Numbers for one spectrum."""

        def flat(*shape: int) -> Tensor:
            return torch.as_tensor(rng.random(shape), dtype=torch.float32)

        n_masks = (n_draws + 1) // 2
        return cls(
            flat(n_masks, architecture.n_templates),
            flat(n_masks, architecture.n_embedding),
            flat(n_draws),
            flat(n_draws, N_CANDIDATES, 2),
            flat(n_draws),
            flat(n_draws, len(NAMES)),
            torch.as_tensor(rng.standard_normal((n_draws, len(NAMES))), dtype=torch.float32),
        )

    def __len__(self) -> int:
        return len(self.bins)

    def distinct_maps(self, dropout: float) -> tuple[Tensor, Tensor]:
        """Factors [n_distinct, n_templates] of the masks that differ, and which of them each draw [n_draws] has."""
        kept, which = torch.unique(self.maps >= dropout, dim=0, return_inverse=True)
        return kept.float() / (1.0 - dropout), which.repeat_interleave(2)[: len(self)]

    def latent_factors(self, dropout: float) -> Tensor:
        """[n_draws, n_embedding]."""
        kept = (self.latent >= dropout).float() / (1.0 - dropout)
        return kept.repeat_interleave(2, dim=0)[: len(self)]
