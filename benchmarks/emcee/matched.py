"""Mock spectra whose noise is the one the likelihood of the emcee backend assumes.

White noise of tier 0, times a scale drawn from its prior; the flux calibration of each arm and the sky residual over
nights drawn from theirs; line ratios scattered as the backend allows for. Truths come from the prior of the backend
itself, so that its posteriors must be calibrated in every respect.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galfit_ml.instruments import Instrument
from galfit_ml.parameters import GALAXY
from galfit_ml.simulate.calibration import calibration_modes
from galfit_ml.simulate.conditions import Conditions
from galfit_ml.simulate.galaxies import Galaxies
from galfit_ml.simulate.galaxy import GalaxyModel, reported_parameters
from galfit_ml.simulate.prior import MASS_RANGE, GalaxyPrior
from galfit_ml.simulate.spectrograph import Spectrograph
from galfit_ml.spectra import ArmSpectra, SpectrumBatch
from galfit_ml_emcee.likelihood import NOISE_SCALE_SIGMA
from galfit_ml_emcee.line_error import LINES, RELATIVE_ERROR
from galfit_ml_emcee.sky import modes_of

Floats = NDArray[np.float64]

CHUNK = 16


class ScatteredLines:
    """Emission lines whose groups (`galfit_ml_emcee.line_error.LINES`) are off by a common factor each.

    Args:
        lines: those of the galaxy model.
        generator: source of the factors.
    """

    def __init__(self, lines: Any, generator: torch.Generator) -> None:
        self._lines, self._generator = lines, generator

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lines, name)

    def strengths(self, *arguments: Any) -> Tensor:
        """Scattered luminosities, [n, n_line]."""
        out: Tensor = self._lines.strengths(*arguments)
        for group in LINES:
            factor = 1 + RELATIVE_ERROR * torch.randn(len(out), 1, generator=self._generator)
            for line in group:
                near = (self._lines.wavelength - line).abs() < 0.6
                out[:, near] *= factor
        return out


@dataclass(frozen=True, eq=False)
class Mock:
    """One spectrum.

    Args:
        batch: of one row.
        truth: of the reported parameters and some more.
        x: [1, N_DIM] where it lies in the coordinates of the likelihood under the prior of `MatchedMocks`.
        galaxy: one row.
    """

    batch: SpectrumBatch
    truth: dict[str, float]
    x: Tensor
    galaxy: Galaxies


class MatchedMocks:
    """Draws mocks of an instrument.

    Args:
        instrument: one whose noise is known.
        exposure: such as "1h".
        seed: of everything.
        magnitude: range of the truths, AB; the prior of the backend is flat in it.
    """

    def __init__(self, instrument: Instrument, exposure: str, seed: int, magnitude: tuple[float, float]) -> None:
        self.instrument, self.exposure, self.seed = instrument, exposure, seed
        self.prior = GalaxyPrior(instrument.redshift_range, magnitude)
        self.spectrograph = Spectrograph(instrument)

    def __iter__(self) -> Iterator[tuple[SpectrumBatch, dict[str, float]]]:
        """One spectrum after the other, with its truths."""
        for mock in self.drawn():
            yield mock.batch, mock.truth

    def drawn(self) -> Iterator[Mock]:
        """One after the other, with all that was drawn but the errors."""
        number = 0
        while True:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
            yield from self._chunk(generator)
            number += 1

    def _chunk(self, generator: torch.Generator) -> Iterator[Mock]:
        model = GalaxyModel()
        model.lines = ScatteredLines(model.lines, generator)
        cube = self.prior.draw(CHUNK, generator)
        galaxies = self.prior.transform(cube)
        made = model.observe(galaxies, self.spectrograph.pixels)
        possible = (made.log_stellar_mass > MASS_RANGE[0]) & (made.log_stellar_mass < MASS_RANGE[1])
        flux, ivar, scale = self._observed(made.flux, generator)
        x = torch.cat([torch.special.ndtri(cube), torch.log(scale.double()) / NOISE_SCALE_SIGMA], dim=1)
        columns = reported_parameters(galaxies, made)
        for i in torch.nonzero(possible)[:, 0].tolist():
            truth = {p.name: float(columns[p.name][i]) for p in GALAXY}
            own = slice(i, i + 1)
            batch = self._batch(flux[own], ivar[own])
            yield Mock(batch, truth | _extra(galaxies, i), x[own], galaxies.take(own))

    def _observed(self, clean: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Flux and reported inverse variance, [n, n_pix], and the scale of the noise, [n, 1]."""
        n, conditions = len(clean), Conditions.nominal(self.instrument, len(clean), self.exposure)
        variance = self.spectrograph.white_variance(clean, conditions)
        scale = torch.exp(NOISE_SCALE_SIGMA * torch.randn(n, 1, generator=generator))
        flux = clean.clone()
        sky = modes_of(self.instrument)
        for own, arm in zip(self.instrument.arms, self.spectrograph.arms, strict=True):
            errors = torch.as_tensor(calibration_modes(self.instrument, arm.stop - arm.start)).float()
            residual = torch.as_tensor(sky[own.name][1]).float()
            flux[:, arm] *= 1 + torch.randn(n, len(errors), generator=generator) @ errors
            flux[:, arm] += torch.randn(n, len(residual), generator=generator) @ residual
        flux += scale * variance.sqrt() * torch.randn(flux.shape, generator=generator)
        return flux, 1 / variance, scale

    def _batch(self, flux: Tensor, ivar: Tensor) -> SpectrumBatch:
        arms = []
        for arm, part in zip(self.instrument.arms, self.spectrograph.arms, strict=True):
            sigma = arm.resolution.sigma(arm.grid.centres)[None]
            own = [t[:, part].double().numpy() for t in (flux, ivar)]
            arms.append(ArmSpectra(arm.name, arm.grid, own[0], own[1], np.zeros(own[0].shape, dtype=bool), sigma))
        return SpectrumBatch(self.instrument, tuple(arms), ("mock",), np.zeros(1, dtype=np.int64), ("",), ({},))


def _extra(galaxies: Galaxies, i: int) -> dict[str, float]:
    return {"magnitude": float(galaxies.magnitude[i]), "log_ssfr": float(galaxies.history.log_ssfr[i])}


def median_snr(batch: SpectrumBatch) -> float:
    """Measured, per native pixel, over all arms."""
    values = np.concatenate([(a.flux * np.sqrt(a.ivar))[0][~a.bad[0]] for a in batch.arms])
    return float(np.median(values))


def renamed(batch: SpectrumBatch, name: str) -> SpectrumBatch:
    """The same spectrum under another name."""
    return replace(batch, ids=(name,))
