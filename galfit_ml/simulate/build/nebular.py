"""Gas around young stars: which cells of the source can be trusted, and what stands in for the others."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import FileFormatError
from galfit_ml.grid import air_to_vacuum
from galfit_ml.simulate.populations import SOLAR_LUMINOSITY

Floats = NDArray[np.float64]

LYMAN_LIMIT = 911.75
CASE_B_HBETA = 4.76e-13
"""erg per ionising photon in H-beta: case B at 1e4 K and 100 / cm3 (Osterbrock & Ferland 2006, table 4.2)."""
TOLERANCE = 0.10
HBETA = "H 1 4861.32A"

_PLANCK_TIMES_LIGHT = 6.62607015e-27 * 2.99792458e18  # erg A

# CLOUDY rounds the names of blends. Means of the components (air wavelengths of the NIST Atomic Spectra Database),
# weighted by transition probability and statistical weight: [O II] 7318.92 and 7319.99, 7329.67 and 7330.73,
# 2470.22 and 2470.34.
_BLEND_WAVELENGTH = {"Blnd 7323.00A": 7319.8, "Blnd 7332.00A": 7330.2, "Blnd 2471.00A": 2470.3}


@dataclass(frozen=True, eq=False)
class NebularGrid:
    """Lines and continuum on metallicity × log U × age, and which cells had to be replaced.

    Args:
        lines: [n_Z, n_u, n_young, n_line] L_sun / M_sun formed.
        continuum: [n_Z, n_u, n_young, n_neb] L_sun / A / M_sun formed.
        repaired: [n_Z, n_u, n_young] True where another cell's ratios to Q(H) were used.
    """

    lines: Floats
    continuum: Floats
    repaired: NDArray[np.bool_]


def ionising_rate(wavelength: Floats, spectra: Floats) -> Floats:
    """Photons / s / M_sun [...] below the Lyman limit of spectra [..., n], L_sun / A / M_sun, at points [n], A."""
    blue = wavelength <= LYMAN_LIMIT
    points = np.append(wavelength[blue], LYMAN_LIMIT)
    values = np.concatenate([spectra[..., blue], spectra[..., blue][..., -1:]], axis=-1)
    rate: Floats = np.trapezoid(values * points, points, axis=-1) * SOLAR_LUMINOSITY / _PLANCK_TIMES_LIGHT
    return rate


def case_b_ratio(hbeta: Floats, rate: Floats) -> Floats:
    """H-beta over what case B makes of Q(H): hbeta [...] L_sun / M_sun, rate [...] photons / s / M_sun."""
    return hbeta * SOLAR_LUMINOSITY / (rate * CASE_B_HBETA)


def vacuum_line_wavelengths(names: tuple[str, ...], wavelength: Floats) -> Floats:
    """Vacuum wavelengths [n_line], A, of lines named and placed as CLOUDY does (vacuum below 2000 A, air above)."""
    corrected = [_BLEND_WAVELENGTH.get(name, value) for name, value in zip(names, wavelength, strict=True)]
    return air_to_vacuum(np.array(corrected))


def repair(grid: NebularGrid, rate: Floats, hbeta: int) -> NebularGrid:
    """Replace every cell whose H-beta is more than 10 % from case B by a good cell's ratios times its own Q(H).

    The donor is the nearest log U (the lower of two) that is good at the same metallicity and age; if there is none,
    the next lower metallicity at the same log U and age, which is repaired first.

    Args:
        grid: the source; rate: [n_Z, n_young] photons / s / M_sun; hbeta: index of that line.

    Raises:
        FileFormatError: a cell is bad and no cell can stand in for it.
    """
    good = np.abs(case_b_ratio(grid.lines[..., hbeta], rate[:, None]) - 1) <= TOLERANCE
    fixed = replace(grid, lines=grid.lines.copy(), continuum=grid.continuum.copy(), repaired=~good)
    for z, u, age in np.argwhere(~good):
        donor_z, donor_u = _donor(good, int(z), int(u), int(age))
        scale = rate[z, age] / rate[donor_z, age]
        fixed.lines[z, u, age] = fixed.lines[donor_z, donor_u, age] * scale
        fixed.continuum[z, u, age] = fixed.continuum[donor_z, donor_u, age] * scale
    return fixed


def _donor(good: NDArray[np.bool_], z: int, u: int, age: int) -> tuple[int, int]:
    candidates = np.flatnonzero(good[z, :, age])
    if len(candidates):
        return z, int(candidates[np.argmin(np.abs(candidates - u))])
    if z == 0:
        raise FileFormatError(
            f"No nebular cell of age bin {age} is within {TOLERANCE:.0%} of case B at the lowest metallicity: the "
            "lines are not in L_sun per M_sun formed, or the spectra are not those the gas was computed with."
        )
    return z - 1, u


def continuum_nodes(wavelength: Floats, continuum: Floats, tolerance: float = 0.002) -> NDArray[np.int64]:
    """Indices of the points between which straight lines keep every continuum [n_cell, n] to that relative error.

    From each node the longest stretch that holds is taken, so edges keep the points on both of their sides.
    """
    nodes = [0]
    while nodes[-1] < len(wavelength) - 1:
        nodes.append(_furthest(wavelength, continuum, nodes[-1], tolerance))
    return np.array(nodes)


def _furthest(wavelength: Floats, continuum: Floats, start: int, tolerance: float) -> int:
    last = len(wavelength) - 1
    good, bad = start + 1, start + 2
    while bad <= last and _straight(wavelength, continuum, start, bad, tolerance):
        good, bad = bad, start + 2 * (bad - start)
    bad = min(bad, last + 1)
    while bad - good > 1:
        middle = (good + bad) // 2
        if _straight(wavelength, continuum, start, middle, tolerance):
            good = middle
        else:
            bad = middle
    return good


def _straight(wavelength: Floats, continuum: Floats, start: int, stop: int, tolerance: float) -> bool:
    between = slice(start, stop + 1)
    share = (wavelength[between] - wavelength[start]) / (wavelength[stop] - wavelength[start])
    line = continuum[:, start, None] * (1 - share) + continuum[:, stop, None] * share
    return bool(np.all(np.abs(line - continuum[:, between]) <= tolerance * continuum[:, between]))
