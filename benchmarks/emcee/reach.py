"""Do the chains of the emcee backend reach all of a posterior? The truth of a mock is a draw of it, and tells.

    python -m benchmarks.emcee.reach --snr 12:40 --n 40 --out FOLDER

A chain proposes by a surrogate s of the density p, and cannot enter a place where s is far too low. ln p - ln s at the
truth, among its values along the chain, must have any rank with equal probability; where it is above all of them, by
many e-folds, the truth lies in a place that the chain does not reach. Noise is that of the likelihood
(`benchmarks.emcee.matched`), and the chain is that in the cell around the true redshift. A file for each mock; a run
that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri

from benchmarks.emcee.calibration import EXPOSURES, MAGNITUDES
from benchmarks.emcee.matched import MatchedMocks, Mock, median_snr
from benchmarks.limits.options import number_range
from galfit_ml.instruments import get_instrument
from galfit_ml.redshift_prior import RedshiftPrior
from galfit_ml.simulate.prior import GalaxyPrior, coordinate
from galfit_ml.simulate.threads import one_thread
from galfit_ml.workers import News, run_tasks
from galfit_ml_emcee.fit_one import Machine
from galfit_ml_emcee.options import Options
from galfit_ml_emcee.sampler import Chain
from galfit_ml_emcee.settings import SamplerSettings
from galfit_ml_emcee.solutions import CELL, Peak
from galfit_ml_emcee.trim import Native

FAR = 8.0
"""Excess, e-folds, from which on a chain will not come there in a few hundred steps."""

Floats = NDArray[np.float64]
Task = tuple[Mock, Path]


def truth_in_cell(mock: Mock, own: GalaxyPrior) -> Floats:
    """[1, N_DIM] the truth in the coordinates of a chain, whose redshifts and magnitudes have other ranges."""
    x = mock.x.numpy().copy()
    low, high = np.log1p(own.redshift)
    places = {
        "redshift": (np.log1p(mock.truth["redshift"]) - low) / (high - low),
        "magnitude": (mock.truth["magnitude"] - own.magnitude[0]) / (own.magnitude[1] - own.magnitude[0]),
    }
    for name, place in places.items():
        x[0, coordinate(name)] = ndtri(place)
    return x


def excess(chain: Chain, truth: Floats) -> tuple[float, float]:
    """ln p - ln s at the truth [1, N_DIM] less its median along the chain, and its rank there, 0 to 1."""
    own = truth[:, chain.target.free]
    at_truth = float((chain.target.log_density(own) - chain.plan.surrogate(own))[0])
    along = chain.log_density.ravel() - chain.plan.surrogate(chain.flat[:, chain.target.free])
    return at_truth - float(np.median(along)), float((along < at_truth).mean())


def measure(task: Task, news: News, n_effective: float) -> None:
    """Run the chain of one mock, and write where the truth lies."""
    mock, path = task
    z = mock.truth["redshift"]
    low, high = mock.batch.instrument.redshift_range
    cell = max(low, z - CELL * (1 + z)), min(high, z + CELL * (1 + z))
    settings = SamplerSettings(n_effective=n_effective, n_effective_others=0.4 * n_effective)
    start = time.process_time()
    with torch.no_grad(), one_thread():
        native, machine = Native.of(mock.batch), Machine(Options(settings))
        peak = Peak(z, 1.0, 0.0, cell, 1.0)
        chain = machine.chain(native, peak, 0, RedshiftPrior(), np.random.default_rng(1))
        value, rank = excess(chain, truth_in_cell(mock, chain.target.likelihood.prior))
    row: dict[str, Any] = {"seconds": time.process_time() - start, "excess": value, "rank": rank}
    row |= {"steps": len(chain.x), "acceptance": chain.acceptance, "converged": chain.converged, "truth": mock.truth}
    path.write_text(json.dumps(row))


def tasks(options: argparse.Namespace) -> Iterator[Task]:
    """Mocks that have no file yet."""
    name, found = options.instrument, 0
    low, high = options.snr
    for mock in MatchedMocks(get_instrument(name), EXPOSURES[name], options.seed, MAGNITUDES[name]).drawn():
        if low <= median_snr(mock.batch) < high:
            path = options.out / f"{name}-{low:g}-{high:g}-{options.seed}-{found:04d}.json"
            if not path.exists():
                yield mock, path
            found += 1
        if found == options.n:
            return


def report(folder: Path) -> list[str]:
    """Lines of text on all that is in a folder."""
    rows = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    if not rows:
        return ["nothing there"]
    value, rank = (np.array([r[name] for r in rows]) for name in ("excess", "rank"))
    far, n = int((value > FAR).sum()), len(rows)
    steps, acceptance = (np.median([r[name] for r in rows]) for name in ("steps", "acceptance"))
    return [
        f"{n} mocks, {np.median([r['seconds'] for r in rows]):.0f} core-seconds, "
        f"not converged {np.mean([not r['converged'] for r in rows]):.2f}, "
        f"acceptance {acceptance:.2f}, steps {steps:.0f}",
        f"ln p - ln s at the truth above 99 % of the chain's: {int((rank > 0.99).sum())} (expected {0.01 * n:.1f}); "
        f"more than {FAR:g} e-folds above their median: {far}; largest: {value.max():.1f}",
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instrument", default="sdss", choices=sorted(MAGNITUDES))
    parser.add_argument("--snr", type=number_range, default=(12.0, 40.0), metavar="LOW:HIGH")
    parser.add_argument("--n", type=int, default=40)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--n-effective", type=float, default=200.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("results/reach"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with torch.no_grad(), one_thread():
        waiting = list(tasks(options))
    told = lambda index, done, total: print(f"{done}/{total}", flush=True)  # noqa: E731
    outcomes = run_tasks(partial(measure, n_effective=options.n_effective), waiting, options.workers, on_done=told)
    print("\n".join([*(o.error for o in outcomes if not o.ok), *report(options.out)]))


if __name__ == "__main__":
    main()
