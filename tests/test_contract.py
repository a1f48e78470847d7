"""The contract suite: a correct backend passes; for every check there is a broken one that it alone catches."""

from __future__ import annotations

import pickle
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from broken_backends import CULPRITS, GROSS, NoBestFit, SeedsNumpy, TrustsTheMask
from conftest import ROOT
from toy_backend import ALL_TAGS, TRIAL, ToyBackend

from galfit_ml.backend import BackendInfo, Tags
from galfit_ml.errors import PluginError, UnknownNameError
from galfit_ml.testing import CHECKS, ContractError, Trial, check_backend, iter_checks, parametrize_with_checks
from galfit_ml.testing.coverage import binomial_tails, covered
from galfit_ml.testing.subject import Subject

NAMES = {check.name for check in CHECKS}


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
from broken_backends import SeedsNumpy
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
