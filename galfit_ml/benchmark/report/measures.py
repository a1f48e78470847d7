"""Metrics as a number a spectrum and a statistic of these, that two backends can be compared on the same spectra."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from galfit_ml.benchmark.metrics import (
    OUTLIER_LIMITS,
    PRIMARY,
    SUCCESS,
    bias,
    half_width,
    is_right,
    ks_distance,
    nmad,
    pull_width,
)
from galfit_ml.benchmark.pairs import tells_redshifts
from galfit_ml.benchmark.scoring import STAR_FORMING

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measure:
    """A metric of one backend, spectrum by spectrum.

    Args:
        told: [n] of each spectrum; NaN where it does not count.
        statistic: of the finite ones: the metric.
        share: whether they are hits, 0 or 1.
    """

    told: Floats
    statistic: Callable[[Floats], float]
    share: bool = False


def measure(points: pd.DataFrame, metric: str, parameter: str) -> Measure | None:
    """The numbers behind a metric, as `galfit_ml.benchmark.scoring` defines it; None where points do not hold them.

    Args:
        points: of one backend.
        metric, parameter: as in the rows.
    """
    if metric == "crps":
        return _plain(points, f"crps_{parameter}", mean)
    if metric in {"pit_ks", "pull_width"}:
        return _plain(points, f"level_{parameter}", ks_distance if metric == "pit_ks" else pull_width)
    if metric.startswith("coverage_"):
        return _coverage(points, metric, parameter)
    if metric in {*SUCCESS, "outliers", "nmad", "bias", "scatter"}:
        return _redshift(points, metric) if parameter == "redshift" else _other(points, metric, parameter)
    return None


def mean(values: Floats) -> float:
    """Of finite values [n]."""
    return float(values.mean())


def column(points: pd.DataFrame, name: str) -> Floats | None:
    """[n] a column as numbers; None where there is none, or nothing in it."""
    if name not in points:
        return None
    found = points[name].to_numpy(dtype=np.float64, na_value=np.nan)
    return found if np.isfinite(found).any() else None


def _plain(points: pd.DataFrame, name: str, statistic: Callable[[Floats], float]) -> Measure | None:
    values = column(points, name)
    return None if values is None else Measure(values, statistic)


def _coverage(points: pd.DataFrame, metric: str, parameter: str) -> Measure | None:
    """Whether the truth lies in an interval of equal tails, or in the region of highest density."""
    highest = metric.startswith("coverage_hpd_")
    level = column(points, f"hpd_{parameter}" if highest else f"level_{parameter}")
    if level is None:
        return None
    wanted = float(metric.rpartition("_")[2]) / 100
    inside = level < wanted if highest else np.abs(level - 0.5) < 0.5 * wanted
    return Measure(np.where(np.isfinite(level), inside, np.nan), mean, share=True)


def _redshift(points: pd.DataFrame, metric: str) -> Measure | None:
    """Of best redshifts: no answer is a wrong one; scatter and bias are those of right ones."""
    true, best = column(points, "true_redshift"), best_redshift(points)
    if true is None or best is None:
        return None
    right = is_right(best, true, SUCCESS.get(metric, PRIMARY))
    if metric in SUCCESS or metric == "outliers":
        hit = right if metric in SUCCESS else ~right
        return Measure(np.where(np.isfinite(true), hit, np.nan), mean, share=True)
    return _spread(np.where(right, (best - true) / (1 + true), np.nan), metric)


def best_redshift(points: pd.DataFrame) -> Floats | None:
    """[n] the redshift that a backend is judged by; the median where points tell of no other."""
    return column(points, "best_redshift" if "best_redshift" in points else "median_redshift")


def _other(points: pd.DataFrame, metric: str, parameter: str) -> Measure | None:
    """Of medians where the redshift is right, or none was asked; star-formation rates where there is star formation."""
    true, median = column(points, f"true_{parameter}"), column(points, f"median_{parameter}")
    if true is None or median is None:
        return None
    counted = np.isfinite(true) & np.isfinite(median)
    if tells_redshifts(points) and "right" in points:
        counted &= points["right"].fillna(False).to_numpy(dtype=np.bool_)
    ssfr = column(points, "log_ssfr")
    if parameter == "log_sfr" and ssfr is not None:
        counted &= ssfr > STAR_FORMING
    away = np.where(counted, median - true, np.nan)
    if metric != "outliers":
        return _spread(away, metric)
    limit = OUTLIER_LIMITS.get(parameter)
    return None if limit is None else Measure(np.where(counted, np.abs(away) > limit, np.nan), mean, share=True)


def _spread(values: Floats, metric: str) -> Measure | None:
    statistic = {"nmad": nmad, "bias": bias, "scatter": half_width}.get(metric)
    return None if statistic is None else Measure(values, statistic)
