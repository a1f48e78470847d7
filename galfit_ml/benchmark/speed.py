"""Speed and memory of a backend: spectra per second, latency and peak memory against batch and draws.

Each setting is measured in a process of its own, so that memory is that of this setting. The first, untimed call loads
what has to be loaded; of the others the fastest counts. What worker processes hold is not counted, nor the memory of a
GPU. A batch that would take longer than `PATIENCE` is left out.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from galfit_ml.api import Estimator
from galfit_ml.backend import Progress, Request
from galfit_ml.benchmark.spectra import make_shard
from galfit_ml.benchmark.suite import Suite
from galfit_ml.benchmark.table import Row
from galfit_ml.redshift_prior import RedshiftPriors
from galfit_ml.writing import write_whole

BATCHES = (1, 4, 16, 64, 256)
DRAWS = (100, 1000)
PATIENCE = 90.0
"""Longest call, s."""

REPEATS = 3
SHORT = 10.0
"""Calls that take longer than this, s, are not repeated."""


@dataclass(frozen=True)
class Setting:
    """One measurement: a batch, the draws of each spectrum, and where it runs."""

    batch: int
    draws: int
    device: str = "cpu"


@dataclass(frozen=True)
class Taken:
    """What it took: seconds of the fastest call, MB at most (resident, with the interpreter, without its workers)."""

    seconds: float
    megabytes: float


def devices() -> tuple[str, ...]:
    """Where it can run."""
    import torch

    return ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


def measure(
    suite: Suite, backend: str, options: Mapping[str, Any], folder: Path, progress: Progress | None = None
) -> None:
    """Measure all settings of a backend and write them to its folder as rows."""
    rows: list[Row] = []
    accepts = _accepts_device(backend, options)
    for device in devices() if accepts else ("cpu",):
        for draws in DRAWS:
            rows += _batches(
                suite, backend, _with_device(options, device, accepts), Setting(0, draws, device), progress
            )
    write_whole(folder / "speed.json", json.dumps([asdict(row) for row in rows]).encode())


def _batches(
    suite: Suite, backend: str, options: Mapping[str, Any], setting: Setting, progress: Progress | None
) -> list[Row]:
    rows: list[Row] = []
    each = 0.0
    for k, batch in enumerate(BATCHES):
        if batch > suite.n or each * batch > PATIENCE:
            break
        own = Setting(batch, setting.draws, setting.device)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            taken = pool.submit(_alone, suite, backend, dict(options), own).result()
        each = taken.seconds / batch
        rows += _rows(suite, backend, own, taken)
        if progress is not None:
            progress(k + 1, len(BATCHES), f"{suite.name}: {backend}, {setting.draws} draws, {setting.device}")
    return rows


def _rows(suite: Suite, backend: str, own: Setting, taken: Taken) -> list[Row]:
    axis = f"batch, {own.draws} draws" + ("" if own.device == "cpu" else f", {own.device}")
    place = {"axis": axis, "bin": f"{own.batch}", "low": own.batch, "high": own.batch, "n": own.batch}
    values = (
        ("rate", own.batch / taken.seconds, "1/s", "higher"),
        ("latency", taken.seconds, "s", "lower"),
        ("memory", taken.megabytes, "MB", "lower"),
    )
    return [
        Row(suite.name, backend, "", metric, value, unit=unit, direction=direction, **place)  # type: ignore[arg-type]
        for metric, value, unit, direction in values
    ]


def _alone(suite: Suite, backend: str, options: dict[str, Any], setting: Setting) -> Taken:
    """In a process of its own."""
    made = make_shard(suite, suite.n, "00-0000", min(setting.batch, suite.shard))
    rows = np.resize(np.arange(len(made)), setting.batch)
    batch = made.batch.take(rows)
    chosen = Estimator(backend, **options).backend
    request = Request(setting.draws, 1, RedshiftPriors.free(len(batch)))
    chosen.infer(batch.take([0]), request.take([0]))
    times: list[float] = []
    while len(times) < REPEATS and (not times or times[0] < SHORT):
        start = time.perf_counter()
        chosen.infer(batch, request)
        times.append(time.perf_counter() - start)
    return Taken(min(times), peak_memory())


def peak_memory() -> float:
    """Of this process so far, MB.

    Linux hands the peak that `getrusage` tells on to new processes, from the one that starts them; that of the memory
    itself is asked for instead.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        told = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        if told:
            return float(told[0]) / 2**10
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (2**20 if sys.platform == "darwin" else 2**10)


def _accepts_device(backend: str, options: Mapping[str, Any]) -> bool:
    try:
        Estimator(backend, **{**options, "device": "cpu"})
    except (LookupError, TypeError):
        return False
    return True


def _with_device(options: Mapping[str, Any], device: str, accepts: bool) -> dict[str, Any]:
    return {**options, "device": device} if accepts else dict(options)
