"""Bootstrap errors, and paired comparisons of backends."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from galfit_ml.benchmark.metrics import bootstrap, half_width, nmad, paired_bootstrap

RNG = np.random.default_rng


def test_the_error_of_a_mean_is_the_known_one() -> None:
    x = RNG(1).normal(5, 3, 2000)
    assert bootstrap(np.mean, [x], 1000, RNG(2)) == pytest.approx(3 / np.sqrt(2000), rel=0.1)


@pytest.mark.parametrize("statistic", [np.median, nmad, half_width])
def test_the_error_of_a_statistic_is_its_spread_over_surveys(statistic) -> None:
    values = [statistic(RNG(seed).standard_normal(500)) for seed in range(600)]
    errors = [bootstrap(statistic, [RNG(seed).standard_normal(500)], 100, RNG(seed)) for seed in range(30)]
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.15)


def test_rows_stay_together() -> None:
    x = RNG(3).standard_normal(100)
    assert bootstrap(lambda a, b: float(np.sum(a - b[:, 0])), [x, np.stack([x, x], axis=1)], 50, RNG(4)) == 0


def test_the_seed_decides() -> None:
    x = RNG(5).standard_normal(50)
    assert bootstrap(np.mean, [x], 20, RNG(6)) == bootstrap(np.mean, [x], 20, RNG(6))
    assert bootstrap(np.mean, [x], 20, RNG(6)) != bootstrap(np.mean, [x], 20, RNG(7))


def test_missing_numbers_are_left_to_the_function_and_samples_without_result_left_out() -> None:
    x = RNG(8).standard_normal(200)
    holed = np.where(np.arange(200) < 20, np.nan, x)
    assert bootstrap(nmad, [holed], 500, RNG(9)) == pytest.approx(bootstrap(nmad, [x[20:]], 500, RNG(9)), rel=0.2)
    assert np.isnan(bootstrap(nmad, [np.full(10, np.nan)], 20, RNG(10)))
    assert np.isfinite(bootstrap(nmad, [np.array([1.0, np.nan])], 50, RNG(11)))
    assert np.isnan(bootstrap(nmad, [np.array([])], 20, RNG(12)))


def answers(seed: int, better: float, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Scores of two backends on the same spectra, some of which are hard for both; the second is lower by `better`."""
    rng = RNG(seed)
    hard = rng.gamma(2.0, 5.0, n)
    first, second = (hard + rng.standard_normal(n) for _ in range(2))
    return first, second - better


def test_pairs_are_compared_with_the_error_of_their_differences() -> None:
    first, second = answers(1, 0.5)
    found = paired_bootstrap(np.mean, [first], [second], RNG(2))
    assert found.value == pytest.approx(float(np.mean(first - second)))
    assert found.error == pytest.approx(np.std(first - second) / 20, rel=0.1)
    assert found.low < 0.5 < found.high
    assert found.p_value < 0.01
    assert found.high - found.low == pytest.approx(2 * 1.96 * found.error, rel=0.1)
    alone = np.hypot(*(bootstrap(np.mean, [one], 200, RNG(3)) for one in (first, second)))
    assert alone > 5 * found.error


def test_ratio() -> None:
    first, second = answers(4, 0.5)
    found = paired_bootstrap(np.mean, [first], [second], RNG(5), how="ratio")
    assert found.value == pytest.approx(first.mean() / second.mean())
    assert 1 < found.low < found.value < found.high
    assert found.p_value < 0.01
    turned = paired_bootstrap(np.mean, [second], [first], RNG(5), how="ratio")
    assert turned.high < 1
    assert turned.p_value == found.p_value


def test_p_values_of_equal_backends_are_uniform_and_intervals_cover() -> None:
    found = [
        paired_bootstrap(np.mean, *([x] for x in answers(seed, 0.0, 100)), RNG(seed), n=199) for seed in range(400)
    ]
    assert stats.kstest([one.p_value for one in found], "uniform").pvalue > 1e-3
    assert np.mean([one.low < 0 < one.high for one in found]) == pytest.approx(0.95, abs=0.045)


def test_a_difference_in_either_direction_has_the_same_p_value() -> None:
    first, second = answers(6, 0.1)
    there, back = (paired_bootstrap(np.mean, [a], [b], RNG(7)) for a, b in ((first, second), (second, first)))
    assert there.p_value == back.p_value
    assert there.value == -back.value
    assert 0 < there.p_value < 1


def test_the_least_p_value_is_that_of_one_sample_on_the_other_side() -> None:
    first, second = answers(13, 5.0)
    assert paired_bootstrap(np.mean, [first], [second], RNG(14), n=199).p_value == pytest.approx(2 / 200)


def test_a_backend_compared_with_itself_is_no_different() -> None:
    right = RNG(8).random(200) < 0.8
    same = paired_bootstrap(np.mean, [right], [right], RNG(9))
    assert (same.value, same.error, same.p_value) == (0.0, 0.0, 1.0)
    assert paired_bootstrap(np.mean, [right], [right], RNG(9), how="ratio").value == 1.0


def test_spectra_that_lack_a_number_of_either_are_left_out_for_both_and_counted() -> None:
    first, second = answers(10, 0.5)
    whole = paired_bootstrap(np.mean, [first[2:]], [second[2:]], RNG(11))
    first[0], second[1] = np.nan, np.inf
    found = paired_bootstrap(np.mean, [first], [second], RNG(11))
    assert (found.n, found.left_out) == (398, 2)
    assert (found.value, found.error, found.p_value) == (whole.value, whole.error, whole.p_value)
    nothing = paired_bootstrap(np.mean, [first * np.nan], [second], RNG(11))
    assert np.isnan([nothing.value, nothing.error, nothing.p_value]).all()
    assert (nothing.n, nothing.left_out) == (0, 400)


def test_a_ratio_over_nothing_is_not_known() -> None:
    found = paired_bootstrap(np.mean, [np.ones(20)], [np.zeros(20)], RNG(12), how="ratio")
    assert np.isnan([found.value, found.error, found.low, found.p_value]).all()


def test_nonsense_is_refused() -> None:
    x = np.ones(5)
    with pytest.raises(ValueError, match="same number of rows"):
        bootstrap(np.mean, [x, x[:2]], 10, RNG(0))
    with pytest.raises(ValueError, match="n >= 2"):
        bootstrap(np.mean, [x], 1, RNG(0))
    with pytest.raises(ValueError, match="same number of rows"):
        paired_bootstrap(np.mean, [x], [x[:2]], RNG(0))
    with pytest.raises(ValueError, match="'difference' or 'ratio'"):
        paired_bootstrap(np.mean, [x], [x], RNG(0), how="product")
