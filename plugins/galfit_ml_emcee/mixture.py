"""Mixtures of t distributions about modes: densities that are normalised, can be drawn from, and have wide tails."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp

from galfit_ml_emcee.moves import Modes

Floats = NDArray[np.float64]

FREEDOM = 8.0
"""Degrees of freedom of the t distributions."""


def draw(mixture: Modes, n: int, rng: np.random.Generator) -> Floats:
    """n points of the mixture of t distributions, [n, d]."""
    which = rng.choice(len(mixture.weight), size=n, p=mixture.weight)
    stretch = np.sqrt(FREEDOM / rng.chisquare(FREEDOM, size=n))
    return mixture.place(stretch[:, None] * rng.standard_normal((n, mixture.mean.shape[1])), which)


def log_density(mixture: Modes, x: Floats) -> Floats:
    """ln density of the mixture at x [n, d], [n] (multivariate t, e.g. Kotz & Nadarajah 2004, eq. 1.1)."""
    d, rows = x.shape[1], np.zeros(len(x), dtype=np.intp)
    constant = gammaln(0.5 * (FREEDOM + d)) - gammaln(0.5 * FREEDOM) - 0.5 * d * np.log(FREEDOM * np.pi)
    parts = []
    for k, weight in enumerate(mixture.weight):
        size = (mixture.whiten(x, rows + k) ** 2).sum(axis=1)
        kernel = -0.5 * (FREEDOM + d) * np.log1p(size / FREEDOM)
        parts.append(np.log(weight) + constant - mixture.log_volume[k] + kernel)
    return np.asarray(logsumexp(parts, axis=0))
