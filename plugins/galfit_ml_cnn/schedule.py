"""Learning rate: a warm-up, a plateau as long as there is time, and a descent to zero."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Schedule:
    """Warm-up, plateau and descent, by steps (Hu et al. 2024, arXiv:2404.06395).

    The step at which the descent begins is set while training runs, when the time that is left suffices for it alone;
    it is part of a checkpoint, so that a run taken up again descends as it would have.

    Args:
        peak: learning rate of the plateau.
        warm_up: steps.
        start: step at which it begins.
        descent_from, descent: first step of the descent and its length; None while on the plateau.
    """

    peak: float
    warm_up: int = 300
    start: int = 0
    descent_from: int | None = None
    descent: int = 0

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        rate = self.peak * min(1.0, (step + 1 - self.start) / self.warm_up)
        if self.descent_from is None or step < self.descent_from:
            return rate
        return rate * max(0.0, 1.0 - (step - self.descent_from + 1) / self.descent)

    def begin_descent(self, step: int, length: int) -> None:
        """Descend from `step` on, to zero in `length` steps; once."""
        if self.descent_from is None:
            self.descent_from, self.descent = step, max(length, 1)

    def finished(self, step: int) -> bool:
        """Whether the descent has ended before `step`."""
        return self.descent_from is not None and step >= self.descent_from + self.descent
