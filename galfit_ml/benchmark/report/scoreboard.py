"""The numbers over all spectra as tables: a line a metric, a column a backend, the best marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from galfit_ml.benchmark.comparison import UNJUDGED
from galfit_ml.benchmark.report.curves import Value, values_of
from galfit_ml.benchmark.report.duels import is_duel
from galfit_ml.benchmark.report.wording import METRICS, metric, ordered

if TYPE_CHECKING:
    import pandas as pd

HIDDEN = ("failed", "pit", "retention")
"""Metrics that have a panel of their own; so have ratios to a baseline."""


@dataclass(frozen=True)
class Line:
    """A metric over all spectra.

    Args:
        metric: its name.
        unit: of the values.
        found: backend -> value; backends without one are left out.
    """

    metric: str
    unit: str
    found: dict[str, Value]

    @property
    def best(self) -> tuple[str, ...]:
        """The backend with the best value and those within one standard error of it.

        None where only one has a value, and of what is no gain in itself.
        """
        if len(self.found) < 2 or self.metric in UNJUDGED:
            return ()
        top = max(self.found.values(), key=lambda v: v.score)
        near = (v for v in self.found.values() if top.score - v.score <= np.nan_to_num(np.hypot(top.error, v.error)))
        found = tuple(v.backend for v in near)
        return found if len(found) < len(self.found) else ()


def scoreboards(rows: pd.DataFrame) -> dict[str, list[Line]]:
    """Parameter -> its metrics over all spectra, in the order of `METRICS`; "" holds those of no parameter."""
    own = rows[(rows["axis"] == "all") & ~rows["metric"].isin(HIDDEN)]
    own = own[np.array([not is_duel(str(name)) for name in own["metric"]], dtype=bool)]
    found: dict[str, list[Line]] = {}
    for parameter in _sorted_parameters(own):
        part = own[own["parameter"].replace("all", "") == parameter]
        lines = [_line(name, part[part["metric"] == name]) for name in _sorted_metrics(part["metric"].unique())]
        if kept := [line for line in lines if line.found]:
            found[parameter] = kept
    return found


def _sorted_parameters(own: pd.DataFrame) -> list[str]:
    return ordered([str(name) for name in own["parameter"].replace("all", "").unique()])


def _sorted_metrics(names: Sequence[str]) -> list[str]:
    known = list(METRICS)
    return sorted(map(str, names), key=lambda name: (known.index(name) if name in known else len(known), name))


def _line(name: str, own: pd.DataFrame) -> Line:
    return Line(name, str(own["unit"].iloc[0]), {v.backend: v for v in values_of(own)})


def title(line: Line) -> str:
    """The metric with its unit."""
    unit = line.unit if line.unit not in {"", "nan", "None"} else ""
    return f"{metric(line.metric).title}{f' [{unit}]' if unit else ''}".replace(" %", "\u00a0%")
