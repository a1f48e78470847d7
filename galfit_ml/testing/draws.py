"""Checks of the draws' randomness: seeds, streams, global state, neighbours in the batch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from galfit_ml.parameters import ParameterSet
from galfit_ml.posterior import Floats, Posterior
from galfit_ml.spectra import SpectrumBatch
from galfit_ml.testing.contract import promise, require
from galfit_ml.testing.subject import Subject

RTOL = 1e-5
"""Relative tolerance of draws that should be equal: float32 sums depend on the size of the batch."""

ATOL = 1e-7
"""Absolute tolerance of the same, in units of a parameter's range."""

TINY_CHANGE = 1e-6
HALF_CORRELATED = 0.5


def same_draws(one: Posterior, two: Posterior) -> str:
    """How the draws of two posteriors differ; "" where they are equal within the tolerance."""
    if one.draws.shape != two.draws.shape:
        return f"draws of shape {one.draws.shape} and {two.draws.shape}"
    width = _widths(one.parameters)
    close = np.isclose(one.draws, two.draws, rtol=RTOL, atol=0.0, equal_nan=True)
    close |= np.abs(one.draws - two.draws) <= ATOL * width
    if close.all():
        return ""
    gaps = np.where(close, 0.0, np.nan_to_num(np.abs(one.draws - two.draws), nan=np.inf)).max(axis=(0, 1))
    largest = ", ".join(f"{p.name} by up to {gap:.3g}" for p, gap in zip(one.parameters, gaps, strict=True) if gap > 0)
    return f"{np.sum(~close)} of {close.size} draws differ: {largest}"


def _widths(parameters: ParameterSet) -> Floats:
    return np.array([p.high - p.low for p in parameters])


@promise("the same seed and spectrum give the same draws")
def same_seed(subject: Subject) -> None:
    """Two calls, one answer."""
    difference = same_draws(subject.alone, subject.infer(subject.batch.take([0])))
    require(not difference, f"on the second call {difference}")


@promise("another seed gives other draws")
def other_seed(subject: Subject) -> None:
    """The seed is used."""
    other = subject.infer(subject.batch.take([0]), seed=subject.trial.seed + 1)
    require(same_draws(subject.alone, other), f"seeds {subject.trial.seed} and {subject.trial.seed + 1} draw the same")


@promise(
    "a spectrum's draws depend on the seed and on the spectrum, not on its place in the batch", tag="batch_invariant"
)
def order(subject: Subject) -> None:
    """A reversed batch gives the reversed answer."""
    rows = np.arange(len(subject.batch))[::-1]
    difference = same_draws(subject.posterior.take(rows), subject.infer(subject.batch.take(rows)))
    require(not difference, f"with the batch reversed {difference}")


@promise("different spectra have independent random streams: streams are keyed by the spectrum's content")
def streams(subject: Subject) -> str:
    """Two spectra that differ by a millionth have the same posterior, but not the same draws of it."""
    posterior = subject.infer(_almost_twins(subject.batch))
    correlation = _correlation(posterior)
    seen = f"draws of two almost equal spectra are correlated by {correlation:.2f}"
    require(correlation < HALF_CORRELATED, seen)
    return seen


def _almost_twins(batch: SpectrumBatch) -> SpectrumBatch:
    twins = batch.take([0, 0])
    scale = np.array([[1.0], [1.0 + TINY_CHANGE]])
    return replace(twins, arms=tuple(replace(arm, flux=arm.flux * scale) for arm in twins.arms))


def _correlation(posterior: Posterior) -> float:
    """Mean correlation, draw by draw, of the first two rows, over the parameters that vary."""
    one, two = posterior.draws[0] - posterior.draws[0].mean(0), posterior.draws[1] - posterior.draws[1].mean(0)
    power = np.sqrt((one**2).sum(0) * (two**2).sum(0))
    varies = power > 0
    return float(np.mean((one * two).sum(0)[varies] / power[varies])) if varies.any() else 1.0


@promise("global states stay as they were: random, numpy.random, torch's generators, dtype and gradient mode, seterr")
def global_state(subject: Subject) -> None:
    """A user's own random numbers are not disturbed."""
    changed = subject.observed.changed_state
    require(not changed, f"infer() changed {', '.join(changed)}")
