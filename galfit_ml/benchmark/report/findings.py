"""What the rows and points of a suite say, in sentences: who finds more, is better calibrated, is faster, what failed.

Who is better is said of two backends on the spectra that both answered, by the error of the pairs (`Gains`): their own
numbers are of the spectra that each of them answered, and stand beside.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from galfit_ml.benchmark.metrics import Share
from galfit_ml.benchmark.report.curves import Value, batch_axes, overall, values_of
from galfit_ml.benchmark.report.duels import Duel, duels
from galfit_ml.benchmark.report.gains import CLEAR, LEVELS, Gain, Gains
from galfit_ml.benchmark.report.wording import axis_label, number, ordered, parameter_word, with_error

if TYPE_CHECKING:
    import pandas as pd

COVERAGE = tuple(f"coverage_{level}" for level in LEVELS)
UNEQUAL = 1.02
"""Numbers of spectra that differ by more than this factor are told."""


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


def findings(rows: pd.DataFrame, gains: Gains) -> list[Finding]:
    """The sentences of one suite, caveats last.

    Args:
        rows: of the suite.
        gains: of its points.
    """
    makers = (_redshifts, _precision, _properties, _calibration)
    found = [finding for make in makers if (finding := make(rows, gains)) is not None]
    return [*found, *_speed(rows), *map(_duel, duels(rows)), *_failures(rows), *_silent(gains), *_unequal(rows)]


def named(backend: str) -> str:
    """The name of a backend as `Finding.text` marks it."""
    return f"⟦{backend}⟧"


def listed(parts: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _redshifts(rows: pd.DataFrame, gains: Gains) -> Finding | None:
    values = overall(rows, "success", "redshift")
    if not values:
        return None
    first, *others = values
    told = [f"{named(first.backend)} finds {with_error(first.value, first.error)} of the redshifts"]
    told += [f"{named(v.backend)} {with_error(v.value, v.error)}" for v in others]
    pairs = _Pairs(values, [gains.gain(*two, ("success", "redshift"), "higher") for two in _two(values)])
    return Finding("Redshifts", f"{', '.join(told)}. {pairs.told('finds more', 'asked of both')}".strip())


def _two(values: Sequence[Value]) -> list[tuple[str, str]]:
    return list(itertools.combinations([v.backend for v in values], 2))


@dataclass(frozen=True)
class _Pairs:
    """Some backends' values, and what is gained between any two of them, in the order of `_two`; None where unknown."""

    values: Sequence[Value]
    gains: Sequence[Gain | None]

    def told(self, better: str, where: str) -> str:
        """The clear differences as a sentence, those of one winner together; "" where nothing is compared."""
        known = [(*two, gain) for two, gain in zip(_two(self.values), self.gains, strict=True) if gain is not None]
        if not known:
            return ""
        lead = f"On the spectra {where}, "
        clear = [one for one in known if one[2].clear]
        if len(known) == 1 and not clear:
            first, second, gain = known[0]
            return f"{lead}no clear difference between {named(first)} and {named(second)} ({_strength(gain)})."
        open_ = len(known) - len(clear)
        rest = f"; no clear difference in {open_} other {'pair' if open_ == 1 else 'pairs'}" if open_ else ""
        return (
            f"{lead}{_ahead(clear, better)}{rest}." if clear else f"{lead}no clear difference in any pair of backends."
        )

    def best(self) -> str:
        """The backend that is clearly better than every other one it is compared with; "" where there is none."""
        ahead: dict[str, list[bool]] = {}
        for (first, second), gain in zip(_two(self.values), self.gains, strict=True):
            if gain is not None:
                ahead.setdefault(first, []).append(gain.sigma >= CLEAR)
                ahead.setdefault(second, []).append(gain.sigma <= -CLEAR)
        return next((name for name, won in ahead.items() if all(won)), "")


def _ahead(clear: Sequence[tuple[str, str, Gain]], better: str) -> str:
    """Who is better than whom, those behind one backend together."""
    behind: dict[str, list[str]] = {}
    for first, second, gain in clear:
        winner, loser = (first, second) if gain.sigma > 0 else (second, first)
        behind.setdefault(winner, []).append(f"{named(loser)} ({_strength(gain)})")
    return "; ".join(f"{named(winner)} {better} than {listed(losers)}" for winner, losers in behind.items())


def _strength(gain: Gain) -> str:
    return f"{abs(gain.sigma):.1f} standard errors, n = {gain.n:,}"


def _precision(rows: pd.DataFrame, gains: Gains) -> Finding | None:
    values = overall(rows, "nmad", "redshift")
    if not values:
        return None
    told = [f"{with_error(v.value, v.error)} with {named(v.backend)}" for v in values]
    pairs = _Pairs(values, [gains.gain(*two, ("nmad", "redshift"), "lower") for two in _two(values)])
    lead = f"Right redshifts scatter (NMAD) by {listed(told)}."
    return Finding("Precision", f"{lead} {pairs.told('is more precise', 'that both have right')}".strip())


def _properties(rows: pd.DataFrame, gains: Gains) -> Finding | None:
    """By CRPS, each parameter besides the redshift: who is clearly the best."""
    won: dict[str, list[str]] = {}
    for name in ordered([str(p) for p in rows["parameter"].unique() if p not in {"", "all", "redshift"}]):
        values = overall(rows, "crps", name)
        found = [gains.gain(*two, ("crps", name), "lower") for two in _two(values)]
        if any(gain is not None for gain in found):
            won.setdefault(_Pairs(values, found).best(), []).append(parameter_word(name))
    if not won:
        return None
    compared = sum(map(len, won.values()))
    even = won.pop("", [])
    told = [f"{named(b)} is clearly best for {len(p)} of {compared} ({', '.join(p)})" for b, p in won.items()]
    if even:
        told.append(f"{'no backend' if not won else 'none'} is clearly best for {len(even)} ({', '.join(even)})")
    return Finding("Properties", f"By CRPS, on the spectra that both of a pair answered, {'; '.join(told)}.")


def _calibration(rows: pd.DataFrame, gains: Gains) -> Finding | None:
    own = rows[(rows["axis"] == "all") & rows["metric"].isin(COVERAGE)]
    parts = {str(name): part for name, part in own.groupby("backend", sort=False)}
    values = [v for name, part in parts.items() if (v := _miss(name, part)) is not None]
    if not values:
        return None
    told = [
        f"{number(100 * v.value, 0.5)} points for {named(v.backend)} ({number(100 * v.error, 0.5)} by chance"
        f"{_side(own, v.backend)})"
        for v in values
    ]
    lead = f"The coverage of the 50 to 95 % intervals is off by, on average, {listed(told)}."
    names = ordered([str(p) for p in own["parameter"].unique()])
    pairs = _Pairs(values, [gains.calibration(*two, names) for two in _two(values)])
    verdict = pairs.told("is closer", "and parameters of both")
    return Finding("Calibration", f"{lead} {verdict}".strip())


def _miss(backend: str, part: pd.DataFrame) -> Value | None:
    """Mean distance of the coverage from its level over levels and parameters; as its error what chance alone gives.

    The coverage of n calibrated spectra is off by sqrt(2 / pi) times its standard error on average; that grows where
    several spectra are of one galaxy, by as much as the error of the row is above that of n independent ones.
    """
    value, error, n = (part[name].to_numpy(dtype=np.float64) for name in ("value", "error", "n"))
    level = part["metric"].str.partition("_")[2].to_numpy(dtype=np.float64) / 100
    good = np.isfinite(value) & (n > 0)
    if not good.any():
        return None
    value, error, n, level = (values[good] for values in (value, error, n, level))
    alone = np.array([Share.of_count(v * m, int(m)).error for v, m in zip(value, n, strict=True)])
    wider = np.maximum(np.nan_to_num(error / alone, nan=1.0), 1.0)
    chance = np.sqrt(2 / np.pi * level * (1 - level) / n) * wider
    away = np.abs(value - level)
    return Value(backend, float(away.mean()), float(chance.mean()), int(n.min()), "lower")


def _side(own: pd.DataFrame, backend: str) -> str:
    """'; most are too narrow', or wide, where most intervals err to one side by more than their errors."""
    part = own[own["backend"] == backend]
    away = part["value"].to_numpy(dtype=np.float64) - part["metric"].str.partition("_")[2].to_numpy(dtype=float) / 100
    sigma = away / part["error"].to_numpy(dtype=np.float64)
    for word, share in (("narrow", np.mean(sigma < -CLEAR)), ("wide", np.mean(sigma > CLEAR))):
        if share > 0.5:
            return f"; most are too {word}"
    return ""


def _speed(rows: pd.DataFrame) -> list[Finding]:
    """Of what was timed setting by setting; the rate of a whole run depends on workers and on what else went on."""
    timed = rows[(rows["metric"] == "rate") & rows["axis"].isin(batch_axes(rows))]
    values = values_of(timed.sort_values("value", ascending=False, kind="stable"))
    if not values:
        return []
    text = f"At their fastest, spectra per second: {listed([f'{named(v.backend)} {number(v.value)}' for v in values])}"
    if timed["machine"].nunique(dropna=False) > 1:
        return [Finding("Speed", f"{text}; they were not timed on one machine.")]
    if len(values) > 1 and values[1].value > 0:
        text += f": {named(values[0].backend)} is {number(values[0].value / values[1].value)} times as fast as the next"
    return [Finding("Speed", text + ".")]


def _duel(duel: Duel) -> Finding:
    """Where a backend is better than its baseline, and where worse: over all spectra, then in the bins."""
    places = {
        "over all spectra": duel.tally(inside=False),
        f"in bins of {axis_label(duel.axis)}": duel.tally(inside=True),
    }
    told = [
        f"{place}, better in {won}, worse in {lost}, alike within the errors in {even} of {won + lost + even} numbers"
        for place, (won, lost, even) in places.items()
        if won + lost + even
    ]
    worst = [f"{told} (bin {label})" for label, told in _extremes(duel)]
    end = f"; furthest behind: {'; '.join(worst)}." if worst else "."
    text = f"{named(duel.backend)} against {named(duel.baseline)}: {'; '.join(told)}{end}"
    return Finding("Same spectra", text)


def _extremes(duel: Duel, most: int = 3) -> list[tuple[str, str]]:
    """The bins and lines in which the baseline is better by most standard errors."""
    lost = [
        (-cell.sigma, label, f"{name} {cell.told}")
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


def _silent(gains: Gains) -> list[Finding]:
    """Backends that left spectra unanswered."""
    if "failed" not in gains.points:
        return []
    found = []
    for name, own in gains.points.groupby("backend", sort=False):
        failed = int(own["failed"].fillna(False).astype(bool).sum())
        if failed:
            text = (
                f"{named(str(name))} has no answer to {failed:,} of {len(own):,} spectra: its share of right redshifts"
            )
            text += " counts them as wrong, its other numbers leave them out."
            found.append(Finding("Unanswered", text, caveat=True))
    return found


def _unequal(rows: pd.DataFrame) -> list[Finding]:
    """Where numbers of backends are of different numbers of spectra, metric by metric."""
    names = {"success": "redshifts found", "crps": "CRPS and intervals"}
    found: dict[str, str] = {}
    for metric, word in names.items():
        own = rows[(rows["axis"] == "all") & (rows["metric"] == metric) & np.isfinite(rows["value"].astype(float))]
        fewest = own.groupby("backend", sort=False)["n"].min()
        if len(fewest) > 1 and fewest.min() > 0 and fewest.max() > UNEQUAL * fewest.min():
            told = listed([f"{named(str(name))} {int(n):,}" for name, n in fewest.items()])
            found[told] = f"{found[told]}, {word}" if told in found else word
    text = "; ".join(f"{told} ({word})" for told, word in found.items())
    if not text:
        return []
    lead = "The backends' own numbers are of different numbers of spectra, and cannot be compared"
    return [Finding("Numbers", f"{lead}: {text}.", caveat=True)]
