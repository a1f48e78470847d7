"""Redshift success of the emcee backend's scan on MOONS mocks, beside the library posterior, and its speed.

    python -m benchmarks.limits --n 320 --magnitude 22:24 --seed 61 --nuisances reported --out library.csv
    python -m benchmarks.emcee.redshift --n 320 --magnitude 22:24 --seed 61 --library library.csv

The mocks are those of `benchmarks.limits` with the same options; without `--library` only the scan is measured.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.limits.options import number_range
from benchmarks.limits.window import SUCCESS
from benchmarks.network.suites import paired_ratio
from galfit_ml.simulate import survey
from galfit_ml.simulate.threads import one_thread
from galfit_ml_emcee.fit_one import Machine
from galfit_ml_emcee.options import Options
from galfit_ml_emcee.trim import Native


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instrument", default="moons-lr")
    parser.add_argument("--n", type=int, default=320)
    parser.add_argument("--magnitude", type=number_range, default=(22.0, 24.0))
    parser.add_argument("--exposure", default="8h")
    parser.add_argument("--tier", type=int, default=2)
    parser.add_argument("--seed", type=int, default=61)
    parser.add_argument("--library", type=Path, help="CSV of benchmarks.limits of the same mocks")
    o = parser.parse_args()
    mocks = survey(o.instrument, o.n, "training", o.seed, exposure=o.exposure, tier=o.tier, magnitude=o.magnitude)
    with one_thread():
        machine, native = Machine(Options()), Native.of(mocks.batch)
        begin = time.perf_counter()
        machine.solutions(native.take(np.arange(1)))
        made = time.perf_counter()
        found = machine.solutions(native)
        seconds = time.perf_counter() - made
    z, truth = np.array([s.peaks[0].redshift for s in found]), mocks.truth["redshift"]
    stated = np.array([s.peaks[0].probability for s in found])
    right = np.abs(z - truth) < SUCCESS * (1 + truth)
    among = np.array(
        [any(abs(p.redshift - t) < SUCCESS * (1 + t) for p in s.peaks) for s, t in zip(found, truth, strict=True)]
    )
    print(f"{o.n} spectra, {o.n / seconds:.1f} a second on one thread; templates: {made - begin:.1f} s")
    print(
        f"success {right.mean():.3f}, among five peaks {among.mean():.3f}, mean stated probability {stated.mean():.3f}"
    )
    if o.library is not None:
        rows = pd.read_csv(o.library)
        if len(rows) != o.n or np.abs(rows.redshift - truth).max() > 1e-5:
            raise SystemExit(f"{o.library} holds other spectra: run benchmarks.limits with the same options")
        columns = [c for c in rows.columns if c.startswith("library") and c.endswith("_success")]
        other = rows[columns[-1]].to_numpy().astype(bool)
        ratio, interval = paired_ratio(right, other)
        print(f"library posterior {other.mean():.3f}; ratio {ratio:.3f} {interval}")


if __name__ == "__main__":
    main()
