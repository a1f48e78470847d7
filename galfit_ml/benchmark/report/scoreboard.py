"""The numbers over all spectra as tables: a line a metric, a column a backend, the best marked."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from galfit_ml.benchmark.comparison import UNJUDGED
from galfit_ml.benchmark.report.curves import Value, values_of
from galfit_ml.benchmark.report.duels import is_duel
from galfit_ml.benchmark.report.gains import CLEAR, Gain, Gains
from galfit_ml.benchmark.report.wording import METRICS, metric, ordered

if TYPE_CHECKING:
    import pandas as pd

HIDDEN = ("failed", "pit", "retention")
"""Metrics that have a panel of their own; so have comparisons with a baseline."""

CHANCE = "_chance"
"""Behind the metrics that chance alone keeps away from 0: what it gives."""

OF_DRAWS = ("tarp_ks", "auc")
"""Metrics with errors whose numbers points do not hold, so that there are no pairs."""


@dataclass(frozen=True)
class Line:
    """A metric over all spectra.

    Args:
        metric: its name.
        unit: of the values.
        found: backend -> value; backends without one are left out.
        best: the backend that is clearly better than every other on the spectra that both answered, "" where none is,
            or the metric is no gain in itself.
        behind: the backends than which another is clearly better on the spectra that both answered.
        notes: backend -> what else is to know of its value.
    """

    metric: str
    unit: str
    found: dict[str, Value]
    best: str = ""
    behind: frozenset[str] = frozenset()
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def scoreboards(rows: pd.DataFrame, gains: Gains) -> dict[str, list[Line]]:
    """Parameter -> its metrics over all spectra, in the order of `METRICS`; "" holds those of no parameter.

    Args:
        rows: of one suite.
        gains: of its points.
    """
    own = rows[(rows["axis"] == "all") & ~rows["metric"].isin(HIDDEN)]
    own = own[np.array([not is_duel(str(name)) for name in own["metric"]], dtype=bool)]
    chance = own[own["metric"].str.endswith(CHANCE)]
    own = own.drop(chance.index)
    found: dict[str, list[Line]] = {}
    for parameter in _sorted_parameters(own):
        part = own[own["parameter"].replace("all", "") == parameter]
        names = _sorted_metrics(part["metric"].unique())
        by_chance = chance[chance["parameter"].replace("all", "") == parameter]
        lines = [_line(name, part[part["metric"] == name], gains, by_chance) for name in names]
        if kept := [line for line in lines if line.found]:
            found[parameter] = kept
    return found


def _sorted_parameters(own: pd.DataFrame) -> list[str]:
    return ordered([str(name) for name in own["parameter"].replace("all", "").unique()])


def _sorted_metrics(names: Sequence[str]) -> list[str]:
    known = list(METRICS)
    return sorted(map(str, names), key=lambda name: (known.index(name) if name in known else len(known), name))


def _line(name: str, own: pd.DataFrame, gains: Gains, by_chance: pd.DataFrame) -> Line:
    values = {v.backend: v for v in values_of(own)}
    asked = {str(backend): _asked(told) for backend, told in zip(own["backend"], own["reason"], strict=True)}
    judged = [] if name in UNJUDGED else list(values.values())
    best, behind = _ranked(judged, (name, str(own["parameter"].iloc[0])), gains, asked)
    chance = {v.backend: v for v in values_of(by_chance[by_chance["metric"] == f"{name}{CHANCE}"])}
    notes = {b: note for b in values if (note := _note(chance.get(b), asked.get(b, "").partition(":")[0]))}
    return Line(name, str(own["unit"].iloc[0]), values, best, behind, notes)


def _asked(reason: object) -> str:
    """The parameters that a metric of several is of, as its row tells: "2 parameters: redshift, dust_av"."""
    return str(reason) if isinstance(reason, str) else ""


def _note(chance: Value | None, count: str) -> tuple[str, ...]:
    """What chance alone gives, and how many parameters are judged together."""
    told = [f"chance {chance.value:.3f}"] if chance else []
    told += [count.removesuffix("s") if count == "1 parameters" else count] if count else []
    return tuple(told)


def _ranked(
    values: Sequence[Value], what: tuple[str, str], gains: Gains, asked: Mapping[str, str]
) -> tuple[str, frozenset[str]]:
    """The backend that is better than every other it is compared with, and those than which another is better."""
    ahead: dict[str, list[bool]] = {}
    behind = set()
    for one, two in itertools.combinations(values, 2):
        gain = gains.gain(one.backend, two.backend, what, one.direction)
        if gain is None and what[0] in OF_DRAWS and asked.get(one.backend) == asked.get(two.backend):
            gain = _unpaired(one, two)
        if gain is None:
            continue
        for value, sigma in ((one, gain.sigma), (two, -gain.sigma)):
            ahead.setdefault(value.backend, []).append(sigma >= CLEAR)
            behind |= {value.backend} if sigma <= -CLEAR else set()
    return next((name for name, won in ahead.items() if all(won)), ""), frozenset(behind)


def _unpaired(one: Value, two: Value) -> Gain | None:
    """Of what has no pairs, by independent errors, which is careful; None of different numbers of spectra."""
    return Gain(one.score - two.score, math.hypot(one.error, two.error), one.n) if one.n == two.n else None


def title(line: Line) -> str:
    """The metric with its unit."""
    if line.metric == "rate":
        return "Speed of the whole run [1/s]"
    unit = line.unit if line.unit not in {"", "nan", "None"} else ""
    return f"{metric(line.metric).title}{f' [{unit}]' if unit else ''}".replace(" %", "\u00a0%")
