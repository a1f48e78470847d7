"""The comparison of SDSS mocks with real SDSS spectra: its tools, and one galaxy from data to figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmarks.sdss_mocks import figures, noise
from benchmarks.sdss_mocks.compare import bad_share, stacks_of
from benchmarks.sdss_mocks.match import TYPES, Match, match, sample
from benchmarks.sdss_mocks.mocks import Mocks, observe, variance_ratio
from benchmarks.sdss_mocks.stacks import (
    REST,
    Stack,
    block_means,
    deviation,
    line_mask,
    median_stack,
    rest_range,
    to_rest,
)
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.spectrograph import Spectrograph

Floats = NDArray[np.float64]

WAVELENGTH = 10 ** np.arange(np.log10(3800.0), np.log10(9200.0), 1e-4)


def test_a_spectrum_goes_to_rest_with_mean_one_at_the_anchor() -> None:
    flux = 7.0 * WAVELENGTH
    rest = to_rest(WAVELENGTH, flux, np.ones(len(flux), dtype=bool), 0.035)
    seen = np.isfinite(rest)
    np.testing.assert_allclose(rest[seen], REST[seen] / np.mean(REST[rest_range(5450.0, 5600.0)]), rtol=1e-3)
    assert REST[seen][0] == pytest.approx(3800 / 1.035, rel=1e-3)
    assert REST[seen][-1] == pytest.approx(9200 / 1.035, rel=1e-3)


def test_bad_pixels_do_not_reach_a_stack() -> None:
    flux, good = np.ones(len(WAVELENGTH)), np.ones(len(WAVELENGTH), dtype=bool)
    good[2000:2010] = False
    flux[2000:2010] = 1e6
    rest = to_rest(WAVELENGTH, flux, good, 0.0)
    assert np.isnan(rest).sum() > 10
    np.testing.assert_allclose(rest[np.isfinite(rest)], 1.0)


def test_a_stack_is_a_median_of_what_is_there() -> None:
    rows = [np.full(len(REST), value) for value in (1.0, 2.0, 9.0)]
    rows[2][:100] = np.nan
    stack = median_stack(rows)
    assert np.isnan(stack[:100]).all()
    assert (stack[100:] == 2.0).all()


def test_a_deviation_is_found_where_it_is_and_lines_do_not_count() -> None:
    ratio = np.ones(len(REST))
    ratio[rest_range(7000.0, 7200.0)] = 1.08
    ratio[np.abs(REST - 6564.6) < 5] = 3.0
    found = deviation(ratio, line_mask())
    assert found.largest == pytest.approx(0.08)
    assert 7000 < found.at < 7200
    assert found.rms < 0.02
    assert 0.95 < found.within < 1.0
    assert found.smooth_within == pytest.approx(found.within, abs=0.01)
    assert deviation(ratio, np.zeros(len(REST), dtype=bool)).largest > 0.3


def test_means_are_of_twenty_angstrom_and_forgive_the_noise_of_pixels() -> None:
    """About 15 pixels at 5500 angstrom."""
    noisy = 1.0 + 0.06 * np.random.default_rng(1).standard_normal(len(REST))
    noisy[rest_range(5000.0, 5600.0)] = np.nan
    found = deviation(noisy, np.zeros(len(REST), dtype=bool))
    assert found.rms == pytest.approx(0.06, rel=0.05)
    assert found.smooth_rms == pytest.approx(0.06 / np.sqrt(15), rel=0.15)
    assert found.within < 0.65
    assert found.smooth_within > 0.98
    means, at = block_means(noisy)
    assert np.isfinite(means).all()
    np.testing.assert_allclose(np.diff(at).min(), 20.0)
    assert not ((at > 5015) & (at < 5585)).any()


def test_pixel_pulls_of_white_noise_are_normal_and_blind_to_the_spectrum() -> None:
    rng = np.random.default_rng(1)
    sigma = np.linspace(0.5, 3.0, 4000)
    flux = 100 * np.sin(np.arange(4000) / 200.0) + sigma * rng.standard_normal(4000)
    ivar = sigma**-2
    ivar[1000] = 0.0
    pulls = noise.pixel_pulls(flux, ivar)
    assert np.isnan(pulls).sum() == 5
    assert noise.spread(pulls[4:-4]) == pytest.approx(1.0, abs=0.06)


def test_magnitude_and_signal_to_noise_of_a_flat_source() -> None:
    f_nu = 10 ** (-0.4 * (17.0 + 48.6))
    flux = f_nu * 2.99792458e18 / WAVELENGTH**2 / 1e-17
    assert noise.magnitude(WAVELENGTH, flux) == pytest.approx(17.0, abs=1e-6)
    assert noise.signal_to_noise(WAVELENGTH, flux, (20.0 / flux) ** 2) == pytest.approx(20.0)


def test_bins_of_magnitude_hold_equal_numbers() -> None:
    table = {"magnitude": np.arange(60.0), "real": np.full(60, 10.0), "mock": np.arange(60.0)}
    bins = noise.by_magnitude(table, 6)
    assert [b["magnitude"] for b in bins] == [4.5, 14.5, 24.5, 34.5, 44.5, 54.5]
    assert bins[1]["ratio"] == pytest.approx(1.45)


def test_the_sample_is_of_the_type_asked_for_and_repeatable(real_data: Path) -> None:
    first, second = sample(real_data, 5, 1), sample(real_data, 5, 1)
    assert list(first) == list(TYPES)
    for kind in TYPES:
        assert len(first[kind]) == 5
        assert (first[kind] == second[kind]).all()
    assert any((first[kind] != sample(real_data, 5, 2)[kind]).any() for kind in TYPES)


@pytest.mark.slow
def test_a_real_elliptical_and_its_mock_agree(real_data: Path, tmp_path: Path) -> None:
    model, spectrograph = GalaxyModel(), Spectrograph("sdss")
    with torch.no_grad():
        row = int(sample(real_data, 1, 1)["E"][0])
        found = match(real_data, row, tmp_path, model)
        again = match(real_data, row, tmp_path, model)
        alike = observe([found], model, spectrograph, same_noise=True, seed=1)
    assert found.chi2_per_pixel < 3.0
    np.testing.assert_array_equal(found.model, again.model)
    stack = stacks_of([found], alike)
    good = found.ivar > 0
    assert np.std((found.flux / found.calibrated)[good]) < 0.1
    assert deviation(stack.ratio, line_mask()).within > 0.5
    usable = alike.ivar[0] > 0
    simulated = np.median(alike.flux[0, usable] * np.sqrt(alike.ivar[0, usable]))
    assert simulated == pytest.approx(np.median(found.flux[good] * np.sqrt(found.ivar[good])), rel=0.1)


def test_the_figures_are_drawn(tmp_path: Path) -> None:
    flat = np.ones(len(REST))
    stacks = {"E": Stack(flat, 1.01 * flat, 3)}
    figures.stacks_figure(stacks, tmp_path / "stacks.png")
    figures.lines_figure(stacks, tmp_path / "lines.png")
    table = {"magnitude": np.array([16.0, 17.0]), "real": np.array([30.0, 20.0]), "mock": np.array([31.0, 19.0])}
    pulls = {"4300-5500": (np.zeros(10), np.zeros(10))}
    figures.noise_figure(table, pulls, tmp_path / "noise.png")
    one = a_match(3.0, np.ones(Spectrograph("sdss").n_pix))
    mocks = Mocks(one.wavelength, *(np.full((1, len(one.wavelength)), value) for value in (2.0, 1.0, 2.0)))
    answers = figures.singles_figure([("E", one, mocks, 0)] * 3, 1, tmp_path / "singles.png")
    assert [answer[0] for answer in answers] == ["1", "2", "3"]
    assert {answer[1] for answer in answers} == {"A", "B"}
    for name in ("stacks", "lines", "noise", "singles"):
        assert 5_000 < (tmp_path / f"{name}.png").stat().st_size < 200_000


def a_match(flux: float, ivar: Floats) -> Match:
    """A featureless galaxy on the pixels of the spectrograph."""
    wavelength = Spectrograph("sdss").pixels.wavelength.numpy()
    level = np.full(len(wavelength), flux)
    return Match(0, 0.05, wavelength, level, ivar, level, level, np.zeros(1))


def test_the_noise_level_of_a_real_spectrum_is_recovered() -> None:
    spectrograph = Spectrograph("sdss")
    ivar = 1.0 + np.arange(spectrograph.n_pix) / spectrograph.n_pix
    real = ivar / 1.7
    real[100:200] = 0.0
    assert variance_ratio(a_match(1.0, real), spectrograph, ivar) == pytest.approx(1.7, rel=1e-6)


def test_bad_pixels_are_counted_between_the_first_and_the_last_good_one() -> None:
    ivar = np.ones((2, 3000))
    ivar[0, :200] = ivar[0, 1000:1100] = 0.0
    assert bad_share(ivar) == pytest.approx(0.5 * 100 / 2800)
