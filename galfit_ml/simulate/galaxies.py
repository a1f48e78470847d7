"""`Galaxies`: the physical parameters of n model galaxies, as named tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from galfit_ml.simulate.history import StarFormation


@dataclass(frozen=True)
class Galaxies:
    """Physical parameters of n galaxies; every field is a tensor [n].

    Args:
        redshift: of the stars.
        magnitude: AB, noiseless, in the aperture, in the instrument's band; ignored where `log_formed_mass` is finite.
        log_formed_mass: log10 of the mass ever formed, M_sun; NaN to let the magnitude set it.
        history: star-formation history.
        log_metallicity: stellar, log10(Z / Z_sun).
        log_gas_metallicity: gas, log10(Z / Z_sun).
        log_ionisation: log10 of the ionisation parameter U.
        dust_av: V-band attenuation of stars older than 10 Myr, mag.
        dust_eta: attenuation of birth clouds over that of the rest.
        dust_slope: exponent by which the Calzetti curve is tilted.
        velocity_dispersion: stars, km/s.
        gas_dispersion: gas, km/s.
        gas_velocity: gas relative to stars, km/s.
        zero_point: error of the wavelength scale, km/s.
        ebv: residual Milky Way reddening E(B-V), mag.
        lya_escape: escape fraction of Lyman alpha.
        log_agn: log10 of the rest equivalent width of [O III] 5008 from the narrow-line region of an AGN, A, over the
            starlight that comes out; -inf for none.
        agn_hardness: place along the Seyfert sequence, and of a LIER in its locus, in standard deviations
            (`galfit_ml.simulate.line_ratios`).
        log_lier: log10 of the rest equivalent width of H-alpha from gas that old stars ionise, A, over the
            starlight of stars older than 100 Myr alone; -inf for none.
        log_density: log10 of the electron density of the gas, cm^-3; NaN for the doublet ratios of the nebular grid.
        log_ism_depth: log10 of the covered share of the rest-ultraviolet light at the strongest interstellar lines;
            -inf for none.
        ism_velocity: of those lines relative to the stars, km/s; negative for an outflow.
        log_sodium: log10 of the depth of interstellar Na D at its centre; -inf for none.
    """

    redshift: Tensor
    magnitude: Tensor
    log_formed_mass: Tensor
    history: StarFormation
    log_metallicity: Tensor
    log_gas_metallicity: Tensor
    log_ionisation: Tensor
    dust_av: Tensor
    dust_eta: Tensor
    dust_slope: Tensor
    velocity_dispersion: Tensor
    gas_dispersion: Tensor
    gas_velocity: Tensor
    zero_point: Tensor
    ebv: Tensor
    lya_escape: Tensor
    log_agn: Tensor
    agn_hardness: Tensor
    log_lier: Tensor
    log_density: Tensor
    log_ism_depth: Tensor
    ism_velocity: Tensor
    log_sodium: Tensor

    def __len__(self) -> int:
        return len(self.redshift)

    def take(self, rows: Tensor | slice) -> Galaxies:
        """The galaxies `rows`."""
        history = StarFormation(**{f.name: getattr(self.history, f.name)[rows] for f in fields(StarFormation)})
        tensors = {f.name: getattr(self, f.name)[rows] for f in fields(Galaxies) if f.name != "history"}
        return replace(self, history=history, **tensors)


def simple_galaxies(n: int, redshift: float | Tensor, **values: float | Tensor) -> Galaxies:
    """n galaxies at `redshift`, solar, dust-free and passive unless `values` says otherwise.

    Of lines they have only what young stars make: no AGN, no LIER, no interstellar absorption.

    `values` may name any field of `Galaxies` or `StarFormation`, as a number or a tensor [n].
    """
    defaults = {
        "magnitude": 20.0,
        "log_formed_mass": math.nan,
        "log_metallicity": 0.0,
        "log_gas_metallicity": 0.0,
        "log_ionisation": -3.0,
        "dust_av": 0.0,
        "dust_eta": 1.0,
        "dust_slope": 0.0,
        "velocity_dispersion": 150.0,
        "gas_dispersion": 100.0,
        "gas_velocity": 0.0,
        "zero_point": 0.0,
        "ebv": 0.0,
        "lya_escape": 0.1,
        "log_agn": -math.inf,
        "agn_hardness": 0.0,
        "log_lier": -math.inf,
        "log_density": math.nan,
        "log_ism_depth": -math.inf,
        "ism_velocity": 0.0,
        "log_sodium": -math.inf,
        "log_ssfr": -13.0,
        "log_burstiness": 0.0,
        "burst_age": 5e8,
        "log_burst_fraction": -6.0,
        "formation_age": 5e9,
        "tau": 1e9,
    }
    unknown = set(values) - set(defaults)
    if unknown:
        raise ValueError(f"Unknown galaxy parameters {sorted(unknown)}; known: {sorted(defaults)}.")
    merged = {**defaults, "redshift": redshift, **values}
    tensors = {k: torch.as_tensor(v, dtype=torch.float32).expand(n).clone() for k, v in merged.items()}
    tensors["redshift"] = torch.as_tensor(redshift, dtype=torch.float64).expand(n).clone()
    history = StarFormation(**{f.name: tensors.pop(f.name) for f in fields(StarFormation)})
    return Galaxies(history=history, **tensors)
