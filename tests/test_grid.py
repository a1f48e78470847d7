"""Wavelength grids, rebinning held against specutils, air and vacuum held against published numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from galfit_ml.errors import SpectrumError
from galfit_ml.grid import (
    SPEED_OF_LIGHT_KMS,
    WavelengthGrid,
    air_to_vacuum,
    rebin,
    rebin_matrix,
    vacuum_to_air,
)

LINEAR = WavelengthGrid.linear(4000.0, 5000.0, 1.0)


def irregular_grid(seed: int, n: int, low: float, high: float) -> WavelengthGrid:
    steps = np.random.default_rng(seed).uniform(0.2, 1.0, n)
    return WavelengthGrid.from_centres(low + (high - low) * np.cumsum(steps) / steps.sum())


def test_a_linear_grid_is_what_it_says() -> None:
    assert len(LINEAR) == 1001
    np.testing.assert_allclose(LINEAR.centres[[0, -1]], [4000.0, 5000.0])
    np.testing.assert_allclose(LINEAR.widths, 1.0)
    np.testing.assert_allclose(0.5 * (LINEAR.edges[1:] + LINEAR.edges[:-1]), LINEAR.centres)


def test_a_logarithmic_grid_has_equal_steps_and_its_edges_halfway_in_the_logarithm() -> None:
    grid = WavelengthGrid.log10(3800.0, 9200.0, 1e-4)
    np.testing.assert_allclose(np.diff(np.log10(grid.centres)), 1e-4, rtol=1e-9)
    np.testing.assert_allclose(np.log10(grid.edges[:-1]) + 0.5e-4, np.log10(grid.centres), rtol=0, atol=1e-12)
    assert grid.centres[0] == pytest.approx(3800.0)
    assert grid.centres[-1] <= 9200.0 < grid.centres[-1] * 10**1e-4


def test_edges_from_centres_lie_halfway() -> None:
    grid = WavelengthGrid.from_centres([1.0, 2.0, 4.0])
    np.testing.assert_allclose(grid.edges, [0.5, 1.5, 3.0, 5.0])


@pytest.mark.parametrize("centres", [[5000.0], [5000.0, 5000.0], [5001.0, 5000.0], [[1.0, 2.0]], [1.0, np.nan]])
def test_centres_that_are_no_axis_are_refused(centres: list[float]) -> None:
    with pytest.raises(SpectrumError, match="strictly increasing"):
        WavelengthGrid.from_centres(centres)


@pytest.mark.parametrize(
    ("edges", "centres"),
    [([1.0, 2.0], [1.2, 1.5]), ([2.0, 1.0], [1.5]), ([-1.0, 1.0], [0.5]), ([1.0, np.inf], [2.0]), ([1.0], [])],
)
def test_edges_that_make_no_pixels_are_refused(edges: list[float], centres: list[float]) -> None:
    with pytest.raises(ValueError, match="edges"):
        WavelengthGrid(np.array(edges), np.array(centres))


def test_equal_grids_have_equal_keys_and_others_do_not() -> None:
    assert LINEAR.key() == WavelengthGrid.linear(4000.0, 5000.0, 1.0).key()
    assert LINEAR.key() != WavelengthGrid.linear(4000.0, 5000.0, 1.001).key()


@pytest.mark.parametrize("target_step", [0.37, 2.9])
def test_rebinning_equals_the_flux_conserving_resampler_of_specutils(target_step: float) -> None:
    from astropy import units as u
    from specutils import Spectrum
    from specutils.manipulation import FluxConservingResampler

    source, target = irregular_grid(3, 700, 4000.0, 5000.0), WavelengthGrid.linear(4050.0, 4950.0, target_step)
    flux = np.random.default_rng(4).normal(10.0, 3.0, len(source))
    spectrum = Spectrum(flux=flux * u.Jy, spectral_axis=source.centres * u.AA)
    oracle = FluxConservingResampler()(spectrum, target.centres * u.AA)
    ours = rebin_matrix(source, WavelengthGrid.from_centres(target.centres)) @ flux
    np.testing.assert_allclose(ours, oracle.flux.value, rtol=2e-15)


@given(st.integers(0, 10_000), st.integers(2, 60), st.integers(2, 60))
def test_rebinning_conserves_flux_and_keeps_a_constant_constant(seed: int, n_source: int, n_target: int) -> None:
    source, inner = irregular_grid(seed, n_source, 4000.0, 5000.0), irregular_grid(seed + 1, n_target, 4200.0, 4800.0)
    edges = np.clip(inner.edges, source.edges[0], source.edges[-1])
    if not np.all(np.diff(edges) > 0):
        return
    target = WavelengthGrid(edges, 0.5 * (edges[1:] + edges[:-1]))
    weights = rebin_matrix(source, target)
    np.testing.assert_allclose(weights @ np.ones(n_source), 1.0, rtol=1e-12)
    flux = np.random.default_rng(seed).uniform(1.0, 2.0, n_source)
    inside = np.clip(np.minimum(source.edges[1:], edges[-1]) - np.maximum(source.edges[:-1], edges[0]), 0.0, None)
    assert (weights @ flux) @ target.widths == pytest.approx(flux @ inside, rel=1e-12)


def test_beyond_the_source_there_is_no_weight() -> None:
    target = WavelengthGrid.linear(3990.0, 4010.0, 1.0)
    covered = rebin_matrix(LINEAR, target) @ np.ones(len(LINEAR))
    np.testing.assert_allclose(covered[:9], 0.0)
    assert covered[9] == 0.0
    np.testing.assert_allclose(covered[10:], 1.0)


def test_rebinning_onto_the_same_grid_changes_nothing() -> None:
    rng = np.random.default_rng(5)
    flux, ivar = rng.normal(size=(3, len(LINEAR))), rng.uniform(0.5, 2.0, (3, len(LINEAR)))
    bad = rng.random(flux.shape) < 0.1
    new = rebin(flux, ivar, bad, LINEAR, LINEAR)
    np.testing.assert_array_equal(new.bad, bad)
    np.testing.assert_allclose(new.flux[~bad], flux[~bad], rtol=1e-12)
    np.testing.assert_allclose(new.ivar[~bad], ivar[~bad], rtol=1e-12)


def test_bad_pixels_take_no_part_whatever_they_hold() -> None:
    target = WavelengthGrid.linear(4001.5, 4990.0, 3.0)
    rng = np.random.default_rng(6)
    flux, ivar = rng.normal(5.0, 1.0, (2, len(LINEAR))), np.ones((2, len(LINEAR)))
    bad = rng.random(flux.shape) < 0.2
    clean = rebin(np.where(bad, 0.0, flux), ivar, bad, LINEAR, target)
    for rubbish in (1e30, np.nan, np.inf):
        spoilt = rebin(np.where(bad, rubbish, flux), np.where(bad, -1.0, ivar), bad, LINEAR, target)
        np.testing.assert_array_equal(spoilt.flux, clean.flux)
        np.testing.assert_array_equal(spoilt.ivar, clean.ivar)
    assert clean.bad.any()
    np.testing.assert_array_equal(clean.bad, clean.covered < 0.5)


def test_a_pixel_without_inverse_variance_is_bad() -> None:
    ivar = np.ones((1, len(LINEAR)))
    ivar[0, 100] = 0.0
    new = rebin(np.ones_like(ivar), ivar, np.zeros(ivar.shape, bool), LINEAR, LINEAR)
    assert np.flatnonzero(new.bad[0]).tolist() == [100]


def test_reported_errors_match_the_scatter_after_rebinning() -> None:
    target = WavelengthGrid.linear(4003.0, 4990.0, 3.7)
    sigma = np.linspace(0.5, 2.0, len(LINEAR))
    noise = np.random.default_rng(7).normal(0.0, sigma, (4000, len(LINEAR)))
    ivar = np.broadcast_to(sigma**-2, noise.shape)
    new = rebin(noise, ivar, np.zeros(noise.shape, bool), LINEAR, target)
    pulls = new.flux * np.sqrt(new.ivar)
    # 4000 draws give each pixel's standard deviation to 1.1 %; 5 sigma over 267 pixels
    np.testing.assert_allclose(pulls.std(axis=0), 1.0, atol=5 * 0.0112)


# The sodium D lines of Steck (2000, "Sodium D Line Data"), and [O III] of the NIST Atomic Spectra Database.
LINES = [(5889.950954, 5891.583264), (5895.924237, 5897.558147), (5006.843, 5008.240)]


@pytest.mark.parametrize(("air", "vacuum"), LINES)
def test_air_and_vacuum_agree_with_published_lines(air: float, vacuum: float) -> None:
    assert air_to_vacuum(air) == pytest.approx(vacuum, abs=5e-4)
    assert vacuum_to_air(vacuum) == pytest.approx(air, abs=5e-4)


def test_air_and_vacuum_agree_with_specutils_to_a_hundredth_of_a_kilometre_per_second() -> None:
    from astropy import units as u
    from specutils.utils.wcs_utils import air_to_vac, vac_to_air

    wave = np.linspace(2100.0, 24000.0, 500)
    vacuum = air_to_vac(wave * u.AA, scheme="iteration", method="Morton2000").to_value(u.AA)
    air = vac_to_air(wave * u.AA, method="Morton2000").to_value(u.AA)
    assert np.abs(air_to_vacuum(wave) / vacuum - 1).max() * SPEED_OF_LIGHT_KMS < 0.01
    assert np.abs(vacuum_to_air(wave) / air - 1).max() * SPEED_OF_LIGHT_KMS < 0.01


@given(st.floats(2001.0, 60000.0))
def test_there_and_back_is_good_to_a_metre_per_second(wavelength: float) -> None:
    back = float(vacuum_to_air(air_to_vacuum(wavelength)))
    assert abs(back / wavelength - 1) * SPEED_OF_LIGHT_KMS < 1e-3


def test_below_two_thousand_angstroms_wavelengths_are_vacuum_by_convention() -> None:
    np.testing.assert_array_equal(air_to_vacuum([1215.67, 1999.0]), [1215.67, 1999.0])
    np.testing.assert_array_equal(vacuum_to_air([1215.67, 1999.0]), [1215.67, 1999.0])
