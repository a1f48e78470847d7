"""The weights for SDSS and BOSS: on mocks, on the example that ships, and on real spectra where there are some."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import InverseVariance
from specutils import Spectrum

from benchmarks.real.answers import answers
from benchmarks.real.scores import narrow_galaxies, warned
from galfit_ml import Estimator, estimate
from galfit_ml.api import default_backend
from galfit_ml.backend import Request, Tags
from galfit_ml.benchmark.real_folder import read_real
from galfit_ml.demo import example_path
from galfit_ml.errors import FileFormatError
from galfit_ml.flags import Flag
from galfit_ml.instruments import Instrument, get_instrument
from galfit_ml.parameters import GALAXY
from galfit_ml.posterior import Posterior
from galfit_ml.redshift_prior import RedshiftPriors
from galfit_ml.simulate import survey
from galfit_ml.simulate.surveys import MockSurvey
from galfit_ml.spectra import SpectrumBatch
from galfit_ml.testing import parametrize_with_checks
from galfit_ml_cnn.backend import CnnBackend
from galfit_ml_cnn.weights import load, shipped

SDSS = get_instrument("sdss")


def mocks(instrument: Instrument, n: int, _snr: float, seed: int) -> tuple[SpectrumBatch, dict[str, np.ndarray]]:
    made = survey(instrument, n, seed=seed, exposure="55m", magnitude=(16.0, 19.0))
    return made.batch, {name: np.asarray(made.truth[name], dtype=np.float64) for name in GALAXY.names}


@parametrize_with_checks([CnnBackend], tags=Tags(embedding=True), instrument=SDSS, n_samples=100, simulator=mocks)
@pytest.mark.slow
def test_contract(check: Callable[[], object]) -> None:
    assert check() is not None


@pytest.fixture(scope="module")
def cnn() -> CnnBackend:
    return CnnBackend()


def infer(cnn: CnnBackend, made: MockSurvey, n_draws: int = 100) -> Posterior:
    return cnn.infer(made.batch, Request(n_draws, 1, RedshiftPriors.free(len(made))))


def test_one_file_serves_both_instruments_and_says_what_it_was_made_from() -> None:
    assert shipped("sdss") == shipped("boss")
    assert shipped("sdss").stat().st_size < 16e6
    trained = load(shipped("sdss"))
    assert trained.instruments == ("sdss", "boss")
    assert {"recipe", "steps", "spectra", "stellar_grid", "validation", "calibration"} <= set(trained.about)
    assert trained.about["recipe"]["mismatch"] == 1.0
    with pytest.raises(FileFormatError, match="No weights for 'desi' come with this version; there are some for: boss"):
        shipped("desi")


def test_the_network_is_chosen_for_what_it_reads() -> None:
    assert [default_backend(name) for name in ("sdss", "boss", "moons-lr", "desi")] == ["cnn", "cnn", "cnn", "emcee"]


@pytest.mark.parametrize(("instrument", "magnitude", "exposure"), [("sdss", 17.0, "55m"), ("boss", 19.0, "75m")])
def test_mocks_have_their_redshift_and_their_mass(
    cnn: CnnBackend, instrument: str, magnitude: float, exposure: str
) -> None:
    made = survey(instrument, 60, seed=9101, exposure=exposure, magnitude=(magnitude, magnitude + 1))
    found = infer(cnn, made)
    z = np.asarray(made.truth["redshift"])
    right = np.abs(found.diagnostics["redshift_1"] - z) < 0.001 * (1 + z)
    assert right.mean() > 0.96
    difference = (found.median()["log_stellar_mass"] - np.asarray(made.truth["log_stellar_mass"]))[right]
    assert abs(np.median(difference)) < 0.1
    assert 0.5 * np.diff(np.quantile(difference, [0.16, 0.84]))[0] < 0.3


def test_stars_and_quasars_are_flagged_and_galaxies_are_not(cnn: CnnBackend) -> None:
    others = {"star": 0.3, "quasar": 0.3}
    made = survey("sdss", 150, seed=9102, exposure="55m", magnitude=(15.0, 19.0), contaminants=others)
    found = infer(cnn, made, 50)
    strange = (found.flags & Flag.OUT_OF_DISTRIBUTION) != 0
    kind = np.asarray(made.truth["class"])
    assert strange[np.isin(kind, list(others))].mean() > 0.9
    assert strange[~np.isin(kind, list(others))].mean() < 0.05
    sure = found.diagnostics["galaxy_probability"]
    assert np.median(sure[strange]) < 0.1 < 0.9 < np.median(sure[~strange])


@pytest.mark.parametrize("value", [1e15, 1e22, -1e30])
def test_a_fill_value_fails_its_row_and_no_other(cnn: CnnBackend, value: float) -> None:
    batch = survey("sdss", 3, seed=9104, exposure="55m", magnitude=(16.0, 17.0)).batch
    flux = batch.arms[0].flux.copy()
    flux[1, 2000:2002] = value
    ivar = np.where(flux == value, 1.0, batch.arms[0].ivar)
    arm = replace(batch.arms[0], flux=flux, ivar=ivar, bad=batch.arms[0].bad & (flux != value))
    found = cnn.infer(replace(batch, arms=(arm,)), Request(20, 1, RedshiftPriors.free(3)))
    assert list(found.ok) == [True, False, True]
    assert "mask fill values" in found.reasons[1]


def test_the_example_galaxy_has_its_redshift_and_says_why() -> None:
    found = estimate(example_path(), seed=1, n_samples=200)
    assert found.provenance["backend"] == "cnn"
    assert found.median()["redshift"][0] == pytest.approx(0.0037627, abs=1e-4)
    shares = found.saliency("redshift").shares()
    assert shares["elsewhere"][0] < 0.5


def test_spectra_of_another_survey_work_where_they_overlap_or_say_why_not(cnn: CnnBackend) -> None:
    """A spectrum of 4200-7200 angstrom, called SDSS by the user; and one of DESI, whose arms and LSF are others."""
    made = survey("sdss", 30, seed=9103, exposure="55m", magnitude=(16.0, 17.5), redshift=(0.02, 0.3))
    arm = made.batch.arms[0]
    wave = arm.grid.centres
    part = (wave > 4200) & (wave < 7200)
    spectra = [
        Spectrum(
            flux=flux[part] * 1e-17 * u.Unit("erg / (s cm2 AA)"),
            spectral_axis=wave[part] * u.AA,
            uncertainty=InverseVariance(ivar[part] * 1e34 * u.Unit("erg / (s cm2 AA)") ** -2),
            mask=bad[part],
        )
        for flux, ivar, bad in zip(arm.flux, arm.ivar, arm.bad, strict=True)
    ]
    found = estimate(spectra, "cnn", instrument="sdss", n_samples=50, seed=1)
    z = np.asarray(made.truth["redshift"])
    assert (np.abs(found.diagnostics["redshift_1"] - z) < 0.002 * (1 + z)).mean() > 0.8
    with pytest.raises(FileFormatError, match="No weights for 'desi'.*backend='emcee'"):
        estimate(spectra[0], "cnn", instrument="desi")


# Real spectra.


@pytest.mark.slow
def test_real_galaxies_have_their_redshift_and_are_not_flagged(real_data: Path) -> None:
    """The benchmark (docs/network_sdss.md) has the numbers; here every galaxy of the set, with few draws."""
    table = answers(read_real(real_data, "sdss_cosmicds"), Estimator("cnn"), 60, 1)
    galaxies = narrow_galaxies(table)
    error = table["z_error"].to_numpy()[galaxies]
    assert (np.abs(error) < 0.001).mean() >= 0.998
    assert 1.4826 * np.median(np.abs(error - np.median(error))) < 5e-5
    assert abs(np.median(error)) * 299792.458 < 10
    assert warned(table)[galaxies].mean() <= 0.02


@pytest.mark.slow
def test_real_stars_and_quasars_are_flagged(real_data: Path) -> None:
    table = answers(read_real(real_data, "sdss_small"), Estimator("cnn"), 60, 1)
    others = table["class"].isin(["STAR", "QSO"]).to_numpy()
    assert warned(table)[others].mean() >= 0.9
    sure = ((table["class"] == "GALAXY") & (table["zwarn"] == 0)).to_numpy()
    assert (np.abs(table["z_error"].to_numpy()[sure]) < 0.003).all()
