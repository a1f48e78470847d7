"""Levels of the truth among the draws (probability integral transforms), and how far they are from uniform."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from galfit_ml.benchmark.metrics.missing import Ensemble, Floats, known


def pit_level(draws: ArrayLike, truth: ArrayLike, rng: np.random.Generator) -> Floats:
    """Share of the draws below the truth, exactly uniform in [0, 1] where truth and draws have the same distribution.

    The truth has a rank among s draws, and is as likely to have any of the s + 1 (Talts et al. 2018, arXiv:1804.06788);
    the level is uniform within its rank, and over the ranks of all draws that equal it (randomised PIT: Czado, Gneiting
    & Held 2009, Biometrics 65, 1254). So it is for any s, and for discrete or gridded posteriors.

    Args:
        draws: [..., s] posterior draws of equal weight.
        truth: [...] true values, same unit.
        rng: one number is taken for each row, those left out too.

    Returns:
        [...] levels; NaN where the truth or any draw is not finite.

    Raises:
        ValueError: shapes that do not belong together, or no draw.
    """
    given = Ensemble.of(draws, truth)
    value = given.truth[..., None]
    below, same = (given.draws < value).sum(axis=-1), (given.draws == value).sum(axis=-1)
    return given.filled((below + rng.random(given.truth.shape) * (same + 1)) / (given.draws.shape[-1] + 1))


def checked_levels(levels: ArrayLike) -> Floats:
    """The known ones among levels, flat.

    Raises:
        ValueError: one is outside [0, 1].
    """
    told = known(levels)
    if len(told) and not (told.min() >= 0 and told.max() <= 1):
        raise ValueError(
            f"Levels lie between 0 and 1, not {told.min():g} to {told.max():g}: pass what pit_level gives."
        )
    return told


def ks_distance(levels: ArrayLike) -> float:
    """Largest difference between the distribution of levels [n] and the uniform one (Kolmogorov-Smirnov statistic).

    Of n calibrated levels it is 0.87 / sqrt(n) on average. NaN levels are left out; NaN where none is left.

    Raises:
        ValueError: a level outside [0, 1].
    """
    ordered = np.sort(checked_levels(levels))
    if not len(ordered):
        return np.nan
    steps = np.arange(len(ordered) + 1) / len(ordered)
    return float(max((ordered - steps[:-1]).max(), (steps[1:] - ordered).max()))


def ks_by_chance(n: float) -> tuple[float, float]:
    """Mean and standard deviation of the `ks_distance` of n calibrated levels.

    Those of Kolmogorov's distribution, sqrt(pi / 2) ln 2 and sqrt(pi^2 / 12 - (pi / 2) ln^2 2), over
    sqrt(n) + 0.12 + 0.11 / sqrt(n) (Stephens 1970, J. R. Stat. Soc. B 32, 115); right to 1 % from n = 5.
    """
    root = np.sqrt(n) + 0.12 + 0.11 / np.sqrt(n)
    mean = np.sqrt(np.pi / 2) * np.log(2)
    return float(mean / root), float(np.sqrt(np.pi**2 / 12 - mean**2) / root)


def pit_histogram(levels: ArrayLike, bins: int = 20) -> tuple[Floats, Floats, Floats]:
    """Histogram of levels [n]; 1 everywhere for a calibrated posterior.

    Returns:
        edges [bins + 1], density [bins] and its binomial standard error [bins] if calibrated. NaN levels are left out;
        NaN densities where none is left.

    Raises:
        ValueError: a level outside [0, 1], or fewer than one bin.
    """
    if bins < 1:
        raise ValueError(f"A histogram needs at least 1 bin, not {bins}.")
    told = checked_levels(levels)
    count, edges = np.histogram(told, bins=bins, range=(0.0, 1.0))
    scale = bins / len(told) if len(told) else np.nan
    error = np.full(bins, scale * np.sqrt(len(told) * (1 - 1 / bins) / bins))
    return np.asarray(edges), np.asarray(count * scale), error
