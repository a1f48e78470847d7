"""From a posterior on the redshift grid to one answer: the centre of the most probable window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from galfit_ml_emcee.library.axis import ScanAxis

Floats = NDArray[np.float64]

SUCCESS = 0.0033
"""|dz| / (1 + z) below which a redshift counts as right, and half the width of the window."""


@dataclass(frozen=True, eq=False)
class Answers:
    """Redshifts of n spectra.

    Args:
        redshift: [n] centre of the most probable window of +-`SUCCESS` (1 + z).
        probability: [n] of that window.
        second, second_probability: [n] the same for the best window that does not overlap it.
    """

    redshift: Floats
    probability: Floats
    second: Floats
    second_probability: Floats


def probability(log_p: Floats) -> Floats:
    """Posterior probability of each grid redshift, [n, n_z]; rows add up to 1."""
    p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def answers(log_p: Floats, axis: ScanAxis) -> Answers:
    """Best windows of log posteriors [n, n_z] (any additive constant)."""
    p = probability(np.asarray(log_p, dtype=np.float64))
    reach = int(np.log1p(SUCCESS) / axis.step)
    inside = window_sums(p, reach)
    z = axis.redshifts
    rows = np.arange(len(p))
    best = inside.argmax(axis=1)
    away = np.abs(np.arange(len(z)) - best[:, None]) > 2 * reach
    others = np.where(away, inside, 0.0)
    second = others.argmax(axis=1)
    return Answers(_centre(p, best, reach, z), inside[rows, best], z[second], others[rows, second])


def window_sums(p: Floats, reach: int) -> Floats:
    """Sum of p [n, n_z] over the neighbours within `reach`, [n, n_z]."""
    n_z = p.shape[1]
    total = np.concatenate([np.zeros((len(p), 1)), np.cumsum(p, axis=1)], axis=1)
    index = np.arange(n_z)
    return total[:, np.minimum(index + reach + 1, n_z)] - total[:, np.maximum(index - reach, 0)]


def _centre(p: Floats, best: NDArray[np.intp], reach: int, z: Floats) -> Floats:
    """Mean redshift inside the best window, which is its centre where several windows hold the same peak."""
    out = np.empty(len(p))
    for row, middle in enumerate(best):
        part = slice(max(middle - reach, 0), middle + reach + 1)
        out[row] = np.average(z[part], weights=p[row, part])
    return out


def success(answer: Floats, truth: Floats) -> NDArray[np.bool_]:
    """True where |dz| / (1 + z) < `SUCCESS`, [n]."""
    return np.abs(answer - truth) < SUCCESS * (1.0 + truth)
