"""What changed between two results: differences in units of their errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import erfc

from galfit_ml.benchmark.errors import BenchmarkError
from galfit_ml.benchmark.versus import OVER

KEY = ["suite", "parameter", "axis", "bin", "metric"]

UNJUDGED = ("sharpness", "flagged", "pit_ks_chance", "tarp_ks_chance")
"""Metrics of which less is not better in itself: narrow intervals that do not hold the truth are no gain."""

JOINT = ("tarp_ks", "tarp_ks_chance")
"""Metrics of several parameters, which the reason names: of different ones they are answers to different questions."""

BETTER, WORSE, SAME = "better", "worse", ""


def compare(first: pd.DataFrame, second: pd.DataFrame, *, false_alarms: float = 0.05) -> pd.DataFrame:
    """Rows that stand in both tables, with their difference and whether the second is significantly better or worse.

    Args:
        first, second: tables of rows; of each backend, or of one backend each where they have different ones.
        false_alarms: probability that chance alone makes any of the rows significant (Holm 1979, Scand. J. Statist. 6,
            65: the smallest p-value is compared with it over the number of rows, and so on).

    Returns:
        Columns of the key, `value_first`, `value_second`, `difference` (second less first), `error`, `p` (two-sided,
        normal; of what was gained: where a target is right, of the difference of the distances to it) and `verdict`:
        "better" or "worse" (the second) where it is significant, else "". Errors are taken for independent, which is
        careful where both are of the same spectra. Rows without an error, and those of `UNJUDGED`, have p = 1 and are
        not counted among the tests.

    Raises:
        BenchmarkError: no row stands in both.
    """
    key = KEY if _one_each(first, second) else [*KEY, "backend"]
    columns = [*key, "value", "error", "reason"]
    both = first[[*columns, "direction"]].merge(second[columns], on=key, suffixes=("_first", "_second"))
    told = (both["reason_first"] != "") & (both["reason_second"] != "")
    other = told & both["metric"].isin(JOINT) & (both["reason_first"] != both["reason_second"])
    both = both[np.isfinite(both["value_first"]) & np.isfinite(both["value_second"]) & ~other].reset_index(drop=True)
    if both.empty:
        raise BenchmarkError(
            "The two results have no row in common: they are of different suites, backends or bins. Compare results of "
            "the same suite."
        )
    both["difference"] = both["value_second"] - both["value_first"]
    both["error"] = np.hypot(both["error_first"].fillna(0.0), both["error_second"].fillna(0.0))
    gain, error = _judged(both)
    tested = (both["error"] > 0).to_numpy() & ~both["metric"].isin(UNJUDGED).to_numpy()
    both["p"] = np.where(tested, _p_value(gain, error), 1.0)
    significant = np.zeros(len(both), dtype=bool)
    significant[tested] = holm(both["p"].to_numpy()[tested], false_alarms)
    both["verdict"] = np.where(significant, np.where(gain > 0, BETTER, WORSE), SAME)
    return both.drop(columns=["error_first", "error_second", "reason_first", "reason_second"])


def lost(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """What stands in the first table and not in the second, and which backends failed there.

    Returns:
        Columns `suite`, `backend` (that of the first), `parameter`, `rows` (how many the second lacks) and `what`:
        "failed" (the backend, in the second), "backend" or "parameter" (all rows of it are lost), or "rows" (some of
        them, or what one backend gives and the other, which it is set against, does not).
    """
    set_against = _one_each(first, second)
    key = KEY if set_against else [*KEY, "backend"]
    given = [t[np.isfinite(t["value"])] for t in (first, second)]
    both = given[0].merge(given[1][key].drop_duplicates(), on=key, how="left", indicator=True)
    found = []
    for (suite, backend), own in both.groupby(["suite", "backend"], sort=False):
        missing = own[own["_merge"] == "left_only"]
        if len(missing) == len(own):
            found.append((suite, backend, "", len(own), "backend"))
            continue
        for parameter, rows in missing.groupby("parameter", sort=False):
            every = len(rows) == (own["parameter"] == parameter).sum() and parameter != "" and not set_against
            found.append((suite, backend, parameter, len(rows), "parameter" if every else "rows"))
    failed = second[(second["metric"] == "failed") & (second["parameter"] == "")]
    found += [(suite, backend, "", 0, "failed") for suite, backend in failed[["suite", "backend"]].to_numpy()]
    return pd.DataFrame(found, columns=["suite", "backend", "parameter", "rows", "what"])


def whole(first: pd.DataFrame, second: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of two tables that are of all spectra of a suite; of its parts where either table has no others.

    A suite that asks about the same galaxies several times has none of all spectra (`Suite.repeated`).
    """
    parted = {suite for table in (first, second) for suite, own in table.groupby("suite") if parts_alone(own)}
    inside = [(t["axis"] == "all") | ((t["axis"] == "part") & t["suite"].isin(parted)) for t in (first, second)]
    return first[inside[0]], second[inside[1]]


def parts_alone(own: pd.DataFrame) -> bool:
    """Whether the rows of a suite are of its parts, and none of all spectra."""
    counted = own[own["metric"] == "flagged"]
    return bool((counted["axis"] == "part").any() and not (counted["axis"] == "all").any())


def _one_each(first: pd.DataFrame, second: pd.DataFrame) -> bool:
    """Whether each table is of one backend, and not of the same."""
    names = [set(t["backend"]) for t in (first, second)]
    return all(len(n) == 1 for n in names) and names[0] != names[1]


def _p_value(difference: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Two-sided; 1 where there is no error to measure the difference by."""
    known = error > 0
    z = np.abs(difference) / np.where(known, error, 1.0)
    return np.where(known, erfc(z / np.sqrt(2.0)), 1.0)


def holm(p: np.ndarray, alpha: float) -> np.ndarray:
    """[n] which of the tests are significant together."""
    order = np.argsort(p)
    passed = p[order] <= alpha / (len(p) - np.arange(len(p)))
    out = np.zeros(len(p), dtype=bool)
    out[order[: len(p) if passed.all() else int(np.argmin(passed))]] = True
    return out


def _judged(both: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Gain of the second of each row, and its error: of the logarithm where the number is a ratio, [n] each."""
    ratio = both["metric"].str.contains(OVER, regex=False).to_numpy()
    values = [both[f"value_{name}"].to_numpy() for name in ("first", "second")]
    errors = [both[f"error_{name}"].fillna(0.0).to_numpy() for name in ("first", "second")]
    with np.errstate(invalid="ignore", divide="ignore"):
        errors = [np.where(ratio, e / v, e) for e, v in zip(errors, values, strict=True)]
        values = [np.where(ratio, np.log(v), v) for v in values]
    gain = np.array([_gain(*row) for row in zip(*values, both["direction"], strict=True)])
    return gain, np.hypot(*errors)


def _gain(first: float, second: float, direction: str) -> float:
    """Above 0 where the second is the better."""
    if direction.startswith("target:"):
        target = float(direction.partition(":")[2])
        return abs(first - target) - abs(second - target)
    return second - first if direction == "higher" else first - second
