"""Shares of spectra with their errors, and coverage."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv

from galfit_ml.benchmark.metrics.levels import checked_levels
from galfit_ml.benchmark.metrics.missing import Bools, known


@dataclass(frozen=True)
class Share:
    """A share of n spectra.

    Args:
        value: hits / n; NaN where n is 0.
        error: binomial standard error, from the share (hits + 1/2) / (n + 1) and n + 2 spectra: the spread of Jeffreys'
            posterior, which is not 0 where all or none are hits.
        low, high: Jeffreys' interval (Brown, Cai & DasGupta 2001, Stat. Sci. 16, 101, sec. 3.1): equal tails of the
            beta distribution of hits + 1/2 and n - hits + 1/2; 0 and 1 included where there is no hit or no miss.
        n: spectra counted.
        left_out: spectra left out because a number is missing.
    """

    value: float
    error: float
    low: float
    high: float
    n: int
    left_out: int = 0

    @classmethod
    def of_count(cls, hits: float, n: int, *, left_out: int = 0, confidence: float = 0.95) -> Self:
        """From a number of hits among n; expected numbers need not be whole.

        Raises:
            ValueError: hits outside 0 .. n, or `confidence` not between 0 and 1.
        """
        if not 0 <= hits <= n or not 0 < confidence < 1:
            raise ValueError(f"Needs 0 <= hits <= n and 0 < confidence < 1, not {hits}, {n} and {confidence}.")
        if n == 0:
            return cls(np.nan, np.nan, np.nan, np.nan, 0, left_out)
        return cls(float(hits / n), *_jeffreys(hits, n, 0.5 * (1 - confidence)), n, left_out)

    @classmethod
    def of(cls, hits: ArrayLike, *, confidence: float = 0.95) -> Self:
        """From hits [n], True or 1, False or 0; NaN is left out and counted.

        Raises:
            ValueError: other numbers, or `confidence` not between 0 and 1.
        """
        told = known(hits)
        if not np.isin(told, (0.0, 1.0)).all():
            raise ValueError("Hits must be True, False or NaN.")
        return cls.of_count(int(told.sum()), len(told), left_out=np.size(hits) - len(told), confidence=confidence)

    def thinned(self, effect: float, *, confidence: float = 0.95) -> Self:
        """The same share of the same spectra, with the errors of n / `effect` independent ones (`design_effect`)."""
        if effect == 1 or self.n == 0:
            return self
        n, middle, tail = self.n / effect, self.value * self.n / effect, 0.5 * (1 - confidence)
        error, low, high = _jeffreys(middle, n, tail)
        return replace(self, error=error, low=low, high=high)


def _jeffreys(hits: float, n: float, tail: float) -> tuple[float, float, float]:
    """Error, low and high of a share; `tail` is the probability beyond either end."""
    middle = (hits + 0.5) / (n + 1)
    low = 0.0 if hits == 0 else float(betaincinv(hits + 0.5, n - hits + 0.5, tail))
    high = 1.0 if hits == n else float(betaincinv(hits + 0.5, n - hits + 0.5, 1 - tail))
    return float(np.sqrt(middle * (1 - middle) / (n + 2))), low, high


Kind = Literal["equal-tailed", "highest-density"]
"""Which region of a probability p holds a truth of level u: |u - 1/2| < p/2, or u < p."""


def coverage(levels: ArrayLike, wanted: float, *, kind: Kind = "equal-tailed", confidence: float = 0.95) -> Share:
    """How often regions of credibility `wanted` hold the truth; to be compared with `wanted`.

    Args:
        levels: [n]; those of `pit_level` for equal-tailed intervals, of `hpd_level` or `tarp` for the regions they rank
            ("highest-density"). NaN is left out and counted.
        wanted: between 0 and 1.
        kind: which region.
        confidence: of `Share.low` and `Share.high`.

    Raises:
        ValueError: a level outside [0, 1], `wanted` or `confidence` not between 0 and 1, or another kind.

    >>> coverage([0.1, 0.4, 0.6, 0.95, float("nan")], 0.68).value
    0.5
    """
    held = holds(levels, wanted, kind=kind)
    left_out = int(np.size(levels)) - len(held)
    return Share.of_count(int(held.sum()), len(held), left_out=left_out, confidence=confidence)


def holds(levels: ArrayLike, wanted: float, *, kind: Kind = "equal-tailed") -> Bools:
    """[n'] which regions of credibility `wanted` hold the truth, of the levels that are known; as `coverage`."""
    if not 0 < wanted < 1 or kind not in {"equal-tailed", "highest-density"}:
        raise ValueError(f"Needs 0 < wanted < 1 and kind 'equal-tailed' or 'highest-density', not {wanted}, {kind!r}.")
    told = checked_levels(levels)
    return np.asarray(np.abs(told - 0.5) < 0.5 * wanted if kind == "equal-tailed" else told < wanted)
