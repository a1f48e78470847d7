"""Backends whose posteriors are Gaussian, with errors that are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class GaussianBackend:
    """Truths of N(0, 100) in each of p parameters, and posteriors N(m + shift, width^2) beside the right one, N(m, 1).

    Args:
        width: of the posterior; 1 is right.
        shift: of the posterior; 0 is right.
    """

    width: float = 1.0
    shift: float = 0.0

    def answer(self, n: int, s: int, p: int = 1, seed: int = 0) -> tuple[Floats, Floats]:
        """Draws [n, s, p] and truths [n, p]; the same seed gives every backend the same truths and data."""
        rng = np.random.default_rng(seed)
        mean = np.sqrt(99.0) * rng.standard_normal((n, p))
        truth = mean + rng.standard_normal((n, p))
        return mean[:, None] + self.shift + self.width * rng.standard_normal((n, s, p)), truth


PERFECT = GaussianBackend()
OVERCONFIDENT = GaussianBackend(width=0.5)
UNDERCONFIDENT = GaussianBackend(width=2.0)
BIASED = GaussianBackend(shift=1.0)
