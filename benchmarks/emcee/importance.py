"""Weights of redshift peaks by importance sampling: slow, but without any sample of a chain.

A surrogate of each cell's density is learnt anew, a quarter of a million draws of a mixture of t distributions are
weighted by it, and thousands of these draws by the density itself. What the weights are worth, (sum w)^2 / sum w^2
(Kong 1992), says how far the estimate is off only where the draws cover the density: a part that none of them hits is
not missed in it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from galfit_ml.redshift_prior import RedshiftPrior
from galfit_ml_emcee.evidence import CHUNK, prior_constant, surrogate_samples
from galfit_ml_emcee.fit_one import Machine
from galfit_ml_emcee.mixture import draw, log_density
from galfit_ml_emcee.modes import adapted
from galfit_ml_emcee.sampler import Chain
from galfit_ml_emcee.solutions import Peak
from galfit_ml_emcee.trim import Native

Floats = NDArray[np.float64]

CHEAP, CHOSEN = 262_144, 4096
"""Draws under the surrogate, and how many of them get the true density."""


def log_weight(machine: Machine, native: Native, peak: Peak, seed: int) -> tuple[float, float]:
    """ln of the posterior mass of a peak's cell, up to a constant of the spectrum, and the effective draws."""
    rng = np.random.default_rng(seed)
    chain = machine.chain(native, peak, 0, RedshiftPrior(), rng)
    log_z, effective = _importance(chain, rng)
    return float(log_z + peak.log_width - prior_constant(chain.target)), effective


def _importance(chain: Chain, rng: np.random.Generator) -> tuple[float, float]:
    samples = surrogate_samples(chain, rng)
    mixture = adapted(chain.plan.modes, samples.reshape(-1, samples.shape[2]))
    x = draw(mixture, CHEAP, rng)
    cheap = np.concatenate([chain.plan.surrogate(part) for part in np.array_split(x, CHEAP // CHUNK)])
    weights = cheap - log_density(mixture, x)
    p = np.exp(weights - logsumexp(weights))
    rows = np.searchsorted(np.cumsum(p), (np.arange(CHOSEN) + rng.random()) / CHOSEN).clip(max=CHEAP - 1)
    different, times = np.unique(rows, return_counts=True)
    ratio = chain.target.log_density(x[different]) - cheap[different] + np.log(times)
    log_z = logsumexp(weights) - np.log(CHEAP) + logsumexp(ratio) - np.log(CHOSEN)
    return float(log_z), 1 / (1 / _effective(weights) + 1 / _effective(ratio))


def _effective(log_weights: Floats) -> float:
    return float(np.exp(2 * logsumexp(log_weights) - logsumexp(2 * log_weights)))
