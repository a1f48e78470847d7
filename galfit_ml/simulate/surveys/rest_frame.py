"""Histories and rest-frame starlight of model galaxies, without redshift, gas and instrument."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from galfit_ml.simulate.attenuation import DiffuseDust
from galfit_ml.simulate.galaxies import Galaxies
from galfit_ml.simulate.galaxy import interpolation_weights
from galfit_ml.simulate.history import FormedMass, formed_mass
from galfit_ml.simulate.populations import StellarPopulations


def history_of(galaxies: Galaxies, grid: StellarPopulations) -> tuple[FormedMass, Tensor]:
    """Formed mass in age bins, and the share of each metallicity of the grid, [n, n_Z]."""
    weights = interpolation_weights(grid.metallicity.log10(), galaxies.log_metallicity)
    surviving, living = weights @ (grid.living_fraction + grid.remnant_fraction), weights @ grid.living_fraction
    return formed_mass(galaxies.history, grid.age_edges, surviving, living), weights


def with_stellar_mass(galaxies: Galaxies, log_mass: np.ndarray | Tensor, grid: StellarPopulations) -> Galaxies:
    """The same galaxies, with the formed mass of which `log_mass` [n] survives as stars and remnants (log10 M_sun)."""
    mass, _ = history_of(galaxies, grid)
    wanted = torch.as_tensor(log_mass, dtype=torch.float32, device=mass.surviving.device)
    return replace(galaxies, log_formed_mass=wanted - torch.log10(mass.surviving))


class RestStarlight:
    """Starlight behind dust at rest, at the library's resolution, between two wavelengths.

    Args:
        grid: stellar populations.
        low, high: vacuum A.
    """

    def __init__(self, grid: StellarPopulations, low: float, high: float) -> None:
        first, last = (int(torch.searchsorted(grid.wavelength, edge)) for edge in (low, high))
        self.grid = grid
        self.wavelength = grid.wavelength[first:last]
        self._stars = grid.stars[:, :, first:last].flatten(0, 1)
        self._dust = DiffuseDust(self.wavelength)

    def __call__(self, galaxies: Galaxies) -> Tensor:
        """Luminosity density [n, n_wave], L_sun per A and M_sun formed."""
        mass, weights = history_of(galaxies, self.grid)
        depth = self._dust.depth(galaxies)
        old = self._sum(weights, mass.total - mass.cloud)
        young = self._sum(weights, mass.cloud) * torch.exp(depth * (galaxies.dust_eta - 1)[:, None])
        return (old + young) * torch.exp(depth)

    def _sum(self, weights: Tensor, mass: Tensor) -> Tensor:
        return (weights[:, :, None] * mass[:, None, :]).flatten(1) @ self._stars
