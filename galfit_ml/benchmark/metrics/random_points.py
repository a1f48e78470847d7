"""TARP: coverage of the joint posterior of several parameters, tested with random points."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galfit_ml.benchmark.metrics.levels import pit_level
from galfit_ml.benchmark.metrics.missing import Floats, complete


def tarp(
    draws: ArrayLike, truth: ArrayLike, rng: np.random.Generator, *, references: ArrayLike | None = None
) -> Floats:
    """Share of the draws nearer to a random point than the truth is, all parameters together; uniform if calibrated.

    Tests of Accuracy with Random Points (Lemos et al. 2023, arXiv:2302.03026): the draws nearer than the truth are the
    credibility of the region around the point that just holds the truth. Distances are Euclidean, each parameter in
    units of the range of its truths, and one reference per spectrum is uniform over these ranges. Levels are randomised
    as in `pit_level`. Overconfident and biased posteriors give too many levels near 0 and 1, underconfident ones too
    many near 1/2. References that know nothing of the data cannot tell a posterior from the prior, which is calibrated
    too: read it beside the CRPS.

    Args:
        draws: [n, s, p] joint draws of p parameters. Give the parameters that the backend reports, and those whose
            values span decades as logarithms.
        truth: [n, p] true values, same units.
        rng: takes the references, p numbers a row, then one number a row.
        references: [n, p] points to take instead, in the parameters' units.

    Returns:
        [n] levels; NaN where any number of the row is not finite. Parameters with one and the same truth in all rows do
        not count; NaN everywhere where there is no other.

    Raises:
        ValueError: shapes that do not belong together.
    """
    sample, value = np.asarray(draws, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if sample.ndim != 3 or value.shape != (sample.shape[0], sample.shape[2]):
        raise ValueError(f"Draws must be [n, s, p] and the truth [n, p], not {sample.shape} and {value.shape}.")
    whole = complete(sample, value)
    low, span = _range(value[whole])
    point = low + rng.random(value.shape) * span if references is None else np.asarray(references, dtype=np.float64)
    if point.shape != value.shape:
        raise ValueError(f"References must be [n, p] like the truth, {value.shape}, not {point.shape}.")
    moving = np.flatnonzero(span > 0)
    scale = 1 / span[moving]
    nearer = _squared_distance(sample, point[:, None], moving, scale)
    own = _squared_distance(value, point, moving, scale)
    return pit_level(nearer, np.where(whole & (len(moving) > 0), own, np.nan), rng)


def _range(truth: Floats) -> tuple[Floats, Floats]:
    """Lowest truth and range [p] each; zeros where there is no row."""
    if not len(truth):
        return np.zeros(truth.shape[1]), np.zeros(truth.shape[1])
    return np.asarray(truth.min(axis=0)), np.asarray(np.ptp(truth, axis=0))


def _squared_distance(values: Floats, point: Floats, columns: NDArray[np.intp], scale: Floats) -> Floats:
    """[n] or [n, s] from values [..., p] to points, over some columns, one at a time to spare memory."""
    out = np.zeros(values.shape[:-1])
    for column, unit in zip(columns, scale, strict=True):
        out += ((values[..., column] - point[..., column]) * unit) ** 2
    return out
