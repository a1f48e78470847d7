"""Proposals for emcee that know where the posterior's modes are.

`GaussianMove` takes preconditioned Crank-Nicolson steps about a mode: x' = mu + sqrt(1 - b^2) (x - mu) + b xi with
xi ~ N(0, S) leaves N(mu, S) unchanged (Cotter et al. 2013, Statistical Science 28, 424, generalised from the prior to a
reference Gaussian). Where the posterior is close to N(mu, S), nearly every step is accepted even in many dimensions.
`ModeJump` carries a walker from its place in one mode to the same place in another: x' = mu_j + L_j L_k^-1 (x - mu_k),
with the Jacobian |L_j| / |L_k|; without it the share of each mode would be whatever the start gave it. Both draw the
mode without looking at x, and both correct for the reference, so the posterior is sampled whatever mu and S are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from emcee.moves import MHMove
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEPS = (0.2, 0.4, 0.7)
"""Values of b, chosen at random for each walker and step: from careful to bold."""


@dataclass(frozen=True, eq=False)
class Modes:
    """Gaussians that stand for the modes of a posterior.

    Args:
        mean: [k, d].
        root: [k, d, d] matrices L with L L' the covariance.
        weight: [k] share of the posterior, adding up to 1; decides how often a mode is proposed about.
    """

    mean: Floats
    root: Floats
    weight: Floats

    @classmethod
    def of(cls, mean: Floats, covariance: Floats, weight: Floats) -> Modes:
        """From means [k, d] and covariances [k, d, d], whose eigenvalues are kept above 1e-12."""
        values, vectors = np.linalg.eigh(0.5 * (covariance + np.swapaxes(covariance, 1, 2)))
        root = vectors * np.sqrt(np.clip(values, 1e-12, None))[:, None, :]
        return cls(mean, root, weight / weight.sum())

    def whiten(self, x: Floats, k: NDArray[np.intp]) -> Floats:
        """Place of x [n, d] relative to the modes k [n]: L_k^-1 (x - mu_k)."""
        return np.asarray(np.linalg.solve(self.root[k], (x - self.mean[k])[:, :, None])[:, :, 0])

    def place(self, white: Floats, k: NDArray[np.intp]) -> Floats:
        """The inverse of `whiten`: mu_k + L_k w."""
        return np.asarray(self.mean[k] + np.einsum("nij,nj->ni", self.root[k], white))

    @property
    def log_volume(self) -> Floats:
        """ln |det L| of each mode, [k]."""
        return np.asarray(np.linalg.slogdet(self.root)[1])

    def nearest(self, x: Floats) -> NDArray[np.intp]:
        """Mode under whose Gaussian each x [n, d] is most probable, [n]."""
        rows = np.full(len(x), 0, dtype=np.intp)
        scores = [
            -0.5 * (self.whiten(x, rows + k) ** 2).sum(axis=1) - self.log_volume[k] for k in range(len(self.weight))
        ]
        return np.argmax(scores, axis=0)


class GaussianMove(MHMove):
    """pCN steps about the modes, each as often as its weight says."""

    def __init__(self, modes: Modes) -> None:
        self.modes = modes
        super().__init__(self._propose)

    def _propose(self, x: Floats, random: Any) -> tuple[Floats, Floats]:
        """Proposals [n, d] and ln of the ratio of proposal densities, backward over forward, [n]."""
        k = random.choice(len(self.modes.weight), size=len(x), p=self.modes.weight)
        b = np.asarray(STEPS)[random.randint(len(STEPS), size=len(x))][:, None]
        white = self.modes.whiten(x, k)
        moved = np.sqrt(1 - b**2) * white + b * random.standard_normal(x.shape)
        return self.modes.place(moved, k), 0.5 * ((moved**2).sum(axis=1) - (white**2).sum(axis=1))


class ModeJump(MHMove):
    """Jumps between modes that keep a walker's place relative to them."""

    def __init__(self, modes: Modes) -> None:
        if len(modes.weight) < 2:
            raise ValueError("Jumps need two modes at least.")
        self.modes = modes
        super().__init__(self._propose)

    def _propose(self, x: Floats, random: Any) -> tuple[Floats, Floats]:
        """Proposals [n, d] and ln of the Jacobian, [n]."""
        n_modes = len(self.modes.weight)
        here = random.randint(n_modes, size=len(x))
        there = (here + random.randint(1, n_modes, size=len(x))) % n_modes
        moved = self.modes.place(self.modes.whiten(x, here), there)
        volume = self.modes.log_volume
        return moved, volume[there] - volume[here]
