"""CRPS of draws: against another implementation, the closed form of a Gaussian, and the definition."""

from __future__ import annotations

import numpy as np
import pytest
import scoringrules
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from galfit_ml.benchmark.metrics import crps, interval_half_width

RNG = np.random.default_rng


@pytest.mark.parametrize(("fair", "estimator"), [(True, "fair"), (False, "nrg")])
@pytest.mark.parametrize("s", [2, 3, 30])
def test_crps_is_that_of_scoringrules(fair: bool, estimator: str, s: int) -> None:
    draws, truth = RNG(1).gamma(2.0, size=(4, 25, s)), RNG(2).gamma(2.0, size=(4, 25))
    wanted = scoringrules.crps_ensemble(truth, draws, estimator=estimator, backend="numpy")
    np.testing.assert_allclose(crps(draws, truth, fair=fair), wanted, rtol=1e-10, atol=1e-13)


def gaussian_crps(truth: np.ndarray) -> np.ndarray:
    """Of a standard normal (Gneiting & Raftery 2007, sec. 4.2)."""
    return truth * (2 * stats.norm.cdf(truth) - 1) + 2 * stats.norm.pdf(truth) - 1 / np.sqrt(np.pi)


def test_many_draws_have_the_crps_of_their_gaussian() -> None:
    truth = np.linspace(-3, 3, 7)
    draws = np.broadcast_to(RNG(3).standard_normal(200_000), (7, 200_000))
    for fair in (True, False):
        np.testing.assert_allclose(crps(draws, truth, fair=fair), gaussian_crps(truth), atol=0.01)


def test_the_fair_score_of_few_draws_is_right_on_average_and_the_plain_one_too_large() -> None:
    """The plain one exceeds the fair by E|X - X'| / (2 s), 1 / (s sqrt(pi)) for a standard normal."""
    draws = RNG(4).standard_normal((100_000, 3))
    fair, plain = (crps(draws, np.full(len(draws), 0.7), fair=own) for own in (True, False))
    error = fair.std() / np.sqrt(len(draws))
    assert fair.mean() == pytest.approx(gaussian_crps(np.array(0.7)), abs=4 * error)
    assert plain.mean() - fair.mean() == pytest.approx(1 / (3 * np.sqrt(np.pi)), rel=0.02)


numbers = st.floats(-1e3, 1e3)


@given(st.lists(numbers, min_size=2, max_size=12), numbers, st.floats(-100, 100), st.floats(0.1, 10))
def test_crps_moves_and_scales_with_the_parameter_and_forgets_the_order(
    draws: list[float], truth: float, shift: float, scale: float
) -> None:
    first = crps(draws, truth)
    moved = crps(scale * np.array(draws)[::-1] + shift, scale * truth + shift)
    assert moved == pytest.approx(scale * first, rel=1e-7, abs=1e-7)
    assert crps(draws, truth, fair=False) >= -1e-9


def test_far_from_zero_no_digit_is_lost() -> None:
    draws, truth = RNG(5).standard_normal((10, 50)), RNG(6).standard_normal(10)
    np.testing.assert_allclose(crps(1e-3 * draws + 1e6, 1e-3 * truth + 1e6), 1e-3 * crps(draws, truth), rtol=1e-5)


def test_one_draw_has_its_absolute_error_and_no_fair_score() -> None:
    assert crps([[2.0]], [5.0], fair=False) == pytest.approx([3.0])
    with pytest.raises(ValueError, match="fair=False gives the absolute error"):
        crps([[2.0]], [5.0])


def test_rows_that_lack_a_number_have_no_score_and_the_others_keep_theirs() -> None:
    draws, truth = RNG(7).standard_normal((5, 9)), RNG(8).standard_normal(5)
    whole = crps(draws, truth)
    draws[1, 3], draws[2], truth[4] = np.nan, np.inf, np.nan
    np.testing.assert_array_equal(crps(draws, truth), np.where([True, False, False, True, False], whole, np.nan))


def test_the_draws_are_left_as_they_are() -> None:
    draws = RNG(9).standard_normal((4, 6))
    before = draws.copy()
    crps(draws, np.zeros(4))
    np.testing.assert_array_equal(draws, before)


@pytest.mark.parametrize(("draws", "truth"), [((3, 5), (4,)), ((3, 0), (3,)), ((5,), (5,)), ((), ())])
def test_shapes_that_do_not_belong_together_are_refused(draws: tuple[int, ...], truth: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="draws of one spectrum lie along the last axis"):
        crps(np.zeros(draws), np.zeros(truth))


def test_the_half_width_of_a_gaussian() -> None:
    draws = RNG(10).standard_normal((3, 100_000)) * np.array([[1.0], [2.0], [np.nan]])
    np.testing.assert_allclose(interval_half_width(draws), [0.9945, 1.989, np.nan], rtol=0.02)
    np.testing.assert_allclose(interval_half_width(draws[0], 0.9), 1.645, rtol=0.02)
    with pytest.raises(ValueError, match=r"Write 0.68 for 68 %"):
        interval_half_width(draws, 68)
