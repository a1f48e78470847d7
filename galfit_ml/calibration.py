"""Calibration: posteriors that cover the truth as often as they say, learnt on simulations that no training saw.

A backend's posterior of a parameter has the cumulative distribution F; the levels F(truth) of many galaxies, their
probability integral transforms, are uniform where it is right. Where they are not, their distribution G says what is:
G(F) is the calibrated posterior (Kuleshov et al. 2018, arXiv:1807.00263; Dey et al. 2022, arXiv:2205.14568). It is
applied to the draws, so that tables, intervals and joint draws agree: the draw of rank u moves to where the posterior
has the level G^-1(u). Ranks stay, and with them what joint draws say of two parameters at once. Where the redshift has
several solutions, its draws move within each: how probable each is stays, and so do the properties that belong to it.

G is smooth in the measured signal-to-noise: quantiles of the levels weighted by a kernel in its logarithm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression
from scipy.special import ndtr, ndtri

from galfit_ml.parameters import ParameterSet

if TYPE_CHECKING:
    from galfit_ml.posterior import Posterior

Floats = NDArray[np.float64]

NODES = np.linspace(-1.5, 2.0, 15)
"""log10 of the measured signal-to-noise at which maps are known; linear between, constant beyond."""

KERNEL = 0.2
"""Width (sigma) in log10 signal-to-noise of the spectra that a node learns from."""

LEVELS = np.linspace(-2.6, 2.6, 27)
"""Levels at which a map is known, as normal quantiles: from 0.5 % to 99.5 %."""

LEAST_SPECTRA = 200
"""A node that fewer spectra than this (by weight) say something about says nothing itself."""


def place_of(snr: ArrayLike) -> Floats:
    """[n] place of measured signal-to-noise among the `NODES`, 0 .. len(NODES) - 1."""
    return np.asarray(np.interp(_log(snr), NODES, np.arange(len(NODES))))


def along_nodes(table: Floats, snr: ArrayLike) -> Floats:
    """Rows of `table` [n_nodes, ...] interpolated to the measured signal-to-noise [n]: [n, ...]."""
    place = place_of(snr)
    low = np.minimum(place.astype(np.int64), len(NODES) - 2)
    share = (place - low).reshape(-1, *(1,) * (table.ndim - 1))
    return np.asarray(table[low] * (1 - share) + table[low + 1] * share)


def node_weights(snr: ArrayLike) -> Floats:
    """[n_nodes, n] what each spectrum counts at each node."""
    value = _log(snr).clip(NODES[0], NODES[-1])
    return np.asarray(np.exp(-0.5 * ((value - NODES[:, None]) / KERNEL) ** 2))


def _log(snr: ArrayLike) -> Floats:
    """log10 of measured signal-to-noise, which may be 0 or less."""
    return np.asarray(np.log10(np.maximum(np.asarray(snr, dtype=np.float64), 1e-3)))


def filled(table: Floats, weight: Floats) -> Floats:
    """`table` [n_nodes, ...], where too few spectra say something replaced by the nearest node where enough do."""
    known = np.flatnonzero(weight.sum(axis=1) >= LEAST_SPECTRA)
    if not len(known):
        raise ValueError(
            f"A calibration needs at least {LEAST_SPECTRA} spectra of similar signal-to-noise, and has "
            f"{weight.shape[1]} in all. Simulate more."
        )
    nearest = known[np.abs(np.arange(len(table))[:, None] - known).argmin(axis=1)]
    return np.asarray(table[nearest])


def levels_of(draws: Floats, truth: Floats, seed: int = 0) -> Floats:
    """Probability integral transforms [n]: share of the draws [n, n_draws] below the truth [n].

    Between two draws, and beyond the last one, a level is uniform at random (ranks: Talts et al. 2018,
    arXiv:1804.06788).
    """
    n_draws = draws.shape[1]
    below, same = ((f(draws, truth[:, None])).sum(axis=1) for f in (np.less, np.equal))
    rng = np.random.default_rng(seed)
    return np.asarray((below + rng.random(len(truth)) * (same + 1)) / (n_draws + 1))


MOST = 6.0
"""Places beyond this are held there."""

STEEPEST = 2.0
"""Beyond the levels it knows a map goes on with its last slope, no steeper than this and no flatter than 1 / this."""

FEWEST = 20
"""Draws of a solution that fewer than this belong to are left where they are."""


@dataclass(frozen=True, eq=False)
class Solutions:
    """Which of n_draws sorted draws lie together, where a gap lies between two solutions.

    Args:
        start, size: [n, n_draws] place of the first draw of each one's solution, and the solution's number of draws.
    """

    start: NDArray[np.int64]
    size: NDArray[np.int64]

    @classmethod
    def of(cls, ordered: Floats, gap: Floats | None) -> Solutions:
        """Of sorted draws [n, n_draws]; neighbours farther apart than `gap` [n] are of two solutions, None: of one."""
        n, n_draws = ordered.shape
        index = np.broadcast_to(np.arange(n_draws), (n, n_draws))
        if gap is None:
            return cls(np.zeros((n, n_draws), np.int64), np.full((n, n_draws), n_draws))
        new = np.concatenate([np.ones((n, 1), bool), np.diff(ordered, axis=1) > gap[:, None]], axis=1)
        start = np.maximum.accumulate(np.where(new, index, 0), axis=1)
        last = np.concatenate([new[:, 1:], np.ones((n, 1), bool)], axis=1)
        end = np.minimum.accumulate(np.where(last, index, n_draws)[:, ::-1], axis=1)[:, ::-1]
        return cls(start, end - start + 1)

    def known(self) -> Floats:
        """Normal quantile of each draw's rank within its solution."""
        index = np.arange(self.start.shape[1])
        return np.asarray(ndtri((index - self.start + 0.5) / self.size))


def places_of(draws: Floats, truth: Floats, gap: Floats | None = None) -> Floats:
    """Levels of the truth [n] among draws [n, n_draws] as normal quantiles, also beyond the last draw.

    Between two draws a place is interpolated, beyond them it goes on with the slope of the outer draws: the inverse of
    what `LevelMap.apply` does. With `gap` [n] it is the place within the solution that is nearest to the truth; NaN
    where that has too few draws, as where there is no draw.

    Raises:
        ValueError: fewer than three draws.
    """
    if draws.shape[1] < 3:
        raise ValueError(f"A level needs at least 3 draws, not {draws.shape[1]}.")
    ordered = np.sort(draws, axis=1)
    own = Solutions.of(ordered, gap)
    return np.array([_place(*row) for row in zip(ordered, truth, own.start, own.size, strict=True)])


def _place(ordered: Floats, truth: float, start: NDArray[np.int64], size: NDArray[np.int64]) -> float:
    nearest = int(np.abs(ordered - truth).argmin())
    values = ordered[start[nearest] : start[nearest] + size[nearest]]
    if (len(values) < FEWEST and len(values) < len(ordered)) or not np.isfinite(values).all():
        return np.nan
    known = ndtri((np.arange(len(values)) + 0.5) / len(values))
    if values[0] == values[-1]:
        return 0.0
    if values[0] <= truth <= values[-1]:
        return float(np.interp(truth, values, known))
    end, sixth = (0, max(len(values) // 6, 1)) if truth < values[0] else (-1, -1 - max(len(values) // 6, 1))
    slope = (values[sixth] - values[end]) / (known[sixth] - known[end])
    beyond = known[end] + (truth - values[end]) / max(slope, 1e-300)
    return float(np.clip(beyond, -MOST, MOST))


@dataclass(frozen=True, eq=False)
class LevelMap:
    """G^-1 of one parameter.

    Args:
        moved: [n_nodes, n_levels] normal quantile of G^-1 at `LEVELS`.
    """

    moved: Floats

    @classmethod
    def fit(cls, places: Floats, snr: Floats) -> LevelMap:
        """From places of the truth [n] (`places_of`; NaN is left out) and signal-to-noise [n].

        Raises:
            ValueError: too few spectra.
        """
        known = np.isfinite(places)
        place, weight = places[known], node_weights(snr[known])
        order = np.argsort(place)
        share = np.cumsum(weight[:, order], axis=1) - 0.5 * weight[:, order]
        share /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-30)
        moved = np.stack([np.interp(ndtr(LEVELS), row, place[order]) for row in share])
        return cls(filled(moved, weight))

    def places(self, known: Floats, snr: Floats) -> Floats:
        """Normal quantiles [n, n_draws] at which draws of rank `known` [n, n_draws] are to be read."""
        table = along_nodes(self.moved, snr)
        place = np.clip((known - LEVELS[0]) / (LEVELS[1] - LEVELS[0]), 0, len(LEVELS) - 1)
        low = np.minimum(place.astype(np.int64), len(LEVELS) - 2)
        first, second = (np.take_along_axis(table, low + k, axis=1) for k in (0, 1))
        step = np.clip(
            np.diff(table[:, [0, 1, -2, -1]], axis=1)[:, [0, 2]] / (LEVELS[1] - LEVELS[0]), 1 / STEEPEST, STEEPEST
        )
        beyond = np.minimum(known - LEVELS[0], 0) * step[:, :1] + np.maximum(known - LEVELS[-1], 0) * step[:, 1:]
        return np.asarray(np.clip(first + (second - first) * (place - low) + beyond, -MOST, MOST))

    def apply(self, draws: Floats, snr: Floats, gap: Floats | None = None) -> Floats:
        """Draws [n, n_draws] of n spectra moved to where the truth is as often as they say.

        Args:
            draws: in any order; NaN stays.
            snr: [n] measured signal-to-noise.
            gap: [n] two neighbouring draws farther apart than this belong to two solutions: each solution keeps its
                draws, and with them its probability, and they are moved within it.
        """
        order = np.argsort(draws, axis=1)
        ordered = np.take_along_axis(draws, order, axis=1)
        own = Solutions.of(ordered, gap)
        moved = _read(ordered, self.places(own.known(), snr), own)
        out = np.empty_like(draws)
        np.put_along_axis(out, order, moved, axis=1)
        return out


def _read(ordered: Floats, level: Floats, own: Solutions) -> Floats:
    """Values of sorted draws [n, n_draws] at levels [n, n_draws] (normal quantiles) of their solutions."""
    place = np.clip(ndtr(level) * own.size - 0.5, 0, own.size - 1)
    low = np.minimum(place.astype(np.int64), np.maximum(own.size - 2, 0))
    last = np.minimum(low + 1, own.size - 1)
    first, second = (np.take_along_axis(ordered, own.start + k, axis=1) for k in (low, last))
    moved = first + (second - first) * (place - low) + _beyond(ordered, level, own)
    return np.asarray(np.where(own.size >= min(FEWEST, ordered.shape[1]), moved, ordered))


def _beyond(ordered: Floats, level: Floats, own: Solutions) -> Floats:
    """What is added beyond the last draws of a solution: the slope of its outer sixth on either side goes on."""
    sixth = np.maximum(own.size // 6, np.minimum(1, own.size - 1))
    edge = ndtri(0.5 / own.size)
    width = ndtri((sixth + 0.5) / own.size) - edge
    end = own.start + own.size - 1
    low, high = (
        (np.take_along_axis(ordered, a, axis=1) - np.take_along_axis(ordered, b, axis=1)) / np.maximum(width, 1e-9)
        for a, b in ((own.start + sixth, own.start), (end, end - sixth))
    )
    return np.asarray(np.minimum(level - edge, 0) * low + np.maximum(level + edge, 0) * high)


@dataclass(frozen=True, eq=False)
class Reliability:
    """Stated probability that a redshift is right, to how often it is.

    Args:
        stated, right: [k] rising.
    """

    stated: Floats
    right: Floats

    @classmethod
    def fit(cls, stated: Floats, right: NDArray[np.bool_], n_groups: int = 40) -> Reliability:
        """Isotonic regression of what was right [n] on the stated probability [n], in groups of equal number."""
        order = np.argsort(stated)
        groups = [g for g in np.array_split(order, n_groups) if len(g)]
        counts = np.array([len(g) for g in groups], dtype=np.float64)
        # One half counts as right of one more: no group is ever certain.
        share = np.array([(right[g].sum() + 0.5) / (len(g) + 1) for g in groups])
        rising = isotonic_regression(share, weights=counts).x
        return cls(np.array([stated[g].mean() for g in groups]), np.asarray(rising))

    def __call__(self, stated: Floats) -> Floats:
        """Calibrated probability [n]."""
        return np.asarray(np.interp(stated, self.stated, self.right))


def solution_gap(name: str, draws: Floats) -> Floats | None:
    """[n] distance between two draws that belong to two solutions, for redshifts [n, n_draws]; None for the others."""
    return 0.0033 * (1 + draws.mean(axis=1)) if name == "redshift" else None


@dataclass(frozen=True, eq=False)
class Calibration:
    """Maps of all parameters of a posterior.

    Args:
        maps: parameter -> its map.
    """

    maps: Mapping[str, LevelMap]

    @classmethod
    def fit(cls, posterior: Posterior, truth: Mapping[str, ArrayLike], snr: ArrayLike) -> Calibration:
        """Learn from spectra whose truth is known and that the backend never saw.

        Args:
            posterior: of n spectra, uncalibrated. Rows without a result are left out.
            truth: parameter -> [n]; parameters that are not in it are left as they are.
            snr: [n] measured signal-to-noise per pixel (`Prepared.snr`).

        Raises:
            ValueError: too few spectra.
        """
        ok, depth = posterior.ok, np.asarray(snr, dtype=np.float64)
        maps = {}
        for name in posterior.parameters.names:
            if name in truth:
                draws = posterior[name][ok]
                places = places_of(draws, np.asarray(truth[name], dtype=np.float64)[ok], solution_gap(name, draws))
                maps[name] = LevelMap.fit(places, depth[ok])
        return cls(maps)

    def apply(self, posterior: Posterior, snr: ArrayLike) -> Posterior:
        """The calibrated posterior of n spectra whose measured signal-to-noise is `snr` [n].

        Draws are moved; best fit, histories and trace stay as the backend gave them.
        """
        depth = np.asarray(snr, dtype=np.float64)
        return replace(posterior, draws=self.moved(posterior.draws, posterior.parameters, depth))

    def moved(self, draws: Floats, parameters: ParameterSet, snr: Floats) -> Floats:
        """Draws [n, n_draws, n_par] moved, within the range of each parameter; a parameter that is fixed stays."""
        out = draws.copy()
        for index, parameter in enumerate(parameters):
            if parameter.name not in self.maps:
                continue
            own = draws[:, :, index]
            moved = self.maps[parameter.name].apply(own, snr, solution_gap(parameter.name, own))
            out[:, :, index] = np.clip(moved, parameter.low, parameter.high)
        return out

    def arrays(self) -> dict[str, Floats]:
        """The maps as arrays, for a file."""
        return {name: own.moved for name, own in self.maps.items()}

    @classmethod
    def of(cls, arrays: Mapping[str, Floats]) -> Calibration:
        """The inverse of `arrays`."""
        return cls({name: LevelMap(np.asarray(array, dtype=np.float64)) for name, array in arrays.items()})
