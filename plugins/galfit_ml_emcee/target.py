"""`Target`: the density that is sampled, in the coordinates that are free."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from galfit_ml.parameters import GALAXY
from galfit_ml.simulate.galaxy import reported_parameters
from galfit_ml_emcee.likelihood import N_DIM, Likelihood
from galfit_ml_emcee.optimise import Start

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Target:
    """The density that is sampled, in the coordinates that are free.

    Args:
        likelihood: of all probit coordinates.
        anchor: [N_DIM] values of those that are not free.
        free: numbers of the free ones; the noise scale is the last.
    """

    likelihood: Likelihood
    anchor: Floats
    free: list[int]

    @classmethod
    def of(cls, likelihood: Likelihood, start: Start, fixed: tuple[int, ...] = ()) -> Target:
        """Everything is free but `fixed` coordinates and those the spectrum does not see."""
        free = [i for i in range(N_DIM) if i not in (*fixed, *likelihood.unseen)]
        return cls(likelihood, start.x[0].numpy(), free)

    def full(self, points: Floats) -> Floats:
        """All coordinates of points [..., n_free], [..., N_DIM]."""
        out = np.tile(self.anchor, (*points.shape[:-1], 1))
        out[..., self.free] = points
        return out

    def __call__(self, points: Floats) -> Floats:
        """ln density and the reported parameters at points [n, n_free], [n, 1 + n_par]."""
        value, made, galaxies = self.likelihood.evaluate(torch.as_tensor(self.full(points)))
        columns = reported_parameters(galaxies, made)
        return torch.stack([value, *(columns[p.name] for p in GALAXY)], dim=1).numpy()

    def log_density(self, points: Floats) -> Floats:
        """ln density at points [n, n_free], [n]."""
        return np.asarray(self.likelihood(torch.as_tensor(self.full(points))).numpy())
