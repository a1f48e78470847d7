"""Observed spectra as what a scan correlates templates with: weighted data, weights, marginalised nuisances."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from torch import Tensor

from galfit_ml_emcee.library.axis import ScanAxis
from galfit_ml_emcee.library.correlate import Pieces

Floats = NDArray[np.float64]

SMOOTHING = 301
"""Native pixels of the running mean that stands for the continuum in the calibration error."""

NEGLIGIBLE = 0.02
"""A nuisance whose variance is below this share of the error with which the data measure it is left out."""


@dataclass(frozen=True, eq=False)
class Native:
    """Spectra at the pixels they were observed on.

    Args:
        wavelength: [n_pix] angstrom.
        flux, ivar: [n, n_pix]; ivar 0 at bad pixels.
        arm: [n_pix] number of the arm.
    """

    wavelength: Floats
    flux: Floats
    ivar: Floats
    arm: NDArray[np.int64]

    def continuum(self) -> Floats:
        """Running inverse-variance weighted mean of each arm, not negative, [n, n_pix]."""
        out = np.zeros_like(self.flux)
        for number in np.unique(self.arm):
            inside = self.arm == number
            weight = _running(self.ivar[:, inside])
            typical = weight.mean(axis=1, keepdims=True)
            mean = _running(self.ivar[:, inside] * self.flux[:, inside]) / np.maximum(weight, 1e-3 * typical + 1e-300)
            out[:, inside] = np.maximum(mean, 0.0)
        return out


def _running(values: Floats) -> Floats:
    return np.asarray(uniform_filter1d(values, SMOOTHING, axis=1, mode="nearest"))


@dataclass(frozen=True, eq=False)
class ScanPieces:
    """Transforms of n spectra.

    Args:
        data: of their data.
        square: of weight and slope, two sets.
        modes: of the nuisances of each spectrum.
    """

    data: Pieces
    square: Pieces
    modes: tuple[Pieces, ...]


@dataclass(frozen=True, eq=False)
class ScanData:
    """What a scan needs of n spectra; with F the spreading of native pixels over the grid and W = ivar.

    ln L of a model A m is A (data . m) - A^2 / 2 (weight . m^2 - slope . (m[p + 1] - m[p])^2 - sum_j (mode_j . m)^2),
    up to a constant: exactly that of the native pixels with m interpolated linearly and all nuisances integrated out.

    Args:
        data: [n, n_pix] F W d less what the nuisances explain.
        weight: [n, n_pix] F W.
        slope: [n, n_pix] sum of W a (1 - a) over native pixels that lie a of the way from p to p + 1.
        modes: [n, n_mode, n_pix] nuisances as seen by the templates; rows of 0 where fewer count.
    """

    data: Tensor
    weight: Tensor
    slope: Tensor
    modes: Tensor

    def __len__(self) -> int:
        return len(self.data)

    @cached_property
    def pieces(self) -> ScanPieces:
        """The same for the correlators."""
        square = torch.stack([self.weight, self.slope], dim=1)
        return ScanPieces(Pieces(self.data), Pieces(square), tuple(Pieces(modes) for modes in self.modes))

    def to(self, device: str | torch.device, dtype: torch.dtype) -> ScanData:
        """The same on another device, in another precision."""
        return ScanData(*(getattr(self, name).to(device, dtype) for name in ("data", "weight", "slope", "modes")))


def scan_data(native: Native, axis: ScanAxis, nuisances: list[Floats] | None = None) -> ScanData:
    """Lay spectra out for a scan.

    Args:
        native: n spectra.
        axis: grid.
        nuisances: n arrays [n_mode, n_pix]: standard normals times these, summed, are errors of the flux.
    """
    spread = axis.spreading(native.wavelength)
    weighted = native.ivar * native.flux
    data, weight = (spread @ weighted.T).T, (spread @ native.ivar.T).T
    position = np.log(native.wavelength / axis.low) / axis.step
    share = position - np.floor(position)
    slope = _at_left(axis, position, native.ivar * share * (1.0 - share))
    modes = [np.zeros((0, axis.n_pix))] * len(data)
    if nuisances is not None:
        for row, columns in enumerate(nuisances):
            modes[row], seen = _marginalised(columns, native.ivar[row], native.flux[row])
            modes[row] = (spread @ modes[row].T).T
            data[row] -= seen @ modes[row]
    padded = np.zeros((len(modes), max(len(m) for m in modes), axis.n_pix))
    for place, own in zip(padded, modes, strict=True):
        place[: len(own)] = own
    return ScanData(*(torch.as_tensor(array) for array in (data, weight, slope, padded)))


def _at_left(axis: ScanAxis, position: Floats, values: Floats) -> Floats:
    """Sum of `values` [n, n_native] over the native pixels between p and p + 1, [n, n_pix]."""
    left = np.floor(position).astype(int)
    inside = (left >= 0) & (left < axis.n_pix - 1)
    out = np.zeros((len(values), axis.n_pix))
    for row, value in enumerate(values):
        out[row] = np.bincount(left[inside], value[inside], minlength=axis.n_pix)
    return out


def _marginalised(columns: Floats, ivar: Floats, flux: Floats) -> tuple[Floats, Floats]:
    """Duals [k, n_native] and their data [k], so that the marginal precision is W - duals' duals.

    With B the columns, W - W B (1 + B' W B)^-1 B' W is diagonalised in the space of the columns; directions that the
    data hardly see are left out.
    """
    weighted = columns * ivar
    size, axes = np.linalg.eigh(weighted @ columns.T)
    kept = size > NEGLIGIBLE
    duals = (axes[:, kept] / np.sqrt(1.0 + size[kept])).T @ weighted
    return duals, duals @ flux


def calibration_columns(native: Native, modes: Floats, continuum: Floats) -> list[Floats]:
    """Flux-calibration error as additive columns, n arrays [n_mode, n_pix].

    Each mode of the relative error times the continuum, less the multiple of the continuum that it resembles: the mean
    level is the amplitude of the template, free anyway, and subtracting it keeps the sums well conditioned.

    Args:
        native: n spectra.
        modes: [n_mode, n_pix] standard normals times these, summed, are the relative error.
        continuum: [n, n_pix] that it acts on.
    """
    out = []
    for level, ivar in zip(continuum, native.ivar, strict=True):
        columns = modes * level
        norm = float((ivar * level**2).sum())
        out.append(columns - np.outer((columns * ivar) @ level / norm, level) if norm > 0 else columns)
    return out
