"""The spectra of a suite: made shard by shard, the same for every backend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.benchmark.changes import CHANGES
from galfit_ml.benchmark.errors import BenchmarkError
from galfit_ml.benchmark.other_stars import populations
from galfit_ml.benchmark.rebin import rebinned
from galfit_ml.benchmark.suite import Part, Suite
from galfit_ml.errors import unknown_name
from galfit_ml.parameters import GALAXY
from galfit_ml.simulate.surveys import ChunkMaker, MockSurvey, SurveySettings, make_settings
from galfit_ml.simulate.surveys.mock import joined
from galfit_ml.simulate.surveys.sample import band_name
from galfit_ml.spectra import SpectrumBatch, joined_batches

TRUTH = ("log_ssfr", "exposure_s", "class", "bulge_to_total_light")
"""Truth columns that are kept besides the parameters and the magnitude, where a population has them."""


@dataclass(frozen=True, eq=False)
class Shard:
    """Spectra that are answered together.

    Args:
        name: of its file.
        batch: n spectra.
        truth: column -> [n]; parameters by their names, `snr` (measured, median per native pixel), `magnitude`, `part`.
        first: number of its first spectrum among all of the suite, the same for every backend and however many
            spectra are wanted.
    """

    name: str
    batch: SpectrumBatch
    truth: dict[str, NDArray[Any]]
    first: int = 0

    def __len__(self) -> int:
        return len(self.batch)


def shard_names(suite: Suite, n: int) -> list[tuple[str, int]]:
    """Name and size of every shard of the first n spectra, the parts taking turns."""
    each = -(-n // len(suite.parts))
    count = -(-each // suite.shard)
    sizes = [min(suite.shard, each - i * suite.shard) for i in range(count)]
    return [(f"{p:02d}-{i:04d}", sizes[i]) for i in range(count) for p in range(len(suite.parts))]


def make_shard(suite: Suite, n: int, name: str, size: int) -> Shard:
    """One shard of the first n spectra of a suite of mocks, cut from the chunks of the survey of its part."""
    number, index, survey, wanted = _placed(suite, n, name, size)
    per_chunk = survey.settings(1).rows_per_chunk
    pieces = [_cut(survey, int(c), wanted, index * suite.shard + suite.shard) for c in np.unique(wanted // per_chunk)]
    batches, truths = zip(*pieces, strict=True)
    truth = {key: np.concatenate([t[key] for t in truths]) for key in truths[0]}
    try:
        together = joined_batches(batches)
    except ValueError as error:
        raise BenchmarkError(
            f"A shard holds spectra of two chunks that were displaced differently: choose a `shard` that divides 256. "
            f"({error})"
        ) from error
    return Shard(name, together, truth, (index * len(suite.parts) + number) * suite.shard)


def made_shard(suite: Suite, n: int, name: str, size: int) -> MockSurvey:
    """The mock survey of a shard of `make_shard`, row by row, before anything was done to its spectra."""
    _, _, survey, wanted = _placed(suite, n, name, size)
    per_chunk = survey.settings(1).rows_per_chunk
    chunks = [(int(c), wanted[wanted // per_chunk == c] - c * per_chunk) for c in np.unique(wanted // per_chunk)]
    pieces = [_chunk(survey.plain, chunk).take(rows) for chunk, rows in chunks]
    return joined(pieces)


def _placed(suite: Suite, n: int, name: str, size: int) -> tuple[int, int, _Survey, NDArray[np.intp]]:
    """Part and index of a shard, the survey it is cut from, and the numbers of its spectra in that."""
    number, index = (int(text) for text in name.split("-"))
    survey = _Survey(suite.parts[number], suite.seed + _first_alike(suite, number), -(-n // len(suite.parts)))
    wanted = np.arange(index * suite.shard, index * suite.shard + size)
    return number, index, survey, wanted


def _first_alike(suite: Suite, number: int) -> int:
    """The first part that differs in nothing but stars and what is done to its spectra: the same galaxies and noise."""
    alike = [part.alike for part in suite.parts]
    return alike.index(alike[number])


def shards(suite: Suite, n: int) -> Iterator[Shard]:
    """All shards of the first n spectra."""
    for name, size in shard_names(suite, n):
        yield make_shard(suite, n, name, size)


@dataclass(frozen=True)
class _Survey:
    """The survey of a part, n spectra of which are wanted."""

    part: Part
    seed: int
    n: int

    @property
    def plain(self) -> _Survey:
        """The same without what is done to its spectra."""
        return replace(self, part=self.part.plain)

    def settings(self, n_chunks: int) -> SurveySettings:
        """Of whole chunks: what a chunk holds must not depend on how many spectra are wanted (but for the grid)."""
        part, grid = self.part, self.part.population == "moonz-grid"
        settings = make_settings(
            part.instrument,
            None if grid else 1,
            part.population,
            self.seed,
            exposure=list(part.exposure) or None,
            tier=part.tier,
            magnitude=part.magnitude or None,  # type: ignore[arg-type]
            redshift=part.redshift or None,  # type: ignore[arg-type]
        )
        if grid:
            return replace(settings, galaxies=min(settings.galaxies, -(-self.n // settings.n_exposures)))
        return replace(settings, galaxies=n_chunks * settings.galaxies_per_chunk)


def _cut(
    survey: _Survey, chunk: int, wanted: NDArray[np.intp], end: int
) -> tuple[SpectrumBatch, dict[str, NDArray[Any]]]:
    """The wanted spectra that lie in a chunk, changed.

    All that the shard may ever hold of the chunk (up to spectrum `end`) is changed, and cut then: what chance does to
    one spectrum must not depend on how many there are.
    """
    if survey.part.change not in CHANGES:
        raise unknown_name("change", survey.part.change, CHANGES)
    whole, per_chunk = _chunk(survey.plain, chunk), survey.settings(1).rows_per_chunk
    first = max(int(wanted[0]) - chunk * per_chunk, 0)
    made = whole.take(np.arange(first, min(end - chunk * per_chunk, len(whole))))
    n = int((wanted // per_chunk == chunk).sum())
    batch = CHANGES[survey.part.change](made, np.random.default_rng([survey.seed, chunk, first]))
    kept = np.arange(min(n, len(batch)))
    return rebinned(batch.take(kept), survey.part.rebin), _truth(made.take(kept), survey.part)


@lru_cache(maxsize=4)
def _chunk(survey: _Survey, number: int) -> MockSurvey:
    """A chunk of a plain survey; parts take turns, so that as many are kept as the suites that ship have surveys."""
    return ChunkMaker(survey.settings(number + 1), populations=populations(survey.part.stars))(number)


def _truth(made: MockSurvey, part: Part) -> dict[str, NDArray[Any]]:
    truth = {name: np.asarray(made.truth[name], dtype=np.float64) for name in GALAXY.names}
    truth |= {name: np.asarray(made.truth[name]) for name in TRUTH if name in made.truth}
    truth["snr"] = measured_snr(made.batch)
    truth["magnitude"] = np.asarray(made.truth[f"m_{band_name(made.batch.instrument)}"], dtype=np.float64)
    truth["part"] = np.full(len(made), part.name)
    return truth


def measured_snr(batch: SpectrumBatch) -> NDArray[np.float64]:
    """[n] median S/N per native pixel over the good pixels of all arms; NaN where there is none."""
    snr = np.concatenate([np.where(a.bad, np.nan, a.flux * np.sqrt(a.ivar)) for a in batch.arms], axis=1)
    out = np.full(len(snr), np.nan)
    some = np.isfinite(snr).any(axis=1)
    out[some] = np.nanmedian(snr[some], axis=1)
    return out
