"""Time of the network: loading, a single call, and many spectra: `python -m benchmarks.network.speed`.

Run it on an idle machine. Times are the least of several runs, with all cores that the process may use.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from galfit_ml.api import Estimator
from galfit_ml.backend import Request
from galfit_ml.redshift_prior import RedshiftPriors
from galfit_ml.simulate import survey
from galfit_ml_cnn.backend import CnnBackend

OBSERVED: dict[str, dict[str, Any]] = {
    "moons-lr": {"exposure": "8h", "magnitude": (20.0, 24.5)},
    "sdss": {"exposure": "55m", "magnitude": (15.0, 19.5)},
    "boss": {"exposure": "75m", "magnitude": (17.0, 21.5)},
}
"""Exposure and magnitudes (AB, in the instrument's band) of the mocks: about those of each survey."""

LOAD = """
import time
start = time.perf_counter()
from galfit_ml.api import Estimator
Estimator("cnn").backend.trained_for("{instrument}")
print(time.perf_counter() - start)
"""


def fastest(call: Callable[[], object], n: int) -> float:
    """Least time of n calls, s."""
    times = []
    for _ in range(n):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def loading(instrument: str) -> float:
    """Time from a new interpreter's first import to a network in memory, s."""
    code = LOAD.format(instrument=instrument)
    return min(float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(3))


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser("python -m benchmarks.network.speed", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--instrument", default="moons-lr")
    parser.add_argument("--batch", type=int, default=256)
    options = parser.parse_args(arguments)
    made = survey(
        options.instrument, options.batch, seed=3, **OBSERVED.get(options.instrument, OBSERVED["moons-lr"])
    ).batch
    estimator = Estimator("cnn")
    one = made.take([0])

    def infer(n_draws: int) -> object:
        return estimator.backend.infer(made, Request(n_draws, 1, RedshiftPriors.free(len(made))))

    infer(2)
    print(f"cores: {len(os.sched_getaffinity(0))}; load average {os.getloadavg()[0]:.1f}")
    print(f"load, from the first import: {loading(options.instrument):.2f} s")
    for n_draws in (100, 1000):
        taken = fastest(lambda n=n_draws: estimator.estimate(one, n_samples=n, seed=1), 20)
        print(f"one spectrum, {n_draws} draws: {1e3 * taken:.1f} ms")
    points = CnnBackend(point=True)
    request = Request(1, 1, RedshiftPriors.free(len(made)))
    taken = fastest(lambda: points.infer(made, request), 3)
    print(f"point estimates, batch of {len(made)}: {len(made) / taken:.0f} spectra/s")
    for n_draws, what in ((100, "100 draws"), (1000, "1000 draws")):
        print(f"{what}, batch of {len(made)}: {len(made) / fastest(lambda n=n_draws: infer(n), 3):.0f} spectra/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
