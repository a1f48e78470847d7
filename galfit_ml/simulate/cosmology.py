"""Distances and ages of the Universe from a table, so that simulating galaxies needs no astropy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from galfit_ml.errors import FileFormatError, PriorError

if TYPE_CHECKING:
    from astropy.cosmology import FLRW

CM_PER_MPC = 3.0856775814913673e24
MAX_REDSHIFT = 8.0
_N_NODES = 400


def table_redshifts() -> np.ndarray[Any, np.dtype[np.float64]]:
    """Redshifts [400] of a table: 0 to 8, uniform in ln(1 + z)."""
    nodes = np.expm1(np.linspace(0.0, np.log1p(MAX_REDSHIFT), _N_NODES))
    nodes[-1] = MAX_REDSHIFT
    return nodes


@dataclass(frozen=True, eq=False)
class Cosmology:
    """Luminosity distance and age of the Universe against redshift, interpolated with cubics in ln(1 + z).

    The error of the interpolation is below 1e-5 for redshifts of 1e-4 to 8; distances are differentiable in redshift.

    Args:
        redshift: [n] float64, from 0, uniform in ln(1 + z).
        luminosity_distance: [n] float64, Mpc.
        age: [n] float64, of the Universe, yr.
        name: what to call it in reports.
    """

    redshift: Tensor
    luminosity_distance: Tensor
    age: Tensor
    name: str = "custom"

    def __post_init__(self) -> None:
        step = torch.log1p(self.redshift).diff()
        uniform = len(step) > 2 and bool((step > 0).all()) and bool(((step / step.mean() - 1).abs() < 1e-6).all())
        if not uniform or float(self.redshift[0]) != 0.0:
            raise ValueError("Redshifts of a cosmology table start at 0 and are uniform in ln(1 + z).")
        if self.luminosity_distance.shape != self.redshift.shape or self.age.shape != self.redshift.shape:
            raise ValueError("A cosmology table needs one luminosity distance and one age per redshift.")
        if not (bool((self.luminosity_distance.diff() > 0).all()) and bool((self.age > 0).all())):
            raise ValueError("Luminosity distances must increase with redshift and ages must be positive.")

    @classmethod
    def default(cls) -> Cosmology:
        """Planck18 of astropy (Planck Collaboration 2020, A&A 641, A6), from the table in the package."""
        return _default()

    @classmethod
    def from_astropy(cls, cosmology: FLRW) -> Cosmology:
        """Table of any astropy cosmology, such as `astropy.cosmology.FlatLambdaCDM(70, 0.3)`."""
        redshift = table_redshifts()
        distance = cosmology.luminosity_distance(redshift).to_value("Mpc")
        age = cosmology.age(redshift).to_value("yr")
        columns = [torch.from_numpy(np.array(values)) for values in (redshift, distance, age)]
        return cls(columns[0], columns[1], columns[2], cosmology.name or "custom")

    def to(self, device: str | torch.device) -> Cosmology:
        """Return the same table on `device`."""
        moved = [values.to(device) for values in (self.redshift, self.luminosity_distance, self.age)]
        return Cosmology(moved[0], moved[1], moved[2], self.name)

    def luminosity_distance_cm(self, redshift: Tensor) -> Tensor:
        """Luminosity distance, cm, at `redshift` [any shape] in 0..8; 0 at redshift 0.

        Raises:
            PriorError: a redshift is negative or beyond the table.
        """
        # d_L / z is smooth and finite at 0, where d_L itself has a large relative curvature.
        first = self.luminosity_distance[1:] / self.redshift[1:]
        at_zero = 4 * first[0] - 6 * first[1] + 4 * first[2] - first[3]
        ratio = torch.cat([at_zero[None], first])
        return redshift * (self._interpolate(ratio, redshift) * CM_PER_MPC).to(redshift.dtype)

    def age_yr(self, redshift: Tensor) -> Tensor:
        """Age of the Universe, yr, at `redshift` [any shape] in 0..8.

        Raises:
            PriorError: a redshift is negative or beyond the table.
        """
        return self._interpolate(self.age.log(), redshift).exp().to(redshift.dtype)

    def _interpolate(self, values: Tensor, redshift: Tensor) -> Tensor:
        """Cubic through the four nearest nodes of `values` [n], in double precision."""
        self._check_range(redshift)
        n_nodes = len(values)
        position = torch.log1p(redshift.double()) * ((n_nodes - 1) / torch.log1p(self.redshift[-1]).item())
        start = position.detach().nan_to_num(0.0).floor().long().clamp(1, n_nodes - 3) - 1
        near = values.to(redshift.device)[start[..., None] + torch.arange(4, device=redshift.device)]
        return (near * _lagrange_weights(position - start)).sum(-1)

    def _check_range(self, redshift: Tensor) -> None:
        if bool(((redshift < 0) | (redshift > self.redshift[-1].item())).any()):
            raise PriorError(
                f"Redshifts from {float(redshift.min()):.4g} to {float(redshift.max()):.4g} were asked for, but the "
                f"cosmology table covers 0 to {self.redshift[-1].item():g}: narrow the redshift prior."
            )


def _lagrange_weights(position: Tensor) -> Tensor:
    """Weights [..., 4] of values at 0, 1, 2, 3 in the cubic through them, at `position` [...]."""
    a, b, c, d = (position - node for node in range(4))
    return torch.stack([-b * c * d / 6, a * c * d / 2, -a * b * d / 2, a * b * c / 6], dim=-1)


@lru_cache(maxsize=1)
def _default() -> Cosmology:
    path = resources.files("galfit_ml") / "data" / "cosmology_planck18.npz"
    if not path.is_file():
        raise FileFormatError(
            f"There is no cosmology table at {path}: the installation is incomplete. "
            "Reinstall it: pip install --force-reinstall galfit-ml"
        )
    with path.open("rb") as file, np.load(file, allow_pickle=False) as table:
        redshift, distance, age = (torch.from_numpy(table[name]) for name in ("redshift", "luminosity_distance", "age"))
    return Cosmology(redshift, distance, age, name="Planck18")
