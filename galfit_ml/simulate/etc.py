"""Exposure-time calculator: the signal-to-noise ratio and line limits an instrument reaches, without random numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from galfit_ml.instruments import Instrument
from galfit_ml.simulate.conditions import NOMINAL_SIZE, Conditions, ConditionsError, exposure_seconds
from galfit_ml.simulate.line_limit import line_error
from galfit_ml.simulate.masks import UNUSABLE
from galfit_ml.simulate.noise import Exposure
from galfit_ml.simulate.photon_noise import PhotonExposure
from galfit_ml.simulate.pixels import C_ANGSTROM
from galfit_ml.simulate.spectrograph import Spectrograph

Floats = NDArray[np.float64]

AB_ZERO = 48.6
FLUX_UNIT = 1e-17
LINE_SIGMAS = 5.0


@dataclass(frozen=True)
class ArmDepth:
    """Medians over the good pixels of an arm.

    Args:
        name: of the arm, or "all".
        snr: signal-to-noise ratio per pixel.
        line_limit: flux of a line found at 5 sigma, erg s^-1 cm^-2.
        good: share of the pixels that can be used.
    """

    name: str
    snr: float
    line_limit: float
    good: float


@dataclass(frozen=True, eq=False)
class Depth:
    """What an observation reaches; arrays [n_pix], the arms one after the other.

    Args:
        instrument, mode: names; the mode is "" for an instrument known by its noise curve.
        exposure: s.
        wavelength: vacuum angstrom.
        flux: total flux density of the source, 1e-17 erg s^-1 cm^-2 A^-1.
        snr: expected signal-to-noise ratio per pixel.
        line_limit: total flux of an emission line centred here that is found at 5 sigma, erg s^-1 cm^-2; continuum and
            photon noise of the line itself are left out.
        good: True where a pixel can be used.
        object_electrons, sky_electrons, detector_electrons: collected over the exposure, from the object, from the sky
            through one fibre, and the variance of read-out, dark current and stray light; NaN where photons are not
            counted.
        arms: medians per arm; the last entry is over all.
    """

    instrument: str
    mode: str
    exposure: float
    wavelength: Floats
    flux: Floats
    snr: Floats
    line_limit: Floats
    good: NDArray[np.bool_]
    object_electrons: Floats
    sky_electrons: Floats
    detector_electrons: Floats
    arms: tuple[ArmDepth, ...]


def signal_to_noise(
    instrument: str | Instrument,
    *,
    magnitude: float | None,
    exposure: str | float,
    size: float | None = None,
    spectrum: str | ArrayLike = "flat",
    mode: str | None = None,
    seeing: float | None = None,
    airmass: float | None = None,
    tier: int = 1,
    line_width: float = 200.0,
) -> Depth:
    """Expected signal-to-noise ratio per pixel and 5-sigma line limits.

    The magnitude is that of the whole source: the loss at the fibre, by seeing and size, is applied here. Of an
    instrument that is known by its noise curve alone it is that of the light in the fibre.

    Args:
        instrument: or its name.
        magnitude: total, AB, mean f_nu in the instrument's magnitude band; None to take a given spectrum as it is.
        exposure: total, s, or "1h", "30m", "6x600s".
        size: half-light radius, arcsec; 0 for a star; 0.3 by default.
        spectrum: "flat" (constant f_nu), or [n_pix] flux density on the instrument's pixels, in any unit, or in
            1e-17 erg s^-1 cm^-2 A^-1 where the magnitude is None.
        mode: how the sky is measured; the instrument's first mode by default.
        seeing: FWHM at 5000 angstrom and airmass 1, arcsec; the instrument's nominal one by default.
        airmass: likewise.
        tier: 0, white noise alone; 1, with the rms of the sky-subtraction residual.
        line_width: FWHM of the line of the limits, km/s.

    Raises:
        ConditionsError: magnitude, exposure, size, seeing, airmass, tier, line width or spectrum make no sense, or the
            instrument knows no fibre for size, seeing and airmass to act on.
        UnknownNameError: no such instrument or mode.
    """
    if tier not in {0, 1}:
        raise ConditionsError(f"The calculator knows noise tiers 0 (white) and 1 (sky residual), not {tier!r}.")
    _positive("line width", line_width, "km/s, for example line_width=200")
    seconds = exposure_seconds(exposure)
    spectrograph = Spectrograph(instrument, mode=mode)
    conditions = _conditions(spectrograph.instrument, seconds, size, seeing, airmass)
    flux = _flux(spectrograph, spectrum, magnitude)
    exposures = spectrograph.exposed(conditions)
    variance = _variance(spectrograph, exposures, flux, tier)
    dark = _variance(spectrograph, exposures, torch.zeros_like(flux), tier)
    good = _good(spectrograph, exposures, flux)
    limit = LINE_SIGMAS * FLUX_UNIT * line_error(spectrograph.pixels, dark, good, line_width)
    snr = flux[0].double().numpy() / np.sqrt(variance)
    electrons = _electrons(spectrograph, exposures, flux)
    return Depth(
        instrument=spectrograph.instrument.name,
        mode=spectrograph.mode.name if spectrograph.mode else "",
        exposure=seconds,
        wavelength=spectrograph.pixels.wavelength.numpy(),
        flux=flux[0].double().numpy(),
        snr=snr,
        line_limit=limit,
        good=good,
        object_electrons=electrons[0],
        sky_electrons=electrons[1],
        detector_electrons=electrons[2],
        arms=_medians(spectrograph, snr, limit, good),
    )


def flat_spectrum(wavelength: ArrayLike, magnitude: float) -> Floats:
    """f_lambda, 1e-17 erg s^-1 cm^-2 A^-1, of a source of constant f_nu and that AB magnitude, at `wavelength` (A)."""
    f_nu = 10 ** (-0.4 * (magnitude + AB_ZERO))
    return np.asarray(f_nu * C_ANGSTROM / np.asarray(wavelength, dtype=np.float64) ** 2 / FLUX_UNIT)


def _positive(what: str, value: float, example: str) -> None:
    if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
        raise ConditionsError(f"The {what} must be a positive, finite number, not {value!r}: give {example}.")


def _conditions(
    instrument: Instrument, exposure: float, size: float | None, seeing: float | None, airmass: float | None
) -> Conditions:
    asked = [name for name, value in (("size", size), ("seeing", seeing), ("airmass", airmass)) if value is not None]
    if instrument.observatory is None and asked:
        raise ConditionsError(
            f"The noise of '{instrument.name}' is a measured curve, on which {' and '.join(asked)} cannot act: its "
            "magnitude is that of the light in the fibre. Leave it out."
        )
    size = NOMINAL_SIZE if size is None else size
    if not (math.isfinite(size) and size >= 0):
        raise ConditionsError(
            f"The half-light radius must be 0 (a star) or positive, in arcsec, not {size!r}: for example, size=0.3."
        )
    given = {}
    if seeing is not None:
        _positive("seeing", seeing, "arcsec, for example seeing=0.8")
        given["seeing"] = torch.tensor([float(seeing)])
    if airmass is not None:
        if not (math.isfinite(airmass) and airmass >= 1):
            raise ConditionsError(f"The airmass must be at least 1, not {airmass!r}: 1 is the zenith, 2 is 60 degrees.")
        given["airmass"] = torch.tensor([float(airmass)])
    return replace(Conditions.nominal(instrument, 1, exposure, size), **given)


def _flux(spectrograph: Spectrograph, spectrum: str | ArrayLike, magnitude: float | None) -> torch.Tensor:
    """[1, n_pix] float32."""
    if magnitude is not None:
        _positive("magnitude", magnitude, "the total AB magnitude, for example magnitude=22")
    shape = _shape(spectrograph, spectrum, magnitude)
    if magnitude is not None and not isinstance(spectrum, str):
        mean = float(spectrograph.pixels.band_weights().numpy() @ shape)
        if not mean > 0:
            raise ConditionsError(
                "The spectrum has no light in the magnitude band, or does not cover it: no magnitude can scale it."
            )
        shape = shape * (10 ** (-0.4 * (magnitude + AB_ZERO)) / mean / FLUX_UNIT)
    return torch.as_tensor(shape, dtype=torch.float32)[None]


def _shape(spectrograph: Spectrograph, spectrum: str | ArrayLike, magnitude: float | None) -> Floats:
    if isinstance(spectrum, str):
        if spectrum != "flat" or magnitude is None:
            raise ConditionsError(
                f"The spectrum {spectrum!r} with magnitude {magnitude} is not known: use spectrum='flat' with a "
                "magnitude, or an array of flux densities on the instrument's pixels."
            )
        return flat_spectrum(spectrograph.pixels.wavelength.numpy(), magnitude)
    shape = np.asarray(spectrum, dtype=np.float64)
    if shape.shape != (spectrograph.n_pix,) or not np.isfinite(shape).all():
        raise ConditionsError(
            f"The spectrum must hold {spectrograph.n_pix} finite flux densities, one per pixel of "
            f"'{spectrograph.instrument.name}', not an array of shape {shape.shape}."
        )
    return shape


def _variance(spectrograph: Spectrograph, exposures: tuple[Exposure, ...], flux: torch.Tensor, tier: int) -> Floats:
    parts = []
    for exposure, arm in zip(exposures, spectrograph.arms, strict=True):
        variance = exposure.white_variance(flux[:, arm])
        parts.append(variance + exposure.residual_variance() if tier else variance)
    return np.asarray(torch.cat(parts, dim=1)[0].double().numpy())


def _good(spectrograph: Spectrograph, exposures: tuple[Exposure, ...], flux: torch.Tensor) -> NDArray[np.bool_]:
    good = (spectrograph.static_mask & UNUSABLE) == 0
    for exposure, arm in zip(exposures, spectrograph.arms, strict=True):
        full = exposure.saturated(flux[:, arm])
        if full is not None:
            good[arm] &= ~full[0]
    return np.asarray(good.numpy())


def _electrons(spectrograph: Spectrograph, exposures: tuple[Exposure, ...], flux: torch.Tensor) -> Floats:
    """[3, n_pix] of object, sky and detector."""
    out = np.full((3, spectrograph.n_pix), np.nan)
    for exposure, arm in zip(exposures, spectrograph.arms, strict=True):
        if isinstance(exposure, PhotonExposure):
            rows = (flux[:, arm] / exposure.gain, exposure.sky, exposure.detector_electrons()[:, None])
            out[:, arm] = np.stack([row[0].expand(arm.stop - arm.start).numpy() for row in rows])
    return out


def _medians(spectrograph: Spectrograph, snr: Floats, limit: Floats, good: NDArray[np.bool_]) -> tuple[ArmDepth, ...]:
    names = (*(arm.name for arm in spectrograph.instrument.arms), "all")
    out = []
    for name, pixels in zip(names, (*spectrograph.arms, slice(None)), strict=True):
        use = good[pixels]
        middle = [float(np.median(values[pixels][use])) if use.any() else math.nan for values in (snr, limit)]
        out.append(ArmDepth(name, middle[0], middle[1], float(use.mean())))
    return tuple(out)
