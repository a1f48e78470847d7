"""Who is better at which signal-to-noise: a backend against the one it is measured by, parameter by parameter.

The ratios and their errors are those of `galfit_ml.benchmark.versus`: of pairs of answers to the same spectra.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from galfit_ml.benchmark.report.curves import label_of, main_axis
from galfit_ml.benchmark.report.gains import CLEAR
from galfit_ml.benchmark.report.wording import ordered, parameter_word
from galfit_ml.benchmark.versus import MINUS, OVER

if TYPE_CHECKING:
    import pandas as pd

SIGNS = {"success": MINUS, "crps": OVER}
"""What is compared -> what stands between it and the baseline."""


@dataclass(frozen=True)
class Cell:
    """A comparison with the baseline.

    Args:
        value, error: of a ratio to the baseline's score, of which less is better, or of a difference of shares, of
            which more is; the error of a ratio is that of its logarithm, times the ratio.
        n: spectra that both answered.
        ratio: which of the two.
    """

    value: float
    error: float
    n: int
    ratio: bool = True

    @property
    def sigma(self) -> float:
        """Standard errors by which the backend is better, below 0 where the baseline is; NaN without an error."""
        if not self.error > 0 or (self.ratio and not self.value > 0):
            return math.nan
        return -math.log(self.value) * self.value / self.error if self.ratio else self.value / self.error

    @property
    def verdict(self) -> str:
        """Whether the backend "won" or "lost"; "" where the errors allow both."""
        if not abs(self.sigma) >= CLEAR:
            return ""
        return "won" if self.sigma > 0 else "lost"

    @property
    def told(self) -> str:
        """Value and error; a difference in percentage points, with its sign."""
        if self.ratio:
            return f"{self.value:.2f}" + (f" ± {self.error:.2f}" if self.error > 0 else "")
        points = f"{100 * self.value:+.1f}" if self.value else "0.0"
        return points + (f" ± {100 * self.error:.1f}" if self.error > 0 else "")


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
    def counts(self) -> tuple[tuple[int, int], ...]:
        """[bins] spectra behind the cells of each: fewest and most; parameters differ where answers lack some."""
        cells = [[line[k] for line in self.lines.values()] for k in range(len(self.bins))]
        known = [[cell.n for cell in own if cell is not None] or [0] for own in cells]
        return tuple((min(own), max(own)) for own in known)

    def tally(self, *, inside: bool) -> tuple[int, int, int]:
        """Cells won, lost, and open: those inside of the bins, or those over all spectra."""
        chosen = slice(1, None) if inside else slice(0, 1)
        found = [cell.verdict for line in self.lines.values() for cell in line[chosen] if cell is not None]
        return found.count("won"), found.count("lost"), found.count("")


def is_duel(metric: str) -> bool:
    """Whether a metric is a comparison with a baseline."""
    return OVER in metric or MINUS in metric


def duels(rows: pd.DataFrame) -> list[Duel]:
    """Every backend against its baseline, along S/N (else the first axis that has bins for the two)."""
    own = rows[rows["metric"].str.contains(f"{OVER}|{MINUS}")]
    names = zip(own["backend"].astype(str), own["metric"].astype(str), strict=True)
    pairs = dict.fromkeys((backend, metric.partition(_sign(metric))[2]) for backend, metric in names)
    found = [_duel(own, *pair) for pair in pairs]
    return [duel for duel in found if duel.lines]


def _sign(metric: str) -> str:
    return OVER if OVER in metric else MINUS


def _duel(rows: pd.DataFrame, backend: str, baseline: str) -> Duel:
    wanted = [f"{metric}{sign}{baseline}" for metric, sign in SIGNS.items()]
    own = rows[(rows["backend"] == backend) & rows["metric"].isin(wanted)]
    axis = main_axis(own)
    bins = list(dict.fromkeys(_labels(own[own["axis"] == axis].sort_values("low"))))
    lines = {}
    for metric, parameter in _compared(own, baseline):
        part = own[(own["metric"] == f"{metric}{SIGNS[metric]}{baseline}") & (own["parameter"] == parameter)]
        of_all = next((cell for _, cell in _cells(part[part["axis"] == "all"], metric)), None)
        inside = dict(_cells(part[part["axis"] == axis], metric))
        what = "share right, difference in points" if metric == "success" else "CRPS, ratio"
        lines[f"{parameter_word(parameter)}: {what}"] = (of_all, *(inside.get(label) for label in bins))
    return Duel(backend, baseline, axis, ("all", *bins), lines)


def _compared(own: pd.DataFrame, baseline: str) -> list[tuple[str, str]]:
    """(metric, parameter) of the lines: shares of right redshifts first, then the scores in the order of parameters."""
    names = ordered([str(p) for p in own["parameter"].unique()])
    there = set(zip(own["metric"].astype(str), own["parameter"].astype(str), strict=True))
    asked = [(metric, name) for metric in SIGNS for name in names]
    return [pair for pair in asked if (f"{pair[0]}{SIGNS[pair[0]]}{baseline}", pair[1]) in there]


def _cells(part: pd.DataFrame, metric: str) -> Iterator[tuple[str, Cell]]:
    columns = (part[c] for c in ("value", "error", "n"))
    for label, value, error, n in zip(_labels(part), *columns, strict=True):
        if math.isfinite(value):
            yield label, Cell(float(value), float(error), int(n) if n == n else 0, ratio=SIGNS[metric] == OVER)


def _labels(part: pd.DataFrame) -> list[str]:
    return [label_of(str(text), *ends) for text, *ends in zip(part["bin"], part["low"], part["high"], strict=True)]
