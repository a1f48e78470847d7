"""Spectra with two likely redshifts: is the weight of each peak that of the exact posterior?

    python -m benchmarks.emcee.two_peaks --n 50 --workers 2 --out FOLDER

Faint star-forming MOONS galaxies (tier 0), of which the scan gives two peaks that hold most of the probability. Of what
the two share, how much has the first? The emcee backend's answer is its draws'. The exact one comes from long
importance sampling of both cells (`benchmarks.emcee.importance`), which needs no chain. A second reference are 4,096
templates at every redshift with all linear errors integrated out (`benchmarks.limits`): exact for these templates, but
where a spectrum is good none of them fits it to the noise. One file per spectrum; a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from benchmarks.emcee.importance import log_weight
from benchmarks.limits.cache import default_cache
from benchmarks.limits.library import load_library
from benchmarks.limits.mocks import Mocks
from benchmarks.limits.window import SUCCESS, probability
from galfit_ml.backend import Request
from galfit_ml.instruments import get_instrument
from galfit_ml.redshift_prior import RedshiftPriors
from galfit_ml.simulate import survey
from galfit_ml.simulate.surveys import MockSurvey
from galfit_ml.simulate.threads import one_thread
from galfit_ml.spectra import SpectrumBatch
from galfit_ml.workers import News, run_tasks
from galfit_ml_emcee.evidence import LARGEST_ERROR
from galfit_ml_emcee.fit_one import Machine
from galfit_ml_emcee.library.axis import ScanAxis
from galfit_ml_emcee.library.scan import LibraryScan
from galfit_ml_emcee.library.templates import Size
from galfit_ml_emcee.options import Options
from galfit_ml_emcee.settings import SamplerSettings
from galfit_ml_emcee.trim import Native

Floats = NDArray[np.float64]

INSTRUMENT, MAGNITUDE, EXPOSURE = "moons-lr", (22.5, 24.3), "8h"
CHUNK = 128
LEAST, BOTH = 0.1, 0.75
"""Least probability of the second peak, and of both together, by the scan."""

Cells = tuple[tuple[float, float], tuple[float, float]]
Task = tuple[SpectrumBatch, dict[str, Any], Path]


@dataclass(frozen=True)
class Candidate:
    """A mock with two peaks: which it is, its true redshift, the peaks, and the cells around them."""

    chunk: int
    row: int
    truth: float
    peaks: tuple[float, float]
    cells: tuple[tuple[float, float], tuple[float, float]]


def candidates(n: int, seed: int, folder: Path) -> list[Candidate]:
    """n mocks with two peaks; those that were found before stand in the folder."""
    known = folder / "candidates.json"
    found = [Candidate(**one) for one in json.loads(known.read_text())] if known.is_file() else []
    machine, number = Machine(Options()), found[-1].chunk + 1 if found else 0
    while len(found) < n:
        mocks = chunk(seed, number)
        for i, solution in enumerate(machine.solutions(Native.of(mocks.batch)) if len(mocks) else ()):
            p = [peak.probability for peak in solution.peaks[:2]]
            if len(p) == 2 and p[1] > LEAST and sum(p) > BOTH:
                two = solution.peaks[:2]
                truth = float(mocks.truth["redshift"][i])
                found.append(
                    Candidate(number, i, truth, (two[0].redshift, two[1].redshift), (two[0].cell, two[1].cell))
                )
        number += 1
        print(f"{len(found)} of {n} spectra with two peaks among {number * CHUNK} mocks", flush=True)
    known.write_text(json.dumps([asdict(one) for one in found]))
    return found[:n]


@lru_cache(maxsize=1)
def chunk(seed: int, number: int) -> MockSurvey:
    """The star-forming galaxies of some mocks."""
    mocks = survey(INSTRUMENT, CHUNK, "training", seed * 1000 + number, exposure=EXPOSURE, tier=0, magnitude=MAGNITUDE)
    return mocks.take(np.flatnonzero(mocks.truth["log_ssfr"] > -10.5))


def by_templates(mocks: Mocks, scan: LibraryScan, axis: ScanAxis, cells: Cells) -> list[float]:
    """Probability of each cell under thousands of templates."""
    p = probability(scan.log_posterior(mocks.scan_data(axis, "reported", known=False)).double().numpy())[0]
    return [float(p[(axis.redshifts >= low) & (axis.redshifts <= high)].sum()) for low, high in cells]


def measure(task: Task, news: News, effort: float) -> None:
    """Fit one spectrum, weigh its peaks by importance sampling as well, and write both."""
    from galfit_ml_emcee.backend import EmceeBackend

    batch, row, path = task
    start = time.process_time()
    posterior = EmceeBackend(n_effective=100, effort=effort).infer(batch, Request(2000, 1, RedshiftPriors.free(1)))
    z = posterior["redshift"][0]
    row["emcee"] = [float(((z >= low) & (z <= high)).mean()) for low, high in row["cells"]]
    row["seconds"] = time.process_time() - start
    row["diagnostics"] = {k: float(v[0]) for k, v in posterior.diagnostics.items()}
    if "importance" not in row:
        row["importance"] = by_importance(batch, effort)
    path.write_text(json.dumps(row))


def by_importance(batch: SpectrumBatch, effort: float) -> list[tuple[float, float]]:
    """ln posterior mass of the two peaks' cells, up to a constant, and the effective draws behind each."""
    machine = Machine(Options(SamplerSettings(n_effective=10, n_effective_others=4).eased(effort)))
    with torch.no_grad(), one_thread():
        native = Native.of(batch)
        peaks = machine.solutions(native)[0].sampled[:2]
        return [log_weight(machine, native, peak, seed=7 + k) for k, peak in enumerate(peaks)]


def report(folder: Path) -> list[str]:
    """Figures of what is there."""
    rows = [json.loads(p.read_text()) for p in sorted(folder.glob("[0-9]*.json"))]
    own = {key: np.array([first_share(*r[key]) for r in rows]) for key in ("emcee", "scan", "templates")}
    log_mass = np.array([[v[0] for v in r["importance"]] for r in rows])
    effective = np.array([[v[1] for v in r["importance"]] for r in rows])
    exact = expit(log_mass[:, 0] - log_mass[:, 1])
    error = exact * (1 - exact) * np.sqrt((1 / effective).sum(axis=1))
    lines = [
        f"{len(rows)} spectra with two peaks; {np.median([r['seconds'] for r in rows]):.0f} core-seconds each",
        f"exact share of the first peak: error median {np.median(error):.3f}, largest {error.max():.3f}",
    ]
    for name, share in own.items():
        difference = np.abs(share - exact)
        lines.append(
            f"{name}: within 10 points {np.mean(difference < 0.1):.2f}; difference: "
            f"median {np.median(difference):.3f}, "
            f"90 % {np.quantile(difference, 0.9):.3f}, largest {difference.max():.3f}, "
            f"mean {np.mean(share - exact):+.3f}"
        )
    lines += [_truths(rows, {**own, "exact": exact}), _believed(rows)]
    return lines


def first_share(first: float, second: float) -> float:
    """Of what two peaks hold together, the share of the first."""
    return first / max(first + second, 1e-300)


def _truths(rows: list[dict[str, Any]], share: dict[str, Floats]) -> str:
    """Where the truth is in one of the peaks: how often in the first, and how often each reference says."""
    near = np.array([[abs(r["truth"] - z) < SUCCESS * (1 + z) for z in r["peaks"]] for r in rows])
    use = near.any(axis=1)
    said = ", ".join(f"{name} {p[use].mean():.2f}" for name, p in share.items())
    return f"truth in one of the peaks: {use.sum()}; in the first {near[use, 0].mean():.2f}, stated: {said}"


def _believed(rows: list[dict[str, Any]]) -> str:
    error = np.array([r["diagnostics"]["evidence_error"] for r in rows])
    share = np.mean(error <= LARGEST_ERROR)
    return f"weights by evidence in {share:.2f}; largest error of ln Z: median {np.median(error):.2f}"


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
    """What is still to be fitted, with what the scan and thousands of templates say."""
    instrument = get_instrument(INSTRUMENT)
    axis = ScanAxis.of(instrument)
    with torch.no_grad(), one_thread():
        scan = LibraryScan(load_library(instrument, axis, Size(), folder=options.cache))
        machine, out = Machine(Options()), []
        for number, one in enumerate(candidates(options.n, options.seed, options.out)):
            path = options.out / f"{number:03d}.json"
            if path.exists():
                continue
            mocks = chunk(options.seed, one.chunk).take([one.row])
            own = machine.solutions(Native.of(mocks.batch))[0]
            row = {"truth": one.truth, "peaks": one.peaks, "cells": one.cells}
            row["scan"] = [peak.share for peak in own.peaks[:2]]
            row["templates"] = by_templates(Mocks.of(mocks), scan, axis, one.cells)
            out.append((mocks.batch, row, path))
    return out


if __name__ == "__main__":
    main()
