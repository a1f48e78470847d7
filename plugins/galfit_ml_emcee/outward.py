"""Points outward of what a sampler has seen, whatever its surrogate thinks of them.

A surrogate that is far too low somewhere is never sampled there, and so never learns better. From points of the sample,
one coordinate is moved far, and the others follow as they do in the sample: where the true density is high in such
places, there is more of the posterior.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from galfit_ml_emcee.optimise import MAX_COORDINATE

Floats = NDArray[np.float64]

FARTHEST, WIDEST = 2.5, 10.0
"""Longest move of a coordinate, in probits of the prior and in its scatter in the sample, which is the shortest."""


def outward(sample: Floats, n: int, random: np.random.RandomState) -> Floats:
    """n points [n, d] outward of a sample [m, d]."""
    covariance = np.cov(sample.T) + 1e-9 * np.eye(sample.shape[1])
    which = random.randint(sample.shape[1], size=n)
    variance = np.diag(covariance)[which]
    shortest = np.minimum(np.sqrt(variance), FARTHEST)
    length = shortest * np.minimum(FARTHEST / shortest, WIDEST) ** random.random_sample(n)
    length *= np.where(random.random_sample(n) < 0.5, -1.0, 1.0)
    moved = sample[random.randint(len(sample), size=n)] + (length / variance)[:, None] * covariance[which]
    return np.clip(moved, -MAX_COORDINATE, MAX_COORDINATE)
