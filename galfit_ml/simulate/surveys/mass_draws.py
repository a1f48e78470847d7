"""Redshifts, masses and classes drawn from the mass functions within limits that depend on redshift and class."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from galfit_ml.simulate.cosmology import Cosmology
from galfit_ml.simulate.surveys.mass_function import QUIESCENT, STAR_FORMING, comoving_volume

Floats = NDArray[np.float64]
Selectable = Callable[[Floats, Floats, bool], NDArray[np.bool_]]
"""Whether to draw star-forming (False) or quiescent (True) galaxies of given redshift and log10 mass [...]."""

LOG_MASS_RANGE = (8.0, 12.3)
REDSHIFT_STEP, MASS_STEP = 0.02, 0.02


class MassDraws:
    """Draws of (redshift, log10 mass, quiescent) with the density phi(M, z) dV/dz.

    Args:
        redshift: range.
        selectable: which galaxies to draw at all.
        cosmology: gives the volume.
    """

    def __init__(self, redshift: tuple[float, float], selectable: Selectable, cosmology: Cosmology) -> None:
        low, high = redshift
        self._z_edges = np.linspace(low, high, max(2, round((high - low) / REDSHIFT_STEP) + 1))
        self._m_edges = np.arange(LOG_MASS_RANGE[0], LOG_MASS_RANGE[1] + 0.5 * MASS_STEP, MASS_STEP)
        z, mass = (0.5 * (edges[1:] + edges[:-1]) for edges in (self._z_edges, self._m_edges))
        volume = np.maximum(np.diff(comoving_volume(self._z_edges, cosmology)), 1e-30)
        cells = []
        for function, quiescent in ((STAR_FORMING, False), (QUIESCENT, True)):
            inside = selectable(z[:, None], mass, quiescent)
            cells.append(np.where(inside, function.density(mass, z[:, None]) * volume[:, None] * MASS_STEP, 0.0))
        self._shape = (2, len(z), len(mass))
        self._cumulative = np.cumsum(np.stack(cells).ravel())

    @property
    def on_the_sky(self) -> float:
        """Galaxies on the whole sky among which is drawn."""
        return float(self._cumulative[-1])

    def __call__(self, n: int, rng: np.random.Generator) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """n redshifts, log10 masses (M_sun) and whether each galaxy is quiescent."""
        u = rng.random(n) * self._cumulative[-1]
        place = np.searchsorted(self._cumulative, u, side="right").clip(max=len(self._cumulative) - 1)
        kind, i, j = np.unravel_index(place, self._shape)
        z = self._z_edges[i] + rng.random(n) * (self._z_edges[i + 1] - self._z_edges[i])
        mass = self._m_edges[j] + rng.random(n) * (self._m_edges[j + 1] - self._m_edges[j])
        return z, mass, kind == 1
