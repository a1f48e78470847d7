"""Stars of another population synthesis, for suites that ask what becomes of answers when stars are not those learnt.

A suite's part may say `stars = "miles"`, or the path of any stellar grid (`galfit_ml.simulate.populations`).

The MILES models (Vazdekis et al. 2010, MNRAS 404, 1639; isochrones of Girardi et al. 2000, power-law initial mass
function of slope 1.3) cover 3540.5-7409.6 A in air, 63 Myr to 15.8 Gyr, [M/H] -1.71 to +0.22. They are not part of this
package, and may be used for non-commercial purposes: version 7.4.5 of ppxf (Cappellari 2017, MNRAS 466, 798) holds
them. Within these limits their spectra take the place of the shipped ones, scaled to the same light between 5300 and
5700 A, so that masses and ionising light stay; below and above, the shipped ones continue at the level of the edge.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from galfit_ml.benchmark.errors import BenchmarkError
from galfit_ml.grid import air_to_vacuum
from galfit_ml.simulate.populations import StellarPopulations, default_populations

Floats = NDArray[np.float64]

MILES = "miles"
NAME = re.compile(r"Mun1\.30Z(?P<sign>[mp])(?P<metallicity>\d\.\d\d)T(?P<gyr>\d\d\.\d{4})_.*\.fits")
BAND = 5300.0, 5700.0
"""Vacuum A, where both have the same light."""

EDGE = 100.0
"""A at either end whose light sets the level of what lies beyond."""


def populations(stars: str) -> StellarPopulations | None:
    """The grid that a part names: None for the shipped one, of an empty name.

    Raises:
        BenchmarkError: MILES models are asked for and not installed; the message says how to.
        FileFormatError: there is no such file, or it is no stellar grid.
    """
    if not stars:
        return None
    return with_miles(miles_folder()) if stars == MILES else StellarPopulations.load(stars)


def miles_folder() -> Path:
    """Where the installed ppxf keeps MILES models; BenchmarkError."""
    found = importlib.util.find_spec("ppxf")
    folder = Path(found.origin).parent / "miles_models" if found is not None and found.origin else None
    if folder is None or not any(folder.glob("Mun1.30*.fits")):
        had = "ppxf is not installed" if folder is None else "the installed ppxf does not hold them"
        raise BenchmarkError(
            f"This suite needs the MILES stellar population models, and {had}. They are in one of its versions, free "
            "for non-commercial use: python -m pip install 'ppxf==7.4.5'"
        )
    return folder


@lru_cache(maxsize=1)
def with_miles(folder: Path) -> StellarPopulations:
    """The shipped grid with the stars of MILES models, of which every age and metallicity must be in the folder."""
    own = default_populations()
    wave, metallicity, log_age, models = read_miles(folder)
    ages = np.log10(0.5 * (own.age_edges[1:] + own.age_edges[:-1]).numpy())
    stars = own.stars.clone()
    for z, value in enumerate(np.log10(own.metallicity.numpy())):
        spectra = _between(metallicity, models, value)
        for a in np.flatnonzero(ages >= log_age[0]):
            stars[z, a] = _replaced(own, stars[z, a], wave, _between(log_age, spectra, ages[a]))
    provenance = {**own.provenance, "stars": "MILES (Vazdekis et al. 2010), 3540-7410 A, older than 63 Myr"}
    return dataclasses.replace(own, stars=stars, provenance=provenance)


def read_miles(folder: Path) -> tuple[Floats, Floats, Floats, Floats]:
    """Vacuum wavelength [n] A, [M/H] [k], log age/yr [m], spectra [k, m, n]; BenchmarkError where some are missing."""
    from astropy.io import fits

    found: dict[tuple[float, float], Path] = {}
    for path in folder.iterdir():
        if (match := NAME.fullmatch(path.name)) is not None:
            sign = -1.0 if match["sign"] == "m" else 1.0
            found[sign * float(match["metallicity"]), float(match["gyr"])] = path
    metallicity, gyr = (np.unique([key[i] for key in found]) for i in range(2))
    if len(found) < len(metallicity) * len(gyr) or min(len(metallicity), len(gyr)) < 2:
        raise BenchmarkError(f"'{folder}' does not hold MILES models of every age and metallicity: install ppxf again.")
    rows, header = [], None
    for z in metallicity:
        for age in gyr:
            with fits.open(found[z, age]) as file:
                header = file[0].header
                rows.append(np.asarray(file[0].data, dtype=np.float64))
    assert header is not None
    air = header["CRVAL1"] + header["CDELT1"] * np.arange(len(rows[0]))
    spectra = np.stack(rows).reshape(len(metallicity), len(gyr), -1)
    return air_to_vacuum(air), metallicity, np.log10(gyr) + 9, spectra


def _between(nodes: Floats, spectra: Floats, value: float) -> Floats:
    """Spectra [k, ...] interpolated in their logarithm at a value of the nodes [k]; the ends hold beyond."""
    place = float(np.interp(value, nodes, np.arange(len(nodes))))
    low = min(int(place), len(nodes) - 2)
    share = place - low
    return np.asarray(spectra[low] ** (1 - share) * spectra[low + 1] ** share)


def _replaced(own: StellarPopulations, shipped: torch.Tensor, wave: Floats, model: Floats) -> torch.Tensor:
    """A spectrum [n_wave] of the shipped grid with that of a model in its place where there is one."""
    grid, before = own.wavelength.double().numpy(), shipped.double().numpy()
    inside = (grid > wave[0]) & (grid < wave[-1])
    new = np.interp(grid, wave, model)
    band = (grid > BAND[0]) & (grid < BAND[1])
    new *= before[band].mean() / new[band].mean()
    for beyond, edge in (
        (grid <= wave[0], inside & (grid < wave[0] + EDGE)),
        (grid >= wave[-1], inside & (grid > wave[-1] - EDGE)),
    ):
        new[beyond] = before[beyond] * (new[edge].mean() / before[edge].mean())
    return torch.as_tensor(new, dtype=shipped.dtype)
