"""The folder of a backend's answers: one run at a time, one kind of question, and what is noted about how it ran."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gaussian_backends
import pytest
from gaussian_backends import SUITE

from galfit_ml.benchmark import BenchmarkError, Run, score
from galfit_ml.benchmark import folder as module
from galfit_ml.benchmark.answers import ABOUT
from galfit_ml.benchmark.code_state import code_state, states
from galfit_ml.benchmark.folder import LOCK, opened, running

HOLD = """
import sys, time
from pathlib import Path
from galfit_ml.benchmark.folder import opened
with opened(Path(sys.argv[1]), {"backend": "perfect", "spectra": "of another"}, same_for_any_n=False):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    yield from gaussian_backends.installed(monkeypatch)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, which holds the folder of `perfect`."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / SUITE.name / "perfect")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def about(folder: Path, backend: str = "perfect") -> dict[str, Any]:
    return dict(json.loads((folder / SUITE.name / backend / ABOUT).read_text()))


def test_two_runs_do_not_write_into_one_folder(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    folder = tmp_path / SUITE.name / "perfect"
    assert running(folder)
    with pytest.raises(BenchmarkError, match=rf"Another run \(process {other.pid}\) writes answers"):
        Run(SUITE, ("perfect",), 50, tmp_path)()
    assert about(tmp_path)["spectra"] == "of another"  # as it was
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    assert not running(folder)
    Run(SUITE, ("perfect",), 50, tmp_path)()  # what a dead process has left is taken over
    assert about(tmp_path)["spectra"] == SUITE.digest(50)
    assert (folder / LOCK).read_text() == ""


def test_what_another_backend_is_being_asked_counts_before_it_has_answered(
    tmp_path: Path, other: subprocess.Popen[str]
) -> None:
    with pytest.raises(BenchmarkError, match="holds answers to other spectra"):
        Run(SUITE, ("biased",), 50, tmp_path)()
    other.kill()
    other.wait()
    Run(SUITE, ("biased",), 50, tmp_path)()


def test_looking_does_not_hinder_a_run(tmp_path: Path) -> None:
    path = tmp_path / "perfect"
    assert not running(path)
    with opened(path, {"backend": "perfect"}, same_for_any_n=False):
        assert running(path)
    assert not running(path)


def test_what_is_written_by_another_program_meanwhile_stops_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of an older version would, which knows no lock."""
    infer = gaussian_backends.Perfect.infer

    def meanwhile(self: Any, *given: Any) -> Any:
        path = tmp_path / SUITE.name / "perfect" / ABOUT
        path.write_text(json.dumps(about(tmp_path) | {"options": {"walkers": "2"}}))
        return infer(self, *given)

    monkeypatch.setattr(gaussian_backends.Perfect, "infer", meanwhile)
    with pytest.raises(BenchmarkError, match="options was"):
        Run(SUITE, ("perfect",), 50, tmp_path)()
    assert not list((tmp_path / SUITE.name / "perfect").glob("*.npz"))


def test_the_states_of_the_code_that_answered_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = code_state("galfit_ml", "gaussian_backends")
    Run(SUITE, ("perfect",), 50, tmp_path)()
    assert about(tmp_path)["code"] == [first]
    assert not list(states(tmp_path / SUITE.name))
    monkeypatch.setattr("galfit_ml.benchmark.run.code_state", lambda *_: "0123456789ab")
    Run(SUITE, ("perfect",), 50, tmp_path)()  # nothing is asked
    assert about(tmp_path)["code"] == [first]
    Run(SUITE, ("perfect",), 150, tmp_path)()
    assert about(tmp_path)["code"] == [first, "0123456789ab"]
    assert list(states(tmp_path / SUITE.name)) == [
        f"perfect: answers of 2 states of the code ({first}, 0123456789ab)",
    ]


def test_a_state_of_the_code_changes_with_sources_and_data_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "some_package"
    for name in ("data", "report", "__pycache__"):
        (package / name).mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "data" / "weights").write_bytes(b"1")
    monkeypatch.syspath_prepend(str(tmp_path))

    def state() -> str:
        code_state.cache_clear()
        return code_state("some_package")

    first = state()
    (package / "report" / "page.js").write_text("")
    (package / "__pycache__" / "x.pyc").write_text("")
    assert state() == first
    (package / "data" / "weights").write_bytes(b"2")
    second = state()
    (package / "__init__.py").write_text("x = 1\n")
    assert len({first, second, state()}) == 3
    code_state.cache_clear()


def test_how_a_backend_ran_is_noted_and_stands_beside_its_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaussian_backends.Perfect, "workers", 2, raising=False)
    Run(SUITE, ("perfect",), 50, tmp_path)()
    noted = about(tmp_path)
    assert noted["ran"] == [{"machine": noted["machine"], "workers": "2"}]
    monkeypatch.setattr(gaussian_backends.Perfect, "workers", 4)
    monkeypatch.setattr("galfit_ml.benchmark.run.machine", lambda: "an abacus")
    Run(SUITE, ("perfect",), 100, tmp_path)()
    rows = score(SUITE, tmp_path / SUITE.name)[0]
    assert list(rows[rows.metric == "rate"].reason) == ["workers=2; workers=4"]
    assert set(rows.machine) == {f"{noted['machine']}; an abacus"}


def test_answers_of_an_older_version_are_read_scored_and_gone_on_with(tmp_path: Path) -> None:
    """Which noted neither code nor machine nor what was asked, and the folder of real spectra."""
    Run(SUITE, ("flaky",), 100, tmp_path)()
    path = tmp_path / SUITE.name / "flaky" / ABOUT
    kept = {k: about(tmp_path, "flaky")[k] for k in ("suite", "spectra", "backend", "galfit_ml", "options")}
    path.write_text(json.dumps(kept))
    (path.parent / LOCK).unlink()
    rows = score(SUITE, tmp_path / SUITE.name)[0]
    assert rows[(rows.metric == "answered") & (rows.axis == "all")].value.iloc[0] == pytest.approx(0.98)
    gaussian_backends.Flaky.calls = 0
    Run(SUITE, ("flaky",), 150, tmp_path)()
    assert gaussian_backends.Flaky.calls == 1
    assert {k: about(tmp_path, "flaky")[k] for k in kept} == kept
    assert about(tmp_path, "flaky")["code"] == ["unknown", code_state("galfit_ml", "gaussian_backends")]
    assert len(about(tmp_path, "flaky")["ran"]) == 1
    path.write_text(json.dumps(kept | {"spectra": "/data/real, 1000"}))
    Run(SUITE, ("flaky",), 200, tmp_path)()
    assert about(tmp_path, "flaky")["spectra"] == SUITE.digest(200)
    with pytest.raises(BenchmarkError, match="spectra was"):
        Run(replace(SUITE, seed=12), ("flaky",), 250, tmp_path)()


def test_a_backend_that_answers_nothing_leaves_no_state_of_the_code(tmp_path: Path) -> None:
    Run(SUITE, ("broken",), 50, tmp_path)()
    assert "code" not in about(tmp_path, "broken")
