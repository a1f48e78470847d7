"""Mixtures of normal densities, as branches of the network predict them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

LEAST_SIGMA, MOST_SIGMA = 0.01, 20.0
HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True, eq=False)
class Mixture:
    """n mixtures.

    Args:
        log_weight: [..., k] normalised.
        mean, sigma: [..., k].
    """

    log_weight: Tensor
    mean: Tensor
    sigma: Tensor

    @classmethod
    def of(cls, raw: Tensor) -> Mixture:
        """From numbers [..., 3 k] of any size."""
        weight, mean, width = raw.float().chunk(3, dim=-1)
        sigma = torch.nn.functional.softplus(width).clamp(LEAST_SIGMA, MOST_SIGMA)
        return cls(torch.log_softmax(weight, dim=-1), mean, sigma)

    def log_density(self, x: Tensor) -> Tensor:
        """ln density at x [...]."""
        z = (x[..., None] - self.mean) / self.sigma
        return torch.logsumexp(self.log_weight - 0.5 * z.square() - self.sigma.log() - HALF_LOG_TWO_PI, dim=-1)

    def middle(self) -> Tensor:
        """Mean of each mixture [...]."""
        return (self.log_weight.exp() * self.mean).sum(dim=-1)

    def log_mass(self, low: float, high: float) -> Tensor:
        """ln of the probability between two numbers [...]."""
        edges = [torch.special.ndtr((x - self.mean) / self.sigma) for x in (low, high)]
        share = (edges[1] - edges[0]).clamp(min=1e-12)
        return torch.logsumexp(self.log_weight + share.log(), dim=-1)

    def draw(self, uniform: Tensor, normal: Tensor) -> Tensor:
        """One draw for each mixture from a uniform and a normal number, [...] each."""
        component = self._component(self.log_weight, uniform)
        return torch.gather(self.mean, -1, component)[..., 0] + normal * torch.gather(self.sigma, -1, component)[..., 0]

    def draw_within(self, low: Tensor, high: Tensor, uniform: Tensor, second: Tensor) -> Tensor:
        """The same of the mixtures truncated to low .. high, [...] each, from two uniform numbers."""
        left, right = (torch.special.ndtr((x[..., None] - self.mean) / self.sigma) for x in (low, high))
        share = (right - left).clamp(min=1e-12)
        component = self._component(torch.log_softmax(self.log_weight + share.log(), dim=-1), uniform)
        mean, sigma, a, b = (torch.gather(v, -1, component)[..., 0] for v in (self.mean, self.sigma, left, right))
        p = (a + (b - a) * second).clamp(1e-6, 1 - 1e-6)
        return (mean + sigma * torch.special.ndtri(p)).maximum(low).minimum(high)

    @staticmethod
    def _component(log_weight: Tensor, uniform: Tensor) -> Tensor:
        below = log_weight.exp().cumsum(dim=-1) < uniform[..., None]
        return below.sum(dim=-1, keepdim=True).clamp(max=log_weight.shape[-1] - 1)
