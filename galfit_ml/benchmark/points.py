"""One line a spectrum: truth, answer, and how the two compare."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galfit_ml.benchmark.answers import Answers
from galfit_ml.benchmark.metrics import PRIMARY, crps, hpd_level, is_right, pit_level
from galfit_ml.flags import Flag
from galfit_ml.parameters import GALAXY

Floats = NDArray[np.float64]

SEED = 20
EXPOSURE = re.compile(r"-\d+s$")
"""How the names of spectra end where their galaxies are observed with several exposures."""

LEAST_REDSHIFT = -0.99
"""Of draws: what lies below is no redshift, and as wrong as this."""


def points_of(answers: Answers, suite: str, backend: str) -> pd.DataFrame:
    """The points of a backend; the columns are those of docs/benchmark.md.

    `galaxy` is the same for all spectra of a galaxy, whoever answers and however many were asked for.
    """
    n, truth = len(answers), answers.truth
    failed = (answers.flags & int(Flag.FAILED)) != 0
    table: dict[str, Any] = {
        "suite": suite,
        "backend": backend,
        "spectrum": answers.number,
        "id": answers.ids,
        "galaxy": galaxies(answers),
        **{f"true_{k}" if k in GALAXY.names else k: v for k, v in truth.items() if k not in answers.names},
        "flags": answers.flags,
        "failed": failed,
        "reason": answers.reasons,
    }
    table["exposure"] = truth["exposure_s"] / 3600.0 if "exposure_s" in truth else np.full(n, np.nan)
    rng = np.random.default_rng(SEED)
    for number, name in enumerate(answers.names):
        draws = answers.draws[:, :, number].astype(np.float64)
        true = np.asarray(truth.get(name, np.full(n, np.nan)), dtype=np.float64)
        table |= _one(name, draws, true, rng)
    table |= _redshift(answers, table)
    if "exposure_s" in truth and "class" in truth:
        hours = [f"{hours:g} h" for hours in np.round(table["exposure"], 3)]
        table["exposure and class"] = [f"{a} {b}" for a, b in zip(hours, truth["class"], strict=True)]
    return pd.DataFrame(table)


def galaxies(answers: Answers) -> list[str]:
    """[n] what tells galaxies apart: name without the exposure time, class, true redshift and magnitude.

    The surveys of two parts give their galaxies the same names, and those of a grid are numbered anew where more are
    asked for. Redshifts are drawn, and have all their digits on every machine; magnitudes are calculated.
    """
    nothing = np.full(len(answers), np.nan)
    redshift, magnitude = (answers.truth.get(name, nothing) for name in ("redshift", "magnitude"))
    kinds = answers.truth.get("class", np.full(len(answers), ""))
    told = zip(answers.ids, kinds, redshift, magnitude, strict=True)
    return [" ".join(f"{EXPOSURE.sub('', str(name))} {kind} z{z:.6f} m{m:.1f}".split()) for name, kind, z, m in told]


def _one(name: str, draws: Floats, truth: Floats, rng: np.random.Generator) -> dict[str, Floats]:
    low, middle, high = _quantiles(draws)
    return {
        f"true_{name}": truth,
        f"median_{name}": middle,
        f"low_{name}": low,
        f"high_{name}": high,
        f"level_{name}": pit_level(draws, truth, rng),
        f"crps_{name}": crps(draws, truth),
    }


def _quantiles(draws: Floats) -> Floats:
    """16, 50 and 84 % of draws [n, s], [3, n]."""
    return np.quantile(draws, [0.16, 0.5, 0.84], axis=1)


def _redshift(answers: Answers, table: dict[str, Any]) -> dict[str, Any]:
    """The best redshift (the most probable one where a backend tells, else the median), its probability, if right.

    NaN where there is no answer, whatever a search may have found before it failed, and of a backend without redshifts,
    none of which is right; `gives_redshift` says so.
    """
    n = len(answers)
    told, median = answers.told["redshift_1"], table.get("median_redshift", np.full(n, np.nan))
    best = np.where(table["failed"], np.nan, np.where(np.isfinite(told), told, median))
    draws = np.full((n, answers.draws.shape[1]), np.nan)
    if "redshift" in answers.names:
        draws = answers.draws[:, :, answers.names.index("redshift")].astype(np.float64)
    near = np.abs(draws - best[:, None]) < PRIMARY.limit(best)[:, None]
    share = np.where(np.isfinite(best), near.mean(axis=1), np.nan)
    known = answers.told["redshift_probability_1"]
    true = np.asarray(table.get("true_redshift", np.full(n, np.nan)), dtype=np.float64)
    return {
        "gives_redshift": "redshift" in answers.names or bool(np.isfinite(told).any()),
        "best_redshift": best,
        "redshift_probability": np.where(np.isfinite(known) & np.isfinite(best), known, share),
        "right": is_right(best, true),
        "true_redshift": true,
        "hpd_redshift": hpd_level(np.maximum(draws, LEAST_REDSHIFT), true, np.random.default_rng(SEED + 1)),
    }
