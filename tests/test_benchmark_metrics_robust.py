"""Robust statistics of differences and pulls."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from galfit_ml.benchmark.metrics import bias, complete, half_width, n_left_out, nmad, outlier_share, pull_width

RNG = np.random.default_rng


def test_of_a_gaussian_each_is_what_it_says() -> None:
    x = RNG(1).normal(0.3, 2.0, 200_000)
    assert bias(x) == pytest.approx(0.3, abs=0.03)
    assert nmad(x) == pytest.approx(2.0, rel=0.01)
    assert half_width(x) == pytest.approx(0.9945 * 2.0, rel=0.01)


def test_nmad_is_that_of_scipy() -> None:
    x = RNG(2).standard_t(2, 501)
    assert nmad(x) == pytest.approx(stats.median_abs_deviation(x, scale="normal"), rel=1e-4)


def test_a_tenth_of_wild_values_moves_them_little() -> None:
    x = RNG(3).normal(0, 1, 50_000)
    wild = np.where(RNG(4).random(len(x)) < 0.1, 1e6, x)
    for statistic in (bias, nmad, half_width):
        assert statistic(wild) == pytest.approx(statistic(x), abs=0.3)


def test_outliers_are_counted_on_both_sides_beyond_the_limit() -> None:
    found = outlier_share([0.0, 0.4, -0.41, 2.0, np.nan], 0.4)
    assert (found.value, found.n, found.left_out) == (0.5, 4, 1)
    with pytest.raises(ValueError, match="must be above 0"):
        outlier_share([0.1], 0.0)


@pytest.mark.parametrize("width", [0.5, 1.0, 2.0])
def test_the_pull_width_is_that_of_errors_in_units_of_the_claimed_ones(width: float) -> None:
    """Errors of N(0, width) beside a claimed N(0, 1)."""
    levels = stats.norm.cdf(RNG(5).normal(0, width, 100_000))
    assert pull_width(levels) == pytest.approx(width, rel=0.01)


def test_the_pull_width_bears_levels_of_0_and_1_and_outliers() -> None:
    levels = np.concatenate([RNG(6).random(90_000), np.zeros(2000), np.ones(2000), [np.nan]])
    assert pull_width(levels) == pytest.approx(1.0, abs=0.15)
    with pytest.raises(ValueError, match="pass what pit_level gives"):
        pull_width([1.3])


@pytest.mark.parametrize("statistic", [bias, nmad, half_width, pull_width])
def test_missing_numbers_are_left_out(statistic) -> None:
    x = RNG(7).random(30)
    assert statistic([*x, np.nan]) == statistic(x)
    assert np.isnan(statistic([np.nan, np.nan]))
    assert np.isnan(statistic([]))


def test_rows_that_lack_a_number_are_found_and_counted() -> None:
    draws, truth = np.zeros((4, 3, 2)), np.zeros(4)
    draws[1, 2, 0], truth[3] = np.nan, np.inf
    np.testing.assert_array_equal(complete(draws, truth), [True, False, True, False])
    assert n_left_out(draws, truth) == 2
    assert n_left_out(np.array([True, False])) == 0
    for arrays in ((), (1.0,), (draws, truth[:2])):
        with pytest.raises(ValueError, match="same number of rows"):
            complete(*arrays)
