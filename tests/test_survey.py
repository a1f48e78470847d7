"""Mock surveys: what comes out, that it is the same again, and what happens to settings that make no sense."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from galfit_ml.errors import UnknownNameError
from galfit_ml.instruments import get_instrument
from galfit_ml.parameters import GALAXY
from galfit_ml.simulate.conditions import ConditionsError
from galfit_ml.simulate.surveys import (
    MockSurvey,
    SurveyError,
    make_settings,
    survey,
    survey_chunks,
    truth_columns,
)
from galfit_ml.simulate.surveys.moonz_grid import grid_cells


@pytest.fixture(scope="module")
def training() -> MockSurvey:
    return survey("moons-lr", 24, seed=3)


@pytest.fixture(scope="module")
def moonrise() -> MockSurvey:
    return survey("moons-lr", 24, "moonrise", 4, exposure=["1h", "8h"])


def test_the_arrays_belong_together(training: MockSurvey) -> None:
    n_pix = sum(len(arm.grid) for arm in training.batch.arms)
    assert training.clean.shape == training.white_ivar.shape == training.mask.shape == (24, n_pix)
    assert training.clean.dtype == np.float32
    assert all(len(values) == 24 for values in training.truth.values())
    assert training.batch.ids[0] == "training-000001"
    assert training.batch.usable.all()


@pytest.mark.parametrize("name", ["training", "moonrise"])
def test_every_column_is_documented_and_of_a_kind_that_files_hold(name: str, request: Any) -> None:
    made: MockSurvey = request.getfixturevalue(name)
    known = truth_columns(made.batch.instrument)
    assert set(made.truth) <= set(known)
    assert set(GALAXY.names) <= set(made.truth)
    assert {values.dtype.kind for values in made.truth.values()} <= set("fiU")
    assert all(text and text.isascii() for _, text in known.values())


def test_magnitudes_are_those_of_the_noiseless_flux(moonrise: MockSurvey) -> None:
    grid = moonrise.batch.arms[2].grid
    low, high = moonrise.batch.instrument.magnitude_band
    start = len(moonrise.batch.arms[0].grid) + len(moonrise.batch.arms[1].grid)
    inside = (grid.centres > low) & (grid.centres < high)
    flux = moonrise.clean[:, start:][:, inside].astype(float) * 1e-17
    wave, width = grid.centres[inside], grid.widths[inside]
    f_nu = (flux * wave * width).sum(1) / (2.99792458e18 * (width / wave).sum())
    assert moonrise.truth["m_h"] == pytest.approx(-2.5 * np.log10(f_nu) - 48.6, abs=0.002)
    total = moonrise.truth["m_h"] + 2.5 * np.log10(moonrise.truth["aperture_factor"])
    assert moonrise.truth["m_h_total"] == pytest.approx(total, abs=1e-9)


def test_labels_are_those_of_the_components(moonrise: MockSurvey) -> None:
    truth = moonrise.truth
    for name in ("log_stellar_mass", "log_sfr"):
        together = np.log10(10 ** truth[f"bulge_{name}"] + 10 ** truth[f"disc_{name}"])
        assert truth[name] == pytest.approx(together, abs=1e-5)
    light = 10 ** (-0.4 * (truth["bulge_magnitude"] - truth["m_h"]))
    assert truth["bulge_to_total_light"] == pytest.approx(light, rel=1e-3)
    assert ((truth["dust_av"] - truth["bulge_dust_av"]) * (truth["dust_av"] - truth["disc_dust_av"]) <= 1e-9).all()


def test_the_same_galaxies_are_seen_with_every_exposure(moonrise: MockSurvey) -> None:
    first, second = moonrise.take(range(24)), moonrise.take(range(24, 48))
    assert set(first.truth["exposure_s"]) == {3600.0}
    assert set(second.truth["exposure_s"]) == {28800.0}
    for name in ("galaxy_id", "redshift", "m_h", "seeing", "size_arcsec"):
        assert_array_equal(first.truth[name], second.truth[name])
    assert_array_equal(first.clean, second.clean)
    assert len(set(moonrise.batch.ids)) == 48
    ratio = np.median(second.truth["snr_true_yj"] / first.truth["snr_true_yj"])
    assert ratio == pytest.approx(np.sqrt(8), rel=0.02)
    assert not np.array_equal(first.batch.arms[0].flux, second.batch.arms[0].flux)


def test_signal_to_noise_is_a_median_and_the_noise_is_what_it_says() -> None:
    made = survey("moons-lr", 24, "moonz-grid", 1, exposure="8h", magnitude=(19.0, 20.5), tier=0)
    good = made.white_ivar > 0
    ratio = np.where(good, made.clean * np.sqrt(made.white_ivar), np.nan)
    assert made.truth["snr_true"] == pytest.approx(np.nanmedian(ratio, axis=1), rel=1e-5)
    flux = np.concatenate([arm.flux for arm in made.batch.arms], axis=1)
    pulls = ((flux - made.clean) * np.sqrt(made.white_ivar))[good]
    assert pulls.std() == pytest.approx(1.0, abs=0.01)
    assert abs(pulls.mean()) < 0.01
    measured = np.where(good, flux * np.sqrt(made.white_ivar), np.nan)
    assert made.truth["snr"] == pytest.approx(np.nanmedian(measured, axis=1), rel=1e-5)


def test_the_same_seed_makes_the_same_survey_and_another_another(training: MockSurvey) -> None:
    again, other = survey("moons-lr", 24, seed=3), survey("moons-lr", 24, seed=5)
    for arm, twin in zip(training.batch.arms, again.batch.arms, strict=True):
        assert_array_equal(arm.flux, twin.flux)
        assert_array_equal(arm.ivar, twin.ivar)
    for name, values in training.truth.items():
        assert_array_equal(values, again.truth[name])
    assert not np.array_equal(training.truth["redshift"], other.truth["redshift"])


def test_a_chunk_depends_on_its_number_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("galfit_ml.simulate.surveys.settings.MAX_ROWS", 6)
    arguments: dict[str, Any] = {"population": "moonrise", "seed": 2, "exposure": ["1h", "2h"]}
    chunks = list(survey_chunks("moons-lr", 8, **arguments))
    assert [len(chunk) for chunk in chunks] == [6, 6, 4]
    alone = next(survey_chunks("moons-lr", 8, start=1, **arguments))
    assert_array_equal(alone.batch.arms[1].flux, chunks[1].batch.arms[1].flux)
    assert_array_equal(alone.truth["galaxy_id"], [3, 4, 5, 3, 4, 5])
    together = survey("moons-lr", 8, **arguments)
    assert_array_equal(together.truth["galaxy_id"], [*range(8), *range(8)])
    assert_array_equal(together.truth["exposure_s"], [3600.0] * 8 + [7200.0] * 8)


def test_progress_is_told() -> None:
    seen: list[tuple[int, int]] = []
    survey("moons-lr", 3, "moonz-grid", exposure="1h", progress=lambda done, total, _: seen.append((done, total)))
    assert seen == [(3, 3)]


def test_training_covers_its_ranges_and_keeps_to_its_masses() -> None:
    made = survey("moons-lr", 64, seed=8, redshift=(0.5, 3.0), magnitude=(20.0, 23.0))
    truth = made.truth
    assert truth["redshift"].min() > 0.5
    assert truth["redshift"].max() < 3.0
    assert ((truth["m_h"] > 20.0) & (truth["m_h"] < 23.0)).all()
    assert ((truth["log_stellar_mass"] > 5) & (truth["log_stellar_mass"] < 12.5)).all()
    assert ((truth["exposure_s"] >= 1800) & (truth["exposure_s"] <= 57600)).all()
    assert np.std(np.log(truth["aperture_factor"])) == pytest.approx(0.07, abs=5 * 0.07 / np.sqrt(128))


def test_the_grid_has_every_cell_once() -> None:
    cells = grid_cells()
    assert len(cells) == len(set(cells)) == 21 * 14 * 50
    assert {cell.dust_av for cell in cells if cell.kind == "early"} == {0.0}
    assert min(cell.redshift for cell in cells) == 0.7
    assert max(cell.redshift for cell in cells) == 3.15
    settings = make_settings("moons-lr", None, "moonz-grid")
    assert settings.galaxies == len(cells)
    assert settings.exposures == (3600.0, 7200.0, 28800.0)


def test_a_survey_of_the_grid_holds_its_cells() -> None:
    made = survey("moons-lr", 9, "moonz-grid", 2, exposure="2h", redshift=1.5, magnitude=21.0)
    assert_array_equal(made.truth["redshift"], 1.5)
    assert made.truth["m_h"] == pytest.approx(21.0, abs=1e-3)
    assert set(made.truth["velocity_dispersion"]) <= {150.0, 250.0, 350.0}
    keys = zip(made.truth["class"], made.truth["dust_av"], made.truth["velocity_dispersion"], strict=True)
    assert len(set(keys)) == 9


def test_types_of_the_grid_differ_as_their_names_say() -> None:
    made = survey("moons-lr", None, "moonz-grid", exposure="1h", redshift=1.0, magnitude=20.0, tier=0)
    kind, truth = made.truth["class"], made.truth
    width = truth["flux_Halpha"] / truth["flux_Halpha"][kind == "spiral"].mean()
    assert width[kind == "starburst"].mean() > 4
    assert width[kind == "early"].max() < 0.2
    assert truth["D4000n"][kind == "early"].min() > 1.6
    assert truth["D4000n"][kind == "starburst"].max() < 1.2


def test_sdss_can_be_simulated_too() -> None:
    made = survey("sdss", 3, exposure="45m")
    assert "m_r" in made.truth
    assert made.batch.usable.all()


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"population": "moonrice"}, UnknownNameError, "Did you mean 'moonrise'"),
    ({"instrument": "moon-lr"}, UnknownNameError, "Did you mean 'moons-lr'"),
    ({"n": 0}, SurveyError, "n must be a whole number of at least 1"),
    ({"n": 2.5}, SurveyError, "whole number"),
    ({"n": None}, SurveyError, "n=1000"),
    ({"seed": -1}, SurveyError, "seed must be"),
    ({"tier": 3}, SurveyError, "tier 3"),
    ({"exposure": 0}, ConditionsError, "exposure time must be positive"),
    ({"exposure": "-1h"}, ConditionsError, "cannot be understood"),
    ({"exposure": []}, SurveyError, "several different"),
    ({"exposure": ["1h", 3600]}, SurveyError, "several different"),
    ({"magnitude": 0.0}, SurveyError, "within 5 to 35"),
    ({"magnitude": (23, 21)}, SurveyError, "range"),
    ({"magnitude": "bright"}, SurveyError, "number"),
    ({"magnitude": float("nan")}, SurveyError, "range"),
    ({"redshift": (-0.1, 1.0)}, SurveyError, "within 0 to 6"),
    ({"population": "moonrise", "redshift": (0.1, 4.0)}, SurveyError, "within 0.2 to 3"),
    ({"population": "moonz-grid", "redshift": 0.72}, SurveyError, "multiples of 0.05"),
    ({"population": "moonz-grid", "n": 20000}, SurveyError, "14700"),
    ({"contaminants": {"star": 1.2}}, SurveyError, "add up to at most 1"),
    ({"contaminants": {"stars": 0.1}}, UnknownNameError, "Did you mean 'star'"),
    ({"mode": "nods"}, UnknownNameError, "Did you mean 'nod'"),
    ({"instrument": "generic"}, ConditionsError, "cannot be simulated"),
]


@pytest.mark.parametrize(("changed", "error", "told"), BAD, ids=[str(entry[0]) for entry in BAD])
def test_settings_that_make_no_sense_are_refused_with_reason(
    changed: dict[str, Any], error: type[Exception], told: str
) -> None:
    arguments: dict[str, Any] = {"instrument": "moons-lr", "n": 2, **changed}
    with pytest.raises(error) as caught:
        survey(**arguments)
    assert told in str(caught.value)


def test_settings_know_their_chunks() -> None:
    settings = make_settings(get_instrument("moons-lr"), 1000, exposure=["1h", "2h", "8h"])
    assert (settings.n, settings.rows_per_chunk, settings.n_chunks) == (3000, 255, 12)
    assert sum(len(settings.rows(k)) for k in range(settings.n_chunks)) == 1000
