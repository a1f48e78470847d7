"""The truth table of a mock survey: what is true of the galaxies, all components together and each by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galfit_ml.parameters import GALAXY
from galfit_ml.simulate.galaxies import Galaxies
from galfit_ml.simulate.galaxy import GalaxyModel, reported_parameters
from galfit_ml.simulate.history import StarFormation
from galfit_ml.simulate.line_fluxes import line_fluxes
from galfit_ml.simulate.surveys.indices import StellarIndices
from galfit_ml.simulate.surveys.sample import Part, Sample, ab_magnitude

Columns = dict[str, NDArray[np.float64]]
Tensors = dict[str, Tensor]


class GalaxyTruth:
    """What is true of galaxies before they are observed.

    Args:
        model: galaxy model.
        band: name of the magnitude band.
    """

    def __init__(self, model: GalaxyModel, band: str) -> None:
        self.model, self.band = model, band
        self._indices = StellarIndices(model.grid)

    def columns(self, sample: Sample) -> Columns:
        """Column -> [n] float64 for every galaxy of the sample."""
        magnitude = ab_magnitude(sample.band_flux)
        total = {
            **self._reported(sample.parts),
            f"m_{self.band}": magnitude,
            f"m_{self.band}_total": magnitude + 2.5 * torch.log10(sample.aperture),
            "aperture_factor": sample.aperture,
            **self._morphology(sample.parts),
        }
        total["log_ssfr"] = total["log_sfr"] - total["log_stellar_mass"]
        total |= self._indices(sample.parts) | self._fluxes(sample.parts)
        own = {name: value for part in sample.parts for name, value in _own_columns(part).items() if name not in total}
        return {name: value.double().cpu().numpy() for name, value in (total | own).items()}

    def _reported(self, parts: Sequence[Part]) -> Tensors:
        """The parameters of `GALAXY`, of all components together."""
        reported = [reported_parameters(part.galaxies, part.made) for part in parts]
        if len(parts) == 1:
            return {name: reported[0][name] for name in GALAXY.names}
        return _together(parts, reported)

    def _morphology(self, parts: Sequence[Part]) -> Tensors:
        """Share of the first component in light and mass; NaN where there is no second."""
        light = torch.stack([part.band_flux for part in parts])
        mass = torch.stack([10 ** part.made.log_stellar_mass.double() for part in parts])
        alone = float("nan") if len(parts) == 1 else 1.0
        return {
            "bulge_to_total_light": alone * light[0] / light.sum(0),
            "bulge_to_total_mass": alone * mass[0] / mass.sum(0),
        }

    def _fluxes(self, parts: Sequence[Part]) -> Tensors:
        columns = [line_fluxes(self.model, part.galaxies) for part in parts]
        return {f"flux_{name}": torch.stack([c[name].double() for c in columns]).sum(0) for name in columns[0]}


def _together(parts: Sequence[Part], reported: Sequence[Tensors]) -> Tensors:
    """The parameters of a galaxy from those of its components: `TRUTH_COLUMNS` says with which weights."""
    stacked = {name: torch.stack([one[name].double() for one in reported]) for name in GALAXY.names}
    formed = _shares(torch.stack([10 ** part.galaxies.log_formed_mass.double() for part in parts]))
    young = _shares(10 ** stacked["log_sfr"])
    light = _shares(torch.stack([part.band_flux.double() for part in parts]))
    return {
        "redshift": stacked["redshift"][0],
        "log_stellar_mass": torch.log10((10 ** stacked["log_stellar_mass"]).sum(0)),
        "log_sfr": torch.log10((10 ** stacked["log_sfr"]).sum(0)),
        "log_metallicity": torch.log10((formed * 10 ** stacked["log_metallicity"]).sum(0)),
        "gas_metallicity": (young * stacked["gas_metallicity"]).sum(0),
        "dust_av": (light * stacked["dust_av"]).sum(0),
        "velocity_dispersion": (light * stacked["velocity_dispersion"] ** 2).sum(0).sqrt(),
        "log_age": torch.log10((formed * 10 ** stacked["log_age"]).sum(0)),
        "log_ionisation": (young * stacked["log_ionisation"]).sum(0),
    }


def _shares(weights: Tensor) -> Tensor:
    return weights / weights.sum(0)


def _own_columns(part: Part) -> Tensors:
    """Model parameters of a component, its stellar mass and SFR."""
    plain = {f.name: getattr(part.galaxies, f.name) for f in fields(Galaxies) if f.name != "history"}
    history = {f.name: getattr(part.galaxies.history, f.name) for f in fields(StarFormation)}
    made = {name: getattr(part.made, name) for name in ("log_stellar_mass", "log_sfr", "log_age")}
    own = plain | history | made
    if part.prefix:
        own = {name: value for name, value in own.items() if name != "redshift"}
    return {f"{part.prefix}{name}": value for name, value in own.items()}


def blank_others(columns: Columns, other: NDArray[np.bool_], keep: Sequence[str]) -> Columns:
    """The columns with NaN where there is no galaxy, but for those in `keep`."""
    return {name: v if name in keep else np.where(other, np.nan, v) for name, v in columns.items()}
