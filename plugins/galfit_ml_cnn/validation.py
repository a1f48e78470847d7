"""How good a network is on spectra it never saw: densities of the truth, redshift success by brightness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galfit_ml_cnn.network import GalaxyNetwork
from galfit_ml_cnn.pool import COLUMNS
from galfit_ml_cnn.solutions import WINDOW, best_redshift
from galfit_ml_cnn.stream import Examples, Mixture, Stream
from galfit_ml_cnn.targets import NAMES

STAR_FORMING, QUIESCENT = -10.5, -11.0


@dataclass(frozen=True)
class Score:
    """Mean negative log densities, and redshift success by class and magnitude: "SF 22-23" -> share."""

    bins: float
    offset: float
    properties: dict[str, float]
    success: dict[str, float]


def fixed_examples(stream: Stream | Mixture, n_batches: int, size: int, seed: int) -> list[Examples]:
    """The same examples every time."""
    rng = np.random.default_rng(seed)
    return [stream.batch(size, rng, whole=True) for _ in range(n_batches)]


@torch.no_grad()
def validate(network: GalaxyNetwork, examples: list[Examples]) -> Score:
    """Score of a network, without dropout."""
    network.eval()
    losses, found, labels = [], [], []
    device = next(network.parameters()).device
    for one in (each.to(device) for each in examples):
        losses.append(network.loss(one.inputs, one.bins, one.offset, one.encoded))
        probability = torch.softmax(losses[-1].logits.double(), dim=1).cpu().numpy()
        found.append(best_redshift(probability, network.layout))
        labels.append(one.labels)
    network.train()
    weight = torch.cat([one.weight for one in examples]).to(device)
    bins, offset, properties = (
        torch.cat([getattr(loss, name) for loss in losses]) for name in ("bins", "offset", "properties")
    )
    return Score(
        _mean(bins, weight),
        _mean(offset, weight),
        {name: _mean(properties[:, i], weight) for i, name in enumerate(NAMES)},
        success_by_class(np.concatenate(found), np.concatenate(labels)),
    )


def _mean(values: Tensor, weight: Tensor) -> float:
    return float((values * weight).sum() / weight.sum())


def success_by_class(found: NDArray[np.float64], labels: NDArray[np.float64]) -> dict[str, float]:
    """Share of redshifts, right within `WINDOW`, of star-forming (SF) and quiescent (Q) galaxies, by magnitude."""
    z, magnitude, mass, rate = (
        labels[:, COLUMNS.index(name)] for name in ("redshift", "magnitude", "log_stellar_mass", "log_sfr")
    )
    right = np.abs(found - z) < WINDOW * (1 + z)
    classes = {"SF": rate - mass > STAR_FORMING, "Q": rate - mass < QUIESCENT}
    out = {}
    for name, inside in classes.items():
        for low in np.arange(np.floor(magnitude.min()), magnitude.max()):
            rows = inside & (magnitude >= low) & (magnitude < low + 1)
            if rows.sum() >= 10:
                out[f"{name} {low:.0f}-{low + 1:.0f}"] = float(right[rows].mean())
    return out
