"""emcee's HDF5 file in memory.

The HDF5 library may take the whole process down where a disk fills up under it; here it never sees a disk.
"""

from __future__ import annotations

import io
from typing import Any

import emcee
import h5py


class ChainMemory(emcee.backends.HDFBackend):
    """A backend of emcee that holds its file as bytes.

    Args:
        content: a file that is there already.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__("in memory")
        self.memory = io.BytesIO(content)

    @property
    def initialized(self) -> bool:
        """Whether there is a chain in it."""
        with self.open() as file:
            return self.name in file

    def open(self, mode: str = "r") -> Any:
        """The file, for emcee to read and write."""
        return h5py.File(self.memory, mode)
