"""The redshift scan: its algebra against a dense calculation, its success on mocks and on real galaxies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from galfit_ml.backend import Request
from galfit_ml.grid import WavelengthGrid
from galfit_ml.instruments import get_instrument
from galfit_ml.prepare import Preparation, prepare
from galfit_ml.redshift_prior import RedshiftPrior
from galfit_ml.simulate.populations import default_populations
from galfit_ml.testing import default_instrument, simulated_batch
from galfit_ml_emcee.backend import EmceeBackend
from galfit_ml_emcee.redshift_scan import AMPLITUDE_SIGMA, POLYNOMIAL_SIGMA, RedshiftScan, _level, _smooth, _span
from galfit_ml_emcee.solutions import read_scan, scan_grid
from galfit_ml_emcee.templates import make_templates


def small_scan(low: float = 0.0, high: float = 0.05) -> RedshiftScan:
    return RedshiftScan(WavelengthGrid.log10(4000, 5200, 2e-4), low, high, 80.0, default_populations())


def noisy(n_pix: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    flux = 1 + 0.3 * np.sin(np.linspace(0, 20, n_pix)) + 0.2 * rng.standard_normal((2, n_pix))
    ivar = np.full((2, n_pix), 25.0)
    ivar[:, 100:120] = 0.0
    return np.where(ivar > 0, flux, 0.0), ivar


def dense_evidence(scan: RedshiftScan, flux: np.ndarray, ivar: np.ndarray, lag: int) -> float:
    """ln N(d; 0, W^-1 + M S M') for one spectrum at one lag, minus the same without templates and polynomials."""
    data, weight = torch.as_tensor(flux)[None], torch.as_tensor(ivar)[None]
    level = _level(data, weight)
    data, weight = data / level, weight * level**2
    x = _span(weight > 0)[0]
    continuum = _smooth(data, weight)[0]
    polynomials = torch.stack([torch.cos(k * torch.arccos(x)) * continuum for k in range(5)])
    start = scan.n_lag - 1 - lag
    templates = scan.templates.flux[:, start : start + scan.n_pix]
    design = torch.cat([templates, polynomials]).T.numpy()
    sigma = np.array([AMPLITUDE_SIGMA] * len(templates) + [POLYNOMIAL_SIGMA] * 5)
    good = weight[0].numpy() > 0
    noise = np.diag(1 / weight[0].numpy()[good])
    covariance = noise + (design[good] * sigma**2) @ design[good].T
    d = data[0].numpy()[good]

    def log_normal(matrix: np.ndarray) -> float:
        return float(-0.5 * (np.linalg.slogdet(matrix)[1] + d @ np.linalg.solve(matrix, d)))

    return log_normal(covariance) - log_normal(noise)


def test_fourier_algebra_equals_a_dense_calculation() -> None:
    scan = small_scan()
    flux, ivar = noisy(scan.n_pix, np.random.default_rng(1))
    found = scan.run(flux, ivar).log_evidence
    for row in (0, 1):
        lags = [0, 20, 60, scan.n_lag - 1]
        dense = np.array([dense_evidence(scan, flux[row], ivar[row], lag) for lag in lags])
        np.testing.assert_allclose(np.diff(found[row, lags]), np.diff(dense), rtol=1e-6, atol=1e-6)


def test_masked_pixels_do_not_matter() -> None:
    scan = small_scan()
    flux, ivar = noisy(scan.n_pix, np.random.default_rng(2))
    spoilt = np.where(ivar == 0, 1e6, flux)
    np.testing.assert_array_equal(scan.run(flux, ivar).log_evidence, scan.run(spoilt, ivar).log_evidence)


def test_padding_does_not_matter() -> None:
    """A spectrum gets the same answer alone and padded to a longer common grid."""
    batch, _ = simulated_batch(default_instrument(redshift_range=(0.05, 0.4)), 1, 10.0, 3)
    grid = scan_grid(batch)
    prepared = prepare(batch, Preparation(grid))
    keep = slice(200, len(grid) - 150)
    ivar = prepared.ivar.copy()
    ivar[:, : keep.start] = ivar[:, keep.stop :] = 0.0
    short = WavelengthGrid(grid.edges[keep.start : keep.stop + 1], grid.centres[keep])
    wide = RedshiftScan(grid, 0.05, 0.4, 100.0, default_populations()).run(prepared.flux, ivar)
    narrow = RedshiftScan(short, 0.05, 0.4, 100.0, default_populations()).run(prepared.flux[:, keep], ivar[:, keep])
    np.testing.assert_allclose(wide.minima[:, 0], narrow.minima[:, 0], rtol=0, atol=2e-6)


def test_a_template_older_than_the_universe_is_not_used() -> None:
    """At z = 5 the Universe is 1.2 Gyr old: its templates of 1.5 Gyr and more do not exist."""
    grid = WavelengthGrid.log10(9000, 12000, 2e-4)
    scan = RedshiftScan(grid, 4.9, 5.1, 80.0, default_populations())
    old = scan.templates.min_age > 1.4e9
    assert old.any()
    assert not scan._exists[old].any()
    assert scan._exists[~old].all()


def test_templates_have_lines_at_vacuum_wavelengths() -> None:
    ln_wavelength = np.arange(np.log(4950), np.log(5060), 5e-5)
    made = make_templates(default_populations(), ln_wavelength, 60.0)
    oxygen = made.flux[11].numpy()
    assert np.exp(ln_wavelength[oxygen.argmax()]) == pytest.approx(5008.24, abs=0.3)


def test_a_user_prior_chooses_between_minima() -> None:
    scan = small_scan(0.0, 0.3)
    flux, ivar = noisy(scan.n_pix, np.random.default_rng(3))
    found = scan.run(flux, ivar)
    second = float(found.minima[0, 1])
    prior = RedshiftPrior(second - 0.002, second + 0.002)
    assert read_scan(found, 0, prior).redshift == pytest.approx(second, abs=1e-6)


@pytest.mark.parametrize(("snr", "least"), [(3.0, 0.9), (10.0, 0.97)])
def test_mocks_are_found(snr: float, least: float) -> None:
    instrument = default_instrument(redshift_range=(0.02, 1.0))
    batch, truth = simulated_batch(instrument, 60, snr, 5)
    grid = scan_grid(batch)
    scan = RedshiftScan(grid, 0.02, 1.0, 120.0, default_populations())
    prepared = prepare(batch, Preparation(grid))
    found = scan.run(prepared.flux, prepared.ivar).minima[:, 0]
    error = np.abs(found - truth["redshift"]) / (1 + truth["redshift"])
    assert (error < 0.0033).mean() >= least


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "limit", "least", "bias"), [("sdss_cosmicds", 0.001, 0.99, 15.0), ("eboss_ebossdap", 0.003, 0.9, 30.0)]
)
def test_real_galaxies_are_found(real_data: Path, name: str, limit: float, least: float, bias: float) -> None:
    """Every third SDSS galaxy (the benchmark does all of them), all BOSS ones."""
    from benchmarks.real_sdss import galaxies, read_set

    with np.load(real_data / f"{name}.npz") as data:
        rows = np.flatnonzero(galaxies(data["meta"]))[:: 3 if name == "sdss_cosmicds" else 1]
    batch, meta = read_set(real_data, name, rows)
    scan = RedshiftScan(scan_grid(batch), 1e-4, 1.2, 65.0, default_populations())
    found = scan.run(batch.arms[0].flux, batch.arms[0].ivar).minima[:, 0]
    error = (found - meta["z"]) / (1 + meta["z"])
    assert (np.abs(error) < limit).mean() >= least
    assert abs(np.median(error)) * 299792.458 < bias


def test_scan_grid_keeps_fine_log_grids_and_rebins_others() -> None:
    batch, _ = simulated_batch(get_instrument("generic:2000"), 1, 10.0, 3)
    wave = np.linspace(4000, 7000, 1500)
    linear = type(batch).from_arrays(wave, np.ones((1, 1500)), np.ones((1, 1500)), get_instrument("generic:2000"))
    steps = np.diff(np.log(scan_grid(linear).centres))
    assert np.ptp(steps) < 1e-9
    assert steps[0] * 299792.458 == pytest.approx(60.0, rel=1e-2)
    log = WavelengthGrid.log10(4000, 7000, 8e-5)
    fine = type(batch).from_arrays(log.centres, np.ones((1, len(log))), np.ones((1, len(log))), get_instrument("sdss"))
    assert len(scan_grid(fine)) == len(log)


def test_request_for_a_fixed_redshift_needs_no_scan() -> None:
    batch, _ = simulated_batch(default_instrument(), 1, 10.0, 4)
    from galfit_ml.redshift_prior import RedshiftPriors

    solution = EmceeBackend()._solve_redshifts(batch, Request(10, 1, RedshiftPriors.parse(0.3, 1)))
    assert solution[0].redshift == 0.3
