"""Samples of two classes that are alike in covariates: what tells them apart is then not signal-to-noise."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galfit_ml.latent.checks import LatentError, as_features, in_classes, known_rows, same_length

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

CALIPER = 0.05
"""Largest difference of ranks, unless another is asked for."""


def matched_pairs(
    covariates: ArrayLike, labels: ArrayLike, classes: tuple[Any, Any], *, caliper: float = CALIPER, seed: int = 0
) -> tuple[Rows, Rows]:
    """Pairs of one spectrum of each class that are nearest in the ranks of the covariates, each used once.

    Greedy nearest-neighbour matching within a caliper (Rosenbaum & Rubin 1985, Am. Stat. 39, 33), the smaller class in
    random order. Ranks are among both classes together and run from 0 to 1, so that no covariate's unit or tail counts.

    Args:
        covariates: [n, k] or [n]; rows with NaN take no part.
        labels: [n].
        classes: the two labels.
        caliper: largest difference of ranks in any covariate.
        seed: of the order.

    Returns:
        rows of the first class and of the second, [m] each; the i-th of both make a pair.

    Raises:
        LatentError: a class is missing, no pair lies within the caliper, or lengths differ.
    """
    array = as_features(covariates, "covariates")
    same_length(len(array), labels=np.asarray(labels))
    if not 0 < caliper <= 1:
        raise LatentError(f"A caliper is a difference of ranks between 0 and 1, not {caliper}. Write {CALIPER}.")
    first, second = in_classes(labels, classes, known_rows(array), 1)
    ranks = _ranks(array, first | second)
    swapped = first.sum() > second.sum()
    few, many = (np.flatnonzero(side) for side in ((second, first) if swapped else (first, second)))
    pairs = _pairs(ranks, few, many, caliper, np.random.default_rng([seed, 66]))
    if not len(pairs):
        raise LatentError(
            f"No {classes[0]!r} and {classes[1]!r} lie within {caliper:g} of each other in the ranks of all "
            f"{array.shape[1]} covariates: the classes do not overlap there. Widen the caliper, or match in fewer."
        )
    return (pairs[:, 1], pairs[:, 0]) if swapped else (pairs[:, 0], pairs[:, 1])


def _pairs(ranks: Floats, few: Rows, many: Rows, caliper: float, rng: np.random.Generator) -> Rows:
    """[m, 2] rows of the smaller class and their partners."""
    free = np.ones(len(many), dtype=bool)
    found = []
    for row in rng.permutation(few):
        apart = np.abs(ranks[many] - ranks[row])
        distance = np.where(free & (apart <= caliper).all(axis=1), (apart**2).sum(axis=1), np.inf)
        nearest = int(distance.argmin())
        if np.isfinite(distance[nearest]):
            free[nearest] = False
            found.append((row, many[nearest]))
    return np.array(sorted(found), dtype=np.intp).reshape(-1, 2)


def _ranks(array: Floats, rows: NDArray[np.bool_]) -> Floats:
    """[n, k] mean ranks of the covariates among `rows`, 0 to 1; NaN elsewhere."""
    from scipy.stats import rankdata

    out = np.full(array.shape, np.nan)
    out[rows] = (rankdata(array[rows], axis=0) - 1) / max(int(rows.sum()) - 1, 1)
    return out


def imbalance(covariates: ArrayLike, first: Rows, second: Rows) -> Floats:
    """Standardised difference [k] of the means of covariates [n, k] between two samples of rows.

    In units of the root mean square of their standard deviations; below 0.1 two samples count as balanced (Austin
    2009, Stat. Med. 28, 3083).
    """
    array = as_features(covariates, "covariates")
    one, other = array[first], array[second]
    width = np.sqrt(0.5 * (np.nanvar(one, axis=0) + np.nanvar(other, axis=0)))
    return np.asarray((np.nanmean(other, axis=0) - np.nanmean(one, axis=0)) / np.where(width > 0, width, 1.0))
