"""One arm of a source in the units of a batch, on increasing vacuum wavelengths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import SpectrumError
from galfit_ml.grid import WavelengthGrid
from galfit_ml.reading.lsf import known_sigma
from galfit_ml.reading.noise import estimate_ivar
from galfit_ml.reading.result import ReaderOptions
from galfit_ml.reading.sources import RawArm, header_of
from galfit_ml.reading.units import flux_scale, inverse_variance, vacuum_wavelength

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measured:
    """One arm in the units of a batch.

    Args:
        grid: [n_pix] vacuum wavelengths, angstrom.
        flux: [n, n_pix] 1e-17 erg s^-1 cm^-2 A^-1, or any unit where `relative`; NaN where there is none.
        ivar: [n, n_pix] inverse variance of flux; 0 where unknown, negative where the user's is.
        mask: [n, n_pix] True where the user's mask says bad.
        lsf_sigma: [n_pix] or [n, n_pix] angstrom, or None where nobody told.
        relative: the flux has no absolute scale.
        estimated: the noise was estimated.
    """

    grid: WavelengthGrid
    flux: Floats
    ivar: Floats
    mask: NDArray[np.bool_]
    lsf_sigma: Floats | None
    relative: bool
    estimated: bool


def measure(raw: RawArm, options: ReaderOptions) -> Measured:
    """Bring one arm into the units of a batch; SpectrumError says what is wrong with it. The input stays as it is."""
    wavelength = vacuum_wavelength(raw.axis, _medium(raw.meta, options))
    order = slice(None, None, 1 if wavelength[0] < wavelength[-1] else -1)
    grid = WavelengthGrid.from_centres(wavelength[order])
    scale = flux_scale(raw.unit, wavelength)
    flux = _rows(raw, _plain(raw.flux)) * scale.factor
    given = inverse_variance(raw.uncertainty, tuple(raw.flux.shape), raw.unit)
    mask = _mask(raw)
    ivar = estimate_ivar(flux, mask) if given is None else _rows(raw, given) / scale.factor**2
    sigma = known_sigma(raw, grid, order, options.resolving_power)
    return Measured(grid, flux[:, order], ivar[:, order], mask[:, order], sigma, scale.relative, given is None)


def _medium(meta: Mapping[str, Any], options: ReaderOptions) -> str:
    """What the wavelengths are in: the user's word, else the header's, else vacuum."""
    if options.medium is not None:
        return options.medium
    header = header_of(meta)
    axes = [str(header.get(key, "")) for key in ("CTYPE1", "CTYPE3")]
    in_air = any(axis.startswith("AWAV") for axis in axes) or str(header.get("AIRORVAC", "")).lower() == "air"
    return "air" if in_air else "vacuum"


def _rows(raw: RawArm, values: NDArray[Any]) -> NDArray[Any]:
    """An array of the flux's shape as [n, n_pix], in C order of the other axes."""
    return np.moveaxis(values, raw.axis_index, -1).reshape(-1, values.shape[raw.axis_index])


def _plain(values: Any) -> Floats:
    """Native float64; NaN under the mask of a masked array."""
    if hasattr(values, "unmasked"):
        return np.where(values.mask, np.nan, np.asarray(values.unmasked, dtype=np.float64))
    return np.array(values, dtype=np.float64)


def _mask(raw: RawArm) -> NDArray[np.bool_]:
    """[n, n_pix] the user's mask; any bit set means bad."""
    shape = tuple(raw.flux.shape)
    if raw.mask is None:
        return np.zeros((int(np.prod(raw.row_shape)), shape[raw.axis_index]), dtype=bool)
    mask = np.asarray(raw.mask)
    if mask.shape not in {(), shape}:
        raise SpectrumError(
            f"the mask has shape {mask.shape} and the flux {shape}: the two arrays do not belong together. "
            "Cut both the same way."
        )
    return _rows(raw, np.array(np.broadcast_to(mask != 0, shape)))
