"""The evidence of a cell against integrals that are known, and the draws that it shares out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from scipy.special import logsumexp

from galfit_ml.parameters import GALAXY
from galfit_ml.simulate.prior import GalaxyPrior
from galfit_ml_emcee.diagnostics import Quality
from galfit_ml_emcee.draws import draw, joined, shares
from galfit_ml_emcee.ensemble import Plan
from galfit_ml_emcee.evidence import Evidence, evidence
from galfit_ml_emcee.likelihood import N_DIM
from galfit_ml_emcee.mixture import draw as draw_mixture
from galfit_ml_emcee.mixture import log_density
from galfit_ml_emcee.moves import Modes
from galfit_ml_emcee.sampler import Chain
from galfit_ml_emcee.target import Target

Floats = NDArray[np.float64]

PRIOR = GalaxyPrior((0.09, 0.11), (17.0, 19.0))


class StubLikelihood:
    unseen = ()

    def galaxies(self, x: torch.Tensor) -> object:
        return PRIOR.transform(torch.special.ndtr(x[:, :-1]))


class Known(Target):
    """A likelihood that is a function of the free coordinates, times the prior."""

    def __init__(self, log_likelihood: Callable[[Floats], Floats], free: list[int], anchor: float = 0.0) -> None:
        super().__init__(StubLikelihood(), np.full(N_DIM, anchor), free)  # type: ignore[arg-type]
        object.__setattr__(self, "own", log_likelihood)

    own: Callable[[Floats], Floats]

    def log_density(self, points: Floats) -> Floats:
        return np.asarray(self.own(points) - 0.5 * (self.full(points) ** 2).sum(axis=1))


class Off:
    """A surrogate that is wrong by a third of an e-fold."""

    def __init__(self, target: Target) -> None:
        self.target = target

    def __call__(self, points: Floats) -> Floats:
        return self.target.log_density(points) + 0.3 * np.cos(5 * points[:, 0]) + 0.2


def chain_of(target: Target, samples: Floats, modes: Modes, mark: float = 0.0) -> Chain:
    """A chain of 50 walkers with these samples [n, n_free] of the free coordinates."""
    x = target.full(samples).reshape(-1, 50, N_DIM)
    values = np.full((*x.shape[:2], len(GALAXY)), mark)
    plan: Any = Plan(modes, Off(target), samples, samples, 0.0)  # type: ignore[arg-type]
    density = target.log_density(samples).reshape(x.shape[:2])
    return Chain(x, density, values, Quality.of(values), 0.5, True, plan, target)


def assert_right(found: Evidence, log_z: float) -> None:
    """Within four standard errors, which are small enough to be of use and not absurdly small."""
    assert found.believed
    assert 1e-3 < found.error < 0.15
    assert found.log_z == pytest.approx(log_z, abs=4 * found.error)


def gaussian_cell(free: list[int], anchor: float = 0.0, seed: int = 0) -> tuple[Chain, float]:
    """Chain and ln evidence of a likelihood 3 N(x; 0.4, S) with a known covariance S, under a standard normal prior."""
    d, rng = len(free), np.random.default_rng(seed)
    root = np.eye(d) * 0.5 + 0.1 * rng.standard_normal((d, d))
    own, mean = root @ root.T, np.full(d, 0.4)
    likelihood = stats.multivariate_normal(mean, own)
    log_z = np.log(3.0) + stats.multivariate_normal(np.zeros(d), own + np.eye(d)).logpdf(mean)
    covariance = np.asarray(np.linalg.inv(np.linalg.inv(own) + np.eye(d)), dtype=np.float64)
    centre = np.asarray(covariance @ np.linalg.solve(own, mean), dtype=np.float64)
    samples = rng.multivariate_normal(centre, covariance, 2000)
    target = Known(lambda x: np.log(3.0) + likelihood.logpdf(x), free, anchor)
    return chain_of(target, samples, Modes.of(centre[None], covariance[None], np.ones(1))), float(log_z)


@pytest.mark.parametrize("free", [list(range(6)), list(range(N_DIM))], ids=["6", "28"])
def test_evidence_of_a_gaussian(free: list[int]) -> None:
    chain, log_z = gaussian_cell(free)
    found = evidence(chain, np.random.default_rng(1))
    assert_right(found, log_z)


def test_evidence_does_not_depend_on_what_is_not_free() -> None:
    """Cells at other redshifts see other lines: what a cell does not see must not count for or against it."""
    few, log_z = gaussian_cell(list(range(6)), anchor=1.5)
    found = evidence(few, np.random.default_rng(1))
    assert_right(found, log_z)
    target = Known(lambda x: few.target.own(x[:, :6]), list(range(8)))  # type: ignore[attr-defined]
    samples = few.x[..., :6].reshape(-1, 6)
    idle = np.random.default_rng(4).standard_normal((len(samples), 2))
    whole = np.concatenate([samples, idle], axis=1)
    modes = Modes.of(whole.mean(axis=0)[None], np.cov(whole.T)[None], np.ones(1))
    more = evidence(chain_of(target, whole, modes), np.random.default_rng(2))
    assert_right(more, log_z)


def two_gaussians(n: int) -> tuple[Known, Floats, Modes, float]:
    """Two separate peaks of the posterior, 4 : 1, whose densities with the prior taken out are the likelihood."""
    centres, widths, heights = np.array([[-2.0] * 3, [2.0] * 3]), np.array([0.3, 0.5]), np.log([4.0, 1.0])

    def log_likelihood(x: Floats) -> Floats:
        peaks = [
            h + stats.multivariate_normal(c, w**2 * np.eye(3)).logpdf(x)
            for h, c, w in zip(heights, centres, widths, strict=True)
        ]
        return np.asarray(logsumexp(peaks, axis=0) + 0.5 * (x**2).sum(axis=1))

    rng = np.random.default_rng(2)
    which = rng.choice(2, size=n, p=[0.8, 0.2])
    samples = centres[which] + widths[which, None] * rng.standard_normal((n, 3))
    modes = Modes.of(centres, widths[:, None, None] ** 2 * np.eye(3), np.array([0.5, 0.5]))
    return Known(log_likelihood, [0, 1, 2]), samples, modes, float(np.log(5.0) - 1.5 * np.log(2 * np.pi))


def test_evidence_of_two_peaks() -> None:
    target, samples, modes, log_z = two_gaussians(4000)
    found = evidence(chain_of(target, samples, modes), np.random.default_rng(3))
    assert_right(found, log_z)


def test_evidence_is_not_believed_where_the_surrogate_is_elsewhere() -> None:
    """A density five sigma from where the surrogate has it in each of twelve directions."""
    chain, _ = gaussian_cell(list(range(12)))
    target = chain.target
    samples = chain.x[..., :12].reshape(-1, 12)
    offset = 5 * samples.std(axis=0)
    moved = Known(lambda x: target.log_density(x - offset) + 0.5 * (x**2).sum(axis=1), list(range(12)))
    off = chain_of(moved, samples + offset, chain.plan.modes)
    object.__setattr__(off.plan, "surrogate", Off(target))
    found = evidence(off, np.random.default_rng(3))
    assert not found.believed


def test_a_poor_surrogate_costs_accuracy_not_truth() -> None:
    """One that is wrong by e-folds: the error says so, and the evidence stays right."""
    chain, log_z = gaussian_cell(list(range(8)))
    good = evidence(chain, np.random.default_rng(4))
    object.__setattr__(chain.plan, "surrogate", lambda x: chain.target.log_density(x) - 2 * np.abs(x).sum(axis=1))
    poor = evidence(chain, np.random.default_rng(4))
    assert poor.error > 2 * good.error
    assert poor.log_z == pytest.approx(log_z, abs=4 * poor.error)


def test_evidence_of_nothing_is_not_believed() -> None:
    chain, _ = gaussian_cell([0, 1])
    nothing = Known(lambda x: np.full(len(x), -np.inf), [0, 1])
    own = chain_of(nothing, chain.x[..., :2].reshape(-1, 2), chain.plan.modes)
    object.__setattr__(own.plan, "surrogate", chain.plan.surrogate)
    found = evidence(own, np.random.default_rng(3))
    assert found.log_z == -np.inf
    assert found.error == np.inf
    assert not found.believed


def test_the_mixture_is_a_normalised_density_and_is_drawn_from() -> None:
    """Against scipy's multivariate t, and by the share of draws inside a box."""
    covariance = np.array([[[1.0, 0.5], [0.5, 2.0]], [[0.2, 0.0], [0.0, 0.2]]])
    modes = Modes.of(np.array([[0.0, 0.0], [3.0, 1.0]]), covariance, np.array([0.3, 0.7]))
    parts = [stats.multivariate_t(modes.mean[k], covariance[k], df=8, seed=1) for k in range(2)]
    x = draw_mixture(modes, 20_000, np.random.default_rng(5))
    expected = np.logaddexp(np.log(0.3) + parts[0].logpdf(x), np.log(0.7) + parts[1].logpdf(x))
    np.testing.assert_allclose(log_density(modes, x), expected, atol=1e-9)
    reference = np.concatenate([parts[0].rvs(6000), parts[1].rvs(14_000)])
    for column in range(2):
        assert stats.ks_2samp(x[:, column], reference[:, column]).pvalue > 1e-3


@pytest.mark.parametrize("weights", [[1.0], [0.5, 0.5, 0.0], [0.31, 0.3, 0.2, 0.19], [1e-9, 1.0 - 1e-9], [1 / 3] * 3])
@pytest.mark.parametrize("n", [0, 1, 7, 1000])
def test_shares_add_up_and_are_within_one(weights: list[float], n: int) -> None:
    for seed in range(20):
        counts = shares(np.array(weights), n, np.random.default_rng(seed))
        assert counts.sum() == n
        assert np.all(np.abs(counts - n * np.array(weights)) <= 1 + 1e-6)
        assert np.all(counts[np.array(weights) == 0] == 0)


def test_a_share_below_one_draw_comes_up_as_often_as_it_should() -> None:
    counts = [shares(np.array([0.985, 0.015]), 10, np.random.default_rng(seed))[1] for seed in range(4000)]
    assert np.mean(counts) == pytest.approx(0.15, abs=0.025)


def marked(mark: float, n: int = 200) -> Chain:
    """A chain whose stellar mass and magnitude are all `mark`."""
    target = Known(lambda x: np.zeros(len(x)), list(range(N_DIM)))
    samples = np.full((n, N_DIM), mark / 10)
    return chain_of(target, samples, Modes.of(np.zeros((1, N_DIM)), np.eye(N_DIM)[None], np.ones(1)), mark)


def test_draws_mix_chains_by_weight_in_random_order_and_keep_galaxies_with_values() -> None:
    chains, mass = [marked(5.0), marked(9.0)], GALAXY.index("log_stellar_mass")
    found = draw(chains, np.array([0.25, 0.75]), 1000, np.random.default_rng(1), None)
    assert found.values.shape == (1000, len(GALAXY))
    light = found.values[:, mass] == 5.0
    assert light.sum() == 250
    assert 0.15 < light[:250].mean() < 0.35
    expected = np.where(light, 17 + 2 * stats.norm.cdf(0.5), 17 + 2 * stats.norm.cdf(0.9))
    np.testing.assert_allclose(found.galaxies.magnitude.numpy(), expected, rtol=1e-5)


def test_draws_do_not_repeat_a_sample_while_there_are_others() -> None:
    chain = marked(5.0)
    chain.values[..., GALAXY.index("log_stellar_mass")] = 5 + np.arange(200).reshape(-1, 50) / 100
    found = draw([chain], np.ones(1), 200, np.random.default_rng(1), None)
    assert len(np.unique(found.values[:, GALAXY.index("log_stellar_mass")])) == 200


def test_what_the_chains_leave_comes_from_the_others() -> None:
    asked = []

    def others(n: int, rng: np.random.Generator) -> tuple[Any, Floats]:
        asked.append(n)
        return PRIOR.transform(torch.full((n, N_DIM - 1), 0.99)), np.full((n, len(GALAXY)), 12.0)

    mass = GALAXY.index("log_stellar_mass")
    found = draw([marked(5.0), marked(9.0)], np.array([0.5, 0.3]), 1000, np.random.default_rng(1), others)
    assert asked == [200]
    assert [int((found.values[:, mass] == m).sum()) for m in (5.0, 9.0, 12.0)] == [500, 300, 200]
    far = found.values[:, mass] == 12.0
    np.testing.assert_allclose(found.galaxies.magnitude.numpy()[far], 18.98, rtol=1e-4)
    # Without others the chains share everything.
    alone = draw([marked(5.0), marked(9.0)], np.array([0.5, 0.3]), 800, np.random.default_rng(1), None)
    assert (alone.values[:, mass] == 9.0).sum() == 300


def test_joined_galaxies_keep_their_order() -> None:
    parts = [PRIOR.transform(torch.full((n, N_DIM - 1), u)) for n, u in ((2, 0.2), (3, 0.7))]
    together = joined(parts)
    assert len(together.redshift) == 5
    torch.testing.assert_close(together.dust_av[1], parts[0].dust_av[1])
    torch.testing.assert_close(together.history.tau[4], parts[1].history.tau[2])
