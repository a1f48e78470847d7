"""From points to rows: accuracy, calibration and what else is measured, in every bin of a suite."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galfit_ml.benchmark.answers import Answers
from galfit_ml.benchmark.metrics import (
    OUTLIER_LIMITS,
    SUCCESS,
    Share,
    bootstrap,
    coverage,
    half_width,
    is_right,
    ks_distance,
    nmad,
    pit_histogram,
    pull_width,
    retention_curve,
    success,
    tarp,
)
from galfit_ml.benchmark.points import LEAST_REDSHIFT
from galfit_ml.benchmark.suite import Suite
from galfit_ml.benchmark.table import Row
from galfit_ml.parameters import GALAXY

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

LEVELS = (0.5, 0.68, 0.9, 0.95)
LEAST = 5
"""Spectra below which a bin has no rows."""

UNCHANGED = "as simulated"
"""How the part is called to whose spectra nothing is done."""

LEAST_RANKS = 20
"""Spectra below which the distribution of levels is not judged."""

STAR_FORMING = -10.5
"""log sSFR, 1/yr, above which the star-formation rate is a number rather than a limit."""

LEAST_POSITIVE = 1e-3
"""Of parameters whose logarithm is taken; below all that a prior allows."""

PIT_BINS = 20
KEPT = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
RESAMPLED = 200


@dataclass(frozen=True)
class Bin:
    """Some of the spectra.

    Args:
        axis, label, low, high: as in `Row`.
        rows: [n] which.
    """

    axis: str
    label: str
    low: float
    high: float
    rows: Mask


def bins_of(points: pd.DataFrame, suite: Suite) -> list[Bin]:
    """Everything; the bins of each axis; one for each value of a split column, and of the parts where they have names.

    A split such as "exposure and class" is crossed with the first axis of the suite, as published series are.
    """
    everything = Bin("all", "all", np.nan, np.nan, np.ones(len(points), dtype=bool))
    found = [everything]
    for axis in suite.bins:
        found += _numeric(points, axis, suite.bins[axis], everything)
    for column in (*suite.split, "part"):
        if column not in points:
            continue
        values = [v for v in points[column].unique() if v]
        if column == "part" and len(values) == 1 and len(suite.parts) <= 1:
            continue
        label = {"none": UNCHANGED} if column == "part" else {}
        own = [Bin(column, label.get(v, str(v)), np.nan, np.nan, (points[column] == v).to_numpy()) for v in values]
        found += own
        if " and " in column:
            axis = next(iter(suite.bins))
            found += [b for one in own for b in _numeric(points, axis, suite.bins[axis], one)]
    return [one for one in found if one.rows.sum() >= LEAST]


def _numeric(points: pd.DataFrame, axis: str, edges: tuple[float, ...], inside: Bin) -> Iterator[Bin]:
    values = points["true_redshift" if axis == "redshift" else axis].to_numpy(dtype=np.float64)
    for low, high in itertools.pairwise(edges):
        label = f"{low:g}-{high:g}" if inside.axis == "all" else f"{inside.label}, {low:g}-{high:g}"
        rows = inside.rows & (values >= low) & (values < high)
        yield Bin(axis if inside.axis == "all" else f"{axis}: {inside.label}", label, low, high, rows)


class Scorer:
    """Makes the rows of one backend in one suite.

    Args:
        suite, backend: of the rows.
        points: from `points_of`.
    """

    def __init__(self, suite: Suite, backend: str, points: pd.DataFrame) -> None:
        self.suite, self.backend, self.points = suite, backend, points
        self.blank = Row(suite.name, backend, "", "", np.nan)
        self.names = [name for name in GALAXY.names if f"level_{name}" in points]

    def rows(self, answers: Answers | None = None) -> Iterator[Row]:
        """All rows; those of TARP need the answers."""
        for own in bins_of(self.points, self.suite):
            part = self.points[own.rows]
            yield from self._redshift(part, own)
            for name in self.names:
                yield from self._parameter(part, own, name)
            yield self._row(own, "", "flagged", float((part["flags"] != 0).mean()), n=len(part))
        yield from self._retention()
        yield from self._pit()
        if answers is not None:
            yield from self._tarp(answers)

    def _row(self, own: Bin, parameter: str, metric: str, value: float, **more: object) -> Row:
        place = {"axis": own.axis, "bin": own.label, "low": own.low, "high": own.high}
        return replace(self.blank, parameter=parameter, metric=metric, value=value, **place, **more)  # type: ignore[arg-type]

    def _measured(self, own: Bin, parameter: str, metric: str, function: Callable[..., float], *arrays: Floats) -> Row:
        """A row with its bootstrap error."""
        rng = np.random.default_rng(1)
        error = bootstrap(function, arrays, RESAMPLED, rng)
        unit, direction = described(parameter, metric)
        n = len(arrays[0])
        return self._row(own, parameter, metric, function(*arrays), error=error, n=n, unit=unit, direction=direction)

    def _share(self, own: Bin, parameter: str, metric: str, share: Share) -> Row:
        _, direction = described(parameter, metric)
        return self._row(own, parameter, metric, share.value, error=share.error, n=share.n, direction=direction)

    def _redshift(self, part: pd.DataFrame, own: Bin) -> Iterator[Row]:
        true = part["true_redshift"].to_numpy(dtype=np.float64)
        known = np.isfinite(true)
        true, best = true[known], part["best_redshift"].to_numpy(dtype=np.float64)[known]
        if len(true) < LEAST:
            return
        for metric, tolerance in SUCCESS.items():
            yield self._share(own, "redshift", metric, success(best, true, tolerance))
        yield self._share(own, "redshift", "outliers", Share.of(~is_right(best, true)))
        right = ((best - true) / (1 + true))[is_right(best, true)]
        if len(right) >= LEAST:
            yield self._measured(own, "redshift", "nmad", nmad, right)
            yield self._measured(own, "redshift", "bias", np.median, right)

    def _parameter(self, part: pd.DataFrame, own: Bin, name: str) -> Iterator[Row]:
        columns = [part[f"{what}_{name}"].to_numpy(dtype=np.float64) for what in ("true", "median", "level", "crps")]
        good = np.all(np.isfinite(columns), axis=0)
        if good.sum() < LEAST:
            return
        true, median, level, score = (column[good] for column in columns)
        half = 0.5 * (part[f"high_{name}"] - part[f"low_{name}"]).to_numpy(dtype=np.float64)[good]
        yield self._measured(own, name, "crps", np.mean, score)
        yield self._measured(own, name, "sharpness", np.median, half)
        yield from self._calibration(own, name, level, part["hpd_redshift"].to_numpy(dtype=np.float64)[good])
        if name != "redshift":
            right = part["right"].to_numpy()[good]
            if name == "log_sfr" and "log_ssfr" in part:
                right = right & (part["log_ssfr"].to_numpy(dtype=np.float64)[good] > STAR_FORMING)
            yield from self._errors(own, name, (median - true)[right])

    def _calibration(self, own: Bin, name: str, level: Floats, hpd: Floats) -> Iterator[Row]:
        for wanted in LEVELS:
            yield self._share(own, name, f"coverage_{100 * wanted:g}", coverage(level, wanted))
        if name == "redshift":
            yield self._share(own, name, "coverage_hpd_68", coverage(hpd, 0.68, kind="highest-density"))
        if len(level) >= LEAST_RANKS:
            yield self._measured(own, name, "pit_ks", ks_distance, level)
            yield self._measured(own, name, "pull_width", pull_width, level)

    def _errors(self, own: Bin, name: str, dx: Floats) -> Iterator[Row]:
        """Of medians where the redshift is right; of the star-formation rate, where there is star formation."""
        if len(dx) < LEAST:
            return
        yield self._measured(own, name, "bias", np.median, dx)
        yield self._measured(own, name, "scatter", half_width, dx)
        if name in OUTLIER_LIMITS:
            yield self._share(own, name, "outliers", Share.of(np.abs(dx) > OUTLIER_LIMITS[name]))

    def _retention(self) -> Iterator[Row]:
        known = np.isfinite(self.points["true_redshift"])  # those without an answer are kept last
        part = self.points[known]
        if len(part) < LEAST_RANKS:
            return
        score, right = (part[c].to_numpy(dtype=np.float64) for c in ("redshift_probability", "right"))
        for kept, found in zip(KEPT, retention_curve(score, right > 0.5, KEPT), strict=True):
            own = Bin("retention", f"{kept:.0%}", kept, kept, known.to_numpy())
            yield self._share(own, "redshift", "retention", found)

    def _pit(self) -> Iterator[Row]:
        for name in self.names:
            level = self.points[f"level_{name}"].to_numpy(dtype=np.float64)
            level = level[np.isfinite(level)]
            if len(level) < LEAST_RANKS:
                continue
            edges, density, error = pit_histogram(level, PIT_BINS)
            for k in range(PIT_BINS):
                own = Bin("level", f"{edges[k]:.2f}-{edges[k + 1]:.2f}", edges[k], edges[k + 1], level > -1)
                more = {"error": float(error[k]), "n": len(level), "direction": "target:1"}
                yield self._row(own, name, "pit", float(density[k]), **more)

    def _tarp(self, answers: Answers) -> Iterator[Row]:
        names = [p for p in answers.names if p in answers.truth and p in GALAXY.names]
        if not names:
            return
        truth = np.stack([scaled(p, answers.truth[p]) for p in names], axis=1)
        draws = np.stack([scaled(p, answers.draws[:, :, answers.names.index(p)]) for p in names], axis=2)
        good: Mask = np.asarray(np.isfinite(truth).all(axis=1) & np.isfinite(draws).all(axis=(1, 2)))
        if good.sum() < LEAST_RANKS:
            return
        level = tarp(draws[good], truth[good], np.random.default_rng(3))
        own = Bin("all", "all", np.nan, np.nan, good)
        yield self._measured(own, "all", "tarp_ks", ks_distance, level)


def scaled(name: str, values: NDArray[np.floating]) -> Floats:
    """Parameters as distances are taken in: redshift as ln(1 + z), positive ones as logarithms."""
    value = np.asarray(values, dtype=np.float64)
    if name == "redshift":
        return np.log1p(np.maximum(value, LEAST_REDSHIFT))
    return np.log(np.maximum(value, LEAST_POSITIVE)) if name in {"gas_metallicity", "velocity_dispersion"} else value


def described(parameter: str, metric: str) -> tuple[str, str]:
    """Unit and direction of a metric of a parameter."""
    if metric in {"success", "success_abs_0.01", "success_0.01", "retention"}:
        return "", "higher"
    if metric.startswith("coverage_"):
        return "", f"target:{float(metric.rpartition('_')[2]) / 100:g}"
    if metric in {"outliers", "pit_ks", "tarp_ks"}:
        return "", "lower"
    if metric == "pull_width":
        return "", "target:1"
    unit = "" if parameter == "redshift" or parameter not in GALAXY.names else GALAXY[parameter].column_unit
    return unit, "target:0" if metric == "bias" else "lower"
