"""Threads of torch, and of the linear algebra under numpy and scipy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache

import torch
from threadpoolctl import ThreadpoolController

_LOCK = threading.Lock()
_depth, _before, _blas = 0, 1, ExitStack()


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch, and the linear algebra of numpy and scipy, on one thread.

    Arrays of single spectra are too small for more to help, and on a busy machine threads wait for each other:
    parallelism belongs over spectra. Sums are also added in another order by more threads, so that the last digits of
    an answer would depend on the machine. The setting of torch belongs to the calling thread and is what new threads
    begin with, that of numpy and scipy to the process; calls may overlap: torch's is put back by each, the other by the
    last of them.
    """
    global _depth, _before
    with _LOCK:
        if _depth == 0:
            _before = torch.get_num_threads()
            _blas.enter_context(_controller().limit(limits=1, user_api="blas"))
        _depth += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _LOCK:
            _depth -= 1
            torch.set_num_threads(_before)
            if _depth == 0:
                _blas.close()


@cache
def _controller() -> ThreadpoolController:
    """Of the libraries that are loaded: found once, for that takes milliseconds."""
    import numpy.linalg  # noqa: F401 - loads the library of numpy
    import scipy.linalg  # noqa: F401 - and that of scipy

    return ThreadpoolController()
