"""Quantities become floats: wavelengths in vacuum angstroms, fluxes in 1e-17 erg s^-1 cm^-2 A^-1."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import SpectrumError
from galfit_ml.grid import air_to_vacuum

Floats = NDArray[np.float64]

COUNT_UNITS = {"ct", "count", "adu", "DN", "dn", "electron", "ph", "photon"}
"""A flux with one of these in its unit has no absolute scale."""

FLUX_EXAMPLE = "flux * u.Unit('1e-17 erg / (s cm2 Angstrom)')"


def vacuum_wavelength(axis: Any, medium: str) -> Floats:
    """Vacuum wavelengths [n_pix], angstrom, in the stored order, of a spectral axis in any spectral unit.

    Raises:
        SpectrumError: no wavelength calibration (pixels), a velocity axis, fewer than two pixels, values that are not
            finite, positive and strictly increasing or decreasing.
    """
    from astropy import units as u

    if len(axis) < 2:
        raise SpectrumError(f"the spectrum is empty ({len(axis)} pixels). Was it cut at wavelengths it does not cover?")
    try:
        values = axis.value if axis.unit == u.AA else axis.to_value(u.AA, u.spectral())
    except (u.UnitConversionError, ValueError):
        raise SpectrumError(_no_wavelength(axis)) from None
    wavelength = np.array(values, dtype=np.float64)
    step = np.diff(wavelength)
    if not np.all(np.isfinite(wavelength)) or wavelength.min() <= 0 or not (np.all(step > 0) or np.all(step < 0)):
        raise SpectrumError(
            "the wavelengths are not finite, positive and strictly increasing or decreasing. Pixels out of order or "
            "double ones are the usual cause: sort with numpy.unique(wavelength, return_index=True)."
        )
    return air_to_vacuum(wavelength) if medium == "air" else wavelength


def _no_wavelength(axis: Any) -> str:
    unit = axis.unit.to_string() or "no unit"
    if axis.unit.is_equivalent("km / s"):
        return (
            f"the spectral axis is a velocity ({unit}). Give wavelengths, for example "
            "spectral_axis=(velocity * u.km / u.s).to(u.AA, u.doppler_optical(rest_wavelength))."
        )
    return (
        f"the spectral axis is in '{unit}', not in a unit of wavelength, frequency, wavenumber or energy: the file has "
        "no wavelength calibration, or its loader missed it. Give spectral_axis=wavelength * u.AA."
    )


@dataclass(frozen=True, eq=False)
class FluxScale:
    """[n_pix] factor that turns flux values into 1e-17 erg s^-1 cm^-2 A^-1; `relative` where there is no such scale."""

    factor: Floats
    relative: bool


def flux_scale(unit: Any, wavelength: Floats) -> FluxScale:
    """The scale of a flux unit at `wavelength` [n_pix], vacuum angstrom.

    Flux densities per wavelength or frequency, photon rates per area, and nu f_nu are absolute (a "per pixel", "per
    spaxel" or "per fibre" in them is dropped). Counts, dimensionless fluxes and surface brightnesses are relative.

    Raises:
        SpectrumError: any other unit.
    """
    from astropy import units as u

    if not isinstance(unit, u.UnitBase):  # a logarithmic one
        raise SpectrumError(_no_flux(unit))
    constant = _constant_scale(unit)
    if constant is not None:
        return FluxScale(np.full(wavelength.shape, constant), False)
    target, at = u.Unit("1e-17 erg / (s cm2 Angstrom)"), u.spectral_density(wavelength * u.AA)
    for per, relative in ((u.dimensionless_unscaled, False), (u.pix, False), (u.sr, True), (u.beam, True)):
        try:
            factor = (unit * per).to(target, np.ones(wavelength.shape), equivalencies=at)
        except (u.UnitConversionError, TypeError):
            continue
        return FluxScale(np.asarray(factor, dtype=np.float64), relative)
    if unit.is_equivalent(u.dimensionless_unscaled) or COUNT_UNITS & {base.name for base in unit.bases}:
        return FluxScale(np.ones(wavelength.shape), True)
    raise SpectrumError(_no_flux(unit))


def _no_flux(unit: Any) -> str:
    return (
        f"the flux unit '{unit}' is neither a flux density nor counts. A wrong or forgotten unit is the usual cause: "
        f"give {FLUX_EXAMPLE}; convert magnitudes first, with flux.to(u.Jy); for a flux without absolute scale write "
        "flux * u.dimensionless_unscaled."
    )


@lru_cache(maxsize=64)
def _constant_scale(unit: Any) -> float | None:
    """The factor of a unit that is a flux per wavelength already, else None."""
    from astropy import units as u

    try:
        return float(unit.to(u.Unit("1e-17 erg / (s cm2 Angstrom)")))
    except (u.UnitConversionError, TypeError):
        return None


def inverse_variance(uncertainty: Any, shape: tuple[int, ...], flux_unit: Any) -> Floats | None:
    """Inverse variance of a flux of that shape and unit, per unit squared; None if there is no uncertainty.

    0 where an uncertainty is not finite or zero (surveys write it where a pixel has none), -1 where it is negative.

    Raises:
        SpectrumError: an uncertainty of another shape, of unknown kind, or whose unit does not go with the flux.
    """
    if uncertainty is None:
        return None
    power = _power_of_sigma(uncertainty)
    values = np.array(uncertainty.array, dtype=np.float64)
    if values.shape != shape:
        raise SpectrumError(
            f"the uncertainty has shape {values.shape} and the flux {shape}: the two arrays do not belong "
            "together. Cut both the same way."
        )
    usable = np.isfinite(values) & (values > 0)
    scaled = np.where(usable, values * _in_flux_unit(uncertainty.unit, flux_unit, power), 1.0)
    with np.errstate(over="ignore"):
        ivar = np.where(usable, scaled ** (-2.0 / power), 0.0)
    return np.where(values < 0, -1.0, ivar)


def _power_of_sigma(uncertainty: Any) -> int:
    """1 for standard deviations, 2 for variances, -2 for inverse variances."""
    powers = {"std": 1, "var": 2, "ivar": -2}
    kind = str(getattr(uncertainty, "uncertainty_type", "unknown"))
    if kind in powers:
        return powers[kind]
    raise SpectrumError(
        f"the uncertainty is of kind '{kind}', so nobody knows what its numbers mean. Say it: "
        "spectrum.uncertainty = StdDevUncertainty(array), VarianceUncertainty(array) or InverseVariance(array), "
        "all from astropy.nddata."
    )


@lru_cache(maxsize=64)
def _in_flux_unit(unit: Any, flux_unit: Any, power: int) -> float:
    """Factor that takes uncertainty values to `flux_unit ** power`."""
    from astropy import units as u

    if unit is None:
        return 1.0
    try:
        return float(unit.to(flux_unit**power))
    except u.UnitConversionError:
        raise SpectrumError(
            f"the uncertainty's unit '{unit}' does not go with the flux's '{flux_unit}': it should be "
            f"'{flux_unit**power}'. Give the uncertainty without a unit, or in that one."
        ) from None
