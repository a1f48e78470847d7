"""emcee around the maxima found: start, run in blocks until the autocorrelation time is short enough, or a cap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from galfit_ml_emcee.likelihood import N_DIM, Likelihood
from galfit_ml_emcee.moves import GaussianMove, ModeJump, Modes
from galfit_ml_emcee.optimise import MAX_COORDINATE, Start

Floats = NDArray[np.float64]

INFLATION = 1.2
"""Factor on the covariance of the Gaussian that proposals are drawn about: wider is safer than narrower."""


SAME_MODE = 3.0
"""Root-mean-square distance, in sigma per coordinate, within which two maxima are one mode."""

FAINTEST = 12.0
LEAST_SHARE = 0.1
"""Least share of walkers and of proposals that a mode gets while its weight is not known."""

STRAGGLER_DEPTH = 25.0
"""ln density below the median walker at which a walker is taken to be stuck (the spread of 20 Gaussians is 3)."""


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

    n_walkers: int = 56
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
    """Run emcee; coordinates that the spectrum does not see are drawn from the prior.

    Args:
        likelihood: density of probit coordinates.
        start: maxima and covariances from `find_start`.
        rng: source of all randomness.
        settings: length and width.
        fixed: coordinates held at the start's value (a given redshift).
        tick: called with the share of the cap done.
    """
    free = [i for i in range(N_DIM) if i not in (*fixed, *likelihood.unseen)]
    anchor = start.x[0].numpy()

    def log_density(points: Floats) -> Floats:
        full = np.tile(anchor, (len(points), 1))
        full[:, free] = points
        return np.asarray(likelihood(torch.as_tensor(full)).numpy())

    modes = starting_modes(start, free)
    points = _initial(modes, rng, settings.n_walkers)
    seeds = rng.integers(2**32, size=settings.n_adapt + 1)
    for seed in seeds[:-1]:
        adapting = _ensemble(settings, len(free), log_density, modes, seed)
        state = adapting.run_mcmc(points, settings.n_burn)
        points = _without_stragglers(state.coords, state.log_prob, rng)
        modes = adapted(modes, adapting.get_chain(discard=settings.n_burn // 2, flat=True))
    walkers = _ensemble(settings, len(free), log_density, modes, seeds[-1])
    autocorrelation, converged = np.inf, False
    while walkers.iteration < settings.max_steps and not converged:
        points = walkers.run_mcmc(points, settings.block)
        autocorrelation = autocorrelation_time(walkers.get_chain())
        enough = max(settings.n_autocorr * autocorrelation, min(settings.min_steps, settings.max_steps))
        converged = bool(walkers.iteration >= enough)
        if tick is not None:
            tick(1.0 if converged else walkers.iteration / settings.max_steps)
    chain = np.tile(anchor, (*walkers.get_chain().shape[:2], 1))
    chain[..., free] = walkers.get_chain()
    for index in set(likelihood.unseen) - set(fixed):
        chain[..., index] = rng.standard_normal(chain.shape[:2])
    acceptance = float(walkers.acceptance_fraction.mean())
    return Chain(chain, walkers.get_log_prob(), autocorrelation, acceptance, converged)


def autocorrelation_time(chain: Floats) -> float:
    """Longest integrated autocorrelation time of the coordinates of a chain [n_steps, n_walkers, d], in steps.

    Infinite where a walker has not moved at all: such a chain says nothing of how long it should be.
    """
    from emcee.autocorr import integrated_time

    if np.any(np.ptp(chain[..., 0], axis=0) == 0):
        return float("inf")
    return float(np.max(integrated_time(chain, tol=0, quiet=True)))


def _ensemble(
    settings: SamplerSettings,
    n_dim: int,
    log_density: Callable[..., Floats],
    modes: Modes,
    seed: int,
) -> Any:
    """An emcee ensemble: steps about the modes, jumps between them, and differential evolution."""
    import emcee

    moves: list[tuple[Any, float]] = [(GaussianMove(modes), 0.8), (emcee.moves.DEMove(), 0.2)]
    if len(modes.weight) > 1:
        moves = [(GaussianMove(modes), 0.6), (emcee.moves.DEMove(), 0.15), (ModeJump(modes), 0.25)]
    ensemble = emcee.EnsembleSampler(settings.n_walkers, n_dim, log_density, vectorize=True, moves=moves)
    ensemble._random.seed(int(seed))
    return ensemble


def starting_modes(start: Start, free: list[int]) -> Modes:
    """Distinct maxima among the starting points, in the free coordinates, weighted by their Laplace evidence.

    A maximum within `SAME_MODE` of a better one, in units of that one's Gaussian, is taken to be the same; one whose
    evidence is below e^-`FAINTEST` of the best's is left out.
    """
    mean, covariance = start.x.numpy()[:, free], start.covariance.numpy()[:, free][:, :, free]
    evidence = start.log_density.numpy() + 0.5 * np.linalg.slogdet(covariance)[1]
    kept: list[int] = []
    for i in np.argsort(evidence)[::-1]:
        chosen = Modes.of(mean[kept], covariance[kept], np.ones(len(kept))) if kept else None
        apart = chosen is None or all(
            (chosen.whiten(mean[[i]], np.array([k])) ** 2).mean() > SAME_MODE**2 for k in range(len(kept))
        )
        if apart and evidence[i] > evidence.max() - FAINTEST:
            kept.append(int(i))
    share = np.exp(evidence[kept] - evidence.max())
    return Modes.of(mean[kept], covariance[kept], np.maximum(share, LEAST_SHARE))


def adapted(modes: Modes, samples: Floats) -> Modes:
    """Modes with the mean and covariance of the samples nearest to each; those with too few stay as they were."""
    owner = modes.nearest(samples)
    mean, root, weight = modes.mean.copy(), modes.root.copy(), np.full(len(modes.weight), LEAST_SHARE)
    covariance = root @ np.swapaxes(root, 1, 2)
    for k in range(len(weight)):
        mine = samples[owner == k]
        weight[k] = max(len(mine) / len(samples), LEAST_SHARE)
        if len(mine) > 20 * samples.shape[1]:
            mean[k], covariance[k] = mine.mean(axis=0), INFLATION * np.cov(mine, rowvar=False)
    return Modes.of(mean, covariance, weight)


def _initial(modes: Modes, rng: np.random.Generator, n: int) -> Floats:
    """n walkers drawn from the modes, [n, d]."""
    which = rng.choice(len(modes.weight), size=n, p=modes.weight)
    points = modes.place(rng.standard_normal((n, modes.mean.shape[1])), which)
    return np.clip(points, -MAX_COORDINATE, MAX_COORDINATE) + 1e-4 * rng.standard_normal(points.shape)


def _without_stragglers(points: Floats, log_density: Floats, rng: np.random.Generator) -> Floats:
    """Walkers left far below the others are put beside a random one of them; only before anything is kept, [n, d]."""
    lost = log_density < np.median(log_density) - STRAGGLER_DEPTH
    moved = points.copy()
    moved[lost] = points[rng.choice(np.flatnonzero(~lost), size=lost.sum())]
    return moved + lost[:, None] * 1e-2 * rng.standard_normal(points.shape)
