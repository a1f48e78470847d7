"""`run_tasks`: here, or in other processes, with the same outcomes."""

from __future__ import annotations

import multiprocessing
import operator
import os
import pickle
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from galfit_ml.errors import WorkerError
from galfit_ml.workers.crew import Calls, Crew
from galfit_ml.workers.outcome import News, Outcome, attempt
from galfit_ml.workers.process import leave_if_loading_main

Task = TypeVar("Task")
Result = TypeVar("Result")


def check_workers(workers: int | None) -> int:
    """The number of processes that `workers` stands for: 1 for None.

    Raises:
        ValueError: it is not a whole number of at least 1.
    """
    if workers is None:
        return 1
    try:
        number = operator.index(workers)
    except TypeError:
        number = 0
    if number < 1 or isinstance(workers, bool):
        cores = os.cpu_count() or 1
        wanted = f"the number of processes, at most that of cores (here {cores}): workers={cores}"
        raise ValueError(f"workers must be a whole number of at least 1, not {workers!r}. Give {wanted}.")
    return number


def run_tasks(
    function: Callable[[Task, News], Result],
    tasks: Sequence[Task],
    workers: int | None = None,
    *,
    on_done: Callable[[int, int, int], None] | None = None,
    on_news: Callable[[int, float], None] | None = None,
    attempts: int = 3,
) -> list[Outcome[Result]]:
    """Call function(task, news) for every task, in `workers` processes at once.

    A task whose process is killed is tried again after the others, alone: what usually kills is that memory runs out.

    Args:
        function: for more than one worker it is pickled, with what it carries (`functools.partial(work, backend)`), and
            loaded once in each process.
        tasks: anything that can be pickled.
        workers: number of processes, no more than there are tasks; 1 or None works in this one, and so does any number
            inside a process of another pool.
        on_done: called as on_done(index, n_done, n_total) in this process when a task ends, whatever its outcome.
        on_news: called as on_news(index, share) in this process when a task tells how far it is.
        attempts: how often a task may lose its process before it is given up, >= 1.

    Returns:
        One outcome per task, in the order of the tasks. They do not depend on `workers`: not by a bit, where algebra
        in this process has one thread as well (`galfit_ml.simulate.threads.one_thread`).

    Raises:
        ValueError: `workers` is not a whole number of at least 1, or `attempts` is less.
        WorkerError: `function` cannot be sent to another process, or the script starts its work again when loaded.
    """
    leave_if_loading_main()
    size = min(check_workers(workers), len(tasks))
    if attempts < 1:
        raise ValueError(f"attempts must be at least 1, not {attempts}.")
    calls = Calls(len(tasks), on_done, on_news)
    if size <= 1 or multiprocessing.current_process().daemon:
        return _run_here(function, tasks, calls)
    return Crew(_pickled(function), tasks, calls, attempts).run(size)


class _CallerError(BaseException):
    """An error of `on_news` on its way through a task, which must not take it for one of its own."""


def _run_here(function: Callable[[Task, News], Result], tasks: Sequence[Task], calls: Calls) -> list[Outcome[Result]]:
    def news(index: int, share: float) -> None:
        try:
            calls.news(index, float(share))
        except Exception as error:
            raise _CallerError from error

    outcomes: list[Outcome[Result]] = []
    for index, task in enumerate(tasks):
        try:
            outcomes.append(attempt(partial(function, task, partial(news, index))))
        except _CallerError as error:
            raise error.__cause__ or error from None
        calls.done(index, len(outcomes))
    return outcomes


def _pickled(function: object) -> bytes:
    try:
        return pickle.dumps(function, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        raise WorkerError(
            f"What is to run in other processes cannot be pickled ({type(error).__name__}: {error}). Take a function "
            "or class at the top level of a module, with attributes that can be pickled, or leave out workers=."
        ) from error
