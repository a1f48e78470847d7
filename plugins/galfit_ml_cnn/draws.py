"""Posterior draws: each with its own dropout mask, the same for the redshift and for the properties.

p(z, properties | spectrum) is the mean over masks of p(bin) p(offset | bin) p(properties | bin, offset). The features
are computed once; masks act on the maps that are correlated with templates and on the embedding, so that a hundred
draws cost little more than one. Properties are read in the rest frame of at most `N_READINGS` redshifts; a draw takes
the reading that is nearest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from galfit_ml.simulate.cosmology import Cosmology
from galfit_ml_cnn.allowed import Allowed
from galfit_ml_cnn.inputs import Inputs
from galfit_ml_cnn.layout import Layout
from galfit_ml_cnn.network import Architecture, GalaxyNetwork
from galfit_ml_cnn.targets import NAMES, Setting, decode

N_READINGS = 6
REACH = 1.5
"""Feature pixels on either side that a reading stands for."""

N_CANDIDATES = 8
"""Places within its bin among which a draw is chosen where the redshift has a distribution as its prior."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """Draws of n spectra.

    Args:
        redshift: [n, n_draws].
        properties: name -> [n, n_draws].
        probability: [n, n_bins] of each redshift bin, mean over the masks.
        embedding: [n, n_embedding] at the most probable redshift, without dropout.
    """

    redshift: Tensor
    properties: dict[str, Tensor]
    probability: Tensor
    embedding: Tensor


@dataclass(frozen=True, eq=False)
class Random:
    """Random numbers of one spectrum's draws.

    Args:
        maps, latent: [n_draws, n_templates], [n_draws, n_embedding] uniform: what they leave out.
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
            return torch.as_tensor(rng.random((n_draws, *shape)), dtype=torch.float32)

        return cls(
            flat(architecture.n_templates),
            flat(architecture.n_embedding),
            flat(),
            flat(N_CANDIDATES, 2),
            flat(),
            flat(len(NAMES)),
            torch.as_tensor(rng.standard_normal((n_draws, len(NAMES))), dtype=torch.float32),
        )


@torch.no_grad()
def draw(
    network: GalaxyNetwork,
    inputs: Inputs,
    allowed: Allowed,
    random: list[Random],
    cosmology: Cosmology,
    temperature: float = 1.0,
) -> Drawn:
    """Draws of n spectra.

    Args:
        network: in evaluation mode.
        inputs: n spectra.
        allowed: n priors on the redshift.
        random: n.
        cosmology: of the simulations.
        temperature: logits are divided by it.
    """
    maps, rest, summary = network.features(inputs)
    correlations, preference = network.head.correlations(maps), network.head.preference(summary)
    dropout = network.architecture.dropout
    logits = [
        (_factors(one.maps, dropout) @ correlations[i] + preference[i]) / temperature + allowed.log_weight[i]
        for i, one in enumerate(random)
    ]
    rows = [_bins(own, one.bins) for own, one in zip(logits, random, strict=True)]
    bins, probability = torch.stack([row[0] for row in rows]), torch.stack([row[1] for row in rows])
    readings, which = _readings(bins, probability, int(REACH * network.layout.phases))
    embedding = _embeddings(network, rest, summary, readings)
    chosen = torch.gather(embedding, 1, which[..., None].expand(-1, -1, embedding.shape[2]))
    latent = chosen * _factors(torch.stack([one.latent for one in random]), dropout)
    offset = torch.stack([_offset(network, latent[i], bins[i], allowed, i, one) for i, one in enumerate(random)])
    uniform, normal = (torch.cat([getattr(one, name) for one in random]) for name in ("uniform", "normal"))
    encoded = network.branches.draw(latent.flatten(0, 1), offset.flatten(), uniform, normal)
    redshift = _redshift(network.layout, bins, offset, allowed)
    setting = Setting(redshift, inputs.log_scale[:, None].expand_as(redshift))
    properties = decode(encoded.unflatten(0, tuple(offset.shape)), setting, cosmology)
    return Drawn(redshift, properties, probability, embedding[:, 0])


def _bins(logits: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Redshift bins [n_draws] from logits [n_draws, n_bins], and the mean probability of each bin [n_bins]."""
    cumulative = torch.softmax(logits, dim=1).cumsum(dim=1)
    bins = torch.searchsorted(cumulative, uniform[:, None] * cumulative[:, -1:]).clamp(max=logits.shape[1] - 1)
    return bins[:, 0], cumulative.mean(dim=0).diff(prepend=cumulative.new_zeros(1))


def _factors(uniform: Tensor, dropout: float) -> Tensor:
    """Dropout as factors: 0, or 1 / (1 - dropout)."""
    return (uniform >= dropout).to(uniform.dtype) / (1.0 - dropout)


def _readings(bins: Tensor, probability: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """Bins [n, N_READINGS] at which the rest frame is read, the most probable first, and the reading of each draw.

    A reading takes the most probable bin that none before it stands for.
    """
    left, index = probability.clone(), torch.arange(probability.shape[1])
    found = []
    for _ in range(N_READINGS):
        best = left.argmax(dim=1, keepdim=True)
        found.append(best)
        left = torch.where((index - best).abs() <= reach, -1.0, left)
    readings = torch.cat(found, dim=1)
    return readings, (bins[..., None] - readings[:, None]).abs().argmin(dim=2)


def _embeddings(network: GalaxyNetwork, rest: Tensor, summary: Tensor, readings: Tensor) -> Tensor:
    """[n, N_READINGS, n_embedding]."""
    n, k = readings.shape
    each = torch.arange(n).repeat_interleave(k)
    return network.embedding(rest[each], summary[each], readings.flatten()).unflatten(0, (n, k))


def _offset(network: GalaxyNetwork, latent: Tensor, bins: Tensor, allowed: Allowed, row: int, random: Random) -> Tensor:
    """Place of each draw [n_draws] within its bin; where a distribution is given, chosen among candidates by it."""
    mixture = network.branches.offsets(latent)
    low, high = allowed.low[row, bins], allowed.high[row, bins]
    prior = allowed.priors[row]
    if prior.distribution is None:
        return mixture.draw_within(low, high, random.offset[:, 0, 0], random.offset[:, 0, 1])
    candidates = torch.stack(
        [mixture.draw_within(low, high, u[:, 0], u[:, 1]) for u in random.offset.unbind(dim=1)], dim=1
    )
    layout = network.layout
    z = torch.expm1(layout.log_stretch(bins[:, None].double(), candidates.double())).numpy()
    weight = torch.as_tensor(prior.log_density(np.clip(z, *layout.redshift)), dtype=torch.float32)
    cumulative = torch.softmax(weight.nan_to_num(neginf=-1e4), dim=1).cumsum(dim=1)
    chosen = torch.searchsorted(cumulative, random.choice[:, None] * cumulative[:, -1:]).clamp(max=N_CANDIDATES - 1)
    return torch.gather(candidates, 1, chosen)[:, 0]


def _redshift(layout: Layout, bins: Tensor, offset: Tensor, allowed: Allowed) -> Tensor:
    """Redshifts [n, n_draws], float64, within what is allowed to the last digit."""
    low, high = (
        torch.as_tensor([limit(prior) for prior in allowed.priors], dtype=torch.float64)[:, None]
        for limit in (lambda p: max(p.low, layout.redshift[0]), lambda p: min(p.high, layout.redshift[1]))
    )
    return torch.expm1(layout.log_stretch(bins.double(), offset.double())).maximum(low).minimum(high)
