"""The process in which one spectrum is fitted: `python -m galfit_ml_bagpipes.worker FOLDER`.

Importing bagpipes prints, sets matplotlib up, makes folders where it stands and uses the global random state. Here that
harms nobody. The folder holds `job.pickle`; `answer.pickle` is written beside it. One line of text on the standard
output tells of each step: the number of likelihood calls.
"""

from __future__ import annotations

import math
import os
import pickle
import signal
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.writing import write_whole
from galfit_ml_bagpipes.job import CELL, FULL_DISK, Answer, Job
from galfit_ml_bagpipes.likelihood import Likelihood
from galfit_ml_bagpipes.scan import Found, scan
from galfit_ml_bagpipes.settings import Settings

Floats = NDArray[np.float64]

CHUNK = 500
"""Likelihood calls between two messages."""

PATIENCE = 300.0
"""Seconds without a likelihood call after which a fit is stopped: nautilus may look for points within its bounds for
ever, where these fill hardly any of the ellipsoids they are drawn from. On Windows nothing stops it."""

Tell = Callable[[int], None]


class Stalled(Exception):
    """The sampler finds no points any more."""


def main(folder: Path) -> None:
    """Do the job in `folder`."""
    job: Job = pickle.loads((folder / "job.pickle").read_bytes())
    out = sys.stdout

    def tell(calls: int) -> None:
        out.write(f"{calls}\n")
        out.flush()

    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        answer = fit(job, tell)
    write_whole(folder / "answer.pickle", pickle.dumps(answer), FULL_DISK)


def fit(job: Job, tell: Tell) -> Answer:
    """Find the redshift where that is needed, sample, and read off what is reported."""
    start = time.perf_counter()
    rng = np.random.default_rng(job.seed)
    np.random.seed(job.seed % 2**32)  # noqa: NPY002 - this process is bagpipes' own
    found = scan(job, rng) if job.needs_scan else Found(float("nan"), 1.0)
    job = job if np.isnan(found.redshift) else _in_cell(job, found.redshift)
    likelihood = _likelihood(job, rng)
    watch = Watch(PATIENCE)
    sampler = _sampler(job, watch.over(likelihood))
    set_up = time.perf_counter()
    finished, stalled = _run(sampler, job.settings, tell, watch)
    told = {
        "scan_redshift": found.redshift,
        "scan_share": found.share,
        "converged": float(finished),
        "stalled": float(stalled),
        "likelihood_calls": float(sampler.n_like),
        "effective_samples": float(sampler.n_eff),
        "log_evidence": float(sampler.log_z),
        "free_parameters": float(len(job.prior.free)),
        "set_up_seconds": set_up - start,
        "sampling_seconds": time.perf_counter() - set_up,
        "peak_memory_mb": _peak_mb(),
    }
    return _answer(job, likelihood, sampler, rng, told)


def _in_cell(job: Job, redshift: float) -> Job:
    low, high = job.limits
    cell = max(low, redshift - CELL * (1 + redshift)), min(high, redshift + CELL * (1 + redshift))
    return replace(job, prior=job.prior.within(job.redshift, *cell))


def _likelihood(job: Job, rng: np.random.Generator) -> Likelihood:
    start = _values(job, rng.random(len(job.prior.free)))
    return Likelihood(job.observed, start, job.limits[1], stock=job.settings.stock)


def _values(job: Job, cube: Floats) -> dict[str, float]:
    return {name: float(value) for name, value in job.prior.transform(cube).items()}


class Watch:
    """Raises `Stalled` in the main thread once a function was not called for so many seconds.

    Args:
        patience: s.
    """

    def __init__(self, patience: float) -> None:
        self.patience = patience if hasattr(signal, "setitimer") else math.inf

    def over(self, function: Callable[[Any], float]) -> Callable[[Any], float]:
        """The function, each call of which begins the wait anew."""

        def watched(values: Any) -> float:
            self.wait()
            return function(values)

        return watched

    def wait(self) -> None:
        """Begin to wait."""
        if math.isfinite(self.patience):
            signal.setitimer(signal.ITIMER_REAL, self.patience)

    def __enter__(self) -> None:
        if math.isfinite(self.patience):
            signal.signal(signal.SIGALRM, self._ring)
        self.wait()

    def __exit__(self, *_: object) -> None:
        if math.isfinite(self.patience):
            signal.setitimer(signal.ITIMER_REAL, 0)

    @staticmethod
    def _ring(*_: object) -> None:
        raise Stalled


def _sampler(job: Job, likelihood: Callable[[dict[str, float]], float]) -> Any:
    """nautilus over the unit cube."""
    from nautilus import Sampler

    return Sampler(
        np.copy,
        lambda cube: likelihood(_values(job, cube)),
        n_dim=len(job.prior.free),
        n_live=job.settings.n_live,
        n_networks=job.settings.n_networks,
        seed=job.seed,
        pass_dict=False,
    )


def _run(sampler: Any, settings: Settings, tell: Tell, watch: Watch) -> tuple[bool, bool]:
    """Sample until enough effective samples are there, a limit is reached, or no more points are found.

    Returns:
        Whether there are enough, and whether it stalled.
    """
    end = time.monotonic() + settings.max_seconds
    finished = False
    try:
        with watch:
            while not finished and sampler.n_like < settings.max_calls and time.monotonic() < end:
                upto = min(sampler.n_like + CHUNK, settings.max_calls)
                finished = bool(sampler.run(n_eff=settings.n_eff, n_like_max=upto, timeout=end - time.monotonic()))
                tell(int(sampler.n_like))
    except Stalled:
        return False, True
    return finished, False


def _answer(job: Job, likelihood: Likelihood, sampler: Any, rng: np.random.Generator, told: dict[str, float]) -> Answer:
    """Draws of equal weight, and the most probable model."""
    cube, log_weight, log_likelihood = sampler.posterior()
    weight = np.exp(log_weight - np.max(log_weight))
    draws = cube[rng.choice(len(cube), size=job.n_samples, p=weight / weight.sum())]
    derived = [likelihood.derived(_values(job, row), job.remnants) for row in draws]
    best = _values(job, cube[int(np.argmax(log_likelihood))])
    galaxy, calibration = likelihood.spectrum(best)
    return Answer(
        job.prior.transform(draws),
        {name: np.array([row[name] for row in derived]) for name in derived[0]},
        best,
        galaxy * calibration,
        calibration,
        told,
        version("bagpipes"),
    )


def _peak_mb() -> float:
    """Highest memory of this process, MB; NaN where the system does not say."""
    try:
        import resource
    except ImportError:
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
