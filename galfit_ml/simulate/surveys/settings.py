"""`SurveySettings`: everything a mock survey depends on, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from galfit_ml.errors import GalfitMLError, unknown_name
from galfit_ml.instruments import Instrument, get_instrument
from galfit_ml.simulate.conditions import exposure_seconds
from galfit_ml.simulate.spectrograph import TIERS
from galfit_ml.simulate.surveys import mass_function, moonrise, moonz_grid
from galfit_ml.simulate.surveys.contaminants import KINDS

POPULATIONS = {
    "training": "galaxies of the one prior that network, sampler and benchmarks share",
    "moonrise": "realistic bulge + disc galaxies at z = 0.7-2.6, selected by total magnitude",
    "moonz-grid": "early, spiral and starburst galaxies on a grid of magnitude, redshift, dust and dispersion",
}
"""Populations and one line about each."""

TRAINING_EXPOSURE = (1800.0, 57600.0)
"""s: half an hour to 16 hours, log-uniform: what surveys with MOONS plan, and twice beyond at either end."""

MOONRISE_EXPOSURE = 28800.0
"""s: 8 hours, the deep tier of MOONRISE."""

MAX_ROWS = 256
"""Spectra of a chunk, at most."""

MAGNITUDE_LIMITS = (5.0, 35.0)
REDSHIFT_LIMITS = {
    "training": (0.0, 6.0),
    "moonrise": mass_function.REDSHIFT_RANGE,
    "moonz-grid": (moonz_grid.REDSHIFTS[0], moonz_grid.REDSHIFTS[-1]),
}

Range = tuple[float, float]
Exposure = str | float | Sequence[str | float]


class SurveyError(GalfitMLError, ValueError):
    """A mock survey that cannot be made: a setting outside what makes sense."""


@dataclass(frozen=True)
class SurveySettings:
    """What a mock survey depends on.

    Args:
        instrument: that observes.
        galaxies: how many.
        population: one of `POPULATIONS`.
        seed: of all randomness.
        exposures: s; every galaxy is observed once with each. Empty: drawn for each galaxy from `TRAINING_EXPOSURE`.
        tier: of the noise.
        magnitude, redshift: ranges; the ends are equal for a single value.
        contaminants: kind -> share of the fibres.
        mode: sky mode; None for the instrument's first.
    """

    instrument: Instrument
    galaxies: int
    population: str
    seed: int
    exposures: tuple[float, ...]
    tier: int
    magnitude: Range
    redshift: Range
    contaminants: Mapping[str, float] = field(default_factory=dict)
    mode: str | None = None

    @property
    def n_exposures(self) -> int:
        """Spectra of each galaxy."""
        return max(len(self.exposures), 1)

    @property
    def galaxies_per_chunk(self) -> int:
        """Galaxies of a chunk (fewer in the last)."""
        return max(MAX_ROWS // self.n_exposures, 1)

    @property
    def rows_per_chunk(self) -> int:
        """Spectra of a chunk (fewer in the last): at most 256, all exposures of each of its galaxies."""
        return self.galaxies_per_chunk * self.n_exposures

    @property
    def n(self) -> int:
        """Number of spectra."""
        return self.galaxies * self.n_exposures

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""
        return -(-self.galaxies // self.galaxies_per_chunk)

    def rows(self, chunk: int) -> range:
        """Galaxies of a chunk."""
        size = self.galaxies_per_chunk
        return range(chunk * size, min((chunk + 1) * size, self.galaxies))

    def random(self, chunk: int, purpose: int) -> np.random.SeedSequence:
        """Seed of one purpose in one chunk; different for every survey, seed and chunk."""
        name = int.from_bytes(self.population.encode()[:8], "little")
        return np.random.SeedSequence([self.seed, chunk, purpose, name])


def make_settings(
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
) -> SurveySettings:
    """Settings of `survey`, whose arguments these are, with defaults filled in.

    Raises:
        SurveyError: a number outside its range, which the message names.
        ConditionsError: an exposure time that is not positive or cannot be read.
        UnknownNameError: no such instrument, population or contaminant; a suggestion is in the message.
    """
    if population not in POPULATIONS:
        raise unknown_name("population", population, POPULATIONS)
    found = get_instrument(instrument)
    if tier not in TIERS:
        raise SurveyError(f"There is no noise tier {tier!r}. Choose 0 (white), 1 (systematics) or 2 (all of it).")
    limits = {"training": found.redshift_range, "moonrise": moonrise.REDSHIFT_RANGE}
    z_range = _range("redshift", redshift, limits.get(population, REDSHIFT_LIMITS[population]))
    _check_within("redshift", z_range, REDSHIFT_LIMITS[population], population)
    magnitudes = {
        "training": found.magnitude_range,
        "moonrise": moonrise.MAGNITUDE_RANGE,
        "moonz-grid": (moonz_grid.MAGNITUDES[0], moonz_grid.MAGNITUDES[-1]),
    }
    m_range = _range("magnitude", magnitude, magnitudes[population])
    _check_within("magnitude", m_range, MAGNITUDE_LIMITS, population)
    return SurveySettings(
        instrument=found,
        galaxies=_count(n, population, z_range, m_range),
        population=population,
        seed=_whole("seed", seed, 0),
        exposures=_exposures(exposure, population),
        tier=tier,
        magnitude=m_range,
        redshift=z_range,
        contaminants=_contaminants(contaminants),
        mode=mode,
    )


def _whole(name: str, value: int, least: int) -> int:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
        raise SurveyError(f"{name} must be a whole number of at least {least}, not {value!r}.")
    return int(value)


def _range(name: str, value: float | Range | None, default: Range) -> Range:
    """Two numbers from None, one or two."""
    if value is None:
        return default
    try:
        pair = (float(value), float(value)) if np.ndim(value) == 0 else tuple(float(v) for v in value)  # type: ignore[union-attr,arg-type]
    except (TypeError, ValueError) as error:
        raise SurveyError(f"{name} must be a number or two, not {value!r}.") from error
    if len(pair) != 2 or not all(math.isfinite(v) for v in pair) or pair[0] > pair[1]:
        raise SurveyError(f"{name} must be one number or a range (low, high), not {value!r}.")
    return pair[0], pair[1]


def _check_within(name: str, pair: Range, limits: Range, population: str) -> None:
    if pair[0] < limits[0] or pair[1] > limits[1]:
        raise SurveyError(
            f"{name} {pair[0]:g} to {pair[1]:g} makes no sense for the population '{population}': it must be within "
            f"{limits[0]:g} to {limits[1]:g}."
        )


def _count(n: int | None, population: str, redshift: Range, magnitude: Range) -> int:
    """Number of galaxies; None means the whole grid."""
    if population != "moonz-grid":
        if n is None:
            raise SurveyError(f"Say how many galaxies of the population '{population}' you want: n=1000, for example.")
        return _whole("n", n, 1)
    whole = len(moonz_grid.grid_cells(redshift, magnitude))
    if not whole:
        raise SurveyError(
            f"No galaxy of the grid has a redshift of {redshift[0]:g} to {redshift[1]:g} (multiples of 0.05) and a "
            f"magnitude of {magnitude[0]:g} to {magnitude[1]:g} (19 to 25.5 in steps of 0.5). Widen the ranges."
        )
    if n is not None and _whole("n", n, 1) > whole:
        raise SurveyError(f"The grid has {whole} galaxies; {n} were asked for. Leave n out for all of them.")
    return whole if n is None else int(n)


def _exposures(exposure: Exposure | None, population: str) -> tuple[float, ...]:
    if exposure is None:
        default = {"training": (), "moonrise": (MOONRISE_EXPOSURE,), "moonz-grid": moonz_grid.EXPOSURES}
        return default[population]
    given = [exposure] if isinstance(exposure, str) or np.ndim(exposure) == 0 else list(exposure)  # type: ignore[arg-type]
    times = tuple(exposure_seconds(value if isinstance(value, str) else float(value)) for value in given)  # type: ignore[arg-type]
    if not times or len(set(times)) < len(times) or len(times) > MAX_ROWS:
        raise SurveyError(f"Give one exposure time or several different ones, not {exposure!r}.")
    return times


def _contaminants(shares: Mapping[str, float] | None) -> dict[str, float]:
    given = {str(kind): float(share) for kind, share in (shares or {}).items()}
    for kind in given:
        if kind not in KINDS:
            raise unknown_name("contaminant", kind, KINDS)
    if any(not 0 <= share <= 1 for share in given.values()) or sum(given.values()) > 1:
        raise SurveyError(f"Shares of contaminants are fractions from 0 to 1 that add up to at most 1, not {given}.")
    return given
