"""What a benchmark measures: small functions of draws, truths and levels.

Arrays have one row per spectrum. Where a number is missing (NaN or infinite, in the truth or any draw), functions that
answer per row (`crps`, `pit_level`, `hpd_level`, `tarp`) say NaN, and those that answer with one number leave the row
out; `Share` and `Comparison` count what is left out, and `n_left_out` does for any arrays. Where failing must count, it
counts as wrong: `is_right`, `success` and `retention_curve` take a NaN estimate or score for a spectrum that failed.
"""

from galfit_ml.benchmark.metrics.density import hpd_level
from galfit_ml.benchmark.metrics.galaxies import Galaxies, design_effect
from galfit_ml.benchmark.metrics.levels import ks_by_chance, ks_distance, pit_histogram, pit_level
from galfit_ml.benchmark.metrics.missing import complete, n_left_out
from galfit_ml.benchmark.metrics.random_points import tarp
from galfit_ml.benchmark.metrics.resampling import Comparison, bootstrap, paired_bootstrap
from galfit_ml.benchmark.metrics.robust import OUTLIER_LIMITS, bias, half_width, nmad, outlier_share, pull_width, pulls
from galfit_ml.benchmark.metrics.scores import crps, interval_half_width
from galfit_ml.benchmark.metrics.shares import Share, coverage, holds
from galfit_ml.benchmark.metrics.success import PRIMARY, SUCCESS, Tolerance, is_right, retention_curve, success

__all__ = [
    "OUTLIER_LIMITS",
    "PRIMARY",
    "SUCCESS",
    "Comparison",
    "Galaxies",
    "Share",
    "Tolerance",
    "bias",
    "bootstrap",
    "complete",
    "coverage",
    "crps",
    "design_effect",
    "half_width",
    "holds",
    "hpd_level",
    "interval_half_width",
    "is_right",
    "ks_by_chance",
    "ks_distance",
    "n_left_out",
    "nmad",
    "outlier_share",
    "paired_bootstrap",
    "pit_histogram",
    "pit_level",
    "pull_width",
    "pulls",
    "retention_curve",
    "success",
    "tarp",
]
