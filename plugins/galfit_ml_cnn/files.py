"""Files that have their name only when they are complete."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def completed(path: Path) -> Iterator[Path]:
    """Where to write what becomes `path` when the block ends without an error."""
    part = path.with_name(f"{path.name}.part")
    yield part
    os.replace(part, path)
