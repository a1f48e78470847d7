"""Credibility of the highest-density region that just holds the truth, for posteriors with several peaks.

The level of a redshift among the draws (`levels.pit_level`) cannot tell a truth on a peak from one in the gap between
two; the probability at higher density than the truth's can.

The density is that of the k-th nearest neighbour (Loftsgaarden & Quesenberry 1965, Ann. Math. Stat. 36, 1049), per unit
of ln(1 + z), in which a velocity error has one length at every redshift. Bins of a fixed width would have to suit peaks
of 1e-5 and of 1: narrow peaks would fall into one bin and their widths go untested, broad ones be torn to single draws.
The neighbours adapt. With k = sqrt(s), a peak of fewer than k draws (6 % of 300) counts as thin; how well wrong widths
and probabilities of peaks are seen depends little on k from 9 to 60 of 300.

The truth is put among the draws before densities are estimated, and the density at each point takes all the others.
Where truth and draws have the same distribution, all s + 1 points are then interchangeable, so that the truth's rank in
density is exactly uniform, however rough the estimate and however few the draws. Levels are uniform within a rank and
over ties (a grid of redshifts has many), as in `pit_level`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galfit_ml.benchmark.metrics.missing import Ensemble, Floats

NUMBERS_AT_ONCE = 2_000_000
"""Draws whose densities are worked on at a time."""


def hpd_level(draws: ArrayLike, truth: ArrayLike, rng: np.random.Generator, *, neighbours: int | None = None) -> Floats:
    """Share of a redshift posterior at higher density than the truth's: 0 at the highest peak, 1 far outside.

    It is uniform for a calibrated posterior: the highest-density region of probability p holds the truth where the
    level is below p (`coverage(..., kind="highest-density")`).

    Args:
        draws: [n, s] redshifts of equal weight.
        truth: [n] true redshifts.
        rng: one number is taken for each row, those left out too.
        neighbours: k of the density estimate, 1 .. s; None: sqrt(s), rounded.

    Returns:
        [n] levels; NaN where the truth or any draw is not finite.

    Raises:
        ValueError: shapes that do not belong together, no draw, a redshift of -1 or less, `neighbours` out of range.
    """
    given = Ensemble.of(draws, truth)
    s = given.draws.shape[-1]
    k = round(s**0.5) if neighbours is None else neighbours
    if given.draws.ndim != 2 or not 1 <= k <= s:
        raise ValueError(f"Draws must be [n, s] and neighbours 1 to s, not {given.draws.shape} and {k}.")
    if min(given.draws.min(initial=0.0), given.truth.min(initial=0.0)) <= -1:
        raise ValueError("A redshift is above -1: pass redshifts, not logarithms or differences.")
    points = np.sort(np.log1p(np.concatenate([given.draws, given.truth[:, None]], axis=1)), axis=1)
    place = (points < np.log1p(given.truth)[:, None]).sum(axis=1)
    random, out = rng.random(len(points)), np.empty(len(points))
    step = max(1, NUMBERS_AT_ONCE // (s + 1))
    for rows in (slice(start, start + step) for start in range(0, len(points), step)):
        out[rows] = _rank(neighbour_distance(points[rows], k), place[rows], random[rows])
    return given.filled(out)


def _rank(distance: Floats, place: NDArray[np.intp], random: Floats) -> Floats:
    """[n] share of distances [n, m] below that at `place` [n], which shares its rank at random with its equals."""
    own = np.take_along_axis(distance, place[:, None], axis=1)
    nearer, same = (distance < own).sum(axis=1), (distance == own).sum(axis=1)
    return np.asarray((nearer + random * same) / distance.shape[1])


def neighbour_distance(points: Floats, k: int) -> Floats:
    """[n, m] distance of each of the sorted points [n, m] to the k-th nearest of the others in its row, 1 <= k < m.

    The k nearest and the point itself are k + 1 neighbours in the row, of k + 1 possible sets: the smallest is theirs.
    """
    m = points.shape[1]
    padded = np.pad(points, ((0, 0), (k, 0)), constant_values=-np.inf)
    padded = np.pad(padded, ((0, 0), (0, k)), constant_values=np.inf)
    out = np.full(points.shape, np.inf)
    for before in range(k + 1):
        first = padded[:, k - before : k - before + m]
        last = padded[:, 2 * k - before : 2 * k - before + m]
        np.minimum(out, np.maximum(points - first, last - points), out=out)
    return out
