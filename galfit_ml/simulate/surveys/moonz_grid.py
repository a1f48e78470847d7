"""The survey `moonz-grid`: three galaxy types on a grid of magnitude, redshift, dust and velocity dispersion.

It follows the simulated MOONS spectra on which the redshift code moonz was tested (A. Carnall,
github.com/ACCarnall/moons_redshifting; "TEWG7 v0.1.0 example spectra", Bruzual & Charlot 2003 templates named
earlytype, spiraldisk and starburst with noAv, lowAv, midAv and highAv). The star-formation histories of those templates
are not published; the types here are the nearest plain ones:

* early: a burst at 90 % of the age of the Universe before, of 5 % of that age, sSFR 10^-13 / yr, solar, a LIER of 1 A;
* spiral: a delayed exponential of tau = age of the Universe with sSFR 10^-10 / yr, 0.6 solar stars and gas;
* starburst: the same with sSFR 10^-8.5 / yr and 2.5 times as much of it in the last 10 Myr, 0.4 solar, log U -2.5.

Stars and gas have the grid's velocity dispersion. The magnitude is that of the delivered flux, and the size the nominal
one. Half of moonz's redshifts (odd multiples of 0.025) are left out.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from galfit_ml.simulate.conditions import NOMINAL_SIZE
from galfit_ml.simulate.cosmology import Cosmology
from galfit_ml.simulate.galaxies import Galaxies, simple_galaxies
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.pixels import Pixels
from galfit_ml.simulate.surveys.sample import Sample, observe_parts, on_device

TYPES: dict[str, dict[str, float]] = {
    "early": {"log_ssfr": -13.0, "log_lier": 0.0, "dust_eta": 1.0},
    "spiral": {
        "log_ssfr": -10.0,
        "log_metallicity": -0.22,
        "log_gas_metallicity": -0.22,
        "log_ionisation": -2.9,
        "dust_eta": 2.0,
    },
    "starburst": {
        "log_ssfr": -8.5,
        "log_burstiness": 0.4,
        "log_metallicity": -0.4,
        "log_gas_metallicity": -0.4,
        "log_ionisation": -2.5,
        "dust_eta": 2.0,
    },
}
FORMATION = {"early": (0.9, 0.05), "spiral": (0.9, 1.0), "starburst": (0.9, 1.0)}
"""Start of star formation and tau, as fractions of the age of the Universe."""

DUST = {"early": (0.0,), "spiral": (0.2, 0.5, 1.0), "starburst": (0.2, 0.5, 1.0)}
"""A_V of each type, mag: moonz's early types have none, the others some."""

DISPERSIONS = (150.0, 250.0, 350.0)
MAGNITUDES = tuple(float(m) for m in np.arange(19.0, 25.6, 0.5))
REDSHIFTS = tuple(round(0.7 + 0.05 * i, 2) for i in range(50))
EXPOSURES = (3600.0, 7200.0, 28800.0)


@dataclass(frozen=True)
class GridCell:
    """One galaxy of the grid: A_V in mag, dispersion in km/s."""

    kind: str
    dust_av: float
    dispersion: float
    magnitude: float
    redshift: float


def grid_cells(
    redshift: tuple[float, float] | None = None, magnitude: tuple[float, float] | None = None
) -> list[GridCell]:
    """All cells whose redshift and magnitude are within the ranges (ends included), in a fixed order."""
    wanted_z = [z for z in REDSHIFTS if redshift is None or redshift[0] - 1e-9 <= z <= redshift[1] + 1e-9]
    wanted_m = [m for m in MAGNITUDES if magnitude is None or magnitude[0] - 1e-9 <= m <= magnitude[1] + 1e-9]
    return [
        GridCell(kind, av, sigma, m, z)
        for kind in TYPES
        for av, sigma, m, z in itertools.product(DUST[kind], DISPERSIONS, wanted_m, wanted_z)
    ]


class GridPopulation:
    """Galaxies of the grid.

    Args:
        model: galaxy model.
        pixels: of the instrument, on the model's device.
        cells: one per galaxy of the survey.
    """

    prefixes = ("",)

    def __init__(self, model: GalaxyModel, pixels: Pixels, cells: list[GridCell]) -> None:
        self.model, self.pixels, self.cells = model, pixels, cells

    def sample(self, rows: range, rng: np.random.Generator) -> Sample:
        """The galaxies `rows`; nothing is random."""
        cells = [self.cells[row] for row in rows]
        galaxies = on_device(grid_galaxies(cells, self.model.cosmology), self.model.device)
        flux, parts = observe_parts(self.model, [("", galaxies)], self.pixels)
        one = torch.ones(len(cells), device=flux.device)
        kind: NDArray[np.str_] = np.array([cell.kind for cell in cells])
        return Sample(flux, parts, kind, one.double(), NOMINAL_SIZE * one)


def grid_galaxies(cells: list[GridCell], cosmology: Cosmology) -> Galaxies:
    """The galaxies of the cells."""
    redshift = torch.tensor([cell.redshift for cell in cells], dtype=torch.float64)
    age = cosmology.age_yr(redshift)
    start, tau = torch.tensor([FORMATION[cell.kind] for cell in cells], dtype=torch.float64).T
    dispersion = torch.tensor([cell.dispersion for cell in cells])
    names = sorted({name for values in TYPES.values() for name in values})
    plain = {"log_ssfr": -13.0, "log_lier": -np.inf, "log_ionisation": -3.0}
    own = {name: torch.tensor([TYPES[c.kind].get(name, plain.get(name, 0.0)) for c in cells]) for name in names}
    return simple_galaxies(
        len(cells),
        redshift,
        magnitude=torch.tensor([cell.magnitude for cell in cells]),
        dust_av=torch.tensor([cell.dust_av for cell in cells]),
        velocity_dispersion=dispersion,
        gas_dispersion=dispersion,
        formation_age=start * age,
        tau=tau * age,
        **own,
    )


def choose_cells(cells: list[GridCell], n: int, seed: int) -> list[GridCell]:
    """n different cells at random, in the order of the grid."""
    rows = np.sort(np.random.default_rng([seed, len(cells)]).permutation(len(cells))[:n])
    return [cells[row] for row in rows]
