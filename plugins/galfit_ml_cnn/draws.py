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
from galfit_ml_cnn.inputs import Inputs
from galfit_ml_cnn.network import GalaxyNetwork
from galfit_ml_cnn.targets import NAMES, Setting, decode

N_READINGS = 6
REACH = 3
"""Redshift bins on either side that a reading stands for."""


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
        uniform: [n_draws, n_properties + 3] uniform.
        normal: [n_draws, n_properties].
    """

    maps: Tensor
    latent: Tensor
    uniform: Tensor
    normal: Tensor

    @classmethod
    def of(cls, network: GalaxyNetwork, n_draws: int, rng: np.random.Generator) -> Random:
        """Numbers for one spectrum."""
        sizes = network.architecture.n_templates, network.architecture.n_embedding, len(NAMES) + 3
        maps, latent, uniform = (torch.as_tensor(rng.random((n_draws, size)), dtype=torch.float32) for size in sizes)
        return cls(
            maps, latent, uniform, torch.as_tensor(rng.standard_normal((n_draws, len(NAMES))), dtype=torch.float32)
        )


@torch.no_grad()
def draw(
    network: GalaxyNetwork,
    inputs: Inputs,
    log_prior: Tensor,
    random: list[Random],
    cosmology: Cosmology,
    temperature: float = 1.0,
) -> Drawn:
    """Draws of n spectra.

    Args:
        network: in evaluation mode.
        inputs: n spectra.
        log_prior: [n, n_bins] ln of what the user says of each redshift bin over the training's; 0 for nothing.
        random: n.
        cosmology: of the simulations.
        temperature: logits are divided by it.
    """
    maps, rest, summary = network.features(inputs)
    correlations, preference = network.head.correlations(maps), network.head.preference(summary)
    rows = [
        _bins(network, correlations[i], (preference[i], log_prior[i]), one, temperature) for i, one in enumerate(random)
    ]
    bins, probability = torch.stack([row[0] for row in rows]), torch.stack([row[1] for row in rows])
    readings, which = _readings(bins, probability)
    embedding = _embeddings(network, rest, summary, readings)
    chosen = torch.gather(embedding, 1, which[..., None].expand(-1, -1, embedding.shape[2]))
    latent = torch.stack([one.latent for one in random])
    offset, encoded = _properties(network, _masked(chosen, latent, network.architecture.dropout), random)
    redshift = torch.expm1(_log_stretch(network, bins, offset))
    setting = Setting(redshift, inputs.log_scale[:, None].expand_as(redshift))
    return Drawn(redshift, decode(encoded, setting, cosmology), probability, embedding[:, 0])


def _bins(
    network: GalaxyNetwork, correlations: Tensor, plain: tuple[Tensor, Tensor], random: Random, temperature: float
) -> tuple[Tensor, Tensor]:
    """Redshift bins [n_draws] of one spectrum, and the probability of each bin [n_bins]."""
    preference, log_prior = plain
    kept = _factors(random.maps, network.architecture.dropout)
    logits = (kept @ correlations + preference) / temperature + log_prior
    cumulative = torch.softmax(logits, dim=1).cumsum(dim=1)
    at = random.uniform[:, -1:] * cumulative[:, -1:]
    bins = torch.searchsorted(cumulative, at).clamp(max=logits.shape[1] - 1)[:, 0]
    return bins, cumulative.mean(dim=0).diff(prepend=cumulative.new_zeros(1))


def _factors(uniform: Tensor, dropout: float) -> Tensor:
    """Dropout as factors: 0, or 1 / (1 - dropout)."""
    return (uniform >= dropout).to(uniform.dtype) / (1.0 - dropout)


def _masked(embedding: Tensor, uniform: Tensor, dropout: float) -> Tensor:
    return embedding * _factors(uniform, dropout)


def _readings(bins: Tensor, probability: Tensor) -> tuple[Tensor, Tensor]:
    """Bins [n, N_READINGS] at which the rest frame is read, the most probable first, and the reading of each draw.

    A reading takes the most probable bin that none before it stands for.
    """
    left, index = probability.clone(), torch.arange(probability.shape[1])
    found = []
    for _ in range(N_READINGS):
        best = left.argmax(dim=1, keepdim=True)
        found.append(best)
        left = torch.where((index - best).abs() <= REACH, -1.0, left)
    readings = torch.cat(found, dim=1)
    return readings, (bins[..., None] - readings[:, None]).abs().argmin(dim=2)


def _embeddings(network: GalaxyNetwork, rest: Tensor, summary: Tensor, readings: Tensor) -> Tensor:
    """[n, N_READINGS, n_embedding]."""
    n, k = readings.shape
    each = torch.arange(n).repeat_interleave(k)
    return network.embedding(rest[each], summary[each], readings.flatten()).unflatten(0, (n, k))


def _properties(network: GalaxyNetwork, embedding: Tensor, random: list[Random]) -> tuple[Tensor, Tensor]:
    """Offset [n, n_draws] and encoded properties [n, n_draws, n_properties]."""
    shape = embedding.shape[:2]
    uniform, normal = (torch.cat([getattr(one, name) for one in random]) for name in ("uniform", "normal"))
    offset, encoded = network.branches.draw(embedding.flatten(0, 1), uniform[:, :-1], normal)
    return offset.unflatten(0, shape), encoded.unflatten(0, shape)


def _log_stretch(network: GalaxyNetwork, bins: Tensor, offset: Tensor) -> Tensor:
    """ln(1 + z), float64."""
    layout = network.layout
    place = layout.first_shift * layout.phases + bins.double() + 0.5 + offset.double()
    return (place * layout.bin_width).clamp(np.log1p(layout.redshift[0]), np.log1p(layout.redshift[1]))
