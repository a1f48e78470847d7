"""What goes on inside a process that was started to work on tasks.

Everything travels by plain `pickle`: that of `multiprocessing`, once torch is imported, would tie a tensor to the life
of the process it comes from.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import signal
import threading
from contextlib import suppress
from multiprocessing import spawn
from multiprocessing.connection import Connection, wait
from typing import Any

from galfit_ml.workers.outcome import Outcome, attempt, failed, name_and_message

READY, NEWS, DONE, UNFIT = "ready", "news", "done", "unfit"
"""What a process says: the function is loaded, a task is so far, a task has ended, the function cannot be loaded."""

UNGUARDED = 87
"""Exit status of a process that found the script starting its work again."""

ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""Set to 1 in the environment before anything here imports numpy."""

_loading_main = False


def work(connection: Connection, main: dict[str, Any]) -> None:
    """Receive a function, then tasks one by one; send back what becomes of them, until nobody listens.

    Args:
        connection: to the process that started this one.
        main: where the module `__main__` of that process comes from, as `multiprocessing.spawn.prepare` takes it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the first one decides
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, ConnectionError):
        _serve(connection, main)


def leave_if_loading_main() -> None:
    """End this process if it is one that runs a script only to find a function of it, and the script starts work.

    It is no exception, which the script could catch to go on with its work a second time.
    """
    if _loading_main:
        os._exit(UNGUARDED)


def _serve(connection: Connection, main: dict[str, Any]) -> None:
    payload = connection.recv_bytes()
    try:
        function = _load(payload, main)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - what an import may raise
        connection.send((UNFIT, name_and_message(error)))
        return
    connection.send((READY, None))

    def news(share: float) -> None:
        connection.send((NEWS, float(share)))

    while True:
        payload = connection.recv_bytes()
        outcome = attempt(lambda: function(_load(payload, main), news))  # noqa: B023 - called at once
        connection.send((DONE, _packed(outcome)))


def _packed(outcome: Outcome[Any]) -> bytes:
    try:
        return pickle.dumps(outcome, pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # noqa: BLE001 - an object's own methods may raise anything
        return pickle.dumps(failed(error, "its result cannot be sent back: "))


def _load(payload: bytes, main: dict[str, Any]) -> Any:
    return _Unpickler(payload, main).load()


class _Unpickler(pickle.Unpickler):
    """Runs the script of the first process as a module where, and only where, something in it is asked for."""

    def __init__(self, payload: bytes, main: dict[str, Any]) -> None:
        super().__init__(io.BytesIO(payload))
        self.main = main

    def find_class(self, module: str, name: str) -> Any:
        if module == "__main__":
            _load_main(self.main)
        return super().find_class(module, name)


def _load_main(main: dict[str, Any]) -> None:
    global _loading_main
    _loading_main = True
    try:
        spawn.prepare(main)  # where it is loaded already, this does nothing
    finally:
        _loading_main = False


def _end_with_parent() -> None:
    """End this process when the one that started it has ended, though it could not say so."""
    parent = multiprocessing.parent_process()
    number = os.getppid()
    # A descriptor tells it, and the parent's number too, in case a fork of the parent holds the other end open.
    while parent is not None and not wait([parent.sentinel], timeout=1.0) and os.getppid() == number:
        pass
    os._exit(1)
