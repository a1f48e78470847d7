"""True fluxes of the lines that diagnostic diagrams are made of."""

from __future__ import annotations

import torch
from torch import Tensor

from galfit_ml.simulate.dust import milky_way
from galfit_ml.simulate.galaxies import Galaxies
from galfit_ml.simulate.galaxy import GalaxyModel

LINES: dict[str, tuple[float, ...]] = {
    "Halpha": (6564.61,),
    "Hbeta": (4862.68,),
    "NII6585": (6585.27,),
    "OIII5008": (5008.24,),
    "OII3728": (3727.09, 3729.87),
    "SII6725": (6718.29, 6732.68),
    "OI6302": (6302.04,),
}
"""Name of each flux and the vacuum wavelengths, A, of the lines it sums."""


def line_fluxes(model: GalaxyModel, galaxies: Galaxies, unit: float = 1e-17) -> dict[str, Tensor]:
    """Observed fluxes of `LINES`, name -> [n], in `unit` erg s^-1 cm^-2.

    Star-forming gas, AGN and LIER together, behind the galaxy's dust and the Milky Way's residual, as `model.observe`
    draws them. Stellar absorption under the lines is no part of it.

    Args:
        model: galaxy model.
        galaxies: n galaxies whose `log_formed_mass` is known: where the magnitude sets it, take `ModelSpectra`'s.
        unit: flux unit.

    Raises:
        ValueError: a formed mass is NaN.
    """
    if bool(galaxies.log_formed_mass.isnan().any()):
        raise ValueError(
            "Line fluxes need the mass of every galaxy, but some log_formed_mass are NaN: a magnitude sets them. "
            "Observe first, then dataclasses.replace(galaxies, log_formed_mass=made.log_formed_mass)."
        )
    one_z = 1 + galaxies.redshift
    scale = model.to_flux(galaxies.redshift, unit) * one_z.float() * 10**galaxies.log_formed_mass
    flux = model.line_luminosities(galaxies) * scale[:, None]
    reddening = milky_way(model.lines.wavelength * one_z[:, None]).float()
    flux = flux * 10 ** (-0.4 * galaxies.ebv[:, None] * reddening)
    return {name: sum_of(flux, model.lines.wavelength, lines) for name, lines in LINES.items()}


def sum_of(flux: Tensor, wavelength: Tensor, lines: tuple[float, ...]) -> Tensor:
    """Sum over `lines` (A) of `flux` [n, n_line] at `wavelength` [n_line] (A), [n]."""
    return torch.stack([flux[:, int((wavelength - line).abs().argmin())] for line in lines]).sum(0)
