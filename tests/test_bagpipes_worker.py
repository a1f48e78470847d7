"""The worker stops a sampler that finds no points any more; no bagpipes and no nautilus needed."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from galfit_ml_bagpipes.settings import Settings
from galfit_ml_bagpipes.worker import Stalled, Watch, _run

needs_alarm = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timer")


class Sampler:
    """Makes so many calls, then looks for points for ever, or is done."""

    def __init__(self, likelihood: Callable[[Any], float], calls: int, *, stalls: bool) -> None:
        self.likelihood, self.calls, self.stalls, self.n_like = likelihood, calls, stalls, 0

    def run(self, n_eff: float, n_like_max: int, timeout: float) -> bool:
        while self.n_like < min(self.calls, n_like_max):
            self.likelihood(0.0)
            self.n_like += 1
        while self.stalls and self.n_like == self.calls:
            time.sleep(0.01)
        return self.n_like == self.calls


def run(*, stalls: bool, patience: float, pause: float = 0.0) -> tuple[bool, bool, list[int]]:
    told: list[int] = []
    watch = Watch(patience)
    likelihood = watch.over(lambda _: time.sleep(pause) or 0.0)  # type: ignore[func-returns-value]
    sampler = Sampler(likelihood, 1200 if not pause else 8, stalls=stalls)
    return *_run(sampler, Settings(max_calls=5000), told.append, watch), told


@needs_alarm
def test_a_sampler_that_finds_no_points_is_stopped() -> None:
    assert run(stalls=True, patience=0.3) == (False, True, [500, 1000])
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0.0


def test_one_that_gets_on_is_not() -> None:
    assert run(stalls=False, patience=30.0) == (True, False, [500, 1000, 1200])


@needs_alarm
def test_each_call_begins_the_wait_anew() -> None:
    """Eight calls of 0.1 s are longer than the patience, and none of them is."""
    assert run(stalls=False, patience=0.4, pause=0.1)[:2] == (True, False)


@needs_alarm
def test_a_watch_rings_once_and_only_while_it_is_kept() -> None:
    with pytest.raises(Stalled), Watch(0.05):
        time.sleep(1.0)
    time.sleep(0.1)


def test_where_there_is_no_timer_nothing_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("galfit_ml_bagpipes.worker.signal", SimpleNamespace())
    watch = Watch(0.01)
    assert watch.patience == math.inf
    with watch:
        assert watch.over(lambda x: 2 * x)(3.0) == 6.0
