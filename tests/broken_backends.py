"""Backends that break one promise each, derived from a correct one: what the checks of the contract must catch."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
from toy_backend import Fit, Row, ToyBackend

from galfit_ml.backend import Request
from galfit_ml.errors import GalfitMLError
from galfit_ml.flags import Flag
from galfit_ml.parameters import GALAXY, ParameterSet
from galfit_ml.posterior import Floats, Posterior
from galfit_ml.redshift_prior import RedshiftPrior
from galfit_ml.spectra import SpectrumBatch


class Altered(ToyBackend):
    """The correct answer, altered by `alter`."""

    def infer(self, batch: SpectrumBatch, request: Request) -> Any:
        return self.alter(super().infer(batch, request), batch, request)

    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Any:
        raise NotImplementedError


class ReturnsDictionary(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Any:
        return posterior.median()


class UnsignedFlags(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        return replace(posterior, flags=posterior.flags.astype(np.uint32))


class NumbersItsRows(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        return replace(posterior, ids=tuple(map(str, range(len(posterior)))))


class UnknownUnit(ToyBackend):
    parameters = ParameterSet((GALAXY["redshift"], replace(GALAXY["log_stellar_mass"], name="log_mass", unit="suns")))


class OtherUnit(ToyBackend):
    parameters = ParameterSet((GALAXY["redshift"], replace(GALAXY["log_stellar_mass"], unit="kg")))


class AnswersInOtherOrder(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        turned = ParameterSet(tuple(reversed(posterior.parameters.parameters)))
        return replace(posterior, parameters=turned, draws=posterior.draws[:, :, ::-1])


class LeavesTheRange(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        for row in np.flatnonzero(posterior.ok & ~batch.relative):
            posterior.draws[row, np.argmax(posterior.draws[row, :, 0]), 1] = 99.0
        return posterior


class OneDrawIsNan(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        posterior.draws[:, 0, 0] = np.nan
        return posterior


class AlwaysTwoHundredDraws(ToyBackend):
    def infer(self, batch: SpectrumBatch, request: Request) -> Posterior:
        return super().infer(batch, replace(request, n_samples=200))


class JittersAFixedRedshift(ToyBackend):
    def draw(self, fit: Fit, prior: RedshiftPrior, n: int, rng: np.random.Generator) -> Floats:
        draws = super().draw(fit, prior, n, rng)
        draws[:, 0] += 1e-9 * prior.fixed
        return draws


class IgnoresARange(ToyBackend):
    def fit(self, row: Row) -> Fit:
        prior = row.prior
        is_range = np.isfinite(prior.high) and not prior.fixed
        return super().fit(replace(row, prior=RedshiftPrior()) if is_range else row)


class IgnoresADistribution(ToyBackend):
    def log_prior(self, prior: RedshiftPrior, redshift: Floats) -> Floats:
        return np.zeros(len(redshift))


class MassWithoutAScale(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        posterior.draws[batch.relative, :, 1] = 10.0
        return posterior


class NoRedshiftWithoutAScale(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        posterior.draws[batch.relative] = np.nan
        return posterior


class ForgetsFlags(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        return replace(posterior, flags=posterior.flags & (Flag.RELATIVE_FLUX | Flag.FAILED))


class DropsARow(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        return posterior.take(np.flatnonzero(posterior.ok))


class GivesNoReason(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        return replace(posterior, reasons=("",) * len(posterior))


class InventsAnAnswer(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        draws = np.where(np.isnan(posterior.draws) & ~batch.relative[:, None, None], [0.1, 9.0], posterior.draws)
        return replace(posterior, draws=draws, flags=posterior.flags & ~int(Flag.FAILED))


class RefusesTheBatch(ToyBackend):
    def infer(self, batch: SpectrumBatch, request: Request) -> Posterior:
        if not batch.usable.all():
            raise GalfitMLError("a spectrum cannot be used")
        return super().infer(batch, request)


class NoBestFit(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        return replace(posterior, best_fit=None)


class NanInItsModel(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        assert posterior.best_fit is not None
        return replace(posterior, best_fit=replace(posterior.best_fit, model=posterior.best_fit.model * np.nan))


class NoEmbedding(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        return replace(posterior, embedding=None)


class Unseeded(ToyBackend):
    def stream(self, seed: int, row: Row, position: int) -> np.random.Generator:
        return np.random.default_rng()


class RemembersTheBatch(ToyBackend):
    """Continues where it stopped when the same batch comes again; its copies start afresh."""

    def __init__(self) -> None:
        self.seen: dict[tuple[int, bytes], int] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"seen": {}}

    def infer(self, batch: SpectrumBatch, request: Request) -> Posterior:
        key = request.n_samples, b"".join(arm.flux.tobytes() for arm in batch.arms)
        self.seen[key] = self.seen.get(key, -1) + 1
        return super().infer(batch, replace(request, seed=request.seed + 1000 * self.seen[key]))


class IgnoresTheSeed(ToyBackend):
    def stream(self, seed: int, row: Row, position: int) -> np.random.Generator:
        return super().stream(0, row, position)


class StreamByPosition(ToyBackend):
    def stream(self, seed: int, row: Row, position: int) -> np.random.Generator:
        return np.random.default_rng([seed, position])


class OneStreamForAll(ToyBackend):
    def stream(self, seed: int, row: Row, position: int) -> np.random.Generator:
        return np.random.default_rng(seed)


class SeedsNumpy(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        np.random.seed(request.seed)  # noqa: NPY002 - this is what must be caught
        return posterior


class SeedsPython(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        random.seed(request.seed)
        return posterior


class SeedsTorch(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        import torch

        torch.manual_seed(request.seed)
        return posterior


class SilencesNumpy(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        np.seterr(all="ignore")
        return posterior


class WritesUnderTheMask(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        for arm in batch.arms:
            arm.flux[arm.bad] = 7.0
        return posterior


class ReadsUnderTheMask(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        arm = batch.arms[0]
        posterior.draws[:, :, 1] += 0.01 * np.where(arm.bad, arm.flux, 0.0).mean(axis=1)[:, None]
        return posterior


class TrustsTheMask(ToyBackend):
    """Refuses what cannot be there, if the mask were not read."""

    def infer(self, batch: SpectrumBatch, request: Request) -> Posterior:
        if any((arm.flux < -10 * np.median(arm.flux)).any() for arm in batch.arms):
            raise ValueError("negative flux")
        return super().infer(batch, request)


class NormalisesTheBatch(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        mean = posterior.draws[:, :, 1].mean(axis=1)
        posterior.draws[:, :, 1] += 2e-3 * (np.nanmean(mean) if np.isfinite(mean).any() else 0.0) - 0.02
        return posterior


class KeepsALambda(ToyBackend):
    def __init__(self) -> None:
        self.transform = lambda flux: flux


class ForgetsWhenPickled(ToyBackend):
    def __init__(self) -> None:
        self.offset = 0

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.offset = 1

    def stream(self, seed: int, row: Row, position: int) -> np.random.Generator:
        return super().stream(seed + self.offset, row, position)


class UnsavableDiagnostics(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        objects = np.array([object() for _ in posterior.ids])
        return replace(posterior, diagnostics={"sampler": objects})


class NoProgress(ToyBackend):
    def infer(self, batch: SpectrumBatch, request: Request) -> Posterior:
        return super().infer(batch, replace(request, progress=None))


class ProgressBeyondTheTotal(Altered):
    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        if request.progress is not None:
            request.progress(len(batch) + 1, len(batch), "one more")
        return posterior


class ProgressInSteps(ToyBackend):
    def infer(self, batch: SpectrumBatch, request: Request) -> Posterior:
        def steps(done: int, total: int, message: str) -> None:
            assert request.progress is not None
            request.progress(100 * done, 100 * total, message)

        return super().infer(batch, replace(request, progress=steps if request.progress else None))


class Stretched(Altered):
    """Posteriors `factor` times as wide as they should be."""

    factor = 1.0

    def alter(self, posterior: Posterior, batch: SpectrumBatch, request: Request) -> Posterior:
        mean = posterior.draws.mean(axis=1, keepdims=True)
        low = [max(prior.low, 0.0) for prior in request.redshift]
        high = [min(prior.high, 6.0) for prior in request.redshift]
        draws = mean + self.factor * (posterior.draws - mean)
        fixed = np.array([prior.fixed for prior in request.redshift])[:, None]
        clipped = np.clip(draws[:, :, 0], np.array(low)[:, None], np.array(high)[:, None])
        draws[:, :, 0] = np.where(fixed, posterior.draws[:, :, 0], clipped)
        return replace(posterior, draws=draws)


class TooSure(Stretched):
    factor = 0.45


class TooShy(Stretched):
    factor = 2.0


CULPRITS: dict[type[ToyBackend], set[str]] = {
    UnsignedFlags: {"shapes"},
    NumbersItsRows: {"shapes", "unusable_spectra"},
    UnknownUnit: {"parameters", "saving"},
    OtherUnit: {"parameters"},
    LeavesTheRange: {"ranges"},
    AlwaysTwoHundredDraws: {"n_samples"},
    JittersAFixedRedshift: {"redshift_fixed"},
    IgnoresARange: {"redshift_range"},
    IgnoresADistribution: {"redshift_distribution"},
    MassWithoutAScale: {"relative_flux"},
    NoRedshiftWithoutAScale: {"relative_flux"},
    ForgetsFlags: {"flags_kept"},
    DropsARow: {"unusable_spectra"},
    GivesNoReason: {"unusable_spectra"},
    InventsAnAnswer: {"unusable_spectra"},
    RefusesTheBatch: {"n_samples", "ranges", "unusable_spectra"},
    NoBestFit: {"best_fit"},
    NanInItsModel: {"best_fit"},
    NoEmbedding: {"embedding"},
    RemembersTheBatch: {"same_seed"},
    Unseeded: {"same_seed", "order", "one_by_one", "pickling"},
    IgnoresTheSeed: {"other_seed"},
    StreamByPosition: {"order"},
    OneStreamForAll: {"streams"},
    SeedsNumpy: {"global_state"},
    SeedsPython: {"global_state"},
    SeedsTorch: {"global_state"},
    SilencesNumpy: {"global_state"},
    WritesUnderTheMask: {"input_untouched"},
    ReadsUnderTheMask: {"masked_pixels"},
    TrustsTheMask: {"masked_pixels"},
    NormalisesTheBatch: {"one_by_one"},
    KeepsALambda: {"pickling"},
    ForgetsWhenPickled: {"pickling"},
    UnsavableDiagnostics: {"saving"},
    NoProgress: {"progress"},
    ProgressBeyondTheTotal: {"progress"},
    ProgressInSteps: {"progress"},
    TooSure: {"coverage"},
    TooShy: {"coverage"},
}
"""Broken backend -> the checks that catch it; all others must let it pass."""

GROSS: dict[type[ToyBackend], str] = {
    ReturnsDictionary: "shapes",
    AnswersInOtherOrder: "parameters",
    OneDrawIsNan: "ranges",
}
"""Backends so broken that many checks fail; this one must be among them, with a message of its own."""
