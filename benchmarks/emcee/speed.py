"""Speed of the emcee backend: the redshift scan on all cores, and full posteriors of MOONS spectra one by one.

    python -m benchmarks.emcee.speed [--workers 2] [--spectra 4]

To be run on a quiet machine; templates and models are made before the clock starts.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from galfit_ml.backend import Request
from galfit_ml.redshift_prior import RedshiftPriors
from galfit_ml.simulate import survey
from galfit_ml.simulate.threads import one_thread
from galfit_ml.spectra import SpectrumBatch
from galfit_ml.workers import News, run_tasks
from galfit_ml_emcee.backend import EmceeBackend
from galfit_ml_emcee.fit_one import Machine
from galfit_ml_emcee.options import Options
from galfit_ml_emcee.trim import Native


def scan_seconds(batch: SpectrumBatch, news: News) -> float:
    """Seconds that the scan of a batch takes, from spectra at native pixels to ranked peaks."""
    with one_thread():
        machine, native = Machine(Options()), Native.of(batch)
        machine.solutions(native.take(np.arange(1)))
        start = time.perf_counter()
        machine.solutions(native)
        return time.perf_counter() - start


def posteriors(n: int) -> list[str]:
    """A line for each of n spectra."""
    mocks = survey("moons-lr", n, "training", 8, exposure="8h", tier=1, magnitude=(20.5, 22.5))
    backend = EmceeBackend()
    backend.infer(mocks.batch.take([0]), Request(10, 1, RedshiftPriors.free(1)))
    lines = []
    for i in range(n):
        start = time.perf_counter()
        row = backend.infer(mocks.batch.take([i]), Request(1000, 1, RedshiftPriors.free(1)))
        seconds = time.perf_counter() - start
        own = {k: float(v[0]) for k, v in row.diagnostics.items()}
        effective = [own[k] for k in own if k.startswith("effective_") and k != "effective_samples"]
        lines.append(
            f"z {mocks.truth['redshift'][i]:.4f} found {row.median()['redshift'][0]:.4f}: {seconds:.1f} s, "
            f"effective samples: redshift {own['effective_redshift']:.0f}, "
            f"mass {own['effective_log_stellar_mass']:.0f}, "
            f"least {np.nanmin(effective):.0f}; {seconds / own['effective_samples']:.3f} s per effective sample"
        )
    return lines


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--n", type=int, default=64, help="spectra scanned by each worker")
    parser.add_argument("--spectra", type=int, default=4, help="spectra fitted")
    options = parser.parse_args()
    batches = [
        survey("moons-lr", options.n, "training", k, exposure="8h", tier=2, magnitude=(22.0, 24.0)).batch
        for k in range(options.workers)
    ]
    seconds = [outcome.unwrap() for outcome in run_tasks(scan_seconds, batches, options.workers)]
    speed = sum(options.n / s for s in seconds)
    print(f"scan, MOONS, redshift 0 to 5: {speed:.1f} spectra a second, {options.workers} processes of one thread")
    print("\n".join(posteriors(options.spectra)))
    print(f"largest memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GB")


if __name__ == "__main__":
    main()
