"""The journal of a run: which settings, and how many chunks are safely on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from galfit_ml.errors import FileFormatError
from galfit_ml.writing import write_whole

JOURNAL = "galfit_ml mock progress"


@dataclass(frozen=True)
class Journal:
    """What `mock.fits.progress` holds.

    Args:
        digest: of the settings.
        settings: all of them, to say what differs.
        finished: chunks whose spectra and truth are on disk.
        truth_type: columns of the truth table: name and type.
    """

    digest: str
    settings: Mapping[str, Any]
    finished: int
    truth_type: tuple[tuple[str, str], ...]

    def write(self, path: Path) -> None:
        """Replace the file in one step."""
        content = {"kind": JOURNAL, **vars(self)}
        write_whole(path, json.dumps(content, indent=1).encode())

    @classmethod
    def read(cls, path: Path) -> Journal | None:
        """The journal; None if there is none. FileFormatError where it is something else."""
        if not path.exists():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content.pop("kind") != JOURNAL:
                raise ValueError("it is of another kind")
            columns = tuple((str(name), str(kind)) for name, kind in content.pop("truth_type"))
            return cls(truth_type=columns, **content)
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            raise FileFormatError(
                f"'{path}' should tell how far an interrupted run came, and cannot be read ({error}). Delete it to "
                "begin anew, or name another file with --out."
            ) from error
