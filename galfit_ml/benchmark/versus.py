"""Backends against one of them on the same spectra, with errors of the pairs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from galfit_ml.benchmark.pairs import (
    LEAST_PAIRS,
    Floats,
    common,
    drawn,
    galaxies,
    least_share_error,
    means,
    tells_redshifts,
)
from galfit_ml.benchmark.scoring import Bin, bins_of
from galfit_ml.benchmark.suite import Suite
from galfit_ml.benchmark.table import Row
from galfit_ml.parameters import GALAXY

BASELINE = "emcee"

OVER, MINUS = "_over_", "_minus_"
"""Between metric and baseline: of a ratio, and of a difference."""

RESAMPLED = 400


def versus(suite: Suite, points: pd.DataFrame, baseline: str = BASELINE) -> Iterator[Row]:
    """Mean CRPS of each parameter over the baseline's and redshift success minus the baseline's, in every bin.

    Scores are those of the spectra that both answered, redshifts those that both were asked: no answer is a wrong one.
    Ratios and differences of fewer than `LEAST_PAIRS` spectra are left out. Errors are from a bootstrap of galaxies;
    that of a ratio r is r times the error of ln r, which is the same whichever of the two is above the line: a ratio is
    away from 1 by ln(r) r / error standard errors.

    Args:
        suite: whose bins they are.
        points: of several backends.
        baseline: whose number is the denominator, or is subtracted.
    """
    if "backend" not in points or baseline not in set(points["backend"]):
        return
    for name in map(str, points["backend"].unique()):
        if name == baseline:
            continue
        ours, theirs = common(points, name, baseline)
        redshifts = all(tells_redshifts(points[points["backend"] == one]) for one in (name, baseline))
        for one in bins_of(ours, suite):
            if one.rows.sum() >= LEAST_PAIRS:
                pair = _Pair((suite.name, name, baseline), one, ours[one.rows], theirs[one.rows])
                yield from (row for row in pair.rows() if redshifts or MINUS not in row.metric)


class _Pair:
    """A backend and the baseline in one bin."""

    def __init__(self, names: tuple[str, str, str], own: Bin, first: pd.DataFrame, second: pd.DataFrame) -> None:
        self.names, self.bin, self.frames = names, own, (first, second)
        self.units = galaxies(first)
        self.counts = drawn(self.units, RESAMPLED, np.random.default_rng(1))

    def rows(self) -> Iterator[Row]:
        """All there are."""
        right = self._both("right")
        right[~np.isfinite(self.frames[0]["true_redshift"].to_numpy(dtype=np.float64))] = (
            np.nan
        )  # neither right nor wrong
        yield from self._difference(right)
        for name in GALAXY.names:
            if all(f"crps_{name}" in frame for frame in self.frames):
                yield from self._ratio(name, self._both(f"crps_{name}"))

    def _both(self, column: str) -> Floats:
        """[n, 2] a column of both; NaN in both where either has none."""
        found = np.stack([frame[column].to_numpy(dtype=np.float64) for frame in self.frames], axis=1)
        found[~np.isfinite(found).all(axis=1)] = np.nan
        return found

    def _ratio(self, parameter: str, pair: Floats) -> Iterator[Row]:
        n = int(np.isfinite(pair[:, 0]).sum())
        if n < LEAST_PAIRS:
            return
        first, second = np.nanmean(pair, axis=0)
        if not (first > 0 and second > 0):
            return
        told = means(self.counts, self.units, pair)
        told = told[(told > 0).all(axis=1)]
        error = float(np.log(told[:, 0] / told[:, 1]).std(ddof=1)) if len(told) > 1 else np.nan
        ratio = float(first / second)
        yield self._row(parameter, f"crps{OVER}", ratio, error=ratio * error, n=n, direction="lower")

    def _difference(self, pair: Floats) -> Iterator[Row]:
        known = np.isfinite(pair[:, 0])
        n = int(known.sum())
        if n < LEAST_PAIRS:
            return
        told = means(self.counts, self.units, pair)
        error = max(float(np.nanstd(told[:, 0] - told[:, 1], ddof=1)), least_share_error(*pair[known].T))
        value = float(np.subtract(*pair[known].mean(axis=0)))
        yield self._row("redshift", f"success{MINUS}", value, error=error, n=n, direction="higher")

    def _row(self, parameter: str, metric: str, value: float, **more: object) -> Row:
        suite, name, baseline = self.names
        place = {"axis": self.bin.axis, "bin": self.bin.label, "low": self.bin.low, "high": self.bin.high}
        return Row(suite, name, parameter, f"{metric}{baseline}", value, **place, **more)  # type: ignore[arg-type]
