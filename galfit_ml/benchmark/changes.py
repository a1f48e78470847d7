"""What is done to spectra, to see what a backend makes of what it was not trained for."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from galfit_ml.grid import SPEED_OF_LIGHT_KMS, WavelengthGrid
from galfit_ml.simulate.dust import calzetti, milky_way
from galfit_ml.simulate.surveys import MockSurvey
from galfit_ml.spectra import ArmSpectra, SpectrumBatch

Change = Callable[[MockSurvey, np.random.Generator], SpectrumBatch]
OfArm = Callable[[ArmSpectra, np.random.Generator], ArmSpectra]


def _each_arm(change: OfArm, made: MockSurvey, rng: np.random.Generator) -> SpectrumBatch:
    return replace(made.batch, arms=tuple(change(arm, rng) for arm in made.batch.arms))


def no_arm(which: int, made: MockSurvey, _rng: np.random.Generator) -> SpectrumBatch:
    """Every pixel of one arm bad."""
    arms = list(made.batch.arms)
    arms[which] = replace(arms[which], bad=np.ones_like(arms[which].bad))
    return replace(made.batch, arms=tuple(arms))


def masked(arm: ArmSpectra, rng: np.random.Generator) -> ArmSpectra:
    """30 % of the pixels bad, at random."""
    return replace(arm, bad=arm.bad | (rng.random(arm.bad.shape) < 0.3))


def wrong_ivar(factor: float, arm: ArmSpectra, _rng: np.random.Generator) -> ArmSpectra:
    """Inverse variance over- or underestimated."""
    return replace(arm, ivar=arm.ivar * factor)


def degraded(made: MockSurvey, _rng: np.random.Generator) -> SpectrumBatch:
    """Line-spread function twice as wide: the noiseless flux smoothed by sqrt(3) of its width; the noise stays."""
    arms = []
    for arm in made.batch.arms:
        sigma = np.sqrt(3.0) * np.median(arm.lsf_sigma) / np.median(arm.grid.widths)
        reach = int(np.ceil(4 * sigma))
        kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
        clean = made.clean[:, _columns(made.batch, arm)].astype(np.float64)
        padded = np.pad(clean, ((0, 0), (reach, reach)), mode="edge")
        arms.append(replace(arm, flux=arm.flux + _smoothed(padded, kernel / kernel.sum()) - clean))
    return replace(made.batch, arms=tuple(arms))


def _smoothed(values: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.convolve(row, kernel, mode="valid") for row in values])


def tilted(made: MockSurvey, rng: np.random.Generator) -> SpectrumBatch:
    """3 % more at one end than at the other, linear in ln(wavelength), up or down."""
    batch = made.batch
    edges = [np.log(arm.grid.edges[[0, -1]]) for arm in batch.arms]
    low, high = min(e[0] for e in edges), max(e[1] for e in edges)
    sign = rng.choice([-1.0, 1.0], size=(len(batch), 1))

    def change(arm: ArmSpectra) -> ArmSpectra:
        factor = 1 + 0.03 * sign * ((np.log(arm.grid.centres) - low) / (high - low) - 0.5)
        return replace(arm, flux=arm.flux * factor, ivar=arm.ivar / factor**2)

    return replace(batch, arms=tuple(change(arm) for arm in batch.arms))


def scaled(arm: ArmSpectra, rng: np.random.Generator) -> ArmSpectra:
    """Flux of an arm wrong by 3 % (sigma)."""
    factor = 1 + 0.03 * rng.standard_normal((len(arm.flux), 1))
    return replace(arm, flux=arm.flux * factor, ivar=arm.ivar / factor**2)


def displaced(arm: ArmSpectra, rng: np.random.Generator) -> ArmSpectra:
    """Wavelengths of an arm wrong by 30 km/s, up or down, the same for all spectra of a chunk."""
    factor = 1 + rng.choice([-1.0, 1.0]) * 30.0 / SPEED_OF_LIGHT_KMS
    return replace(arm, grid=WavelengthGrid(arm.grid.edges * factor, arm.grid.centres * factor))


def other_dust(made: MockSurvey, _rng: np.random.Generator) -> SpectrumBatch:
    """Dust of the Milky Way, bump included, instead of Calzetti's at the same A_V; the noise stays."""
    redshift, depth = (np.asarray(made.truth[name], dtype=np.float64)[:, None] for name in ("redshift", "dust_av"))
    arms = []
    for arm in made.batch.arms:
        rest = torch.as_tensor(arm.grid.centres / (1 + redshift))
        more = (milky_way(rest) / 3.1 - calzetti(rest)).numpy()
        clean = made.clean[:, _columns(made.batch, arm)]
        arms.append(replace(arm, flux=arm.flux + clean * (10 ** (-0.4 * depth * more) - 1)))
    return replace(made.batch, arms=tuple(arms))


def _columns(batch: SpectrumBatch, arm: ArmSpectra) -> slice:
    """Where an arm stands among the pixels of all arms."""
    before = list(itertools.takewhile(lambda other: other is not arm, batch.arms))
    first = sum(len(other.grid) for other in before)
    return slice(first, first + len(arm.grid))


def unchanged(made: MockSurvey, _rng: np.random.Generator) -> SpectrumBatch:
    """As simulated."""
    return made.batch


CHANGES: dict[str, Change] = {
    "none": unchanged,
    **{f"no arm {i + 1}": partial(no_arm, i) for i in range(3)},
    "30 % of pixels masked": partial(_each_arm, masked),
    "ivar twice too large": partial(_each_arm, partial(wrong_ivar, 2.0)),
    "ivar twice too small": partial(_each_arm, partial(wrong_ivar, 0.5)),
    "resolution halved": degraded,
    "3 % tilt": tilted,
    "arms scaled by 3 %": partial(_each_arm, scaled),
    "arms displaced by 30 km/s": partial(_each_arm, displaced),
    "dust of the Milky Way": other_dust,
}
