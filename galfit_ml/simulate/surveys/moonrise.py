"""The survey `moonrise`: a realistic population of bulge + disc galaxies at z = 0.7-2.6, selected by magnitude.

MOONRISE is the extragalactic guaranteed-time survey of MOONS (Maiolino et al. 2020, The Messenger 180, 24). Redshift,
mass and class come from measured mass functions, everything else from `scaling_relations` and `bulge_disc`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from galfit_ml.instruments import Instrument
from galfit_ml.simulate.galaxies import Galaxies
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.pixels import Pixels
from galfit_ml.simulate.surveys.bulge_disc import Whole, draw_whole, split
from galfit_ml.simulate.surveys.deliver import aperture_factors
from galfit_ml.simulate.surveys.mass_draws import MassDraws, Selectable
from galfit_ml.simulate.surveys.rest_frame import with_stellar_mass
from galfit_ml.simulate.surveys.sample import (
    Sample,
    ab_magnitude,
    band_flux,
    joined,
    observe_parts,
    on_device,
)

Floats = NDArray[np.float64]

REDSHIFT_RANGE = (0.7, 2.6)
MAGNITUDE_RANGE = (20.0, 24.5)
"""Total AB magnitudes in the band: fainter ones give MOONS no continuum in 8 hours."""

CANDIDATES = 256
PILOT = 384
PILOT_MASS = (8.3, 11.7)
"""Galaxies, flat in log10 mass, from whose magnitudes it follows which masses are worth drawing."""

MARGIN = 0.3
"""mag by which these limits go beyond the 1st and 99th percentile of magnitudes at a given mass, redshift and class."""

HALF_WIDTH = 0.25
"""mag: galaxies within this of a single magnitude asked for are scaled to it."""

N_BAND = 96
PREFIXES = ("bulge_", "disc_")


@dataclass(frozen=True)
class Candidates:
    """Galaxies whose total magnitude is known and whose spectrum is not yet.

    Args:
        whole: what is true of bulge and disc together.
        parts: bulge and disc, with the mass of the whole galaxy.
        magnitude: [n] total AB magnitude in the band.
    """

    whole: Whole
    parts: tuple[Galaxies, Galaxies]
    magnitude: Floats


class MoonrisePopulation:
    """Bulge + disc galaxies.

    Args:
        model: galaxy model.
        pixels: of the instrument, on the model's device.
        instrument: gives the magnitude band.
        redshift: range, within that of the mass functions.
        magnitude: range of the total AB magnitude; a single number twice scales galaxies that are nearly so bright.
    """

    prefixes = PREFIXES

    def __init__(
        self,
        model: GalaxyModel,
        pixels: Pixels,
        instrument: Instrument,
        redshift: tuple[float, float] = REDSHIFT_RANGE,
        magnitude: tuple[float, float] = MAGNITUDE_RANGE,
    ) -> None:
        self.model, self.pixels = model, pixels
        self.single = magnitude[0] if magnitude[0] == magnitude[1] else None
        self.magnitude = (magnitude[0] - HALF_WIDTH, magnitude[1] + HALF_WIDTH) if self.single else magnitude
        self._band = _band_pixels(instrument).to(model.device)
        self._draws = MassDraws(redshift, self._can_be_selected(redshift), model.cosmology)

    def sample(self, rows: range, rng: np.random.Generator) -> Sample:
        """As many galaxies as `rows` has, selected by total magnitude."""
        kept: list[Sample] = []
        found = 0
        while found < len(rows):
            more = self._selected(len(rows) - found, rng)
            kept.append(more)
            found += len(more)
        return joined(kept)

    def _selected(self, most: int, rng: np.random.Generator) -> Sample:
        redshift, log_mass, quiescent = self._draws(CANDIDATES, rng)
        drawn = self._measured(redshift, log_mass, quiescent, rng)
        aperture = aperture_factors(CANDIDATES, rng)
        low, high = self.magnitude
        rows = np.flatnonzero((drawn.magnitude >= low) & (drawn.magnitude < high))[:most]
        shift = np.zeros(CANDIDATES) if self.single is None else 0.4 * (drawn.magnitude - self.single)
        return self._observed(drawn, rows, aperture, shift)

    def _measured(
        self, redshift: Floats, log_mass: Floats, quiescent: NDArray[np.bool_], rng: np.random.Generator
    ) -> Candidates:
        whole = draw_whole(redshift, log_mass, quiescent, self.model.cosmology, rng)
        bulge, disc = (
            with_stellar_mass(on_device(part.galaxies, self.model.device), part.log_mass, self.model.grid)
            for part in split(whole, rng)
        )
        light = sum(band_flux(self.model.observe(part, self._band).flux, self._band) for part in (bulge, disc))
        return Candidates(whole, (bulge, disc), ab_magnitude(torch.as_tensor(light)).cpu().numpy())

    def _observed(self, drawn: Candidates, rows: NDArray[np.intp], aperture: Floats, shift: Floats) -> Sample:
        """Spectra of the rows; `shift` is the change of their masses in dex."""
        device = self.model.device
        index = torch.as_tensor(rows, device=device)
        change = torch.as_tensor(np.log10(aperture) + shift, dtype=torch.float32, device=device)[index]
        parts = []
        for prefix, galaxies in zip(PREFIXES, drawn.parts, strict=True):
            chosen = galaxies.take(index)
            parts.append((prefix, replace(chosen, log_formed_mass=chosen.log_formed_mass + change)))
        flux, made = observe_parts(self.model, parts, self.pixels)
        whole = drawn.whole
        kind = np.where(whole.quiescent, "quiescent", np.where(whole.starburst, "starburst", "star-forming"))[rows]
        size = torch.as_tensor(whole.size[rows], dtype=torch.float32, device=device)
        return Sample(flux, made, kind, torch.as_tensor(aperture[rows], device=device), size)

    def _can_be_selected(self, redshift: tuple[float, float]) -> Selectable:
        """Which masses are worth drawing, from a pilot sample."""
        rng = np.random.default_rng(PILOT)
        z, log_mass = rng.uniform(*redshift, PILOT), rng.uniform(*PILOT_MASS, PILOT)
        quiescent = np.arange(PILOT) % 2 == 0
        magnitude = self._measured(z, log_mass, quiescent, rng).magnitude
        of_class = {
            kind: _Brightness.of(z[rows], log_mass[rows], magnitude[rows])
            for kind, rows in ((False, ~quiescent), (True, quiescent))
        }
        return lambda z, mass, kind: of_class[kind].can_be(z, mass, self.magnitude)


@dataclass(frozen=True)
class _Brightness:
    """Magnitude of one class as a quadratic of redshift and log10 mass, and how far from it galaxies lie."""

    coefficients: Floats
    low: float
    high: float

    @classmethod
    def of(cls, redshift: Floats, log_mass: Floats, magnitude: Floats) -> _Brightness:
        terms = _terms(redshift, log_mass)
        coefficients: Floats = np.linalg.lstsq(terms, magnitude, rcond=None)[0].astype(np.float64)
        low, high = np.percentile(magnitude - terms @ coefficients, [1, 99])
        return cls(coefficients, float(low) - MARGIN, float(high) + MARGIN)

    def can_be(self, redshift: Floats, log_mass: Floats, magnitude: tuple[float, float]) -> NDArray[np.bool_]:
        """Whether galaxies of this redshift and mass [...] may have a magnitude of the range."""
        usual = _terms(redshift, log_mass) @ self.coefficients
        return np.asarray((usual + self.low < magnitude[1]) & (usual + self.high > magnitude[0]))


def _terms(redshift: Floats, log_mass: Floats) -> Floats:
    z, x = np.broadcast_arrays(redshift - 1.5, log_mass - 10.0)
    return np.stack([np.ones_like(z), z, z**2, x, x**2, x * z], axis=-1)


def _band_pixels(instrument: Instrument) -> Pixels:
    """A few broad pixels over the magnitude band: all that a magnitude needs."""
    low, high = instrument.magnitude_band
    edges = np.geomspace(low, high, N_BAND + 1)
    wavelength = 0.5 * (edges[1:] + edges[:-1])
    return Pixels.from_arrays(wavelength, [edges], np.diff(edges) / 2.355, instrument.magnitude_band)
