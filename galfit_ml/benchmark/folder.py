"""The folder into which a backend's answers to a suite are written: by one run at a time, to one kind of question."""

from __future__ import annotations

import errno
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from galfit_ml.benchmark.answers import ABOUT, Answers, read_about
from galfit_ml.benchmark.errors import BenchmarkError
from galfit_ml.writing import cannot_write, write_whole

LOCK = ".running"
"""Holds the number of the process that writes answers; the system's lock on it ends with that process."""

UNKNOWN = "unknown"
"""State of the code of answers older than its being noted."""

NOT_COMPARED = {"machine", "code", "ran"}
"""Of what is noted about answers: may differ from run to run."""

PATIENCE = 1.0
"""Seconds for which a lock is asked for again: another process may only be looking."""

UNLOCKED = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}
"""What systems of files say that know no locks; there is none then, as on Windows."""


@dataclass(frozen=True)
class AnswerFolder:
    """A folder that this process alone writes to, from `opened`.

    Args:
        path: of the backend.
        about: what its answers depend on.
    """

    path: Path
    about: Mapping[str, Any]

    def holds(self, name: str, size: int) -> bool:
        """Whether a shard is answered, and as long as it is to be now."""
        path = self.path / f"{name}.npz"
        return path.exists() and len(Answers.read(path)) >= size

    def write(self, name: str, answers: Answers, ran: Mapping[str, str], code: str) -> None:
        """Answers to a shard; arguments and errors besides as for `note`."""
        self.note(ran, code)
        answers.write(self.path / f"{name}.npz")

    def note(self, ran: Mapping[str, str], code: str, *, anew: bool = False) -> None:
        """How answers come about.

        Args:
            ran: with which workers and device, on which machine.
            code: the state of it.
            anew: whether these take the place of all that was answered before.

        Raises:
            BenchmarkError: the folder is not about the same any more.
        """
        known = read_about(self.path)
        _check_same(self.path, known, self.about)
        before = [UNKNOWN] if any(self.path.glob("*.npz")) else []
        told = {"code": [], "ran": []} if anew else {"code": known.get("code", before), "ran": known.get("ran", [])}
        for key, value in (("code", code), ("ran", dict(ran))):
            told[key] = told[key] if value in told[key] else [*told[key], value]
        noted = {**known, **told, "spectra": self.about["spectra"]}
        if noted != known:
            _write_about(self.path, noted)


@contextmanager
def opened(path: Path, about: Mapping[str, Any], *, same_for_any_n: bool) -> Iterator[AnswerFolder]:
    """A backend's folder, made where it is missing, in which answers to the same questions alone may lie.

    Args:
        path: of the backend, in that of the suite.
        about: what the answers depend on.
        same_for_any_n: whether other backends must have been asked about the same spectra (`check_spectra`).

    Raises:
        BenchmarkError: another run writes there; answers there are of other settings, or beside it to other spectra.
        WriteError: the folder cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        file = (path / LOCK).open("a+b")
    except OSError as error:
        raise cannot_write(path, error) from error
    with file:
        if not _taken(file):
            raise BenchmarkError(
                f"Another run ({_owner(file)}) writes answers into '{path}'. Wait for its end, stop it, or name "
                "another --out."
            )
        file.truncate(0)
        file.write(f"process {os.getpid()}".encode())
        file.flush()
        check_about(path, about)
        if same_for_any_n:
            check_spectra(path.parent, about)
        yield AnswerFolder(path, about)
        file.truncate(0)


def _taken(file: BinaryIO) -> bool:
    """Whether the lock of an open file is this process's now."""
    end = time.monotonic() + PATIENCE
    while not _locked(file):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def _locked(file: BinaryIO) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in UNLOCKED:
            return True
        raise
    return True


def _owner(file: BinaryIO) -> str:
    file.seek(0)
    return file.read(100).decode(errors="replace") or "of another process"


def running(path: Path) -> bool:
    """Whether a run writes into a backend's folder."""
    try:
        with (path / LOCK).open("rb") as file:
            return not _locked(file)
    except OSError:
        return False


def check_about(folder: Path, about: Mapping[str, Any]) -> None:
    """Answers of other spectra, options or versions must not be mixed with these: BenchmarkError says what differs.

    Where nothing is answered yet, nothing can be mixed. What it ran on may differ, and what an older file lacks.
    """
    if (folder / ABOUT).exists() and any(folder.glob("*.npz")):
        _check_same(folder, read_about(folder), about)
    else:
        _write_about(folder, about)


def _write_about(folder: Path, about: Mapping[str, Any]) -> None:
    write_whole(folder / ABOUT, json.dumps(about, indent=1).encode())


def _check_same(folder: Path, known: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    different = [k for k in sorted({*known} & {*about} - NOT_COMPARED) if known[k] != about[k]]
    if "spectra" in different and not re.fullmatch("[0-9a-f]{16}", str(known["spectra"])):
        different.remove("spectra")  # the folder of real spectra, which stood there once
    if different:
        listed = "; ".join(f"{k} was {known.get(k)!r}, is {about.get(k)!r}" for k in different)
        raise BenchmarkError(
            f"'{folder}' holds answers of another run ({listed}). Results of different versions or settings must not "
            "be mixed: name another --out, or delete that folder."
        )


def check_spectra(suite: Path, about: Mapping[str, Any]) -> None:
    """Backends of one suite answer the same spectra: BenchmarkError where another one in its folder has had others.

    Or is having others: what a run that goes on beside this one has not answered yet counts.
    """
    for path in sorted(suite.glob(f"*/{ABOUT}")):
        own = path.parent
        if own.name == about["backend"] or not (any(own.glob("*.npz")) or running(own)):
            continue
        if read_about(own).get("spectra") != about["spectra"]:
            raise BenchmarkError(
                f"'{own}' holds answers to other spectra of a suite of the same name, '{about['suite']}': its seed, "
                "parts, draws or shards were others. Name another --out, or give the suite another name."
            )
