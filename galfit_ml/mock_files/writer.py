"""Writing a mock survey: chunk by chunk, in little memory, resumable, complete or not there at all.

While it runs the spectra are in `mock.fits.partial` and the truth in `mock_truth.fits.partial`, both of their final
size; `mock.fits.progress` says how many chunks are on disk. The final names appear when everything is written.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import FileFormatError, GalfitMLError, OutputExistsError, WriteError
from galfit_ml.mock_files import truth as truth_rows
from galfit_ml.mock_files.journal import Journal
from galfit_ml.mock_files.layout import ID_TYPE, Layout, mock_layout, truth_layout
from galfit_ml.mock_files.plan import MockPlan, differences
from galfit_ml.writing import FULL, cannot_write

if TYPE_CHECKING:
    from galfit_ml.simulate.surveys import MockSurvey

SECONDS_BETWEEN_CHECKPOINTS = 5.0
"""At most so much work is lost where a run is killed."""

SPARE_BYTES = 64 * 2**20
"""Space to leave on the disk."""

TRUTH_ROW_BYTES = 1536
"""Upper limit of a row of the truth table, for the space needed."""

Chunks = Callable[[int], "Iterator[MockSurvey]"]
"""chunks(k): the chunks of a survey from number k on."""

Step = Callable[[int, int, str], None]
"""step(done, total, message)."""


@dataclass(frozen=True)
class MockPaths:
    """The files of a run."""

    mock: Path
    truth: Path

    @classmethod
    def of(cls, path: str | Path) -> MockPaths:
        """From the name of the mock file; FileFormatError unless it ends in .fits in a folder that exists."""
        mock = Path(path)
        if mock.suffix.lower() != ".fits":
            raise FileFormatError(f"Mock spectra are written as FITS: name a file that ends in .fits, not '{mock}'.")
        if not mock.parent.is_dir():
            raise FileFormatError(f"Folder '{mock.parent}' does not exist. Make it first: mkdir -p '{mock.parent}'")
        return cls(mock, truth_rows.truth_path(mock))

    @property
    def mock_partial(self) -> Path:
        """Spectra so far."""
        return self.mock.with_name(f"{self.mock.name}.partial")

    @property
    def truth_partial(self) -> Path:
        """Truth so far."""
        return self.truth.with_name(f"{self.truth.name}.partial")

    @property
    def journal(self) -> Path:
        """How far the run is."""
        return self.mock.with_name(f"{self.mock.name}.progress")


def space_needed(plan: MockPlan) -> int:
    """Bytes that a mock survey takes on disk, its truth table included."""
    return mock_layout(plan, "").size + plan.n * TRUTH_ROW_BYTES


def write_mock(
    plan: MockPlan, path: str | Path, chunks: Chunks, *, overwrite: bool = False, step: Step | None = None
) -> MockPaths:
    """Write a mock survey, or go on where a run with the same settings stopped.

    Args:
        plan: what to write.
        path: of the file of spectra, .fits.
        chunks: makes the spectra; chunk k has the rows `plan.rows(k)` and must depend on nothing but the plan and k.
        overwrite: replace a finished file, or what an interrupted run with other settings left.
        step: told of each chunk.

    Returns:
        The names of the files.

    Raises:
        OutputExistsError: a file is there already, or an interrupted run with other settings.
        FileFormatError: a name or folder that cannot be used.
        GalfitMLError: too little space on the disk, or another process writes the same file.
        WriteError: the disk became full all the same; what was written is kept.
    """
    paths = MockPaths.of(path)
    journal = _previous(plan, paths, overwrite)
    with _full_disk_told(paths):
        if journal is None or journal.finished < plan.n_chunks:
            _check_space(plan, paths)
            _write_chunks(plan, paths, chunks, journal, step)
        if paths.mock_partial.exists():
            _finish(plan, paths)
    paths.journal.unlink(missing_ok=True)
    return paths


@contextmanager
def _full_disk_told(paths: MockPaths) -> Iterator[None]:
    """Whatever meets a full disk becomes a WriteError with the file's name and the way to go on."""
    try:
        yield
    except OSError as error:
        if isinstance(error, WriteError) or error.errno not in FULL:
            raise
        remedy = (
            f"The disk of '{paths.mock.absolute().parent}' is full, or a quota or limit is reached. Free some space "
            "there and ask for the same again: it goes on from what is on the disk."
        )
        raise cannot_write(paths.mock, error, remedy) from error


def _previous(plan: MockPlan, paths: MockPaths, overwrite: bool) -> Journal | None:
    """The journal of an interrupted run with the same settings; None where a new one may begin."""
    journal = Journal.read(paths.journal)
    same = journal is not None and journal.digest == plan.digest()
    done = journal is not None and same and journal.finished == plan.n_chunks
    pairs = ((paths.mock, paths.mock_partial), (paths.truth, paths.truth_partial))
    for final, partial in pairs:
        if final.exists() and not overwrite and (partial.exists() or not done):
            raise OutputExistsError(f"'{final}' exists already. Name another file with --out, or add --overwrite.")
    if journal is not None and not same and not overwrite:
        raise OutputExistsError(
            f"'{paths.mock_partial}' was begun with other settings ({differences(journal.settings, plan.everything())})"
            ". Give the same ones to go on, name another file with --out, or add --overwrite to begin anew."
        )
    whole = same and all(partial.exists() or (done and final.exists()) for final, partial in pairs)
    return journal if whole else None


def _check_space(plan: MockPlan, paths: MockPaths) -> None:
    there = sum(_bytes_on_disk(path) for path in (paths.mock_partial, paths.truth_partial))
    needed = space_needed(plan) - there
    free = shutil.disk_usage(paths.mock.parent.resolve()).free
    if needed + SPARE_BYTES > free:
        raise GalfitMLError(
            f"'{paths.mock}' needs {needed / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB free. Ask for fewer "
            "spectra with --n, or name a file on another disk with --out."
        )


def _bytes_on_disk(path: Path) -> int:
    return 512 * getattr(path.stat(), "st_blocks", 0) if path.exists() else 0


def _write_chunks(plan: MockPlan, paths: MockPaths, chunks: Chunks, journal: Journal | None, step: Step | None) -> None:
    with ExitStack() as open_files:
        mock = open_files.enter_context(_locked(paths.mock_partial))
        if journal is None:
            paths.journal.unlink(missing_ok=True)
            _lay_out(mock, mock_layout(plan, paths.truth.name))
        run = _Run(plan, paths, mock, journal)
        open_files.callback(run.close)
        pace = _Pace(plan.n, step)
        pace.tell(len(range(plan.n)[: run.finished * plan.chunk]))
        try:
            for chunk in chunks(run.finished):
                run.add(chunk)
                pace.tell(plan.rows(run.finished - 1).stop)
        except BaseException:
            with suppress(OSError):  # the disk may be full: the last checkpoint holds
                run.checkpoint()
            raise
        run.checkpoint()
        if run.finished != plan.n_chunks:
            raise ValueError(f"{run.finished} chunks were made, {plan.n_chunks} are needed.")


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """The file opened for writing, or GalfitMLError where another process has it."""
    with path.open("ab"):
        pass
    with path.open("r+b") as file:
        _lock(file, path)
        yield file


def _lock(file: BinaryIO, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise GalfitMLError(
            f"Another process is writing '{path}'. Wait for it, or name another file with --out."
        ) from error


def _lay_out(file: BinaryIO, layout: Layout) -> None:
    """Write all headers and what is known already; the rest are zeros that take no space yet."""
    file.truncate(0)
    for part, offset in layout.placed():
        file.seek(offset)
        file.write(part.header + part.content)
    file.truncate(layout.size)


class _Run:
    """The chunks of one run, as they are written."""

    def __init__(self, plan: MockPlan, paths: MockPaths, mock: BinaryIO, journal: Journal | None) -> None:
        self.plan, self.paths, self.mock = plan, paths, mock
        self.layout = mock_layout(plan, paths.truth.name)
        self.finished = journal.finished if journal else 0
        self.recorded = self.finished
        self.truth: BinaryIO | None = None
        self.last_checkpoint = -float("inf")
        if journal is not None:
            self.truth_type = np.dtype(list(journal.truth_type))
            self.truth = paths.truth_partial.open("r+b")

    def add(self, chunk: MockSurvey) -> None:
        """Write the next chunk."""
        rows = self.plan.rows(self.finished)
        if len(chunk.batch) != len(rows):
            raise ValueError(f"Chunk {self.finished} has {len(chunk.batch)} spectra instead of {len(rows)}.")
        ids = truth_rows.as_text(np.asarray(chunk.batch.ids), "id").astype(ID_TYPE["ID"])
        self._put("ID", rows.start, ids)
        for name, values in _images(self.plan, chunk):
            self._put(name, rows.start, values)
        self._add_truth(rows.start, chunk)
        self.finished += 1
        if time.monotonic() - self.last_checkpoint > SECONDS_BETWEEN_CHECKPOINTS:
            self.checkpoint()

    def _put(self, name: str, row: int, values: NDArray[np.generic]) -> None:
        row_bytes = next(part.row_bytes for part in self.layout.parts if part.name == name)
        self.mock.seek(self.layout.data_offset(name) + row * row_bytes)
        self.mock.write(np.ascontiguousarray(values).tobytes())

    def _add_truth(self, row: int, chunk: MockSurvey) -> None:
        if self.truth is None:
            self.truth_type = truth_rows.row_type(chunk.batch.ids, chunk.truth)
            self.truth = self.paths.truth_partial.open("w+b")
            _lay_out(self.truth, self._truth_layout())
        rows = truth_rows.rows(chunk.batch.ids, chunk.truth, self.truth_type)
        self.truth.seek(self._truth_layout().data_offset("TRUTH") + row * self.truth_type.itemsize)
        self.truth.write(rows.tobytes())

    def _truth_layout(self) -> Layout:
        return truth_layout(self.plan, np.zeros(0, self.truth_type), self.paths.mock.name)

    def checkpoint(self) -> None:
        """Bring everything to the disk, then write so into the journal."""
        if self.truth is None or self.finished == self.recorded:
            return
        for file in (self.mock, self.truth):
            file.flush()
            os.fsync(file.fileno())
        columns = tuple((name, self.truth_type[name].str) for name in self.truth_type.names or ())
        everything = self.plan.everything()
        Journal(self.plan.digest(), everything, self.finished, columns).write(self.paths.journal)
        self.recorded, self.last_checkpoint = self.finished, time.monotonic()

    def close(self) -> None:
        """Let go of the truth file."""
        if self.truth is not None:
            with suppress(OSError):
                self.truth.close()


def _images(plan: MockPlan, chunk: MockSurvey) -> Iterator[tuple[str, NDArray[np.generic]]]:
    """Name and rows of each image, in the file's byte order."""
    start = 0
    for arm in chunk.batch.arms:
        pixels = slice(start, start + len(arm.grid))
        yield f"{arm.name}_FLUX", arm.flux.astype(">f4")
        yield f"{arm.name}_IVAR", arm.ivar.astype(">f4")
        yield f"{arm.name}_MASK", np.asarray(chunk.mask[:, pixels], dtype=np.uint8)
        if "white-ivar" in plan.keep:
            yield f"{arm.name}_WHITE_IVAR", np.asarray(chunk.white_ivar[:, pixels], dtype=">f4")
        if "noiseless" in plan.keep:
            yield f"{arm.name}_NOISELESS", np.asarray(chunk.clean[:, pixels], dtype=">f4")
        start = pixels.stop


def _finish(plan: MockPlan, paths: MockPaths) -> None:
    """Say that the file is complete, and give both files their names; may be repeated after any interruption."""
    with paths.mock_partial.open("r+b") as file:
        file.write(mock_layout(plan, paths.truth.name, complete=True).parts[0].header)
        file.flush()
        os.fsync(file.fileno())
    if paths.truth_partial.exists():
        os.replace(paths.truth_partial, paths.truth)
    os.replace(paths.mock_partial, paths.mock)


class _Pace:
    """Tells how long the rest will take."""

    def __init__(self, total: int, step: Step | None) -> None:
        self.total, self.step = total, step
        self.first: tuple[int, float] | None = None

    def tell(self, done: int) -> None:
        """So many spectra are made."""
        now = time.monotonic()
        if self.first is None:
            self.first = (done, now)
        if self.step is not None:
            self.step(done, self.total, self._left(done, now))

    def _left(self, done: int, now: float) -> str:
        assert self.first is not None
        made, spent = done - self.first[0], now - self.first[1]
        if not made or done == self.total:
            return ""
        seconds = spent / made * (self.total - done)
        size, unit = next((s, u) for s, u in ((3600, "h"), (60, "min"), (1, "s")) if seconds >= s or s == 1)
        return f"about {seconds / size:.0f} {unit} left ({made / max(spent, 1e-9):.0f} spectra/s)"
