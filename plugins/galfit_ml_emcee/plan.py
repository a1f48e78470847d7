"""How a posterior is proposed: its modes, a surrogate of its density, and where walkers start.

The surrogate learns by asking: trained on points about the maxima, it is sampled; the true density of some of those
samples, and of points outward of them, is computed, and it is trained again on all that is known, round by round, until
the samples are where the posterior is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import SpectrumError
from galfit_ml_emcee.ensemble import Plan, ensemble
from galfit_ml_emcee.modes import adapted, starting_modes
from galfit_ml_emcee.moves import Modes
from galfit_ml_emcee.optimise import MAX_COORDINATE, Start
from galfit_ml_emcee.outward import outward
from galfit_ml_emcee.profiles import valley_points
from galfit_ml_emcee.settings import SamplerSettings
from galfit_ml_emcee.surrogate import Pupil, Surrogate, Whitening
from galfit_ml_emcee.target import Target
from galfit_ml_emcee.walk import Walk

Floats = NDArray[np.float64]

FIRST = 1500
"""Points about the maxima that the surrogate first learns from."""

SPREADS = (0.7, 1.2, 2.0)
"""Widths of the Gaussians they are drawn from, in those of the maxima."""

LEAST_POINTS = 300
NARROWER = (0.5, 0.2, 0.05)
"""Where too few of them are galaxies at all, further ones are drawn from narrower Gaussians."""

KEEP_EVERY = 20
TEMPERATURES = (4.0, 2.5, 1.6, 1.2)
"""Of the rounds: the first are wide, so that walkers find modes that no maximum led to."""

ENOUGH_ACCEPTED = 0.35
"""Acceptance of a short chain above which the surrogate is good enough."""

BOOST = 3.0
"""Weight in the regression of points that a chain visited."""

ARCHIVE = 2000


def make_plan(target: Target, start: Start, settings: SamplerSettings, random: np.random.RandomState) -> Plan:
    """Learn the surrogate: first from its own samples and its tails, then from chains with the true density."""
    modes = starting_modes(start, target.free)
    pupil = Pupil(Whitening(target, modes.mean[0]), _about(modes, FIRST, random))
    for narrower in NARROWER:
        if len(pupil.points) < LEAST_POINTS:
            pupil.ask(_about(modes, FIRST, random, narrower))
    if len(pupil.points) < LEAST_POINTS:
        raise SpectrumError(
            "the posterior could not be learnt: nearly all galaxies about the best fit have masses outside 10^5 to "
            "10^12.5 M_sun. Usually the spectrum is noise alone or its flux unit is wrong; check both"
        )
    valleys = valley_points(target, start, random)
    if len(valleys):
        pupil.ask(valleys, boost=BOOST)
    walkers = pupil.best(settings.n_walkers)
    for temperature in TEMPERATURES:
        surrogate = pupil.surrogate()
        walk = Walk(_Tempered(surrogate, temperature), modes, pupil.upper_half())
        walkers, _, kept = walk.run(walkers, settings.learn, random, keep_every=KEEP_EVERY)
        kept = kept[len(kept) // 4 :]
        modes = adapted(modes, kept)
        asked = _some(kept, settings.asked, random)
        error = _scatter(surrogate(asked) - pupil.ask(asked))
        pupil.ask(outward(kept, settings.outward, random), boost=BOOST)
    surrogate = pupil.surrogate()
    walkers, _, kept = Walk(surrogate, modes, kept).run(walkers, settings.learn, random, keep_every=KEEP_EVERY)
    walkers = _possible(target, walkers, random)
    plan = Plan(adapted(modes, kept), surrogate, _some(kept, ARCHIVE, random), walkers, error)
    for number in range(settings.most_trials if settings.n_trial else 0):
        plan, acceptance = _tried(plan, pupil, target, settings, random)
        if number + 1 >= settings.n_trial and acceptance > ENOUGH_ACCEPTED:
            break
    return plan


def _tried(
    plan: Plan, pupil: Pupil, target: Target, settings: SamplerSettings, random: np.random.RandomState
) -> tuple[Plan, float]:
    """The plan after a short chain with the true density, from which the surrogate learns; what it accepted."""
    walkers = ensemble(settings, target, plan, random.randint(2**31))
    state = walkers.run_mcmc(plan.points, settings.trial)
    visited = np.unique(walkers.get_chain(flat=True), axis=0)
    before = plan.surrogate(visited)
    error = _scatter(before - pupil.ask(visited, boost=BOOST))
    archive = np.concatenate([plan.archive, visited])
    pupil.ask(outward(archive, settings.outward, random), boost=BOOST)
    better = Plan(adapted(plan.modes, archive), pupil.surrogate(), _some(archive, ARCHIVE, random), state.coords, error)
    return better, float(walkers.acceptance_fraction.mean())


def _possible(target: Target, walkers: Floats, random: np.random.RandomState) -> Floats:
    """The walkers, those where there is no galaxy put beside one of the others."""
    lost = ~np.isfinite(target.log_density(walkers))
    if lost.any() and not lost.all():
        walkers = walkers.copy()
        walkers[lost] = walkers[random.choice(np.flatnonzero(~lost), size=lost.sum())]
        walkers[lost] += 1e-3 * random.standard_normal(walkers[lost].shape)
    return walkers


@dataclass(frozen=True, eq=False)
class _Tempered:
    """A density to the power 1 / temperature: wide, so that its walkers pass from mode to mode."""

    surrogate: Surrogate
    temperature: float

    def __call__(self, points: Floats) -> Floats:
        return self.surrogate(points) / self.temperature


def _some(points: Floats, n: int, random: np.random.RandomState) -> Floats:
    """n of the points at random."""
    return points[random.permutation(len(points))[:n]]


def _about(modes: Modes, n: int, random: np.random.RandomState, width: float = 1.0) -> Floats:
    """n points about the modes, [n, d]."""
    which = random.choice(len(modes.weight), size=n, p=modes.weight)
    spread = width * np.asarray(SPREADS)[random.randint(len(SPREADS), size=n)][:, None]
    points = modes.place(spread * random.standard_normal((n, modes.mean.shape[1])), which)
    return np.clip(points, -MAX_COORDINATE, MAX_COORDINATE)


def _scatter(difference: Floats) -> float:
    """Robust scatter about the median."""
    known = difference[np.isfinite(difference)]
    return float(1.4826 * np.median(np.abs(known - np.median(known)))) if len(known) else float("inf")
