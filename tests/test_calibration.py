"""Calibration of draws: learnt from levels of the truth, smooth in signal-to-noise, and nothing else is moved."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from galfit_ml.calibration import Calibration, LevelMap, Reliability, along_nodes, levels_of, places_of
from galfit_ml.flags import Flag
from galfit_ml.parameters import GALAXY, ParameterSet
from galfit_ml.posterior import Posterior

RNG = np.random.default_rng
N, N_DRAWS = 6000, 200


def gaussian(seed: int, claimed: float, bias: float = 0.0) -> tuple[NDArray, NDArray, NDArray]:
    """Draws whose width is `claimed` times the right one, the truth, and signal-to-noise from 0.3 to 30."""
    rng = RNG(seed)
    snr = 10 ** rng.uniform(-0.5, 1.5, N)
    width = 1.0 / snr
    truth = rng.standard_normal(N) * width
    draws = (bias + claimed * rng.standard_normal((N, N_DRAWS))) * width[:, None]
    return draws, truth, snr


def coverage(draws: NDArray, truth: NDArray, level: float) -> float:
    """By ranks: quantiles of n draws hold (n - 1) / (n + 1) as much as they say."""
    return float((np.abs(levels_of(draws, truth) - 0.5) < level / 2).mean())


def test_levels_of_right_draws_are_uniform() -> None:
    draws, truth, _ = gaussian(1, 1.0)
    assert stats.kstest(levels_of(draws, truth), "uniform").pvalue > 1e-3


def test_levels_are_the_shares_below() -> None:
    draws = np.arange(99.0)[None].repeat(2, axis=0)
    found = levels_of(draws, np.array([-5.0, 49.5]))
    assert 0 < found[0] < 0.01
    assert found[1] == pytest.approx(0.505, abs=0.005)


@pytest.mark.parametrize(("claimed", "bias"), [(0.5, 0.0), (2.0, 0.0), (1.0, 0.8), (0.6, -0.5)])
def test_wrong_widths_and_biases_are_mended_on_other_spectra(claimed: float, bias: float) -> None:
    learnt = LevelMap.fit(places_of(*gaussian(1, claimed, bias)[:2]), gaussian(1, claimed, bias)[2])
    draws, truth, snr = gaussian(2, claimed, bias)
    moved = learnt.apply(draws, snr)
    for level in (0.5, 0.68, 0.9, 0.95):
        error = np.sqrt(level * (1 - level) / N)
        assert coverage(moved, truth, level) == pytest.approx(level, abs=4 * error)
    assert abs(coverage(draws, truth, 0.68) - 0.68) > 0.08
    assert abs(np.median((np.median(moved, axis=1) - truth) * snr)) < 0.1


def test_what_is_right_stays() -> None:
    draws, truth, snr = gaussian(3, 1.0)
    moved = LevelMap.fit(places_of(draws, truth), snr).apply(draws, snr)
    assert np.abs((moved - draws) * snr[:, None]).mean() < 0.06


def test_a_fault_that_depends_on_the_noise_is_mended_at_each_noise() -> None:
    """Too narrow at low signal-to-noise, too wide at high."""

    def made(seed: int) -> tuple[NDArray, NDArray, NDArray]:
        rng = RNG(seed)
        place = rng.uniform(-0.5, 1.5, 2 * N)
        claimed = np.where(place < 0.2, 0.6, 1.6)
        truth = rng.standard_normal(2 * N)
        return claimed[:, None] * rng.standard_normal((2 * N, N_DRAWS)), truth, 10**place

    draws, truth, snr = made(1)
    learnt = LevelMap.fit(places_of(draws, truth), snr)
    draws, truth, snr = made(2)
    moved = learnt.apply(draws, snr)
    for inside in (snr < 0.7, snr > 6):
        assert coverage(moved[inside], truth[inside], 0.68) == pytest.approx(0.68, abs=0.03)
        assert abs(coverage(draws[inside], truth[inside], 0.68) - 0.68) > 0.1


def test_ranks_are_kept() -> None:
    draws, truth, snr = gaussian(4, 0.5)
    moved = LevelMap.fit(places_of(draws, truth), snr).apply(draws, snr)
    assert (np.argsort(draws[:50], axis=1) == np.argsort(moved[:50], axis=1)).all()


def test_nothing_lands_between_two_solutions() -> None:
    """Half of the draws at 1, half at 2: wider levels may change the shares, and make no third redshift."""
    draws, truth, snr = gaussian(5, 0.6)
    learnt = LevelMap.fit(places_of(draws, truth), snr)
    two = np.concatenate([1 + 1e-4 * RNG(6).standard_normal((10, 97)), 2 + 1e-4 * RNG(7).standard_normal((10, 103))], 1)
    moved = learnt.apply(two, np.full(10, 3.0), gap=np.full(10, 0.0083))
    assert (np.minimum(np.abs(moved - 1), np.abs(moved - 2)) < 2e-3).all()


def test_each_solution_keeps_its_draws() -> None:
    """A map that pushes everything up moves draws within the solution they belong to, never to the other."""
    draws, truth, snr = gaussian(21, 1.0, -0.5)
    learnt = LevelMap.fit(places_of(draws, truth), snr)
    two = np.concatenate([1 + 1e-4 * RNG(6).standard_normal((10, 97)), 2 + 1e-4 * RNG(7).standard_normal((10, 103))], 1)
    moved = learnt.apply(two, np.full(10, 3.0), gap=np.full(10, 0.0083))
    np.testing.assert_array_equal(moved > 1.5, two > 1.5)
    assert (moved - two).mean() > 2e-5


def test_a_few_wild_truths_do_not_draw_out_the_tails() -> None:
    """One in a hundred far off: draws of all others stay within a few of their widths, however many there are."""
    draws, truth, snr = gaussian(22, 1.0)
    truth = np.where(RNG(1).random(N) < 0.012, truth + 30 / snr, truth)
    learnt = LevelMap.fit(places_of(draws, truth), snr)
    many = RNG(2).standard_normal((20, 5000))
    assert np.abs(learnt.apply(many, np.full(20, 3.0))).max() < 12


def test_rows_without_draws_teach_nothing() -> None:
    draws, truth, snr = gaussian(23, 0.5)
    draws[::2] = np.nan
    places = places_of(draws, truth)
    assert np.isnan(places[::2]).all()
    moved = LevelMap.fit(places, snr).apply(draws[1::2], snr[1::2])
    assert coverage(moved, truth[1::2], 0.68) == pytest.approx(0.68, abs=0.03)


def test_two_draws_say_nothing_of_a_level() -> None:
    with pytest.raises(ValueError, match="at least 3 draws"):
        places_of(np.zeros((4, 2)), np.zeros(4))


def test_draws_that_are_equal_or_missing_stay() -> None:
    draws, truth, snr = gaussian(8, 0.6)
    learnt = LevelMap.fit(places_of(draws, truth), snr)
    fixed, missing = np.full((3, 50), 0.7), np.full((3, 50), np.nan)
    np.testing.assert_array_equal(learnt.apply(fixed, np.ones(3)), fixed)
    assert np.isnan(learnt.apply(missing, np.ones(3))).all()


def test_too_few_spectra_are_refused() -> None:
    draws, truth, snr = gaussian(9, 1.0)
    with pytest.raises(ValueError, match="needs at least 200 spectra"):
        LevelMap.fit(places_of(draws[:50], truth[:50]), snr[:50])


def test_tables_are_interpolated_in_the_logarithm_of_the_noise() -> None:
    table = np.arange(15.0)
    found = along_nodes(table, [10**-1.5, 10**0.25, 1e9, 0.0, -3.0])
    np.testing.assert_allclose(found, [0, 7, 14, 0, 0], atol=1e-9)


def test_stated_probabilities_become_what_is_right() -> None:
    rng = RNG(10)
    stated = rng.random(20000)
    right = rng.random(20000) < stated**2
    learnt = Reliability.fit(stated, right)
    assert learnt(np.array([0.3, 0.6, 0.9])) == pytest.approx([0.09, 0.36, 0.81], abs=0.03)
    assert (np.diff(learnt(np.linspace(0, 1, 50))) >= 0).all()
    assert 0 < learnt(np.array([0.0]))[0] < learnt(np.array([1.0]))[0] < 1


def posterior(draws: NDArray, names: tuple[str, ...]) -> Posterior:
    parameters = ParameterSet(tuple(GALAXY[name] for name in names))
    flags = np.zeros(len(draws), dtype=np.int64)
    flags[0] = int(Flag.FAILED)
    draws = draws.copy()
    draws[0] = np.nan
    return Posterior(parameters, draws, tuple(map(str, range(len(draws)))), flags, ("failed", *[""] * (len(draws) - 1)))


def test_a_posterior_is_calibrated_whole_and_comes_back_from_arrays() -> None:
    draws, truth, snr = gaussian(11, 0.5)
    made = posterior(np.stack([1 + 0.1 * draws, 10 + draws], axis=-1), ("redshift", "log_stellar_mass"))
    learnt = Calibration.fit(made, {"log_stellar_mass": 10 + truth}, snr)
    again = Calibration.of(learnt.arrays())
    moved = again.apply(made, snr)
    np.testing.assert_array_equal(moved["redshift"], made["redshift"])  # no truth was given of it
    assert np.isnan(moved.draws[0]).all()
    assert coverage(moved["log_stellar_mass"][1:], 10 + truth[1:], 0.68) == pytest.approx(0.68, abs=0.02)


def test_draws_stay_within_the_range_of_a_parameter() -> None:
    draws, truth, snr = gaussian(12, 0.3)
    made = posterior(np.abs(draws)[:, :, None] * 0.02, ("dust_av",))
    learnt = Calibration({"dust_av": LevelMap.fit(places_of(draws, truth), snr)})
    moved = learnt.apply(made, snr).draws[1:]
    assert moved.min() >= GALAXY["dust_av"].low
    assert moved.max() <= GALAXY["dust_av"].high
