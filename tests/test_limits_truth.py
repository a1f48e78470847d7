"""The reference limits on mock galaxies: what is remade, what is found, and whether stated probabilities are true."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d

from benchmarks.limits.known import known_log_posterior
from benchmarks.limits.library import load_library
from benchmarks.limits.mocks import Mocks, galaxies_of
from benchmarks.limits.references import References, references
from benchmarks.limits.window import answers, success
from galfit_ml.instruments import get_instrument
from galfit_ml.simulate import survey
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.spectrograph import Spectrograph
from galfit_ml_emcee.library.axis import ScanAxis
from galfit_ml_emcee.library.data import ScanData
from galfit_ml_emcee.library.library import Library
from galfit_ml_emcee.library.scan import LibraryScan
from galfit_ml_emcee.library.templates import Size

MOONS = get_instrument("moons-lr")
RANGE = (0.8, 1.4)
AXIS = replace(ScanAxis.of(MOONS), redshift=RANGE)


def mocks_of(n: int, magnitude: tuple[float, float], seed: int, tier: int = 0) -> Mocks:
    """Training galaxies over the redshifts of `AXIS`, 8 h."""
    found = survey(MOONS, n, "training", seed, exposure="8h", tier=tier, magnitude=magnitude, redshift=RANGE)
    return Mocks.of(found)


@pytest.fixture(scope="module")
def library() -> Library:
    return load_library(MOONS, AXIS, Size(256))


def at_true_redshift(mocks: Mocks, axis: ScanAxis, model: GalaxyModel) -> np.ndarray:
    """The remade spectra at the true redshifts and native pixels, [n, n_pix]."""
    rest = mocks.rest_spectra(axis, model).numpy()
    stop = axis.everything.stop
    emitted = axis.points(1 - stop, 1 - stop + rest.shape[1])
    pairs = zip(rest, mocks.redshift, strict=True)
    return np.stack([np.interp(mocks.native.wavelength, emitted * (1 + z), row) for row, z in pairs])


@pytest.mark.parametrize(("population", "n_part"), [("training", 1), ("moonrise", 2), ("moonz-grid", 1)])
def test_galaxies_of_every_population_are_remade_exactly(population: str, n_part: int) -> None:
    mocks, model = Mocks.of(survey(MOONS, 3, population, seed=4, exposure="8h")), GalaxyModel()
    parts = galaxies_of(mocks.truth)
    assert len(parts) == n_part
    there = torch.stack([model.observe(part, Spectrograph(MOONS).pixels).flux for part in parts]).sum(0).numpy()
    np.testing.assert_allclose(there, mocks.clean, rtol=2e-4, atol=1e-6 * mocks.clean.max())
    # On the grid a line is averaged over pixels of 12 km/s, not 20-40: the same flux in a slightly other profile.
    remade = at_true_redshift(mocks, ScanAxis(AXIS.low, AXIS.high, (0.0, 5.0), 12.0), model)
    smooth, expected = (gaussian_filter1d(flux.astype(float), 8.0, axis=1) for flux in (remade, mocks.clean))
    arm = mocks.native.arm
    inside = np.flatnonzero(arm[64:] == arm[:-64]) + 32
    np.testing.assert_allclose(smooth[:, inside], expected[:, inside], rtol=0.005)


def test_a_galaxy_remade_with_half_its_bulge_would_be_seen() -> None:
    mocks = Mocks.of(survey(MOONS, 2, "moonrise", seed=4, exposure="8h"))
    lighter = {**mocks.truth, "bulge_log_formed_mass": np.asarray(mocks.truth["bulge_log_formed_mass"]) - 0.3}
    remade = at_true_redshift(replace(mocks, truth=lighter), AXIS, GalaxyModel())
    assert np.abs(remade / mocks.clean - 1).mean() > 0.02


def test_bright_galaxies_are_found_with_certainty(library: Library) -> None:
    found = references(mocks_of(8, (19.5, 20.5), seed=1), library, nuisances="none")
    truth = mocks_of(8, (19.5, 20.5), seed=1).redshift
    for answer in (found.known, *found.library):
        assert success(answer.redshift, truth).all()
        assert (answer.probability > 0.999).all()


@pytest.mark.parametrize("nuisances", ["calibration", "reported", "all"])
def test_bright_galaxies_are_found_through_systematic_errors(library: Library, nuisances: str) -> None:
    mocks = mocks_of(6, (19.5, 20.5), seed=2, tier=2)
    found = references(mocks, library, nuisances=nuisances)
    assert success(found.known.redshift, mocks.redshift).all()
    assert success(found.library[0].redshift, mocks.redshift).all()


def marginal_chi_squared(error: np.ndarray, ivar: np.ndarray, columns: np.ndarray) -> float:
    """error' C^-1 error with C = 1 / ivar + columns' columns (Woodbury)."""
    seen = (columns * ivar) @ error
    inner = np.eye(len(columns)) + (columns * ivar) @ columns.T
    return float(ivar @ error**2 - seen @ np.linalg.solve(inner, seen))


def test_the_whole_noise_model_explains_the_mocks() -> None:
    """What is left of them is white to 1 %: four times the sampling error of a chi^2 of 3e5 pixels."""
    mocks = mocks_of(30, (22.0, 24.0), seed=10, tier=2)
    error, ivar = mocks.native.flux - mocks.clean, mocks.white_ivar
    calibration, residual = mocks._calibration() * mocks.clean[:, None], mocks._true_residual()
    columns = [np.concatenate(both) for both in zip(calibration, residual, strict=True)]
    chi2 = sum(marginal_chi_squared(*row) for row in zip(error, ivar, columns, strict=True))
    n = int((ivar > 0).sum())
    assert chi2 / n == pytest.approx(1.0, abs=4 * np.sqrt(2 / n))
    assert (ivar * error**2).sum() / n > 1.3


def test_the_residual_of_a_nominal_night_is_the_predicted_one() -> None:
    mocks = mocks_of(3, (22.0, 24.0), seed=11, tier=1)
    nominal, true = ((modes**2).sum(axis=1) for modes in (mocks._nominal_residual(), mocks._true_residual()))
    for row in range(3):
        for arm in range(3):
            matters = (
                (mocks.native.arm == arm) & (mocks.native.ivar[row] > 0) & (nominal[row] * mocks.white_ivar[row] > 1)
            )
            assert matters.sum() > 200
            # The true one is multiplied by the calibration error, a polynomial of degree 5.
            factor = np.sqrt(true[row, matters] / nominal[row, matters])
            smooth = np.polynomial.Polynomial.fit(mocks.native.wavelength[matters], factor, 5)
            np.testing.assert_allclose(factor, smooth(mocks.native.wavelength[matters]), rtol=2e-3)
            assert 0.85 < factor.mean() < 1.15


def noise_alone(mocks: Mocks) -> Mocks:
    """The same pixels without any galaxy."""
    ivar = mocks.native.ivar
    noise = np.random.default_rng(3).standard_normal(ivar.shape)
    flux = np.where(ivar > 0, noise / np.sqrt(np.where(ivar > 0, ivar, 1.0)), 0.0)
    return replace(mocks, native=replace(mocks.native, flux=flux))


def test_noise_has_no_redshift(library: Library) -> None:
    """The best of about 90 windows holds a few times its fair share, never most of the probability."""
    found = references(noise_alone(mocks_of(12, (23.0, 24.0), seed=3)), library, nuisances="none")
    for answer in (found.known, *found.library):
        assert np.median(answer.probability) < 0.15
        assert answer.probability.max() < 0.6


def test_spectra_moved_to_the_red_have_a_larger_redshift(library: Library) -> None:
    mocks = mocks_of(2, (19.5, 20.0), seed=5)
    data = mocks.scan_data(AXIS, "none", known=False)
    lag = 30
    moved = ScanData(*(torch.roll(part, lag, dims=-1) for part in (data.data, data.weight, data.slope, data.modes)))
    scan = LibraryScan(library)
    before, after = (answers(scan.log_posterior(d).numpy(), AXIS).redshift for d in (data, moved))
    np.testing.assert_allclose(np.log1p(after) - np.log1p(before), lag * AXIS.step, atol=2 * AXIS.step)


def is_calibrated(stated: np.ndarray, hits: np.ndarray) -> bool:
    """Whether the number of hits is within 3 sigma of the sum of the stated probabilities."""
    sigma = np.sqrt((stated * (1 - stated)).sum())
    return bool(abs(hits.sum() - stated.sum()) < 3 * sigma)


@pytest.fixture(scope="module")
def faint(library: Library) -> tuple[Mocks, References]:
    mocks = mocks_of(160, (23.0, 25.0), seed=6)
    return mocks, references(mocks, library, nuisances="none")


@pytest.mark.slow
def test_stated_probabilities_are_true_where_the_noise_is_white(faint: tuple[Mocks, References]) -> None:
    mocks, found = faint
    for answer in (found.known, found.library[-1]):
        hits = success(answer.redshift, mocks.redshift)
        assert 0.3 < hits.mean() < 0.95
        assert is_calibrated(answer.probability, hits)


@pytest.mark.slow
def test_who_knows_the_galaxy_finds_more_redshifts_than_who_knows_the_prior(faint: tuple[Mocks, References]) -> None:
    mocks, found = faint
    known, library = (success(a.redshift, mocks.redshift) for a in (found.known, found.library[-1]))
    assert known.sum() >= library.sum()
    assert found.known.probability.mean() > found.library[-1].probability.mean()


@pytest.mark.slow
@pytest.mark.parametrize(("nuisances", "true"), [("all", True), ("calibration", False)])
def test_stated_probabilities_need_the_sky_residual(library: Library, nuisances: str, true: bool) -> None:
    """Taken for independent noise, as the reported variance has it, the residual makes false lines of OH."""
    mocks = mocks_of(100, (22.0, 24.0), seed=9, tier=2)
    answer = references(mocks, library, nuisances=nuisances).library[-1]
    assert is_calibrated(answer.probability, success(answer.redshift, mocks.redshift)) is true


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here")
def test_cuda_gives_the_answers_of_the_cpu(library: Library) -> None:
    mocks = mocks_of(6, (22.0, 24.0), seed=7, tier=2)
    there = load_library(MOONS, AXIS, Size(256), device="cuda")
    here, cuda = (references(mocks, one, nuisances="all") for one in (library, there))
    np.testing.assert_allclose(cuda.known.redshift, here.known.redshift, atol=1e-4)
    np.testing.assert_allclose(cuda.library[0].probability, here.library[0].probability, atol=0.05)


def test_the_known_template_is_blind_to_the_level_of_the_spectrum() -> None:
    mocks = mocks_of(2, (22.0, 23.0), seed=8)
    data, spectra = mocks.scan_data(AXIS, "none", known=True), mocks.rest_spectra(AXIS, GalaxyModel()).double()
    one, other = (known_log_posterior(data, scale * spectra, AXIS) for scale in (1.0, 30.0))
    torch.testing.assert_close(one - one.amax(1, keepdim=True), other - other.amax(1, keepdim=True), atol=1e-3, rtol=0)
