"""What the rows of a suite say, in sentences: who finds more, is better calibrated, is faster, and what failed.

The errors of two backends are added in quadrature. They have answered the same spectra, so that their errors are
correlated and this asks for a little more than it must before a difference is called one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from galfit_ml.benchmark.report.curves import Value, batch_axes, overall, values_of
from galfit_ml.benchmark.report.duels import CLEAR, Duel, duels
from galfit_ml.benchmark.report.wording import number, ordered, parameter_word, with_error

if TYPE_CHECKING:
    import pandas as pd

LEVELS = ("coverage_50", "coverage_68", "coverage_90", "coverage_95")


@dataclass(frozen=True)
class Finding:
    """A sentence.

    Args:
        topic: one or two words in front of it.
        text: the sentence; names of backends stand between '⟦' and '⟧'.
        caveat: whether it says what to beware of.
    """

    topic: str
    text: str
    caveat: bool = False

    @property
    def plain(self) -> str:
        """Topic and sentence without marks."""
        return f"{self.topic}: {self.text.replace('⟦', '').replace('⟧', '')}"


def findings(rows: pd.DataFrame) -> list[Finding]:
    """The sentences of one suite's rows, caveats last."""
    makers = (_redshifts, _precision, _properties, _calibration, _speed)
    found = [finding for make in makers if (finding := make(rows)) is not None]
    return [*found, *map(_duel, duels(rows)), *_failures(rows), *_unequal(rows)]


def named(backend: str) -> str:
    """The name of a backend as `Finding.text` marks it."""
    return f"⟦{backend}⟧"


def listed(parts: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _redshifts(rows: pd.DataFrame) -> Finding | None:
    values = sorted(overall(rows, "success", "redshift"), key=lambda v: -v.score)
    if not values:
        return None
    first, *others = values
    told = [f"{named(first.backend)} finds {with_error(first.value, first.error)} of the redshifts"]
    told += [f"{named(v.backend)} {with_error(v.value, v.error)}" for v in others]
    return Finding("Redshifts", ", ".join(told) + _verdict(values, "finds more"))


def _verdict(values: Sequence[Value], better: str) -> str:
    """Whether the first of the sorted values is clearly ahead of the second."""
    if len(values) < 2:
        return "."
    first, second = values[:2]
    sigma = _sigma(first, second)
    if math.isnan(sigma):
        return " (no errors are given)."
    pair = f"{named(first.backend)} and {named(second.backend)}"
    if sigma < CLEAR:
        return f": no clear difference between {pair} ({sigma:.1f} standard errors)."
    return f": {named(first.backend)} {better} ({sigma:.1f} standard errors)."


def _sigma(first: Value, second: Value) -> float:
    """By how many standard errors the first is better; NaN without errors."""
    error = math.hypot(first.error, second.error)
    return (first.score - second.score) / error if error > 0 else math.nan


def _precision(rows: pd.DataFrame) -> Finding | None:
    values = sorted(overall(rows, "nmad", "redshift"), key=lambda v: -v.score)
    if not values:
        return None
    told = [f"{with_error(v.value, v.error)} with {named(v.backend)}" for v in values]
    lead = f"Redshifts scatter (NMAD) by {listed(told)}"
    return Finding("Precision", lead + _verdict(values, "is more precise"))


def _properties(rows: pd.DataFrame) -> Finding | None:
    """By CRPS, each parameter besides the redshift: who is clearly the best."""
    won: dict[str, list[str]] = {}
    even, compared = [], 0
    for name in ordered([str(p) for p in rows["parameter"].unique() if p not in {"", "all", "redshift"}]):
        values = sorted(overall(rows, "crps", name), key=lambda v: -v.score)
        if len(values) < 2:
            continue
        compared += 1
        if _sigma(*values[:2]) >= CLEAR:
            won.setdefault(values[0].backend, []).append(parameter_word(name))
        else:
            even.append(parameter_word(name))
    if not compared:
        return None
    told = [f"{named(b)} is clearly best for {len(p)} of {compared} ({', '.join(p)})" for b, p in won.items()]
    if even:
        told.append(f"no clear difference for {len(even)} ({', '.join(even)})")
    return Finding("Properties", f"By CRPS, {'; '.join(told)}.")


def _calibration(rows: pd.DataFrame) -> Finding | None:
    own = rows[(rows["axis"] == "all") & rows["metric"].isin(LEVELS)]
    values = [v for name, part in own.groupby("backend", sort=False) if (v := _miss(str(name), part)) is not None]
    values.sort(key=lambda v: -v.score)
    if not values:
        return None
    told = [f"{number(100 * v.value, 0.5)} points for {named(v.backend)}{_side(own, v.backend)}" for v in values]
    return Finding("Calibration", f"The coverage of the 50 to 95 % intervals is off by, on average, {listed(told)}.")


def _miss(backend: str, part: pd.DataFrame) -> Value | None:
    """Mean distance of the coverage from its level over levels and parameters."""
    values = part["value"].to_numpy(dtype=np.float64)
    level = part["metric"].str.partition("_")[2].to_numpy(dtype=np.float64) / 100
    good = np.isfinite(values)
    if not good.any():
        return None
    error = float(np.sqrt(np.nansum(part["error"].to_numpy(dtype=np.float64)[good] ** 2)) / good.sum())
    return Value(backend, float(np.abs(values - level)[good].mean()), error, int(good.sum()), "lower")


def _side(own: pd.DataFrame, backend: str) -> str:
    """' (too narrow)' or ' (too wide)' where most intervals err to one side by more than their errors."""
    part = own[own["backend"] == backend]
    away = part["value"].to_numpy(dtype=np.float64) - part["metric"].str.partition("_")[2].to_numpy(dtype=float) / 100
    sigma = away / part["error"].to_numpy(dtype=np.float64)
    for word, share in (("narrow", np.mean(sigma < -CLEAR)), ("wide", np.mean(sigma > CLEAR))):
        if share > 0.5:
            return f" (most are too {word})"
    return ""


def _speed(rows: pd.DataFrame) -> Finding | None:
    timed = rows[(rows["metric"] == "rate") & rows["axis"].isin(["all", *batch_axes(rows)])]
    best = timed.sort_values("value", ascending=False, kind="stable")
    values = values_of(best)
    if not values:
        return None
    told = [f"{named(v.backend)} {number(v.value)}" for v in values]
    text = f"At their fastest, spectra per second: {listed(told)}"
    if len(values) > 1 and values[1].value > 0:
        text += f": {named(values[0].backend)} is {number(values[0].value / values[1].value)} times as fast as the next"
    return Finding("Speed", text + ".")


def _duel(duel: Duel) -> Finding:
    """Where a backend is better than its baseline, and where worse."""
    won, lost, even = duel.tally()
    counted = f"{named(duel.backend)} against {named(duel.baseline)}, on the same spectra: better in {won}"
    counted += f", worse in {lost}, alike within the errors in {even} of {won + lost + even} comparisons"
    worst = [f"{told} times (bin {label})" for label, told in _extremes(duel)]
    text = counted + (f"; furthest behind: {'; '.join(worst)}." if worst else ".")
    return Finding("By S/N" if duel.axis == "snr" else "Bin by bin", text)


def _extremes(duel: Duel, most: int = 3) -> list[tuple[str, str]]:
    """The bins and lines in which the baseline is better by most standard errors."""
    lost = [
        (abs(cell.value - 1) / cell.error, label, f"{name} {with_error(cell.value, cell.error)}")
        for name, line in duel.lines.items()
        for label, cell in zip(duel.bins[1:], line[1:], strict=True)
        if cell is not None and cell.verdict == "lost"
    ]
    return [(label, text) for _, label, text in sorted(lost, reverse=True)[:most]]


def _failures(rows: pd.DataFrame) -> list[Finding]:
    own = rows[rows["metric"] == "failed"]
    found = []
    for backend, parameter, reason in zip(own["backend"], own["parameter"], own["reason"], strict=True):
        of = f", {parameter_word(str(parameter))}" if str(parameter) not in {"", "all", "nan"} else ""
        told = str(reason) if reason == reason and str(reason).strip() else "no reason was recorded"
        found.append(Finding("Failed", f"{named(str(backend))}{of}: {told}", caveat=True))
    return found


def _unequal(rows: pd.DataFrame) -> list[Finding]:
    values = [v for v in overall(rows, "success", "redshift") if v.n > 0]
    counts = [v.n for v in values]
    if not counts or max(counts) <= 1.02 * min(counts):
        return []
    told = listed([f"{named(v.backend)} {v.n:,}" for v in values])
    text = f"The backends were not judged by the same number of spectra: {told}."
    return [Finding("Numbers", text, caveat=True)]
