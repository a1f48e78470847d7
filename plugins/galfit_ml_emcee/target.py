"""`Target`: the density that is sampled, in the coordinates that are free."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from galfit_ml.parameters import GALAXY
from galfit_ml.simulate.galaxy import reported_parameters
from galfit_ml.simulate.prior import coordinate
from galfit_ml_emcee.likelihood import N_DIM, Likelihood
from galfit_ml_emcee.optimise import Start

Floats = NDArray[np.float64]


KNOTS = 2049
"""Places at which a user's density of redshifts is looked at for a surrogate; the density itself is exact."""


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

    @property
    def redshift_place(self) -> int:
        """Of the redshift among the free coordinates; -1 where it is fixed."""
        own = coordinate("redshift")
        return self.free.index(own) if own in self.free else -1

    @cached_property
    def known_redshift(self) -> Floats:
        """[2, KNOTS] places in the unit interval of the redshift's prior and ln of the user's density there, relative.

        [2, 0] where the user has no preference, or the redshift is fixed.
        """
        user = self.likelihood.redshift
        if user.distribution is None or self.redshift_place < 0:
            return np.zeros((2, 0))
        place = np.linspace(0.0, 1.0, KNOTS)
        low, high = np.log1p(self.likelihood.prior.redshift)
        value = user.log_density(np.expm1(low + place * (high - low)))
        known = np.isfinite(value)
        return np.stack([place[known], value[known] - value[known].max(initial=-np.inf)])

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
