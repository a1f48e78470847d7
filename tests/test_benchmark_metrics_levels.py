"""Levels of the truth among draws: exactly uniform for a calibrated ensemble, however small or discrete."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from galfit_ml.benchmark.metrics import ks_distance, pit_histogram, pit_level
from galfit_ml.calibration import levels_of

RNG = np.random.default_rng
N = 20_000


def uniform(levels: NDArray[np.float64]) -> bool:
    return bool(stats.kstest(levels, "uniform").pvalue > 1e-3)


@pytest.mark.parametrize("s", [1, 2, 7, 100])
def test_levels_are_uniform_for_any_number_of_draws(s: int) -> None:
    points = RNG(1).standard_normal((N, s + 1))
    levels = pit_level(points[:, 1:], points[:, 0], RNG(2))
    assert uniform(levels)
    if s < 10:  # the plain share of draws below is not
        assert not uniform((points[:, 1:] < points[:, :1]).mean(axis=1))


@pytest.mark.parametrize("s", [1, 5, 50])
def test_levels_are_uniform_for_values_on_a_grid(s: int) -> None:
    points = RNG(3).poisson(1.3, (N, s + 1)).astype(float)
    assert uniform(pit_level(points[:, 1:], points[:, 0], RNG(4)))
    below = (points[:, 1:] < points[:, :1]).sum(axis=1)  # ties all below: caught
    assert not uniform((below + RNG(5).random(N)) / (s + 1))


def test_a_level_lies_in_the_rank_of_the_truth() -> None:
    draws = np.tile([3.0, 1.0, 2.0, 2.0], (1000, 1))
    for truth, low, high in ((0.0, 0, 1), (1.5, 1, 2), (2.0, 1, 4), (2.5, 3, 4), (9.0, 4, 5)):
        levels = pit_level(draws, np.full(1000, truth), RNG(6))
        assert levels.min() == pytest.approx(low / 5, abs=0.01)
        assert levels.max() == pytest.approx(high / 5, abs=0.01)


def test_they_are_those_that_calibrations_are_learnt_from() -> None:
    points = RNG(7).poisson(4.0, (50, 20)).astype(float)
    np.testing.assert_array_equal(
        pit_level(points[:, 1:], points[:, 0], RNG(8)), levels_of(points[:, 1:], points[:, 0], 8)
    )


def test_a_row_that_lacks_a_number_has_no_level_and_changes_no_other() -> None:
    points = RNG(9).standard_normal((6, 11))
    whole = pit_level(points[:, 1:], points[:, 0], RNG(10))
    points[0, 0], points[3, 5] = np.nan, np.inf
    found = pit_level(points[:, 1:], points[:, 0], RNG(10))
    np.testing.assert_array_equal(found, np.where([False, True, True, False, True, True], whole, np.nan))


def test_ks_distance_is_that_of_scipy() -> None:
    levels = RNG(11).beta(1.2, 0.9, 500)
    assert ks_distance(levels) == pytest.approx(stats.kstest(levels, "uniform").statistic, abs=1e-12)
    assert ks_distance(np.append(levels, np.nan)) == ks_distance(levels)
    assert np.isnan(ks_distance([np.nan]))
    assert ks_distance([0.2]) == pytest.approx(0.8)


def test_the_ks_distance_of_calibrated_levels_is_as_stated() -> None:
    found = [ks_distance(RNG(seed).random(400)) for seed in range(400)]
    assert np.mean(found) == pytest.approx(0.8687 / 20, rel=0.05)


def test_histogram() -> None:
    edges, density, error = pit_histogram([0.01, 0.02, 0.3, 0.99, 1.0, np.nan], bins=4)
    np.testing.assert_allclose(edges, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(density, np.array([2, 1, 0, 2]) * 4 / 5)
    assert np.isnan(pit_histogram([np.nan])[1]).all()
    heights = [pit_histogram(RNG(seed).random(300), bins=4)[1] for seed in range(500)]
    np.testing.assert_allclose(np.std(heights, axis=0), pit_histogram(RNG(0).random(300), bins=4)[2], rtol=0.15)
    assert error.shape == (4,)


def test_what_is_no_level_is_refused() -> None:
    for function in (ks_distance, pit_histogram):
        with pytest.raises(ValueError, match="pass what pit_level gives"):
            function([0.5, -1.3])
    with pytest.raises(ValueError, match="at least 1 bin"):
        pit_histogram([0.5], bins=0)
