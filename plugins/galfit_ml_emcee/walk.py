"""Random walks under a cheap density: many points at once, each its own Markov chain.

A step is chosen at random, for all points alike, among preconditioned Crank-Nicolson steps about the modes, differences
of two points of a fixed archive (ter Braak & Vrugt 2008, without the part that adapts), and jumps between modes. Each
leaves the density unchanged and is reversible, and so is their random mixture, repeated any number of times: what
`moves.SurrogateMove` needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml_emcee.moves import Modes, gaussian_step, jump_step

Floats = NDArray[np.float64]

DIFFERENCE, JUMP = 0.3, 0.15
"""Share of steps that are differences of the archive, and of jumps where there are several modes."""

LONG = 0.1
"""Share of differences at full length, which carry a point from mode to mode."""

JITTER = 1e-4


@dataclass(frozen=True, eq=False)
class Walk:
    """Random walk under a density.

    Args:
        density: ln density of points [n, d], [n].
        modes: Gaussians to step about.
        archive: [m, d] points whose differences are steps.
    """

    density: Callable[[Floats], Floats]
    modes: Modes
    archive: Floats

    def run(self, x: Floats, n_steps: int, random: Any, *, keep_every: int = 0) -> tuple[Floats, Floats, Floats]:
        """Walk n_steps from x [n, d].

        Args:
            x: where to start.
            n_steps: number of steps.
            random: a numpy RandomState or Generator-like with `random_sample` and `standard_normal`.
            keep_every: steps between points that are kept; 0 to keep none.

        Returns:
            The last points [n, d], their ln density [n], and those kept, [m, d].
        """
        value, kept = self.density(x), []
        for step in range(n_steps):
            moved, factor = self._propose(x, random)
            other = self.density(moved)
            accept = np.log(random.random_sample(len(x))) < other - value + factor
            x = np.where(accept[:, None], moved, x)
            value = np.where(accept, other, value)
            if keep_every and step % keep_every == keep_every - 1:
                kept.append(x)
        return x, value, np.concatenate(kept) if kept else x[:0]

    def _propose(self, x: Floats, random: Any) -> tuple[Floats, Floats]:
        chance = random.random_sample()
        if chance < DIFFERENCE:
            return self._difference(x, random), np.zeros(len(x))
        if chance < DIFFERENCE + JUMP and len(self.modes.weight) > 1:
            return jump_step(self.modes, x, random)
        return gaussian_step(self.modes, x, random)

    def _difference(self, x: Floats, random: Any) -> Floats:
        pairs = self.archive[random.randint(len(self.archive), size=(2, len(x)))]
        length = 1.0 if random.random_sample() < LONG else 2.38 / np.sqrt(2 * x.shape[1])
        length *= 0.3 + 0.9 * random.random_sample()
        return x + length * (pairs[0] - pairs[1]) + JITTER * random.standard_normal(x.shape)
