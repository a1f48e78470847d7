"""The sampler's own move, by its statistics; and the whole backend on simulated galaxies."""

from __future__ import annotations

import emcee
import numpy as np
import pytest

from galfit_ml.backend import Request
from galfit_ml.flags import Flag
from galfit_ml.posterior import Posterior
from galfit_ml.redshift_prior import RedshiftPriors
from galfit_ml.spectra import SpectrumBatch
from galfit_ml.testing import default_instrument, simulated_batch
from galfit_ml_emcee.backend import EmceeBackend
from galfit_ml_emcee.moves import GaussianMove
from galfit_ml_emcee.sampler import SamplerSettings

Mocks = tuple[SpectrumBatch, dict[str, np.ndarray]]


def run_move(log_density, mean: np.ndarray, covariance: np.ndarray, n_steps: int = 4000) -> np.ndarray:  # type: ignore[no-untyped-def]
    n_dim = len(mean)
    ensemble = emcee.EnsembleSampler(
        4 * n_dim, n_dim, log_density, vectorize=True, moves=[(GaussianMove(mean, covariance), 1.0)]
    )
    ensemble._random.seed(7)
    start = np.random.default_rng(3).standard_normal((4 * n_dim, n_dim))
    ensemble.run_mcmc(start, n_steps)
    return np.asarray(ensemble.get_chain(discard=500, thin=5, flat=True))


def test_move_samples_a_gaussian_it_was_not_told_of() -> None:
    """Reference wrong by half a sigma in the mean and a factor 1.5 in variance: moments must be the target's."""
    target = np.array([[1.0, 0.6, 0.0], [0.6, 2.0, -0.3], [0.0, -0.3, 0.5]])
    precision = np.linalg.inv(target)
    samples = run_move(lambda x: -0.5 * np.einsum("ni,ij,nj->n", x, precision, x), np.full(3, 0.4), 1.5 * target)
    np.testing.assert_allclose(samples.mean(axis=0), 0.0, atol=0.06)
    np.testing.assert_allclose(np.cov(samples.T), target, atol=0.1)


def test_move_samples_a_skewed_density() -> None:
    """Exponential density through its logarithm, x = ln(e): mean of e is 1, of e^2 is 2."""
    samples = run_move(lambda x: (x - np.exp(x)).sum(axis=1), np.full(2, -0.5), np.diag([2.0, 2.0]))
    np.testing.assert_allclose(np.exp(samples).mean(axis=0), 1.0, atol=0.04)
    np.testing.assert_allclose((np.exp(samples) ** 2).mean(axis=0), 2.0, atol=0.2)


@pytest.mark.parametrize("bad", [{"n_walkers": 41}, {"n_walkers": 10}, {"max_steps": 0}, {"n_autocorr": 0.0}])
def test_settings_refuse_nonsense(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"n_walkers must be even|must be positive"):
        SamplerSettings(**bad)  # type: ignore[arg-type]


def quick() -> EmceeBackend:
    """Too short to be trusted, long enough to show what is wrong."""
    return EmceeBackend(n_walkers=40, n_burn=20, max_steps=100, n_autocorr=1.0)


@pytest.fixture(scope="module")
def mocks() -> Mocks:
    return simulated_batch(default_instrument(redshift_range=(0.05, 0.5)), 2, 25.0, 11)


@pytest.fixture(scope="module")
def posterior(mocks: Mocks) -> Posterior:
    return quick().infer(mocks[0], Request(200, 5, RedshiftPriors.free(2)))


def test_truth_lies_within_the_posterior(posterior: Posterior, mocks: Mocks) -> None:
    truth = mocks[1]
    for name, slack in (("redshift", 2e-4), ("log_stellar_mass", 0.15), ("dust_av", 0.2)):
        spread = posterior[name].std(axis=1)
        miss = np.abs(posterior.median()[name] - truth[name])
        assert np.all(miss < 5 * spread + slack), name


def test_best_model_reproduces_the_data(posterior: Posterior) -> None:
    fit = posterior.best_fit
    assert fit is not None
    np.testing.assert_allclose(fit.chi2 / fit.n_good, 1.0, atol=0.25)


def test_same_seed_same_draws_alone_or_in_a_batch(posterior: Posterior, mocks: Mocks) -> None:
    alone = quick().infer(mocks[0].take([1]), Request(200, 5, RedshiftPriors.free(1)))
    np.testing.assert_allclose(alone.draws[0], posterior.draws[1], rtol=1e-5)


def test_fixed_redshift_is_exact(mocks: Mocks) -> None:
    z = float(mocks[1]["redshift"][0])
    result = quick().infer(mocks[0].take([0]), Request(50, 5, RedshiftPriors.parse(z, 1)))
    np.testing.assert_allclose(result["redshift"], z, rtol=0, atol=1e-9)
    assert np.ptp(result["log_stellar_mass"]) > 0


def test_a_hopeless_spectrum_is_a_row_with_its_reason(mocks: Mocks) -> None:
    batch = mocks[0].take([0])
    arm = batch.arms[0]
    bad = arm.bad.copy()
    bad[:, 30:] = True
    few = type(arm)(arm.name, arm.grid, arm.flux, arm.ivar, bad, arm.lsf_sigma)
    hopeless = SpectrumBatch(batch.instrument, (few,), batch.ids, batch.flags, batch.reasons, batch.meta)
    result = quick().infer(hopeless, Request(20, 5, RedshiftPriors.free(1)))
    assert result.flags[0] & Flag.FAILED
    assert "good pixels" in result.reasons[0]
    assert np.isnan(result.draws).all()
