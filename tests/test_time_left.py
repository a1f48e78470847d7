"""Time left: nothing without evidence, right for steady work, for bursts and for late pieces."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest

from galfit_ml.progress import shown_progress
from galfit_ml.time_left import TimeLeft, in_words


def told(calls: list[tuple[float, int]], total: int, created: float = 0.0) -> list[float | None]:
    """What is said at each (clock, done)."""
    left = TimeLeft(created)
    return [left.seconds(done, total, now) for now, done in calls]


def test_nothing_is_said_before_a_piece_is_done() -> None:
    assert told([(5.0, 0), (30.0, 0), (500.0, 0)], 10) == [None, None, None]


def test_the_first_call_alone_is_no_evidence_even_with_pieces_done() -> None:
    """A run that goes on where another stopped begins with pieces that took none of its time."""
    assert told([(1.0, 900), (2.0, 900)], 1000) == [None, None]
    assert told([(1.0, 900), (11.0, 901), (14.0, 901)], 1000)[-1] == pytest.approx(99 * 10 - 3)


def test_steady_work_counts_down() -> None:
    calls = [(10.0 * k, k) for k in range(8)]
    found = told([*calls, (75.0, 7)], 10)
    assert found[0] is None
    assert found[3:8] == [pytest.approx(10.0 * (10 - k)) for k in range(3, 8)]
    assert found[8] == pytest.approx(25.0)


def test_messages_within_a_piece_change_nothing_but_the_countdown() -> None:
    quiet = told([(0.0, 0), (60.0, 1), (120.0, 2), (170.0, 2)], 5)
    calls = [(0.0, 0), *((float(t), t // 60) for t in range(1, 171))]
    chatty = told(calls, 5)
    assert chatty[-1] == quiet[-1] == pytest.approx(3 * 60 - 50)
    after = [value for value, (now, _) in zip(chatty, calls, strict=True) if now > 80]
    assert all(b <= a for a, b in pairwise(after))


@pytest.mark.parametrize("first_call", [True, False])
@pytest.mark.parametrize("jitter", [0.0, 0.05])
def test_bursts_of_workers_are_not_taken_for_speed_or_slowness(first_call: bool, jitter: float) -> None:
    """Eight workers, 100 s a piece: off by a round at most while a burst comes in, and near the truth between."""
    rng = np.random.default_rng(0)
    ends = np.sort((100.0 * (1 + np.arange(10)[:, None]) + 100 * jitter * rng.random((10, 8))).ravel())
    calls = [(0.0, 0)] * first_call + [(float(t), k + 1) for k, t in enumerate(ends)]
    calls = sorted(calls + [(float(t), int((ends <= t).sum())) for t in np.arange(130, 960, 10.0)])
    said = [(now, value) for value, (now, _) in zip(told(calls, 80), calls, strict=True) if value is not None]
    assert said[0][0] <= (130 if first_call else 235)  # after one round that was seen from its beginning
    for now, value in said:
        truth = ends[-1] - now
        assert 0.45 * truth - 15 <= value <= 1.15 * truth + 100
        if 30 <= now % 100 <= 90:
            assert value == pytest.approx(truth, rel=0.15, abs=15)


def test_a_wait_longer_than_any_before_counts() -> None:
    calls = [(0.0, 0), (10.0, 1), (20.0, 2), (29.0, 2), (60.0, 2), (120.0, 2)]
    found = told(calls, 3)
    assert found[3] == pytest.approx(10.0)  # one piece is left: never less than the time of one
    assert found[4:] == [pytest.approx(30.0), pytest.approx(60.0)]


def test_a_slow_piece_after_fast_ones_is_felt_at_once() -> None:
    assert told([(0.0, 0), (1.0, 1), (100.0, 2)], 10)[-1] >= 8 * 25


def test_another_phase_starts_afresh() -> None:
    left = TimeLeft(0.0)
    for now, done in ((0.0, 0), (100.0, 1), (200.0, 2)):
        left.seconds(done, 2, now)
    assert left.seconds(0, 50, 201.0) is None
    assert left.seconds(1, 50, 202.0) is None
    assert left.seconds(1, 50, 202.5) == pytest.approx(49 - 0.5)


def test_nothing_is_left_when_all_is_done() -> None:
    assert told([(0.0, 0), (1.0, 1), (2.0, 2)], 2)[-1] is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1 s"),
        (9.4, "9 s"),
        (12.6, "15 s"),
        (57.4, "55 s"),
        (58.0, "1 min"),
        (3580.0, "1 h"),
        (5400.0, "1 h 30 min"),
        (86000.0, "23 h 50 min"),
        (86390.0, "1 d"),
        (180000.0, "2 d 2 h"),
    ],
)
def test_times_are_told_as_roughly_as_they_are_known(seconds: float, text: str) -> None:
    assert in_words(seconds) == text


class Terminal(io.StringIO):
    """A stream that calls itself a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("kind", [Terminal, io.StringIO])
def test_both_displays_say_it_once_they_know(kind: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("galfit_ml.progress.time.monotonic", lambda: clock[0])
    stream = kind()
    with shown_progress(stream) as progress:
        for now, done, message in ((0, 0, "a: 3%"), (50, 0, "a: 80%"), (60, 1, "a"), (90, 1, "b: 50%"), (120, 2, "b")):
            clock[0] = float(now)
            progress(done, 10, message)
            if done == 0:
                assert "left" not in stream.getvalue()
    shown = stream.getvalue()
    assert "about 8 min left" in shown  # 9 x 60 s less the 30 s that have passed
    assert "b: 50%" in shown
