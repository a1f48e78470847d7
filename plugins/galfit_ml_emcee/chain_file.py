"""A chain on disk, from which a run that was killed goes on.

The file is emcee's own HDF5 format, with the proposal and the walkers' start beside it. It is written block by block:
the chain grows in memory and takes the file's place when the block is complete, so that a kill or a full disk at any
moment leaves a sound file.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from galfit_ml.errors import FileFormatError, OutputExistsError
from galfit_ml.writing import write_whole
from galfit_ml_emcee.ensemble import Plan
from galfit_ml_emcee.moves import Modes
from galfit_ml_emcee.surrogate import Surrogate

if TYPE_CHECKING:
    from galfit_ml_emcee.chain_memory import ChainMemory

Floats = NDArray[np.float64]

DAMAGE = (OSError, KeyError, ValueError, RuntimeError)


def fingerprint(arrays: Iterable[NDArray[Any]], settings: object) -> str:
    """Hash of data and settings: a chain goes on only where both are those it began with."""
    digest = hashlib.sha256(repr(settings).encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def chain_path(folder: Path, name: str, number: int) -> Path:
    """File of the chain around the peak `number` of a spectrum; another for every name."""
    slug = (re.sub(r"[^A-Za-z0-9._+-]+", "_", name).strip("._") or "spectrum")[:80]
    if slug != name:
        slug += f"-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return folder / f"{slug}-{number}.h5"


class ChainFile:
    """One chain on disk.

    Args:
        path: of the file; its folder is made.
        key: `fingerprint` of data and settings.

    Raises:
        OutputExistsError: the file holds a chain of other data or settings.
        FileFormatError: it is no chain, or damaged.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key
        self._memory: ChainMemory | None = None
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and self._read_key() != key:
            raise OutputExistsError(
                f"'{path}' holds a chain of other data, options or version of galfit_ml: it cannot go on from there. "
                f"Name another folder with resume=, or delete it: rm '{path}'"
            )

    def _read_key(self) -> str:
        import h5py

        try:
            with h5py.File(self.path, "r") as file:
                return str(file.attrs["galfit_ml"])
        except DAMAGE as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> FileFormatError:
        return FileFormatError(
            f"'{self.path}' is no chain of galfit_ml, or damaged ({error}). Name another folder with resume=, or "
            f"delete it: rm '{self.path}'"
        )

    def plan(self) -> Plan | None:
        """How the chain is proposed; None where there is no chain yet.

        Raises:
            FileFormatError: the file is damaged.
        """
        if not self.path.is_file():
            return None
        try:
            return self._read_plan()
        except DAMAGE as error:
            raise self._damaged(error) from error

    def _read_plan(self) -> Plan:
        import h5py

        with h5py.File(self.path, "r") as file:
            modes = Modes(**{name: file["modes"][name][()] for name in ("mean", "root", "weight")})
            stored = {f.name: file["surrogate"][f.name][()] for f in fields(Surrogate)}
            own = {name: file["plan"][name][()] for name in ("archive", "points")}
            error = float(file["plan"].attrs["error"])
        values: dict[str, Any] = {
            k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v.item() for k, v in stored.items()
        }
        return Plan(modes, Surrogate(**values), own["archive"], own["points"], error)

    def begin(self, plan: Plan) -> None:
        """Write how the chain is proposed; WriteError."""
        import h5py

        packed = io.BytesIO()
        with h5py.File(packed, "w") as file:
            file.attrs["galfit_ml"] = self.key
            parts: dict[str, Any] = {"modes": plan.modes, "surrogate": plan.surrogate, "plan": plan}
            for group, part in parts.items():
                for field in fields(part):
                    value = getattr(part, field.name)
                    if isinstance(value, torch.Tensor | np.ndarray | int | float):
                        file.create_dataset(f"{group}/{field.name}", data=np.asarray(value))
            file["plan"].attrs["error"] = plan.error
        write_whole(self.path, packed.getvalue())

    def attach(self, walkers: Any) -> None:
        """Make an ensemble write here, and go on from the last step that is here."""
        from galfit_ml_emcee.chain_memory import ChainMemory

        backend = self._memory = ChainMemory(self.path.read_bytes())
        if backend.initialized and backend.iteration > 0:
            walkers._random.set_state(backend.random_state)
            walkers.backend = backend
            walkers._previous_state = walkers.get_last_sample()
        else:
            backend.reset(walkers.nwalkers, walkers.ndim)
            walkers.backend = backend

    def commit(self) -> None:
        """The steps so far become the file; WriteError."""
        assert self._memory is not None
        with self._memory.memory.getbuffer() as content:
            write_whole(self.path, content)
