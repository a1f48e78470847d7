"""Rest-frame templates of the redshift scan, made from the same stellar populations as the galaxy model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galfit_ml.simulate.dust import calzetti
from galfit_ml.simulate.history import constant
from galfit_ml.simulate.lines import add_lines
from galfit_ml.simulate.populations import StellarPopulations
from galfit_ml.simulate.smoothing import C_KMS, evaluate_spline, spline_coefficients

LINE_EW = 50.0
"""Equivalent width, angstrom, that a line template of amplitude 1 has against a unit continuum."""


@dataclass(frozen=True)
class StellarTemplate:
    """Constant star formation between two ages (yr) at a metallicity (Z_sun) behind dust (A_V)."""

    young: float
    old: float
    metallicity: float
    dust_av: float


STELLAR = (
    StellarTemplate(0.0, 1e7, 0.4, 0.3),
    StellarTemplate(0.0, 1e8, 1.0, 1.5),
    StellarTemplate(1e7, 1e8, 0.4, 0.3),
    StellarTemplate(1e8, 5e8, 1.0, 0.3),
    StellarTemplate(5e8, 1.5e9, 1.0, 0.3),
    StellarTemplate(1.5e9, 4e9, 1.0, 0.3),
    StellarTemplate(4e9, 1.1e10, 0.2, 0.0),
    StellarTemplate(4e9, 1.1e10, 1.0, 0.0),
    StellarTemplate(4e9, 1.1e10, 2.5, 0.0),
)

LINES = (
    ("H 1",),
    ("O 2", "Ne 3"),
    ("O 3",),
    ("N 2", "S 2", "O 1", "S 3", "Ar 3"),
)
"""Groups of ions whose lines share one amplitude; ratios within a group are those of the grid at log U = -3."""


@dataclass(frozen=True)
class TemplateSet:
    """Templates on a grid uniform in ln(wavelength).

    Args:
        ln_wavelength: [n_wave] rest-frame vacuum.
        flux: [k, n_wave]; stellar ones have unit mean where defined, line ones LINE_EW angstrom per unit.
        min_age: [k] age of the youngest stars a template needs, yr: it exists only where the Universe is older.
    """

    ln_wavelength: NDArray[np.float64]
    flux: Tensor
    min_age: NDArray[np.float64]


def make_templates(
    grid: StellarPopulations, ln_wavelength: NDArray[np.float64], lsf_kms: float, dispersion: float = 130.0
) -> TemplateSet:
    """Templates at `ln_wavelength` [n_wave] (uniform), smoothed to `lsf_kms` (sigma) and a typical dispersion."""
    stars = torch.stack([_stellar(grid, t) for t in STELLAR])
    ages = [t.young for t in STELLAR]
    library = float(np.median(grid.lsf_sigma.numpy()))
    extra = max(lsf_kms**2 - library**2, 0.0)
    splines = spline_coefficients(stars, torch.full((len(stars),), dispersion), [extra], grid.dln)
    position = (torch.as_tensor(ln_wavelength) - grid.ln_wavelength0) / grid.dln
    flux = evaluate_spline(splines, position.expand(len(stars), -1).contiguous())
    outside = (position < 0) | (position > len(grid.wavelength) - 1)
    flux[:, outside] = 0.0
    flux = flux / flux[:, ~outside].mean(dim=1, keepdim=True)
    lines = _line_templates(grid, ln_wavelength, float(np.hypot(lsf_kms, dispersion)))
    return TemplateSet(ln_wavelength, torch.cat([flux, lines]).double(), np.array(ages + [0.0] * len(lines)))


def _stellar(grid: StellarPopulations, template: StellarTemplate) -> Tensor:
    """L_lambda [n_wave] of one stellar template, with nebular continuum where stars ionise."""
    one = torch.ones(1)
    weights = constant(grid.age_edges, one * template.young, one * template.old)[0]
    z = int((grid.metallicity - template.metallicity).abs().argmin())
    light = weights @ grid.stars[z]
    light = torch.where(grid.wavelength < 911.75, torch.zeros_like(light), light)
    if template.young == 0:
        light = light + _nebular(grid, weights, template.metallicity)
    return light * 10 ** (-0.4 * template.dust_av * calzetti(grid.wavelength))


def _nebular(grid: StellarPopulations, weights: Tensor, metallicity: float) -> Tensor:
    z = int((grid.gas_metallicity - metallicity).abs().argmin())
    u = int((grid.log_u + 3.0).abs().argmin())
    n_young = grid.nebular_continuum.shape[2]
    coarse = weights[:n_young] @ grid.nebular_continuum[z, u]
    fine = np.interp(grid.wavelength.numpy(), grid.nebular_wavelength.numpy(), coarse.numpy())
    return torch.as_tensor(fine, dtype=torch.float32)


def _line_templates(grid: StellarPopulations, ln_wavelength: NDArray[np.float64], sigma_kms: float) -> Tensor:
    """One template per group of `LINES`, behind A_V = 1: [n_group, n_wave]."""
    step = float(ln_wavelength[1] - ln_wavelength[0])
    edges = torch.as_tensor(np.exp(np.append(ln_wavelength - step / 2, ln_wavelength[-1] + step / 2)))
    z = int((grid.gas_metallicity - 1.0).abs().argmin())
    u = int((grid.log_u + 3.0).abs().argmin())
    strength = grid.line_luminosity[z, u].mean(dim=0) * 10 ** (-0.4 * calzetti(grid.line_wavelength))
    out = torch.zeros(len(LINES), len(ln_wavelength))
    centre = grid.line_wavelength.double()[None]
    for row, ions in enumerate(LINES):
        member = torch.tensor([any(name.startswith(ion) for ion in ions) for name in grid.line_names])
        member &= (grid.line_wavelength > 1250) & ~((grid.line_wavelength > 1900) & (grid.line_wavelength < 2500))
        flux = torch.where(member, strength, torch.zeros_like(strength))
        optical = flux[(grid.line_wavelength > 3000) & (grid.line_wavelength < 7000)].sum()
        flux = flux * (LINE_EW / optical.clamp(min=1e-30))
        add_lines(out[row : row + 1], edges, centre, centre.float() * sigma_kms / C_KMS, flux[None])
    return out
