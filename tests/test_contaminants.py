"""Stars, quasars and sky-only fibres."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from galfit_ml.simulate.surveys import MockSurvey, survey
from galfit_ml.simulate.surveys.contaminants import StarTemplates
from galfit_ml.simulate.surveys.quasars import LINES, quasar_spectra

SHARES = {"star": 0.25, "quasar": 0.25, "sky": 0.25}


@pytest.fixture(scope="module")
def clean_survey() -> MockSurvey:
    return survey("moons-lr", 32, "moonz-grid", 6, exposure="8h", magnitude=(19.0, 20.0))


@pytest.fixture(scope="module")
def mixed() -> MockSurvey:
    return survey("moons-lr", 32, "moonz-grid", 6, exposure="8h", magnitude=(19.0, 20.0), contaminants=SHARES)


def test_contaminants_have_about_the_shares_asked_for() -> None:
    made = survey(
        "moons-lr", 200, "moonz-grid", 7, exposure="1h", magnitude=22.0, contaminants={"star": 0.1, "sky": 0.3}
    )
    for kind, share in (("star", 0.1), ("sky", 0.3), ("quasar", 0.0)):
        found = (made.truth["class"] == kind).mean()
        assert abs(found - share) <= 4 * np.sqrt(share * (1 - share) / 200)


def test_galaxies_that_stay_are_the_same(clean_survey: MockSurvey, mixed: MockSurvey) -> None:
    stay = ~np.isin(mixed.truth["class"], list(SHARES))
    assert 0 < stay.sum() < 32
    assert_array_equal(mixed.clean[stay], clean_survey.clean[stay])
    for name in ("redshift", "m_h", "log_stellar_mass", "class"):
        assert_array_equal(mixed.truth[name][stay], clean_survey.truth[name][stay])


def test_contaminants_have_no_galaxy_parameters(mixed: MockSurvey) -> None:
    kind = mixed.truth["class"]
    other = np.isin(kind, list(SHARES))
    for name in ("log_stellar_mass", "log_sfr", "dust_av", "D4000n", "flux_Halpha", "tau"):
        assert np.isnan(mixed.truth[name][other]).all()
        assert np.isfinite(mixed.truth[name][~other]).all()
    assert_array_equal(mixed.truth["size_arcsec"][other], 0.0)
    assert np.isfinite(mixed.truth["star_temperature"]).tolist() == (kind == "star").tolist()
    assert (np.abs(mixed.truth["redshift"][kind == "star"]) < 0.0015).all()
    quasars = mixed.truth["redshift"][kind == "quasar"]
    assert ((quasars >= 0.7) & (quasars <= 3.15)).all()


def test_sky_has_no_flux_and_the_rest_is_as_bright_as_the_galaxies(clean_survey: MockSurvey, mixed: MockSurvey) -> None:
    kind = mixed.truth["class"]
    assert (mixed.clean[kind == "sky"] == 0).all()
    assert np.isnan(mixed.truth["m_h"][kind == "sky"]).all()
    assert np.abs(mixed.truth["snr"][kind == "sky"]).max() < 0.5
    bright = np.isin(kind, ["star", "quasar"])
    start = sum(len(arm.grid) for arm in mixed.batch.arms[:2])
    wave = mixed.batch.arms[2].grid.centres
    band = start + np.flatnonzero((wave > 15000) & (wave < 17800))
    weight = wave[band - start]
    ratio = (mixed.clean[:, band] @ weight) / (clean_survey.clean[:, band] @ weight)
    assert ratio[bright] == pytest.approx(1.0, abs=2e-3)


def test_star_templates_are_in_vacuum() -> None:
    """Paschen beta of a 7000 K dwarf: 12821.6 A in vacuum, 12818.1 A in air; a pixel is 12.8 A."""
    stars = StarTemplates.load()
    flux = stars.flux[int(np.argmin(np.abs(stars.temperature - 7000)))]
    offset = stars.wavelength - 12821.6
    side = (np.abs(offset) > 100) & (np.abs(offset) < 150)
    continuum = np.polyval(np.polyfit(offset[side], flux[side], 1), offset)
    depth = np.where(np.abs(offset) < 75, np.clip(1 - flux / continuum, 0, None), 0.0)
    assert abs((depth * offset).sum() / depth.sum()) < 1.0


def test_hotter_stars_are_bluer() -> None:
    stars = StarTemplates.load()
    wave = np.array([7000.0, 16000.0])
    n = len(stars.temperature)
    colour = stars.spectra(wave, np.arange(n), np.zeros(n))
    assert (np.diff(colour[:, 0] / colour[:, 1]) > 0).all()


def test_a_moving_star_is_shifted() -> None:
    stars = StarTemplates.load()
    moved = stars.spectra(stars.wavelength * (1 + 3e-4), np.array([5]), np.array([3e-4 * 299792.458]))
    assert moved[0] == pytest.approx(stars.flux[5], rel=1e-9)


def test_quasars_have_the_lines_of_the_composite() -> None:
    """Equivalent width of Mg II over many quasars: 32.3 A within the scatter of 0.2 dex."""
    redshift = np.full(400, 1.5)
    rest = np.linspace(2500.0, 3100.0, 1201)
    spectra = quasar_spectra(rest * 2.5, redshift, np.random.default_rng(1))
    share = np.log(rest / 2550.0) / np.log(3050.0 / 2550.0)
    continuum = spectra[:, [100]] ** (1 - share) * spectra[:, [1100]] ** share
    width = ((spectra / continuum - 1) * 0.5).sum(1)
    wanted = float(LINES[LINES[:, 0] == 2800.3][0, 1])
    assert np.median(width) == pytest.approx(wanted, abs=5 * 1.25 * 0.2 * np.log(10) * wanted / np.sqrt(400))
    assert np.std(np.log10(width)) == pytest.approx(0.2, abs=0.05)
