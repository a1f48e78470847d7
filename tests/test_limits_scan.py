"""Fast sums of the reference limits against slow ones: correlations, marginal likelihoods, amplitudes, templates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.ndimage import uniform_filter1d
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from benchmarks.limits.known import known_log_posterior, known_terms
from benchmarks.limits.library import training_prior
from galfit_ml.instruments import Arm, Instrument, Resolution, get_instrument
from galfit_ml.simulate.cosmology import Cosmology
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.pixels import Pixels
from galfit_ml.simulate.prior import MASS_RANGE
from galfit_ml_emcee.library.amplitude import log_integral
from galfit_ml_emcee.library.axis import Bin, ScanAxis
from galfit_ml_emcee.library.correlate import Correlator, Pieces, correlate
from galfit_ml_emcee.library.data import Native, calibration_columns, scan_data
from galfit_ml_emcee.library.library import Library
from galfit_ml_emcee.library.scan import LAGS, LibraryScan, amplitude_bounds, band_flux, interpolation, nodes
from galfit_ml_emcee.library.templates import BinTemplates, Size, TemplateMaker, compress, grid_pixels, log_dilution

AXIS = ScanAxis(7000.0, 7700.0, (0.5, 0.56), 60.0)
R2000 = Resolution((5000.0,), (2000.0,), "R")
TWO_ARMS = Instrument(
    "two-arms",
    "two arms of unequal pixels",
    "nobody",
    (Arm("a", 7005.0, 7300.0, "linear", 1.3, R2000), Arm("b", 7320.0, 7690.0, "linear", 0.7, R2000)),
    redshift_range=AXIS.redshift,
    magnitude_range=(18.0, 25.0),
    magnitude_band=(7050.0, 7600.0),
)


def native_spectra(rng: np.random.Generator, n: int, oversampling: int = 1) -> Native:
    """Noise around a slope, with bad pixels."""
    arms = [
        np.linspace(arm.grid.centres[0], arm.grid.centres[-1], oversampling * len(arm.grid)) for arm in TWO_ARMS.arms
    ]
    wavelength = np.concatenate(arms)
    ivar = rng.uniform(0.5, 2.0, (n, len(wavelength))) * (rng.random((n, len(wavelength))) > 0.1)
    flux = np.where(ivar > 0, wavelength / 7000 + rng.standard_normal(ivar.shape), 0.0)
    return Native(wavelength, flux, ivar, np.repeat([0, 1], [len(a) for a in arms]))


def smooth_columns(native: Native, number: int) -> np.ndarray:
    """[number, n_pix] errors far larger than the noise."""
    phase = (native.wavelength - 7000) / 700
    return np.stack([np.cos(np.pi * k * phase) for k in range(number)])


def at_native(model: np.ndarray, wavelength: np.ndarray) -> np.ndarray:
    """A model on the grid, interpolated linearly in ln(wavelength)."""
    points = np.log(AXIS.points(0, AXIS.n_pix))
    return np.interp(np.log(wavelength), points, model)


@pytest.mark.parametrize(("n_pix", "n_lag"), [(1500, 70), (1024, 700), (60, 90), (513, 1)])
def test_correlations_are_direct_sums(n_pix: int, n_lag: int) -> None:
    generator = torch.Generator().manual_seed(n_pix)
    left = torch.randn(2, n_pix, generator=generator, dtype=torch.float64)
    right = torch.randn(3, n_pix + n_lag - 1, generator=generator, dtype=torch.float64)
    direct = torch.stack([(left[:, None] * right[:, lag : lag + n_pix]).sum(-1) for lag in range(n_lag)], dim=-1).flip(
        -1
    )
    torch.testing.assert_close(Correlator(right, n_lag)(Pieces(left)), direct, rtol=1e-10, atol=1e-9)
    torch.testing.assert_close(correlate(left[:, None], right, n_lag), direct, rtol=1e-10, atol=1e-9)
    both = Correlator(torch.stack([right, 2 * right.flip(1)]), n_lag)(Pieces(torch.stack([left, left.cos()], dim=1)))
    other = Correlator(2 * right.flip(1), n_lag)(Pieces(left.cos()))
    torch.testing.assert_close(both, direct + other, rtol=1e-10, atol=1e-9)


def test_a_correlation_with_the_lags_the_other_way_round_is_seen() -> None:
    left, right = torch.arange(4.0), torch.arange(6.0)
    rising = torch.stack([(left * right[lag : lag + 4]).sum() for lag in range(3)])
    assert not torch.allclose(correlate(left, right, 3), rising)


def test_known_terms_are_those_of_a_dense_gaussian_likelihood() -> None:
    rng = np.random.default_rng(1)
    native = native_spectra(rng, 2)
    columns = smooth_columns(native, 5)
    data = scan_data(native, AXIS, [columns, columns])
    n_lag = len(AXIS.everything)
    template = torch.as_tensor(rng.standard_normal((2, AXIS.n_pix + n_lag - 1)))
    linear, square = known_terms(data, template, n_lag)
    for row in range(2):
        good = native.ivar[row] > 0
        covariance = np.diag(1 / native.ivar[row, good]) + columns[:, good].T @ columns[:, good]
        density = multivariate_normal(np.zeros(good.sum()), covariance)
        for lag in (0, 7, n_lag - 1):
            seen = template[row, n_lag - 1 - lag :][: AXIS.n_pix].numpy()
            model = 0.7 * at_native(seen, native.wavelength)[good]
            flux = native.flux[row, good]
            expected = density.logpdf(flux - model) - density.logpdf(flux)
            found = 0.7 * linear[row, lag] - 0.7**2 / 2 * square[row, lag]
            assert float(found) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_nuisances_that_the_data_hardly_see_change_nothing_that_matters() -> None:
    rng = np.random.default_rng(2)
    native = native_spectra(rng, 1)
    columns = 0.004 * smooth_columns(native, 5)
    left_out = scan_data(native, AXIS, [columns])
    assert left_out.modes.shape[1] == 0
    good = native.ivar[0] > 0
    model = 10 * at_native(np.linspace(0.5, 1.5, AXIS.n_pix), native.wavelength)[good]
    flux = native.flux[0, good]
    plain = -0.5 * ((flux - model) ** 2 * native.ivar[0, good]).sum() + 0.5 * (flux**2 * native.ivar[0, good]).sum()
    covariance = np.diag(1 / native.ivar[0, good]) + columns[:, good].T @ columns[:, good]
    density = multivariate_normal(np.zeros(good.sum()), covariance)
    assert plain == pytest.approx(density.logpdf(flux - model) - density.logpdf(flux), rel=0.02)


def test_calibration_errors_change_neither_the_level_nor_a_shape_they_cannot_make() -> None:
    rng = np.random.default_rng(3)
    native = native_spectra(rng, 3)
    level = native.continuum()
    columns = calibration_columns(native, 0.02 * smooth_columns(native, 4), level)
    for row, own in enumerate(columns):
        np.testing.assert_allclose((own * native.ivar[row]) @ level[row], 0.0, atol=1e-9)


def random_templates(rng: np.random.Generator, n: int, n_vector: int, bin_: Bin) -> BinTemplates:
    """Continuum with features as narrow as a pixel, others wider; half of them older than the Universe in the end."""
    n_rest = AXIS.n_pix + len(bin_) - 1
    features = rng.standard_normal((n_vector, n_rest))
    features[2:] = uniform_filter1d(uniform_filter1d(features[2:], 5, axis=1), 5, axis=1)
    features[0] = 1.0
    basis = np.linalg.qr(features.T)[0].T
    coefficients = rng.standard_normal((n, n_vector)) * np.sqrt(n_rest) / 4
    coefficients[:, 0] = np.sign(basis[0, 0]) * np.sqrt(n_rest)
    ends = torch.as_tensor(AXIS.redshifts[[0, -1]])
    oldest, youngest = Cosmology.default().age_yr(ends).tolist()
    return BinTemplates(
        bin_.start,
        bin_.stop,
        torch.as_tensor(coefficients).float(),
        torch.as_tensor(basis).float(),
        torch.linspace(2 * youngest - oldest, oldest, n, dtype=torch.float64) + 1e6,
        torch.full((n,), -47.0, dtype=torch.float64),
        torch.as_tensor(rng.permutation(n)),
        torch.zeros(n),
    )


def small_library(templates: BinTemplates) -> Library:
    size = Size(len(templates), len(templates.basis))
    return Library(TWO_ARMS, AXIS, training_prior(TWO_ARMS), (templates,), size, "key", Cosmology.default())


def dense_evidence(native: Native, columns: np.ndarray, library: Library, size: int) -> np.ndarray:
    """ln of the mean evidence of the first templates at each redshift, one by one, with the covariance built.

    Whether a template is young enough is asked once for each block of redshifts, as the scan does.
    """
    templates = library.bins[0]
    good = native.ivar[0] > 0
    covariance = np.diag(1 / native.ivar[0, good]) + columns[:, good].T @ columns[:, good]
    precision = np.linalg.inv(covariance)
    own = templates.take(templates.number < size)
    shapes = (own.coefficients @ own.basis).double().numpy()
    n_lag = len(templates.bin)
    low, high = (b @ interpolation(n_lag) for b in amplitude_bounds(own, library, Correlator(own.basis, n_lag)))
    out = []
    for lag in range(n_lag):
        start = lag - lag % LAGS
        middle = (start + min(start + LAGS, n_lag)) // 2
        age = float(library.cosmology.age_yr(torch.tensor(AXIS.redshifts[middle], dtype=torch.float64)))
        values = []
        for t in range(int((own.age < age).sum())):
            model = at_native(shapes[t, n_lag - 1 - lag :][: AXIS.n_pix], native.wavelength)[good]
            terms = [model @ precision @ native.flux[0, good], model @ precision @ model]
            bounds = [b[t, lag].double() for b in (low, high)]
            values.append(float(log_integral(*[torch.tensor(v, dtype=torch.float64) for v in terms], *bounds)))
        out.append(logsumexp(values) - np.log(len(values)))
    return np.array(out)


def test_a_library_scan_is_the_mean_of_dense_likelihoods() -> None:
    rng = np.random.default_rng(4)
    bin_ = Bin(AXIS.everything.start, AXIS.everything.stop)
    library = small_library(random_templates(rng, 24, 5, bin_))
    native, columns = observed_template(rng, library.bins[0], row=9, at=40)
    found = LibraryScan(library, (10, 24)).log_posteriors(scan_data(native, AXIS, [columns]))
    for number, size in enumerate((10, 24)):
        expected = dense_evidence(native, columns, library, size)
        assert np.ptp(expected) > 20
        np.testing.assert_allclose(found[number, 0].numpy(), expected, atol=0.003)


def observed_template(
    rng: np.random.Generator, templates: BinTemplates, row: int, at: int
) -> tuple[Native, np.ndarray]:
    """A template at a redshift with noise, and error columns.

    Of the intervals between grid points some hold several pixels, some one and some none, anywhere in them.
    """
    wavelength = np.sort(rng.uniform(AXIS.points(0, 1)[0], AXIS.points(AXIS.n_pix - 1, AXIS.n_pix)[0], 2 * AXIS.n_pix))
    ivar = 2.5 * ((wavelength > 7100) & ((wavelength < 7300) | (wavelength > 7400)))[None]
    seen = (templates.coefficients[row] @ templates.basis)[len(templates.bin) - 1 - at :][: AXIS.n_pix].numpy()
    flux = 0.5 * at_native(seen, wavelength) + rng.standard_normal(len(wavelength)) / np.sqrt(2.5)
    native = Native(wavelength, np.where(ivar > 0, flux, 0.0), ivar, np.zeros(len(wavelength), dtype=np.int64))
    return native, 0.3 * smooth_columns(native, 4)


def test_templates_older_than_the_universe_have_no_say() -> None:
    rng = np.random.default_rng(5)
    native = native_spectra(rng, 1)
    bin_ = Bin(AXIS.everything.start, AXIS.everything.stop)
    templates = random_templates(rng, 6, 3, bin_)
    data = scan_data(native, AXIS)
    young = replace(templates, age=torch.full((6,), 1e9, dtype=torch.float64))
    old = replace(templates, age=torch.full((6,), 2e10, dtype=torch.float64))
    mixed = replace(templates, age=torch.cat([young.age[:3], old.age[3:]]))
    assert torch.isinf(LibraryScan(small_library(old)).log_posterior(data)).all()
    first = torch.arange(3)
    alone = replace(young.take(first), number=first)
    expected = LibraryScan(small_library(alone)).log_posterior(data)
    torch.testing.assert_close(LibraryScan(small_library(mixed)).log_posterior(data), expected)
    assert not torch.allclose(LibraryScan(small_library(young)).log_posterior(data), expected)


def exact_log_integral(linear: float, square: float, low: float, high: float) -> float:
    best = min(max(linear / square, low), high)
    top = linear * best - square * best**2 / 2

    def integrand(log_a: float) -> float:
        a = np.exp(log_a)
        return float(np.exp(linear * a - square * a**2 / 2 - top))

    width = 1 / (np.sqrt(square) * best)
    near = [x for x in np.log(best) + np.arange(-8, 9) * min(width, 0.5) if np.log(low) < x < np.log(high)]
    value = quad(integrand, np.log(low), np.log(high), points=near, limit=500)[0]
    return float(np.log(value) + top - np.log(2 * np.pi) / 2)


@pytest.mark.parametrize("rho", [4.0, 6.0, 12.0, 60.0])
@pytest.mark.parametrize("square", [1e-2, 1e4])
def test_the_integral_over_amplitude_is_that_of_quadrature_inside_wide_bounds(rho: float, square: float) -> None:
    linear = rho * np.sqrt(square)
    best = linear / square
    # The range of magnitudes is a factor of 6000 in flux.
    low, high = best / 80, best * 80
    found = float(log_integral(*(torch.tensor(v, dtype=torch.float64) for v in (linear, square, low, high))))
    # The next term of the series is 3 / (2 rho^4); below rho = 5 the lower bound is felt.
    assert found == pytest.approx(exact_log_integral(linear, square, low, high), abs=12 / rho**4 + 1e-6)


@pytest.mark.parametrize("off", [0.0, 1.0, 3.0, 10.0])
@pytest.mark.parametrize("side", ["low", "high"])
def test_a_bound_costs_a_template_what_it_should(off: float, side: str) -> None:
    """The likelihood at the bound is too high by ln 2 at the bound and by ln(2 + sqrt(2 pi) off) `off` sigma beyond.

    That is little beside the off^2 / 2 that the template loses.
    """
    rho, square = 30.0, 4.0
    best = rho / np.sqrt(square)
    sign = 1 if side == "low" else -1
    bound = best + sign * off / np.sqrt(square)
    low, high = (bound, 100 * best) if side == "low" else (best / 100, bound)
    linear = rho * np.sqrt(square)
    found = float(log_integral(*(torch.tensor(v, dtype=torch.float64) for v in (linear, square, low, high))))
    exact = exact_log_integral(linear, square, low, high)
    assert np.log(2) - 0.05 < found - exact < np.log(2 + np.sqrt(2 * np.pi) * off) + 0.4
    free = exact_log_integral(linear, square, best / 100, 100 * best)
    assert free - found > 0.9 * off**2 / 2


def test_no_galaxy_and_no_sensitivity_are_numbers() -> None:
    nothing = log_integral(torch.tensor([0.0, -5.0, 0.0]), torch.tensor([0.0, 4.0, 1e8]), torch.tensor(1e12))
    assert torch.isfinite(nothing).all()
    assert float(log_integral(torch.tensor(1e3), torch.tensor(1.0), torch.tensor(1e12))) < -1e20


def test_amplitudes_are_bounded_by_magnitude_and_mass() -> None:
    rng = np.random.default_rng(6)
    bin_ = Bin(AXIS.everything.start, AXIS.everything.stop)
    templates = random_templates(rng, 5, 1, bin_)
    templates = replace(templates, coefficients=10 * templates.basis[:, :1].sign().expand(5, 1))
    heavy = replace(templates, log_mass=torch.tensor([-47.0, -43.0, -30.0, -60.0, -47.0], dtype=torch.float64))
    library = small_library(heavy)
    linear = Correlator(heavy.basis, len(bin_))
    low, high = amplitude_bounds(heavy, library, linear)
    band = band_flux(heavy, library, linear)
    redshift = torch.as_tensor(AXIS.redshifts)[nodes(len(bin_))]
    for amplitude, magnitude, mass in ((low, 25.0, MASS_RANGE[0]), (high, 18.0, MASS_RANGE[1])):
        of_light = -2.5 * torch.log10(amplitude.double() * band) - 48.6
        of_mass = torch.log10(amplitude.double()) + heavy.log_mass[:, None] + log_dilution(redshift, library.cosmology)
        at_light = (of_light - magnitude).abs() < 1e-3
        at_mass = (of_mass - mass).abs() < 1e-3
        possible = low[:, 0] <= high[:, 0]
        assert (at_light | at_mass)[possible].all()
    # 10^30 M_sun at the faintest magnitude, and less than 10^5 at the brightest: no such galaxy.
    assert (low <= high).all(dim=1).tolist() == [True, True, False, False, True]
    evidence = log_integral(torch.full((5,), 1e3), torch.full((5,), 1e2), low[:, 0], high[:, 0])
    assert (evidence > -1e5).tolist() == [True, True, False, False, True]


def test_the_band_flux_of_a_template_is_that_of_the_galaxy_model() -> None:
    bin_ = Bin(AXIS.everything.start, AXIS.everything.stop)
    model = GalaxyModel()
    prior = training_prior(TWO_ARMS)
    templates = TemplateMaker(TWO_ARMS, AXIS, prior, model).make(bin_, Size(16, 16), seed=3)
    library = small_library(templates)
    low, high = amplitude_bounds(templates, library, Correlator(templates.basis, len(bin_)))
    assert (low < high).any()
    # A template and its amplitude are the galaxy: mass, magnitude and redshift must agree with the prior's draw.
    cube = prior.draw(16, torch.Generator().manual_seed(3))
    galaxies = prior.transform(cube)
    made = model.observe(galaxies, pixels_of(TWO_ARMS))
    order = templates.number
    band = band_flux(templates, library, Correlator(templates.basis, len(bin_)))
    flux = 10 ** (-0.4 * (galaxies.magnitude[order].double() + 48.6))
    for row in range(16):
        redshift = float(galaxies.redshift[order][row])
        node = int(np.abs(AXIS.redshifts[nodes(len(bin_)).numpy()] - redshift).argmin())
        amplitude = flux[row] / band[row, node]
        dilution = log_dilution(torch.tensor([AXIS.redshifts[nodes(len(bin_)).numpy()[node]]]), model.cosmology)[0]
        mass = float(torch.log10(amplitude) + templates.log_mass[row] + dilution)
        assert mass == pytest.approx(float(made.log_stellar_mass[order][row]), abs=0.02)


def test_a_template_at_its_own_redshift_is_the_galaxy() -> None:
    bin_, model, prior = Bin(AXIS.everything.start, AXIS.everything.stop), GalaxyModel(), training_prior(TWO_ARMS)
    templates = TemplateMaker(TWO_ARMS, AXIS, prior, model).make(bin_, Size(16, 16), seed=3)
    galaxies = prior.transform(prior.draw(16, torch.Generator().manual_seed(3))).take(templates.number)
    lags = (torch.log1p(galaxies.redshift) / AXIS.step).round()
    on_grid = replace(galaxies, redshift=torch.expm1(lags * AXIS.step))
    flux = model.observe(on_grid, grid_pixels(TWO_ARMS, AXIS.points(0, AXIS.n_pix))).flux
    assert len(set(lags.tolist())) > 8
    for row, lag in enumerate(lags.int().tolist()):
        seen = (templates.coefficients[row] @ templates.basis)[bin_.stop - 1 - lag :][: AXIS.n_pix]
        scale = float(flux[row].mean() / seen.mean())
        torch.testing.assert_close(scale * seen, flux[row], rtol=2e-3, atol=2e-3 * float(flux[row].mean()))


def pixels_of(instrument: Instrument) -> Pixels:
    grids = [arm.grid for arm in instrument.arms]
    wavelength = np.concatenate([g.centres for g in grids])
    sigma = instrument.sigma(wavelength)
    return Pixels.from_arrays(wavelength, [g.edges for g in grids], sigma, instrument.magnitude_band)


@pytest.fixture(scope="module")
def sdss_bin() -> tuple[Bin, torch.Tensor, BinTemplates]:
    """A bin of SDSS with its templates before and after compression to the default number of singular vectors."""
    instrument = get_instrument("sdss")
    axis = ScanAxis.of(instrument, 70.0)
    bin_ = axis.bins()[2]
    maker = TemplateMaker(instrument, axis, training_prior(instrument), GalaxyModel())
    exact = maker.make(bin_, Size(384, 384), seed=0)
    return bin_, exact.coefficients @ exact.basis, maker.make(bin_, Size(384), seed=0)


def test_templates_survive_compression(sdss_bin: tuple[Bin, torch.Tensor, BinTemplates]) -> None:
    """At rho^2 = 100, where a redshift is hard to find, 28 vectors cost ln L 0.05 at most for 9 templates of 10."""
    _, exact, templates = sdss_bin
    truncated = templates.coefficients @ templates.basis
    cosine = torch.nn.functional.cosine_similarity(exact, truncated)
    lost = 100 / 2 * (1 - cosine**2)
    assert float(lost.median()) < 0.02
    assert float(lost.quantile(0.9)) < 0.05
    torch.testing.assert_close(templates.loss, 1 - cosine**2, atol=2e-5, rtol=0.05)
    torch.testing.assert_close(templates.basis @ templates.basis.T, torch.eye(28), atol=1e-4, rtol=0)
    torch.testing.assert_close(truncated.square().mean(1), torch.ones(len(exact)), atol=0.05, rtol=0)


def test_the_randomised_vectors_are_as_good_as_the_best(sdss_bin: tuple[Bin, torch.Tensor, BinTemplates]) -> None:
    exact = sdss_bin[1]
    values = torch.linalg.svdvals(exact.double())
    for rank in (4, 28):
        coefficients, basis = compress(exact, rank, seed=1)
        left = (exact - coefficients @ basis).double().square().sum()
        assert float(left) < 1.01 * float(values[rank:].square().sum()) + 1e-6


def test_templates_are_in_the_order_of_their_age(sdss_bin: tuple[Bin, torch.Tensor, BinTemplates]) -> None:
    bin_, _, templates = sdss_bin
    assert (templates.age.diff() >= 0).all()
    assert sorted(templates.number.tolist()) == list(range(384))
    assert templates.bin == bin_


def test_the_known_template_prefers_where_it_is() -> None:
    rng = np.random.default_rng(8)
    native = native_spectra(rng, 1)
    n_lag = len(AXIS.everything)
    template = rng.standard_normal((1, AXIS.n_pix + n_lag - 1)).cumsum(axis=1) * 0.1 + 3
    at = 5
    clean = at_native(template[0, n_lag - 1 - at :][: AXIS.n_pix], native.wavelength)
    seen = replace(native, flux=np.where(native.ivar > 0, clean, 0.0), ivar=100 * native.ivar)
    log_p = known_log_posterior(scan_data(seen, AXIS), torch.as_tensor(template), AXIS)
    assert int(log_p.argmax()) == at
