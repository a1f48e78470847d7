"""How good a chain is said to be: autocorrelation time, effective samples and split R-hat of chains that are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import lfilter

from galfit_ml_emcee.diagnostics import Quality, autocorrelation_time, split_r_hat, time_from_r_hat

Floats = NDArray[np.float64]


def autoregressive(memory: float, n_steps: int, n_walkers: int, seed: int) -> Floats:
    """Walkers x' = memory x + noise of unit variance, [n_steps, n_walkers]: tau = (1 + memory) / (1 - memory)."""
    noise = np.random.default_rng(seed).standard_normal((n_steps + 500, n_walkers)) * np.sqrt(1 - memory**2)
    return np.asarray(lfilter([1.0], [1.0, -memory], noise, axis=0)[500:])


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.8, 0.95])
def test_autocorrelation_time_of_an_autoregressive_chain(memory: float) -> None:
    expected = (1 + memory) / (1 - memory)
    assert autocorrelation_time(autoregressive(memory, 6000, 40, 1)) == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize("memory", [0.5, 0.8, 0.95])
def test_autocorrelation_time_from_r_hat(memory: float) -> None:
    """A thousand walkers of two thousand steps: their means scatter by the square root of tau / length."""
    chain = autoregressive(memory, 2000, 1000, 2)
    found = time_from_r_hat(np.array([split_r_hat(chain)]), 2000)[0]
    assert found == pytest.approx((1 + memory) / (1 - memory), rel=0.12)


def test_white_noise_is_worth_all_its_samples() -> None:
    chain = np.random.default_rng(3).standard_normal((500, 56, 2))
    quality = Quality.of(chain)
    np.testing.assert_allclose(quality.effective, 500 * 56, rtol=0.25)
    assert np.all(quality.effective <= 500 * 56)
    np.testing.assert_allclose(quality.r_hat, 1.0, atol=2e-3)


def test_effective_samples_are_those_that_the_mean_is_worth() -> None:
    """The variance of the mean of many chains is 1 / effective."""
    chains = [autoregressive(0.8, 400, 20, seed) for seed in range(150)]
    effective = np.mean([Quality.of(c[..., None]).effective[0] for c in chains])
    assert effective == pytest.approx(1 / np.var([c.mean() for c in chains]), rel=0.3)


def test_separated_walkers_are_seen_by_both_numbers() -> None:
    """Each walker is white noise about a place of its own: within them nothing is wrong."""
    rng = np.random.default_rng(4)
    chain = rng.standard_normal((200, 56)) + 2.0 * rng.standard_normal(56)
    assert autocorrelation_time(chain) < 1.5
    assert split_r_hat(chain) == pytest.approx(np.sqrt(1 + 4), rel=0.25)
    quality = Quality.of(chain[..., None])
    assert quality.autocorrelation[0] > 300
    assert quality.effective[0] < 60


def test_a_drift_is_seen_though_all_walkers_agree() -> None:
    chain = np.random.default_rng(5).standard_normal((400, 56)) + np.linspace(-2, 2, 400)[:, None]
    assert split_r_hat(chain) > 1.2


def test_split_r_hat_against_its_formula() -> None:
    chain = np.random.default_rng(6).standard_normal((11, 3)) + np.arange(3)
    halves = [chain[start : start + 5, w] for w in range(3) for start in (0, 5)]
    within = np.mean([np.var(h, ddof=1) for h in halves])
    between = 5 * np.var([h.mean() for h in halves], ddof=1)
    assert split_r_hat(chain) == pytest.approx(np.sqrt((4 / 5 * within + between / 5) / within))


def test_a_given_parameter_has_no_quality() -> None:
    chain = np.random.default_rng(7).standard_normal((100, 56, 3))
    chain[..., 1] = 0.3
    chain[..., 2] = 1e4 + 1e-6 * chain[..., 0]  # rounding, no sampling
    quality = Quality.of(chain)
    for values in (quality.autocorrelation, quality.effective, quality.r_hat):
        assert np.isfinite(values[0])
        assert np.isnan(values[1:]).all()


def test_a_walker_that_never_moved_makes_the_chain_worthless() -> None:
    chain = np.random.default_rng(8).standard_normal((100, 56, 1))
    chain[:, 7] = 0.2
    quality = Quality.of(chain)
    assert np.isinf(quality.autocorrelation[0])
    assert quality.effective[0] == 0


@pytest.mark.parametrize("n_steps", [1, 2, 3])
def test_a_chain_too_short_to_judge_is_worthless_and_not_given(n_steps: int) -> None:
    quality = Quality.of(np.random.default_rng(9).standard_normal((n_steps, 56, 1)))
    assert np.isinf(quality.autocorrelation[0])
    assert quality.effective[0] == 0
