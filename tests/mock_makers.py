"""Small mock surveys without any physics, for what concerns files alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from galfit_ml.instruments import Arm, Instrument, Resolution
from galfit_ml.mock_files import MockPlan, TruthColumn
from galfit_ml.observatory import Curve, Detector
from galfit_ml.spectra import ArmSpectra, SpectrumBatch

R2000 = Resolution((5000.0,), (2000.0,), "R")
TOY = Instrument(
    "toy",
    "three kinds of pixels",
    "nobody",
    (
        Arm("blue", 4000.0, 4400.0, "linear", 1.25, R2000, Curve((4000.0, 4400.0), (0.1, 0.2)), Detector(3.0, 2.0)),
        Arm("red", 5000.0, 5600.0, "log10", 1e-4, R2000),
        Arm("far", 6000.0, 6600.0, "resolution", 2.5, R2000),
    ),
    magnitude_band=(5100.0, 5500.0),
)
COLUMNS = {
    "redshift": TruthColumn("", "redshift of the stars"),
    "log_stellar_mass": TruthColumn("dex(solMass)", "log10 of the stellar mass"),
    "exposure": TruthColumn("s", "exposure time"),
    "kind": TruthColumn("", "kind of object"),
}


@dataclass(frozen=True, eq=False)
class FakeSurvey:
    """What a chunk of a mock survey looks like."""

    batch: SpectrumBatch
    truth: dict[str, np.ndarray]
    clean: np.ndarray
    white_ivar: np.ndarray
    mask: np.ndarray


def fake_chunk(plan: MockPlan, number: int) -> FakeSurvey:
    """Chunk `number`, which depends on nothing but the seed and the number."""
    rng = np.random.default_rng([plan.settings["seed"], number])
    n, n_pix = len(plan.rows(number)), sum(len(arm.grid) for arm in plan.instrument.arms)
    clean = rng.uniform(1.0, 2.0, (n, n_pix)).astype(np.float32)
    mask = rng.choice(np.array([0, 0, 0, 1, 16], dtype=np.uint8), (n, n_pix))
    arms, start = [], 0
    for arm in plan.instrument.arms:
        pixels = slice(start, start + len(arm.grid))
        shape = (n, len(arm.grid))
        flux = (clean[:, pixels] + rng.standard_normal(shape)).astype(np.float32).astype(float)
        ivar = rng.uniform(0.5, 2.0, shape).astype(np.float32).astype(float)
        sigma = np.broadcast_to(arm.resolution.sigma(arm.grid.centres), shape)
        arms.append(ArmSpectra(arm.name, arm.grid, flux, ivar, mask[:, pixels] == 16, sigma))
        start = pixels.stop
    ids = tuple(f"toy-{plan.settings['seed']}-{row:07d}" for row in plan.rows(number))
    batch = SpectrumBatch(plan.instrument, tuple(arms), ids, np.zeros(n, np.int64), ("",) * n, ({},) * n)
    truth: dict[str, Any] = {
        "redshift": rng.uniform(0, 5, n),
        "log_stellar_mass": rng.normal(10, 1, n).astype(np.float32),
        "exposure": np.full(n, 3600.0),
        "number": np.full(n, number),
        "kind": np.array(["spiral", "early type"])[rng.integers(0, 2, n)],
    }
    return FakeSurvey(batch, truth, clean, np.full((n, n_pix), 2.5, np.float32), mask)


def fake_chunks(plan: MockPlan, first: int) -> Iterator[FakeSurvey]:
    for number in range(first, plan.n_chunks):
        yield fake_chunk(plan, number)


def toy_plan(n: int = 23, chunk: int = 5, seed: int = 4, **changes: Any) -> MockPlan:
    settings = {"survey": "toy", "seed": seed, "tier": 2, "exposure": ["1h", "8h"], "magnitude": [20.0, 24.0]}
    given = {"columns": COLUMNS, "mask_bits": {"BRIGHT_SKY": 1, "BAD_PIXEL": 16}, "unusable": 16, **changes}
    return MockPlan(TOY, n, chunk, settings, "0.1.0", **given)
