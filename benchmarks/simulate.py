"""Speed and memory of mock observations: prior -> galaxy model -> conditions -> spectrograph, by step.

    python -m benchmarks.simulate                          # MOONS at low resolution, tier 2, native pixels
    python -m benchmarks.simulate --workers 1 --batch 64 --json simulate.json
    python -m benchmarks.simulate --profile                # and the costliest operations of the galaxy model

Each worker is a thread that makes whole batches with one torch thread: batches do not depend on one another. Times are
medians over repeats, after a warm-up; run it on an otherwise idle machine. Memory is the peak of the process.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.forward import Row, peak_mb, reset_peak, resident_mb
from galfit_ml.instruments import get_instrument
from galfit_ml.simulate.conditions import Conditions
from galfit_ml.simulate.galaxies import Galaxies
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.prior import GalaxyPrior
from galfit_ml.simulate.spectrograph import Observation, Spectrograph

TARGET, AIM = 500.0, 2000.0
"""Observed MOONS spectra per second on two cores."""


@dataclass
class Pipeline:
    """What one worker holds."""

    spectrograph: Spectrograph
    model: GalaxyModel
    prior: GalaxyPrior
    exposure: str
    tier: int
    batch: int
    generator: torch.Generator

    @classmethod
    def of(cls, options: argparse.Namespace, seed: int) -> Pipeline:
        instrument = get_instrument(options.instrument)
        prior = GalaxyPrior(instrument.redshift_range, instrument.magnitude_range)
        generator = torch.Generator().manual_seed(seed)
        spectrograph = Spectrograph(instrument)
        return cls(spectrograph, GalaxyModel(), prior, options.exposure, options.tier, options.batch, generator)

    def galaxies(self) -> Galaxies:
        return self.prior.transform(self.prior.draw(self.batch, self.generator))

    def clean(self, galaxies: Galaxies) -> torch.Tensor:
        return self.model.observe(galaxies, self.spectrograph.pixels).flux

    def conditions(self) -> Conditions:
        if self.tier == 2:
            return Conditions.draw(self.spectrograph.instrument, self.batch, self.exposure, self.generator)
        return Conditions.nominal(self.spectrograph.instrument, self.batch, self.exposure)

    def observe(self, flux: torch.Tensor, conditions: Conditions) -> Observation:
        return self.spectrograph.observe(flux, conditions, tier=self.tier, generator=self.generator)

    def run(self) -> Observation:
        return self.observe(self.clean(self.galaxies()), self.conditions())


def milliseconds(call: Callable[[], object], n: int, repeats: int) -> tuple[float, float]:
    """Median and least time of `call` per spectrum, ms, after two calls that do not count."""
    times = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times[2:])) / n, 1e3 * min(times[2:]) / n


def measure_steps(pipeline: Pipeline, repeats: int) -> Iterator[Row]:
    """Time of each step for one spectrum, one thread."""
    galaxies, conditions = pipeline.galaxies(), pipeline.conditions()
    flux = pipeline.clean(galaxies)
    observation = pipeline.observe(flux, conditions)
    steps: dict[str, Callable[[], object]] = {
        "prior": pipeline.galaxies,
        "galaxy model": lambda: pipeline.clean(galaxies),
        "conditions": pipeline.conditions,
        "noise": lambda: pipeline.observe(flux, conditions),
        "measured S/N": observation.snr,
    }
    for name, call in steps.items():
        middle, least = milliseconds(call, pipeline.batch, repeats)
        yield Row(f"{name}, one thread", pipeline.batch, middle, "ms", least)


def measure_rate(pipelines: list[Pipeline], repeats: int) -> Row:
    """Observed spectra per second with one thread for each pipeline."""
    for pipeline in pipelines:
        pipeline.run()

    def work(pipeline: Pipeline) -> None:
        for _ in range(repeats):
            pipeline.run()

    start = time.perf_counter()
    with ThreadPoolExecutor(len(pipelines)) as pool:
        list(pool.map(work, pipelines))
    rate = len(pipelines) * repeats * pipelines[0].batch / (time.perf_counter() - start)
    return Row(f"observed spectra, {len(pipelines)} worker(s)", pipelines[0].batch, rate, "1/s", rate, "higher")


def measure(options: argparse.Namespace) -> Iterator[Row]:
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    base = resident_mb()
    pipelines = [Pipeline.of(options, seed) for seed in range(options.workers)]
    yield from measure_steps(pipelines[0], options.repeats)
    for workers in sorted({1, options.workers}):
        reset_peak()
        yield measure_rate(pipelines[:workers], options.repeats)
        yield Row(f"peak memory over an empty process, {workers} worker(s)", options.batch, peak_mb() - base, "MB", 0.0)


def profile(options: argparse.Namespace) -> str:
    """The costliest operations of the galaxy model."""
    pipeline = Pipeline.of(options, 0)
    galaxies = pipeline.galaxies()
    pipeline.clean(galaxies)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as record:
        pipeline.clean(galaxies)
    return str(record.key_averages().table(sort_by="self_cpu_time_total", row_limit=15, max_name_column_width=30))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instrument", default="moons-lr")
    parser.add_argument("--exposure", default="1h")
    parser.add_argument("--tier", type=int, default=2, choices=(0, 1, 2))
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for row in measure(options):
        rows.append(row)
        print(f"{row.what:48s} {row.value:10.3f} {row.unit}", flush=True)
    print(f"target {TARGET:.0f}, aim {AIM:.0f} observed MOONS spectra per second on two cores, tier 2, native pixels")
    if options.profile:
        print(profile(options))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


if __name__ == "__main__":
    main()
