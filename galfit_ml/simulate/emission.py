"""Strengths of all emission lines of a galaxy: young stars, AGN and old stars, behind dust."""

from __future__ import annotations

import torch
from torch import Tensor

from galfit_ml.simulate.attenuation import DiffuseDust
from galfit_ml.simulate.density import find_doublets, split_doublets
from galfit_ml.simulate.galaxies import Galaxies
from galfit_ml.simulate.history import RECENT_YR, FormedMass
from galfit_ml.simulate.line_ratios import AGN, HALPHA, LIER, OIII, RatioTable, missing_lines
from galfit_ml.simulate.populations import StellarPopulations
from galfit_ml.simulate.smoothing import C_KMS

LYMAN_ALPHA = 1215.67

OIII_CONTINUUM = ((4970.0, 4990.0), (5020.0, 5040.0))
HALPHA_CONTINUUM = ((6510.0, 6540.0), (6590.0, 6620.0))
"""Rest vacuum A: where starlight is averaged for the equivalent widths of [O III] 5008 and H-alpha."""


class EmissionLines:
    """Lines of the nebular grid, and those that only harder light makes.

    Args:
        grid: stellar populations.

    Attributes:
        wavelength: [n_line] vacuum A; the grid's lines come first, in its order.
    """

    def __init__(self, grid: StellarPopulations) -> None:
        extra = missing_lines(grid.line_wavelength.cpu().numpy())
        self.wavelength = torch.cat([grid.line_wavelength, grid.line_wavelength.new_tensor(extra)])
        self._n_extra = len(extra)
        self._is_lya = (self.wavelength - LYMAN_ALPHA).abs() < 1.0
        self._dust = DiffuseDust(self.wavelength)
        self._oiii = int((self.wavelength - OIII).abs().argmin())
        self._agn = RatioTable.of(AGN, OIII, self.wavelength)
        self._lier = RatioTable.of(LIER, HALPHA, self.wavelength)
        self._doublets = find_doublets(self.wavelength)
        self._first_old = int(torch.searchsorted(grid.age_edges, RECENT_YR))
        self._at_oiii = _mean_columns(grid, OIII_CONTINUUM)
        self._at_halpha = _mean_columns(grid, HALPHA_CONTINUUM)[:, self._first_old :]

    def strengths(self, g: Galaxies, nebular: Tensor, mass: FormedMass, z_weights: Tensor) -> Tensor:
        """Luminosities that leave the galaxy, [n, n_line] L_sun per M_sun formed.

        Args:
            g: n galaxies.
            nebular: [n, n_grid_line] what young stars' gas emits, before dust.
            mass: formed mass in age bins.
            z_weights: [n, n_Z] share of each metallicity of the grid.
        """
        depth = self._dust.depth(g)
        young = torch.nn.functional.pad(nebular, (0, self._n_extra))
        other = self._agn_lines(g, mass, z_weights, depth[:, self._oiii])
        other += self._lier_lines(g, mass, z_weights)
        for lines in (young, other):
            split_doublets(lines, g.log_density, self._doublets)
        total = young * torch.exp(depth * g.dust_eta[:, None]) + other * torch.exp(depth)
        return torch.where(self._is_lya, total * g.lya_escape[:, None], total)

    def _agn_lines(self, g: Galaxies, mass: FormedMass, z_weights: Tensor, depth: Tensor) -> Tensor:
        """Lines of the narrow-line region before the diffuse dust, [n, n_line]; `depth` [n] is the dust at [O III].

        The equivalent width is over the starlight that comes out; diffuse dust cancels, birth clouds do not.
        """
        columns = z_weights @ self._at_oiii
        diffuse = ((mass.total - mass.cloud) * columns).sum(1)
        clouds = (mass.cloud * columns).sum(1) * torch.exp(depth * (g.dust_eta - 1))
        return (10**g.log_agn * (diffuse + clouds))[:, None] * self._agn.at(g.agn_hardness)

    def _lier_lines(self, g: Galaxies, mass: FormedMass, z_weights: Tensor) -> Tensor:
        """Lines of gas that stars older than 100 Myr ionise, before the diffuse dust, [n, n_line]."""
        starlight = (mass.total[:, self._first_old :] * (z_weights @ self._at_halpha)).sum(1)
        return (10**g.log_lier * starlight)[:, None] * self._lier.at(g.agn_hardness)

    def centres(self, g: Galaxies) -> Tensor:
        """Observed wavelengths, [n, n_line] A, float64; the zero point of the wavelength scale is in them."""
        stretch = (1 + g.redshift.double()) * (1 + (g.gas_velocity + g.zero_point).double() / C_KMS)
        return self.wavelength.double() * stretch[:, None]


def _mean_columns(grid: StellarPopulations, bands: tuple[tuple[float, float], ...]) -> Tensor:
    """Mean L_lambda of every stellar spectrum over `bands`, [n_Z, n_age]."""
    wave = grid.wavelength
    inside = torch.stack([(wave > low) & (wave < high) for low, high in bands]).any(dim=0)
    return grid.stars[:, :, inside].mean(dim=2)
