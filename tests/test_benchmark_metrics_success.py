"""When a redshift is right, and retention curves."""

from __future__ import annotations

import numpy as np
import pytest

from galfit_ml.benchmark.metrics import SUCCESS, Tolerance, is_right, retention_curve, success

RNG = np.random.default_rng


@pytest.mark.parametrize(
    ("name", "limit"), [("success", 0.0033 * 3.0), ("success_abs_0.01", 0.01), ("success_0.01", 0.03)]
)
def test_definitions_at_redshift_2(name: str, limit: float) -> None:
    away = np.array([-1.01, -0.99, 0.0, 0.99, 1.01]) * limit
    found = is_right(2.0 + away, np.full(5, 2.0), SUCCESS[name])
    np.testing.assert_array_equal(found, [False, True, True, True, False])


def test_the_primary_one_is_the_default() -> None:
    np.testing.assert_array_equal(is_right([1.006, 1.007], [1.0, 1.0]), [True, False])


def test_a_failed_spectrum_is_wrong_and_one_without_truth_left_out() -> None:
    estimate, truth = [1.0, np.nan, 1.0, np.inf], [1.0, 1.0, np.nan, 1.0]
    np.testing.assert_array_equal(is_right(estimate, truth), [True, False, False, False])
    found = success(estimate, truth)
    assert (found.value, found.n, found.left_out) == (1 / 3, 3, 1)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        Tolerance(0.0)
    with pytest.raises(ValueError, match="one shape"):
        is_right([1.0], [1.0, 2.0])


def test_retention_keeps_the_highest_scores() -> None:
    score, right = [0.1, 0.9, 0.5, 0.7], [False, True, False, True]
    curve = retention_curve(score, right, [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose([one.value for one in curve], [1, 1, 2 / 3, 0.5])
    assert [one.n for one in curve] == [1, 2, 3, 4]


def test_a_score_that_is_the_probability_gives_the_mean_probability_of_those_kept() -> None:
    score = RNG(1).random(50_000)
    curve = retention_curve(score, RNG(2).random(50_000) < score, [0.1, 0.5, 1.0])
    np.testing.assert_allclose([one.value for one in curve], [0.95, 0.75, 0.5], atol=0.01)


def test_equal_scores_are_kept_in_random_order_on_average() -> None:
    right = np.array([True] * 3 + [False] * 7)
    curve = retention_curve(np.zeros(10), right, [0.1, 0.3, 1.0])
    np.testing.assert_allclose([one.value for one in curve], 0.3)
    again = retention_curve(np.zeros(10), right[::-1], [0.1])
    assert again[0].value == pytest.approx(0.3)


def test_a_spectrum_without_a_score_is_kept_last_not_dropped() -> None:
    curve = retention_curve([np.nan, 0.2, 0.3, -np.inf], [False, True, True, False], [0.5, 1.0])
    assert [one.value for one in curve] == [1.0, 0.5]
    assert curve[-1].n == 4


def test_at_least_one_is_kept_and_none_of_none() -> None:
    assert retention_curve([0.5, 0.1], [True, False], 0.01)[0].n == 1
    assert np.isnan(retention_curve([], [], [0.5])[0].value)


@pytest.mark.parametrize(
    ("score", "right", "share"), [([1.0], [True, False], 0.5), ([1.0], [True], 0.0), ([1.0], [True], 50)]
)
def test_what_does_not_belong_together_is_refused(score: list[float], right: list[bool], share: float) -> None:
    with pytest.raises(ValueError, match=r"shares in \(0, 1\]"):
        retention_curve(score, right, share)
