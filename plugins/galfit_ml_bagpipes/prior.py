"""The prior: a map from the unit cube to the quantities that make a bagpipes model; numpy alone.

It is this package's own prior (`galfit_ml.simulate.prior`) in the coordinates that bagpipes has: log mass in place of
magnitude, which for a given shape of the spectrum is the same density, and the share of the mass formed in the last
100 Myr in place of the specific star-formation rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from galfit_ml.errors import PriorError
from galfit_ml.redshift_prior import RedshiftPrior
from galfit_ml_bagpipes.coordinates import COORDINATES, NOISE_SCALE_SIGMA, RANGES
from galfit_ml_bagpipes.cosmology import age_gyr

Floats = NDArray[np.float64]

N_NODES = 4001

BURSTINESS_SIGMA = 0.3
GAS_OFFSET = (0.25, 0.3)
IONISATION_SCATTER = 0.4
YOUNGEST_FORMATION_GYR = 0.12
BURST_HALF_WIDTH = 0.14
EDGE = 1e-12


@dataclass(frozen=True, eq=False)
class RedshiftDensity:
    """Density of the redshift, flat in ln(1 + z) times the user's.

    Args:
        redshift: [n_nodes] increasing; one node where the redshift is fixed.
        cumulative: [n_nodes] 0 to 1.
    """

    redshift: Floats
    cumulative: Floats

    @classmethod
    def of(cls, prior: RedshiftPrior, low: float, high: float) -> RedshiftDensity:
        """The density within low .. high, narrowed to where a distribution has probability."""
        if low == high:
            return cls(np.array([low]), np.array([0.0]))
        z = np.expm1(np.linspace(np.log1p(low), np.log1p(high), N_NODES))
        z[0], z[-1] = low, high
        log_density = prior.log_density(z)
        if not np.isfinite(log_density).any():
            raise PriorError(f"The redshift prior has no probability between {low:g} and {high:g}; widen it.")
        density = np.exp(log_density - log_density[np.isfinite(log_density)].max())
        steps = 0.5 * (density[1:] + density[:-1]) * np.diff(np.log1p(z))
        cumulative = np.append(0.0, np.cumsum(steps))
        return cls(z, cumulative / cumulative[-1])

    @property
    def fixed(self) -> bool:
        """Whether there is one redshift only."""
        return len(self.redshift) == 1

    def quantile(self, u: Floats) -> Floats:
        """Redshift at the cumulative probability `u` [any shape]."""
        return np.interp(u, self.cumulative, self.redshift)


@dataclass(frozen=True, eq=False)
class Prior:
    """Map from the unit cube to galaxies.

    Args:
        redshift: its density.
        calibration_sigma: [k] widths of the coefficients of the calibration polynomial, degree 0 first.
        fixed: coordinate -> value that it keeps.
    """

    redshift: RedshiftDensity
    calibration_sigma: tuple[float, ...] = ()
    fixed: Mapping[str, float] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """All coordinates, those of the calibration last."""
        return (*COORDINATES, *(f"calibration_{k}" for k in range(len(self.calibration_sigma))))

    @property
    def free(self) -> tuple[str, ...]:
        """Coordinates that are sampled: the axes of the cube."""
        held = {*self.fixed, *(["redshift"] if self.redshift.fixed else [])}
        return tuple(name for name in self.names if name not in held)

    def within(self, prior: RedshiftPrior, low: float, high: float) -> Prior:
        """The same in a narrower range of redshift."""
        return replace(self, redshift=RedshiftDensity.of(prior, low, high))

    def transform(self, cube: Floats) -> dict[str, Floats]:
        """Galaxies at points of the unit cube [..., n_free]: coordinate -> [...], in `RANGES` and Gyr."""
        u = dict(zip(self.free, np.moveaxis(np.clip(cube, EDGE, 1 - EDGE), -1, 0), strict=True))
        blank = np.zeros(np.shape(cube)[:-1])
        out = {"redshift": self.redshift.quantile(u.get("redshift", blank))}
        for name in COORDINATES[1:]:
            held = self.fixed.get(name)
            out[name] = _draw(name, u[name], out) if held is None else blank + _scaled(name, held, out)
        for k, sigma in enumerate(self.calibration_sigma):
            out[f"calibration_{k}"] = sigma * ndtri(u[f"calibration_{k}"])
        return out


def _draw(name: str, u: Floats, known: Mapping[str, Floats]) -> Floats:
    """One coordinate at its cumulative probability, given those before it."""
    low, high = RANGES[name]
    if name == "log_burstiness":
        return _truncated(u, 0.0, BURSTINESS_SIGMA, low, high)
    if name == "log_gas_metallicity":
        return _truncated(u, known["log_metallicity"] + GAS_OFFSET[0], GAS_OFFSET[1], low, high)
    if name == "log_ionisation":
        return _truncated(u, -3.0 - 0.5 * known["log_gas_metallicity"], IONISATION_SCATTER, low, high)
    if name == "noise_scale":
        return np.exp(_truncated(u, 0.0, NOISE_SCALE_SIGMA, float(np.log(low)), float(np.log(high))))
    if name == "burst_age":
        oldest = np.minimum(age_gyr(known["redshift"]), high) / (1 + BURST_HALF_WIDTH)
        return low * (oldest / low) ** u
    if name in ("tau", "velocity_dispersion"):
        return _scaled(name, low * (high / low) ** u, known)
    return _scaled(name, low + (high - low) * u, known)


def _scaled(name: str, value: Floats | float, known: Mapping[str, Floats]) -> Floats:
    """Gyr from fractions of the age of the Universe; everything else as it is."""
    if name == "tau":
        return value * age_gyr(known["redshift"])
    if name == "formation_age":
        return YOUNGEST_FORMATION_GYR + (age_gyr(known["redshift"]) - YOUNGEST_FORMATION_GYR) * value
    return np.asarray(value, dtype=np.float64)


def _truncated(u: Floats, mean: Floats | float, sigma: float, low: float, high: float) -> Floats:
    """Quantile `u` of a normal density truncated to low .. high."""
    left, right = ndtr((low - mean) / sigma), ndtr((high - mean) / sigma)
    probability = np.clip(left + (right - left) * u, 1e-15, 1 - 1e-15)
    return np.clip(mean + sigma * ndtri(probability), low, high)
