"""The line-spread function of a spectrum: from the user, the file, the meta, or, last, the instrument."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import SpectrumError
from galfit_ml.grid import WavelengthGrid
from galfit_ml.instruments import FWHM_PER_SIGMA, Instrument
from galfit_ml.reading.sources import RawArm

Floats = NDArray[np.float64]


def known_sigma(raw: RawArm, grid: WavelengthGrid, order: slice, resolving_power: float | None) -> Floats | None:
    """Gaussian sigma of the LSF, angstrom, as far as user, file or meta tell it.

    Args:
        raw: the arm, perhaps with its file's LSF, `meta["lsf_sigma"]`, `meta["resolution"]` or DESI's matrix.
        grid: the arm's vacuum grid, increasing.
        order: slice that takes an array [..., n_pix] in the user's order to that of `grid`.
        resolving_power: what the user said; it goes before everything else.

    Returns:
        [n_pix] or [n, n_pix]; None if nothing is known.

    Raises:
        SpectrumError: meta entries that are not positive numbers of a fitting shape.
    """
    if resolving_power is not None:
        return grid.centres / (resolving_power * FWHM_PER_SIGMA)
    if raw.lsf_sigma is not None and raw.lsf_sigma.shape == grid.centres.shape and (raw.lsf_sigma > 0).any():
        return _filled(raw.lsf_sigma[order])
    if raw.meta.get("lsf_sigma") is not None:
        return _from_meta(raw, "lsf_sigma", order, "angstrom")
    if raw.meta.get("resolution") is not None:
        return grid.centres / (_from_meta(raw, "resolution", order, "") * FWHM_PER_SIGMA)
    return _from_desi(raw, grid)


def instrument_sigma(instrument: Instrument, arm: str, wavelength: Floats) -> Floats:
    """[n_pix] sigma, angstrom, that `instrument` gives its arm of that name, or whichever arm covers `wavelength`."""
    named = next((a for a in instrument.arms if a.name == arm), None)
    return instrument.sigma(wavelength) if named is None else named.resolution.sigma(wavelength)


def _filled(sigma: Floats) -> Floats:
    """Zeros replaced by interpolation: surveys write 0 where a pixel is dead."""
    known = sigma > 0
    index = np.arange(len(sigma))
    return np.interp(index, index[known], sigma[known])


def _from_meta(raw: RawArm, key: str, order: slice, unit: str) -> Floats:
    """`meta[key]` as [1 or n_pix] or [n, n_pix], in the order of the grid."""
    value = raw.meta[key]
    n_pix = raw.flux.shape[raw.axis_index]
    try:
        numbers = np.array(value.to_value(unit) if hasattr(value, "to_value") else value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SpectrumError(_meta_help(key, n_pix, f"{type(value).__name__} that is no such number")) from error
    if numbers.shape not in {(), (n_pix,), tuple(raw.flux.shape)}:
        raise SpectrumError(_meta_help(key, n_pix, f"array of shape {numbers.shape}"))
    if not np.all(np.isfinite(numbers) & (numbers > 0)):
        raise SpectrumError(_meta_help(key, n_pix, "number, or holds numbers, not finite and positive"))
    if numbers.ndim > 1:
        numbers = np.moveaxis(numbers, raw.axis_index, -1).reshape(-1, n_pix)
    return numbers[..., order] if numbers.ndim else numbers


def _meta_help(key: str, n_pix: int, what: str) -> str:
    meaning = "R = wavelength / FWHM" if key == "resolution" else "the sigma of the line-spread function in angstrom"
    return (
        f"meta['{key}'] should hold {meaning}, positive, as one number or {n_pix} of them; it is a {what}. "
        "Correct it, or delete it and give resolving_power= instead."
    )


def _from_desi(raw: RawArm, grid: WavelengthGrid) -> Floats | None:
    """Second moment of DESI's resolution matrix, stored by its diagonals [n, n_diagonals, n_pix]."""
    stored: Any = raw.meta.get("resolution_data") if isinstance(raw.meta, Mapping) else None
    matrix = None if stored is None else np.asarray(stored, dtype=np.float64)
    if matrix is None or matrix.ndim != 3 or matrix.shape[::2] != (int(np.prod(raw.row_shape)), len(grid)):
        return None
    weight = np.clip(matrix, 0.0, None)
    total = np.where(weight.sum(axis=1) > 0, weight.sum(axis=1), 1.0)
    offset = np.arange(matrix.shape[1], dtype=np.float64)[None, :, None]
    mean = (weight * offset).sum(axis=1) / total
    variance = (weight * offset**2).sum(axis=1) / total - mean**2
    sigma = np.sqrt(np.clip(variance, 0.0, None)) * grid.widths
    return np.stack([_filled(row) for row in sigma]) if (sigma > 0).any(axis=1).all() else None
