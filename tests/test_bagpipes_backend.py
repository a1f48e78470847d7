"""The pieces of the bagpipes backend that need no bagpipes: description, options, prior, units, report, failures."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from galfit_ml.backend import Request
from galfit_ml.errors import GalfitMLError, PluginError, SpectrumError, UnknownNameError
from galfit_ml.flags import Flag
from galfit_ml.parameters import GALAXY
from galfit_ml.prepare import Preparation, Prepared, prepare
from galfit_ml.redshift_prior import RedshiftPrior, RedshiftPriors
from galfit_ml.registry import Registry
from galfit_ml.testing import default_instrument, toy_batch
from galfit_ml_bagpipes import galfit_ml_backends, isolated
from galfit_ml_bagpipes.backend import BagpipesBackend
from galfit_ml_bagpipes.cosmology import log_mass_shift
from galfit_ml_bagpipes.isolated import fit_isolated
from galfit_ml_bagpipes.job import Answer, Job
from galfit_ml_bagpipes.observed import IGNORED, Observed, observed
from galfit_ml_bagpipes.prior import Prior, RedshiftDensity
from galfit_ml_bagpipes.report import to_posterior
from galfit_ml_bagpipes.settings import Settings

(INFO,) = galfit_ml_backends()
INSTRUMENT = default_instrument(300.0, (0.05, 0.3))


def test_a_missing_library_is_told_with_what_to_type() -> None:
    info = replace(INFO, requires=("no_such_bagpipes",))
    registry = Registry({"bagpipes": info}, {"bagpipes": "bagpipes"}, {})
    (status,) = registry.statuses()
    assert not status.available
    assert status.problem == "missing library no_such_bagpipes. Install it with: pip install 'galfit-ml[bagpipes]'"
    with pytest.raises(PluginError, match="pip install 'galfit-ml"):
        registry.create("bagpipes", {})


def test_what_it_requires_is_bagpipes_and_its_sampler() -> None:
    assert INFO.requires == ("bagpipes", "nautilus")
    assert not INFO.tags.calibrated


def test_listing_backends_imports_no_bagpipes(fresh_python: Any) -> None:
    code = "import sys, galfit_ml_bagpipes; print({'bagpipes', 'nautilus', 'numpy'} & set(sys.modules))"
    assert fresh_python(code).stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_live": 5}, "at least 20 live points"),
        ({"n_live": 100, "max_calls": 50}, "as many calls"),
        ({"n_eff": 0}, "n_eff and max_seconds must be positive"),
        ({"max_seconds": -1.0}, "n_eff and max_seconds must be positive"),
        ({"calibration_order": 40}, "calibration_order must be None or 0 to 12"),
        ({"n_networks": -1}, "n_networks must be 0 or more"),
        ({"fixed": {"dust_av": 4.0}}, "outside its range, 0 to 3"),
        ({"fixed": {"redshift": 1.0}}, "redshift=0.7"),
        ({"fixed": {"dust_slop": 0.0}}, "Did you mean 'dust_slope'"),
    ],
)
def test_options_without_sense_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises((ValueError, UnknownNameError), match=words):
        BagpipesBackend(**options)


def test_the_backend_survives_pickling() -> None:
    backend = BagpipesBackend(n_live=77, fixed={"dust_slope": 0.0})
    assert pickle.loads(pickle.dumps(backend)).settings == backend.settings


def native(arms: list[np.ndarray], sigma: float = 2.0) -> Prepared:
    wave = np.concatenate(arms)
    shape = (1, len(wave))
    arm = np.concatenate([np.full(len(a), i) for i, a in enumerate(arms)])
    good = np.ones(shape, dtype=bool)
    return Prepared(
        wave, np.ones_like(wave), np.full(shape, 3.0), np.full(shape, 4.0), good, np.full(shape, sigma), arm
    )


def test_units_and_masked_pixels() -> None:
    spectrum = native([np.arange(5000.0, 5200.0)])
    spectrum.good[0, :3] = spectrum.good[0, 50] = False
    made = observed(spectrum, 0, relative=False)
    assert made.wavelength[0] == 5003.0
    assert made.flux[0] == pytest.approx(3e-17)
    assert made.error[0] == pytest.approx(0.5e-17)
    assert made.error[47] == IGNORED
    assert made.n_ignored == 1
    assert made.flux[47] != 0.0
    assert made.resolution[0] == pytest.approx(5003.0 / (2.3548 * 2.0), rel=1e-4)


def test_both_ends_of_a_gap_are_left_out_and_overlaps_are_cut() -> None:
    arms = [np.arange(5000.0, 5100.0), np.arange(5090.5, 5200.0), np.arange(5400.0, 5500.0)]
    made = observed(native(arms), 0, relative=False)
    assert np.all(np.diff(made.wavelength) > 0)
    ends = np.isin(made.wavelength, [5199.5, 5400.0])
    assert ends.sum() == 2
    assert not made.good[ends].any()
    assert made.n_ignored == 2


def test_relative_fluxes_are_given_a_scale_and_lose_it_again() -> None:
    made = observed(native([np.arange(5000.0, 5200.0)]), 0, relative=True)
    assert np.median(made.flux) == pytest.approx(1e-17)
    assert made.scale == pytest.approx(1 / 3)


def test_too_few_good_pixels_are_told() -> None:
    with pytest.raises(SpectrumError, match="only 20 good pixels, 50 are needed"):
        observed(native([np.arange(5000.0, 5020.0)]), 0, relative=False)


def job(**changes: Any) -> Job:
    spectrum = observed(native([np.arange(5000.0, 5200.0)]), 0, relative=False)
    prior = Prior(RedshiftDensity.of(RedshiftPrior(), 0.3, 0.5), (0.02,))
    made = Job(spectrum, prior, RedshiftPrior(0.3, 0.5), Settings(), np.zeros((7, 42)), 1, 100)
    return replace(made, **changes)


def answer(spectrum: Observed, **numbers: float) -> Answer:
    prior = Prior(RedshiftDensity.of(RedshiftPrior(), 0.3, 0.5), (0.02,))
    values = prior.transform(np.random.default_rng(0).random((100, len(prior.free))))
    derived = {name: np.full(100, 9.0) for name in ("log_stellar_mass", "log_living_mass", "log_age")}
    told = {"converged": 1.0, "scan_share": 1.0, "effective_samples": 100.0} | numbers
    best = {name: float(column[0]) for name, column in values.items()}
    flat = np.ones_like(spectrum.flux)
    return Answer(values, derived | {"log_sfr": np.zeros(100)}, best, spectrum.flux, flat, told, "1.3.6")


def test_what_is_reported() -> None:
    row = to_posterior("a", int(Flag.LSF_ASSUMED), job(), answer(job().observed))
    assert row.parameters is GALAXY
    shift = log_mass_shift(row["redshift"][0])
    np.testing.assert_allclose(row["log_stellar_mass"][0], 9.0 + shift)
    np.testing.assert_allclose(row["log_sfr"][0], shift)
    assert row.best_fit.chi2[0] == pytest.approx(0.0)
    assert row.best_fit.flux[0, 0] == pytest.approx(3.0)
    assert row.best_fit.ivar[0, 0] == pytest.approx(4.0)
    assert row.flags[0] & Flag.LSF_ASSUMED
    assert not row.flags[0] & Flag.NOT_CONVERGED


def test_flags_of_a_fit() -> None:
    doubtful = to_posterior("a", 0, job(), answer(job().observed, converged=0.0, scan_share=0.6)).flags[0]
    assert doubtful & Flag.NOT_CONVERGED
    assert doubtful & Flag.AMBIGUOUS_REDSHIFT
    assert not doubtful & Flag.NO_CLEAR_MINIMUM
    poor = replace(answer(job().observed), model=np.full(200, 9e-17))
    assert to_posterior("a", 0, job(), poor).flags[0] & Flag.POOR_FIT


def test_without_a_flux_scale_there_is_no_mass() -> None:
    row = to_posterior("a", int(Flag.RELATIVE_FLUX), job(), answer(job().observed))
    assert np.isnan(row["log_stellar_mass"]).all()
    assert np.isnan(row["log_sfr"]).all()
    assert np.isfinite(row["log_age"]).all()


def test_a_wide_range_is_searched_first() -> None:
    assert job().needs_scan
    narrow = RedshiftPrior(0.30, 0.31)
    assert not job(prior=Prior(RedshiftDensity.of(narrow, 0.30, 0.31))).needs_scan


def test_a_process_that_fails_is_told_with_its_last_words() -> None:
    with pytest.raises(GalfitMLError, match="the process that runs bagpipes failed: AttributeError"):
        fit_isolated("no job at all", lambda _: None)  # type: ignore[arg-type]


@pytest.mark.parametrize(("code", "words"), [(1, "failed: it said nothing"), (-9, "ended by signal 9")])
def test_a_process_that_dies_costs_one_row(code: int, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "_watch", lambda *_: code)
    batch, _ = toy_batch(INSTRUMENT, 2, 8.0, 1)
    told: list[tuple[int, int, str]] = []
    request = Request(60, 1, RedshiftPriors.free(2), lambda *call: told.append(call))
    row = BagpipesBackend().infer(batch, request)
    assert not row.ok.any()
    assert all(words in reason for reason in row.reasons)
    assert told[-1][:2] == (2, 2)


def test_the_stream_is_that_of_the_spectrum_not_of_what_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []

    def remember(asked: Job, _: Any) -> Answer:
        seeds.append(asked.seed)
        raise GalfitMLError("enough")

    monkeypatch.setattr("galfit_ml_bagpipes.backend.fit_isolated", remember)
    batch, _ = toy_batch(INSTRUMENT, 2, 8.0, 1)
    for rows in ([0, 1], [1, 0]):
        BagpipesBackend().infer(batch.take(rows), Request(60, 1, RedshiftPriors.free(2)))
    BagpipesBackend().infer(batch, Request(60, 2, RedshiftPriors.free(2)))
    assert seeds[:2] == seeds[2:4][::-1]
    assert len(set(seeds)) == 4


def test_native_pixels_of_a_real_batch_are_taken() -> None:
    batch, _ = toy_batch(INSTRUMENT, 1, 8.0, 1)
    made = observed(prepare(batch, Preparation()), 0, relative=False)
    assert made.good.sum() == (~batch.arms[0].bad).sum()
    assert math.isclose(float(np.median(made.resolution)), 300.0, rel_tol=1e-3)
