"""Who is better at which signal-to-noise: a backend against the one it is measured by, parameter by parameter.

The ratios and their errors are those of `galfit_ml.benchmark.versus`: of pairs of answers to the same spectra.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from galfit_ml.benchmark.report.curves import label_of, main_axis
from galfit_ml.benchmark.report.wording import ordered, parameter_word

if TYPE_CHECKING:
    import pandas as pd

OVER = "_over_"
CLEAR = 2.0
"""Standard errors from which on a difference is called one."""


@dataclass(frozen=True)
class Cell:
    """A ratio with its error, the spectra behind it, and whether less is better."""

    value: float
    error: float
    n: int
    lower: bool

    @property
    def verdict(self) -> str:
        """Whether the backend "won" or "lost"; "" where the errors allow both."""
        if not self.error > 0 or abs(self.value - 1) < CLEAR * self.error:
            return ""
        return "won" if (self.value < 1) == self.lower else "lost"


@dataclass(frozen=True, eq=False)
class Duel:
    """A backend against a baseline.

    Args:
        backend, baseline: names.
        axis: what the bins are of.
        bins: their labels in order, the first of all spectra.
        lines: what is compared -> one cell a bin, None where there is no ratio.
    """

    backend: str
    baseline: str
    axis: str
    bins: tuple[str, ...]
    lines: dict[str, tuple[Cell | None, ...]]

    @property
    def counts(self) -> tuple[int, ...]:
        """[bins] spectra in each."""
        cells = [[line[k] for line in self.lines.values()] for k in range(len(self.bins))]
        return tuple(max((cell.n for cell in own if cell is not None), default=0) for own in cells)

    def tally(self) -> tuple[int, int, int]:
        """Cells won, lost, and open; those over all spectra are not counted."""
        found = [cell.verdict for line in self.lines.values() for cell in line[1:] if cell is not None]
        return found.count("won"), found.count("lost"), found.count("")


def is_duel(metric: str) -> bool:
    """Whether a metric is a ratio to a baseline."""
    return OVER in metric


def duels(rows: pd.DataFrame) -> list[Duel]:
    """Every backend with ratios against its baseline, along S/N (else the first axis that has bins)."""
    own = rows[rows["metric"].str.contains(OVER, regex=False)]
    axis = main_axis(own)
    names = zip(own["backend"].astype(str), own["metric"].astype(str), strict=True)
    pairs = dict.fromkeys((backend, metric.partition(OVER)[2]) for backend, metric in names)
    return [_duel(own, *pair, axis) for pair in pairs]


def _duel(rows: pd.DataFrame, backend: str, baseline: str, axis: str) -> Duel:
    own = rows[(rows["backend"] == backend) & rows["metric"].str.endswith(f"{OVER}{baseline}")]
    binned = own[own["axis"] == axis].sort_values("low")
    bins = list(dict.fromkeys(_labels(binned)))
    lines = {}
    for metric, parameter in _compared(own, baseline):
        part = own[(own["metric"] == f"{metric}{OVER}{baseline}") & (own["parameter"] == parameter)]
        of_all = next((cell for _, cell in _cells(part[part["axis"] == "all"], metric)), None)
        inside = dict(_cells(part[part["axis"] == axis], metric))
        name = f"{parameter_word(parameter)}: {'share right' if metric == 'success' else 'CRPS'}"
        lines[name] = (of_all, *(inside.get(label) for label in bins))
    return Duel(backend, baseline, axis, ("all", *bins), lines)


def _compared(own: pd.DataFrame, baseline: str) -> list[tuple[str, str]]:
    """(metric, parameter) of the lines: shares of right redshifts first, then the scores in the order of parameters."""
    names = ordered([str(p) for p in own["parameter"].unique()])
    there = set(zip(own["metric"].astype(str), own["parameter"].astype(str), strict=True))
    asked = [(metric, name) for metric in ("success", "crps") for name in names]
    return [pair for pair in asked if (f"{pair[0]}{OVER}{baseline}", pair[1]) in there]


def _cells(part: pd.DataFrame, metric: str) -> Iterator[tuple[str, Cell]]:
    columns = (part[c] for c in ("value", "error", "n"))
    for label, value, error, n in zip(_labels(part), *columns, strict=True):
        if math.isfinite(value):
            yield label, Cell(float(value), float(error), int(n) if n == n else 0, metric != "success")


def _labels(part: pd.DataFrame) -> list[str]:
    return [label_of(str(text), *ends) for text, *ends in zip(part["bin"], part["low"], part["high"], strict=True)]
