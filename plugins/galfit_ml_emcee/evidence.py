"""Evidence of a redshift cell by two bridges, over the surrogate of its density.

Z = integral of prior times likelihood. In two dozen dimensions few draws of any simple density are where the posterior
is. So a first bridge (`galfit_ml_emcee.bridge`) leads from a mixture of t distributions, whose normalisation is known,
to the surrogate, of which tens of thousands of samples cost little; a second one from the surrogate to the density
itself, of which the chain is the samples. How far walkers disagree tells the error. The harmonic mean is never used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from galfit_ml_emcee.bridge import Ratio, bridge
from galfit_ml_emcee.mixture import draw, log_density
from galfit_ml_emcee.modes import adapted
from galfit_ml_emcee.sampler import Chain
from galfit_ml_emcee.target import Target
from galfit_ml_emcee.walk import Walk

Floats = NDArray[np.float64]

LARGEST_ERROR = 0.5
"""Standard error of ln Z above which the evidence is not believed: a weight of one half is then 12 points off."""

WALKERS, STEPS, KEEP_EVERY = 256, 480, 20
"""Walk under the surrogate; the first third is dropped."""

DRAWS = 16384
"""Draws of the mixture."""

EXACT = 4
"""Samples of each of these walkers at which the true density is computed."""

CHUNK = 2048


@dataclass(frozen=True)
class Evidence:
    """ln of the integral of prior times likelihood over the free coordinates, and its standard error."""

    log_z: float
    error: float

    @property
    def believed(self) -> bool:
        """Whether it is known well enough to weigh a cell."""
        return self.error <= LARGEST_ERROR


def evidence(chain: Chain, rng: np.random.Generator) -> Evidence:
    """Evidence of the cell that a chain sampled, under the normalised prior of its free coordinates.

    Cells need not have the same free coordinates: what the density holds of the others' prior is taken away.
    """
    samples = surrogate_samples(chain, rng)
    lower, upper = _to_surrogate(chain, samples, rng), _to_density(chain, samples)
    return Evidence(lower.log + upper.log - prior_constant(chain.target), float(np.hypot(lower.error, upper.error)))


def prior_constant(target: Target) -> float:
    """What normalises the prior of the free coordinates, less what the density holds of that of the others."""
    anchor = np.delete(target.anchor, target.free)
    return float(0.5 * (len(target.free) * np.log(2 * np.pi) - (anchor**2).sum()))


def surrogate_samples(chain: Chain, rng: np.random.Generator) -> Floats:
    """Samples of the surrogate, [n_step, n_walker, d]: walks that begin at samples of the chain."""
    flat = chain.flat[:, chain.target.free]
    walk = Walk(chain.plan.surrogate, chain.plan.modes, chain.plan.archive)
    start = flat[rng.integers(len(flat), size=WALKERS)]
    random = np.random.RandomState(rng.integers(2**31))
    _, _, kept = walk.run(start, STEPS, random, keep_every=KEEP_EVERY)
    steps = kept.reshape(-1, *start.shape)
    return steps[len(steps) // 3 :]


def _to_surrogate(chain: Chain, samples: Floats, rng: np.random.Generator) -> Ratio:
    """ln of the surrogate's integral: half of the walkers shape the mixture, the others are bridged to."""
    half = samples.shape[1] // 2
    mixture = adapted(chain.plan.modes, samples[:, :half].reshape(-1, samples.shape[2]))

    def ratio(points: Floats) -> Floats:
        parts = np.array_split(points, max(1, len(points) // CHUNK))
        return np.concatenate([chain.plan.surrogate(part) for part in parts]) - log_density(mixture, points)

    own = samples[:, half:]
    drawn = draw(mixture, DRAWS, rng)
    return bridge(ratio(own.reshape(-1, own.shape[2])).reshape(own.shape[:2]), ratio(drawn)[None])


def _to_density(chain: Chain, samples: Floats) -> Ratio:
    """ln of the integral of the density over that of the surrogate."""
    surrogate = chain.plan.surrogate
    own = chain.x[..., chain.target.free]
    at_chain = chain.log_density - surrogate(own.reshape(-1, own.shape[2])).reshape(own.shape[:2])
    few = samples[:: max(1, len(samples) // EXACT)]
    points = few.reshape(-1, few.shape[2])
    return bridge(at_chain, (chain.target.log_density(points) - surrogate(points)).reshape(few.shape[:2]))
