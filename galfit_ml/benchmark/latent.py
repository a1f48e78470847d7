"""What a latent space knows that no label named: linear probes, out of fold, as rows; and its projection."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galfit_ml.benchmark.answers import Answers
from galfit_ml.benchmark.suite import Suite
from galfit_ml.benchmark.table import Row
from galfit_ml.flags import Flag
from galfit_ml.latent import LatentError, MissingPackageError, classify, pca

QUENCHED = -11.0
"""log sSFR, 1/yr, below which a galaxy is quenched."""

BULGE = 0.5
"""Share of the bulge in the light that divides early from late morphologies."""

Bools = NDArray[np.bool_]


def with_projection(points: pd.DataFrame, answers: Answers) -> pd.DataFrame:
    """The points with the first two principal components of the embedding, where there is one."""
    if answers.embedding.shape[1] == 0:
        return points
    try:
        found = pca(_features(answers)).coordinates
    except LatentError:
        return points
    return points.assign(latent_x=found[:, 0], latent_y=found[:, 1])


def latent_rows(suite: Suite, backend: str, points: pd.DataFrame, answers: Answers) -> Iterator[Row]:
    """Area under the ROC curve of a linear probe for each question that the spectra's truth answers."""
    if not suite.latent or answers.embedding.shape[1] == 0:
        return
    features = _features(answers)
    for name, (positive, told) in questions(points).items():
        known = told & np.isfinite(features).all(axis=1)
        row = Row(suite.name, backend, name, "auc", np.nan, n=int(known.sum()), direction="higher")
        try:
            found = classify(features[known], np.where(positive[known], "yes", "no"), ("no", "yes"))
        except (LatentError, MissingPackageError) as error:
            yield Row(suite.name, backend, name, "failed", np.nan, reason=str(error))
            continue
        yield Row(**{**vars(row), "value": float(found.auc), "error": float(found.samples.std())})


def _features(answers: Answers) -> NDArray[np.float64]:
    """The embedding; NaN where there is no answer."""
    failed = (answers.flags & int(Flag.FAILED)) != 0
    return np.where(failed[:, None], np.nan, answers.embedding.astype(np.float64))


def questions(points: pd.DataFrame) -> dict[str, tuple[Bools, Bools]]:
    """Label -> which galaxies have it, and of which it is known."""
    out: dict[str, tuple[Bools, Bools]] = {}
    if "log_ssfr" not in points:
        return out
    ssfr = points["log_ssfr"].to_numpy(dtype=np.float64)
    out["quenched"] = ssfr < QUENCHED, np.isfinite(ssfr)
    if "bulge_to_total_light" in points:
        share = points["bulge_to_total_light"].to_numpy(dtype=np.float64)
        out["bulge-dominated"] = share > BULGE, np.isfinite(share)
        among = np.isfinite(share) & (ssfr >= QUENCHED)
        out["bulge-dominated, star-forming alone"] = share > BULGE, among
    return out
