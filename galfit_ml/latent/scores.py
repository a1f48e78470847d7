"""How good out-of-fold answers are, and the same for bootstrap samples of the galaxies."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

WEIGHTS_AT_ONCE = 2_000_000
"""Weights held in memory at a time."""


def auc(score: Floats, positive: Bools, weights: Floats | None = None) -> Floats:
    """Area under the ROC curve: the probability that a positive scores higher than a negative, ties counted half.

    That is the Mann-Whitney statistic (Hanley & McNeil 1982, Radiology 143, 29).

    Args:
        score: [n].
        positive: [n] which are of the positive class.
        weights: [b, n] how often each row is taken; None takes each once.

    Returns:
        [b] areas.
    """
    count = np.ones((1, len(score))) if weights is None else weights
    _, place = np.unique(score, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    up, down = (np.add.reduceat(count[:, order] * side[order], starts, axis=1) for side in (positive, ~positive))
    below = np.cumsum(down, axis=1) - 0.5 * down
    return np.asarray((up * below).sum(axis=1) / (up.sum(axis=1) * down.sum(axis=1)))


def r2(prediction: Floats, truth: Floats, weights: Floats | None = None) -> Floats:
    """[b] coefficients of determination 1 - sum (y - p)^2 / sum (y - mean y)^2; arguments as in `auc`."""
    count = np.ones((1, len(truth))) if weights is None else weights
    total, centred = count.sum(axis=1), truth - truth.mean()  # sums of squares of large numbers would lose digits
    spread = count @ centred**2 - (count @ centred) ** 2 / total
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 0, 1.0 - count @ (truth - prediction) ** 2 / spread, np.nan)


def resampled(groups: NDArray[np.int64], n_samples: int, seed: int) -> Iterator[Floats]:
    """How often each row is in a bootstrap sample, [b, n] for b samples at a time; each group keeps its size.

    The same groups and seed make the same samples: differences of two scores are then paired.
    """
    rng = np.random.default_rng([seed, 55])
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    step = max(1, WEIGHTS_AT_ONCE // len(groups))
    for start in range(0, n_samples, step):
        out = np.zeros((min(step, n_samples - start), len(groups)))
        for sample in out:
            for rows in members:
                sample[rows] = np.bincount(rng.integers(len(rows), size=len(rows)), minlength=len(rows))
        yield out


def bootstrap_auc(score: Floats, positive: Bools, n_samples: int, seed: int) -> Floats:
    """[n_samples] areas of bootstrap samples of the rows, drawn within each class."""
    return np.concatenate([auc(score, positive, w) for w in resampled(positive.astype(np.int64), n_samples, seed)])


def bootstrap_r2(prediction: Floats, truth: Floats, n_samples: int, seed: int) -> Floats:
    """[n_samples] coefficients of determination of bootstrap samples of the rows; NaN where all rows are one."""
    everyone = np.zeros(len(truth), dtype=np.int64)
    return np.concatenate([r2(prediction, truth, w) for w in resampled(everyone, n_samples, seed)])
