"""How good a network is on spectra it never saw: densities of the truth, redshift success by brightness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galfit_ml_cnn.layout import Layout
from galfit_ml_cnn.network import GalaxyNetwork
from galfit_ml_cnn.pool import COLUMNS
from galfit_ml_cnn.stream import Examples, Stream
from galfit_ml_cnn.targets import NAMES

SUCCESS = 0.0033
"""|dz| / (1 + z) below which a redshift counts as right."""

STAR_FORMING, QUIESCENT = -10.5, -11.0


@dataclass(frozen=True)
class Score:
    """Mean negative log densities, and redshift success by class and magnitude: "SF 22-23" -> share."""

    bins: float
    offset: float
    properties: dict[str, float]
    success: dict[str, float]

    @property
    def total(self) -> float:
        """Negative log density of everything together."""
        return self.bins + self.offset + sum(self.properties.values())


def fixed_examples(stream: Stream, n_batches: int, size: int, seed: int) -> list[Examples]:
    """The same examples every time."""
    rng = np.random.default_rng(seed)
    return [stream.batch(size, rng, whole=True) for _ in range(n_batches)]


@torch.no_grad()
def validate(network: GalaxyNetwork, examples: list[Examples]) -> Score:
    """Score of a network, without dropout."""
    network.eval()
    losses, found, labels = [], [], []
    for one in examples:
        losses.append(network.loss(one.inputs, one.bins, one.offset, one.encoded))
        maps, _, summary = network.features(one.inputs)
        found.append(best_redshift(network.head(maps, summary), network.layout))
        labels.append(one.labels)
    network.train()
    properties = torch.cat([loss.properties for loss in losses]).mean(0).tolist()
    return Score(
        float(torch.cat([loss.bins for loss in losses]).mean()),
        float(torch.cat([loss.offset for loss in losses]).mean()),
        dict(zip(NAMES, properties, strict=True)),
        success_by_class(torch.cat(found).numpy(), np.concatenate(labels)),
    )


def best_redshift(logits: Tensor, layout: Layout) -> Tensor:
    """[n] mean redshift of the most probable window of +-SUCCESS (1 + z)."""
    p = torch.softmax(logits.double(), dim=1)
    reach = int(np.log1p(SUCCESS) / layout.bin_width)
    width = 2 * reach + 1
    window = torch.nn.functional.avg_pool1d(p[:, None], width, stride=1, padding=reach)[:, 0] * width
    middle = window.argmax(dim=1, keepdim=True)
    index = (middle + torch.arange(-reach, reach + 1)).clamp(0, layout.n_bins - 1)
    weight = torch.gather(p, 1, index)
    places = torch.as_tensor(layout.bins)[index]
    return torch.expm1((weight * places).sum(1) / weight.sum(1))


def success_by_class(found: NDArray[np.float64], labels: NDArray[np.float64]) -> dict[str, float]:
    """Share of right redshifts of star-forming (SF) and quiescent (Q) galaxies, by magnitude."""
    z, magnitude, mass, rate = (
        labels[:, COLUMNS.index(name)] for name in ("redshift", "magnitude", "log_stellar_mass", "log_sfr")
    )
    right = np.abs(found - z) < SUCCESS * (1 + z)
    classes = {"SF": rate - mass > STAR_FORMING, "Q": rate - mass < QUIESCENT}
    out = {}
    for name, inside in classes.items():
        for low in np.arange(np.floor(magnitude.min()), magnitude.max()):
            rows = inside & (magnitude >= low) & (magnitude < low + 1)
            if rows.sum() >= 10:
                out[f"{name} {low:.0f}-{low + 1:.0f}"] = float(right[rows].mean())
    return out
