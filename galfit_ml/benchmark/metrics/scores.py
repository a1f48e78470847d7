"""Scores of draws against the truth, in the parameter's unit."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from galfit_ml.benchmark.metrics.missing import Ensemble, Floats


def crps(draws: ArrayLike, truth: ArrayLike, *, fair: bool = True) -> Floats:
    """Continuous ranked probability score of an ensemble; smaller is better, exact up to rounding.

    CRPS = `E|X - y| - E|X - X'| / 2` for draws X, X' and truth y (Gneiting & Raftery 2007, JASA 102, 359, eq. 21, with
    the sign turned). Over s sorted draws the sum of `|x_i - x_j|` is that of 2 (2 i - s - 1) x_(i): one sort does it.
    The *plain* estimator takes the mean of `|X - X'|` over all s^2 pairs and is the score of the ensemble's own step
    function. It grows as s falls; the *fair* one takes the s (s - 1) pairs of different draws, and its expectation is
    the score of the posterior that was drawn from, whatever s (Ferro 2014, QJRMS 140, 1917; Zamo & Naveau 2018,
    Math. Geosci. 50, 209), so that backends with different numbers of draws compare. A single fair score may be
    slightly negative.

    Args:
        draws: [..., s] posterior draws of equal weight.
        truth: [...] true values, same unit.
        fair: the fair estimator, or the plain one.

    Returns:
        [...] scores in the parameter's unit; NaN where the truth or any draw is not finite. Needs the memory of the
        draws once more.

    Raises:
        ValueError: shapes that do not belong together, no draw, or a fair score of one draw.

    >>> float(crps([0.0, 1.0], 0.0)), float(crps([0.0, 1.0], 0.0, fair=False))
    (0.0, 0.25)
    """
    given = Ensemble.of(draws, truth)
    s = given.draws.shape[-1]
    if fair and s < 2:
        raise ValueError("The fair CRPS needs at least 2 draws. fair=False gives the absolute error of a single one.")
    away = given.draws - given.truth[..., None]
    away.sort(axis=-1)
    spread = away @ (2.0 * np.arange(1, s + 1) - s - 1) / (s * (s - 1 if fair else s))
    return given.filled(np.abs(away, out=away).mean(axis=-1) - spread)


def interval_half_width(draws: ArrayLike, level: float = 0.68) -> Floats:
    """[...] half the width of the equal-tailed interval of draws [..., s], in their unit; its median is the sharpness.

    NaN where any draw is not finite.

    Raises:
        ValueError: `level` is not between 0 and 1, or there is no draw.
    """
    if not 0 < level < 1:
        raise ValueError(f"A credible level lies between 0 and 1, got {level}. Write 0.68 for 68 %.")
    sample = np.asarray(draws, dtype=np.float64)
    given = Ensemble.of(sample, np.zeros(sample.shape[:-1]))
    low, high = np.quantile(given.draws, [0.5 - level / 2, 0.5 + level / 2], axis=-1)
    return given.filled(0.5 * (high - low))
