"""How much better one backend is than another on the spectra that both answered, with the error of the pairs.

Numbers of a backend alone are those of the spectra that it answered: where it failed on the hard ones, they flatter it.
Here both are judged by the same ones. What is hard for both cancels, so that the error of a difference is mostly
smaller than that of either number.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from galfit_ml.benchmark.pairs import LEAST_PAIRS, Counts, common, drawn, galaxies, least_share_error, means
from galfit_ml.benchmark.report.curves import scored
from galfit_ml.benchmark.report.measures import Measure, mean, measure

if TYPE_CHECKING:
    import pandas as pd

RESAMPLED = 200
CLEAR = 2.0
"""Standard errors from which on a difference is called one."""

LEVELS = (50, 68, 90, 95)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Gain:
    """By how much the first of two backends is better, its standard error, and the spectra behind both."""

    value: float
    error: float
    n: int

    @property
    def sigma(self) -> float:
        """In standard errors, below 0 where the second is better; 0 where the two are the same, and the error is 0."""
        return self.value / self.error if self.error > 0 else 0.0

    @property
    def clear(self) -> bool:
        """Whether it is called a difference."""
        return abs(self.sigma) >= CLEAR


@dataclass(frozen=True, eq=False)
class _Pair:
    """Points [n] of two backends, the galaxy of each, and how often each galaxy is drawn [samples, n_galaxy]."""

    first: pd.DataFrame
    second: pd.DataFrame
    units: NDArray[np.int64]
    counts: Counts


class Gains:
    """Compares backends of one suite, two at a time.

    Args:
        points: of the suite, all backends; may be empty, and then nothing can be compared.
    """

    def __init__(self, points: pd.DataFrame) -> None:
        self.points = points
        self.backends = tuple(map(str, points["backend"].unique())) if len(points) else ()
        self.pair = cache(self._pair)

    def _pair(self, first: str, second: str) -> _Pair | None:
        if not {first, second} <= set(self.backends):
            return None
        one, two = common(self.points, first, second)
        if len(one) < LEAST_PAIRS:
            return None
        units = galaxies(one)
        return _Pair(one, two, units, drawn(units, RESAMPLED, np.random.default_rng(2)))

    def gain(self, first: str, second: str, what: tuple[str, str], direction: str) -> Gain | None:
        """Of a metric; None of fewer than `LEAST_PAIRS` spectra, or where points do not hold the numbers behind it.

        Args:
            first, second: backends.
            what: metric and parameter.
            direction: of the metric, as in the rows.
        """
        pair = self.pair(first, second)
        if pair is None:
            return None
        one, two = measure(pair.first, *what), measure(pair.second, *what)
        if one is None or two is None:
            return None
        both = _paired(one, two)
        enough = np.isfinite(both[:, 0]).sum() >= LEAST_PAIRS
        return self._gain(pair, one, both, direction) if enough else None

    @staticmethod
    def _gain(pair: _Pair, one: Measure, both: Floats, direction: str) -> Gain:
        known = both[np.isfinite(both[:, 0])]
        value = scored(one.statistic(known[:, 0]), direction) - scored(one.statistic(known[:, 1]), direction)
        least = least_share_error(*known.T) if one.share else 0.0
        told = np.array(list(_samples(pair, one, both, direction)))
        told = told[np.isfinite(told)]
        error = float(told.std(ddof=1)) if len(told) > 1 else math.nan
        return Gain(value, max(error, least), len(known))

    def calibration(self, first: str, second: str, parameters: Sequence[str]) -> Gain | None:
        """Of the mean distance of coverage from its level, over all levels and those parameters that both have."""
        pair = self.pair(first, second)
        hits = [] if pair is None else _hits((pair.first, pair.second), parameters)
        if pair is None or not hits:
            return None
        level = np.array([own.level for own in hits])
        both = np.stack([own.hits for own in hits], axis=1)
        n = int(np.isfinite(both[:, :, 0]).sum(axis=0).min())
        if n < LEAST_PAIRS:
            return None
        once = np.ones((1, pair.counts.shape[1]), dtype=np.int32)
        value, told = (
            np.subtract(*(_miss(means(counts, pair.units, both[:, :, side]), level) for side in (1, 0)))
            for counts in (once, pair.counts)
        )
        return Gain(float(value[0]), float(np.nanstd(told, ddof=1)), n)


@dataclass(frozen=True, eq=False)
class _Hits:
    """Whether intervals of one level hold the truth: hits [n, 2] of two backends, NaN in both where either has none."""

    level: float
    hits: Floats


def _hits(frames: tuple[pd.DataFrame, pd.DataFrame], parameters: Sequence[str]) -> list[_Hits]:
    """Of every parameter and level that both frames have."""
    found = []
    for name, level in itertools.product(parameters, LEVELS):
        sides = [own for frame in frames if (own := measure(frame, f"coverage_{level}", name)) is not None]
        if len(sides) == len(frames):
            found.append(_Hits(level / 100, _paired(*sides)))
    return found


def _paired(first: Measure, second: Measure) -> Floats:
    """[n, 2] numbers of two backends, NaN in both where either has none."""
    both = np.stack([first.told, second.told], axis=1)
    both[~np.isfinite(both).all(axis=1)] = np.nan
    return both


def _miss(coverage: Floats, level: Floats) -> Floats:
    """[samples] mean distance of coverage [samples, k] from its level [k]."""
    return np.asarray(np.abs(coverage - level).mean(axis=1))


def _samples(pair: _Pair, one: Measure, both: Floats, direction: str) -> Iterable[float]:
    """The gain in every sample of galaxies."""
    if one.statistic is mean:
        for first, second in means(pair.counts, pair.units, both):
            yield scored(first, direction) - scored(second, direction)
        return
    for counts in pair.counts:
        drawn_again = np.repeat(both, counts[pair.units], axis=0)
        kept = drawn_again[np.isfinite(drawn_again[:, 0])]
        if len(kept):
            yield scored(one.statistic(kept[:, 0]), direction) - scored(one.statistic(kept[:, 1]), direction)
