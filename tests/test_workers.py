"""Tasks in parallel processes: order, failures, deaths, and what is left behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import worker_tasks as work

from galfit_ml.errors import WorkerError
from galfit_ml.workers import check_workers, run_tasks
from galfit_ml.workers.worker import Worker

HERE = Path(__file__).parent
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals")


def results(function: Callable[..., Any], tasks: list[Any], workers: int | None, **options: Any) -> list[Any]:
    return [outcome.unwrap() for outcome in run_tasks(function, tasks, workers, **options)]


def test_results_come_in_the_order_of_the_tasks_whoever_ends_first() -> None:
    ended: list[tuple[int, int, int]] = []
    assert results(work.late_first, [0, 1, 2, 3], 2, on_done=lambda *numbers: ended.append(numbers)) == [0, 1, 2, 3]
    assert ended[-1] == (0, 4, 4)
    assert [n for _, n, _ in ended] == [1, 2, 3, 4]


def test_results_do_not_depend_on_the_number_of_workers() -> None:
    one, two, three = (np.stack(results(work.noise, [1, 2, 3, 4], workers)) for workers in (None, 2, 3))
    assert one.tobytes() == two.tobytes() == three.tobytes()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_can_tell_how_far_it_is(workers: int) -> None:
    told: list[tuple[int, float]] = []
    results(work.halfway, [7, 8], workers, on_news=lambda *news: told.append(news))
    assert sorted(told) == [(0, 0.5), (0, 1.0), (1, 0.5), (1, 1.0)]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_is_the_outcome_of_its_task_alone(workers: int) -> None:
    value, strange, left, fine = run_tasks(work.fails, ["value", "strange", "exit", "fine"], workers)
    assert (value.error, strange.error, left.error) == (
        "ValueError: the flux is odd",
        "StrangeError",
        "SystemExit: 3",
    )
    assert "in fails" in value.details
    assert fine.result == "fine"
    with pytest.raises(WorkerError, match="the flux is odd"):
        value.unwrap()


def test_what_cannot_be_sent_is_the_outcome_of_its_task_alone() -> None:
    back, there, fine = run_tasks(work.fails, ["result", work.Unsendable(), "fine"], 2)
    assert back.error.startswith("its result cannot be sent back: ")
    assert there.error == "it cannot be sent to another process: TypeError: it stays here"
    assert fine.ok


def test_large_tasks_and_results_pass() -> None:
    tasks = [bytes([i]) * 3_000_000 for i in range(3)]
    assert results(work.large, tasks, 2) == tasks


@posix
def test_a_killed_task_is_done_again(tmp_path: Path) -> None:
    ended: list[int] = []
    tasks = [(i, tmp_path / "mark") for i in range(5)]
    assert results(work.kills_once, tasks, 2, on_done=lambda i, *_: ended.append(i)) == [0, 1, 2, 3, 4]
    assert (sorted(ended), ended[-1]) == ([0, 1, 2, 3, 4], 1)


@posix
def test_a_task_that_always_kills_is_given_up_and_the_others_are_done() -> None:
    killed, other, crashed, last = run_tasks(
        work.kills, [(0, signal.SIGKILL), (1, 0), (2, signal.SIGSEGV), (3, 0)], 2, attempts=2
    )
    assert killed.error.startswith("its process died 2 times (SIGKILL). Usually the memory")
    assert "workers=1" in killed.error
    assert crashed.error.startswith("its process died 2 times (SIGSEGV). A compiled library")
    assert (other.result, last.result) == (1, 3)


@posix
def test_a_death_costs_no_other_task_a_try(tmp_path: Path) -> None:
    assert results(work.records, [(i, tmp_path) for i in range(4)], 2) == [0, 1, 2, 3]
    starts = [line.split()[0] for line in (tmp_path / "starts").read_text().splitlines()]
    assert sorted(starts) == ["0", "0", "1", "2", "3"]


def test_processes_that_die_while_they_start_lose_no_row() -> None:
    outcomes = run_tasks(work.DiesWhenLoaded(), [1, 2, 3], 2, attempts=2)
    assert len(outcomes) == 3
    assert all(o.error.startswith("no process could start for it (exit status 3)") for o in outcomes)


def test_where_the_system_allows_no_more_processes_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = iter([True])

    def start(self: Worker, function: bytes, original: Callable[..., None] = Worker.start) -> None:
        if not next(allowed, False):
            raise BlockingIOError("no more processes")
        original(self, function)

    monkeypatch.setattr(Worker, "start", start)
    assert results(work.doubled, [1, 2, 3], 2) == [2, 4, 6]
    outcomes = run_tasks(work.doubled, [1, 2, 3], 2)
    assert [o.error.split(". ")[0] for o in outcomes] == ["no process could start for it (no more processes)"] * 3


def test_a_function_that_cannot_be_sent_or_loaded_is_told() -> None:
    with pytest.raises(WorkerError, match="cannot be pickled"):
        run_tasks(lambda task, news: task, [1, 2], 2)
    with pytest.raises(WorkerError, match="cannot load what it is to run: ValueError"):
        run_tasks(work.Deaf(), [1, 2], 2)


def test_processes_are_clean_and_no_more_than_tasks() -> None:
    before = dict(os.environ), random.getstate(), np.random.get_state()[1].tobytes()  # noqa: NPY002 - watched
    found = results(work.surroundings, [1, 2], 8)
    assert len({pid for pid, _, _ in found} | {os.getpid()}) <= 3
    assert [rest for _, *rest in found] == [["1", []]] * 2
    assert before == (dict(os.environ), random.getstate(), np.random.get_state()[1].tobytes())  # noqa: NPY002


def test_torch_runs_on_one_thread_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert results(work.threads_of_torch, [1, 2], 2) == [1, 1]


def test_inside_a_process_of_a_pool_tasks_run_one_by_one() -> None:
    assert results(work.nested, [1, 2], 2) == [[2, 2], [4, 4]]


def test_nothing_to_do_and_one_task_start_no_process() -> None:
    assert run_tasks(work.doubled, [], 4) == []
    assert results(lambda task, news: os.getpid(), [1], 4) == [os.getpid()]


@pytest.mark.parametrize("workers", [0, -1, 1.5, "all", True])
def test_a_wrong_number_of_workers_is_told(workers: Any) -> None:
    with pytest.raises(ValueError, match=r"workers must be a whole number.*workers="):
        check_workers(workers)


def test_the_number_of_workers() -> None:
    assert [check_workers(workers) for workers in (None, 1, np.int64(3))] == [1, 1, 3]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("call", ["on_done", "on_news"])
def test_an_error_of_the_caller_ends_the_call(workers: int, call: str) -> None:
    def stop(*_: object) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        run_tasks(work.halfway, [1, 2, 3], workers, **{call: stop})  # type: ignore[arg-type]


@contextmanager
def started(code: str, folder: Path, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A script of that code, the folder its argument; it is gone afterwards, however a test ends."""
    script = folder / "script.py"
    script.write_text(code)
    paths = os.pathsep.join([str(HERE.parent), str(HERE)])
    command = [sys.executable, str(script), str(folder)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}, **pipes, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def run_script(code: str, folder: Path) -> tuple[int, str, str]:
    with started(code, folder) as process:
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err


IMPORTED = """
import worker_tasks
from galfit_ml.workers import run_tasks
print([o.unwrap() for o in run_tasks(worker_tasks.doubled, [1, 2], 2)])
"""

DEFINED = """
from galfit_ml.workers import run_tasks
def tripled(task, news):
    return 3 * task
"""
WORKED = "print([o.unwrap() for o in run_tasks(tripled, [1, 2], 2)])\n"


def test_a_script_needs_no_guard_for_what_it_imports(tmp_path: Path) -> None:
    assert run_script(IMPORTED, tmp_path) == (0, "[2, 4]\n", "")


def test_standard_input_needs_no_file(tmp_path: Path) -> None:
    command, paths = [sys.executable, "-"], os.pathsep.join([str(HERE.parent), str(HERE)])
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command, input=IMPORTED, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[2, 4]\n", "")
    done = subprocess.run(command, input=DEFINED + WORKED, env=environment, capture_output=True, text=True, check=False)
    assert "cannot load what it is to run: AttributeError" in done.stderr
    assert "Define what it needs at the top level of a file" in done.stderr


def test_a_script_with_its_guard_can_define_the_function(tmp_path: Path) -> None:
    assert run_script(f"{DEFINED}if __name__ == '__main__':\n    {WORKED}", tmp_path) == (0, "[3, 6]\n", "")


def test_a_script_without_its_guard_is_told_what_to_type(tmp_path: Path) -> None:
    caught = f"{DEFINED}try:\n    {WORKED}except ImportError:\n    pass\nfinally:\n    print('ended')\n"
    status, out, err = run_script(caught, tmp_path)
    assert (status, out) == (1, "ended\n")
    assert err.count("Traceback") == 1
    assert "under a line `if __name__ == '__main__':`" in err


WAITING = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored where a shell runs all this in the background
from pathlib import Path
import worker_tasks
from galfit_ml.workers import run_tasks
run_tasks(worker_tasks.waits, [Path(sys.argv[1]) / 'pids'] * 4, 2)
"""


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def until(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
@pytest.mark.parametrize("end", ["Ctrl-C", "SIGTERM", "SIGKILL"])
def test_no_process_is_left_behind(tmp_path: Path, end: str) -> None:
    folder = tmp_path / "pids"
    folder.mkdir()
    with started(WAITING, tmp_path, start_new_session=True) as process:
        assert until(lambda: len(list(folder.iterdir())) == 2)
        pids = [int(path.name) for path in folder.iterdir()]
        if end == "Ctrl-C":
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.Signals[end])
        _, err = process.communicate(timeout=20)
    assert until(lambda: not any(map(alive, pids)), seconds=10)
    assert process.returncode < 0
    assert err.count("Traceback") == (1 if end == "Ctrl-C" else 0)


def test_ctrl_c_while_processes_start_shows_one_traceback(tmp_path: Path) -> None:
    (tmp_path / "pids").mkdir()
    early = WAITING.replace("\nrun_tasks(", "\nprint('now', flush=True)\nrun_tasks(")
    with started(early, tmp_path, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        time.sleep(0.04)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert err.count("Traceback") == 1


def test_importing_it_loads_nothing_heavy(fresh_python: Any) -> None:
    code = "import sys, galfit_ml.workers; assert not {'numpy', 'torch', 'scipy', 'pandas'} & set(sys.modules)"
    fresh_python(code)


def test_a_function_may_carry_what_it_needs_once() -> None:
    assert results(partial(work.carried, {"factor": 5}), [1, 2], 2) == [5, 10]
