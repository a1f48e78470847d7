"""Arrays kept on disk: templates and answers, each file complete or not there at all."""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
import zlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import FileFormatError

DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
"""What numpy raises where an npz file is cut short, overwritten or of another kind."""


def default_cache() -> Path:
    """Where templates and results are kept if nobody says: $XDG_CACHE_HOME/galfit_ml, by default ~/.cache/galfit_ml."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "galfit_ml"


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an npz file, under its final name only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_arrays(path: Path, names: set[str]) -> dict[str, NDArray[Any]]:
    """Arrays of a file that `write_arrays` wrote; FileFormatError where it is damaged or lacks one of `names`."""
    try:
        # numpy leaves a damaged file open that it opened itself.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        missing = sorted(names - set(arrays))
        if missing:
            raise KeyError(f"{', '.join(missing)} missing")
    except DAMAGE as error:
        raise FileFormatError(
            f"The cached file '{path}' is damaged ({error}): the disk was full, or something else wrote to it. "
            f"Delete it and run again; only what it held is made anew: rm '{path}'"
        ) from error
    return arrays


def source_of(package: str, *names: str) -> bytes:
    """The code of modules of a package, with that of all modules beside them that they import."""
    folder, found = resources.files(package), {}
    pattern = re.compile(rf"from {re.escape(package)}\.(\w+) import")
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = (folder / f"{name}.py").read_text(encoding="utf-8")
            waiting += pattern.findall(found[name])
    return "".join(found[name] for name in sorted(found)).encode()


def short_hash(*parts: bytes) -> str:
    """16 hexadecimal digits that change with any of the parts."""
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:16]
