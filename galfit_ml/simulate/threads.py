"""Threads of torch."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_LOCK = threading.Lock()
_depth, _before = 0, 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread.

    Arrays of single spectra are too small for more to help, and on a busy machine threads wait for each other:
    parallelism belongs over spectra. The setting belongs to the calling thread and is what new threads begin with;
    calls may overlap, and each puts back what was before the first of them.
    """
    global _depth, _before
    with _LOCK:
        if _depth == 0:
            _before = torch.get_num_threads()
        _depth += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _LOCK:
            _depth -= 1
            torch.set_num_threads(_before)
