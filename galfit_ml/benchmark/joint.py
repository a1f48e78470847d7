"""The levels of all parameters together: TARP."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from galfit_ml.benchmark.answers import Answers
from galfit_ml.benchmark.metrics import tarp
from galfit_ml.benchmark.points import LEAST_REDSHIFT
from galfit_ml.parameters import GALAXY

Floats = NDArray[np.float64]

SEED = 3

LEAST_POSITIVE = 1e-3
"""Of parameters whose logarithm is taken; below all that a prior allows."""


def joint_levels(answers: Answers) -> tuple[list[str], Floats]:
    """The parameters whose truth is known and that are answered, of any spectrum, and the levels [n] of all together.

    NaN where one of them is missing. Levels of other parameters are other questions: they do not compare.
    """
    known = [p for p in answers.names if p in answers.truth and p in GALAXY.names]
    pairs = {p: (answers.draws[:, :, answers.names.index(p)], answers.truth[p]) for p in known}
    scales = {p: (scaled(p, draws), scaled(p, truth)) for p, (draws, truth) in pairs.items()}
    whole = {p: np.isfinite(draws).all(axis=1) & np.isfinite(truth) for p, (draws, truth) in scales.items()}
    names = [p for p in known if whole[p].any()]
    level = np.full(len(answers), np.nan)
    good = np.logical_and.reduce([whole[p] for p in names]) if names else np.zeros(len(answers), dtype=bool)
    if good.any():
        draws = np.stack([scales[p][0][good] for p in names], axis=2)
        truth = np.stack([scales[p][1][good] for p in names], axis=1)
        level[good] = tarp(draws, truth, np.random.default_rng(SEED))
    return names, level


def scaled(name: str, values: NDArray[np.floating]) -> Floats:
    """Parameters as distances are taken in: redshift as ln(1 + z), positive ones as logarithms."""
    value = np.asarray(values, dtype=np.float64)
    if name == "redshift":
        return np.log1p(np.maximum(value, LEAST_REDSHIFT))
    return np.log(np.maximum(value, LEAST_POSITIVE)) if name in {"gas_metallicity", "velocity_dispersion"} else value
