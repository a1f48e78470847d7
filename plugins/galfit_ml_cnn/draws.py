"""Posterior draws under dropout masks.

p(z, properties | spectrum) is the mean over masks of p(bin) p(offset | bin) p(properties | bin, offset). The features
are computed once; masks act on the maps that are correlated with templates and on the embedding, so that a hundred
draws cost little more than one. Properties are read in the rest frame of at most `N_READINGS + N_SPREAD` redshifts; a
draw takes the reading that is nearest. That is near for as many solutions, and far where nothing is known of the
redshift: properties are then about right for redshifts around, and no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from galfit_ml.simulate.cosmology import Cosmology
from galfit_ml_cnn.allowed import Allowed
from galfit_ml_cnn.correlation import Spectra
from galfit_ml_cnn.inputs import Inputs
from galfit_ml_cnn.layout import Layout
from galfit_ml_cnn.network import GalaxyNetwork
from galfit_ml_cnn.randomness import N_CANDIDATES, Random
from galfit_ml_cnn.redshift_head import RedshiftHead
from galfit_ml_cnn.targets import Setting, decode

N_READINGS, N_SPREAD = 4, 8
"""Readings of the rest frame: at the most probable redshifts, and at draws that are farthest from any reading."""

REACH = 1.5
"""Feature pixels on either side that a reading stands for."""

NEAR = 4
"""Bins from a reading within which a draw needs no other: training reads the rest frame as far off (`JITTER`)."""

FEWEST_ROWS = 8
"""Readings of the rest frame that are made at once, at least."""

HOPELESS, FEW = 30.0, 8
"""Redshifts so many nats below the best one are left out, where no more than `FEW` whole shifts remain without them:
masks cannot make up for that, and correlations at a few shifts are sums, not transforms."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """Draws of n spectra.

    Args:
        redshift: [n, n_draws].
        properties: name -> [n, n_draws].
        probability: [n, n_bins] of each redshift bin, mean over the draws' masks.
        embedding: [n, n_embedding] at the most probable redshift, without dropout.
        summary: [n, n_summary] means over the spectrum.
    """

    redshift: Tensor
    properties: dict[str, Tensor]
    probability: Tensor
    embedding: Tensor
    summary: Tensor


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked of n spectra.

    Args:
        allowed: n priors on the redshift.
        random: n.
        temperature: [n] by which logits are divided.
    """

    allowed: Allowed
    random: list[Random]
    temperature: Tensor


@torch.no_grad()
def draw(network: GalaxyNetwork, inputs: Inputs, question: Question, cosmology: Cosmology) -> Drawn:
    """Draws of n spectra by a network in evaluation mode; `cosmology` is the one of the simulations."""
    maps, rest, summary = network.features(inputs)
    preference = network.head.preference(summary)
    plain = network.head.logits(network.head.sums(maps), preference)
    library = Library(network.head)
    rows = [_bins(network, library, (maps[i], preference[i], plain[i]), question, i) for i in range(len(inputs))]
    bins, probability = torch.stack([row[0] for row in rows]), torch.stack([row[1] for row in rows])
    readings, which = _readings(bins, probability, int(REACH * network.layout.phases))
    embedding = _embeddings(network, rest, summary, readings, which)
    latent = torch.gather(embedding, 1, which[..., None].expand(-1, -1, embedding.shape[2]))
    dropout = network.architecture.dropout
    latent = latent * torch.stack([one.latent_factors(dropout) for one in question.random])
    offset = torch.stack([_offset(network, latent[i], bins[i], question, i) for i in range(len(inputs))])
    uniform, normal = (torch.cat([getattr(one, name) for one in question.random]) for name in ("uniform", "normal"))
    encoded = network.branches.draw(latent.flatten(0, 1), offset.flatten(), uniform, normal)
    redshift = _redshift(network.layout, bins, offset, question.allowed)
    setting = Setting(redshift, inputs.log_scale[:, None].expand_as(redshift))
    properties = decode(encoded.unflatten(0, tuple(offset.shape)), setting, cosmology)
    return Drawn(redshift, properties, probability, embedding[:, 0], summary)


class Library:
    """The redshift head's templates, joined once for many spectra and, when they are wanted, transformed."""

    def __init__(self, head: RedshiftHead) -> None:
        self.head, self.templates = head, head.templates

    @cached_property
    def spectra(self) -> Spectra:
        """Their transforms."""
        return self.head.spectra()


def _bins(
    network: GalaxyNetwork, library: Library, seen: tuple[Tensor, Tensor, Tensor], question: Question, row: int
) -> tuple[Tensor, Tensor]:
    """Redshift bins [n_draws] of one spectrum, and the mean probability of each bin [n_bins]."""
    random = question.random[row]
    factors, which = random.distinct_maps(network.architecture.dropout)
    maps, preference, plain = seen
    temperature, weight = question.temperature[row], question.allowed.log_weight[row]
    kept = _worth_it(plain / temperature + weight, network.layout)
    if kept is None:
        sums = library.spectra.masked(maps, factors).flip(-1)
        first = 0
    else:
        first = int(kept[0])
        sums = network.head.masked_at(maps, factors, kept, library.templates)
        preference = preference[:, first : first + sums.shape[2]]
    here = slice(first * network.layout.phases, (first + sums.shape[2]) * network.layout.phases)
    logits = network.head.logits(sums, preference[None]) / temperature + weight[here]
    share = torch.softmax(logits, dim=1)
    cumulative = share.cumsum(dim=1)
    own = random.bins * cumulative[which, -1]
    bins = _places(cumulative, which, own)
    weights = torch.bincount(which, minlength=len(factors)).to(share.dtype) / len(random)
    probability = plain.new_zeros(network.layout.n_bins)
    probability[here] = weights @ share
    return bins.clamp(max=logits.shape[1] - 1) + here.start, probability


def _places(cumulative: Tensor, which: Tensor, own: Tensor) -> Tensor:
    """[n_draws] first bin of row `which` of `cumulative` [m, n_bins] that reaches `own`."""
    if cumulative.shape[1] < 1000:
        return torch.searchsorted(cumulative[which], own[:, None])[:, 0]
    bins = torch.empty(len(own), dtype=torch.long)
    for mask, row in enumerate(cumulative):
        bins[which == mask] = torch.searchsorted(row, own[which == mask])
    return bins


def _worth_it(logits: Tensor, layout: Layout) -> Tensor | None:
    """Whole shifts, in succession, outside which nothing is likely; None where there are more than `FEW`.

    One more on either side is kept: logits between whole shifts are interpolated.
    """
    likely = (logits.view(-1, layout.phases).amax(dim=1) > logits.max() - HOPELESS).nonzero()[:, 0]
    if not len(likely):
        return None
    first, last = max(int(likely[0]) - 1, 0), min(int(likely[-1]) + 1, layout.n_shifts - 1)
    return torch.arange(first, last + 1) if last - first < FEW else None


def _readings(bins: Tensor, probability: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """Bins [n, N_READINGS + N_SPREAD] at which the rest frame is read, and the reading of each draw.

    The first take the most probable bin that none before them stands for, the others the draw farthest from all.
    """
    left, index = probability.clone(), torch.arange(probability.shape[1])
    found = []
    for _ in range(N_READINGS):
        best = left.argmax(dim=1, keepdim=True)
        found.append(best)
        left = torch.where((index - best).abs() <= reach, -1.0, left)
    away = (bins[..., None] - torch.cat(found, dim=1)[:, None]).abs().amin(dim=2)
    for _ in range(N_SPREAD):
        farthest = away.argmax(dim=1, keepdim=True)
        lonely = torch.gather(away, 1, farthest) > NEAR
        found.append(torch.where(lonely, torch.gather(bins, 1, farthest), found[0]))
        away = torch.minimum(away, (bins - found[-1]).abs())
    readings = torch.cat(found, dim=1)
    distance = (bins[..., None] - readings[:, None]).abs()
    # The best reading serves all that are near it, the others those that are nearest.
    distance[..., 0] = torch.where(distance[..., 0] <= NEAR, -1, distance[..., 0])
    return readings, distance.argmin(dim=2)


def _embeddings(network: GalaxyNetwork, rest: Tensor, summary: Tensor, readings: Tensor, which: Tensor) -> Tensor:
    """[n, n_readings, n_embedding]; 0 at readings that no draw takes, the first one excepted."""
    wanted = torch.nn.functional.one_hot(which, readings.shape[1]).sum(dim=1) > 0
    wanted[:, 0] = True
    row, column = torch.nonzero(wanted, as_tuple=True)
    # One row alone takes other kernels than many, and its last digits would depend on its neighbours.
    padded = torch.arange(max(len(row), FEWEST_ROWS)) % len(row)
    found = network.embedding(rest[row[padded]], summary[row[padded]], readings[row, column][padded])[: len(row)]
    out = found.new_zeros((*readings.shape, found.shape[1]))
    out[row, column] = found
    return out


def _offset(network: GalaxyNetwork, latent: Tensor, bins: Tensor, question: Question, row: int) -> Tensor:
    """Place of each draw [n_draws] within its bin; where a distribution is given, chosen among candidates by it."""
    mixture, random, allowed = network.branches.offsets(latent), question.random[row], question.allowed
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
