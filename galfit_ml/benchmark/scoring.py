"""From points to rows: accuracy, calibration and what else is measured, in every bin of a suite.

The galaxy is the unit: where a bin holds several spectra of one, as the exposures of `moonz-grid`, errors are those of
as many galaxies (`bootstrap` draws galaxies; shares have the `design_effect` of theirs), and n still counts spectra.
Suites whose parts are the same galaxies with something done to them have rows within their parts alone: a mean over
what was done means nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from galfit_ml.benchmark.answers import Answers
from galfit_ml.benchmark.described import described
from galfit_ml.benchmark.joint import joint_levels
from galfit_ml.benchmark.metrics import (
    OUTLIER_LIMITS,
    SUCCESS,
    Share,
    bootstrap,
    design_effect,
    half_width,
    holds,
    is_right,
    ks_by_chance,
    ks_distance,
    nmad,
    pit_histogram,
    pulls,
    retention_curve,
)
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

    A split such as "exposure and class" is crossed with the first axis of the suite, as published series are. Of a
    suite whose galaxies are repeated (`Suite.repeated`), the parts alone.
    """
    everything = Bin("all", "all", np.nan, np.nan, np.ones(len(points), dtype=bool))
    found = [] if suite.repeated else [everything]
    for axis in () if suite.repeated else suite.bins:
        found += _numeric(points, axis, suite.bins[axis], everything)
    for column in ("part",) if suite.repeated else (*suite.split, "part"):
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
        self.suite, self.backend = suite, backend
        self.points = points.assign(unit=pd.factorize(points["galaxy"])[0])
        self.blank = Row(suite.name, backend, "", "", np.nan)
        self.names = [name for name in GALAXY.names if f"level_{name}" in points]
        self.finds_redshifts = bool(points["gives_redshift"].any())

    def rows(self, answers: Answers | None = None) -> Iterator[Row]:
        """All rows; those of TARP need the answers."""
        for own in bins_of(self.points, self.suite):
            part = self.points[own.rows]
            yield self._share(own, "", "answered", ~part["failed"].to_numpy(dtype=bool), part)
            if self.finds_redshifts:
                yield from self._redshift(part, own)
            for name in self.names:
                yield from self._parameter(part, own, name)
            yield self._row(own, "", "flagged", float((part["flags"] != 0).mean()), n=len(part))
        if not self.suite.repeated:
            yield from self._retention()
            yield from self._pit()
        if answers is not None:
            yield from self._tarp(answers)

    def _row(self, own: Bin, parameter: str, metric: str, value: float, **more: object) -> Row:
        place = {"axis": own.axis, "bin": own.label, "low": own.low, "high": own.high}
        return replace(self.blank, parameter=parameter, metric=metric, value=value, **place, **more)  # type: ignore[arg-type]

    def _measured(
        self, own: Bin, named: tuple[str, str], function: Callable[..., float], values: Floats, part: pd.DataFrame
    ) -> Row:
        """A row of a parameter and metric with its bootstrap error, of values [n] of the n spectra of a part."""
        error = bootstrap(function, (values,), RESAMPLED, np.random.default_rng(1), galaxies=part["unit"].to_numpy())
        unit, direction = described(*named)
        return self._row(own, *named, function(values), error=error, n=len(values), unit=unit, direction=direction)

    def _share(self, own: Bin, parameter: str, metric: str, hits: ArrayLike, part: pd.DataFrame) -> Row:
        """A row of hits [n] among the n spectra of a part."""
        share = Share.of(hits).thinned(design_effect(hits, part["unit"].to_numpy()))
        return self._told(own, parameter, metric, share)

    def _told(self, own: Bin, parameter: str, metric: str, share: Share) -> Row:
        _, direction = described(parameter, metric)
        return self._row(own, parameter, metric, share.value, error=share.error, n=share.n, direction=direction)

    def _redshift(self, part: pd.DataFrame, own: Bin) -> Iterator[Row]:
        part = part[np.isfinite(part["true_redshift"])]
        if len(part) < LEAST:
            return
        true, best = (part[f"{what}_redshift"].to_numpy(dtype=np.float64) for what in ("true", "best"))
        for metric, tolerance in SUCCESS.items():
            yield self._share(own, "redshift", metric, is_right(best, true, tolerance), part)
        right = is_right(best, true)
        yield self._share(own, "redshift", "outliers", ~right, part)
        away = ((best - true) / (1 + true))[right]
        if len(away) >= LEAST:
            yield self._measured(own, ("redshift", "nmad"), nmad, away, part[right])
            yield self._measured(own, ("redshift", "bias"), np.median, away, part[right])

    def _parameter(self, part: pd.DataFrame, own: Bin, name: str) -> Iterator[Row]:
        part = part[np.isfinite(part[[f"{what}_{name}" for what in ("true", "median", "level", "crps")]]).all(axis=1)]
        if len(part) < LEAST:
            return
        true, median, low, high, score = (
            part[f"{what}_{name}"].to_numpy(dtype=np.float64) for what in ("true", "median", "low", "high", "crps")
        )
        yield self._measured(own, (name, "crps"), np.mean, score, part)
        yield self._measured(own, (name, "sharpness"), np.median, 0.5 * (high - low), part)
        yield from self._calibration(own, name, part)
        if name != "redshift":
            counted = self._counted(part, name)
            yield from self._errors(own, name, (median - true)[counted], part[counted])

    def _counted(self, part: pd.DataFrame, name: str) -> Mask:
        """[n] of which spectra the errors of a parameter count: those of wrong redshifts have no meaning."""
        counted = part["right"].to_numpy(dtype=bool) if self.finds_redshifts else np.ones(len(part), dtype=bool)
        if name == "log_sfr" and "log_ssfr" in part:
            counted = counted & (part["log_ssfr"].to_numpy(dtype=np.float64) > STAR_FORMING)
        return counted

    def _calibration(self, own: Bin, name: str, part: pd.DataFrame) -> Iterator[Row]:
        level = part[f"level_{name}"].to_numpy(dtype=np.float64)
        for wanted in LEVELS:
            yield self._share(own, name, f"coverage_{100 * wanted:g}", holds(level, wanted), part)
        if name == "redshift":
            known = part[np.isfinite(part["hpd_redshift"])]
            held = holds(known["hpd_redshift"], 0.68, kind="highest-density")
            yield self._share(own, name, "coverage_hpd_68", held, known)
        if len(level) >= LEAST_RANKS:
            yield from self._distance(own, (name, "pit_ks"), level, part)
            yield self._measured(own, (name, "pull_width"), half_width, pulls(level), part)

    def _distance(
        self, own: Bin, named: tuple[str, str], level: Floats, part: pd.DataFrame, reason: str = ""
    ) -> Iterator[Row]:
        """How far levels are from uniform, and how far they would be by chance (`error`: its spread)."""
        yield replace(self._measured(own, named, ks_distance, level, part), reason=reason)
        effect = np.mean([design_effect(level < tenth / 10, part["unit"].to_numpy()) for tenth in range(1, 10)])
        mean, spread = ks_by_chance(len(level) / float(effect))
        _, direction = described(*named)
        more = {"error": spread, "n": len(level), "direction": direction, "reason": reason}
        yield self._row(own, named[0], f"{named[1]}_chance", mean, **more)

    def _errors(self, own: Bin, name: str, dx: Floats, part: pd.DataFrame) -> Iterator[Row]:
        """Of medians where the redshift is right; of the star-formation rate, where there is star formation."""
        if len(dx) < LEAST:
            return
        yield self._measured(own, (name, "bias"), np.median, dx, part)
        yield self._measured(own, (name, "scatter"), half_width, dx, part)
        if name in OUTLIER_LIMITS:
            yield self._share(own, name, "outliers", np.abs(dx) > OUTLIER_LIMITS[name], part)

    def _retention(self) -> Iterator[Row]:
        part = self.points[np.isfinite(self.points["true_redshift"])]  # those without an answer are kept last
        if len(part) < LEAST_RANKS or not self.finds_redshifts:
            return
        score, right = part["redshift_probability"].to_numpy(dtype=np.float64), part["right"].to_numpy(dtype=bool)
        first = np.argsort(-np.where(np.isfinite(score), score, -np.inf), kind="stable")
        for kept, found in zip(KEPT, retention_curve(score, right, KEPT), strict=True):
            own = Bin("retention", f"{kept:.0%}", kept, kept, np.ones(len(self.points), dtype=bool))
            inside = first[: found.n]
            effect = design_effect(right[inside], part["unit"].to_numpy()[inside])
            yield self._told(own, "redshift", "retention", found.thinned(effect))

    def _pit(self) -> Iterator[Row]:
        for name in self.names:
            part = self.points[np.isfinite(self.points[f"level_{name}"])]
            if len(part) < LEAST_RANKS:
                continue
            level, unit = part[f"level_{name}"].to_numpy(dtype=np.float64), part["unit"].to_numpy()
            edges, density, error = pit_histogram(level, PIT_BINS)
            for k in range(PIT_BINS):
                own = Bin("level", f"{edges[k]:.2f}-{edges[k + 1]:.2f}", edges[k], edges[k + 1], level > -1)
                inside = (level >= edges[k]) & (level <= edges[k + 1])
                wider = float(error[k] * design_effect(inside, unit) ** 0.5)
                more = {"error": wider, "n": len(level), "direction": "target:1"}
                yield self._row(own, name, "pit", float(density[k]), **more)

    def _tarp(self, answers: Answers) -> Iterator[Row]:
        """Of all spectra; where galaxies are repeated, of each part."""
        names, level = joint_levels(answers)
        reason = f"{len(names)} parameter{'s' if len(names) > 1 else ''}: {', '.join(names)}"
        for own in bins_of(self.points, self.suite):
            counted = own.rows & np.isfinite(level)
            if own.axis == ("part" if self.suite.repeated else "all") and counted.sum() >= LEAST_RANKS:
                yield from self._distance(own, ("all", "tarp_ks"), level[counted], self.points[counted], reason)
