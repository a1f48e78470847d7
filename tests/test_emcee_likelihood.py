"""The likelihood of the emcee backend: marginal calibration, noise scale, prior, and the search for its maximum."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from galfit_ml.grid import WavelengthGrid
from galfit_ml.instruments import get_instrument
from galfit_ml.redshift_prior import RedshiftPrior
from galfit_ml.simulate.galaxy import GalaxyModel, Pixels
from galfit_ml.simulate.prior import COORDINATES, GalaxyPrior
from galfit_ml_emcee.likelihood import N_DIM, NOISE_SCALE_SIGMA, Calibration, Likelihood, Spectrum
from galfit_ml_emcee.optimise import _derivatives, find_start

GRID = WavelengthGrid.log10(4200, 6200, 3e-4)
TRUTH = torch.zeros(1, N_DIM, dtype=torch.float64)


@pytest.fixture(scope="module")
def likelihood() -> Likelihood:
    """A spectrum of signal-to-noise 30 of the galaxy in the middle of the prior."""
    instrument = get_instrument("generic:1000")
    sigma = instrument.sigma(GRID.centres)
    pixels = Pixels.from_arrays(GRID.centres, [GRID.edges], sigma, (4500.0, 6000.0))
    calibration = Calibration.of(instrument, GRID.centres, np.zeros(len(GRID), dtype=np.int64))
    prior = GalaxyPrior((0.09, 0.11), (17.0, 19.0))
    model = GalaxyModel()
    with torch.no_grad():
        flux = model.observe(prior.transform(torch.special.ndtr(TRUTH[:, :-1])), pixels).flux[0]
        noise = flux.median() / 30
        draws = torch.randn(flux.shape, generator=torch.Generator().manual_seed(1))
        ivar = torch.full_like(flux, float(noise**-2))
        ivar[50:60] = 0.0
        data = torch.where(ivar > 0, flux + noise * draws, torch.zeros_like(flux))
    return Likelihood(model, Spectrum(data, ivar, pixels, calibration, False), prior, RedshiftPrior())


def test_marginal_likelihood_equals_the_dense_gaussian(likelihood: Likelihood) -> None:
    with torch.no_grad():
        x = TRUTH + torch.tensor([[0.3] * N_DIM], dtype=torch.float64)
        flux = likelihood.spectra(x).flux
        log_scale = likelihood.log_noise_scale(x)
        found = float(likelihood.log_likelihood(flux, log_scale))
    data = likelihood.spectrum
    good = (data.ivar > 0).numpy()
    noise = np.diag((1 / data.ivar.double().numpy()[good]) * float(torch.exp(2 * log_scale)))
    design = (flux[0, :, None] * data.calibration.basis).double().numpy()[good] * data.calibration.sigma.numpy()
    covariance = noise + design @ design.T
    residual = (data.flux - flux[0]).double().numpy()[good]
    reported = -np.log(data.ivar.double().numpy()[good]).sum()
    dense = -0.5 * (residual @ np.linalg.solve(covariance, residual) + np.linalg.slogdet(covariance)[1] - reported)
    assert found == pytest.approx(dense, abs=0.05)


def test_calibration_has_the_instruments_rms() -> None:
    instrument = get_instrument("sdss")
    wave = np.linspace(3800, 9200, 2000)
    calibration = Calibration.of(instrument, wave, np.zeros(2000, dtype=np.int64))
    rng = np.random.default_rng(0)
    draws = rng.standard_normal((4000, len(calibration.sigma))) * calibration.sigma.numpy()
    shapes = draws[:, 1:] @ calibration.basis.numpy()[:, 1:].T
    assert shapes.std() == pytest.approx(instrument.calibration_rms, rel=0.1)
    assert draws[:, 0].std() == pytest.approx(instrument.calibration_offset, rel=0.05)


def test_each_arm_has_its_own_calibration() -> None:
    wave = np.concatenate([np.linspace(4000, 5000, 50), np.linspace(6000, 7000, 60)])
    arm = np.repeat([0, 1], [50, 60])
    basis = Calibration.of(get_instrument("sdss"), wave, arm).basis.numpy()
    half = basis.shape[1] // 2
    assert np.all(basis[50:, :half] == 0)
    assert np.all(basis[:50, half:] == 0)


def test_prior_is_standard_normal_and_noise_scale_log_normal(likelihood: Likelihood) -> None:
    x = torch.tensor([[0.0] * (N_DIM - 1) + [2.0]], dtype=torch.float64)
    assert float(likelihood.log_prior(x)) == pytest.approx(-2.0)
    assert float(likelihood.log_noise_scale(x)) == pytest.approx(2 * NOISE_SCALE_SIGMA)


def test_gradient_of_the_optimiser_is_the_gradient_of_the_density(likelihood: Likelihood) -> None:
    with torch.no_grad():
        x = TRUTH + 0.01 * torch.randn(1, N_DIM, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
        gradient, hessian = _derivatives(likelihood, x)
        for name, step in (("redshift", 0.002), ("magnitude", 0.02), ("log_metallicity", 0.02), ("tau", 0.02)):
            ahead, behind = x.clone(), x.clone()
            index = COORDINATES.index(name)
            ahead[0, index] += step
            behind[0, index] -= step
            numeric = float((likelihood(ahead) - likelihood(behind)) / (2 * step))
            scale = float(hessian[0, index, index].sqrt())
            assert float(gradient[0, index]) == pytest.approx(numeric, abs=0.15 * scale + 0.03 * abs(numeric))
    assert torch.linalg.eigvalsh(hessian).min() > 0


def test_search_reaches_the_density_at_the_truth(likelihood: Likelihood) -> None:
    with torch.no_grad():
        start = find_start(likelihood, torch.Generator().manual_seed(2), n_draws=128, n_keep=3)
        assert float(start.log_density[0]) > float(likelihood(TRUTH)) - 1.0
    assert torch.all(start.log_density[:-1] >= start.log_density[1:])
    assert torch.linalg.eigvalsh(start.covariance).min() > 0


def test_density_is_minus_infinity_outside_the_mass_range(likelihood: Likelihood) -> None:
    prior = GalaxyPrior((0.09, 0.11), (1.0, 3.0))
    bright = Likelihood(likelihood.model, likelihood.spectrum, prior, RedshiftPrior())
    with torch.no_grad():
        assert float(bright(TRUTH)) == -np.inf


def test_user_distribution_multiplies_the_density(likelihood: Likelihood) -> None:
    from scipy.stats import norm

    other = Likelihood(likelihood.model, likelihood.spectrum, likelihood.prior, RedshiftPrior(0, 1, norm(0.1, 0.001)))
    with torch.no_grad():
        z = float(likelihood.prior.transform(torch.special.ndtr(TRUTH[:, :-1])).redshift)
        difference = float(other(TRUTH) - likelihood(TRUTH))
    assert difference == pytest.approx(norm(0.1, 0.001).logpdf(z), abs=1e-3)


def test_a_model_that_overflows_has_no_density_and_harms_no_other(likelihood: Likelihood) -> None:
    with torch.no_grad():
        flux = likelihood.spectra(TRUTH).flux
        both = torch.cat([flux, torch.full_like(flux, 1e30)])
        alone = likelihood.log_likelihood(flux, torch.zeros(1))
        together = likelihood.log_likelihood(both, torch.zeros(2))
    assert float(together[0]) == pytest.approx(float(alone[0]), abs=1e-3)
    assert float(together[1]) == -np.inf
