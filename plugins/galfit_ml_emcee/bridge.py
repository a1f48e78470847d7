"""Ratio of the normalisations of two densities from samples of both: bridge sampling.

Z_1 / Z_2 = E_2[h p_1] / E_1[h p_2] for any h; h = 1 / (p_1 / Z_1 + p_2 / Z_2) makes both factors bounded and is found
by iteration (Meng & Wong 1996, Statistica Sinica 6, 831, eq. 4.1, with equal shares). Unlike importance sampling
it needs the densities to overlap, not one of them to have the wider tails: where draws of one worth ten are left by
weights, the bridge still tells the ratio to a third.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

Floats = NDArray[np.float64]

MOST_ITERATIONS = 2000
TOLERANCE = 1e-7


@dataclass(frozen=True)
class Ratio:
    """ln(Z_1 / Z_2) and its standard error; -inf and inf where the densities do not overlap."""

    log: float
    error: float


def bridge(first: Floats, second: Floats) -> Ratio:
    """Bridge from density 2 to density 1.

    Args:
        first: [n_step, n_walker] ln p_1 - ln p_2 (neither normalised) at samples of density 1.
        second: the same at samples of density 2.

    The error is that of independent walkers: samples of one walker may resemble each other as they like (for
    independent samples, one step of many walkers). The iteration is started half-way between the two importance
    sampling estimates.
    """
    if not (np.isfinite(first).any() and np.isfinite(second).any()):
        return Ratio(-np.inf, np.inf)
    log_r = 0.5 * (_log_mean(second) - _log_mean(-first[np.isfinite(first)]))
    for _ in range(MOST_ITERATIONS):
        before = log_r
        log_r = log_r + _log_mean(_inside(second - log_r)) - _log_mean(_inside(log_r - first))
        if abs(log_r - before) < TOLERANCE:
            break
    error = np.hypot(_relative_error(_inside(second - log_r)), _relative_error(_inside(log_r - first)))
    return Ratio(float(log_r), float(error))


def _inside(log_ratio: Floats) -> Floats:
    """ln of 1 / (1 + 1 / e^l)."""
    return -np.logaddexp(0.0, -log_ratio)


def _log_mean(log_values: Floats) -> float:
    return float(logsumexp(log_values) - np.log(log_values.size))


def _relative_error(log_values: Floats) -> float:
    """Standard error of the mean over walkers of the walkers' means, over that mean."""
    means = np.exp(log_values - log_values.max()).mean(axis=0)
    n = len(means)
    return float(means.std(ddof=1) / np.sqrt(n) / means.mean()) if n > 1 else np.inf
