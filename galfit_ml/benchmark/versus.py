"""Backends against one of them on the same spectra: ratios with errors of the pairs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from galfit_ml.benchmark.metrics import paired_bootstrap
from galfit_ml.benchmark.scoring import LEAST_RANKS, Bin, bins_of
from galfit_ml.benchmark.suite import Suite
from galfit_ml.benchmark.table import Row
from galfit_ml.parameters import GALAXY

BASELINE = "emcee"

RESAMPLED = 400

SAME = ("part", "id", "true_redshift")


def versus(suite: Suite, points: pd.DataFrame, baseline: str = BASELINE) -> Iterator[Row]:
    """Mean CRPS of each parameter and redshift success over the baseline's, in every bin, on spectra both answered.

    Spectra are the same where part, name and true redshift are: numbers alone are not, for cells of a grid, which
    depend on how many were asked for.

    Args:
        suite: whose bins they are.
        points: of several backends.
        baseline: whose number is the denominator.
    """
    if "backend" not in points or baseline not in set(points["backend"]):
        return
    theirs = _by_spectrum(points, baseline)
    for name in points["backend"].unique():
        if name == baseline:
            continue
        ours = _by_spectrum(points, str(name))
        same = ours.index.intersection(theirs.index, sort=False)
        own, other = ours.loc[same], theirs.loc[same]
        for one in bins_of(own.reset_index(drop=True), suite):
            if one.rows.sum() >= LEAST_RANKS:
                yield from _ratios(suite, str(name), baseline, one, own[one.rows], other[one.rows])


def _by_spectrum(points: pd.DataFrame, backend: str) -> pd.DataFrame:
    own = points[points["backend"] == backend]
    return (
        own.set_index(list(SAME), drop=False).rename_axis([None] * len(SAME)).pipe(lambda t: t[~t.index.duplicated()])
    )


def _ratios(
    suite: Suite, name: str, baseline: str, own: Bin, first: pd.DataFrame, second: pd.DataFrame
) -> Iterator[Row]:
    columns = [(f"crps_{p}", p, "crps", "lower") for p in GALAXY.names] + [("right", "redshift", "success", "higher")]
    for column, parameter, metric, direction in columns:
        if column not in first or column not in second:
            continue
        truth = first["true_redshift"].to_numpy(dtype=np.float64)
        pair = [frame[column].to_numpy(dtype=np.float64) for frame in (first, second)]
        if column == "right":  # where the truth is not known, nothing is right or wrong
            pair = [np.where(np.isfinite(truth), values, np.nan) for values in pair]
        found = paired_bootstrap(np.mean, pair[:1], pair[1:], np.random.default_rng(1), n=RESAMPLED, how="ratio")
        if np.isfinite(found.value):
            place = {"axis": own.axis, "bin": own.label, "low": own.low, "high": own.high}
            numbers = {"error": found.error, "n": found.n, "direction": direction}
            label = f"{metric}_over_{baseline}"
            yield Row(suite.name, name, parameter, label, found.value, **place, **numbers)  # type: ignore[arg-type]
