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
from galfit_ml_emcee.line_error import RELATIVE_ERROR, line_error_basis
from galfit_ml_emcee.moves import GaussianMove, ModeJump, Modes
from galfit_ml_emcee.sampler import SamplerSettings

Mocks = tuple[SpectrumBatch, dict[str, np.ndarray]]


def run_move(log_density, mean: np.ndarray, covariance: np.ndarray, n_steps: int = 4000) -> np.ndarray:  # type: ignore[no-untyped-def]
    n_dim = len(mean)
    ensemble = emcee.EnsembleSampler(
        4 * n_dim,
        n_dim,
        log_density,
        vectorize=True,
        moves=[(GaussianMove(Modes.of(mean[None], covariance[None], np.ones(1))), 1.0)],
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


def test_jumps_give_each_mode_its_weight() -> None:
    """Two distant Gaussians of unlike widths, 3 : 1, started from the lesser one: the shares must come out right."""
    centres, widths, shares = np.array([[-4.0, 0.0], [4.0, 0.0]]), np.array([0.3, 0.6]), np.array([0.75, 0.25])

    def log_density(x: np.ndarray) -> np.ndarray:
        terms = [
            np.log(share / width**2) - 0.5 * ((x - centre) ** 2).sum(axis=1) / width**2
            for centre, width, share in zip(centres, widths, shares, strict=True)
        ]
        return np.logaddexp(*terms)

    modes = Modes.of(centres + 0.1, 1.2 * widths[:, None, None] ** 2 * np.eye(2), np.ones(2))
    moves = [(GaussianMove(modes), 0.6), (ModeJump(modes), 0.4)]
    ensemble = emcee.EnsembleSampler(12, 2, log_density, vectorize=True, moves=moves)
    ensemble._random.seed(5)
    ensemble.run_mcmc(np.random.default_rng(1).normal(centres[1], 0.3, (12, 2)), 5000)
    samples = ensemble.get_chain(discard=300, flat=True)
    assert (samples[:, 0] < 0).mean() == pytest.approx(0.75, abs=0.03)
    assert samples[samples[:, 0] < 0].std(axis=0) == pytest.approx(0.3, rel=0.05)


def test_a_jump_needs_two_modes() -> None:
    with pytest.raises(ValueError, match="two modes"):
        ModeJump(Modes.of(np.zeros((1, 2)), np.eye(2)[None], np.ones(1)))


def test_line_error_is_the_share_of_line_light() -> None:
    """A line that is half of the light at its peak gets half of the relative error; no line, no column."""
    wave = 10 ** np.arange(np.log10(4700), np.log10(5100), 1e-4)
    good = np.ones(len(wave), dtype=bool)
    line = np.exp(-0.5 * ((wave - 5008.24 * 1.01) / 8.0) ** 2)
    basis, sigma = line_error_basis(wave, 1.0 + line, good, 0.01)
    assert basis.shape == (len(wave), 1)
    assert wave[basis[:, 0].argmax()] == pytest.approx(5008.24 * 1.01, abs=0.6)
    assert sigma[0] == pytest.approx(RELATIVE_ERROR / 2, rel=0.1)
    assert line_error_basis(wave, 1.0 - 0.3 * line, good, 0.01)[0].shape[1] == 0


@pytest.mark.parametrize("bad", [{"n_walkers": 41}, {"n_walkers": 10}, {"max_steps": 0}, {"n_autocorr": 0.0}])
def test_settings_refuse_nonsense(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"n_walkers must be even|must be positive"):
        SamplerSettings(**bad)  # type: ignore[arg-type]


def quick() -> EmceeBackend:
    """Too short to be trusted, long enough to show what is wrong."""
    return EmceeBackend(n_starts=4, n_walkers=56, n_burn=20, max_steps=100, n_autocorr=1.0)


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
