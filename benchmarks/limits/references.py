"""Both references for a set of mock spectra, chunk by chunk, kept on disk and taken up where they stopped."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.limits.cache import read_arrays, short_hash, source_of, write_arrays
from benchmarks.limits.known import known_log_posterior
from benchmarks.limits.mocks import Mocks
from benchmarks.limits.window import Answers, answers
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml_emcee.library.axis import ScanAxis
from galfit_ml_emcee.library.library import Library
from galfit_ml_emcee.library.scan import LibraryScan

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Report = Callable[[int, int, str], None]

CHUNK = {"cpu": 4, "cuda": 32}
CLOCK = {"cpu": time.process_time, "cuda": time.perf_counter}
"""What tells the cost of a spectrum: core-seconds, which other programs on the machine do not change, or seconds."""

KNOWN_REFINEMENT = 2
"""The grid of the known template is finer by this factor: one template costs nothing."""


@dataclass(frozen=True, eq=False)
class References:
    """Answers for n spectra.

    Args:
        known: with the known template.
        library: with the library, one for each number of templates.
        sizes: numbers of templates.
        seconds: spent on a spectrum, with the known template and with the library: of `CLOCK`.
    """

    known: Answers
    library: tuple[Answers, ...]
    sizes: tuple[int, ...]
    seconds: tuple[float, float]


def references(
    mocks: Mocks,
    library: Library,
    *,
    nuisances: str = "all",
    sizes: Sequence[int] = (),
    folder: Path | None = None,
    report: Report | None = None,
) -> References:
    """Known-template and library redshifts of mock spectra.

    Args:
        mocks: spectra.
        library: templates.
        nuisances: one of `mocks.NUISANCES`.
        sizes: numbers of templates for which answers are wanted; all by default.
        folder: of the cache; answers found there are not computed again. None to keep nothing.
        report: called with (spectra done, spectra, message).
    """
    scan = LibraryScan(library, sizes)
    runner = _Runner(scan, library, nuisances)
    chunk = CHUNK[scan.device.type]
    rows, start = [], time.monotonic()
    for first in range(0, len(mocks), chunk):
        rows.append(runner.cached(mocks.take(slice(first, first + chunk)), folder))
        done = min(first + chunk, len(mocks))
        if report is not None:
            left = (time.monotonic() - start) / done * (len(mocks) - done)
            report(done, len(mocks), f"{left:.0f} s left")
    arrays = {name: np.concatenate([row[name] for row in rows], axis=-1) for name in rows[0]}
    found = [Answers(*arrays["answers"][i]) for i in range(len(scan.sizes) + 1)]
    known, own = arrays["seconds"].sum(axis=1) / len(mocks)
    return References(found[0], tuple(found[1:]), scan.sizes, (float(known), float(own)))


class _Runner:
    """Computes a chunk, or finds it."""

    def __init__(self, scan: LibraryScan, library: Library, nuisances: str) -> None:
        self.scan, self.axis, self.nuisances = scan, library.axis, nuisances
        own, noise = source_of("benchmarks.limits", "references"), source_of("galfit_ml.simulate", "spectrograph")
        machine = source_of("galfit_ml_emcee.library", "scan", "data")
        self.key = short_hash(library.key.encode(), own, machine, noise)
        fine = library.axis.step_kms / KNOWN_REFINEMENT
        self.fine = ScanAxis(library.axis.low, library.axis.high, library.axis.redshift, fine)
        self.model = GalaxyModel(device=str(scan.device))

    def cached(self, mocks: Mocks, folder: Path | None) -> dict[str, Floats]:
        if folder is None:
            return self.compute(mocks)
        path = folder / f"answers-{self.key}" / f"{self._hash(mocks)}.npz"
        if not path.is_file():
            write_arrays(path, self.compute(mocks))
        return read_arrays(path, {"answers", "seconds"})

    def _hash(self, mocks: Mocks) -> str:
        text = hashlib.sha256(repr((self.nuisances, self.scan.sizes)).encode())
        for array in (mocks.native.flux, mocks.native.ivar, mocks.clean, mocks.white_ivar, mocks.redshift):
            text.update(np.ascontiguousarray(array).tobytes())
        return text.hexdigest()[:24]

    def compute(self, mocks: Mocks) -> dict[str, Floats]:
        """Answers [1 + n_size, 4, n], and seconds [2, 1] spent."""
        clock = CLOCK[self.scan.device.type]
        begin = clock()
        spectra = mocks.rest_spectra(self.fine, self.model)
        data = mocks.scan_data(self.fine, self.nuisances, known=True)
        found = [answers(known_log_posterior(data, spectra, self.fine).cpu().numpy(), self.fine)]
        middle = clock()
        data = mocks.scan_data(self.axis, self.nuisances, known=False)
        found += [answers(log_p.cpu().numpy(), self.axis) for log_p in self.scan.log_posteriors(data)]
        spent = [[middle - begin], [clock() - middle]]
        return {"answers": np.stack([np.stack(list(vars(a).values())) for a in found]), "seconds": np.array(spent)}
