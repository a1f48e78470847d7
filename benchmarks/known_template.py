"""The most that any search can find: each galaxy's own noiseless spectrum as the only template, beside the backends.

    python -m benchmarks.known_template moons-snr --n 501 --out results/
    galfit-ml benchmark run moons-snr --backends cnn,emcee --n 501 --out results/

Writes answers where `galfit-ml benchmark run` writes those of backends, which scores whatever lies there. The noise
model is that of a cautious user (`reported` of `benchmarks.limits.mocks`): reported variance, calibration error and sky
residual marginalised. Suites of mock galaxies alone, and no spectra that something was done to.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.limits.known import known_log_posterior
from benchmarks.limits.mocks import Mocks
from benchmarks.limits.references import KNOWN_REFINEMENT
from benchmarks.limits.window import answers, probability
from galfit_ml.benchmark import Run, get_suite
from galfit_ml.benchmark.answers import KEPT, Answers
from galfit_ml.benchmark.code_state import code_state
from galfit_ml.benchmark.folder import AnswerFolder, opened
from galfit_ml.benchmark.spectra import Shard, made_shard, make_shard, shard_names
from galfit_ml.benchmark.suite import Suite
from galfit_ml.benchmark.table import machine
from galfit_ml.errors import GalfitMLError
from galfit_ml.progress import shown_progress
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.threads import one_thread
from galfit_ml_emcee.library.axis import STEP_KMS, ScanAxis

NAME = "known-template"
CHUNK = 4

Floats = NDArray[np.float64]


class KnownTemplate:
    """Redshift draws under each galaxy's own template."""

    def __init__(self) -> None:
        self.model = GalaxyModel()

    def draws(self, mocks: Mocks, n_draws: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
        """Draws [n, n_draws], redshift and probability of the best window [n], of mock galaxies."""
        axis = ScanAxis.of(mocks.instrument, STEP_KMS / KNOWN_REFINEMENT)
        parts = [self._some(mocks.take(slice(i, i + CHUNK)), axis) for i in range(0, len(mocks), CHUNK)]
        log_p = np.concatenate(parts)
        best, p = answers(log_p, axis), probability(log_p)
        spread = axis.step * (rng.random((len(p), n_draws)) - 0.5)
        chosen = np.stack([rng.choice(axis.redshifts, size=n_draws, p=row) for row in p])
        return np.expm1(np.log1p(chosen) + spread), best.redshift, best.probability

    def _some(self, mocks: Mocks, axis: ScanAxis) -> Floats:
        spectra = mocks.rest_spectra(axis, self.model)
        data = mocks.scan_data(axis, "reported", known=True)
        return np.asarray(known_log_posterior(data, spectra, axis).cpu().numpy(), dtype=np.float64)


def answered(known: KnownTemplate, suite: Suite, n: int, name: str, size: int) -> Answers:
    """Answers to a shard; spectra without a usable pixel get none."""
    shard, made = make_shard(suite, n, name, size), made_shard(suite, n, name, size)
    rng = np.random.default_rng([suite.seed, shard.first])
    usable = np.flatnonzero(made.batch.usable)
    start = time.perf_counter()
    found, best, stated = known.draws(Mocks.of(made), suite.n_draws, rng)
    seconds = time.perf_counter() - start
    draws = np.full((len(shard), suite.n_draws, 1), np.nan)
    draws[usable, :, 0] = found
    told = {key: np.full(len(shard), np.nan) for key in KEPT}
    told["redshift_1"][usable], told["redshift_probability_1"][usable] = best, stated
    return _answers(shard, draws, told, seconds)


def _answers(shard: Shard, draws: Floats, told: dict[str, Floats], seconds: float) -> Answers:
    n, batch = len(shard), shard.batch
    return Answers(
        ("redshift",),
        draws.astype(np.float32),
        shard.first + np.arange(n),
        batch.flags,
        np.asarray(batch.reasons, dtype=np.str_),
        np.asarray(batch.ids, dtype=np.str_),
        shard.truth,
        told,
        np.zeros((n, 0), dtype=np.float32),
        np.full(n, seconds / n),
    )


def about(suite: Suite, n: int) -> dict[str, Any]:
    """What the answers depend on, as the runner writes it."""
    return Run(suite, (NAME,), n, Path()).about(NAME)


def main(arguments: list[str] | None = None) -> int:
    """Command line; 2 where what was asked for makes no sense."""
    parser = argparse.ArgumentParser("python -m benchmarks.known_template", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("suite")
    parser.add_argument("--n", type=int, help="spectra (default: the suite's)")
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = parser.parse_args(arguments)
    try:
        return _run(get_suite(options.suite), options)
    except GalfitMLError as error:
        print(f"benchmarks.known_template: error: {error}", file=sys.stderr)
        return 2


def _run(suite: Suite, options: argparse.Namespace) -> int:
    n = options.n or suite.n
    if suite.kind != "mocks" or any(part.change != "none" or part.rebin > 1 for part in suite.parts):
        print(f"'{suite.name}' is no suite of mock galaxies as they were simulated: try moons-snr", file=sys.stderr)
        return 2
    noted, same = about(suite, n), suite.same_for_any_n
    with opened(options.out / suite.name / NAME, noted, same_for_any_n=same) as folder:
        _answer(suite, n, folder)
    return 0


def _answer(suite: Suite, n: int, folder: AnswerFolder) -> None:
    """All shards that are not answered yet."""
    known, done, code = KnownTemplate(), 0, code_state("galfit_ml", "galfit_ml_emcee", "benchmarks")
    with shown_progress() as progress, torch.no_grad(), one_thread():
        for name, size in shard_names(suite, n):
            if not folder.holds(name, size):
                folder.write(name, answered(known, suite, n, name, size), {"machine": machine()}, code)
            done += size
            progress(done, n, suite.name)


if __name__ == "__main__":
    sys.exit(main())
