"""TARP: uniform for calibrated joint posteriors, and wrong ones seen on the right side."""

from __future__ import annotations

import numpy as np
import pytest
from gaussian_posteriors import BIASED, OVERCONFIDENT, PERFECT, UNDERCONFIDENT, GaussianBackend
from scipy import stats

from galfit_ml.benchmark.metrics import ks_distance, pit_level, tarp

RNG = np.random.default_rng
N = 3000


def spread(levels: np.ndarray) -> float:
    """Their variance over that of uniform ones: above 1 where too many are near 0 and 1."""
    return float(12 * np.mean((levels - 0.5) ** 2))


@pytest.mark.parametrize(("p", "s"), [(1, 50), (3, 3), (5, 100)])
def test_calibrated_posteriors_have_uniform_levels(p: int, s: int) -> None:
    assert stats.kstest(tarp(*PERFECT.answer(N, s, p, seed=1), RNG(2)), "uniform").pvalue > 1e-3


@pytest.mark.parametrize("p", [1, 4])
@pytest.mark.parametrize(
    ("backend", "wide"),
    [(OVERCONFIDENT, True), (BIASED, True), (GaussianBackend(shift=-1.0), True), (UNDERCONFIDENT, False)],
)
def test_wrong_posteriors_are_seen_on_the_right_side(backend: GaussianBackend, wide: bool, p: int) -> None:
    levels = tarp(*backend.answer(N, 100, p, seed=3), RNG(4))
    assert stats.kstest(levels, "uniform").pvalue < 1e-6
    assert (spread(levels) > 1.1) == wide
    assert (spread(levels) < 0.9) == (not wide)


def test_a_wrong_correlation_is_seen_that_no_single_parameter_shows() -> None:
    mean = 10 * RNG(5).standard_normal((N, 2))
    truth = mean + RNG(6).multivariate_normal([0, 0], [[1, 0.95], [0.95, 1]], N)
    draws = mean[:, None] + RNG(7).standard_normal((N, 100, 2))
    for column in range(2):
        levels = pit_level(draws[:, :, column], truth[:, column], RNG(6))
        assert stats.kstest(levels, "uniform").pvalue > 1e-3
    assert stats.kstest(tarp(draws, truth, RNG(7)), "uniform").pvalue < 1e-6


def test_from_a_point_far_below_levels_are_those_of_the_ranks() -> None:
    draws, truth = BIASED.answer(200, 30, 1, seed=8)
    found = tarp(draws, truth, RNG(9), references=np.full((200, 1), -1e4))
    np.testing.assert_allclose(found, pit_level(draws[..., 0], truth[:, 0], RNG(9)))


def test_levels_are_the_shares_of_nearer_draws() -> None:
    draws, truth = PERFECT.answer(40, 20, 3, seed=10)
    points = RNG(11).uniform(-20, 20, (40, 3))
    scale = np.ptp(truth, axis=0)
    near = (
        np.linalg.norm((draws - points[:, None]) / scale, axis=2)
        < np.linalg.norm((truth - points) / scale, axis=1)[:, None]
    )
    levels = tarp(draws, truth, RNG(12), references=points)
    np.testing.assert_array_equal(np.floor(levels * 21), near.sum(axis=1))


def test_units_do_not_matter() -> None:
    draws, truth = PERFECT.answer(100, 20, 2, seed=13)
    scale, zero = np.array([1e-3, 500.0]), np.array([2.0, -7.0])
    np.testing.assert_allclose(tarp(draws * scale + zero, truth * scale + zero, RNG(14)), tarp(draws, truth, RNG(14)))


def test_a_parameter_that_is_the_same_everywhere_does_not_count() -> None:
    draws, truth = PERFECT.answer(100, 20, 2, seed=15)
    truth[:, 1] = 3.0
    draws[:, :, 1] = 1e6
    other = draws.copy()
    other[:, :, 1] = 0.0
    np.testing.assert_array_equal(tarp(draws, truth, RNG(16)), tarp(other, truth, RNG(16)))
    assert np.isnan(tarp(draws[:, :, 1:], truth[:, 1:], RNG(16))).all()


def test_rows_that_lack_a_number_have_no_level_and_do_not_set_the_range() -> None:
    draws, truth = PERFECT.answer(N, 50, 3, seed=17)
    draws[0, 4, 1], draws[2, :, 2], truth[1, 0] = np.nan, np.inf, np.nan
    truth[0] = 1e9
    levels = tarp(draws, truth, RNG(18))
    assert np.isnan(levels[:3]).all()
    assert ks_distance(levels[3:]) < 0.04
    truth[0] = 0.0
    np.testing.assert_array_equal(tarp(draws, truth, RNG(18)), levels)
    assert np.isnan(tarp(draws * np.nan, truth, RNG(18))).all()


def test_shapes_that_do_not_belong_together_are_refused() -> None:
    draws, truth = PERFECT.answer(5, 4, 3)
    with pytest.raises(ValueError, match=r"Draws must be \[n, s, p\]"):
        tarp(draws[..., 0], truth, RNG(0))
    with pytest.raises(ValueError, match=r"References must be \[n, p\]"):
        tarp(draws, truth, RNG(0), references=truth[:, :1])
