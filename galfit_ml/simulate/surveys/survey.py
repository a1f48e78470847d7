"""`survey` and `survey_chunks`: mock surveys in memory, or in pieces that can be written one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galfit_ml.instruments import Instrument
from galfit_ml.simulate.conditions import NOMINAL_SIZE, Conditions
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.populations import StellarPopulations
from galfit_ml.simulate.prior import GalaxyPrior
from galfit_ml.simulate.spectrograph import Observation, Spectrograph
from galfit_ml.simulate.surveys.contaminants import Contaminants, Contaminated
from galfit_ml.simulate.surveys.mock import MockSurvey, joined
from galfit_ml.simulate.surveys.moonrise import MoonrisePopulation
from galfit_ml.simulate.surveys.moonz_grid import GridPopulation, choose_cells, grid_cells
from galfit_ml.simulate.surveys.sample import Sample, band_name
from galfit_ml.simulate.surveys.settings import TRAINING_EXPOSURE, Exposure, Range, SurveySettings, make_settings
from galfit_ml.simulate.surveys.training import TrainingPopulation
from galfit_ml.simulate.surveys.truth import GalaxyTruth, blank_others

Progress = Callable[[int, int, str], None]
Population = TrainingPopulation | MoonrisePopulation | GridPopulation
Alteration = Callable[[Tensor, Tensor, np.random.Generator], Tensor]

GALAXIES, CONTAMINATION, CONDITIONS, NOISE, ALTERATION = range(5)
"""Purposes of random numbers: each has a stream of its own in every chunk."""


def survey(
    instrument: Instrument | str,
    n: int | None,
    population: str = "training",
    seed: int = 0,
    *,
    exposure: Exposure | None = None,
    tier: int = 2,
    magnitude: float | Range | None = None,
    redshift: float | Range | None = None,
    contaminants: Mapping[str, float] | None = None,
    mode: str | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> MockSurvey:
    """A mock survey in memory: about 0.3 MB for a MOONS spectrum; `survey_chunks` needs no more for a million.

    Args:
        instrument: one whose noise is known, or its name.
        n: number of galaxies; None for the whole of `moonz-grid`.
        population: "training", "moonrise" or "moonz-grid".
        seed: the same seed and settings make the same survey.
        exposure: seconds or a text such as "8h"; several observe every galaxy once with each, under the same sky, and
            the rows are grouped by exposure. By default log-uniform over 0.5-16 h for `training`, 8 h for `moonrise`,
            and 1, 2 and 8 h for `moonz-grid`.
        tier: of the noise: 0 white, 1 with systematic errors, 2 also with varying sky, seeing and noise level.
        magnitude: one AB magnitude or a range, in the instrument's band: delivered for `training` (default: the
            instrument's range) and `moonz-grid` (19-25.5), total for `moonrise` (20-24.5).
        redshift: one or a range. By default the instrument's range, 0.7-2.6 for `moonrise`, 0.7-3.15 for `moonz-grid`.
        contaminants: shares of "star", "quasar" and "sky", such as {"star": 0.02}; they replace galaxies.
        mode: sky mode of the instrument.
        device: "cpu" or "cuda".
        progress: called with spectra done, spectra in all, and a message.

    Raises:
        SurveyError, ConditionsError: a setting that makes no sense; the message names it and its range.
        UnknownNameError: no such instrument, population, contaminant or mode.
    """
    settings = make_settings(
        instrument,
        n,
        population,
        seed,
        exposure=exposure,
        tier=tier,
        magnitude=magnitude,
        redshift=redshift,
        contaminants=contaminants,
        mode=mode,
    )
    whole = joined(list(make_chunks(settings, device=device, progress=progress)))
    return whole if settings.n_exposures == 1 else whole.take(_grouped(whole, settings))


def survey_chunks(
    instrument: Instrument | str,
    n: int | None,
    population: str = "training",
    seed: int = 0,
    *,
    exposure: Exposure | None = None,
    tier: int = 2,
    magnitude: float | Range | None = None,
    redshift: float | Range | None = None,
    contaminants: Mapping[str, float] | None = None,
    mode: str | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
    start: int = 0,
) -> Iterator[MockSurvey]:
    """The same survey in chunks of at most 256 spectra, from chunk `start` on; arguments and errors as `survey`.

    A chunk depends on settings, seed and its number alone. It holds all exposures of its galaxies, grouped by exposure.
    """
    settings = make_settings(
        instrument,
        n,
        population,
        seed,
        exposure=exposure,
        tier=tier,
        magnitude=magnitude,
        redshift=redshift,
        contaminants=contaminants,
        mode=mode,
    )
    return make_chunks(settings, device=device, progress=progress, start=start)


def make_chunks(
    settings: SurveySettings, *, device: str = "cpu", progress: Progress | None = None, start: int = 0
) -> Iterator[MockSurvey]:
    """Chunks of the survey that `settings` describe, from chunk `start` on."""
    maker = ChunkMaker(settings, device)
    for number in range(start, settings.n_chunks):
        made = maker(number)
        if progress is not None:
            done = min((number + 1) * settings.rows_per_chunk, settings.n)
            progress(done, settings.n, settings.population)
        yield made


class ChunkMaker:
    """Makes any chunk of a survey.

    Args:
        settings: of the survey.
        device: "cpu" or "cuda".
        alteration: what becomes of noiseless galaxies [n, n_pix] at redshifts [n], with random numbers; None: nothing.
        populations: the stars; None for the shipped ones.
    """

    def __init__(
        self,
        settings: SurveySettings,
        device: str = "cpu",
        *,
        alteration: Alteration | None = None,
        populations: StellarPopulations | None = None,
    ) -> None:
        self.settings, self.alteration = settings, alteration
        self.spectrograph = Spectrograph(settings.instrument, mode=settings.mode, device=device)
        self.model = GalaxyModel(populations, device=device)
        self.population = _population(settings, self.model, self.spectrograph)
        self._truth = GalaxyTruth(self.model, band_name(settings.instrument))
        self._contaminants = Contaminants(settings.contaminants, self.spectrograph.pixels, settings.redshift)

    def __call__(self, number: int) -> MockSurvey:
        """Chunk `number`."""
        rows = self.settings.rows(number)
        sample = self.population.sample(rows, np.random.default_rng(self.settings.random(number, GALAXIES)))
        columns = self._truth.columns(sample)
        if self.alteration is not None:
            rng = np.random.default_rng(self.settings.random(number, ALTERATION))
            redshift = sample.parts[0].galaxies.redshift
            sample = replace(sample, flux=self.alteration(sample.flux, redshift, rng))
        there = self._contaminants.put_into(sample, np.random.default_rng(self.settings.random(number, CONTAMINATION)))
        columns = self._with_others(columns, there)
        conditions = self._conditions(number, there)
        noise = self._generator(number, NOISE)
        parts = [
            self._observe(there.sample, self._exposed(conditions, exposure), columns, rows, noise)
            for exposure in (self.settings.exposures or (None,))
        ]
        return joined(parts)

    def _generator(self, number: int, purpose: int) -> torch.Generator:
        state = int(self.settings.random(number, purpose).generate_state(1, np.uint64)[0]) >> 1
        return torch.Generator(self.spectrograph.device).manual_seed(state)

    def _with_others(self, columns: dict[str, NDArray[Any]], there: Contaminated) -> dict[str, NDArray[Any]]:
        """Columns in which what is no galaxy has a redshift and a magnitude at most."""
        band = f"m_{band_name(self.settings.instrument)}"
        known: dict[str, NDArray[Any]] = {**blank_others(columns, there.other, keep=(band,))}
        sky = there.sample.kind == "sky"
        known[band] = np.where(sky, np.nan, known[band])
        known["redshift"] = np.where(there.other, there.redshift, known["redshift"])
        known["star_temperature"] = there.temperature
        known["class"] = there.sample.kind
        return known

    def _conditions(self, number: int, there: Contaminated) -> Conditions:
        """Sky, seeing and size of the chunk's galaxies; exposure times, where drawn, too."""
        generator, n, device = self._generator(number, CONDITIONS), len(there.other), self.spectrograph.device
        low, high = TRAINING_EXPOSURE
        exposure = low * (high / low) ** torch.rand(n, generator=generator, device=device)
        if self.settings.tier == 2:
            conditions = Conditions.draw(self.settings.instrument, n, exposure, generator)
        else:
            conditions = Conditions.nominal(self.settings.instrument, n, exposure.cpu(), NOMINAL_SIZE).to(device)
        size = conditions.size if there.sample.size is None else there.sample.size.to(conditions.size.dtype)
        other = torch.as_tensor(there.other, device=device)
        return replace(conditions, size=torch.where(other, 0.0, size))

    @staticmethod
    def _exposed(conditions: Conditions, exposure: float | None) -> Conditions:
        if exposure is None:
            return conditions
        return replace(conditions, exposure=torch.full_like(conditions.exposure, exposure))

    def _observe(
        self,
        sample: Sample,
        conditions: Conditions,
        columns: dict[str, NDArray[Any]],
        rows: range,
        generator: torch.Generator,
    ) -> MockSurvey:
        seen = self.spectrograph.observe(sample.flux, conditions, tier=self.settings.tier, generator=generator)
        truth = {"galaxy_id": np.array(rows, dtype=np.int64), **columns, **self._seen_columns(seen, sample, conditions)}
        ids = [self._name(row, float(t)) for row, t in zip(rows, conditions.exposure, strict=True)]
        return MockSurvey(
            batch=seen.batch(self.settings.instrument, ids),
            truth=truth,
            clean=_single(sample.flux),
            white_ivar=_single(seen.white_ivar),
            mask=np.asarray(seen.mask.cpu().numpy()),
        )

    def _name(self, row: int, exposure: float) -> str:
        name = f"{self.settings.population}-{row + 1:06d}"
        return name if self.settings.n_exposures == 1 else f"{name}-{exposure:.0f}s"

    def _seen_columns(self, seen: Observation, sample: Sample, conditions: Conditions) -> dict[str, NDArray[Any]]:
        true = replace(seen, flux=sample.flux.float(), ivar=seen.white_ivar)
        names = [*(f"_{arm.name.lower()}" for arm in self.settings.instrument.arms), ""]
        snr: dict[str, NDArray[Any]] = {}
        for label, observation in (("snr", seen), ("snr_true", true)):
            values = observation.snr().double().cpu().numpy()
            snr |= {f"{label}{name}": values[:, i] for i, name in enumerate(names)}
        plain = {
            "exposure_s": conditions.exposure,
            "seeing": conditions.seeing,
            "airmass": conditions.airmass,
            "size_arcsec": conditions.size,
            "noise_scale": seen.noise_scale,
        }
        return {**{name: value.double().cpu().numpy() for name, value in plain.items()}, **snr}


def _population(settings: SurveySettings, model: GalaxyModel, spectrograph: Spectrograph) -> Population:
    pixels = spectrograph.pixels
    if settings.population == "training":
        prior = GalaxyPrior(settings.redshift, settings.magnitude, cosmology=model.cosmology)
        return TrainingPopulation(model, pixels, prior)
    if settings.population == "moonrise":
        return MoonrisePopulation(model, pixels, settings.instrument, settings.redshift, settings.magnitude)
    cells = grid_cells(settings.redshift, settings.magnitude)
    if settings.galaxies < len(cells):
        cells = choose_cells(cells, settings.galaxies, settings.seed)
    return GridPopulation(model, pixels, cells)


def _single(values: Tensor) -> NDArray[np.float32]:
    return np.asarray(values.float().cpu().numpy())


def _grouped(whole: MockSurvey, settings: SurveySettings) -> NDArray[np.intp]:
    """Order in which the rows are grouped by exposure, as the exposures were given, and then by galaxy."""
    rank = {exposure: i for i, exposure in enumerate(settings.exposures)}
    first = np.array([rank[float(t)] for t in whole.truth["exposure_s"]])
    return np.lexsort((whole.truth["galaxy_id"], first))
