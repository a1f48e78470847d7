"""The one door through which files are written: whole under their name, or not at all.

The content grows in a hidden file beside the target, goes to the disk (fsync) and takes the name in one step. Whatever
ends the writing before, a full disk, an error or a kill, leaves what stood there before; after an error nothing else
is left, after a kill the hidden file, which the next writing into that folder takes away.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from galfit_ml.errors import WriteError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PREFIX = ".galfit_ml-"
"""How the hidden files begin."""

DEAD_AFTER = 86_400.0
"""Seconds; younger ones may belong to another process, on this machine or another one that shares the folder."""

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What a full disk, a quota and a limit on file sizes say."""

_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_FOLDER = {errno.ENOENT, errno.ENOTDIR}


@contextmanager
def whole_file(path: str | Path, remedy: str = "") -> Iterator[BinaryIO]:
    """A binary file that becomes `path` when the block ends without an error.

    A symbolic link stays one, and a file that is replaced hands on its permissions.

    Args:
        path: what to write; its folder exists.
        remedy: what to do where the disk is full, in place of the usual advice.

    Raises:
        WriteError: the system refuses to write; it says what, where, and how to go on.
    """
    try:
        target = Path(path).resolve()
        _sweep(target.parent)
        hidden = target.with_name(f"{PREFIX}{secrets.token_hex(6)}.part")
        try:
            with hidden.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if target.exists():
                shutil.copymode(target, hidden)
            os.replace(hidden, target)
        finally:
            hidden.unlink(missing_ok=True)
    except OSError as error:
        if isinstance(error, WriteError):
            raise
        raise cannot_write(path, error, remedy) from error


def write_whole(path: str | Path, content: bytes | memoryview, remedy: str = "") -> None:
    """Write `content` to `path`; as `whole_file`."""
    with whole_file(path, remedy) as file:
        file.write(content)


def save_figure(figure: Figure, path: str | Path, dpi: float | None = None) -> None:
    """Write a figure in the format that the ending of `path` names; as `whole_file`."""
    kind = Path(path).suffix.lstrip(".").lower()
    with whole_file(path) as file:
        figure.savefig(file, format=kind, dpi="figure" if dpi is None else dpi)


def cannot_write(path: str | Path, error: OSError, remedy: str = "") -> WriteError:
    """The error for a file that the system refuses to write, with what to do about it."""
    target = Path(path)
    why = (error.strerror or str(error)).rstrip(".")
    if error.errno in FULL or error.errno is None:  # numpy says it without a number
        advice = remedy or (
            f"The disk of '{target.absolute().parent}' is full, or a quota or limit is reached: free some space there "
            "and try again, or name a file on another disk."
        )
    elif error.errno in _REFUSED:
        advice = f"You may not write into '{target.absolute().parent}': name a file elsewhere."
    elif error.errno in _NO_FOLDER:
        advice = f"Make its folder first: mkdir -p '{target.parent}'"
    else:
        advice = f"Look at the disk of '{target.absolute().parent}', or name a file elsewhere."
    kept = " What stood there before is as it was." if target.is_file() else ""
    refusal = WriteError(f"'{target}' could not be written: {why}. {advice}{kept}")
    refusal.errno = error.errno
    return refusal


def _sweep(folder: Path) -> None:
    """Take away hidden files that nobody has written to for a day: their processes were killed."""
    for left in folder.glob(f"{PREFIX}*.part"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > DEAD_AFTER:
                left.unlink()
