"""Galaxy parameters as the branches of the network predict them, and back.

Mass and star-formation rate are predicted over what flux and distance alone say, so that no branch has to learn what a
luminosity distance is; parameters of limited range are stretched to the whole line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from galfit_ml.parameters import GALAXY
from galfit_ml.simulate.cosmology import Cosmology

NAMES = tuple(p.name for p in GALAXY if p.name != "redshift")
"""Properties in the order in which they are predicted, each with the ones before it known."""

LOG_DILUTION_AT_ONE = 57.2
"""About log10 of d_L^2 (1 + z), cm^2, at z = 1."""

FLOOR = 1e-3
"""Share of a range within which values at its ends are held, so that they stay finite when stretched."""

LOGARITHMIC = {"gas_metallicity", "velocity_dispersion"}


@dataclass(frozen=True)
class Setting:
    """What is known of n spectra before their properties: [n] redshift and [n] log10 of the scale of their flux."""

    redshift: Tensor
    log_scale: Tensor

    def offset(self, cosmology: Cosmology) -> Tensor:
        """[n] log10 luminosity over mass unit: what flux and distance say of mass and star-formation rate."""
        distance = cosmology.luminosity_distance_cm(self.redshift.double().clamp(min=1e-4))
        dilution = 2 * torch.log10(distance) + torch.log10(1 + self.redshift.double())
        return (dilution - LOG_DILUTION_AT_ONE + self.log_scale.double()).float()


def _ends(name: str) -> tuple[float, float]:
    parameter = GALAXY[name]
    ends = parameter.low, parameter.high
    return (math.log10(ends[0]), math.log10(ends[1])) if name in LOGARITHMIC else ends


def encode(values: Mapping[str, Tensor], setting: Setting, cosmology: Cosmology) -> Tensor:
    """Properties [n] each to what the branches predict, [n, n_property]."""
    offset = setting.offset(cosmology)
    columns = []
    for name in NAMES:
        x = values[name].float()
        if GALAXY[name].needs_flux_scale:
            columns.append(x - offset - 10.0 if name == "log_stellar_mass" else x - offset)
            continue
        low, high = _ends(name)
        share = ((torch.log10(x) if name in LOGARITHMIC else x) - low) / (high - low)
        columns.append(torch.special.ndtri(share.clamp(FLOOR, 1 - FLOOR)))
    return torch.stack(columns, dim=-1)


def decode(encoded: Tensor, setting: Setting, cosmology: Cosmology) -> dict[str, Tensor]:
    """The inverse of `encode`: name -> [...] values within the range of each parameter.

    Args:
        encoded: [..., n_property].
        setting: of [...] redshifts.
        cosmology: the one of the simulations.
    """
    offset = setting.offset(cosmology)
    out = {}
    for i, name in enumerate(NAMES):
        x, parameter = encoded[..., i], GALAXY[name]
        if parameter.needs_flux_scale:
            value = x + offset + 10.0 if name == "log_stellar_mass" else x + offset
        else:
            low, high = _ends(name)
            value = low + (high - low) * torch.special.ndtr(x)
            value = 10**value if name in LOGARITHMIC else value
        out[name] = value.clamp(parameter.low, parameter.high)
    return out
