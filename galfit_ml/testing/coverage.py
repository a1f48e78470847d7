"""The statistical check: intervals hold the truth as often as they say."""

from __future__ import annotations

from math import comb

import numpy as np

from galfit_ml.posterior import Floats, Posterior
from galfit_ml.redshift_prior import RedshiftPrior, RedshiftPriors
from galfit_ml.testing.contract import promise, require
from galfit_ml.testing.mocks import Truth
from galfit_ml.testing.subject import Subject

LEVELS = (0.5, 0.68, 0.9)
FALSE_ALARM = 1e-3
"""Probability that a calibrated backend fails, all parameters and levels together."""

FEWEST_OK = 0.9


@promise("intervals cover the truth of simulated spectra at their level, within binomial tolerance", tag="calibrated")
def coverage(subject: Subject) -> str:
    """Equal-tailed intervals at 50, 68 and 90 % on spectra with white noise, drawn from the simulator's prior."""
    posterior, truth = _calibration_run(subject)
    ok = posterior.ok
    require(ok.mean() >= FEWEST_OK, f"{np.sum(~ok)} of {len(ok)} spectra at S/N {subject.trial.snr:g} failed")
    names = [name for name in posterior.parameters.names if name in truth]
    require(names, f"the simulator knows none of {posterior.parameters.names}")
    tolerated = FALSE_ALARM / (len(names) * len(LEVELS))
    notes = []
    for name in names:
        counts = covered(posterior[name][ok], truth[name][ok])
        note = f"{name} {'/'.join(map(str, counts))} of {ok.sum()}"
        notes.append(note)
        for level, count in zip(LEVELS, counts, strict=True):
            chance = binomial_tails(count, int(ok.sum()), level)
            seen = f"{note} in the {' / '.join(f'{x:.0%}' for x in LEVELS)} intervals (chance {chance:.1g})"
            require(chance >= tolerated, seen)
    return f"S/N {subject.trial.snr:g}, intervals of 50/68/90 %: {', '.join(notes)}"


def _calibration_run(subject: Subject) -> tuple[Posterior, Truth]:
    batch, truth = subject.simulate(subject.trial.n_calibration, subject.trial.seed + 1)
    n = len(batch)
    prior = RedshiftPrior(*batch.instrument.redshift_range)
    known = RedshiftPriors((prior,) * n) if subject.tags.redshift_prior else RedshiftPriors.free(n)
    return subject.infer(batch, redshift=known), truth


def covered(draws: Floats, truth: Floats) -> tuple[int, ...]:
    """For each level, how many equal-tailed intervals of `draws` [n, n_draws] hold `truth` [n]."""
    counts = []
    for level in LEVELS:
        low, high = np.quantile(draws, [0.5 - level / 2, 0.5 + level / 2], axis=1)
        counts.append(int(np.sum((truth >= low) & (truth <= high))))
    return tuple(counts)


def binomial_tails(count: int, n: int, probability: float) -> float:
    """Two-sided chance of a `count` at least as far out among n trials: twice the smaller exact binomial tail."""
    weights = [comb(n, k) * probability**k * (1 - probability) ** (n - k) for k in range(n + 1)]
    return min(1.0, 2 * min(sum(weights[: count + 1]), sum(weights[count:])))
