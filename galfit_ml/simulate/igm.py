"""Mean absorption by the intergalactic medium between a galaxy and us.

Inoue, Shimizu, Iwata & Tanaka (2014, MNRAS 442, 1805): the Lyman series (their eqs. 21 and 22 with the coefficients of
table 2) and the Lyman continuum (eqs. 25 to 29) of the Lyman-alpha forest and of damped systems. Optical depths are
powers of the observed wavelength, with breaks where the absorbers' density evolution changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
import torch
from torch import Tensor

from galfit_ml.errors import PriorError

LYMAN_ALPHA = 1215.67
LYMAN_LIMIT = 911.8
MIN_WAVELENGTH = 900.0
MAX_REDSHIFT = 7.0

# (1 + z) from which each power of the optical depth holds: eqs. 21 and 22.
_FOREST_BREAKS, _FOREST_POWERS = (0.0, 2.2, 5.7), (1.2, 3.7, 5.5)
_DAMPED_BREAKS, _DAMPED_POWERS = (0.0, 3.0), (2.0, 3.0)

_REDSHIFT_STEP, _WAVELENGTH_STEP = 0.04, 0.1


def igm_transmission(rest_wavelength: Tensor, redshift: Tensor) -> Tensor:
    """Mean transmitted fraction [n, n_wave] of the light of galaxies, interpolated in a table made on first use.

    Args:
        rest_wavelength: [n_wave], or [n, n_wave] when it differs between galaxies; vacuum A. Below 900 A the value at
            900 A is returned; above Lyman alpha 1.
        redshift: [n] of the galaxies, 0 to 7.

    The table has steps of 0.04 in redshift and 0.1 A in wavelength, interpolated linearly in the optical depth.

    Raises:
        PriorError: a redshift is negative or above 7.
    """
    _check_redshift(redshift)
    if rest_wavelength.ndim == 1:
        return _common_transmission(rest_wavelength, redshift)
    out = torch.ones_like(rest_wavelength, memory_format=torch.contiguous_format)
    columns = (rest_wavelength < LYMAN_ALPHA).any(dim=0).nonzero()[:, 0]
    if len(columns) == 0:
        return out
    blue = rest_wavelength[:, columns]
    depth = _table(str(blue.device)).interpolate(blue, redshift)
    out[:, columns] = torch.where(blue < LYMAN_ALPHA, torch.exp(-depth).to(blue.dtype), 1.0)
    return out


def _common_transmission(wavelength: Tensor, redshift: Tensor) -> Tensor:
    """The same at wavelengths [n_wave] common to all galaxies: the table is interpolated in wavelength once."""
    out = wavelength.new_ones(len(redshift), len(wavelength))
    columns = (wavelength < LYMAN_ALPHA).nonzero()[:, 0]
    if len(columns):
        depth = _table(str(wavelength.device)).interpolate_common(wavelength[columns], redshift)
        out[:, columns] = torch.exp(-depth).to(wavelength.dtype)
    return out


def optical_depth(rest_wavelength: Tensor, redshift: Tensor) -> Tensor:
    """Mean optical depth, in closed form, at vacuum rest wavelengths (A) and redshifts that broadcast together."""
    one_z = 1 + redshift
    observed = rest_wavelength * one_z
    lines = _series_depth(rest_wavelength, observed)
    inside = (observed > LYMAN_LIMIT) & (rest_wavelength < LYMAN_LIMIT)
    ratio = torch.where(inside, observed / LYMAN_LIMIT, 1.0)
    continuum = _forest_continuum(ratio, one_z) + _damped_continuum(ratio, one_z)
    return lines + torch.where(inside, continuum, 0.0)


def _check_redshift(redshift: Tensor) -> None:
    if bool(((redshift < 0) | (redshift > MAX_REDSHIFT)).any()):
        raise PriorError(
            f"Redshifts from {float(redshift.min()):.4g} to {float(redshift.max()):.4g} were asked for, but the table "
            f"of intergalactic absorption covers 0 to {MAX_REDSHIFT:g}: narrow the redshift prior."
        )


@lru_cache(maxsize=1)
def _line_coefficients() -> tuple[tuple[float, ...], ...]:
    """Rows of Inoue et al. (2014), table 2: wavelength (A), three coefficients of the forest, two of damped systems."""
    path = resources.files("galfit_ml") / "data" / "igm_inoue2014.csv"
    with path.open("r", encoding="utf-8") as file:
        rows = np.loadtxt(file, delimiter=",", comments="#")
    return tuple(tuple(row) for row in rows[:, 1:].tolist())


def _series_depth(rest: Tensor, observed: Tensor) -> Tensor:
    """Lyman-series depth: each line absorbs blueward of itself, down to its own wavelength at redshift 0."""
    forest_powers = [observed**power for power in _FOREST_POWERS]
    damped_powers = [observed**power for power in _DAMPED_POWERS]
    depth = torch.zeros_like(observed)
    for line, *coefficients in _line_coefficients():
        forest = _scaled(forest_powers, coefficients[:3], line, _FOREST_POWERS)
        damped = _scaled(damped_powers, coefficients[3:], line, _DAMPED_POWERS)
        both = _by_break(observed / line, _FOREST_BREAKS, forest) + _by_break(observed / line, _DAMPED_BREAKS, damped)
        depth += torch.where((rest < line) & (observed > line), both, 0.0)
    return depth


def _scaled(raised: list[Tensor], coefficients: list[float], line: float, powers: tuple[float, ...]) -> list[Tensor]:
    """Return A (observed / line)**power from observed**power."""
    return [a * line**-power * x for a, power, x in zip(coefficients, powers, raised, strict=True)]


def _by_break(ratio: Tensor, breaks: tuple[float, ...], values: list[Tensor]) -> Tensor:
    """Choose the value whose range, from its break on, holds `ratio`."""
    chosen = values[0]
    for start, value in zip(breaks[1:], values[1:], strict=True):
        chosen = torch.where(ratio >= start, value, chosen)
    return chosen


def _forest_continuum(ratio: Tensor, one_z: Tensor) -> Tensor:
    """Lyman-continuum depth of the forest (eqs. 25 to 27); ratio = observed wavelength / 911.8 A."""
    r12, r21, r37, r55 = ratio**1.2, ratio**2.1, ratio**3.7, ratio**5.5
    near = 0.325 * (r12 - one_z**-0.9 * r21)
    middle = _by_break(
        ratio, (0.0, 2.2), [2.55e-2 * one_z**1.6 * r21 + 0.325 * r12 - 0.25 * r21, 2.55e-2 * (one_z**1.6 * r21 - r37)]
    )
    distant = 5.22e-4 * one_z**3.4 * r21
    values = [
        distant + 0.325 * r12 - 3.14e-2 * r21,
        distant + 0.218 * r21 - 2.55e-2 * r37,
        distant - 5.22e-4 * r55,
    ]
    far = _by_break(ratio, _FOREST_BREAKS, values)
    return torch.where(one_z < 2.2, near, torch.where(one_z < 5.7, middle, far))


def _damped_continuum(ratio: Tensor, one_z: Tensor) -> Tensor:
    """Lyman-continuum depth of damped systems (eqs. 28 and 29); ratio = observed wavelength / 911.8 A."""
    slope = ratio**-0.3
    near = 0.211 * one_z**2 - 7.66e-2 * one_z**2.3 * slope - 0.135 * ratio**2
    common = 4.7e-2 * one_z**3 - 1.78e-2 * one_z**3.3 * slope
    values = [common + 0.634 - 0.135 * ratio**2 - 0.291 * slope, common - 2.92e-2 * ratio**3]
    return torch.where(one_z < 3.0, near, _by_break(ratio, _DAMPED_BREAKS, values))


@dataclass(frozen=True, eq=False)
class _Table:
    """Optical depth [n_z, n_wave] on uniform steps in redshift from 0 and in rest wavelength from 900 A."""

    depth: Tensor

    def interpolate(self, wavelength: Tensor, redshift: Tensor) -> Tensor:
        """Optical depth [n, n_wave] at wavelengths [n, n_wave] and redshifts [n], bilinear."""
        row, row_share = _position(redshift / _REDSHIFT_STEP, self.depth.shape[0])
        column, share = _position((wavelength - MIN_WAVELENGTH) / _WAVELENGTH_STEP, self.depth.shape[1])
        near, far = (
            torch.lerp(self.depth[at[:, None], column], self.depth[at[:, None], column + 1], share)
            for at in (row, row + 1)
        )
        return torch.lerp(near, far, row_share[:, None])

    def interpolate_common(self, wavelength: Tensor, redshift: Tensor) -> Tensor:
        """Optical depth [n, n_wave] at wavelengths [n_wave] and redshifts [n], bilinear."""
        row, row_share = _position(redshift / _REDSHIFT_STEP, self.depth.shape[0])
        column, share = _position((wavelength - MIN_WAVELENGTH) / _WAVELENGTH_STEP, self.depth.shape[1])
        begin = int(row.min())
        rows = self.depth[begin : int(row.max()) + 2]
        there = torch.lerp(rows.index_select(1, column), rows.index_select(1, column + 1), share)
        near, far = there.index_select(0, row - begin), there.index_select(0, row - begin + 1)
        return torch.lerp(near, far, row_share[:, None])


def _position(value: Tensor, n_nodes: int) -> tuple[Tensor, Tensor]:
    """Node below each value and the share of the way to the next, held at both ends."""
    value = value.to(torch.float32).clamp(0, n_nodes - 1)
    node = value.detach().floor().clamp(0, n_nodes - 2).nan_to_num(0).long()
    return node, value - node


@lru_cache(maxsize=4)
def _table(device: str) -> _Table:
    redshift = torch.arange(round(MAX_REDSHIFT / _REDSHIFT_STEP) + 1, dtype=torch.float64) * _REDSHIFT_STEP
    n_wave = int((LYMAN_ALPHA - MIN_WAVELENGTH) / _WAVELENGTH_STEP) + 1
    wavelength = MIN_WAVELENGTH + _WAVELENGTH_STEP * torch.arange(n_wave, dtype=torch.float64)
    depth = optical_depth(wavelength[None], redshift[:, None])
    return _Table(depth.to(device, torch.float32))
