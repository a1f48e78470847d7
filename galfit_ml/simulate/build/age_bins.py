"""Age bins of 0.1 dex, and means over them of what a library gives at single ages."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

AGE_OF_UNIVERSE = 13.47e9
"""yr: where the last bin of the source ends (H0 = 70, Omega_m = 0.3: 13.467e9)."""

OLDEST_AGE = 1.5e10
"""yr: the last edge that is stored, so that any age of the Universe fits in."""


def age_bin_edges(n_bins: int = 42) -> Floats:
    """Edges [n_bins + 1], yr: 0, then 10**6.05 in steps of 0.1 dex, and the age of the Universe."""
    inner = 10 ** (6.05 + 0.1 * np.arange(n_bins - 1))
    return np.concatenate([[0.0], inner, [AGE_OF_UNIVERSE]])


def sample_bounds(age: Floats) -> Floats:
    """Bounds [n + 1], yr, of the span of time each age [n] of a library stands for: midpoints, from 0."""
    middle = 0.5 * (age[1:] + age[:-1])
    return np.concatenate([[0.0], middle, [age[-1] + (age[-1] - middle[-1])]])


def overlap_matrix(edges: Floats, age: Floats) -> Floats:
    """Weights [n_bins, n]: the share of each bin that each age of the library stands for (rows sum to 1)."""
    bounds = sample_bounds(age)
    low = np.maximum(edges[:-1, None], bounds[None, :-1])
    high = np.minimum(edges[1:, None], bounds[None, 1:])
    shared = np.clip(high - low, 0.0, None)
    return shared / shared.sum(axis=1, keepdims=True)
