"""The one prior: a smooth map from the unit cube to galaxies, shared by simulator, sampler and network.

Nothing is switched on or off and nothing has a plateau: a component that may be absent has a log-uniform share, a
range is a truncated density. Mass is never drawn: it follows from magnitude and shape, and `log_density` rejects
galaxies outside the mass range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from galfit_ml.errors import unknown_name
from galfit_ml.simulate.cosmology import Cosmology
from galfit_ml.simulate.galaxies import Galaxies
from galfit_ml.simulate.history import BURST_HALF_WIDTH, RECENT_YR, StarFormation

COORDINATES = (
    "redshift",
    "magnitude",
    "log_ssfr",
    "log_burstiness",
    "burst_age",
    "log_burst_fraction",
    "formation_age",
    "tau",
    "log_metallicity",
    "log_gas_metallicity",
    "log_ionisation",
    "dust_av",
    "dust_eta",
    "dust_slope",
    "velocity_dispersion",
    "gas_dispersion",
    "gas_velocity",
    "zero_point",
    "ebv",
    "lya_escape",
    "log_agn",
    "agn_hardness",
    "log_lier",
    "log_density",
    "log_ism_depth",
    "ism_velocity",
    "log_sodium",
)
"""Axes of the unit cube, in order."""

MASS_RANGE = (5.0, 12.5)
LOG_GAS_RANGE = (math.log10(0.005), math.log10(2.5))
LOG_U_RANGE = (-4.0, -1.5)
LOG_DENSITY_RANGE = (0.5, 4.0)
LOG_LIER_RANGE = (-1.5, 0.5)
"""Old stars ionise H-alpha up to 3 A (Cid Fernandes et al. 2011, MNRAS 413, 1687); what is stronger is an AGN."""

NORMAL = ("gas_offset", "lier", "density")
"""Pairs of a mean and a sigma, among pairs that are ranges."""

YOUNGEST_FORMATION = 1.2
"""The delayed component starts at least this many times 100 Myr ago."""


@dataclass(frozen=True)
class GalaxyPrior:
    """Density of galaxies on the unit cube.

    Args:
        redshift: range; flat in ln(1 + z). Equal ends fix it.
        magnitude: range; flat.
        log_ssfr, log_burst_fraction, log_metallicity, dust_av, dust_eta, dust_slope, ebv: ranges; flat.
        velocity_dispersion, gas_dispersion: ranges, km/s; flat in the logarithm.
        log_agn: range; flat. lya_escape, ism_depth, sodium: ranges; flat in the logarithm.
        ism_velocity: range, km/s; flat.
        lier: mean and sigma of log_lier, truncated to `LOG_LIER_RANGE`.
        density: mean and sigma of log_density, truncated to `LOG_DENSITY_RANGE`.
        tau: range of tau over the age of the Universe; flat in the logarithm.
        burstiness: sigma, dex. gas_velocity, zero_point: sigma, km/s.
        gas_offset: mean and sigma of log Z_gas - log Z_star, dex. ionisation_scatter: sigma of log U, dex.
        cosmology: gives the age of the Universe.
    """

    redshift: tuple[float, float]
    magnitude: tuple[float, float]
    log_ssfr: tuple[float, float] = (-13.0, -8.0)
    log_burst_fraction: tuple[float, float] = (-4.0, math.log10(0.9))
    tau: tuple[float, float] = (0.02, 2.0)
    log_metallicity: tuple[float, float] = (-2.0, 0.39)
    dust_av: tuple[float, float] = (0.0, 3.0)
    dust_eta: tuple[float, float] = (1.0, 3.0)
    dust_slope: tuple[float, float] = (-0.7, 0.3)
    velocity_dispersion: tuple[float, float] = (40.0, 400.0)
    gas_dispersion: tuple[float, float] = (30.0, 250.0)
    ebv: tuple[float, float] = (0.0, 0.05)
    burstiness: float = 0.3
    gas_offset: tuple[float, float] = (0.25, 0.3)
    ionisation_scatter: float = 0.4
    gas_velocity: float = 20.0
    zero_point: float = 3.0
    lya_escape: tuple[float, float] = (0.003, 1.0)
    log_agn: tuple[float, float] = (-2.0, 2.0)
    lier: tuple[float, float] = (0.0, 0.35)
    density: tuple[float, float] = (2.0, 0.5)
    ism_depth: tuple[float, float] = (0.01, 0.9)
    ism_velocity: tuple[float, float] = (-300.0, 0.0)
    sodium: tuple[float, float] = (0.003, 0.5)
    cosmology: Cosmology | None = None

    def __post_init__(self) -> None:
        for name, value in self.__dict__.items():
            if isinstance(value, tuple) and name not in NORMAL and not value[0] <= value[1]:
                raise ValueError(f"Prior on {name}: the range {value} is empty.")

    @property
    def n_dim(self) -> int:
        """Number of coordinates."""
        return len(COORDINATES)

    def transform(self, cube: Tensor) -> Galaxies:
        """Galaxies at points of the unit cube, [n, n_dim] (computed in float64)."""
        u = {name: cube[:, i].double().clamp(1e-9, 1 - 1e-9) for i, name in enumerate(COORDINATES)}
        redshift = torch.expm1(_flat(u["redshift"], math.log1p(self.redshift[0]), math.log1p(self.redshift[1])))
        metallicity = _flat(u["log_metallicity"], *self.log_metallicity)
        gas = _truncated(u["log_gas_metallicity"], metallicity + self.gas_offset[0], self.gas_offset[1], *LOG_GAS_RANGE)
        ionisation = _truncated(u["log_ionisation"], -3.0 - 0.5 * gas, self.ionisation_scatter, *LOG_U_RANGE)
        values = {
            "redshift": redshift,
            "magnitude": _flat(u["magnitude"], *self.magnitude),
            "log_formed_mass": torch.full_like(redshift, float("nan")),
            "log_metallicity": metallicity,
            "log_gas_metallicity": gas,
            "log_ionisation": ionisation,
            "dust_av": _flat(u["dust_av"], *self.dust_av),
            "dust_eta": _flat(u["dust_eta"], *self.dust_eta),
            "dust_slope": _flat(u["dust_slope"], *self.dust_slope),
            "velocity_dispersion": _log_flat(u["velocity_dispersion"], *self.velocity_dispersion),
            "gas_dispersion": _log_flat(u["gas_dispersion"], *self.gas_dispersion),
            "gas_velocity": self.gas_velocity * torch.special.ndtri(u["gas_velocity"]),
            "zero_point": self.zero_point * torch.special.ndtri(u["zero_point"]),
            "ebv": _flat(u["ebv"], *self.ebv),
            "lya_escape": _log_flat(u["lya_escape"], *self.lya_escape),
            "log_agn": _flat(u["log_agn"], *self.log_agn),
            "agn_hardness": torch.special.ndtri(u["agn_hardness"]),
            "log_lier": _truncated(
                u["log_lier"], torch.full_like(redshift, self.lier[0]), self.lier[1], *LOG_LIER_RANGE
            ),
            "log_density": _truncated(
                u["log_density"], torch.full_like(redshift, self.density[0]), self.density[1], *LOG_DENSITY_RANGE
            ),
            "log_ism_depth": _flat(u["log_ism_depth"], *(math.log10(d) for d in self.ism_depth)),
            "ism_velocity": _flat(u["ism_velocity"], *self.ism_velocity),
            "log_sodium": _flat(u["log_sodium"], *(math.log10(d) for d in self.sodium)),
        }
        single = {k: v if k == "redshift" else v.float() for k, v in values.items()}
        return Galaxies(history=self._history(u, redshift), **single)

    def _history(self, u: dict[str, Tensor], redshift: Tensor) -> StarFormation:
        age = (self.cosmology or Cosmology.default()).age_yr(redshift)
        first = RECENT_YR / (1 - BURST_HALF_WIDTH)
        last = age.clamp(max=1e9) / (1 + BURST_HALF_WIDTH)
        oldest = YOUNGEST_FORMATION * RECENT_YR
        return StarFormation(
            log_ssfr=_flat(u["log_ssfr"], *self.log_ssfr).float(),
            log_burstiness=_truncated(u["log_burstiness"], torch.zeros_like(age), self.burstiness, -2.0, 0.97).float(),
            burst_age=(first * (last / first) ** u["burst_age"]).float(),
            log_burst_fraction=_flat(u["log_burst_fraction"], *self.log_burst_fraction).float(),
            formation_age=(oldest + (age - oldest) * u["formation_age"]).float(),
            tau=(age * _log_flat(u["tau"], *self.tau)).float(),
        )

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """n uniform points of the cube, [n, n_dim] float64."""
        return torch.rand(n, self.n_dim, generator=generator, dtype=torch.float64, device=generator.device)


def log_mass_density(log_stellar_mass: Tensor) -> Tensor:
    """0 inside the mass range, -inf outside, [n]."""
    inside = (log_stellar_mass > MASS_RANGE[0]) & (log_stellar_mass < MASS_RANGE[1])
    return torch.where(inside, 0.0, -torch.inf)


def coordinate(name: str) -> int:
    """Position of a coordinate in the cube; UnknownNameError with a suggestion."""
    if name not in COORDINATES:
        raise unknown_name("coordinate", name, COORDINATES)
    return COORDINATES.index(name)


def _flat(u: Tensor, low: float, high: float) -> Tensor:
    return low + (high - low) * u


def _log_flat(u: Tensor, low: float, high: float) -> Tensor:
    return low * (high / low) ** u


def _truncated(u: Tensor, mean: Tensor, sigma: float, low: float, high: float) -> Tensor:
    """Quantile `u` of a normal density truncated to low .. high."""
    left, right = torch.special.ndtr((low - mean) / sigma), torch.special.ndtr((high - mean) / sigma)
    p = (left + (right - left) * u).clamp(1e-15, 1 - 1e-15)
    return (mean + sigma * torch.special.ndtri(p)).clamp(low, high)
