"""Functions that the processes of `galfit_ml.workers` import."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

News = Callable[[float], None]


def doubled(task: int, news: News) -> int:
    return 2 * task


def late_first(task: int, news: News) -> int:
    """Task 0 ends last."""
    time.sleep(0.3 if task == 0 else 0.0)
    return task


def noise(seed: int, news: News) -> Any:
    import numpy as np

    rng = np.random.default_rng(seed)
    square = rng.normal(size=(50, 50))
    return np.linalg.eigvalsh(square @ square.T)


def halfway(task: int, news: News) -> int:
    news(0.5)
    news(1.0)
    return task


class StrangeError(Exception):
    """It can be neither printed nor pickled."""

    def __init__(self) -> None:
        super().__init__()
        self.held = lambda: None

    def __str__(self) -> str:
        raise RuntimeError("no words")


def fails(task: str, news: News) -> Any:
    if task == "value":
        raise ValueError("the flux is odd")
    if task == "strange":
        raise StrangeError
    if task == "exit":
        sys.exit(3)
    return (lambda: None) if task == "result" else task


class Unsendable:
    """Pickling it fails."""

    def __reduce__(self) -> Any:
        raise TypeError("it stays here")


def kills_once(task: tuple[int, Path], news: News) -> int:
    """Task 1 is killed as by the system, unless it has been before."""
    number, mark = task
    if number == 1 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def kills(task: tuple[int, int], news: News) -> int:
    """Dies of the signal it is given, 0 for none."""
    number, fatal = task
    if fatal:
        os.kill(os.getpid(), fatal)
    return number


def records(task: tuple[int, Path], news: News) -> int:
    """Notes each start of a task; task 0 is killed in company."""
    number, folder = task
    with (folder / "starts").open("a") as file:
        file.write(f"{number} {os.getpid()}\n")
    if number == 0 and (folder / "starts").read_text().count("0 ") == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def surroundings(task: int, news: News) -> tuple[int, str, list[str]]:
    heavy = [name for name in ("numpy", "torch", "pytest") if name in sys.modules]
    return os.getpid(), os.environ["OMP_NUM_THREADS"], heavy


def threads_of_torch(task: int, news: News) -> int:
    import torch

    return int(torch.get_num_threads())


def nested(task: int, news: News) -> list[int]:
    from galfit_ml.workers import run_tasks

    return [outcome.unwrap() for outcome in run_tasks(doubled, [task, task], 2)]


def waits(folder: Path, news: News) -> None:
    """Says that it is there, and stays."""
    (folder / str(os.getpid())).touch()
    time.sleep(120)


class DiesWhenLoaded:
    """A function that takes down the process that loads it."""

    def __reduce__(self) -> Any:
        return os._exit, (3,)

    def __call__(self, task: int, news: News) -> int:
        return task


class Deaf:
    """A function that cannot be loaded."""

    def __reduce__(self) -> Any:
        return float, ("not a number",)

    def __call__(self, task: int, news: News) -> int:
        return task


def large(task: bytes, news: News) -> bytes:
    return task[::-1]


def carried(backend: dict[str, int], task: int, news: News) -> int:
    return backend["factor"] * task
