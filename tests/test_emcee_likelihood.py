"""The likelihood of the emcee backend: marginal linear errors, noise scale, prior, and the search for its maximum."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from galfit_ml.errors import SpectrumError
from galfit_ml.grid import WavelengthGrid
from galfit_ml.instruments import get_instrument
from galfit_ml.redshift_prior import RedshiftPrior
from galfit_ml.simulate.calibration import calibration_modes
from galfit_ml.simulate.galaxy import GalaxyModel, Pixels
from galfit_ml.simulate.prior import COORDINATES, GalaxyPrior
from galfit_ml.testing import simulated_batch
from galfit_ml_emcee.likelihood import N_DIM, NOISE_SCALE_SIGMA, Likelihood, Spectrum
from galfit_ml_emcee.nuisances import ArmErrors, MarginalArm, Span
from galfit_ml_emcee.optimise import derivatives, find_start
from galfit_ml_emcee.trim import Native

Floats = NDArray[np.float64]

GRIDS = WavelengthGrid.log10(4200, 5000, 3e-4), WavelengthGrid.log10(5050, 6200, 4e-4)
WAVELENGTH = np.concatenate([grid.centres for grid in GRIDS])
TRUTH = torch.zeros(1, N_DIM, dtype=torch.float64)
OFF = TRUTH + 0.3
"""Another galaxy, with a noise scale of exp(0.09)."""


def calibration(order: int, rms: float, n_pix: int) -> Floats:
    """Columns of a flux-calibration error, [n_pix, order + 1]."""
    instrument = replace(get_instrument("sdss"), calibration_order=order, calibration_rms=rms, calibration_offset=rms)
    return np.asarray(calibration_modes(instrument, n_pix).T)


def errors_of_both_arms(level: float) -> tuple[ArmErrors, ...]:
    """Two arms: calibration of 5 % and 3 %, additive errors of a few tenths of `level`."""
    sizes = [len(grid) for grid in GRIDS]
    bumps = np.stack([np.sin(0.05 * np.arange(sizes[0])), np.exp(-0.5 * ((np.arange(sizes[0]) - 90) / 4) ** 2)], axis=1)
    return (
        ArmErrors(0, sizes[0], calibration(3, 0.05, sizes[0]), 0.2 * level * bumps),
        ArmErrors(sizes[0], sum(sizes), calibration(2, 0.03, sizes[1]), np.zeros((sizes[1], 0))),
    )


@pytest.fixture(scope="module")
def likelihood() -> Likelihood:
    """A spectrum of signal-to-noise 30 of the galaxy in the middle of the prior, in two arms."""
    sigma = get_instrument("generic:1000").sigma(WAVELENGTH)
    pixels = Pixels.from_arrays(WAVELENGTH, [grid.edges for grid in GRIDS], sigma, (4500.0, 6000.0))
    prior = GalaxyPrior((0.09, 0.11), (17.0, 19.0))
    model = GalaxyModel()
    with torch.no_grad():
        flux = model.observe(prior.transform(torch.special.ndtr(TRUTH[:, :-1])), pixels).flux[0]
        noise = float(flux.median()) / 30
        draws = torch.randn(flux.shape, generator=torch.Generator().manual_seed(1))
        ivar = torch.full_like(flux, noise**-2)
        ivar[50:60] = 0.0
        data = torch.where(ivar > 0, flux + noise * draws, torch.zeros_like(flux))
    errors = errors_of_both_arms(float(flux.median()))
    return Likelihood(model, Spectrum(data, ivar, pixels, errors, False), prior, RedshiftPrior())


class Dense:
    """The same Gaussian with its covariance written out, over the good pixels of all arms."""

    def __init__(self, likelihood: Likelihood, x: torch.Tensor) -> None:
        data = likelihood.spectrum
        with torch.no_grad():
            self.model = likelihood.spectra(x).flux[0].double().numpy()
        scale = float(np.exp(NOISE_SCALE_SIGMA * float(x[0, -1])))
        ivar = data.ivar.double().numpy()
        self.good = ivar > 0
        columns = []
        for own in data.errors:
            for column in (own.factors * self.model[own.pixels, None]).T:
                columns.append(self._placed(column, own))
            columns += [self._placed(column, own) for column in own.terms.T]
        self.errors = np.stack(columns, axis=1)
        design = self.errors[self.good]
        self.covariance = np.diag(scale**2 / ivar[self.good]) + design @ design.T
        self.residual = (data.flux.double().numpy() - self.model)[self.good]
        self.reported = -np.log(ivar[self.good]).sum()

    def _placed(self, column: Floats, own: ArmErrors) -> Floats:
        out = np.zeros(len(self.model))
        out[own.pixels] = column
        return out

    @property
    def log_likelihood(self) -> float:
        chi2 = self.residual @ np.linalg.solve(self.covariance, self.residual)
        return float(-0.5 * (chi2 + np.linalg.slogdet(self.covariance)[1] - self.reported))

    @property
    def error(self) -> Floats:
        """Conditional mean of the linear errors given the data, at all pixels."""
        return self.errors @ self.errors[self.good].T @ np.linalg.solve(self.covariance, self.residual)


@pytest.mark.parametrize("x", [TRUTH, OFF, TRUTH - 0.5], ids=["truth", "wide noise", "narrow noise"])
def test_marginal_likelihood_equals_the_dense_gaussian(likelihood: Likelihood, x: torch.Tensor) -> None:
    with torch.no_grad():
        found = float(likelihood.log_likelihood(likelihood.spectra(x).flux, x))
    dense = Dense(likelihood, x).log_likelihood
    assert found == pytest.approx(dense, abs=0.02 + 1e-6 * abs(dense))


def test_corrections_equal_the_dense_conditional_mean(likelihood: Likelihood) -> None:
    with torch.no_grad():
        flux = likelihood.spectra(OFF).flux
        factor, term = likelihood.corrections(flux, OFF)
    dense = Dense(likelihood, OFF)
    found = (flux * factor + term - flux)[0].double().numpy()
    np.testing.assert_allclose(found, dense.error, atol=2e-3 * np.abs(dense.error).max())
    arm = likelihood.spectrum.errors[0]
    assert float(term[0, arm.pixels].abs().max()) > 0
    assert float(term[0, arm.stop :].abs().max()) == 0


def test_whitened_products_equal_the_dense_ones(likelihood: Likelihood) -> None:
    dense, generator = Dense(likelihood, OFF), torch.Generator().manual_seed(5)
    left = torch.randn(1, 3, len(WAVELENGTH), generator=generator)
    right = torch.randn(1, 2, len(WAVELENGTH), generator=generator)
    with torch.no_grad():
        flux, precision = likelihood.spectra(OFF).flux, likelihood.precision(OFF)
        parts = [arm.whitened(flux[:, arm.pixels], precision) for arm in likelihood.arms]
        pairs = list(zip(parts, likelihood.arms, strict=True))
        found = torch.stack([w.inner(left[..., a.pixels], right[..., a.pixels]) for w, a in pairs]).sum(0)[0]
        square = torch.stack([w.inner(left[..., a.pixels], left[..., a.pixels]) for w, a in pairs]).sum(0)[0]
    a, b = (v[0].double().numpy()[:, dense.good] for v in (left, right))
    expected = a @ np.linalg.solve(dense.covariance, b.T)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_allclose(square.numpy(), a @ np.linalg.solve(dense.covariance, a.T), rtol=1e-3, atol=0.01)


@pytest.mark.parametrize("n_column", [0, 1, 60])
def test_sums_over_a_span_are_direct_sums(n_column: int) -> None:
    """Sixty products of smooth columns lie in a space of a few dimensions; nothing may be lost."""
    x = np.linspace(-1, 1, 300)
    columns = np.stack([1e4 * np.cos(k * x) * np.exp(0.1 * k * x) for k in range(n_column)] or [x], axis=1)[
        :, :n_column
    ]
    rows = torch.as_tensor(np.random.default_rng(0).uniform(0, 2, (4, 300)), dtype=torch.float32)
    span = Span(columns)
    direct = rows.double().numpy() @ columns
    assert span.sums(rows).shape == (4, n_column)
    np.testing.assert_allclose(span.sums(rows).numpy(), direct, atol=3e-6 * np.abs(direct).max(initial=1.0))
    assert span.basis.shape[1] <= min(n_column, 30)


def test_calibration_is_that_of_the_simulator_with_the_instruments_rms() -> None:
    """What is marginalised is what mocks are multiplied with, and has the stated rms."""
    instrument = replace(
        get_instrument("generic:1000"), calibration_order=6, calibration_rms=0.05, calibration_offset=0.02
    )
    batch, _ = simulated_batch(instrument, 1, 10.0, 1)
    (factors,) = Native.of(batch).factors
    np.testing.assert_array_equal(factors.T, calibration_modes(instrument, len(batch.arms[0].grid)))
    draws = np.random.default_rng(0).standard_normal((4000, 7))
    assert (draws[:, 1:] @ factors[:, 1:].T).std() == pytest.approx(0.05, rel=0.05)
    assert np.ptp(factors[:, 0]) == 0
    assert (draws[:, 0] * factors[0, 0]).std() == pytest.approx(0.02, rel=0.05)


def test_a_trimmed_spectrum_keeps_the_errors_of_its_pixels() -> None:
    """Bad pixels at the ends are cut, those inside stay; the errors stay where they were."""
    batch, _ = simulated_batch(get_instrument("moons-lr"), 1, 10.0, 1)
    arms = []
    for arm in batch.arms:
        bad = arm.bad.copy()
        bad[:, :7], bad[:, -11:], bad[:, 50] = True, True, True
        arms.append(replace(arm, bad=bad))
    native = Native.of(replace(batch, arms=tuple(arms)))
    spectrum = native.trimmed(0)
    assert len(spectrum.errors) == len(batch.arms)
    sizes = [e.stop - e.start for e in spectrum.errors]
    assert sum(sizes) == len(spectrum.flux) == len(spectrum.pixels.wavelength)
    for own, arm, factors, terms in zip(spectrum.errors, arms, native.factors, native.terms, strict=True):
        good = np.flatnonzero(~arm.bad[0])
        rows = slice(good[0], good[-1] + 1)
        np.testing.assert_allclose(spectrum.pixels.wavelength[own.pixels], arm.grid.centres[rows], rtol=1e-6)
        np.testing.assert_array_equal(own.factors, factors[rows])
        np.testing.assert_array_equal(own.terms, terms[rows])
        np.testing.assert_array_equal(spectrum.ivar[own.pixels].numpy() > 0, ~arm.bad[0, rows])
        assert terms.shape[1] > 0
    rows_of_all = native.all_factors()
    assert rows_of_all.shape == (sum(f.shape[1] for f in native.factors), sum(len(a.grid) for a in arms))
    n_first = native.factors[0].shape
    np.testing.assert_array_equal(rows_of_all[: n_first[1], : n_first[0]], native.factors[0].T)
    assert not rows_of_all[: n_first[1], n_first[0] :].any()


def test_prior_is_standard_normal_and_noise_scale_log_normal(likelihood: Likelihood) -> None:
    x = torch.tensor([[0.0] * (N_DIM - 1) + [2.0]], dtype=torch.float64)
    assert float(likelihood.log_prior(x)) == pytest.approx(-2.0)
    assert float(likelihood.log_noise_scale(x)) == pytest.approx(2 * NOISE_SCALE_SIGMA)
    assert float(likelihood.precision(x)) == pytest.approx(np.exp(-4 * NOISE_SCALE_SIGMA))


def test_gradient_of_the_optimiser_is_the_gradient_of_the_density(likelihood: Likelihood) -> None:
    """To a quarter of a sigma: that the errors' covariance follows the model is left out, as in Gauss-Newton steps."""
    with torch.no_grad():
        x = TRUTH + 0.01 * torch.randn(1, N_DIM, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
        gradient, hessian = derivatives(likelihood, x)
        for name, step in (("redshift", 0.002), ("magnitude", 0.02), ("log_metallicity", 0.02), ("tau", 0.02)):
            ahead, behind = x.clone(), x.clone()
            index = COORDINATES.index(name)
            ahead[0, index] += step
            behind[0, index] -= step
            numeric = float((likelihood(ahead) - likelihood(behind)) / (2 * step))
            scale = float(hessian[0, index, index].sqrt())
            assert float(gradient[0, index]) == pytest.approx(numeric, abs=0.25 * scale + 0.03 * abs(numeric)), name
    assert torch.linalg.eigvalsh(hessian).min() > 0


def test_unseen_coordinates_feel_the_prior_alone(likelihood: Likelihood) -> None:
    assert likelihood.unseen
    with torch.no_grad():
        gradient, hessian = derivatives(likelihood, OFF)
    for index in likelihood.unseen:
        assert float(gradient[0, index]) == pytest.approx(-0.3)
        assert float(hessian[0, index, index]) == pytest.approx(1.0)


def test_search_reaches_the_density_at_the_truth(likelihood: Likelihood) -> None:
    with torch.no_grad():
        start = find_start(likelihood, torch.Generator().manual_seed(2), 0.1, n_draws=128, n_keep=3)
        assert float(start.log_density[0]) > float(likelihood(TRUTH)) - 1.0
        np.testing.assert_allclose(likelihood(start.x).numpy(), start.log_density.numpy(), atol=0.05)
    assert torch.all(start.log_density[:-1] >= start.log_density[1:])
    assert torch.linalg.eigvalsh(start.covariance).min() > 0


def test_search_where_no_galaxy_exists_says_so(likelihood: Likelihood) -> None:
    """Magnitude 1 to 3 at redshift 0.1: ten thousand times the heaviest galaxy."""
    bright = Likelihood(likelihood.model, likelihood.spectrum, GalaxyPrior((0.09, 0.11), (1.0, 3.0)), RedshiftPrior())
    with torch.no_grad():
        assert float(bright(TRUTH)) == -np.inf
        with pytest.raises(SpectrumError, match="flux unit"):
            find_start(bright, torch.Generator().manual_seed(2), 0.1, n_draws=16, n_keep=2, n_steps=1)


def test_a_flux_without_scale_has_no_mass_limits(likelihood: Likelihood) -> None:
    spectrum = replace(likelihood.spectrum, relative=True)
    bright = Likelihood(likelihood.model, spectrum, GalaxyPrior((0.09, 0.11), (1.0, 3.0)), RedshiftPrior())
    with torch.no_grad():
        assert np.isfinite(float(bright(TRUTH)))


def test_user_distribution_multiplies_the_density(likelihood: Likelihood) -> None:
    known = stats.norm(0.1, 0.001)
    other = Likelihood(likelihood.model, likelihood.spectrum, likelihood.prior, RedshiftPrior(0, 1, known))
    with torch.no_grad():
        z = float(likelihood.prior.transform(torch.special.ndtr(OFF[:, :-1])).redshift)
        difference = float(other(OFF) - likelihood(OFF))
    assert difference == pytest.approx(known.logpdf(z), abs=1e-3)


def test_a_model_that_overflows_has_no_density_and_harms_no_other(
    likelihood: Likelihood, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.no_grad():
        alone = float(likelihood(TRUTH))
        observe = likelihood.model.observe

        def overflowing(*arguments: object) -> object:
            made = observe(*arguments)  # type: ignore[arg-type]
            flux = made.flux.clone()
            flux[1:] = torch.tensor([[1e30], [float("nan")]])
            return replace(made, flux=flux)

        monkeypatch.setattr(likelihood.model, "observe", overflowing)
        together = likelihood(TRUTH.repeat(3, 1))
    assert float(together[0]) == pytest.approx(alone, abs=1e-3)
    assert together[1:].tolist() == [-np.inf, -np.inf]


def test_a_model_thousands_of_times_too_bright_has_no_density() -> None:
    """Its calibration takes it to zero, and what is left of chi^2 is rounding, sometimes below that of a good model."""
    wave, rng = np.linspace(4000.0, 9000.0, 3000), np.random.default_rng(8)
    data = 1 + 0.3 * np.sin(wave / 300) + rng.standard_normal(3000) / 10
    tensors = [torch.as_tensor(a, dtype=torch.float32) for a in (data, np.full(3000, 100.0))]
    arm = MarginalArm(ArmErrors(0, 3000, calibration(8, 0.05, 3000), np.zeros((3000, 0))), *tensors)
    sizes = np.array([1.0, 5.0, *np.geomspace(1e3, 1e6, 40)])[:, None]
    models = torch.as_tensor(sizes * (1 + 0.3 * np.sin(wave / 300)), dtype=torch.float32)
    found = arm.log_likelihood(models, torch.ones(len(sizes), dtype=torch.float64)).nan_to_num(-torch.inf)
    assert torch.isfinite(found[:2]).all()
    assert int(found.argmax()) == 0
    assert (found[2:] < found[0] - 50).all()


def test_a_very_bright_spectrum_keeps_its_likelihood() -> None:
    """Signal-to-noise 500 in 3000 pixels: the errors' normal matrix spans seven orders of magnitude."""
    wave, rng = np.linspace(4000.0, 9000.0, 3000), np.random.default_rng(8)
    factors = calibration(8, 0.05, 3000)
    model = 1 + 0.3 * np.sin(wave / 300)
    data = model * (1 + factors @ rng.standard_normal(9)) + rng.standard_normal(3000) / 500
    tensors = [torch.as_tensor(a, dtype=torch.float32) for a in (data, np.full(3000, 500.0**2))]
    arm = MarginalArm(ArmErrors(0, 3000, factors, np.zeros((3000, 0))), *tensors)
    models = np.stack([model, model * (1 + 0.002 * np.exp(-0.5 * ((wave - 6000) / 5) ** 2))])
    found = arm.log_likelihood(torch.as_tensor(models, dtype=torch.float32), torch.ones(2, dtype=torch.float64))
    for value, own in zip(found.tolist(), models, strict=True):
        design = factors * own[:, None] * 500
        residual = (data - own) * 500
        normal = np.eye(9) + design.T @ design
        seen = design.T @ residual
        dense = -0.5 * (residual @ residual - seen @ np.linalg.solve(normal, seen) + np.linalg.slogdet(normal)[1])
        assert value == pytest.approx(dense, abs=2.0)
