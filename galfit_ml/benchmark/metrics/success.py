"""When a redshift is right, and how that grows when only the most trusted are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from galfit_ml.benchmark.metrics.missing import Bools, Floats
from galfit_ml.benchmark.metrics.shares import Share


@dataclass(frozen=True)
class Tolerance:
    """A redshift is right if it differs from the truth by less than this.

    Args:
        size: > 0.
        relative: times (1 + z_true), or as it is.
    """

    size: float
    relative: bool = True

    def __post_init__(self) -> None:
        if not self.size > 0:
            raise ValueError(f"A tolerance must be above 0, not {self.size}.")

    def limit(self, truth: ArrayLike) -> Floats:
        """[n] largest difference at true redshifts [n]."""
        z = np.asarray(truth, dtype=np.float64)
        return np.asarray(self.size * (1 + z) if self.relative else np.full(z.shape, self.size))


SUCCESS: Mapping[str, Tolerance] = MappingProxyType(
    {
        "success": Tolerance(0.0033),
        "success_abs_0.01": Tolerance(0.01, relative=False),
        "success_0.01": Tolerance(0.01),
    }
)
"""Metric -> its definition: 0.0033 (1 + z), about 1000 km/s, is the primary one; |dz| < 0.01 and 0.01 (1 + z) are the
definitions of published tests on MOONS spectra."""

PRIMARY = SUCCESS["success"]


def is_right(estimate: ArrayLike, truth: ArrayLike, tolerance: Tolerance = PRIMARY) -> Bools:
    """[n] whether redshifts are right. A NaN estimate, that of a failed spectrum, is wrong; so is one of a NaN truth.

    Raises:
        ValueError: different shapes.
    """
    z, z_true = np.asarray(estimate, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if z.shape != z_true.shape:
        raise ValueError(f"Redshifts and their truth must have one shape, not {z.shape} and {z_true.shape}.")
    both = np.isfinite(z) & np.isfinite(z_true)
    away = np.abs(np.where(both, z, 0.0) - np.where(both, z_true, 0.0))
    return np.asarray(both & (away < tolerance.limit(np.where(both, z_true, 0.0))))


def success(estimate: ArrayLike, truth: ArrayLike, tolerance: Tolerance = PRIMARY) -> Share:
    """Share of redshifts [n] that are right; a NaN estimate is wrong, a NaN truth is left out and counted.

    Raises:
        ValueError: different shapes.
    """
    right = is_right(estimate, truth, tolerance)
    return Share.of(np.where(np.isfinite(np.asarray(truth, dtype=np.float64)), right, np.nan))


def retention_curve(score: ArrayLike, right: ArrayLike, shares: ArrayLike) -> tuple[Share, ...]:
    """Success of those kept, when the share with the highest scores is kept.

    Spectra of equal score are kept in random order: the mean over all orders is given, so that a score which says
    nothing gives a flat line.

    Args:
        score: [n] trust in each redshift, higher is better; NaN, that of a failed spectrum, ranks last.
        right: [n] whether each redshift is right (`is_right`).
        shares: [k] shares to keep, above 0 and up to 1; at least one spectrum is kept, numbers are rounded.

    Returns:
        k shares; `Share.n` is the number kept.

    Raises:
        ValueError: different lengths, or a share out of range.
    """
    trust, hit = np.asarray(score, dtype=np.float64), np.asarray(right, dtype=np.bool_)
    kept = np.atleast_1d(np.asarray(shares, dtype=np.float64))
    if trust.ndim != 1 or trust.shape != hit.shape or not ((kept > 0) & (kept <= 1)).all():
        raise ValueError(f"Needs score and right [n] and shares in (0, 1], not {trust.shape}, {hit.shape} and {kept}.")
    if not len(trust):
        return tuple(Share.of_count(0, 0) for _ in kept)
    _, group = np.unique(np.where(np.isnan(trust), -np.inf, trust), return_inverse=True)
    mean = np.bincount(group, weights=hit) / np.bincount(group)
    hits = np.cumsum(mean[np.sort(group)[::-1]])
    numbers = np.clip(np.rint(kept * len(trust)), 1, len(trust)).astype(np.int64)
    return tuple(Share.of_count(float(min(hits[number - 1], number)), int(number)) for number in numbers)
