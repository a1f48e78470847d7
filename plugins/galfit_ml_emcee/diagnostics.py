"""How good a chain is: effective samples and split R-hat of each reported parameter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STILL = 1e-9
"""A parameter that varies by less than this share of its size is given, not sampled."""


@dataclass(frozen=True, eq=False)
class Quality:
    """Quality of the chain of each of n_par parameters; NaN for one that is given.

    Args:
        autocorrelation: [n_par] integrated autocorrelation time, steps; infinite where a walker never moved.
        effective: [n_par] number of independent samples the chain is worth.
        r_hat: [n_par] split R-hat.
    """

    autocorrelation: Floats
    effective: Floats
    r_hat: Floats

    @classmethod
    def of(cls, values: Floats) -> Quality:
        """From values [n_steps, n_walkers, n_par].

        The autocorrelation time is the longer of two estimates: from the correlation within walkers, which a short
        chain makes too short, and from how far the walkers' means lie apart, which it does not.
        """
        columns = np.moveaxis(values, -1, 0)
        still = np.array([np.ptp(c) <= STILL * max(1.0, float(np.abs(c).max())) for c in columns])
        r_hat = np.array([np.nan if s else split_r_hat(c) for c, s in zip(columns, still, strict=True)])
        within = np.array([np.nan if s else autocorrelation_time(c) for c, s in zip(columns, still, strict=True)])
        time = np.fmax(within, time_from_r_hat(r_hat, len(values)))  # too short a chain has no R-hat
        return cls(time, values.shape[0] * values.shape[1] / np.maximum(time, 1.0), r_hat)


def time_from_r_hat(r_hat: Floats, n_steps: int) -> Floats:
    """Autocorrelation time that puts the means of half chains so far apart: their variance is time / length, [n]."""
    return (r_hat**2 - 1) * (n_steps // 2) + 1


def autocorrelation_time(values: Floats) -> float:
    """Integrated autocorrelation time of one quantity [n_steps, n_walkers], steps (Goodman & Weare 2010, sec. 5).

    Infinite where a walker has not moved at all: such a chain says nothing of how long it should be.
    """
    from emcee.autocorr import integrated_time

    if len(values) < 4 or np.any(np.ptp(values, axis=0) == 0):
        return float("inf")
    return max(float(integrated_time(values[..., None], tol=0, quiet=True)[0]), 1.0)


def split_r_hat(values: Floats) -> float:
    """Split R-hat of one quantity [n_steps, n_walkers]: each walker cut into two (Gelman et al. 2013, eq. 11.4).

    Near 1 where the halves of all walkers look alike; NaN for fewer than four steps.
    """
    half = len(values) // 2
    if half < 2:
        return float("nan")
    chains = np.concatenate([values[:half], values[half : 2 * half]], axis=1)
    within = chains.var(axis=0, ddof=1).mean()
    between = half * chains.mean(axis=0).var(ddof=1)
    return float(np.sqrt(((half - 1) / half * within + between / half) / within)) if within > 0 else float("inf")
