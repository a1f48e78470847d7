"""A process that works on tasks, seen from the one that started it."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import ModuleType
from typing import Any

from galfit_ml.workers.process import work

SECONDS_TO_END = 5.0
"""What a process without work has to end by itself before it is killed."""

_SPAWN = multiprocessing.get_context("spawn")
_HELD_BACK = threading.Lock()


class Worker:
    """A process that works on tasks, once it is started.

    Args:
        main: see `galfit_ml.workers.process.work`.

    Attributes:
        task: index of the task it works on, or None.
        ready: whether it has loaded the function.
    """

    def __init__(self, main: dict[str, Any]) -> None:
        self.task: int | None = None
        self.ready = False
        self.connection, self._theirs = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=work, args=(self._theirs, main), daemon=True)

    def start(self, function: bytes) -> None:
        """Start the process and send it the pickled function.

        Raises:
            OSError: the system allows no more processes.
        """
        with _held_back():
            self.process.start()
        self._theirs.close()  # else the end of the process would not close the pipe
        self.send(function)

    def send(self, payload: bytes) -> bool:
        """Whether it went; if not, the process has died, and the next `receive` tells so."""
        try:
            self.connection.send_bytes(payload)
        except OSError:
            return False
        return True

    def receive(self) -> tuple[str, Any] | None:
        """What it says; None if it has died."""
        try:
            return self.connection.recv() if self.connection.poll() else None
        except (EOFError, OSError):
            return None

    @property
    def started(self) -> bool:
        """Whether there is a process."""
        return self.process.pid is not None

    def kill(self) -> None:
        """End it at once."""
        if self.started:
            self.process.kill()

    def end(self) -> int:
        """Wait for its end and hasten it if need be; its exit status, or minus the number of the signal it died of."""
        self.connection.close()
        self._theirs.close()
        if not self.started:
            return 0
        self.process.join(SECONDS_TO_END)
        self.process.kill()
        self.process.join()
        status = self.process.exitcode
        self.process.close()
        return status or 0


@contextmanager
def _held_back() -> Iterator[None]:
    """Keep from a process that starts the module `__main__`, and Ctrl-C until it has learnt to ignore it.

    The module is hidden because `multiprocessing` would load it first thing; the signal is blocked, which a new process
    inherits, and reaches this one afterwards.
    """
    with _HELD_BACK, _interrupt_blocked():
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


@contextmanager
def _interrupt_blocked() -> Iterator[None]:
    if sys.platform == "win32":
        yield
        return
    resource_tracker.ensure_running()  # a helper of multiprocessing, which unblocks the signal after its own start
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
