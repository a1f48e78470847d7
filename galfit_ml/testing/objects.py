"""Checks of the objects themselves: pickling, saving, progress."""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path

from galfit_ml.posterior import Posterior
from galfit_ml.testing.contract import promise, require
from galfit_ml.testing.draws import same_draws
from galfit_ml.testing.subject import Subject

FORMATS = (".fits", ".h5")


@promise("the backend survives pickling, also after use, and draws the same")
def pickling(subject: Subject) -> None:
    """Needed by multiprocessing, joblib and dask."""
    row = subject.batch.take([0])
    before = subject.alone
    try:
        copy = pickle.loads(pickle.dumps(subject.backend))
    except Exception as error:  # noqa: BLE001 - pickle passes on whatever the object's own methods raise
        require(False, f"pickling raised {type(error).__name__}: {error}")
        return
    difference = same_draws(before, subject.infer(row, backend=copy))
    require(not difference, f"after pickling {difference}")


@promise("its Posterior can be saved as FITS and HDF5, and comes back equal")
def saving(subject: Subject) -> None:
    """Diagnostics are [n] numbers, provenance is text, and both survive."""
    posterior = subject.posterior
    with tempfile.TemporaryDirectory() as folder:
        for suffix in FORMATS:
            back = Posterior.load(posterior.save(Path(folder) / f"posterior{suffix}"))
            difference = same_draws(posterior, back)
            require(not difference, f"read back from {suffix}, {difference}")
            for label in ("ids", "reasons"):
                found, wanted = getattr(back, label), getattr(posterior, label)
                require(found == wanted, f"read back from {suffix}, {label} are {found} instead of {wanted}")
            require((back.flags == posterior.flags).all(), f"read back from {suffix}, flags differ")
            kept = set(back.diagnostics) == set(posterior.diagnostics)
            require(kept, f"read back from {suffix}, diagnostics are {sorted(back.diagnostics)}")


@promise("progress(done, total, message) counts spectra: done grows to total, the number of spectra, and is called")
def progress(subject: Subject) -> None:
    """A progress bar can be drawn."""
    calls, n = subject.observed.progress, len(subject.batch)
    require(calls, "the progress function was never called")
    done = [call[0] for call in calls]
    require(all(call[1] == n for call in calls), f"totals {sorted({call[1] for call in calls})} for {n} spectra")
    require(done == sorted(done), f"done went backwards: {done}")
    require(done[0] >= 0 and done[-1] == n, f"done went from {done[0]} to {done[-1]} for {n} spectra")
    require(all(isinstance(call[2], str) for call in calls), "a message is not text")
