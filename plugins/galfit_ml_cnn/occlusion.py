"""Saliency by occlusion: stretches of a spectrum are masked, one after the other, and the network asked again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galfit_ml.parameters import GALAXY
from galfit_ml.saliency import Saliency
from galfit_ml.simulate.cosmology import Cosmology
from galfit_ml_cnn.inputs import LOG_SCALE_OF_RELATIVE, Inputs, look
from galfit_ml_cnn.network import GalaxyNetwork, truth_in_bins
from galfit_ml_cnn.solutions import WINDOW, best_redshift
from galfit_ml_cnn.targets import NAMES, Setting, decode

Floats = NDArray[np.float64]

WIDTH, STEP = 36, 18
"""Pixels of the network (40 km/s) that are masked at once, and by which stretches follow each other."""

AT_ONCE = 16
"""Masked spectra that go through the network together."""


@dataclass(frozen=True, eq=False)
class Asked:
    """What is asked of one spectrum.

    Args:
        name: of the parameter.
        redshift: at which properties are read, and whose solution counts.
        relative: True where the flux has no absolute scale.
    """

    name: str
    redshift: float
    relative: bool = False


def plain_redshift(network: GalaxyNetwork, flux: Tensor, ivar: Tensor) -> Floats:
    """[n] most probable redshifts of spectra [n, n_pix], without dropout."""
    maps, _, summary = network.features(look(flux, ivar, network.layout.pool))
    probability = torch.softmax(network.head(maps, summary), dim=1)
    return best_redshift(probability.double().numpy(), network.layout)


@torch.no_grad()
def occlude(network: GalaxyNetwork, flux: Tensor, ivar: Tensor, asked: Asked) -> Floats:
    """[n_pix / STEP] importance of each stretch of one spectrum [n_pix]; NaN where it has no good pixel."""
    n_pix = len(flux)
    starts = np.arange(0, n_pix - WIDTH + 1, STEP)
    if asked.relative and asked.name in GALAXY.names and GALAXY[asked.name].needs_flux_scale:
        return np.full(n_pix // STEP, np.nan)
    known = np.array([bool((ivar[s : s + WIDTH] > 0).any()) for s in starts])
    rows = ivar.repeat(1 + int(known.sum()), 1)
    for row, start in enumerate(starts[known], start=1):
        rows[row, start : start + WIDTH] = 0.0
    answers = torch.cat([_answer(network, flux, part, asked) for part in rows.split(AT_ONCE)]).double().numpy()
    loss = np.full(len(starts), np.nan)
    loss[known] = answers[0] - answers[1:]
    return _spread(loss, n_pix // STEP)


def _answer(network: GalaxyNetwork, flux: Tensor, ivar: Tensor, asked: Asked) -> Tensor:
    """[m] answers to one spectrum under masks [m, n_pix]."""
    inputs = look(torch.where(ivar > 0, flux, 0.0), ivar, network.layout.pool)
    scale = torch.full_like(inputs.log_scale, LOG_SCALE_OF_RELATIVE) if asked.relative else inputs.log_scale
    maps, rest, summary = network.features(Inputs(inputs.channels, scale))
    redshift = torch.full((len(ivar),), asked.redshift, dtype=torch.float64)
    if asked.name == "redshift":
        return _log_odds(network, network.head(maps, summary), asked.redshift)
    embedding = network.embedding(rest, summary, truth_in_bins(redshift, network.layout)[0])
    values = decode(network.branches.means(embedding), Setting(redshift, scale), Cosmology.default())
    return values[asked.name]


def _log_odds(network: GalaxyNetwork, logits: Tensor, redshift: float) -> Tensor:
    """[m] ln of the probability within `WINDOW` of a redshift over that elsewhere."""
    distance = np.abs(network.layout.bins - np.log1p(redshift))
    inside = torch.as_tensor(distance < np.log1p(WINDOW))
    return torch.logsumexp(logits[:, inside], dim=1) - torch.logsumexp(logits[:, ~inside], dim=1)


def _spread(loss: Floats, n_place: int) -> Floats:
    """Mean over the stretches that hold each place of `STEP` pixels, [n_place]."""
    total, count = np.zeros(n_place), np.zeros(n_place)
    per = WIDTH // STEP
    for number, value in enumerate(loss):
        if np.isfinite(value):
            total[number : number + per] += value
            count[number : number + per] += 1
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def gather(
    network: GalaxyNetwork, name: str, redshift: Floats, seen: tuple[Floats, Floats], importance: Floats
) -> Saliency:
    """A `Saliency` of n spectra from what `occlude` said of each.

    Args:
        network: of which it is asked.
        name: of the parameter.
        redshift: [n].
        seen: flux and inverse variance [n, n_pix].
        importance: [n, n_pix / STEP].
    """
    layout, (flux, ivar) = network.layout, seen
    n_place = layout.n_pix // STEP
    groups = [x[:, : n_place * STEP].reshape(len(x), n_place, STEP) for x in (flux, (ivar > 0).astype(float))]
    good = groups[1].sum(axis=2)
    mean = np.where(good > 0, (groups[0] * groups[1]).sum(axis=2) / np.maximum(good, 1), np.nan)
    edges = layout.grid.edges[: n_place * STEP + 1 : STEP]
    unit = "nats" if name == "redshift" else GALAXY[name].column_unit
    middle = np.sqrt(edges[1:] * edges[:-1])
    return Saliency(name, unit, middle, importance, mean, redshift, WIDTH * layout.step_kms)


def check_name(name: str) -> None:
    """ValueError for what the network does not answer."""
    if name != "redshift" and name not in NAMES:
        raise ValueError(f"There is no parameter '{name}'. Choose one of: redshift, {', '.join(NAMES)}.")
