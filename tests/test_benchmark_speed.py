"""Speed and memory as rows."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from galfit_ml.benchmark import Run, get_suite, score
from galfit_ml.benchmark import speed as module
from galfit_ml.benchmark.speed import Setting, Taken, peak_memory

SUITE = get_suite("speed")


class InThisProcess:
    """In place of a pool of processes: every call takes 10 s a spectrum."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __enter__(self) -> InThisProcess:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, _function: object, *arguments: object) -> InThisProcess:
        setting = arguments[-1]
        assert isinstance(setting, Setting)
        self.taken = Taken(10.0 * setting.batch, 500.0)
        return self

    def result(self) -> Taken:
        return self.taken


def test_batches_that_would_take_too_long_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ProcessPoolExecutor", InThisProcess)
    monkeypatch.setattr(module, "devices", lambda: ("cpu",))
    module.measure(SUITE, "emcee", {}, tmp_path)
    rows = json.loads((tmp_path / "speed.json").read_text())
    assert {(r["low"], r["axis"]) for r in rows} == {(b, f"batch, {d} draws") for b in (1, 4) for d in (100, 1000)}
    one = {r["metric"]: r for r in rows if r["low"] == 4 and r["axis"] == "batch, 100 draws"}
    assert (one["rate"]["value"], one["latency"]["value"], one["memory"]["value"]) == (0.1, 40.0, 500.0)
    assert (one["rate"]["direction"], one["latency"]["direction"], one["rate"]["unit"]) == ("higher", "lower", "1/s")


HOLD = "from galfit_ml.benchmark.speed import peak_memory; print(peak_memory()); x = bytearray(b'x') * (200 * 2**20)"


def test_memory_is_that_of_the_process_itself_and_grows_with_what_it_holds() -> None:
    """Not that of the one which starts it: here of 300 MB more."""
    held = bytearray(b"x") * (300 * 2**20)
    told = subprocess.run(
        [sys.executable, "-c", f"{HOLD}; print(peak_memory())"], capture_output=True, text=True, check=True
    )
    before, after = map(float, told.stdout.split())
    assert 150 < after - before < 400
    if sys.platform == "linux":
        own, status = peak_memory(), Path("/proc/self/status").read_text()
        assert own >= len(held) / 2**20
        assert f"VmHWM:\t{own * 2**10:8.0f} kB" in status
    assert 50 < before < 20_000


def test_no_more_spectra_than_asked_for_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ProcessPoolExecutor", InThisProcess)
    monkeypatch.setattr(module, "devices", lambda: ("cpu",))
    Run(SUITE, ("emcee",), 1, tmp_path)()
    rows = json.loads((tmp_path / "speed" / "emcee" / "speed.json").read_text())
    assert {r["low"] for r in rows} == {1}
    Run(SUITE, ("emcee",), 1, tmp_path, {"emcee": {"workers": 2}})()
    about = json.loads((tmp_path / "speed" / "emcee" / "about.json").read_text())
    assert [one["workers"] for one in about["ran"]] == ["2"]  # what was measured before is gone
    assert len(about["code"]) == 1


@pytest.mark.slow
def test_the_network_is_measured_in_processes_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCHES", (1, 4))
    monkeypatch.setattr(module, "DRAWS", (20,))
    suite = replace(SUITE, n=4, shard=4)
    start = time.perf_counter()
    Run(suite, ("cnn",), 4, tmp_path)()
    taken = time.perf_counter() - start
    rows, points = score(suite, tmp_path / "speed")
    assert points.empty
    rate = rows[rows.metric == "rate"].set_index("low").value
    assert 0.05 < rate[1] < rate[4] * 4
    assert (rows[rows.metric == "latency"].value < taken).all()
    assert (rows[rows.metric == "memory"].value > 100).all()
