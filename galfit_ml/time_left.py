"""How long work still takes, told from what is done: nothing before there is evidence, nothing from what has begun."""

from __future__ import annotations

from dataclasses import dataclass, field

SETTLING = 0.2
"""Workers that began together end together: what follows a wait within this part of it belongs to one burst."""

LATE = 1.5
"""A wait so many times as long as the longest before it counts as slow work."""


@dataclass
class TimeLeft:
    """Time left of work that is counted in pieces, from the mean time of the pieces that are done.

    Pieces may end one by one or in bursts, as those of several workers do: the mean is taken when a burst is over.
    Between the ends of pieces the time left counts down, at most to the time of one piece; a wait much longer than
    any before counts as slow work.

    Args:
        created: clock, seconds, before the work began.
    """

    created: float
    start: tuple[float, int] | None = field(default=None, init=False)
    last: tuple[float, int] = field(default=(0.0, 0), init=False)
    burst: tuple[float, float] = field(default=(0.0, 0.0), init=False)
    longest: float = field(default=0.0, init=False)
    each: float | None = field(default=None, init=False)

    def seconds(self, done: int, total: int, now: float) -> float | None:
        """Seconds left when `done` pieces of `total` are done at clock `now`; None where nothing can be said."""
        if self.start is None or done < self.last[1]:
            self._begin(done, now)
        self._settle(now)
        if done > self.last[1]:
            self._count(done, now)
        self._settle(now)
        if self.each is None or done >= total:
            return None
        waited, mean = now - self.last[0], self._mean(now)
        if waited > LATE * self.longest:
            return (total - done) * max(self.each, mean)
        each = max(self.each, 0.5 * mean)
        return max((total - done) * each - waited, each)

    def _begin(self, done: int, now: float) -> None:
        """The first call, or that of another phase of the work."""
        wait = now - self.created if self.start is None and done > 0 else 0.0
        self.start = self.last = (now, done)
        self.burst, self.longest, self.each = (now, wait), 0.0, None

    def _count(self, done: int, now: float) -> None:
        """Pieces have ended."""
        assert self.start is not None
        wait = now - self.last[0]
        if self.start == self.last and now - self.burst[0] < SETTLING * self.burst[1]:
            self.start = self.last = (now, done)  # the rest of the burst that the first call came with
            return
        if wait > 0.5 * self.longest:
            self.burst = (now, wait)
        self.longest, self.last = max(self.longest, wait), (now, done)

    def _settle(self, now: float) -> None:
        """Take the mean, once the burst is over."""
        assert self.start is not None
        if self.last[1] > self.start[1] and now - self.burst[0] >= SETTLING * self.burst[1]:
            self.each = self._mean(self.last[0])

    def _mean(self, now: float) -> float:
        """Seconds per piece up to `now`."""
        assert self.start is not None
        return (now - self.start[0]) / max(self.last[1] - self.start[1], 1)


def in_words(seconds: float) -> str:
    """A time that is roughly known, to one or two digits.

    >>> [in_words(s) for s in (0.3, 7.4, 42.0, 200.0, 5000.0, 200000.0)]
    ['1 s', '7 s', '40 s', '3 min', '1 h 20 min', '2 d 8 h']
    """
    if seconds < 57.5:
        return f"{max(1, round(seconds)) if seconds < 10 else 5 * round(seconds / 5)} s"
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60 - 5:
        tens = round(minutes / 10)
        return f"{tens // 6} h {10 * (tens % 6)} min" if tens % 6 else f"{tens // 6} h"
    hours = round(minutes / 60)
    return f"{hours // 24} d {hours % 24} h" if hours % 24 else f"{hours // 24} d"
