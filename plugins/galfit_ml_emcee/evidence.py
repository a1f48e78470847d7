"""Evidence of a redshift cell by importance sampling from a mixture of t distributions fitted to its chain.

Z = integral of prior times likelihood = mean of w = p(x) / q(x) over draws x of q. The mixture follows the modes of
the chain, wider and with heavier tails; how many independent draws the weights are worth, (sum w)^2 / sum w^2, tells
whether the estimate may be believed (Kong 1992). In two dozen dimensions thousands of draws may not suffice; then tens
of thousands are weighted by the surrogate of the density, and what that gets wrong is averaged over draws of it. The
harmonic mean is never used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp

from galfit_ml_emcee.modes import adapted
from galfit_ml_emcee.moves import Modes
from galfit_ml_emcee.sampler import Chain

Floats = NDArray[np.float64]

FREEDOM = 8.0
"""Degrees of freedom of the t distributions."""

ENOUGH = 100.0
"""Effective draws below which the evidence is not believed."""

DIRECT = 1024
"""Draws of which the true density is computed at first."""

CHEAP, CHOSEN = 65536, 1024
"""Where they do not suffice: draws under the surrogate, and how many of them get the true density."""


@dataclass(frozen=True)
class Evidence:
    """ln of the integral of prior times likelihood over the free coordinates, and the effective draws it rests on."""

    log_z: float
    effective: float

    @property
    def believed(self) -> bool:
        """Whether enough draws count."""
        return self.effective >= ENOUGH


def evidence(chain: Chain, rng: np.random.Generator) -> Evidence:
    """Evidence of the cell that a chain sampled, under the normalised prior of its free coordinates.

    Cells need not have the same free coordinates: what the density holds of the others' prior is taken away.
    """
    free = chain.target.free
    flat = chain.flat[:, free]
    constant = 0.5 * (len(free) * np.log(2 * np.pi) - (np.delete(chain.target.anchor, free) ** 2).sum())
    mixture = adapted(chain.plan.modes, flat)
    x = draw(mixture, DIRECT, rng)
    weights = chain.target.log_density(x) - log_density(mixture, x)
    direct = Evidence(_log_mean(weights) - constant, _effective(weights))
    if direct.believed:
        return direct
    other = _through_surrogate(chain, mixture, rng)
    better = Evidence(other.log_z - constant, other.effective)
    return better if better.effective > direct.effective else direct


def _through_surrogate(chain: Chain, mixture: Modes, rng: np.random.Generator) -> Evidence:
    """The same in two stages: Z of the surrogate s from many draws, times the mean of p / s over draws of s.

    The second factor is an average over draws that the weights of the first stage choose; both errors add.
    """
    x = draw(mixture, CHEAP, rng)
    cheap = np.concatenate([chain.plan.surrogate(part) for part in np.array_split(x, 32)])
    weights = cheap - log_density(mixture, x)
    first = _effective(weights)
    if first < 1:
        return Evidence(-np.inf, 0.0)
    p = np.exp(weights - logsumexp(weights))
    rows = np.searchsorted(np.cumsum(p), (np.arange(CHOSEN) + rng.random()) / CHOSEN).clip(max=CHEAP - 1)
    different, times = np.unique(rows, return_counts=True)
    ratio = chain.target.log_density(x[different]) - cheap[different] + np.log(times)
    second = _effective(ratio)
    if second == 0:
        return Evidence(-np.inf, 0.0)
    log_z = _log_mean(weights) + float(logsumexp(ratio)) - np.log(CHOSEN)
    return Evidence(log_z, 1 / (1 / first + 1 / second))


def _log_mean(log_weights: Floats) -> float:
    return float(logsumexp(log_weights) - np.log(len(log_weights)))


def _effective(log_weights: Floats) -> float:
    if not np.isfinite(log_weights).any():
        return 0.0
    return float(np.exp(2 * logsumexp(log_weights) - logsumexp(2 * log_weights)))


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
