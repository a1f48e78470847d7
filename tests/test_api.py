"""`estimate`, `Estimator`, `backends`: the user's order, errors and options, on a fast backend for toy galaxies."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from conftest import FreshPython
from toy_backend import INSTRUMENT, ToyBackend

import galfit_ml
from galfit_ml import BackendInfo, Estimator, Flag, Posterior, api, backends, estimate
from galfit_ml.errors import PluginError, PriorError, SpectrumError, UnknownNameError
from galfit_ml.posterior import Floats
from galfit_ml.registry import BackendStatus, Registry
from galfit_ml.testing import toy_batch

TOY = BackendInfo("toy", "test_api:CountedToy", "a toy for the tests")
R = {"instrument": "generic:300"}


class CountedToy(ToyBackend):
    made = 0

    def __init__(self, depth: int = 1) -> None:
        type(self).made += 1
        self.depth = depth


@pytest.fixture(autouse=True)
def _toy_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy is the only backend installed."""
    registry = Registry({"toy": TOY}, {"toy": "tests"}, {})
    monkeypatch.setattr(api, "registry", lambda: registry)


def spectra(n: int, seed: int = 3, **changes: Any) -> tuple[list[Any], Floats]:
    """n specutils spectra of toy galaxies, every second one without its last 40 pixels, and their redshifts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # specutils and its plugins warn while they are imported
        from astropy import units as u
        from astropy.nddata import InverseVariance
        from specutils import Spectrum

    batch, truth = toy_batch(INSTRUMENT, n, 10.0, seed)
    (arm,) = batch.arms
    unit = u.Unit("1e-17 erg / (s cm2 AA)")
    made = []
    for i in range(n):
        keep = slice(0, len(arm.grid) - 40 * (i % 2))
        values: dict[str, Any] = {
            "flux": arm.flux[i, keep] * unit,
            "spectral_axis": arm.grid.centres[keep] * u.AA,
            "uncertainty": InverseVariance(arm.ivar[i, keep] / unit**2),
            "mask": arm.bad[i, keep],
        }
        made.append(Spectrum(**{**values, **changes}))
    return made, truth["redshift"]


def test_one_spectrum_gives_one_row() -> None:
    (spectrum,), redshift = spectra(1)
    posterior = estimate(spectrum, "toy", seed=5, n_samples=70, **R)
    assert isinstance(posterior, Posterior)
    assert posterior.draws.shape == (1, 70, 2)
    assert posterior.ok.all()
    low, high = posterior.interval(0.999)["redshift"][0]
    assert low - 2e-3 < redshift[0] < high + 2e-3
    made = posterior.provenance
    assert (made["backend"], made["seed"], made["galfit_ml"]) == ("toy", "5", galfit_ml.__version__)
    assert made["kind"] == "toy", "what the backend itself recorded is kept"


def test_rows_come_in_the_users_order_whatever_their_grids() -> None:
    given, redshift = spectra(6)
    together = estimate(given, "toy", seed=5, n_samples=70, **R)
    assert np.abs(together.median()["redshift"] - redshift).max() < 2e-3
    for i in range(6):
        alone = estimate(given[i], "toy", seed=5, n_samples=70, **R)
        np.testing.assert_allclose(alone.draws[0], together.draws[i], rtol=1e-5)


def test_a_batch_of_50_with_5_broken_ones_returns_50_rows_in_order() -> None:
    given, redshift = spectra(50)
    broken = [3, 14, 15, 40, 49]
    given[3].mask[:] = True
    given[14].flux[:] = np.nan * given[14].flux.unit
    given[15].uncertainty.array[:] = 0.0
    given[40] = "no/such/file.fits"
    given[49] = "neither spectrum nor file"
    posterior = estimate(given, "toy", seed=1, n_samples=50, ids=[f"galaxy-{i}" for i in range(50)], **R)
    assert posterior.ids == tuple(f"galaxy-{i}" for i in range(50))
    assert np.flatnonzero(~posterior.ok).tolist() == broken
    assert [bool(reason) for reason in posterior.reasons] == [i in broken for i in range(50)]
    assert "no/such/file.fits" in posterior.reasons[40]
    assert np.isnan(posterior.draws[broken]).all()
    good = posterior.ok
    assert np.abs(posterior.median()["redshift"] - redshift)[good].max() < 2e-3


def test_the_only_spectrum_that_cannot_be_used_is_an_error() -> None:
    (spectrum,), _ = spectra(1)
    empty = spectra(1, mask=np.ones(spectrum.shape, bool))[0][0]
    with pytest.raises(SpectrumError, match="masked"):
        estimate(empty, "toy", **R)
    posterior = estimate([empty], "toy", **R)
    assert not posterior.ok[0], "in a list it is a flagged row"


def test_a_spectrum_that_the_backend_refuses_is_an_error_too() -> None:
    (spectrum,), _ = spectra(1)
    few = np.ones(spectrum.shape, bool)
    few[100:112] = False
    with pytest.raises(SpectrumError, match="fewer than 20 good pixels"):
        estimate(spectra(1, mask=few)[0][0], "toy", **R)


def test_seeds_make_draws_repeatable() -> None:
    (spectrum,), _ = spectra(1)
    one, two, other = (estimate(spectrum, "toy", seed=seed, n_samples=50, **R) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.draws, two.draws)
    assert not np.array_equal(one.draws, other.draws)


def test_without_a_seed_every_call_is_fresh_and_records_its_seed() -> None:
    (spectrum,), _ = spectra(1)
    one, two = (estimate(spectrum, "toy", n_samples=50, **R) for _ in range(2))
    assert not np.array_equal(one.draws, two.draws)
    again = estimate(spectrum, "toy", seed=int(one.provenance["seed"]), n_samples=50, **R)
    np.testing.assert_array_equal(one.draws, again.draws)


def test_the_input_is_not_modified() -> None:
    given, _ = spectra(2)
    before = [(s.flux.copy(), s.uncertainty.array.copy(), s.mask.copy(), s.spectral_axis.copy()) for s in given]
    estimate(given, "toy", seed=1, n_samples=50, **R)
    for spectrum, (flux, uncertainty, mask, axis) in zip(given, before, strict=True):
        assert (spectrum.flux == flux).all()
        assert (spectrum.uncertainty.array == uncertainty).all()
        assert (spectrum.mask == mask).all()
        assert (spectrum.spectral_axis == axis).all()


def test_one_redshift_prior_per_spectrum_in_the_users_order() -> None:
    from scipy.stats import uniform

    given, truth = spectra(5)
    narrow = (truth[1] - 0.01, truth[1])
    priors = [truth[0], narrow, None, uniform(truth[3], 0.02), 0.11]
    draws = estimate(given, "toy", redshift=priors, seed=1, n_samples=60, **R)["redshift"]
    assert (draws[0] == truth[0]).all()
    assert narrow[0] <= draws[1].min() <= draws[1].max() <= narrow[1]
    assert draws[2].std() > 0
    assert truth[3] <= draws[3].min() <= draws[3].max() <= truth[3] + 0.02
    assert (draws[4] == 0.11).all()


@pytest.mark.parametrize(
    ("redshift", "words"),
    [
        (9.0, "redshift=9 lies outside what the galaxy model covers"),
        ((7.0, 8.0), "lies outside"),
        ((0.5, 0.2), "empty or negative"),
        ([0.1, 0.2, 0.3], "3 entries for 2 spectra"),
        ("near", "is not understood"),
    ],
)
def test_a_prior_that_cannot_be_is_refused(redshift: Any, words: str) -> None:
    given, _ = spectra(2)
    with pytest.raises(PriorError, match=words):
        estimate(given, "toy", redshift=redshift, **R)


def test_the_redshift_of_a_spectrum_is_not_a_prior() -> None:
    (spectrum,), redshift = spectra(1, redshift=0.55)
    assert spectrum.redshift.value == pytest.approx(0.55)
    draws = estimate(spectrum, "toy", seed=1, n_samples=50, **R)["redshift"]
    assert abs(np.median(draws) - redshift[0]) < 2e-3


def test_progress_counts_all_spectra_across_groups() -> None:
    given, _ = spectra(5)
    calls: list[tuple[int, int, str]] = []
    estimate(given, "toy", seed=1, n_samples=50, progress=lambda *call: calls.append(call), **R)
    assert [done for done, _, _ in calls] == [1, 2, 3, 4, 5]
    assert {total for _, total, _ in calls} == {5}


def test_an_estimator_loads_its_backend_once() -> None:
    (spectrum,), _ = spectra(1)
    before = CountedToy.made
    estimator = Estimator("toy", depth=3)
    for seed in (1, 2):
        posterior = estimator.estimate(spectrum, seed=seed, n_samples=50, **R)
    assert CountedToy.made == before + 1
    assert estimator.backend.depth == 3
    assert posterior.provenance["options"] == "{'depth': 3}"


def test_options_are_sorted_between_reader_and_backend() -> None:
    (spectrum,), redshift = spectra(1)
    air = estimate(spectrum, "toy", seed=1, n_samples=50, medium="air", depth=2, **R)
    shift = air.median()["redshift"][0] - redshift[0]
    assert shift / (1 + redshift[0]) == pytest.approx(2.77e-4, abs=5e-5), "83 km/s between air and vacuum"


def test_an_unknown_option_is_suggested() -> None:
    (spectrum,), _ = spectra(1)
    with pytest.raises(UnknownNameError, match="No option of backend 'toy' 'dept'. Did you mean 'depth'"):
        estimate(spectrum, "toy", dept=2)


def test_an_unknown_backend_is_suggested() -> None:
    with pytest.raises(UnknownNameError, match=r"No backend 'toi'. Did you mean 'toy'\? Installed: toy."):
        estimate("a path that is never opened", "toi")


@pytest.mark.parametrize("n_samples", [0, -3])
def test_at_least_one_draw(n_samples: int) -> None:
    (spectrum,), _ = spectra(1)
    with pytest.raises(ValueError, match="n_samples must be at least 1"):
        estimate(spectrum, "toy", n_samples=n_samples, **R)


def test_relative_flux_gives_a_redshift_but_no_mass() -> None:
    from astropy import units as u

    (counts,), redshift = spectra(1)
    relative = type(counts)(flux=counts.flux.value * 1e17 * u.ct, spectral_axis=counts.spectral_axis)
    posterior = estimate(relative, "toy", seed=1, n_samples=50, **R)
    assert posterior.flags[0] & Flag.RELATIVE_FLUX
    assert np.isnan(posterior["log_stellar_mass"]).all()
    assert abs(posterior.median()["redshift"][0] - redshift[0]) < 5e-3


def test_backends_lists_name_summary_and_availability() -> None:
    assert backends() == [BackendStatus("toy", "a toy for the tests", True, "", "tests")]


@pytest.mark.parametrize(
    ("installed", "chosen"),
    [(("emcee", "cnn"), "cnn"), (("emcee", "toy"), "emcee"), (("toy",), "toy"), (("broken", "toy"), "toy")],
)
def test_the_default_is_the_network_then_emcee_then_any(
    installed: tuple[str, ...], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    infos = {n: BackendInfo(n, "no_such_library:X" if n == "broken" else TOY.target, "") for n in installed}
    monkeypatch.setattr(api, "registry", lambda: Registry(infos, dict.fromkeys(infos, "tests"), {}))
    assert api.default_backend() == chosen
    assert Estimator().name == chosen


def test_each_instrument_goes_to_the_first_backend_that_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    infos = {n: BackendInfo(n, TOY.target, "", instruments=own) for n, own in (("cnn", ("moons-lr",)), ("toy", ()))}
    monkeypatch.setattr(api, "registry", lambda: Registry(infos, dict.fromkeys(infos, "tests"), {}))
    estimator = Estimator()
    assert estimator.name == "cnn"
    assert [estimator.serving(name)[0] for name in ("moons-lr", "sdss")] == ["cnn", "toy"]
    assert estimator.serving("sdss")[1] is estimator.serving("boss")[1]
    assert Estimator("cnn").serving("sdss")[0] == "cnn"  # who names one gets it
    (one,), _ = spectra(1)
    assert estimator.estimate(one, n_samples=20, seed=1, **R).provenance["backend"] == "toy"


def test_options_go_to_the_backend_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first choice, which does not know the option, is not even made."""
    infos = {
        "cnn": BackendInfo("cnn", "json:JSONDecoder", "", instruments=("moons-lr",)),
        "toy": BackendInfo("toy", TOY.target, ""),
    }
    monkeypatch.setattr(api, "registry", lambda: Registry(infos, dict.fromkeys(infos, "tests"), {}))
    (one,), _ = spectra(1)
    assert estimate(one, depth=3, n_samples=20, seed=1, **R).provenance["backend"] == "toy"
    with pytest.raises(UnknownNameError, match="option of backend 'toy'"):
        estimate(one, colour=3, n_samples=20, seed=1, **R)


def test_where_no_backend_reads_an_instrument_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    infos = {"cnn": BackendInfo("cnn", TOY.target, "", instruments=("moons-lr",))}
    monkeypatch.setattr(api, "registry", lambda: Registry(infos, {"cnn": "tests"}, {}))
    with pytest.raises(PluginError, match="No backend is available"):
        Estimator().serving("sdss")


def test_without_any_backend_the_error_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "registry", lambda: Registry({}, {}, {"cnn": "ImportError: no torch"}))
    with pytest.raises(PluginError, match="See why with `galfit-ml backends`"):
        estimate("a path that is never opened")


def test_the_public_names_are_few_and_resolve() -> None:
    assert len(galfit_ml.__all__) <= 15
    assert all(getattr(galfit_ml, name) is not None for name in galfit_ml.__all__)
    assert set(galfit_ml.__all__) <= set(dir(galfit_ml))
    with pytest.raises(AttributeError, match="no attribute 'fit'"):
        _ = galfit_ml.fit


def test_importing_estimate_loads_neither_torch_nor_astropy(fresh_python: FreshPython) -> None:
    fresh_python(
        "import sys; from galfit_ml import estimate; assert not {'torch', 'astropy', 'specutils'} & set(sys.modules)"
    )
