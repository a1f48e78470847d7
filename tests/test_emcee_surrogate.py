"""The surrogate of a posterior: exact where the density is what it can be, near where the galaxy model is real."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import special, stats

from galfit_ml.redshift_prior import RedshiftPrior
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.prior import coordinate
from galfit_ml.testing import default_instrument, simulated_batch
from galfit_ml_emcee.ensemble import ensemble
from galfit_ml_emcee.fit_one import cell_prior
from galfit_ml_emcee.likelihood import N_DIM, NOISE_SCALE_SIGMA, Likelihood
from galfit_ml_emcee.nuisances import ArmErrors, MarginalArm
from galfit_ml_emcee.optimise import MAX_COORDINATE, climb, derivatives, find_start
from galfit_ml_emcee.outward import outward
from galfit_ml_emcee.plan import make_plan
from galfit_ml_emcee.profiles import HELD, valley_points
from galfit_ml_emcee.settings import SamplerSettings
from galfit_ml_emcee.surrogate import DEPTH, TOGETHER, Compression, Pupil, Whitening, pairs_of
from galfit_ml_emcee.target import Target
from galfit_ml_emcee.trim import Native

Floats = NDArray[np.float64]

FREE = [0, 1, 2, 3, N_DIM - 1]
D = len(FREE)
N_PIX = 150


class Polynomial:
    """A model whose flux is quadratic in four coordinates, and an additive error; there is no galaxy beyond x_0 = 4."""

    unseen = ()
    redshift = RedshiftPrior()
    log_noise_scale = staticmethod(Likelihood.log_noise_scale)
    precision = staticmethod(Likelihood.precision)

    def __init__(self, n_term: int) -> None:
        rng = np.random.default_rng(4)
        self.slope, self.bend = (torch.as_tensor(s * rng.standard_normal((4, N_PIX))) for s in (0.4, 0.05))
        flux = torch.as_tensor(5 + rng.standard_normal(N_PIX), dtype=torch.float32)
        ivar = torch.ones(N_PIX)
        ivar[20:30] = 0.0
        terms = np.stack(
            [0.2 * np.cos(k * np.linspace(0, 3, N_PIX)) for k in range(n_term)] or [np.zeros(N_PIX)], axis=1
        )
        self.spectrum = SimpleNamespace(flux=flux, ivar=ivar, n_good=N_PIX - 10)
        self.arms = [MarginalArm(ArmErrors(0, N_PIX, np.zeros((N_PIX, 0)), terms[:, :n_term]), flux, ivar)]

    def spectra(self, x: torch.Tensor) -> Any:
        free = x[:, :4]
        return SimpleNamespace(flux=(5 + free @ self.slope + free**2 @ self.bend).float())

    def evaluate(self, x: torch.Tensor) -> tuple[torch.Tensor, Any, None]:
        made = self.spectra(x)
        value = self.arms[0].log_likelihood(made.flux, self.precision(x)) - 0.5 * (x**2).sum(1)
        value = value - self.spectrum.n_good * self.log_noise_scale(x)
        return torch.where(x[:, 0] > 4, -torch.inf, value), made, None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.evaluate(x)[0]


def target_of(n_term: int) -> Target:
    return Target(Polynomial(n_term), np.zeros(N_DIM), FREE)  # type: ignore[arg-type]


def points_about(width: float, n: int, seed: int) -> Floats:
    return width * np.random.default_rng(seed).standard_normal((n, D))


def test_a_quadratic_model_is_learnt_exactly() -> None:
    """The density is then a quartic times a free noise scale."""
    target = target_of(0)
    pupil = Pupil(Whitening(target, np.zeros(D)), points_about(0.6, 900, 1))
    test = points_about(0.5, 300, 2)
    truth = target.log_density(test)
    assert np.ptp(truth) > 50
    np.testing.assert_allclose(pupil.surrogate()(test), truth, atol=0.02, rtol=2e-3)


def test_additive_errors_are_whitened() -> None:
    """At the noise scale of the best point the marginal likelihood is reproduced, up to its constant."""
    target = target_of(3)
    best = np.array([0.1, 0.2, 0.0, 0.0, 0.8])
    pupil = Pupil(Whitening(target, best), points_about(0.6, 900, 1))
    test = points_about(0.5, 300, 2)
    test[:, -1] = best[-1]
    difference = pupil.surrogate()(test) - target.log_density(test)
    assert np.ptp(target.log_density(test)) > 20
    np.testing.assert_allclose(difference, difference.mean(), atol=0.1)


def test_whitening_gives_chi2_under_the_marginal_covariance() -> None:
    target = target_of(3)
    likelihood: Any = target.likelihood
    best = np.array([0.1, 0.2, 0.0, 0.0, 0.8])
    value, residuals = Whitening(target, best)(best[None])
    x = torch.as_tensor(target.full(best[None]))
    raw = (likelihood.spectrum.flux - likelihood.spectra(x).flux)[:, None]
    arm = likelihood.arms[0]
    chi2 = arm.whitened(likelihood.spectra(x).flux, likelihood.precision(x)).inner(raw, raw)
    assert float(residuals.double().square().sum()) == pytest.approx(float(chi2), rel=1e-4)
    assert float(likelihood.precision(x)) == pytest.approx(np.exp(-1.6 * NOISE_SCALE_SIGMA))
    assert value[0] == pytest.approx(target.log_density(best[None])[0])


def test_compression_keeps_what_varies_and_counts_what_does_not() -> None:
    """Rows that differ along three directions alone: coefficients and a constant hold their sums of squares."""
    rng = np.random.default_rng(0)
    rows = 20 + rng.standard_normal((200, 3)) @ (5 * rng.standard_normal((3, 80))) + rng.standard_normal(80)
    compression = Compression(torch.as_tensor(rows, dtype=torch.float32))
    coefficients = compression(torch.as_tensor(rows, dtype=torch.float32)).double()
    np.testing.assert_allclose(compression.vectors @ compression.vectors.T, np.eye(len(compression.vectors)), atol=1e-5)
    found = coefficients.square().sum(1) + compression.rest
    np.testing.assert_allclose(found, (rows**2).sum(axis=1), rtol=1e-4)


class Burst(Polynomial):
    """A burst adds light that depends on its age as on its mass: no quadratic, and no sum over both."""

    def spectra(self, x: torch.Tensor) -> Any:
        mass, age = (x[:, coordinate(name)] for name in ("log_burst_fraction", "burst_age"))
        return SimpleNamespace(flux=(5 + (torch.tanh(mass) * torch.tanh(age))[:, None] * 8 * self.slope[0]).float())


def test_coordinates_of_a_burst_bend_together(monkeypatch: pytest.MonkeyPatch) -> None:
    free = [coordinate("burst_age"), coordinate("log_burst_fraction"), N_DIM - 1]
    target = Target(Burst(0), np.zeros(N_DIM), free)  # type: ignore[arg-type]
    rng = np.random.default_rng(3)
    pupil = Pupil(Whitening(target, np.zeros(3)), rng.standard_normal((900, 3)) * [1.0, 1.0, 0.3])
    test = rng.standard_normal((200, 3)) * [1.0, 1.0, 0.3]
    truth = target.log_density(test)
    near = truth > truth.max() - 30
    assert np.ptp(truth[near]) > 20
    together = np.median(np.abs(pupil.surrogate()(test) - truth)[near])
    monkeypatch.setattr("galfit_ml_emcee.surrogate.TOGETHER", ())
    alone = np.median(np.abs(pupil.surrogate()(test) - truth)[near])
    assert together < 0.5
    assert alone > 4 * together


def test_every_two_of_the_coordinates_bend_together_that_are_free() -> None:
    every = pairs_of(list(range(N_DIM)))
    assert every.shape == (2, len(TOGETHER) * (len(TOGETHER) - 1) // 2)
    own = [coordinate("tau"), coordinate("redshift"), coordinate("dust_av"), N_DIM - 1]
    assert sorted(pairs_of(own)[:, 0].tolist()) == [0, 2]
    assert pairs_of([coordinate("redshift"), N_DIM - 1]).shape == (2, 0)


def test_points_outward_follow_the_sample() -> None:
    """One coordinate moves by one to ten of its scatters, at most 2.5; those that go with it move along."""
    random = np.random.RandomState(1)
    t = np.linspace(-1, 1, 4000)
    sample = np.stack([0.5 * t, 0.2 * t + 0.004 * random.standard_normal(4000), 1e-3 * np.cos(2 * np.pi * t)], axis=1)
    points = outward(sample, 3000, random)
    assert points.shape == (3000, 3)
    reach = np.abs(points).max(axis=0)
    assert 2.0 < reach[0] <= 2.5 * 0.5 / 0.2 / 0.9 + 0.5  # its own 2.5, or what the second drags along
    assert 0.003 < reach[2] < 0.2
    along = points[np.abs(points[:, 2]) <= 1e-3]
    assert np.abs(along[:, 1] - 0.4 * along[:, 0]).max() < 0.05
    assert np.mean(np.abs(points[:, 0]) > 0.5) > 0.3  # beyond all of the sample
    assert (np.abs(outward(100 * sample, 500, random)) <= MAX_COORDINATE).all()


def test_hopeless_points_are_dropped_and_the_rest_kept_in_step() -> None:
    target = target_of(0)
    points = points_about(0.6, 400, 1)
    points[:5, 0] = 5.0  # no galaxy
    points[5:9, 1] = 40.0  # ten thousand e-folds down
    pupil = Pupil(Whitening(target, np.zeros(D)), points)
    np.testing.assert_array_equal(pupil.points, points[9:])
    more = points_about(0.6, 50, 2)
    more[10, 0], more[20, 1] = 5.0, 40.0
    truth = pupil.ask(more, boost=3.0)
    assert truth[10] == -np.inf
    assert truth[20] < truth.max() - DEPTH
    np.testing.assert_array_equal(pupil.points, np.concatenate([points[9:], np.delete(more, [10, 20], axis=0)]))
    np.testing.assert_allclose(pupil.log_density, target.log_density(pupil.points))
    np.testing.assert_array_equal(pupil.boosts, np.repeat([1.0, 3.0], [391, 48]))
    expected = pupil.compression(pupil.whitening(pupil.points)[1])
    torch.testing.assert_close(pupil.coefficients, expected, rtol=1e-3, atol=1e-3)


def test_best_points_are_repeated_where_there_are_too_few() -> None:
    pupil = Pupil(Whitening(target_of(0), np.zeros(D)), points_about(0.6, 40, 1))
    order = np.argsort(pupil.log_density)[::-1]
    np.testing.assert_array_equal(pupil.best(7), pupil.points[order[:7]])
    np.testing.assert_array_equal(pupil.best(56), pupil.points[np.append(order, order[:16])])
    assert pupil.log_density[pupil.log_density >= np.median(pupil.log_density)].size == len(pupil.upper_half())


@pytest.fixture(scope="module")
def galaxy() -> tuple[Target, Any]:
    """A galaxy of signal-to-noise 10 at a resolving power of 300, and the maxima about its redshift."""
    batch, truth = simulated_batch(default_instrument(300.0, (0.05, 0.3)), 1, 10.0, 3)
    native, z = Native.of(batch), float(truth["redshift"][0])
    spectrum = native.trimmed(0)
    prior = cell_prior(native, spectrum, (z - 0.012, z + 0.012))
    with torch.no_grad():
        likelihood = Likelihood(GalaxyModel(), spectrum, prior, RedshiftPrior())
        start = find_start(likelihood, torch.Generator().manual_seed(1), z)
    return Target.of(likelihood, start), start


def test_a_galaxy_is_learnt_to_within_a_few_e_folds(galaxy: tuple[Target, Any]) -> None:
    target, start = galaxy
    settings = SamplerSettings(learn=200, asked=400, n_trial=2, trial=10, walk=60)
    with torch.no_grad():
        plan = make_plan(target, start, settings, np.random.RandomState(2))
        walkers = ensemble(settings, target, plan, 4)
        walkers.run_mcmc(plan.points, 8)
    assert plan.points.shape == (56, len(target.free))
    new, truth = walkers.get_chain()[4:].reshape(-1, len(target.free)), walkers.get_log_prob()[4:].ravel()
    assert np.median(truth) > float(start.log_density[0]) - 30  # half a unit per dimension, and what it misses
    difference = plan.surrogate(new) - truth
    scatter = 1.4826 * np.median(np.abs(difference - np.median(difference)))
    assert scatter < 2.0
    assert scatter < 0.7 * truth.std()  # what a surrogate would do that knows nothing but the mean
    assert plan.error < 3.0
    assert walkers.acceptance_fraction.mean() > 0.15


def test_a_held_coordinate_stays_and_the_others_are_at_their_best(galaxy: tuple[Target, Any]) -> None:
    target, start = galaxy
    held = torch.tensor([coordinate("formation_age"), coordinate("tau")])
    x = start.x[:1].repeat(2, 1)
    x[[0, 1], held] = torch.tensor([-1.0, 1.0], dtype=x.dtype)
    with torch.no_grad():
        before = target.likelihood(x)
        value, found, _ = climb(target.likelihood, x, 12, held=held)
        gradient, hessian = derivatives(target.likelihood, found)
    assert found[[0, 1], held].tolist() == [-1.0, 1.0]
    assert (value > before).all()
    assert (value <= start.log_density[0] + 0.5).all()
    for k in range(2):
        others = [i for i in target.free if i != held[k]]
        step = torch.linalg.solve(hessian[k][others][:, others], gradient[k, others])
        assert float(0.5 * gradient[k, others] @ step) < 1.0  # what is left to gain


def test_valleys_are_followed_through_the_prior(galaxy: tuple[Target, Any]) -> None:
    target, start = galaxy
    with torch.no_grad():
        points = valley_points(target, start, np.random.RandomState(1))
    reached = [points[:, target.free.index(coordinate(name))] for name in HELD if coordinate(name) in target.free]
    assert sum(np.ptp(one) > 3.0 for one in reached) >= 5  # of eight; a unit Gaussian's middle 87 %
    depth = float(start.log_density[0]) - target.log_density(points)
    assert np.median(depth[np.isfinite(depth)]) < 40
    assert np.isfinite(depth).mean() > 0.8


def test_a_spectrum_that_is_too_good_for_valleys_is_learnt_without(
    galaxy: tuple[Target, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    target, start = galaxy
    monkeypatch.setattr("galfit_ml_emcee.profiles.DEEPEST", -1e9)
    with torch.no_grad():
        assert valley_points(target, start, np.random.RandomState(1)).shape == (0, len(target.free))


def test_walkers_start_where_a_sharp_redshift_prior_leaves_them(galaxy: tuple[Target, Any]) -> None:
    """A user who knows the redshift several times better than the data: nothing is left to contract in the chain."""
    target, start = galaxy
    width = 2e-5
    z = float(target.likelihood.galaxies(start.x[:1]).redshift[0])
    plain = target.likelihood
    sharp = Likelihood(plain.model, plain.spectrum, plain.prior, RedshiftPrior(distribution=stats.norm(z, width)))
    settings = SamplerSettings(learn=200, asked=200, n_trial=1, trial=8, walk=60)
    scatter = {}
    with torch.no_grad():
        for name, likelihood in (("plain", plain), ("sharp", sharp)):
            own = Target.of(likelihood, start)
            plan = make_plan(own, start, settings, np.random.RandomState(2))
            scatter[name] = float(likelihood.galaxies(torch.as_tensor(own.full(plan.points))).redshift.std())
    assert scatter["plain"] > 5 * width
    assert scatter["sharp"] < 2 * width


def test_the_users_density_is_that_of_the_likelihood_up_to_a_constant(galaxy: tuple[Target, Any]) -> None:
    target, start = galaxy
    plain = target.likelihood
    low, high = plain.prior.redshift
    user = RedshiftPrior(distribution=stats.norm(0.3 * low + 0.7 * high, 0.1 * (high - low)))
    both = Target.of(Likelihood(plain.model, plain.spectrum, plain.prior, user), start)
    x = start.x[:1].repeat(9, 1)
    x[:, coordinate("redshift")] = torch.linspace(-1.5, 2.0, 9, dtype=x.dtype)
    expected = user.log_density(plain.galaxies(x).redshift.numpy())
    found = np.interp(special.ndtr(x[:, coordinate("redshift")].numpy()), *both.known_redshift)
    np.testing.assert_allclose(found - found[0], expected - expected[0], atol=1e-4)
    assert target.known_redshift.shape == (2, 0)
    fixed = Target.of(both.likelihood, start, (coordinate("redshift"),))
    assert (fixed.known_redshift.shape, fixed.redshift_place) == ((2, 0), -1)


def test_the_same_seed_makes_the_same_plan(galaxy: tuple[Target, Any]) -> None:
    target, start = galaxy
    settings = SamplerSettings(learn=40, asked=20, n_trial=0, walk=20)
    with torch.no_grad():
        plans = [make_plan(target, start, settings, np.random.RandomState(seed)) for seed in (3, 3, 4)]
    np.testing.assert_array_equal(plans[0].points, plans[1].points)
    np.testing.assert_array_equal(plans[0].archive, plans[1].archive)
    assert plans[0].error == plans[1].error
    assert not np.array_equal(plans[0].points, plans[2].points)
