"""The contract suite: a correct backend passes; for every check there is a broken one that it alone catches."""

from __future__ import annotations

import pickle
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from toy_backend import ALL_TAGS, TRIAL, Fit, Row, ToyBackend

from galfit_ml.backend import BackendInfo, Request, Tags
from galfit_ml.errors import GalfitMLError, PluginError, UnknownNameError
from galfit_ml.flags import Flag
from galfit_ml.parameters import GALAXY, ParameterSet
from galfit_ml.posterior import Floats, Posterior
from galfit_ml.redshift_prior import RedshiftPrior
from galfit_ml.spectra import SpectrumBatch
from galfit_ml.testing import CHECKS, ContractError, Trial, check_backend, iter_checks, parametrize_with_checks
from galfit_ml.testing.coverage import binomial_tails, covered
from galfit_ml.testing.subject import Subject

NAMES = {check.name for check in CHECKS}


class Altered(ToyBackend):
    """The correct answer, altered by `alter`."""

    def infer(self, batch: SpectrumBatch, request: Request) -> Any:
        return self.alter(super().infer(batch, request), batch, request)

    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Any:
        raise NotImplementedError


class ReturnsDictionary(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Any:
        return posterior.median()


class UnsignedFlags(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        return replace(posterior, flags=posterior.flags.astype(np.uint32))


class NumbersItsRows(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        return replace(posterior, ids=tuple(map(str, range(len(posterior)))))


class UnknownUnit(ToyBackend):
    parameters = ParameterSet((GALAXY["redshift"], replace(GALAXY["log_stellar_mass"], name="log_mass", unit="suns")))


class OtherUnit(ToyBackend):
    parameters = ParameterSet((GALAXY["redshift"], replace(GALAXY["log_stellar_mass"], unit="kg")))


class AnswersInOtherOrder(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        turned = ParameterSet(tuple(reversed(posterior.parameters.parameters)))
        return replace(posterior, parameters=turned, draws=posterior.draws[:, :, ::-1])


class LeavesTheRange(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        posterior.draws[posterior.ok & ~batch.relative, 0, 1] = 99.0
        return posterior


class OneDrawIsNan(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        posterior.draws[:, 0, 0] = np.nan
        return posterior


class AlwaysTwoHundredDraws(ToyBackend):
    def infer(self, batch: SpectrumBatch, request: Request) -> Posterior:
        return super().infer(batch, replace(request, n_samples=200))


class JittersAFixedRedshift(ToyBackend):
    def draw(self, fit: Fit, prior: RedshiftPrior, n: int, rng: np.random.Generator) -> Floats:
        draws = super().draw(fit, prior, n, rng)
        draws[:, 0] += 1e-9 * prior.fixed
        return draws


class IgnoresARange(ToyBackend):
    def fit(self, row: Row) -> Fit:
        prior = row.prior
        is_range = np.isfinite(prior.high) and not prior.fixed
        return super().fit(replace(row, prior=RedshiftPrior()) if is_range else row)


class IgnoresADistribution(ToyBackend):
    def log_prior(self, prior: RedshiftPrior, redshift: Floats) -> Floats:
        return np.zeros(len(redshift))


class MassWithoutAScale(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        posterior.draws[batch.relative, :, 1] = 10.0
        return posterior


class NoRedshiftWithoutAScale(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        posterior.draws[batch.relative] = np.nan
        return posterior


class ForgetsFlags(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        return replace(posterior, flags=posterior.flags & (Flag.RELATIVE_FLUX | Flag.FAILED))


class DropsARow(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        return posterior.take(np.flatnonzero(posterior.ok))


class GivesNoReason(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        return replace(posterior, reasons=("",) * len(posterior))


class InventsAnAnswer(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        draws = np.where(np.isnan(posterior.draws) & ~batch.relative[:, None, None], [0.1, 9.0], posterior.draws)
        return replace(posterior, draws=draws, flags=posterior.flags & ~int(Flag.FAILED))


class RefusesTheBatch(ToyBackend):
    def infer(self, batch: SpectrumBatch, request: Request) -> Posterior:
        if not batch.usable.all():
            raise GalfitMLError("a spectrum cannot be used")
        return super().infer(batch, request)


class NoBestFit(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        return replace(posterior, best_fit=None)


class NanInItsModel(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        assert posterior.best_fit is not None
        return replace(posterior, best_fit=replace(posterior.best_fit, model=posterior.best_fit.model * np.nan))


class NoEmbedding(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        return replace(posterior, embedding=None)


class Unseeded(ToyBackend):
    def stream(self, seed: int, row: Row, position: int) -> np.random.Generator:
        return np.random.default_rng()


class RemembersTheBatch(ToyBackend):
    """Continues where it stopped when the same batch comes again; its copies start afresh."""

    def __init__(self) -> None:
        self.seen: dict[tuple[int, bytes], int] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"seen": {}}

    def infer(self, batch: SpectrumBatch, request: Request) -> Posterior:
        key = request.n_samples, b"".join(arm.flux.tobytes() for arm in batch.arms)
        self.seen[key] = self.seen.get(key, -1) + 1
        return super().infer(batch, replace(request, seed=request.seed + 1000 * self.seen[key]))


class IgnoresTheSeed(ToyBackend):
    def stream(self, seed: int, row: Row, position: int) -> np.random.Generator:
        return super().stream(0, row, position)


class StreamByPosition(ToyBackend):
    def stream(self, seed: int, row: Row, position: int) -> np.random.Generator:
        return np.random.default_rng([seed, position])


class OneStreamForAll(ToyBackend):
    def stream(self, seed: int, row: Row, position: int) -> np.random.Generator:
        return np.random.default_rng(seed)


class SeedsNumpy(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        np.random.seed(request.seed)  # noqa: NPY002 - this is what must be caught
        return posterior


class SeedsPython(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        random.seed(request.seed)
        return posterior


class SeedsTorch(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        import torch

        torch.manual_seed(request.seed)
        return posterior


class SilencesNumpy(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        np.seterr(all="ignore")
        return posterior


class WritesUnderTheMask(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        for arm in batch.arms:
            arm.flux[arm.bad] = 7.0
        return posterior


class ReadsUnderTheMask(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        arm = batch.arms[0]
        posterior.draws[:, :, 1] += 0.01 * np.where(arm.bad, arm.flux, 0.0).mean(axis=1)[:, None]
        return posterior


class TrustsTheMask(ToyBackend):
    """Refuses what cannot be there, if the mask were not read."""

    def infer(self, batch: SpectrumBatch, request: Request) -> Posterior:
        if any((arm.flux < -10 * np.median(arm.flux)).any() for arm in batch.arms):
            raise ValueError("negative flux")
        return super().infer(batch, request)


class NormalisesTheBatch(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        mean = posterior.draws[:, :, 1].mean(axis=1)
        posterior.draws[:, :, 1] += 2e-3 * (np.nanmean(mean) if np.isfinite(mean).any() else 0.0) - 0.02
        return posterior


class KeepsALambda(ToyBackend):
    def __init__(self) -> None:
        self.transform = lambda flux: flux


class ForgetsWhenPickled(ToyBackend):
    def __init__(self) -> None:
        self.offset = 0

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.offset = 1

    def stream(self, seed: int, row: Row, position: int) -> np.random.Generator:
        return super().stream(seed + self.offset, row, position)


class UnsavableDiagnostics(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        objects = np.array([object() for _ in posterior.ids])
        return replace(posterior, diagnostics={"sampler": objects})


class NoProgress(ToyBackend):
    def infer(self, batch: SpectrumBatch, request: Request) -> Posterior:
        return super().infer(batch, replace(request, progress=None))


class ProgressBeyondTheTotal(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        if request.progress is not None:
            request.progress(len(batch) + 1, len(batch), "one more")
        return posterior


class ProgressInSteps(ToyBackend):
    def infer(self, batch: SpectrumBatch, request: Request) -> Posterior:
        def steps(done: int, total: int, message: str) -> None:
            assert request.progress is not None
            request.progress(100 * done, 100 * total, message)

        return super().infer(batch, replace(request, progress=steps if request.progress else None))


class Stretched(Altered):
    """Posteriors `factor` times as wide as they should be."""

    factor = 1.0

    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        mean = posterior.draws.mean(axis=1, keepdims=True)
        low = [max(prior.low, 0.0) for prior in request.redshift]
        high = [min(prior.high, 6.0) for prior in request.redshift]
        draws = mean + self.factor * (posterior.draws - mean)
        fixed = np.array([prior.fixed for prior in request.redshift])[:, None]
        clipped = np.clip(draws[:, :, 0], np.array(low)[:, None], np.array(high)[:, None])
        draws[:, :, 0] = np.where(fixed, posterior.draws[:, :, 0], clipped)
        return replace(posterior, draws=draws)


class TooSure(Stretched):
    factor = 0.45


class TooShy(Stretched):
    factor = 2.0


CULPRITS: dict[type[ToyBackend], set[str]] = {
    UnsignedFlags: {"shapes"},
    NumbersItsRows: {"shapes", "unusable_spectra"},
    UnknownUnit: {"parameters", "saving"},
    OtherUnit: {"parameters"},
    LeavesTheRange: {"ranges"},
    AlwaysTwoHundredDraws: {"n_samples"},
    JittersAFixedRedshift: {"redshift_fixed"},
    IgnoresARange: {"redshift_range"},
    IgnoresADistribution: {"redshift_distribution"},
    MassWithoutAScale: {"relative_flux"},
    NoRedshiftWithoutAScale: {"relative_flux"},
    ForgetsFlags: {"flags_kept"},
    DropsARow: {"unusable_spectra"},
    GivesNoReason: {"unusable_spectra"},
    InventsAnAnswer: {"unusable_spectra"},
    RefusesTheBatch: {"ranges", "unusable_spectra"},
    NoBestFit: {"best_fit"},
    NanInItsModel: {"best_fit"},
    NoEmbedding: {"embedding"},
    RemembersTheBatch: {"same_seed"},
    Unseeded: {"same_seed", "order", "one_by_one", "pickling"},
    IgnoresTheSeed: {"other_seed"},
    StreamByPosition: {"order"},
    OneStreamForAll: {"streams"},
    SeedsNumpy: {"global_state"},
    SeedsPython: {"global_state"},
    SeedsTorch: {"global_state"},
    SilencesNumpy: {"global_state"},
    WritesUnderTheMask: {"input_untouched"},
    ReadsUnderTheMask: {"masked_pixels"},
    TrustsTheMask: {"masked_pixels"},
    NormalisesTheBatch: {"one_by_one"},
    KeepsALambda: {"pickling"},
    ForgetsWhenPickled: {"pickling"},
    UnsavableDiagnostics: {"saving"},
    NoProgress: {"progress"},
    ProgressBeyondTheTotal: {"progress"},
    ProgressInSteps: {"progress"},
    TooSure: {"coverage"},
    TooShy: {"coverage"},
}
"""Broken backend -> the checks that catch it; all others must let it pass."""

GROSS: dict[type[ToyBackend], str] = {
    ReturnsDictionary: "shapes",
    AnswersInOtherOrder: "parameters",
    OneDrawIsNan: "ranges",
}
"""Backends so broken that many checks fail; this one must be among them, with a message of its own."""


@pytest.fixture(autouse=True)
def _unchanged_globals() -> Iterator[None]:
    """Some of the culprits disturb the global state on purpose: put it back."""
    numpy_state, python_state, errors = np.random.get_state(), random.getstate(), np.geterr()  # noqa: NPY002
    yield
    np.random.set_state(numpy_state)  # noqa: NPY002
    random.setstate(python_state)
    np.seterr(**errors)


def failing(backend: type[ToyBackend]) -> dict[str, ContractError]:
    """The checks that `backend` fails."""
    subject = Subject(backend, tags=ALL_TAGS, trial=Trial(**TRIAL))
    found = {}
    for check in iter_checks(ALL_TAGS):
        try:
            check.run(subject)
        except ContractError as error:
            found[check.name] = error
    return found


@parametrize_with_checks([ToyBackend], tags=ALL_TAGS, **TRIAL)
def test_a_correct_backend_keeps_every_promise(check: Any) -> None:
    assert check().passed


@pytest.mark.parametrize("broken", CULPRITS, ids=lambda broken: broken.__name__)
def test_a_broken_backend_is_caught_by_its_check_and_by_no_other(broken: type[ToyBackend]) -> None:
    errors = failing(broken)
    assert set(errors) == CULPRITS[broken], "\n".join(map(str, errors.values()))


def test_every_check_has_a_culprit_that_it_alone_catches() -> None:
    assert {next(iter(caught)) for caught in CULPRITS.values() if len(caught) == 1} == NAMES


@pytest.mark.parametrize("broken", GROSS, ids=lambda broken: broken.__name__)
def test_a_hopeless_backend_is_caught_too(broken: type[ToyBackend]) -> None:
    assert GROSS[broken] in failing(broken)


def test_an_error_names_backend_check_promise_and_what_was_seen() -> None:
    with pytest.raises(ContractError) as caught:
        check_backend(SeedsNumpy, checks=["global_state"], **TRIAL)
    error = caught.value
    assert isinstance(error, AssertionError)
    assert (error.backend, error.check, error.seen) == ("SeedsNumpy", "global_state", "infer() changed numpy.random")
    for words in (
        "Backend 'SeedsNumpy' fails the check 'global_state'",
        "promised: global states",
        "seen:     infer()",
    ):
        assert words in str(error)


def test_an_error_survives_pickling() -> None:
    error = ContractError("toy", "ranges", "finite draws", "a NaN")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_an_exception_inside_the_backend_is_a_broken_promise() -> None:
    with pytest.raises(ContractError, match="it raised ValueError: negative flux") as caught:
        check_backend(TrustsTheMask, checks=["masked_pixels"], **TRIAL)
    assert isinstance(caught.value.__cause__, ValueError)


def test_tags_choose_the_checks() -> None:
    everything = {check.name for check in iter_checks(ALL_TAGS)}
    nothing = Tags(calibrated=False, redshift_prior=False, absolute_flux=False, batch_invariant=False)
    left_out = everything - {check.name for check in iter_checks(nothing)}
    assert everything == NAMES
    assert left_out == {
        *("best_fit", "coverage", "embedding", "one_by_one", "order"),
        *("redshift_distribution", "redshift_fixed", "redshift_range", "relative_flux"),
    }


def test_checks_that_the_tags_exclude_are_reported_as_skipped() -> None:
    results = check_backend(NoBestFit, checks=["best_fit", "ranges"], tags=Tags(best_fit=False), **TRIAL)
    assert [(r.name, r.passed, r.note) for r in results] == [
        ("best_fit", False, "the backend's tags say best_fit=False"),
        ("ranges", True, ""),
    ]


def test_a_backend_may_be_described_instead_of_made() -> None:
    info = BackendInfo("toy", "toy_backend:ToyBackend", "a toy", tags=Tags(best_fit=True))
    names = [result.name for result in check_backend(info, checks=["shapes", "best_fit"], **TRIAL) if result.passed]
    assert names == ["shapes", "best_fit"]


def test_options_reach_the_constructor() -> None:
    with pytest.raises(TypeError, match="takes no arguments"):
        check_backend(ToyBackend, checks=["shapes"], options={"n_walkers": 3}, **TRIAL)


def test_a_backend_that_cannot_be_loaded_is_no_broken_promise() -> None:
    with pytest.raises(PluginError, match="missing library no_such_package"):
        check_backend(BackendInfo("toy", "no_such_package:Toy", "a toy"), checks=["shapes"])


@pytest.mark.parametrize("what", ["backend", "check", "expected failure"])
def test_unknown_names_are_suggested(what: str) -> None:
    calls = {
        "backend": lambda: check_backend("no-such-backend-anywhere"),
        "check": lambda: check_backend(ToyBackend, checks=["coverag"]),
        "expected failure": lambda: parametrize_with_checks([ToyBackend], expected_failures={"coverag": "why"}),
    }
    with pytest.raises(UnknownNameError, match="No backend" if what == "backend" else "Did you mean 'coverage'"):
        calls[what]()


def test_an_object_is_not_taken_for_a_factory() -> None:
    with pytest.raises(TypeError, match="lambda: backend"):
        check_backend(ToyBackend())  # type: ignore[arg-type]


PYTEST_FILE = """
from test_contract import SeedsNumpy
from toy_backend import TRIAL, ToyBackend
from galfit_ml.testing import parametrize_with_checks

trial = TRIAL | {"n_calibration": 1}
known = {"global_state": "it seeds numpy: a known flaw"}

@parametrize_with_checks([SeedsNumpy], expected_failures=known, **trial)
def test_known(check):
    check()

@parametrize_with_checks([ToyBackend], expected_failures=known, **trial)
def test_mended(check):
    check()
"""


def test_a_known_failure_carries_its_reason_and_is_strict(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(PYTEST_FILE)
    paths = f"import sys; sys.path[:0] = {[str(ROOT), str(ROOT / 'plugins'), str(ROOT / 'tests')]}; import pytest; "
    code = (
        paths + f"sys.exit(pytest.main(['-rxf', '-c', '/dev/null', '--rootdir', {str(tmp_path)!r}, {str(tmp_path)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "XFAIL test_it.py::test_known[SeedsNumpy-global_state]" in done.stdout
    assert "it seeds numpy: a known flaw" in done.stdout
    assert "FAILED test_it.py::test_mended[ToyBackend-global_state] - [XPASS(strict)]" in done.stdout
    assert "1 failed" in done.stdout
    assert "1 xfailed" in done.stdout


def test_a_trial_that_cannot_decide_is_refused() -> None:
    with pytest.raises(ValueError, match="n_samples >= 50"):
        Trial(n_samples=10)


def test_coverage_counts_equal_tailed_intervals() -> None:
    draws = np.tile(np.linspace(0.0, 1.0, 1001), (4, 1))
    assert covered(draws, np.array([0.5, 0.3, 0.1, 0.01])) == (2, 2, 3)


@pytest.mark.parametrize(("count", "n", "probability"), [(0, 10, 0.5), (7, 20, 0.68), (20, 20, 0.9), (60, 100, 0.5)])
def test_binomial_tails_agree_with_scipy(count: int, n: int, probability: float) -> None:
    from scipy.stats import binom

    lower, upper = binom.cdf(count, n, probability), binom.sf(count - 1, n, probability)
    assert binomial_tails(count, n, probability) == pytest.approx(min(1.0, 2 * min(lower, upper)))
