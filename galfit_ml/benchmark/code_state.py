"""Which state of the code answers: between two versions there are many."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from galfit_ml.benchmark.answers import ABOUT, read_about

LENGTH = 12
"""Hexadecimal digits."""

IGNORED = ("__pycache__", "report")
"""Folders that change no answer: compiled files, and what draws reports."""


@cache
def code_state(*packages: str) -> str:
    """Short hash (SHA-256) of all files of packages, or single modules; it is taken once in a process.

    A package that is not installed as files does not count.
    """
    digest = hashlib.sha256()
    for name in dict.fromkeys(packages):
        for where, path in _files(name):
            digest.update(f"{name}/{where}\n{path.stat().st_size}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:LENGTH]


def _files(package: str) -> Iterator[tuple[str, Path]]:
    """Name inside the package and path of every file, in an order that is always the same."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        return
    for folder in map(Path, spec.submodule_search_locations or ()):
        found = (path for path in folder.rglob("*") if path.is_file())
        for where in sorted(path.relative_to(folder).as_posix() for path in found):
            if not set(IGNORED) & set(where.split("/")[:-1]):
                yield where, folder / where
    if spec.origin and not spec.submodule_search_locations:
        yield Path(spec.origin).name, Path(spec.origin)


def states(suite: Path) -> Iterator[str]:
    """A line for each backend in a suite's folder of results that was not in one state all the time."""
    for path in sorted(suite.glob(f"*/{ABOUT}")):
        known = list(dict.fromkeys(read_about(path.parent).get("code", ())))
        if len(known) > 1:
            yield f"{path.parent.name}: answers of {len(known)} states of the code ({', '.join(known)})"
