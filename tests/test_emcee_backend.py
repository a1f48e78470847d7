"""The whole emcee backend: simulated galaxies, bad input, workers, and runs that are stopped."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from galfit_ml import estimate
from galfit_ml.backend import Request
from galfit_ml.demo import example_path
from galfit_ml.errors import OutputExistsError, PriorError
from galfit_ml.flags import Flag
from galfit_ml.parameters import GALAXY
from galfit_ml.posterior import Posterior
from galfit_ml.redshift_prior import RedshiftPriors
from galfit_ml.spectra import ArmSpectra, SpectrumBatch
from galfit_ml.testing import default_instrument, simulated_batch
from galfit_ml_emcee.backend import EmceeBackend

Mocks = tuple[SpectrumBatch, dict[str, np.ndarray]]

INSTRUMENT = default_instrument(600.0, redshift_range=(0.05, 0.5))


def quick(**options: Any) -> EmceeBackend:
    """Too short to be trusted, long enough to show what is wrong."""
    return EmceeBackend(**{"effort": 0.2, "max_steps": 20, "n_effective": 100.0, **options})


def free(n: int, n_samples: int = 200) -> Request:
    return Request(n_samples, 5, RedshiftPriors.free(n))


@pytest.fixture(scope="module")
def mocks() -> Mocks:
    return simulated_batch(INSTRUMENT, 2, 25.0, 11)


@pytest.fixture(scope="module")
def posterior(mocks: Mocks) -> Posterior:
    return quick().infer(mocks[0], free(2))


def with_arm(batch: SpectrumBatch, **arrays: np.ndarray) -> SpectrumBatch:
    """The batch with other arrays in its only arm."""
    return replace(batch, arms=(replace(batch.arms[0], **arrays),))


def test_truth_lies_within_the_posterior(posterior: Posterior, mocks: Mocks) -> None:
    for name, slack in (("redshift", 2e-4), ("log_stellar_mass", 0.15), ("dust_av", 0.2)):
        spread = posterior[name].std(axis=1)
        miss = np.abs(posterior.median()[name] - mocks[1][name])
        assert np.all(miss < 5 * spread + slack), name


def test_best_model_reproduces_the_data_and_says_what_was_corrected(posterior: Posterior) -> None:
    fit = posterior.best_fit
    assert fit is not None
    assert fit.calibration is not None
    assert fit.noise_scale is not None
    np.testing.assert_allclose(fit.chi2 / fit.n_good, 1.0, atol=0.25)
    np.testing.assert_allclose(fit.noise_scale, 1.0, atol=0.15)
    assert np.abs(fit.calibration[fit.good] - 1).max() < 0.6


def test_histories_carry_the_mass_and_the_star_formation_rate(posterior: Posterior) -> None:
    histories = posterior.histories
    assert histories is not None
    n = histories.sfr.shape[1]
    young = histories.lookback[1:] <= 1.001e8  # the next bin holds some of the last 100 Myr, and what is older
    rate = (histories.sfr[:, :, young] * np.diff(histories.lookback)[young]).sum(axis=2) / 1e8
    np.testing.assert_allclose(np.log10(rate), posterior["log_sfr"][:, :n], atol=0.1)
    formed = np.log10(np.nansum(histories.sfr * np.diff(histories.lookback), axis=2))
    lost = formed - posterior["log_stellar_mass"][:, :n]
    assert np.all((lost > 0.0) & (lost < 0.45))
    assert np.isnan(histories.sfr[..., -1]).all() or histories.lookback[-2] < 1.38e10


def test_trace_and_diagnostics_are_there(posterior: Posterior) -> None:
    assert posterior.trace is not None
    assert posterior.trace.values.shape[0] == 2
    for name in ("acceptance", "split_rhat", "predictive_p", "noise_scale", "chi2_per_pixel"):
        assert np.isfinite(posterior.diagnostics[name]).all(), name
    assert np.all(posterior.diagnostics["redshift_probability_1"] > 0.9)
    for draw in (posterior.plot_trace, posterior.plot_history, posterior.plot_fit):
        draw(0)


def test_an_unfinished_chain_is_flagged(mocks: Mocks) -> None:
    short = quick(max_steps=2).infer(mocks[0].take([0]), free(1, 50))
    assert short.flags[0] & Flag.NOT_CONVERGED
    assert short.diagnostics["effective_samples"][0] < 100


def test_same_draws_alone_in_a_batch_and_with_workers(posterior: Posterior, mocks: Mocks) -> None:
    alone = quick().infer(mocks[0].take([1]), free(1))
    np.testing.assert_array_equal(alone.draws[0], posterior.draws[1])
    two = quick(workers=2).infer(mocks[0], free(2))
    np.testing.assert_array_equal(two.draws, posterior.draws)
    assert two.ids == mocks[0].ids


def test_fixed_redshift_is_exact(mocks: Mocks) -> None:
    z = float(mocks[1]["redshift"][0])
    result = quick().infer(mocks[0].take([0]), Request(50, 5, RedshiftPriors.parse(z, 1)))
    assert np.all(result["redshift"] == z)
    assert np.ptp(result["log_stellar_mass"]) > 0
    assert np.isnan(result.diagnostics["effective_redshift"][0])


def test_a_users_distribution_shapes_the_posterior(mocks: Mocks) -> None:
    """A prior far sharper than the data: the posterior is the prior, shifted by what the data say."""
    z = float(mocks[1]["redshift"][0])
    request = Request(400, 5, RedshiftPriors.parse(norm(z, 2e-6), 1))
    result = quick(max_steps=80).infer(mocks[0].take([0]), request)
    assert np.median(result["redshift"]) == pytest.approx(z, abs=4e-6)
    assert result["redshift"].std() == pytest.approx(2e-6, rel=0.5)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda arm: {"bad": np.arange(len(arm.grid))[None] > 1}, "good pixels"),
        (lambda arm: {"flux": np.full_like(arm.flux, 3.0)}, "same flux"),
        (lambda arm: {"flux": -np.abs(arm.flux)}, "no pixel has positive flux"),
    ],
    ids=["two pixels", "constant", "negative"],
)
def test_a_hopeless_spectrum_is_a_row_with_its_reason(mocks: Mocks, spoil: Any, reason: str) -> None:
    both, arm = mocks[0], mocks[0].arms[0]
    own = with_arm(both.take([0]), **spoil(both.take([0]).arms[0]))
    batch = with_arm(
        both,
        flux=np.concatenate([own.arms[0].flux, arm.flux[1:]]),
        bad=np.concatenate([own.arms[0].bad, arm.bad[1:]]),
        ivar=np.concatenate([own.arms[0].ivar, arm.ivar[1:]]),
    )
    result = quick().infer(batch, free(2, 50))
    assert result.flags[0] & Flag.FAILED
    assert reason in result.reasons[0]
    assert np.isnan(result.draws[0]).all()
    assert not result.flags[1] & Flag.FAILED


def test_noise_without_a_galaxy_is_a_row_that_says_so(mocks: Mocks) -> None:
    """Zero-mean noise has no redshift: the posterior is wide, and flagged."""
    arm = mocks[0].take([0]).arms[0]
    noise = np.random.default_rng(0).standard_normal(arm.flux.shape) / np.sqrt(np.maximum(arm.ivar, 1e-30))
    result = quick().infer(with_arm(mocks[0].take([0]), flux=np.where(arm.bad, 0.0, noise)), free(1, 200))
    assert len(result) == 1
    if result.ok[0]:
        assert result.flags[0] & (Flag.AMBIGUOUS_REDSHIFT | Flag.NO_CLEAR_MINIMUM)
        assert np.ptp(result["redshift"][0]) > 0.05


def test_a_prior_outside_the_model_is_told(mocks: Mocks) -> None:
    result = quick().infer(mocks[0].take([0]), Request(20, 5, RedshiftPriors.parse((8.0, 9.0), 1)))
    assert result.flags[0] & Flag.FAILED
    assert "redshift prior" in result.reasons[0]
    with pytest.raises(PriorError, match="outside"):
        estimate(example_path(), backend="emcee", redshift=(8.0, 9.0))


@pytest.mark.parametrize(
    "bad",
    [
        {"n_walkers": 41},
        {"max_steps": 0},
        {"n_effective": -1.0},
        {"line_error": 2.0},
        {"workers": 0},
        {"effort": 0.0},
        {"least_probability": 0.0},
    ],
)
def test_options_that_make_no_sense_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        EmceeBackend(**bad)


def test_a_run_goes_on_from_its_folder_and_refuses_other_data(
    mocks: Mocks, posterior: Posterior, tmp_path: Path
) -> None:
    folder = tmp_path / "chains"
    kept = quick(resume=folder).infer(mocks[0].take([0]), free(1))
    np.testing.assert_array_equal(kept.draws[0], posterior.draws[0])
    files = sorted(path.name for path in folder.iterdir())
    assert files == [f"{mocks[0].ids[0]}-0.h5"]
    start = time.perf_counter()
    again = quick(resume=folder).infer(mocks[0].take([0]), free(1))
    assert time.perf_counter() - start < 60
    np.testing.assert_array_equal(again.draws, kept.draws)
    other = replace(mocks[0].take([1]), ids=mocks[0].take([0]).ids)
    refused = quick(resume=folder).infer(other, free(1))
    assert refused.flags[0] & Flag.FAILED
    assert "other data, options or version" in refused.reasons[0]
    assert issubclass(OutputExistsError, Exception)


KILLED = """
import sys
from pathlib import Path
from test_emcee_backend import INSTRUMENT, free, quick, simulated_batch
quick(resume=Path(sys.argv[1])).infer(simulated_batch(INSTRUMENT, 2, 25.0, 11)[0].take([0]), free(1))
"""


def steps_in(path: Path) -> int:
    import h5py

    if not path.is_file():
        return 0
    with h5py.File(path, "r") as file:
        return int(file["mcmc"].attrs["iteration"]) if "mcmc" in file else 0


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_run_goes_on_to_the_same_chain(mocks: Mocks, posterior: Posterior, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], env=environment)
    path = tmp_path / f"{mocks[0].ids[0]}-0.h5"
    while process.poll() is None and steps_in(path) < 10:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert steps_in(path) >= 10
    resumed = quick(resume=tmp_path).infer(mocks[0].take([0]), free(1))
    np.testing.assert_array_equal(resumed.draws[0], posterior.draws[0])


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_worker_costs_no_row(mocks: Mocks, posterior: Posterior) -> None:
    killed: list[int] = []

    def kill_once(done: int, total: int, message: str) -> None:
        children = multiprocessing.active_children()
        if children and not killed and "%" in message:
            assert children[0].pid is not None
            killed.append(children[0].pid)
            os.kill(children[0].pid, signal.SIGKILL)

    request = replace(free(2), progress=kill_once)
    result = quick(workers=2).infer(mocks[0], request)
    assert len(killed) == 1
    np.testing.assert_array_equal(result.draws, posterior.draws)
    assert result.ok.all()


def test_relative_fluxes_have_no_mass(mocks: Mocks) -> None:
    batch = mocks[0].take([0])
    relative = replace(batch, flags=batch.flags | int(Flag.RELATIVE_FLUX))
    result = quick().infer(relative, free(1, 100))
    assert np.isnan(result["log_stellar_mass"]).all()
    assert np.abs(np.median(result["redshift"]) - mocks[1]["redshift"][0]) < 1e-3
    assert result.histories is None or not result.histories.known.any()
    assert GALAXY["log_stellar_mass"].needs_flux_scale
    assert isinstance(batch.arms[0], ArmSpectra)
