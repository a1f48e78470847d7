"""Progress of long work, shown: a bar on a terminal, now and then a line elsewhere (a log file, a batch queue).

Both say how long it still takes, as soon as what is done tells it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from galfit_ml.time_left import TimeLeft, in_words

if TYPE_CHECKING:
    from galfit_ml.backend import Progress

SECONDS_BETWEEN_LINES = 10.0

BAR = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"
"""tqdm's own time left is not in it: that restarts from every refresh, and takes bursts for speed."""


@contextmanager
def shown_progress(stream: TextIO | None = None) -> Iterator[Progress]:
    """A `progress(done, total, message)` callable that shows itself on `stream` (standard error by default)."""
    out = sys.stderr if stream is None else stream
    shown = _Bar(out) if out.isatty() else _Lines(out)
    try:
        yield shown
    finally:
        shown.close()


class _Lines:
    """At most one line each `SECONDS_BETWEEN_LINES`, and one when everything is done."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.start = time.monotonic()
        self.left = TimeLeft(self.start)
        self.last = -float("inf")

    def __call__(self, done: int, total: int, message: str) -> None:
        now = time.monotonic()
        left = self.left.seconds(done, total, now)
        if now - self.last < SECONDS_BETWEEN_LINES and done < total:
            return
        self.last = now
        count = f"{done}/{total} spectra{'' if left is None else f', about {in_words(left)} left'}"
        self.stream.write(f"[{now - self.start:6.1f} s] {count}  {message}".rstrip() + "\n")
        self.stream.flush()

    def close(self) -> None:
        """Nothing is left to tidy up."""


class _Bar:
    """tqdm's bar, made on the first call, so that nothing shows where nothing takes long."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.left = TimeLeft(time.monotonic())
        self.bar: Any = None

    def __call__(self, done: int, total: int, message: str) -> None:
        if self.bar is None:
            from tqdm import tqdm

            style: dict[str, Any] = {"bar_format": BAR, "dynamic_ncols": True, "leave": False}
            self.bar = tqdm(total=total, file=self.stream, unit="spectrum", **style)
        left = self.left.seconds(done, total, time.monotonic())
        parts = ["" if left is None else f"about {in_words(left)} left", message]
        self.bar.total = total
        self.bar.n = done
        self.bar.set_postfix_str(", ".join(part for part in parts if part), refresh=True)

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self.bar is not None:
            self.bar.close()
