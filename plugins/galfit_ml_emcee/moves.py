"""A Gaussian proposal for emcee: preconditioned Crank-Nicolson steps about the posterior's own Gaussian.

x' = mu + sqrt(1 - b^2) (x - mu) + b xi with xi ~ N(0, S) leaves N(mu, S) unchanged (Cotter et al. 2013, Statistical
Science 28, 424, generalised from the prior to a reference Gaussian). Where the posterior is close to N(mu, S), nearly
every step is accepted even in many dimensions, and b = 1 is an independent draw. The correction for the difference
is the ratio of the reference densities, so the posterior is sampled exactly whatever mu and S are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from emcee.moves import MHMove
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEPS = (0.2, 0.4, 0.7)
"""Values of b, chosen at random for each walker and step: from careful to nearly independent."""


class GaussianMove(MHMove):
    """pCN proposal about a Gaussian with mean [d] and covariance [d, d]."""

    def __init__(self, mean: Floats, covariance: Floats) -> None:
        values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
        root = np.sqrt(np.clip(values, 1e-12, None))
        self.mean = mean
        self.spread = vectors * root
        self.whiten = vectors / root
        super().__init__(self._propose)

    def _propose(self, x: Floats, random: Any) -> tuple[Floats, Floats]:
        """Proposals [n, d] and ln of the ratio of proposal densities, backward over forward, [n]."""
        b = np.asarray(STEPS)[random.randint(len(STEPS), size=len(x))][:, None]
        centred = x - self.mean
        moved = np.sqrt(1 - b**2) * centred + b * (random.standard_normal(x.shape) @ self.spread.T)
        return self.mean + moved, 0.5 * (self._norm2(moved) - self._norm2(centred))

    def _norm2(self, centred: Floats) -> Floats:
        return np.asarray(((centred @ self.whiten) ** 2).sum(axis=1))
