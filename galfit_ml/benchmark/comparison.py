"""What changed between two results: differences in units of their errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import erfc

from galfit_ml.benchmark.errors import BenchmarkError

KEY = ["suite", "parameter", "axis", "bin", "metric"]

UNJUDGED = ("sharpness", "flagged")
"""Metrics of which less is not better in itself: narrow intervals that do not hold the truth are no gain."""

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
    columns = [*key, "value", "error", "direction"]
    both = first[columns].merge(second[[*key, "value", "error"]], on=key, suffixes=("_first", "_second"))
    both = both[np.isfinite(both["value_first"]) & np.isfinite(both["value_second"])].reset_index(drop=True)
    if both.empty:
        raise BenchmarkError(
            "The two results have no row in common: they are of different suites, backends or bins. Compare results of "
            "the same suite."
        )
    both["difference"] = both["value_second"] - both["value_first"]
    both["error"] = np.hypot(both["error_first"].fillna(0.0), both["error_second"].fillna(0.0))
    gain = np.array(
        [_gain(*row) for row in zip(both["value_first"], both["value_second"], both["direction"], strict=True)]
    )
    tested = (both["error"] > 0).to_numpy() & ~both["metric"].isin(UNJUDGED).to_numpy()
    both["p"] = np.where(tested, _p_value(gain, both["error"].to_numpy()), 1.0)
    significant = np.zeros(len(both), dtype=bool)
    significant[tested] = holm(both["p"].to_numpy()[tested], false_alarms)
    both["verdict"] = np.where(significant, np.where(gain > 0, BETTER, WORSE), SAME)
    return both.drop(columns=["error_first", "error_second"])


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


def _gain(first: float, second: float, direction: str) -> float:
    """Above 0 where the second is the better."""
    if direction.startswith("target:"):
        target = float(direction.partition(":")[2])
        return abs(first - target) - abs(second - target)
    return second - first if direction == "higher" else first - second
