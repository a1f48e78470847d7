"""One branch for each property: a mixture, given the embedding and the properties drawn before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from galfit_ml_cnn.mixture import Mixture


class Branch(nn.Module):
    """Embedding and what is known already, to one mixture.

    Args:
        n_embedding: size of the embedding.
        n_known: properties known.
        n_components: of the mixture.
    """

    def __init__(self, n_embedding: int, n_known: int, n_components: int = 6) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_embedding + n_known, 96),
            nn.SiLU(),
            nn.Linear(96, 96),
            nn.SiLU(),
            nn.Linear(96, 3 * n_components),
        )

    def forward(self, embedding: Tensor, known: Tensor) -> Mixture:
        """Mixtures [...] from [..., n_embedding] and [..., n_known]."""
        return Mixture.of(self.layers(torch.cat([embedding, known], dim=-1)))


class Branches(nn.Module):
    """p(offset, properties | embedding) as a product: each is predicted with those before it given.

    The offset is the place of the redshift within its bin, -0.5 .. 0.5; the properties come as `targets.encode` has
    them, here standardised by the mean and width they have in the simulations.

    Args:
        n_embedding: size of the embedding.
        n_properties: number of properties.
    """

    mean: Tensor
    width: Tensor

    def __init__(self, n_embedding: int, n_properties: int) -> None:
        super().__init__()
        self.offset = Branch(n_embedding, 0, 4)
        self.properties = nn.ModuleList(Branch(n_embedding, 1 + i) for i in range(n_properties))
        self.register_buffer("mean", torch.zeros(n_properties))
        self.register_buffer("width", torch.ones(n_properties))

    def log_density(self, embedding: Tensor, offset: Tensor, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """ln density of the offset [n] and of each property [n, n_properties] (in standardised units)."""
        place = self.offsets(embedding)
        known = torch.cat([offset[:, None], (encoded - self.mean) / self.width], dim=1)
        properties = [
            branch(embedding, known[:, : i + 1]).log_density(known[:, i + 1])
            for i, branch in enumerate(self.properties)
        ]
        return place.log_density(offset) - place.log_mass(-0.5, 0.5), torch.stack(properties, dim=1)

    def offsets(self, embedding: Tensor) -> Mixture:
        """Density of the offset, to be truncated to the bin, for each row [...] of the embedding."""
        return self.offset(embedding, embedding[..., :0])

    def draw(self, embedding: Tensor, offset: Tensor, uniform: Tensor, normal: Tensor) -> Tensor:
        """One draw of the properties, as `targets.encode` has them, for each row.

        Args:
            embedding: [n, n_embedding].
            offset: [n].
            uniform, normal: [n, n_properties] random numbers.
        """
        known = offset[:, None]
        for i, branch in enumerate(self.properties):
            value = branch(embedding, known).draw(uniform[:, i], normal[:, i])
            known = torch.cat([known, value[:, None]], dim=1)
        return known[:, 1:] * self.width + self.mean

    def means(self, embedding: Tensor) -> Tensor:
        """Mean of each property, those before it at their means, in the middle of the bin: [n, n_properties]."""
        known = embedding.new_zeros(len(embedding), 1)
        for branch in self.properties:
            known = torch.cat([known, branch(embedding, known).middle()[:, None]], dim=1)
        return known[:, 1:] * self.width + self.mean
