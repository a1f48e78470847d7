"""Spectra with two likely redshifts: is the weight of each peak that of the exact posterior?

    python -m benchmarks.emcee.two_peaks --n 50 --workers 2 --out FOLDER

Faint star-forming MOONS galaxies (tier 0), of which the scan gives two peaks that hold most of the probability. The
exact posterior is that of 4,096 templates at every redshift with all linear errors integrated out
(`benchmarks.limits`); the emcee backend's weight of a peak is its share of the draws. One file per spectrum; a run
that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.limits.cache import default_cache
from benchmarks.limits.library import load_library
from benchmarks.limits.mocks import Mocks
from benchmarks.limits.window import SUCCESS, probability
from galfit_ml.backend import Request
from galfit_ml.instruments import get_instrument
from galfit_ml.redshift_prior import RedshiftPriors
from galfit_ml.simulate import survey
from galfit_ml.simulate.threads import one_thread
from galfit_ml.spectra import SpectrumBatch
from galfit_ml.workers import News, run_tasks
from galfit_ml_emcee.fit_one import Machine
from galfit_ml_emcee.library.axis import ScanAxis
from galfit_ml_emcee.library.scan import LibraryScan
from galfit_ml_emcee.library.templates import Size
from galfit_ml_emcee.options import Options
from galfit_ml_emcee.trim import Native

INSTRUMENT, MAGNITUDE, EXPOSURE = "moons-lr", (22.5, 24.3), "8h"
CHUNK = 128
LEAST, BOTH = 0.1, 0.75
"""Least probability of the second peak, and of both together, by the scan."""

Task = tuple[SpectrumBatch, dict[str, Any], Path]


def candidates(n: int, seed: int) -> list[tuple[Mocks, SpectrumBatch, float, tuple[float, float]]]:
    """n mocks with two peaks: for the reference, for the backend, the truth and the two redshifts."""
    machine, out, number = Machine(Options()), [], 0
    while len(out) < n:
        mocks = survey(
            INSTRUMENT, CHUNK, "training", seed * 1000 + number, exposure=EXPOSURE, tier=0, magnitude=MAGNITUDE
        )
        number += 1
        keep = np.flatnonzero(mocks.truth["log_ssfr"] > -10.5)
        if len(keep) == 0:
            continue
        mocks = mocks.take(keep)
        whole = Mocks.of(mocks)
        for i, solution in enumerate(machine.solutions(Native.of(mocks.batch))):
            p = [peak.probability for peak in solution.peaks[:2]]
            if len(p) == 2 and p[1] > LEAST and sum(p) > BOTH and len(out) < n:
                peaks = (solution.peaks[0].redshift, solution.peaks[1].redshift)
                out.append(
                    (whole.take(slice(i, i + 1)), mocks.batch.take([i]), float(mocks.truth["redshift"][i]), peaks)
                )
        print(f"{len(out)} of {n} spectra with two peaks among {number * CHUNK} mocks", flush=True)
    return out


def exact(mocks: Mocks, scan: LibraryScan, axis: ScanAxis, peaks: tuple[float, float]) -> list[float]:
    """Probability of each peak under the exact posterior."""
    p = probability(scan.log_posterior(mocks.scan_data(axis, "reported", known=False)).double().numpy())[0]
    return [float(p[np.abs(axis.redshifts - z) < SUCCESS * (1 + z)].sum()) for z in peaks]


def measure(task: Task, news: News, effort: float) -> None:
    """Fit one spectrum and write the share of draws at each peak."""
    from galfit_ml_emcee.backend import EmceeBackend

    batch, row, path = task
    start = time.process_time()
    posterior = EmceeBackend(n_effective=100, effort=effort).infer(batch, Request(2000, 1, RedshiftPriors.free(1)))
    z = posterior["redshift"][0]
    row["emcee"] = [float((np.abs(z - peak) < SUCCESS * (1 + peak)).mean()) for peak in row["peaks"]]
    row["seconds"] = time.process_time() - start
    row["diagnostics"] = {k: float(v[0]) for k, v in posterior.diagnostics.items()}
    path.write_text(json.dumps(row))


def report(folder: Path) -> list[str]:
    """Figures of what is there."""
    rows = [json.loads(p.read_text()) for p in sorted(folder.glob("[0-9]*.json"))]
    true, found, scanned = (np.array([r[key] for r in rows]) for key in ("exact", "emcee", "scan"))
    lines = [f"{len(rows)} spectra with two peaks; {np.median([r['seconds'] for r in rows]):.0f} core-seconds each"]
    for name, own in (("emcee", found), ("scan", scanned)):
        difference = np.abs(own - true).max(axis=1)
        lines.append(
            f"{name}: within 10 points for both peaks {np.mean(difference < 0.1):.2f}; largest difference of a peak: "
            f"median {np.median(difference):.3f}, 90 % {np.quantile(difference, 0.9):.3f}, mean signed "
            f"{np.mean(own[:, 0] - true[:, 0]):+.3f}"
        )
    believed = np.array([r["diagnostics"]["evidence_effective"] >= 100 for r in rows])
    lines.append(f"weights by importance sampling in {believed.mean():.2f}, by the scan in the others")
    return lines


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=50)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--effort", type=float, default=0.5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=default_cache())
    parser.add_argument("--out", type=Path, default=Path("results/two_peaks"))
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.report:
        waiting = prepared(options)
        told = lambda index, done, total: print(f"{done}/{total}", flush=True)  # noqa: E731
        for outcome in run_tasks(partial(measure, effort=options.effort), waiting, options.workers, on_done=told):
            outcome.unwrap()
    print("\n".join(report(options.out)))


def prepared(options: argparse.Namespace) -> list[Task]:
    """What is still to be fitted, with the exact probabilities."""
    instrument = get_instrument(INSTRUMENT)
    axis = ScanAxis.of(instrument)
    with torch.no_grad(), one_thread():
        scan = LibraryScan(load_library(instrument, axis, Size(), folder=options.cache))
        machine, out = Machine(Options()), []
        for number, (mocks, batch, truth, peaks) in enumerate(candidates(options.n, options.seed)):
            path = options.out / f"{number:03d}.json"
            if not path.exists():
                own = machine.solutions(Native.of(batch))[0]
                scanned = [peak.probability for peak in own.peaks[:2]]
                row = {"truth": truth, "peaks": peaks, "exact": exact(mocks, scan, axis, peaks), "scan": scanned}
                out.append((batch, row, path))
    return out


if __name__ == "__main__":
    main()
