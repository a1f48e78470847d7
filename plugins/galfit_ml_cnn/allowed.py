"""What a user says of the redshift, on the network's bins: exact, whatever the network thinks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from galfit_ml.errors import PriorError
from galfit_ml.redshift_prior import RedshiftPrior
from galfit_ml_cnn.layout import Layout

N_WITHIN = 8
"""Places within a bin at which a distribution is averaged."""


@dataclass(frozen=True, eq=False)
class Allowed:
    """Priors of n spectra over the density of the training, which is flat in ln(1 + z).

    Args:
        log_weight: [n, n_bins] ln of the mean of each bin, -inf where nothing is allowed.
        low, high: [n, n_bins] offsets within each bin between which a redshift may lie.
        priors: n of them.
    """

    log_weight: Tensor
    low: Tensor
    high: Tensor
    priors: tuple[RedshiftPrior, ...]

    @classmethod
    def of(cls, priors: Iterable[RedshiftPrior], layout: Layout) -> Allowed:
        """Priors on the bins of a layout; PriorError where one leaves nothing."""
        own = tuple(priors)
        rows = [_row(prior, layout) for prior in own]
        weight, low, high = (torch.as_tensor(np.stack([row[i] for row in rows]), dtype=torch.float32) for i in range(3))
        return cls(weight, low, high, own)

    def __len__(self) -> int:
        return len(self.priors)


@lru_cache(maxsize=64)
def _row(prior: RedshiftPrior, layout: Layout) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ln of the mean weight, and the offsets allowed, of each bin."""
    low, high = prior.within(*layout.redshift, "the network")
    edges = [(np.log1p(z) - layout.bins) / layout.bin_width for z in (low, high)]
    left, right = (np.clip(edge, -0.5, 0.5) for edge in edges)
    if low == high:
        nearest = int(np.abs(edges[0]).argmin())
        weight = np.where(np.arange(layout.n_bins) == nearest, 0.0, -np.inf)
        return weight, left, right
    with np.errstate(divide="ignore"):
        weight = np.log(right - left) + _mean_log(prior, layout, left, right)
    if not np.isfinite(weight).any():
        raise PriorError(
            "The redshift prior leaves nothing of the network's range, "
            f"{layout.redshift[0]:g} to {layout.redshift[1]:g}. Give a wider one."
        )
    return weight, left, right


def _mean_log(prior: RedshiftPrior, layout: Layout, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """ln of the mean of the prior's factor between the offsets of each bin."""
    if prior.distribution is None:
        return np.zeros(layout.n_bins)
    share = (np.arange(N_WITHIN) + 0.5) / N_WITHIN
    offset = left[:, None] + (right - left)[:, None] * share
    z = np.expm1(layout.log_stretch(np.arange(layout.n_bins)[:, None], offset))
    log_density = prior.log_density(np.clip(z, *layout.redshift))
    with np.errstate(divide="ignore"):
        return np.asarray(np.logaddexp.reduce(log_density, axis=1) - np.log(N_WITHIN))
