"""Checks of what a backend does with its input: left alone, masked pixels unread, one spectrum at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from galfit_ml.posterior import Posterior
from galfit_ml.spectra import ArmSpectra, SpectrumBatch
from galfit_ml.testing.contract import promise, require
from galfit_ml.testing.draws import same_draws
from galfit_ml.testing.subject import Subject

FLOOD = -50.0
"""Flux put under the mask, in units of the spectrum's median: out of place, yet harmless times an ivar of 0."""

NOTICEABLE = 0.5
"""A shift of a mean, in posterior sigma, that Monte-Carlo noise does not explain."""


@promise("the arrays of the batch are not modified")
def input_untouched(subject: Subject) -> None:
    """A user may run another backend on the same batch."""
    changed = subject.observed.changed_inputs
    require(not changed, f"infer() changed {', '.join(changed)}")


@promise("what stands under the mask does not matter")
def masked_pixels(subject: Subject) -> None:
    """NaN and 1e30 at the door, and a wrong flux behind it, where `bad` is True."""
    flooded = subject.infer(_flooded(subject.batch.take([0])))
    require(flooded.ok[0], f"wrong values under the mask made it fail: {flooded.reasons[0]}")
    for name, shift in _shifts(subject.alone, flooded).items():
        require(shift < NOTICEABLE, f"wrong values under the mask moved '{name}' by {shift:.3g} posterior sigma")


def _flooded(batch: SpectrumBatch) -> SpectrumBatch:
    return replace(batch, arms=tuple(_flooded_arm(arm) for arm in batch.arms))


def _flooded_arm(arm: ArmSpectra) -> ArmSpectra:
    junk = np.resize([np.nan, 1e30, -1e30, np.inf], arm.flux.shape)
    fresh = replace(arm, flux=np.where(arm.bad, junk, arm.flux), ivar=np.where(arm.bad, junk, arm.ivar))
    # An ArmSpectra cleans what comes in, so only a value put there afterwards shows who reads under the mask.
    flood = FLOOD * np.median(fresh.flux, axis=1, keepdims=True)
    object.__setattr__(fresh, "flux", np.where(fresh.bad, flood, fresh.flux))
    return fresh


def _shifts(one: Posterior, two: Posterior) -> dict[str, float]:
    """Parameter -> shift of the first row's mean, in its standard deviation; inf where the draws are not finite."""
    sigma = one.draws[0].std(axis=0) + 1e-12 * np.array([p.high - p.low for p in one.parameters])
    shift = np.abs(two.draws[0].mean(axis=0) - one.draws[0].mean(axis=0)) / sigma
    return dict(zip(one.parameters.names, np.where(np.isfinite(shift), shift, np.inf).tolist(), strict=True))


@promise("a spectrum's answer is the same alone and in a batch (draws to a relative 1e-5)", tag="batch_invariant")
def one_by_one(subject: Subject) -> None:
    """Neighbours have no influence."""
    difference = same_draws(subject.posterior.take([0]), subject.alone)
    require(not difference, f"alone and in a batch of {len(subject.batch)}, {difference}")
