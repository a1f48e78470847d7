"""`Plan`, how a posterior is proposed, and the emcee ensemble that proposes so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml_emcee.moves import GaussianMove, Modes, SurrogateMove
from galfit_ml_emcee.settings import SamplerSettings
from galfit_ml_emcee.surrogate import Surrogate
from galfit_ml_emcee.target import Target
from galfit_ml_emcee.walk import Walk

Floats = NDArray[np.float64]

SHORT = 8
"""Some walks are shorter by this: out of a place where the surrogate is far too low, short steps lead."""


@dataclass(frozen=True, eq=False)
class Plan:
    """How to propose.

    Args:
        modes: Gaussians, in the free coordinates.
        surrogate: cheap density.
        archive: [m, d] points of the surrogate.
        points: [n_walkers, d] where walkers start.
        error: robust scatter of ln surrogate - ln density over the last samples.
    """

    modes: Modes
    surrogate: Surrogate
    archive: Floats
    points: Floats
    error: float


def ensemble(settings: SamplerSettings, target: Target, plan: Plan, seed: int) -> Any:
    """An emcee ensemble: walks under the surrogate, long and short, and steps about the modes."""
    import emcee

    walk = Walk(plan.surrogate, plan.modes, plan.archive)
    moves = [
        (SurrogateMove(walk, settings.walk), 0.5),
        (SurrogateMove(walk, max(settings.walk // SHORT, 1)), 0.4),
        (GaussianMove(plan.modes), 0.1),
    ]
    walkers = emcee.EnsembleSampler(settings.n_walkers, len(target.free), target, vectorize=True, moves=moves)
    walkers._random.seed(int(seed))
    return walkers
