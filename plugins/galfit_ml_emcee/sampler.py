"""emcee around the maxima found: start, run in blocks until the autocorrelation time is short enough, or a cap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from galfit_ml_emcee.likelihood import N_DIM, Likelihood
from galfit_ml_emcee.optimise import MAX_COORDINATE, Start

Floats = NDArray[np.float64]

INFLATION = 1.2
"""Factor on the covariance of the Gaussian that proposals are drawn about: wider is safer than narrower."""


@dataclass(frozen=True)
class SamplerSettings:
    """How long and how wide to sample.

    Args:
        n_walkers: even, at least twice the number of dimensions.
        n_adapt: rounds in which the proposal is adapted to the posterior before anything is kept.
        n_burn: steps of each such round.
        block: steps between two looks at the autocorrelation time.
        max_steps: cap on the steps kept; stopping there without convergence is flagged.
        n_autocorr: converged when the kept steps are this many autocorrelation times, and at least `min_steps`: a short
            chain underestimates its autocorrelation time.
        min_steps: least number of steps kept (or `max_steps`, if that is less).
    """

    n_walkers: int = 48
    n_adapt: int = 3
    n_burn: int = 80
    block: int = 100
    max_steps: int = 1200
    n_autocorr: float = 10.0
    min_steps: int = 600

    def __post_init__(self) -> None:
        if self.n_walkers % 2 or self.n_walkers < 2 * N_DIM:
            raise ValueError(f"n_walkers must be even and at least {2 * N_DIM}, not {self.n_walkers}.")
        if min(self.n_adapt, self.n_burn, self.block, self.max_steps) < 1 or self.n_autocorr <= 0:
            raise ValueError("n_adapt, n_burn, block, max_steps and n_autocorr must be positive.")


@dataclass(frozen=True)
class Chain:
    """Samples of one spectrum.

    Args:
        x: [n_steps, n_walkers, N_DIM] probit coordinates.
        log_density: [n_steps, n_walkers].
        autocorrelation: longest integrated autocorrelation time of the coordinates, steps.
        acceptance: mean acceptance fraction.
        converged: whether the chain is `n_autocorr` autocorrelation times long.
    """

    x: Floats
    log_density: Floats
    autocorrelation: float
    acceptance: float
    converged: bool

    @property
    def effective_samples(self) -> float:
        """Number of independent samples the chain is worth."""
        return self.x.shape[0] * self.x.shape[1] / max(self.autocorrelation, 1.0)


def sample(
    likelihood: Likelihood,
    start: Start,
    rng: np.random.Generator,
    settings: SamplerSettings,
    fixed: tuple[int, ...] = (),
    tick: Callable[[float], None] | None = None,
) -> Chain:
    """Run emcee.

    Args:
        likelihood: density of probit coordinates.
        start: maxima and covariances from `find_start`.
        rng: source of all randomness.
        settings: length and width.
        fixed: coordinates held at the start's value (a given redshift).
        tick: called with the share of the cap done.
    """
    free = [i for i in range(N_DIM) if i not in fixed]
    anchor = start.x[0].numpy()

    def log_density(points: Floats) -> Floats:
        full = np.tile(anchor, (len(points), 1))
        full[:, free] = points
        return np.asarray(likelihood(torch.as_tensor(full)).numpy())

    points = _initial(start, rng, settings.n_walkers)[:, free]
    best = start.x[0].numpy()[free], start.covariance[0].numpy()[np.ix_(free, free)]
    seeds = rng.integers(2**32, size=settings.n_adapt + 1)
    for seed in seeds[:-1]:
        adapting = _ensemble(settings, len(free), log_density, best, seed)
        points = adapting.run_mcmc(points, settings.n_burn).coords
        recent = adapting.get_chain(discard=settings.n_burn // 2, flat=True)
        best = recent.mean(axis=0), INFLATION * np.cov(recent, rowvar=False)
    walkers = _ensemble(settings, len(free), log_density, best, seeds[-1])
    autocorrelation, converged = np.inf, False
    while walkers.iteration < settings.max_steps and not converged:
        points = walkers.run_mcmc(points, settings.block)
        autocorrelation = float(np.max(walkers.get_autocorr_time(tol=0, quiet=True)))
        enough = max(settings.n_autocorr * autocorrelation, min(settings.min_steps, settings.max_steps))
        converged = bool(walkers.iteration >= enough)
        if tick is not None:
            tick(1.0 if converged else walkers.iteration / settings.max_steps)
    chain = np.tile(anchor, (*walkers.get_chain().shape[:2], 1))
    chain[..., free] = walkers.get_chain()
    acceptance = float(walkers.acceptance_fraction.mean())
    return Chain(chain, walkers.get_log_prob(), autocorrelation, acceptance, converged)


def _ensemble(
    settings: SamplerSettings,
    n_dim: int,
    log_density: Callable[..., Floats],
    gaussian: tuple[Floats, Floats],
    seed: int,
) -> Any:
    """An emcee ensemble: Gaussian steps about `gaussian` (mean, covariance) and differential evolution."""
    import emcee

    from galfit_ml_emcee.moves import GaussianMove

    moves = [(GaussianMove(*gaussian), 0.8), (emcee.moves.DEMove(), 0.15), (emcee.moves.DESnookerMove(), 0.05)]
    ensemble = emcee.EnsembleSampler(settings.n_walkers, n_dim, log_density, vectorize=True, moves=moves)
    ensemble._random.seed(int(seed))
    return ensemble


def _initial(start: Start, rng: np.random.Generator, n: int) -> Floats:
    """n walkers drawn from the Gaussians around the maxima that are nearly as high as the best, [n, N_DIM]."""
    high = np.flatnonzero((start.log_density[0] - start.log_density).numpy() < 10.0)
    which = high[rng.integers(len(high), size=n)]
    noise = rng.standard_normal((n, N_DIM))
    factors = [_square_root(start.covariance[i].numpy()) for i in range(len(start.x))]
    points = np.stack([start.x[i].numpy() + factors[i] @ noise[row] for row, i in enumerate(which)])
    return np.clip(points, -MAX_COORDINATE, MAX_COORDINATE) + 1e-4 * rng.standard_normal(points.shape)


def _square_root(covariance: Floats) -> Floats:
    """Symmetric square root with eigenvalues kept between 1e-10 and the variance of the prior, 1."""
    values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
    return np.asarray(vectors * np.sqrt(np.clip(values, 1e-10, 1.0)))
