"""The proposals of the emcee backend leave a density unchanged, whatever they believe of it: by moments and shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import emcee
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from galfit_ml_emcee.modes import adapted, starting_modes
from galfit_ml_emcee.moves import GaussianMove, Modes, SurrogateMove, gaussian_step, jump_step
from galfit_ml_emcee.optimise import Start
from galfit_ml_emcee.walk import Walk

Floats = NDArray[np.float64]
Density = Callable[[Floats], Floats]

COVARIANCE = np.array([[1.0, 0.6, 0.0], [0.6, 2.0, -0.3], [0.0, -0.3, 0.5]])
CENTRES, WIDTHS, SHARES = np.array([[-3.0, 0.0], [3.0, 1.0]]), np.array([0.3, 0.7]), np.array([0.75, 0.25])


def gaussian(x: Floats) -> Floats:
    return np.asarray(-0.5 * np.einsum("ni,ij,nj->n", x, np.linalg.inv(COVARIANCE), x))


def two_modes(x: Floats) -> Floats:
    """Two distant Gaussians of unlike widths, 3 : 1."""
    terms = [
        np.log(share / width**2) - 0.5 * ((x - centre) ** 2).sum(axis=1) / width**2
        for centre, width, share in zip(CENTRES, WIDTHS, SHARES, strict=True)
    ]
    return np.asarray(np.logaddexp(*terms))


def skewed(x: Floats) -> Floats:
    """Exponential densities through their logarithms, x = ln e: the mean of e is 1, that of its square 2."""
    return np.asarray((x - np.exp(x)).sum(axis=1))


def wrong_modes() -> Modes:
    """Gaussians near those of `two_modes`: off by a third of a sigma, too wide, with equal weights."""
    return Modes.of(CENTRES + 0.1, 1.5 * WIDTHS[:, None, None] ** 2 * np.eye(2), np.ones(2))


def one_mode(mean: Floats, covariance: Floats) -> Modes:
    return Modes.of(mean[None], covariance[None], np.ones(1))


def in_emcee(density: Density, moves: Sequence[tuple[Any, float]], start: Floats, n_steps: int) -> Floats:
    ensemble = emcee.EnsembleSampler(*start.shape, density, vectorize=True, moves=list(moves))
    ensemble._random.seed(7)
    ensemble.run_mcmc(start, n_steps)
    return np.asarray(ensemble.get_chain(discard=n_steps // 8, flat=True))


def drawn_from_two_modes(n: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    which = rng.choice(2, size=n, p=SHARES)
    return np.asarray(CENTRES[which] + WIDTHS[which, None] * rng.standard_normal((n, 2)))


def check_two_modes(x: Floats, slack: float) -> None:
    left = x[:, 0] < 0
    assert left.mean() == pytest.approx(SHARES[0], abs=slack)
    for own, centre, width in zip((x[left], x[~left]), CENTRES, WIDTHS, strict=True):
        np.testing.assert_allclose(own.mean(axis=0), centre, atol=4 * slack * width)
        np.testing.assert_allclose(own.std(axis=0), width, rtol=3 * slack)


def test_modes_whiten_and_place_are_inverse_and_match_the_covariance() -> None:
    modes = Modes.of(np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]), np.stack([COVARIANCE, 4 * COVARIANCE]), np.ones(2))
    x, k = np.random.default_rng(0).standard_normal((50, 3)), np.arange(50) % 2
    np.testing.assert_allclose(modes.place(modes.whiten(x, k), k), x, atol=1e-12)
    size = (modes.whiten(x, k) ** 2).sum(axis=1)
    away = x - modes.mean[k]
    expected = np.einsum("ni,ij,nj->n", away, np.linalg.inv(COVARIANCE), away) / np.where(k == 1, 4, 1)
    np.testing.assert_allclose(size, expected)
    np.testing.assert_allclose(modes.log_volume, 0.5 * np.linalg.slogdet([COVARIANCE, 4 * COVARIANCE])[1])
    densities = [stats.multivariate_normal(modes.mean[j], (1, 4)[j] * COVARIANCE).logpdf(x) for j in range(2)]
    np.testing.assert_array_equal(modes.nearest(x), np.argmax(densities, axis=0))


def test_a_gaussian_step_is_exact_for_its_own_gaussian() -> None:
    """About the very density that is sampled, every step is accepted: the factor is p(x) / p(y)."""
    modes = one_mode(np.zeros(3), COVARIANCE)
    x = np.random.default_rng(1).multivariate_normal(np.zeros(3), COVARIANCE, 5000)
    moved, factor = gaussian_step(modes, x, np.random.RandomState(2))
    np.testing.assert_allclose(factor, gaussian(x) - gaussian(moved), atol=1e-9)
    np.testing.assert_allclose(np.cov(moved.T), COVARIANCE, atol=0.12)
    correlation = np.corrcoef(x[:, 0], moved[:, 0])[0, 1]
    assert correlation == pytest.approx(np.mean(np.sqrt(1 - np.array([0.2, 0.4, 0.7]) ** 2)), abs=0.03)


def test_a_jump_carries_a_place_to_the_other_mode_with_its_jacobian() -> None:
    modes = Modes.of(CENTRES, WIDTHS[:, None, None] ** 2 * np.eye(2), np.ones(2))
    x = np.tile(CENTRES[:1] + 0.3, (4000, 1))
    moved, factor = jump_step(modes, x, np.random.RandomState(3))
    there = np.abs(moved - CENTRES[1]).max(axis=1) < 2
    assert there.mean() == pytest.approx(0.5, abs=0.04)  # the other half takes x to be in the other mode, and fails
    np.testing.assert_allclose(np.linalg.norm(moved[there] - CENTRES[1], axis=1), np.sqrt(2) * 0.7)
    np.testing.assert_allclose(factor[there], 2 * np.log(0.7 / 0.3))
    np.testing.assert_allclose(factor[~there], -2 * np.log(0.7 / 0.3))


def test_gaussian_move_samples_a_gaussian_it_was_not_told_of() -> None:
    """Reference wrong by 0.4 in the mean and a factor 1.5 in variance: moments must be the target's."""
    start = np.random.default_rng(3).standard_normal((60, 3))
    move = GaussianMove(one_mode(np.full(3, 0.4), 1.5 * COVARIANCE))
    samples = in_emcee(gaussian, [(move, 1.0)], start, 1200)
    np.testing.assert_allclose(samples.mean(axis=0), 0.0, atol=0.06)
    np.testing.assert_allclose(np.cov(samples.T), COVARIANCE, atol=0.1)


def test_gaussian_move_samples_a_skewed_density() -> None:
    start = np.random.default_rng(3).standard_normal((60, 2))
    samples = np.exp(in_emcee(skewed, [(GaussianMove(one_mode(np.full(2, -0.5), 2.0 * np.eye(2))), 1.0)], start, 1500))
    np.testing.assert_allclose(samples.mean(axis=0), 1.0, atol=0.05)
    np.testing.assert_allclose((samples**2).mean(axis=0), 2.0, atol=0.25)


def test_a_walk_leaves_its_density_unchanged() -> None:
    """From exact draws: pCN, differences of an archive with other shares, and jumps may not move the distribution."""
    start = drawn_from_two_modes(20_000, 1)
    archive = np.concatenate([CENTRES[0] + 0.3 * start[:300], CENTRES[1] + 0.3 * start[:100]])
    walk = Walk(two_modes, wrong_modes(), archive)
    moved, value, kept = walk.run(start, 60, np.random.RandomState(5), keep_every=20)
    check_two_modes(moved, 0.02)
    np.testing.assert_allclose(value, two_modes(moved))
    assert kept.shape == (3 * 20_000, 2)
    np.testing.assert_array_equal(kept[-20_000:], moved)
    assert stats.ks_2samp(moved[:, 1], drawn_from_two_modes(20_000, 9)[:, 1]).pvalue > 1e-3


def test_a_walk_finds_the_shares_from_one_mode() -> None:
    start = np.random.default_rng(2).normal(CENTRES[1], WIDTHS[1], (4000, 2))
    moved, _, kept = Walk(two_modes, wrong_modes(), drawn_from_two_modes(500, 4)).run(
        start, 150, np.random.RandomState(6)
    )
    check_two_modes(moved, 0.03)
    assert kept.shape == (0, 2)


def test_a_walk_with_one_mode_does_not_jump() -> None:
    start = np.random.default_rng(2).multivariate_normal(np.zeros(3), COVARIANCE, 8000)
    walk = Walk(gaussian, one_mode(np.full(3, 0.3), 1.3 * COVARIANCE), start[:200])
    moved, _, _ = walk.run(start, 60, np.random.RandomState(6))
    np.testing.assert_allclose(moved.mean(axis=0), 0.0, atol=0.06)
    np.testing.assert_allclose(np.cov(moved.T), COVARIANCE, atol=0.1)


def test_wrong_surrogate_true_moments() -> None:
    """A surrogate shifted by half a sigma and too wide: without the correction the mean would be its own."""

    def wrong(x: Floats) -> Floats:
        return gaussian(x - 0.5) / 1.7

    start = np.random.default_rng(1).standard_normal((60, 3))
    move = SurrogateMove(Walk(wrong, one_mode(np.full(3, 0.5), 1.7 * COVARIANCE), start), 12)
    walked, _, _ = move.walk.run(np.tile(start, (50, 1)), 60, np.random.RandomState(1))
    assert np.all(walked.mean(axis=0) > 0.35)  # that the surrogate is wrong would be seen
    samples = in_emcee(gaussian, [(move, 1.0)], start, 600)
    np.testing.assert_allclose(samples.mean(axis=0), 0.0, atol=0.06)
    np.testing.assert_allclose(np.cov(samples.T), COVARIANCE, atol=0.12)


def test_wrong_surrogate_true_shares() -> None:
    """A surrogate that gives the lesser mode nearly everything: walkers go where the density is all the same."""

    def wrong(x: Floats) -> Floats:
        return 0.7 * two_modes(x) + 1.5 * np.tanh(x[:, 0])

    start = np.random.default_rng(1).normal(CENTRES[1], WIDTHS[1], (60, 2))
    walk = Walk(wrong, wrong_modes(), drawn_from_two_modes(200, 4))
    walked, _, _ = walk.run(np.tile(start, (50, 1)), 150, np.random.RandomState(1))
    assert (walked[:, 0] < 0).mean() < 0.4
    moves = [(SurrogateMove(walk, 20), 0.5), (SurrogateMove(walk, 3), 0.4), (GaussianMove(walk.modes), 0.1)]
    check_two_modes(in_emcee(two_modes, moves, start, 900), 0.03)


def start_at(mean: Floats, width: Floats, log_density: Floats) -> Start:
    import torch

    covariance = np.stack([w**2 * np.eye(mean.shape[1]) for w in width])
    return Start(*(torch.as_tensor(a) for a in (mean, log_density, covariance)))


def test_starting_modes_are_distinct_maxima_with_their_laplace_weights() -> None:
    mean = np.zeros((5, 4))
    mean[1, 0], mean[2, 0], mean[3, 0], mean[4, 0] = 0.1, 30.0, -30.0, 60.0
    log_density = np.array([-5.0, -5.1, -6.0, -40.0, np.nan])
    start = start_at(mean, np.array([1.0, 1.0, 2.0, 1.0, 1.0]), log_density)
    modes = starting_modes(start, [0, 1, 2])
    np.testing.assert_array_equal(modes.mean[:, 0], [30.0, 0.0])  # eight times the volume, a third of the height
    odds = 8 * np.exp(-1.0)
    np.testing.assert_allclose(modes.weight, np.array([odds, 1.0]) / (1 + odds))


def test_starting_modes_of_hopeless_heights_are_still_one() -> None:
    modes = starting_modes(start_at(np.zeros((2, 3)), np.ones(2), np.array([-1e25, -1e26])), [0, 1])
    assert modes.mean.shape == (1, 2)


def test_adapted_modes_follow_their_samples() -> None:
    samples = drawn_from_two_modes(4000, 3)
    modes = adapted(Modes.of(CENTRES + 0.5, np.stack([np.eye(2)] * 2), np.ones(2)), samples)
    np.testing.assert_allclose(modes.mean, CENTRES, atol=0.1)
    np.testing.assert_allclose(modes.weight, SHARES, atol=0.03)
    width = np.sqrt(np.diagonal(modes.root @ np.swapaxes(modes.root, 1, 2), axis1=1, axis2=2))
    assert np.all(width > WIDTHS[:, None])
    np.testing.assert_allclose(width, np.sqrt(1.2) * np.stack([WIDTHS] * 2, axis=1), rtol=0.07)


def test_a_mode_without_samples_stays_as_it_was() -> None:
    modes = adapted(wrong_modes(), CENTRES[0] + 0.3 * np.random.default_rng(0).standard_normal((500, 2)))
    np.testing.assert_allclose(modes.mean[1], CENTRES[1] + 0.1)
    assert modes.weight[1] == pytest.approx(0.1 / 1.1)
