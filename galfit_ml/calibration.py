"""Calibration: posteriors that cover the truth as often as they say, learnt on simulations that no training saw.

A backend's posterior of a parameter has the cumulative distribution F; the levels F(truth) of many galaxies, their
probability integral transforms, are uniform where it is right. Where they are not, their distribution G says what is:
G(F) is the calibrated posterior (Kuleshov et al. 2018, arXiv:1807.00263; Dey et al. 2022, arXiv:2205.14568). It is
applied to the draws, so that tables, intervals and joint draws agree: the draw of rank u moves to where the posterior
has the level G^-1(u). Ranks stay, and with them what joint draws say of two parameters at once.

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
    value = np.log10(np.maximum(np.asarray(snr, dtype=np.float64), 1e-3))
    return np.asarray(np.interp(value, NODES, np.arange(len(NODES))))


def along_nodes(table: Floats, snr: ArrayLike) -> Floats:
    """Rows of `table` [n_nodes, ...] interpolated to the measured signal-to-noise [n]: [n, ...]."""
    place = place_of(snr)
    low = np.minimum(place.astype(np.int64), len(NODES) - 2)
    share = (place - low).reshape(-1, *(1,) * (table.ndim - 1))
    return np.asarray(table[low] * (1 - share) + table[low + 1] * share)


def node_weights(snr: ArrayLike) -> Floats:
    """[n_nodes, n] what each spectrum counts at each node."""
    value = np.log10(np.maximum(np.asarray(snr, dtype=np.float64), 1e-3)).clip(NODES[0], NODES[-1])
    return np.asarray(np.exp(-0.5 * ((value - NODES[:, None]) / KERNEL) ** 2))


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


MOST = 8.0
"""Places beyond this are held there."""


def places_of(draws: Floats, truth: Floats) -> Floats:
    """Levels of the truth [n] among draws [n, n_draws] as normal quantiles, also beyond the last draw.

    Between two draws a place is interpolated, beyond them it goes on with the slope of the outer draws: the inverse of
    what `LevelMap.apply` does.
    """
    ordered = np.sort(draws, axis=1)
    n_draws = draws.shape[1]
    known = ndtri((np.arange(n_draws) + 0.5) / n_draws)
    below = (ordered < truth[:, None]).sum(axis=1)
    low = np.clip(below - 1, 0, n_draws - 2)
    first, second = (np.take_along_axis(ordered, (low + k)[:, None], axis=1)[:, 0] for k in (0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.clip((truth - first) / (second - first), 0, 1)
        inside = np.interp(low + np.nan_to_num(share, nan=0.5), np.arange(n_draws), known)
        left, right = _slopes(ordered, known)
        inside += np.where(below == 0, (truth - ordered[:, 0]) / left, 0.0)
        inside += np.where(below == n_draws, (truth - ordered[:, -1]) / right, 0.0)
    return np.asarray(np.clip(np.nan_to_num(inside, nan=0.0), -MOST, MOST))


def _slopes(ordered: Floats, known: Floats) -> tuple[Floats, Floats]:
    """Rise of sorted draws [n, n_draws] with the normal quantile, over the outer sixth of them on either side, [n]."""
    sixth = max(len(known) // 6, 1)
    return (
        (ordered[:, sixth] - ordered[:, 0]) / (known[sixth] - known[0]),
        (ordered[:, -1] - ordered[:, -1 - sixth]) / (known[-1] - known[-1 - sixth]),
    )


@dataclass(frozen=True, eq=False)
class LevelMap:
    """G^-1 of one parameter.

    Args:
        moved: [n_nodes, n_levels] normal quantile of G^-1 at `LEVELS`.
    """

    moved: Floats

    @classmethod
    def fit(cls, places: Floats, snr: Floats) -> LevelMap:
        """From places of the truth [n] (`places_of`) and signal-to-noise [n]; ValueError where there are too few."""
        weight = node_weights(snr)
        order = np.argsort(places)
        share = np.cumsum(weight[:, order], axis=1) - 0.5 * weight[:, order]
        share /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-30)
        moved = np.stack([np.interp(ndtr(LEVELS), row, places[order]) for row in share])
        return cls(filled(moved, weight))

    def ranks(self, n_draws: int, snr: Floats) -> Floats:
        """Normal quantiles [n, n_draws] of the levels at which sorted draws are to be read."""
        wanted = ndtri((np.arange(n_draws) + 0.5) / n_draws)
        step = np.diff(self.moved[:, [0, 1, -2, -1]], axis=1)[:, [0, 2]] / (LEVELS[1] - LEVELS[0])
        table = np.stack([np.interp(wanted, LEVELS, row) for row in self.moved])
        table += np.minimum(wanted - LEVELS[0], 0) * step[:, :1] + np.maximum(wanted - LEVELS[-1], 0) * step[:, 1:]
        return along_nodes(table, snr)

    def apply(self, draws: Floats, snr: Floats, gap: Floats | None = None) -> Floats:
        """Draws [n, n_draws] of n spectra moved to where the truth is as often as they say.

        Args:
            draws: in any order; NaN stays.
            snr: [n] measured signal-to-noise.
            gap: [n] two neighbouring draws farther apart than this belong to two solutions: nothing lies between.
        """
        n_draws = draws.shape[1]
        order = np.argsort(draws, axis=1)
        ordered = np.take_along_axis(draws, order, axis=1)
        moved = _read(ordered, self.ranks(n_draws, snr), gap)
        out = np.empty_like(draws)
        np.put_along_axis(out, order, moved, axis=1)
        return out


def _read(ordered: Floats, level: Floats, gap: Floats | None) -> Floats:
    """Values of sorted draws [n, n_draws] at levels [n, n_draws] (normal quantiles), the ends drawn out."""
    n_draws = ordered.shape[1]
    if n_draws < 3:
        return ordered
    known = ndtri((np.arange(n_draws) + 0.5) / n_draws)
    place = np.interp(level, known, np.arange(n_draws))
    low = np.minimum(place.astype(np.int64), n_draws - 2)
    share = place - low
    first, second = (np.take_along_axis(ordered, index, axis=1) for index in (low, low + 1))
    if gap is not None:
        share = np.where(second - first > gap[:, None], np.round(share), share)
    inside = first + (second - first) * share
    return inside + _beyond(ordered, level, known, gap)


def _beyond(ordered: Floats, level: Floats, known: Floats, gap: Floats | None) -> Floats:
    """What is added beyond the last draws."""
    rise = _slopes(ordered, known)
    if gap is not None:
        rise = (np.where(rise[0] > gap, 0.0, rise[0]), np.where(rise[1] > gap, 0.0, rise[1]))
    below, above = np.minimum(level - known[0], 0), np.maximum(level - known[-1], 0)
    return np.asarray(below * rise[0][:, None] + above * rise[1][:, None])


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
                places = places_of(posterior[name][ok], np.asarray(truth[name], dtype=np.float64)[ok])
                maps[name] = LevelMap.fit(places, depth[ok])
        return cls(maps)

    def apply(self, posterior: Posterior, snr: ArrayLike) -> Posterior:
        """The calibrated posterior of n spectra whose measured signal-to-noise is `snr` [n]."""
        depth = np.asarray(snr, dtype=np.float64)
        return replace(posterior, draws=self.moved(posterior.draws, posterior.parameters, depth))

    def moved(self, draws: Floats, parameters: ParameterSet, snr: Floats) -> Floats:
        """Draws [n, n_draws, n_par] moved, within the range of each parameter; a parameter that is fixed stays."""
        out = draws.copy()
        for index, parameter in enumerate(parameters):
            if parameter.name not in self.maps:
                continue
            own = draws[:, :, index]
            gap = 0.0033 * (1 + own.mean(axis=1)) if parameter.name == "redshift" else None
            moved = self.maps[parameter.name].apply(own, snr, gap)
            out[:, :, index] = np.clip(moved, parameter.low, parameter.high)
        return out

    def arrays(self) -> dict[str, Floats]:
        """The maps as arrays, for a file."""
        return {name: own.moved for name, own in self.maps.items()}

    @classmethod
    def of(cls, arrays: Mapping[str, Floats]) -> Calibration:
        """The inverse of `arrays`."""
        return cls({name: LevelMap(np.asarray(array, dtype=np.float64)) for name, array in arrays.items()})
