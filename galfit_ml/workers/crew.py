"""The processes of one call: who works on what, and what happens where one dies."""

from __future__ import annotations

import pickle
import signal
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import spawn
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from galfit_ml.errors import WorkerError
from galfit_ml.workers.outcome import Outcome, failed
from galfit_ml.workers.process import DONE, NEWS, UNFIT, UNGUARDED
from galfit_ml.workers.worker import Worker

KILLED = -9
"""Exit status of a process that the system has killed, usually for want of memory."""

FEWER = "Usually the memory of the machine is used up: end other programs, or take fewer workers, such as workers={}."
FAULT = "A compiled library has failed in it: try it alone with workers=1 to see more, and report it."
IMPORTABLE = (
    "Define what it needs at the top level of a file and import it from there (a notebook is no such file), or leave "
    "out workers=."
)
GUARD = (
    "A process started with workers= had to load your script, for a function or class that is defined in it, and the "
    "script began its work again. Put what the script does, not what it defines, under a line "
    "`if __name__ == '__main__':`, or import the definitions from another file, or leave out workers=."
)


@dataclass(frozen=True)
class Calls:
    """Whom to tell, in the process that called.

    Args:
        n_total: number of tasks.
        on_done: called as on_done(index, n_done, n_total), or None.
        on_news: called as on_news(index, share), or None.
    """

    n_total: int
    on_done: Callable[[int, int, int], None] | None
    on_news: Callable[[int, float], None] | None

    def done(self, index: int, n_done: int) -> None:
        """A task has ended."""
        if self.on_done is not None:
            self.on_done(index, n_done, self.n_total)

    def news(self, index: int, share: float) -> None:
        """A task is so far."""
        if self.on_news is not None:
            self.on_news(index, share)


class Crew:
    """The processes of one call.

    Args:
        function: pickled.
        tasks: not yet pickled.
        calls: whom to tell.
        attempts: how often a task may lose its process, and how many processes may die while they start.
    """

    def __init__(self, function: bytes, tasks: Sequence[Any], calls: Calls, attempts: int) -> None:
        self.function, self.tasks, self.calls, self.attempts = function, tasks, calls, attempts
        self.main = _main_module()
        self.outcomes: dict[int, Outcome[Any]] = {}
        self.deaths = [0] * len(tasks)
        self.workers: list[Worker] = []
        self.leaving: list[Worker] = []
        self.proven = False  # one of them could load the function
        self.faults: list[str] = []  # why some died without a task
        self.fewer = FEWER.format(1)

    def run(self, size: int) -> list[Outcome[Any]]:
        """All tasks, `size` at once; then those whose process was killed, one at a time, with the memory of all."""
        self.fewer = FEWER.format(max(1, size // 2))
        left = list(range(len(self.tasks)))
        try:
            while left:
                left = self._round(left, size)
                size = 1
        except BaseException:
            for worker in self.workers:
                worker.kill()
            raise
        finally:
            for worker in [*self.leaving, *self.workers]:
                worker.end()
        return [self.outcomes[index] for index in range(len(self.tasks))]

    def _round(self, indices: list[int], size: int) -> list[int]:
        """Each of the tasks once; returns those to try again."""
        self.waiting, self.again, self.size = deque(indices), list[int](), size
        self._recruit()
        while self.workers:
            for worker in self._heard():
                self._attend(worker)
        for index in self.waiting:
            self._finish(index, Outcome(error=f"no process could start for it ({self.faults[-1]}). {self.fewer}"))
        return self.again

    def _recruit(self) -> None:
        """As many processes as will find a task, but no more where they die while they start."""
        while len(self.workers) < self.size and len(self.faults) < self.attempts:
            if len(self.waiting) <= sum(not worker.ready for worker in self.workers):
                return
            try:
                self.workers.append(Worker(self.main))  # before it starts: Ctrl-C at any time ends it
                self.workers[-1].start(self.function)
            except OSError as error:
                self.faults.append(str(error))
                self._drop_unstarted()

    def _drop_unstarted(self) -> None:
        for worker in self.workers:
            if not worker.started:
                worker.end()
        self.workers = [worker for worker in self.workers if worker.started]

    def _heard(self) -> list[Worker]:
        """Those that say something, or else those that died without closing their pipe: a child of theirs holds it."""
        speaking = wait([worker.connection for worker in self.workers], timeout=1.0)
        if speaking:
            return [worker for worker in self.workers if worker.connection in speaking]
        return [worker for worker in self.workers if not worker.process.is_alive()]

    def _attend(self, worker: Worker) -> None:
        said = worker.receive()
        if said is None:
            self._lose(worker, None)
        elif said[0] == UNFIT:
            self._lose(worker, said[1])
        elif said[0] == NEWS:
            if worker.task is not None:
                self.calls.news(worker.task, said[1])
        else:
            worker.ready = self.proven = True
            if said[0] == DONE and worker.task is not None:
                index, worker.task = worker.task, None
                self._finish(index, _unpacked(said[1]))
            self._give(worker)

    def _give(self, worker: Worker) -> None:
        """The next task that can be sent; without one, the process may end."""
        while self.waiting:
            index = self.waiting.popleft()
            try:
                payload = pickle.dumps(self.tasks[index], pickle.HIGHEST_PROTOCOL)
            except Exception as error:  # noqa: BLE001 - an object's own methods may raise anything
                self._finish(index, failed(error, "it cannot be sent to another process: "))
                continue
            if worker.send(payload):
                worker.task = index
            else:
                self.waiting.appendleft(index)
            return
        self.workers.remove(worker)
        self.leaving.append(worker)
        worker.connection.close()

    def _lose(self, worker: Worker, why: str | None) -> None:
        """A process is dead, or of no use: note it, and start another one if there is work for it."""
        self.workers.remove(worker)
        status = worker.end()
        if status == UNGUARDED:
            raise WorkerError(GUARD)
        if why is not None and not self.proven:
            advice = IMPORTABLE if "__main__" in why else "Leave out workers= to see the whole error."
            raise WorkerError(f"A process started with workers= cannot load what it is to run: {why}. {advice}")
        if worker.task is None:
            self.faults.append(why or _cause(status))
        else:
            self._count_death(worker.task, status)
        self._recruit()

    def _count_death(self, index: int, status: int) -> None:
        self.deaths[index] += 1
        if self.deaths[index] < self.attempts:
            self.again.append(index)
            return
        advice = self.fewer if status == KILLED else FAULT
        self._finish(index, Outcome(error=f"its process died {self.deaths[index]} times ({_cause(status)}). {advice}"))

    def _finish(self, index: int, outcome: Outcome[Any]) -> None:
        self.outcomes[index] = outcome
        self.calls.done(index, len(self.outcomes))


def _main_module() -> dict[str, Any]:
    """Where `__main__` comes from, for `multiprocessing.spawn.prepare`; nothing where that is no file."""
    described = spawn.get_preparation_data("")
    if not Path(described.get("init_main_from_path", ".")).exists():  # standard input
        return {}
    return {key: value for key, value in described.items() if key.startswith("init_main")}


def _unpacked(payload: bytes) -> Outcome[Any]:
    try:
        outcome: Outcome[Any] = pickle.loads(payload)
    except Exception as error:  # noqa: BLE001 - an object's own methods may raise anything
        return failed(error, "its result cannot be read: ")
    return outcome


def _cause(status: int) -> str:
    """An exit status in words."""
    known = {int(number): number.name for number in signal.Signals}
    return known.get(-status, f"exit status {status}")
