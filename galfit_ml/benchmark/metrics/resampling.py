"""Bootstrap errors, and the comparison of two backends on the same spectra (Efron & Tibshirani 1993, ch. 6, 8, 13)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galfit_ml.benchmark.metrics.galaxies import Galaxies
from galfit_ml.benchmark.metrics.missing import Floats, complete

Statistic = Callable[..., float]
"""Called with arrays [n, ...] of the same rows, returns a number."""

How = Literal["difference", "ratio"]


def bootstrap(
    function: Statistic,
    arrays: Sequence[ArrayLike],
    n: int,
    rng: np.random.Generator,
    *,
    galaxies: ArrayLike | None = None,
) -> float:
    """Standard error of `function(*arrays)`: its spread over n samples of the rows, drawn with replacement.

    Where several rows are of one galaxy, galaxies are drawn, each with all its rows (Davison & Hinkley 1997, Bootstrap
    Methods and their Application, sec. 3.8).

    Rows stay together across arrays. They are passed on as they are, NaN too: the functions of this package leave it
    out. Samples for which the function is not finite are left out; NaN where fewer than two are left, or no row.

    Args:
        function: of the arrays.
        arrays: each [m, ...], m spectra; numbers per spectrum rather than draws, for the rows are copied n times.
        n: samples; 200 give the error to 5 %.
        rng: takes a number for each row, or galaxy, and sample.
        galaxies: [m] a label, the same for all rows of a galaxy; by default each row is of another.

    Raises:
        ValueError: arrays of different length, or fewer than two samples.
    """
    rows = _rows(arrays if galaxies is None else [*arrays, galaxies])[: len(arrays)]
    _check(n)
    if not len(rows[0]):
        return np.nan
    samples = _samples(len(rows[0]), rng, n, galaxies)
    told = np.array([function(*(one[index] for one in rows)) for index in samples], dtype=float)
    told = told[np.isfinite(told)]
    return float(told.std(ddof=1)) if len(told) > 1 else np.nan


@dataclass(frozen=True)
class Comparison:
    """A statistic of one backend minus, or over, that of another on the same spectra.

    Args:
        value: difference or ratio.
        error: bootstrap standard error.
        low, high: percentile interval.
        p_value: two-sided, of no difference (a ratio of 1); not below 2 / (number of samples + 1).
        n: spectra compared.
        left_out: spectra left out because a number of either backend is missing.
    """

    value: float
    error: float
    low: float
    high: float
    p_value: float
    n: int
    left_out: int


def paired_bootstrap(
    function: Statistic,
    first: Sequence[ArrayLike],
    second: Sequence[ArrayLike],
    rng: np.random.Generator,
    *,
    n: int = 1000,
    how: How = "difference",
    confidence: float = 0.95,
) -> Comparison:
    """Compare `function(*first)` with `function(*second)`: one statistic of two backends, row by row the same spectra.

    Each sample takes the same spectra for both, so that what is hard for both cancels. The p-value inverts the
    percentile interval: twice the smaller share of samples on either side of equality, each counted with one more.
    A spectrum with a missing number in any array of either is left out for both; give what failed as a wrong answer
    where failing must count, as `is_right` does.

    Args:
        function: of the arrays of one backend.
        first, second: arrays [m, ...] of either backend.
        rng: takes m numbers for each sample.
        n: samples; those for which the result is not finite are left out.
        how: first minus second, or first over second (for statistics above 0).
        confidence: of the interval.

    Raises:
        ValueError: arrays of different length, fewer than two samples, or a `confidence` not between 0 and 1.
    """
    one, two = _rows(first), _rows(second)
    _check(n, confidence, how)
    whole = complete(*one, *two)
    one, two = [values[whole] for values in one], [values[whole] for values in two]
    m, left_out = int(whole.sum()), int((~whole).sum())
    if not m:
        return Comparison(np.nan, np.nan, np.nan, np.nan, np.nan, 0, left_out)

    def result(index: NDArray[np.int64]) -> float:
        left, right = (float(function(*(values[index] for values in side))) for side in (one, two))
        return _compared(left, right, how)

    told = np.array([result(index) for index in _samples(m, rng, n)])
    value = result(np.arange(m))
    return Comparison(
        value, *_summary(told[np.isfinite(told)], 0.0 if how == "difference" else 1.0, confidence), m, left_out
    )


def _compared(first: float, second: float, how: How) -> float:
    if how == "difference":
        return first - second
    return first / second if second else np.nan


def _summary(told: Floats, equal: float, confidence: float) -> tuple[float, float, float, float]:
    """Error, low, high and p-value of bootstrapped results."""
    if len(told) < 2:
        return np.nan, np.nan, np.nan, np.nan
    low, high = np.quantile(told, [0.5 - confidence / 2, 0.5 + confidence / 2])
    fewer = 1 + min(int((told <= equal).sum()), int((told >= equal).sum()))
    return float(told.std(ddof=1)), float(low), float(high), min(1.0, 2 * fewer / (len(told) + 1))


def _rows(arrays: Sequence[ArrayLike]) -> list[NDArray[Any]]:
    rows = [np.asarray(one) for one in arrays]
    if not rows or any(one.ndim == 0 or len(one) != len(rows[0]) for one in rows):
        raise ValueError(f"Needs arrays of the same number of rows, not shapes {[one.shape for one in rows]}.")
    return rows


def _check(n: int, confidence: float = 0.95, how: str = "difference") -> None:
    if n < 2 or not 0 < confidence < 1 or how not in {"difference", "ratio"}:
        raise ValueError(
            f"A bootstrap needs n >= 2 samples, 0 < confidence < 1 and how 'difference' or 'ratio', not {n}, "
            f"{confidence} and {how!r}."
        )


def _samples(m: int, rng: np.random.Generator, n: int, labels: ArrayLike | None = None) -> Iterator[NDArray[np.int64]]:
    galaxies = None if labels is None else Galaxies.of(labels)
    if galaxies is None or galaxies.single:
        return (rng.integers(m, size=m) for _ in range(n))
    return (galaxies.sample(rng) for _ in range(n))
