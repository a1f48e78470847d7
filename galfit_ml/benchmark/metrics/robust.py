"""Robust statistics of differences from the truth; values that are not finite are left out, NaN where none is left."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from galfit_ml.benchmark.metrics.levels import checked_levels
from galfit_ml.benchmark.metrics.missing import Floats, known
from galfit_ml.benchmark.metrics.shares import Share

OUTLIER_LIMITS: Mapping[str, float] = MappingProxyType({"log_stellar_mass": 0.4, "log_sfr": 0.8})
"""Differences (dex) beyond which a median of these parameters is an outlier."""


def bias(differences: ArrayLike) -> float:
    """Median of differences [n] (estimate minus truth), in their unit."""
    told = known(differences)
    return float(np.median(told)) if len(told) else np.nan


def nmad(differences: ArrayLike) -> float:
    """1.4826 times the median absolute deviation from the median of differences [n]: sigma, if they are Gaussian.

    For redshifts the differences are (z - z_true) / (1 + z_true) (Hoaglin, Mosteller & Tukey 1983; Brammer et al. 2008,
    ApJ 686, 1503, eq. 5).
    """
    told = known(differences)
    return float(1.4826 * np.median(np.abs(told - np.median(told)))) if len(told) else np.nan


def half_width(values: ArrayLike) -> float:
    """Half of the range from the 16 % to the 84 % quantile of values [n]; 0.9945 sigma, if they are Gaussian."""
    ordered = np.sort(known(values))
    return 0.5 * (_quantile(ordered, 0.84) - _quantile(ordered, 0.16)) if len(ordered) else np.nan


def _quantile(ordered: Floats, share: float) -> float:
    """As `numpy.quantile`, of few values ten times as fast: the bootstrap asks for it a hundred thousand times."""
    place = share * (len(ordered) - 1)
    k = int(place)
    return float(ordered[k] + (place - k) * (ordered[min(k + 1, len(ordered) - 1)] - ordered[k]))


def outlier_share(differences: ArrayLike, limit: float) -> Share:
    """Share of differences [n] that are farther than `limit` (same unit, > 0) from 0.

    Raises:
        ValueError: a limit of 0 or less.
    """
    if not limit > 0:
        raise ValueError(f"The limit of an outlier must be above 0, not {limit}.")
    told = known(differences)
    return Share.of_count(int((np.abs(told) > limit).sum()), len(told), left_out=np.size(differences) - len(told))


def pull_width(levels: ArrayLike) -> float:
    """Width of the errors in units of the claimed ones: 1 if calibrated, 2 if intervals should be twice as wide.

    The pull of a level u is the normal quantile of u (a Gaussian posterior's (truth - mean) / sigma); the width is half
    of its 16-84 % range, over that of a normal distribution. Pulls are resolved to what the draws tell, 2.7 for 300
    draws, and held within 3.7.

    Raises:
        ValueError: a level outside [0, 1].
    """
    return half_width(pulls(levels))


def pulls(levels: ArrayLike) -> Floats:
    """Of levels [n], those that are known, whose `half_width` is the `pull_width`: normal scores over 0.9945."""
    return np.asarray(ndtri(np.clip(checked_levels(levels), 1e-4, 1 - 1e-4)) / ndtri(0.84))
