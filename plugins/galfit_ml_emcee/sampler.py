"""emcee with a plan of how to propose: run in blocks until the chain is worth enough samples, or a cap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.parameters import GALAXY
from galfit_ml_emcee.chain_file import ChainFile
from galfit_ml_emcee.diagnostics import Quality
from galfit_ml_emcee.ensemble import Plan, ensemble
from galfit_ml_emcee.optimise import Start
from galfit_ml_emcee.plan import make_plan
from galfit_ml_emcee.settings import SamplerSettings
from galfit_ml_emcee.target import Target

Floats = NDArray[np.float64]

PRECISE = [GALAXY.index("redshift"), GALAXY.index("log_stellar_mass")]
"""Parameters of which more effective samples are wanted."""


@dataclass(frozen=True, eq=False)
class Chain:
    """Samples of one spectrum around one redshift.

    Args:
        x: [n_steps, n_walkers, N_DIM] probit coordinates.
        log_density: [n_steps, n_walkers].
        values: [n_steps, n_walkers, n_par] reported parameters.
        quality: of the chain of each reported parameter.
        acceptance: mean acceptance fraction.
        converged: whether it is worth the samples asked for.
        plan: how it was proposed.
        target: its density.
    """

    x: Floats
    log_density: Floats
    values: Floats
    quality: Quality
    acceptance: float
    converged: bool
    plan: Plan
    target: Target

    @property
    def flat(self) -> Floats:
        """All samples, [n_steps * n_walkers, N_DIM]."""
        return self.x.reshape(-1, self.x.shape[-1])


def sample(
    target: Target,
    start: Start,
    rng: np.random.Generator,
    settings: SamplerSettings,
    *,
    file: ChainFile | None = None,
    tick: Callable[[float], None] | None = None,
) -> Chain:
    """Run emcee; coordinates that the spectrum does not see are drawn from the prior.

    Args:
        target: density.
        start: maxima and covariances from `find_start`.
        rng: source of all randomness.
        settings: length and width.
        file: where the chain is kept and from which it goes on, or None.
        tick: called with the share of the work done.
    """
    seed, learning = int(rng.integers(2**32)), int(rng.integers(2**32))  # both, whether or not a file has the plan
    plan = None if file is None else file.plan()
    if plan is None:
        plan = make_plan(target, start, settings, np.random.RandomState(learning))
        if file is not None:
            file.begin(plan)
    walkers = ensemble(settings, target, plan, seed)
    if file is not None:
        file.attach(walkers)
    quality, converged = _run(walkers, plan.points, settings, file, tick)
    x = target.full(walkers.get_chain())
    for index in target.likelihood.unseen:
        x[..., index] = rng.standard_normal(x.shape[:2])
    return Chain(
        x,
        walkers.get_log_prob(),
        walkers.get_blobs(),
        quality,
        float(walkers.acceptance_fraction.mean()),
        converged,
        plan,
        target,
    )


def _run(
    walkers: Any,
    points: Floats,
    settings: SamplerSettings,
    file: ChainFile | None,
    tick: Callable[[float], None] | None,
) -> tuple[Quality, bool]:
    """Run blocks until the chain is long enough."""
    if walkers.iteration > 0:
        quality, share = _progress(walkers, settings)
        begin: Floats | None = None
    else:
        begin, share = points, 0.0
    while share < 1.0 and walkers.iteration < settings.max_steps:
        begin = walkers.run_mcmc(begin, min(settings.block, settings.max_steps - walkers.iteration))
        if file is not None:
            file.commit()
        quality, share = _progress(walkers, settings)
        if tick is not None:
            tick(float(np.clip(max(share, walkers.iteration / settings.max_steps), 0.0, 1.0)))
    return quality, share >= 1.0


def _progress(walkers: Any, settings: SamplerSettings) -> tuple[Quality, float]:
    """Quality of the chain so far, and the share of what is asked of it that is there."""
    quality = Quality.of(walkers.get_blobs())
    return quality, share_there(quality, walkers.iteration, settings)


def share_there(quality: Quality, n_steps: int, settings: SamplerSettings) -> float:
    """Of what is asked of a chain, the share that one of this quality and length has; 1 is enough."""
    wanted = np.full(len(quality.effective), settings.n_effective_others)
    wanted[PRECISE] = settings.n_effective
    sampled = ~np.isnan(quality.autocorrelation)
    if not sampled.any():
        return 1.0
    length = n_steps / (settings.n_autocorr * quality.autocorrelation[sampled])
    return float(min((quality.effective[sampled] / wanted[sampled]).min(), length.min()))
