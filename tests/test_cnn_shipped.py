"""The weights that ship: what a user of MOONS spectra gets from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from galfit_ml import estimate
from galfit_ml.api import default_backend
from galfit_ml.backend import Request, Tags
from galfit_ml.calibration import levels_of
from galfit_ml.errors import FileFormatError
from galfit_ml.flags import Flag
from galfit_ml.instruments import Instrument, get_instrument
from galfit_ml.parameters import GALAXY
from galfit_ml.posterior import Posterior
from galfit_ml.redshift_prior import RedshiftPrior, RedshiftPriors
from galfit_ml.simulate import survey
from galfit_ml.simulate.surveys import MockSurvey
from galfit_ml.spectra import SpectrumBatch
from galfit_ml.testing import parametrize_with_checks
from galfit_ml_cnn import backend as backends
from galfit_ml_cnn.backend import CnnBackend
from galfit_ml_cnn.weights import load, shipped

MOONS = get_instrument("moons-lr")


def mocks(instrument: Instrument, n: int, _snr: float, seed: int) -> tuple[SpectrumBatch, dict[str, np.ndarray]]:
    """What the network promises to be calibrated on: the simulator's own noise, not white noise."""
    made = survey(instrument, n, seed=seed, exposure="8h", magnitude=(20.0, 22.0))
    return made.batch, {name: np.asarray(made.truth[name], dtype=np.float64) for name in GALAXY.names}


@parametrize_with_checks([CnnBackend], tags=Tags(embedding=True), instrument=MOONS, n_samples=100, simulator=mocks)
@pytest.mark.slow
def test_contract(check: Callable[[], object]) -> None:
    assert check() is not None


@pytest.fixture(scope="module")
def cnn() -> CnnBackend:
    return CnnBackend()


@pytest.fixture(scope="module")
def bright() -> MockSurvey:
    return survey("moons-lr", 160, seed=9001, exposure="8h", magnitude=(18.0, 21.0))


def infer(cnn: CnnBackend, batch: SpectrumBatch, n_samples: int = 100, **more: object) -> Posterior:
    return cnn.infer(batch, replace(Request(n_samples, 1, RedshiftPriors.free(len(batch))), **more))


def right(posterior: Posterior, made: MockSurvey) -> np.ndarray:
    z = made.truth["redshift"]
    return np.abs(posterior.diagnostics["redshift_1"] - z) < 0.0033 * (1 + z)


# The file.


def test_the_file_is_small_and_tells_where_it_comes_from() -> None:
    path = shipped("moons-lr")
    assert path.stat().st_size <= 8_000_000
    trained = load(path)
    assert trained.calibrated is not None
    assert {"recipe", "steps", "spectra", "galfit_ml", "stellar_grid", "validation", "calibration"} <= set(
        trained.about
    )
    assert trained.about["recipe"]["seed"] == 0
    assert path.with_name("moons-lr.log.jsonl").is_file()


def test_no_weights_says_what_to_type() -> None:
    with pytest.raises(
        FileFormatError, match=r"No weights for 'desi'.*galfit-ml train desi --out run/.*backend='emcee'"
    ):
        CnnBackend().trained_for("desi")


# The answers.


def test_it_answers_where_no_backend_is_named(bright: MockSurvey) -> None:
    assert default_backend("moons-lr") == "cnn"
    assert default_backend("desi") == "emcee"
    posterior = estimate(bright.batch.take([0, 1]), n_samples=50, seed=1)
    assert posterior.provenance["backend"] == "cnn"
    assert posterior.draws.shape == (2, 50, len(GALAXY))


def test_bright_galaxies_have_their_redshift(cnn: CnnBackend, bright: MockSurvey) -> None:
    assert right(infer(cnn, bright.batch, 20), bright).mean() > 0.97


def test_masses_of_bright_galaxies_are_right(cnn: CnnBackend, bright: MockSurvey) -> None:
    found = infer(cnn, bright.batch)
    difference = found.median()["log_stellar_mass"] - bright.truth["log_stellar_mass"]
    assert abs(np.median(difference)) < 0.08
    assert 0.5 * np.diff(np.quantile(difference, [0.16, 0.84]))[0] < 0.3


def test_calibration_moves_the_draws_and_can_be_left_out(bright: MockSurvey) -> None:
    own, plain = (infer(CnnBackend(calibrated=flag), bright.batch.take(range(8))) for flag in (True, False))
    assert not np.array_equal(own["log_sfr"], plain["log_sfr"])
    assert np.median(np.abs(own["log_sfr"] - plain["log_sfr"])) < 0.5


def test_points_are_the_middle_of_the_draws(cnn: CnnBackend, bright: MockSurvey) -> None:
    own, many = (
        CnnBackend(point=True).infer(bright.batch, Request(1, 1, RedshiftPriors.free(160))),
        infer(cnn, bright.batch),
    )
    assert right(own, bright).mean() > 0.97
    both = right(own, bright) & right(many, bright)
    for name in ("log_stellar_mass", "dust_av"):
        away = (own[name][:, 0] - many.median()[name]) / (many.quantile(name, 0.84) - many.quantile(name, 0.16))
        assert np.abs(away[both]).mean() < 0.4


def test_a_missing_arm_degrades_and_does_not_break(cnn: CnnBackend, bright: MockSurvey) -> None:
    arms = list(bright.batch.arms)
    arms[0] = replace(arms[0], bad=np.ones_like(arms[0].bad))
    without = infer(cnn, replace(bright.batch, arms=tuple(arms)), 20)
    assert without.ok.all()
    assert right(without, bright).mean() > 0.8


def test_spectra_upside_down_are_flagged(cnn: CnnBackend, bright: MockSurvey) -> None:
    arms = tuple(replace(arm, flux=-arm.flux) for arm in bright.batch.arms)
    strange = infer(cnn, replace(bright.batch, arms=arms), 20)
    known = infer(cnn, bright.batch, 20)
    share = [(one.flags & Flag.OUT_OF_DISTRIBUTION != 0).mean() for one in (known, strange)]
    assert share[0] < 0.02
    assert share[1] > 0.9


def test_stars_and_quasars_are_flagged(cnn: CnnBackend) -> None:
    others = {"star": 0.4, "quasar": 0.4}
    made = survey("moons-lr", 100, seed=9003, exposure="8h", magnitude=(18.0, 21.0), contaminants=others)
    strange = (infer(cnn, made.batch, 20).flags & Flag.OUT_OF_DISTRIBUTION) != 0
    assert strange[np.isin(np.asarray(made.truth["class"]), list(others))].mean() > 0.9


def test_one_line_has_several_redshifts(cnn: CnnBackend, bright: MockSurvey) -> None:
    """A line alone on noise may be any of the strong ones: the posterior keeps them apart, and ranks them."""
    rng, where, arms = np.random.default_rng(0), 12500.0, []
    for arm in bright.batch.take([0]).arms:
        noise = 1 / np.sqrt(np.where(arm.ivar > 0, arm.ivar, np.inf))
        depth = np.median(noise[noise > 0])
        line = 8 * depth * np.exp(-0.5 * ((arm.grid.centres - where) / 4.0) ** 2)
        arms.append(replace(arm, flux=line + noise * rng.standard_normal(noise.shape)))
    told = infer(cnn, replace(bright.batch.take([0]), arms=tuple(arms))).diagnostics
    share, found = (np.array([told[f"redshift{kind}_{k}"][0] for k in range(1, 6)]) for kind in ("_probability", ""))
    assert (np.diff(share) <= 1e-9).all()
    strong = where / np.array([6564.6, 6585.3, 5008.2, 4960.3, 4862.7, 3728.5, 9071.1, 9533.2, 10833.3, 1215.7]) - 1
    near = np.abs(found[:, None] - strong).min(axis=1) < 0.01 * (1 + found)
    assert ((share > 0.02) & near).sum() >= 2


def test_properties_at_a_known_redshift_cover_the_truth(cnn: CnnBackend, bright: MockSurvey) -> None:
    """Redshifts as catalogues have them, numpy's numbers."""
    priors = RedshiftPriors(tuple(RedshiftPrior(z, z) for z in np.asarray(bright.truth["redshift"])))
    made = infer(cnn, bright.batch, 200, redshift=priors)
    for name in ("log_stellar_mass", "dust_av", "log_metallicity", "log_age"):
        inside = np.abs(levels_of(made[name], np.asarray(bright.truth[name], float)) - 0.5) < 0.34
        assert inside.mean() == pytest.approx(0.68, abs=4 * np.sqrt(0.68 * 0.32 / 160))


def test_a_redshift_that_is_known_is_kept_and_leaves_no_quality(cnn: CnnBackend, bright: MockSurvey) -> None:
    priors = RedshiftPriors((RedshiftPrior(1.25, 1.25), RedshiftPrior(1.0, 1.5), RedshiftPrior()))
    made = infer(cnn, bright.batch.take([0, 1, 2]), redshift=priors)
    assert (made["redshift"][0] == 1.25).all()
    assert ((made["redshift"][1] >= 1.0) & (made["redshift"][1] <= 1.5)).all()
    assert np.isnan(made.diagnostics["redshift_quality"]).tolist() == [True, True, False]


# Memory.


def test_out_of_memory_halves_the_batch_and_says_so(
    cnn: CnnBackend, bright: MockSurvey, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = infer(cnn, bright.batch.take(range(12)), 20)
    plain = backends.draw

    def short(network: object, inputs: object, *rest: object) -> object:
        if len(inputs) > 4:  # type: ignore[arg-type]
            raise MemoryError
        return plain(network, inputs, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(backends, "draw", short)
    with pytest.warns(RuntimeWarning, match=r"Out of memory with \d+ spectra at once; going on with \d"):
        made = infer(cnn, bright.batch.take(range(12)), 20)
    np.testing.assert_allclose(made.draws, whole.draws, rtol=1e-4, atol=1e-4)


def test_one_spectrum_too_many_is_a_clear_error(
    cnn: CnnBackend, bright: MockSurvey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> object:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(backends, "draw", never)
    with (
        pytest.warns(RuntimeWarning, match="going on with 1"),
        pytest.raises(backends.MemoryShortage, match="not enough memory for one spectrum"),
    ):
        infer(cnn, bright.batch.take([0, 1]), 20)


def test_another_error_is_not_taken_for_a_shortage(
    cnn: CnnBackend, bright: MockSurvey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> object:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(backends, "draw", broken)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        infer(cnn, bright.batch.take([0]), 20)
