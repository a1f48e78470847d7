"""Run a fit in a process and a folder of its own, so that nothing bagpipes does reaches the user."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from galfit_ml.errors import GalfitMLError
from galfit_ml.writing import write_whole
from galfit_ml_bagpipes.job import FULL_DISK, Answer, Job

QUIET = {
    "MPLBACKEND": "Agg",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONWARNINGS": "ignore",
}


def fit_isolated(job: Job, tell: Callable[[int], None]) -> Answer:
    """What `galfit_ml_bagpipes.worker` answers; `tell` is called with the number of likelihood calls so far.

    Raises:
        GalfitMLError: the process failed; the message ends with what it said last.
    """
    with tempfile.TemporaryDirectory(prefix="galfit_ml_bagpipes_") as name:
        folder = Path(name)
        write_whole(folder / "job.pickle", pickle.dumps(job), FULL_DISK)
        with open(folder / "errors.txt", "w+", encoding="utf-8", errors="replace") as errors:
            code = _watch(folder, errors.fileno(), tell)
            errors.seek(0)
            said = errors.read().strip().splitlines()
        if code != 0:
            raise GalfitMLError(_failure(code, said))
        answer: Answer = pickle.loads((folder / "answer.pickle").read_bytes())
        return answer


def _watch(folder: Path, errors: int, tell: Callable[[int], None]) -> int:
    """Exit status of the worker; it does not outlive this call."""
    path = os.pathsep.join(p for p in sys.path if p)
    process = subprocess.Popen(
        [sys.executable, "-m", "galfit_ml_bagpipes.worker", str(folder)],
        cwd=folder,
        env={**os.environ, **QUIET, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.strip().isdigit():
                tell(int(line))
        return process.wait()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _failure(code: int, said: list[str]) -> str:
    last = said[-1] if said else "it said nothing"
    how = f"was ended by signal {-code}, often for want of memory" if code < 0 else "failed"
    return f"the process that runs bagpipes {how}: {last}"
