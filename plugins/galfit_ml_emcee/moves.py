"""Proposals for emcee that know where the posterior's modes are, and what it looks like.

`gaussian_step` takes preconditioned Crank-Nicolson steps about a mode: x' = mu + sqrt(1 - b^2) (x - mu) + b xi with
xi ~ N(0, S) leaves N(mu, S) unchanged (Cotter et al. 2013, Statistical Science 28, 424, generalised from the prior to a
reference Gaussian). `jump_step` carries a walker from its place in one mode to the same place in another:
x' = mu_j + L_j L_k^-1 (x - mu_k), with the Jacobian |L_j| / |L_k|. Both draw the mode without looking at x, and both
correct for the reference, so that the posterior is sampled whatever mu and S are. `SurrogateMove` takes hundreds of
such steps under a cheap stand-in of the posterior and corrects for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from emcee.moves import MHMove
from numpy.typing import NDArray

if TYPE_CHECKING:
    from galfit_ml_emcee.walk import Walk

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
        return self._each(self._inverse, x - self.mean[k], k)

    def place(self, white: Floats, k: NDArray[np.intp]) -> Floats:
        """The inverse of `whiten`: mu_k + L_k w."""
        return np.asarray(self.mean[k] + self._each(self.root, white, k))

    def _each(self, matrices: Floats, rows: Floats, k: NDArray[np.intp]) -> Floats:
        """Row i times matrix k[i], [n, d]."""
        if len(matrices) == 1:
            return np.asarray(rows @ matrices[0].T)
        out = np.empty_like(rows)
        for number in np.unique(k):
            own = k == number
            out[own] = rows[own] @ matrices[number].T
        return out

    @cached_property
    def _inverse(self) -> Floats:
        return np.asarray(np.linalg.inv(self.root))

    @cached_property
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


def gaussian_step(modes: Modes, x: Floats, random: Any) -> tuple[Floats, Floats]:
    """pCN proposals [n, d] about modes chosen by weight, and ln of backward over forward proposal density, [n]."""
    k = random.choice(len(modes.weight), size=len(x), p=modes.weight)
    b = np.asarray(STEPS)[random.randint(len(STEPS), size=len(x))][:, None]
    white = modes.whiten(x, k)
    moved = np.sqrt(1 - b**2) * white + b * random.standard_normal(x.shape)
    return modes.place(moved, k), 0.5 * ((moved**2).sum(axis=1) - (white**2).sum(axis=1))


def jump_step(modes: Modes, x: Floats, random: Any) -> tuple[Floats, Floats]:
    """Each point's place in one mode carried to another [n, d], and ln of the Jacobian, [n]."""
    n_modes = len(modes.weight)
    here = random.randint(n_modes, size=len(x))
    there = (here + random.randint(1, n_modes, size=len(x))) % n_modes
    volume = modes.log_volume
    return modes.place(modes.whiten(x, here), there), volume[there] - volume[here]


class GaussianMove(MHMove):
    """pCN steps about the modes, each as often as its weight says."""

    def __init__(self, modes: Modes) -> None:
        self.modes = modes
        super().__init__(lambda x, random: gaussian_step(modes, x, random))


class SurrogateMove(MHMove):
    """Many steps under a cheap density, then one acceptance step with the true one.

    The walk's kernel is reversible under the surrogate s, so that a proposal y from x is accepted with probability
    min(1, p(y) s(x) / (p(x) s(y))): the samples are those of p whatever s is (Liu 2001, Monte Carlo Strategies in
    Scientific Computing, sec. 9.4.3; Christen & Fox 2005, J. Comput. Graph. Stat. 14, 795).

    Args:
        walk: under the surrogate.
        n_steps: of the walk.
    """

    def __init__(self, walk: Walk, n_steps: int) -> None:
        self.walk, self.n_steps = walk, n_steps
        super().__init__(self._propose)

    def _propose(self, x: Floats, random: Any) -> tuple[Floats, Floats]:
        """Proposals [n, d] and ln s(x) - ln s(y), [n]."""
        before = self.walk.density(x)
        moved, after, _ = self.walk.run(x, self.n_steps, random)
        return moved, before - after
