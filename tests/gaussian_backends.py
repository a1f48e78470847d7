"""Backends whose posteriors are known exactly, and a suite of spectra that they read: measurements in the pixels.

Pixel i of a spectrum is a measurement of parameter i with a known error; the prior is a known Gaussian. The perfect
backend gives the posterior that follows; the others are wrong in one way each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from galfit_ml import hookimpl
from galfit_ml.backend import BackendInfo, Request
from galfit_ml.benchmark.spectra import Shard
from galfit_ml.benchmark.suite import Suite
from galfit_ml.flags import Flag
from galfit_ml.instruments import get_instrument
from galfit_ml.parameters import TARGETS
from galfit_ml.posterior import Posterior
from galfit_ml.registry import registry
from galfit_ml.spectra import SpectrumBatch

NAMES = TARGETS.names
CENTRE = np.array([1.0, 10.0, 0.0, -0.3, 1.0])
PRIOR = np.array([0.002, 0.5, 0.5, 0.2, 0.2])
"""Centre and width of the prior of each parameter; redshifts so narrow that most are right."""

WAVE = np.linspace(7000.0, 9000.0, 40)
SUITE = Suite.from_toml(Path(__file__).parent / "gaussian.toml")


@hookimpl
def galfit_ml_backends() -> list[BackendInfo]:
    """One for each way to be wrong."""
    kinds = ("perfect", "overconfident", "underconfident", "biased", "broken", "flaky")
    return [BackendInfo(kind, f"gaussian_backends:{kind.title()}", kind) for kind in kinds]


def shard(suite: Suite, n: int, name: str, size: int) -> Shard:
    """In place of `galfit_ml.benchmark.spectra.make_shard`."""
    index = int(name.partition("-")[2])
    rng = np.random.default_rng([suite.seed, index])
    truth = CENTRE + PRIOR * rng.standard_normal((suite.shard, len(CENTRE)))
    noise = PRIOR * 10 ** rng.uniform(-1, 0.5, (suite.shard, 1))
    flux, ivar = np.ones((suite.shard, len(WAVE))), np.ones((suite.shard, len(WAVE)))
    flux[:, : len(CENTRE)] = truth + noise * rng.standard_normal(truth.shape)
    ivar[:, : len(CENTRE)] = noise**-2
    batch = SpectrumBatch.from_arrays(WAVE, flux, ivar, get_instrument("moons-lr")).take(np.arange(size))
    known: dict[str, NDArray[Any]] = {p: truth[:size, i] for i, p in enumerate(NAMES)}
    known |= {"snr": 1 / noise[:size, 0], "magnitude": np.full(size, 22.0), "part": np.full(size, "none")}
    known |= {"log_ssfr": np.full(size, -9.0), "exposure_s": np.full(size, 3600.0), "class": np.full(size, "spiral")}
    return Shard(name, batch, known, index * suite.shard)


class Perfect:
    """The posterior that is right."""

    parameters = TARGETS
    width, offset = 1.0, 0.0

    def infer(self, batch: SpectrumBatch, request: Request) -> Posterior:
        """Product of prior and measurement."""
        arm, d = batch.arms[0], len(CENTRE)
        weight = arm.ivar[:, :d] + PRIOR**-2
        mean = (arm.flux[:, :d] * arm.ivar[:, :d] + CENTRE / PRIOR**2) / weight
        sigma = weight**-0.5
        noise = [
            np.random.default_rng([request.seed, i]).standard_normal((request.n_samples, d)) for i in self.keys(arm)
        ]
        draws = (mean + self.offset * sigma)[:, None] + self.width * sigma[:, None] * np.stack(noise)
        n = len(batch)
        return Posterior(TARGETS, draws, batch.ids, np.zeros(n, dtype=np.int64), ("",) * n)

    @staticmethod
    def keys(arm: Any) -> list[int]:
        """A number for each spectrum."""
        return [int(abs(row[0]) * 1e9) % 2**31 for row in arm.flux]


class Overconfident(Perfect):
    """Half as wide as it must be."""

    width = 0.5


class Underconfident(Perfect):
    """Twice as wide."""

    width = 2.0


class Biased(Perfect):
    """Off by a standard deviation."""

    offset = 1.0


class Broken(Perfect):
    """Fails always."""

    def infer(self, batch: SpectrumBatch, request: Request) -> Posterior:
        """Does not."""
        raise RuntimeError("the detector is on fire")


class Flaky(Perfect):
    """Perfect, but for a spectrum it cannot use, and for the plug that is pulled while it is asked a third time."""

    calls = 0

    def infer(self, batch: SpectrumBatch, request: Request) -> Posterior:
        """May be stopped."""
        Flaky.calls += 1
        if Flaky.calls == int(os.environ.get("STOP_AT", "0")):
            raise KeyboardInterrupt
        found = super().infer(batch, request)
        found.draws[1] = np.nan
        found.flags[1] |= int(Flag.FAILED)
        return Posterior(TARGETS, found.draws, found.ids, found.flags, ("", "no light", *("",) * (len(batch) - 2)))


def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The body of a fixture during which these backends, and no others, are installed and answer their own spectra."""
    points = [EntryPoint("gaussian", "gaussian_backends", "galfit_ml")]
    monkeypatch.setattr("galfit_ml.registry.entry_points", lambda group: points)
    monkeypatch.setattr("galfit_ml.benchmark.run.make_shard", shard)
    monkeypatch.setattr(Flaky, "calls", 0)
    registry.cache_clear()
    yield
    registry.cache_clear()
