"""Spectra the checks are run on: noiseless galaxies of a simulator, white noise, a few masked pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galfit_ml.flags import Flag
from galfit_ml.grid import SPEED_OF_LIGHT_KMS, WavelengthGrid
from galfit_ml.instruments import FWHM_PER_SIGMA, Instrument
from galfit_ml.spectra import ArmSpectra, SpectrumBatch

Floats = NDArray[np.float64]

Truth = dict[str, Floats]
"""Parameter name -> [n] true values."""

Simulator = Callable[[Instrument, int, float, int], tuple[SpectrumBatch, Truth]]
"""simulator(instrument, n, snr, seed): n spectra of that median signal-to-noise per pixel, and what is true of them."""

GENERIC_RANGE = (3700.0, 9300.0)
PIXELS_PER_FWHM = 2.2
MASKED_FRACTION = 0.03
CALIBRATION_RMS = 1e-4

TOY_LINES = (
    # vacuum wavelength, angstrom; rest-frame equivalent width, angstrom
    (1215.67, 30.0),
    (1908.73, 5.0),
    (2799.1, -4.0),
    (3728.5, 12.0),
    (3934.8, -6.0),
    (3969.6, -5.0),
    (4862.69, 6.0),
    (4960.30, 3.0),
    (5008.24, 9.0),
    (6549.86, 1.7),
    (6564.61, 18.0),
    (6585.27, 5.0),
    (6718.29, 3.0),
    (6732.67, 2.5),
)
TOY_WIDTH_KMS = 150.0
TOY_LOG_MASS = 10.0
TOY_LOG_AMPLITUDE = (-0.5, 0.5)


def default_instrument(
    resolving_power: float = 1000.0, redshift_range: tuple[float, float] = (0.01, 1.0)
) -> Instrument:
    """The generic instrument of the checks: 3700-9300 A, a flux calibration without errors."""
    return replace(
        Instrument.generic_of(resolving_power),
        redshift_range=redshift_range,
        calibration_rms=CALIBRATION_RMS,
        calibration_offset=CALIBRATION_RMS,
    )


def pixel_grids(instrument: Instrument) -> tuple[WavelengthGrid, ...]:
    """Native pixels of each arm; for a generic instrument 2.2 pixels per FWHM over 3700-9300 A."""
    if not instrument.generic:
        return tuple(arm.grid for arm in instrument.arms)
    resolving_power = 5000.0 / (FWHM_PER_SIGMA * float(instrument.sigma([5000.0])[0]))
    step = 1.0 / (resolving_power * PIXELS_PER_FWHM * np.log(10.0))
    return (WavelengthGrid.log10(*GENERIC_RANGE, step),)


def toy_flux(wavelength: ArrayLike, redshift: ArrayLike, sigma: ArrayLike) -> Floats:
    """Flux density of the toy galaxy of unit amplitude: a continuum with a 4000 A break and Gaussian lines.

    Args:
        wavelength: [..., n_pix] observed, angstrom.
        redshift: [...] redshifts, one per spectrum.
        sigma: [..., n_pix] Gaussian sigma of the line-spread function, angstrom.

    Returns:
        [..., n_pix], 1e-17 erg s^-1 cm^-2 A^-1.
    """
    stretch = 1.0 + np.asarray(redshift, dtype=np.float64)[..., None]
    rest = np.asarray(wavelength) / stretch
    continuum = np.sqrt(5500.0 / rest) * (1.0 + 0.4 * np.tanh((rest - 4000.0) / 120.0))
    lines = np.zeros_like(rest)
    instrumental = (np.asarray(sigma) / np.asarray(wavelength)) ** 2
    relative = np.sqrt(instrumental + (TOY_WIDTH_KMS / SPEED_OF_LIGHT_KMS) ** 2)
    for centre, width in TOY_LINES:
        scale = relative * centre
        near = np.abs(rest - centre) < 6.0 * scale
        profile = np.exp(-0.5 * ((rest[near] - centre) / np.broadcast_to(scale, rest.shape)[near]) ** 2)
        lines[near] += width * profile / (np.sqrt(2.0 * np.pi) * np.broadcast_to(scale, rest.shape)[near])
    return continuum * (1.0 + lines)


def toy_batch(instrument: Instrument, n: int, snr: float, seed: int) -> tuple[SpectrumBatch, Truth]:
    """Toy galaxies of one spectral shape; redshift flat over the instrument's range.

    Not physical, but exactly known: a backend that knows `toy_flux` can be checked against the statistics. The toy's
    `log_stellar_mass` is 10 + log10 of its amplitude.
    """
    rng = np.random.default_rng([seed, n])
    redshift = rng.uniform(*instrument.redshift_range, size=n)
    amplitude = 10 ** rng.uniform(*TOY_LOG_AMPLITUDE, size=n)
    clean = []
    for grid in pixel_grids(instrument):
        wavelength = np.broadcast_to(grid.centres, (n, len(grid)))
        sigma = np.broadcast_to(instrument.sigma(grid.centres), wavelength.shape)
        clean.append(amplitude[:, None] * toy_flux(wavelength, redshift, sigma))
    truth = {"redshift": redshift, "log_stellar_mass": TOY_LOG_MASS + np.log10(amplitude)}
    return observe(instrument, clean, snr, rng), truth


def simulated_batch(instrument: Instrument, n: int, snr: float, seed: int) -> tuple[SpectrumBatch, Truth]:
    """Galaxies of `GalaxyModel` drawn from `GalaxyPrior` over the instrument's redshifts; needs torch.

    Redshift is flat in ln(1 + z) and magnitude is flat. The flux calibration is off by what the instrument states.
    """
    from galfit_ml.testing.galaxies import calibration_error, draw_galaxies

    rng = np.random.default_rng([seed, n])
    grids = pixel_grids(instrument)
    flux, truth = draw_galaxies(instrument, grids, n, rng)
    arms = np.split(flux, np.cumsum([len(grid) for grid in grids])[:-1], axis=1)
    clean = [arm * calibration_error(instrument, arm.shape[1], n, rng) for arm in arms]
    return observe(instrument, clean, snr, rng), truth


def observe(instrument: Instrument, clean: Sequence[Floats], snr: float, rng: np.random.Generator) -> SpectrumBatch:
    """White noise on noiseless spectra, and 3 % of the pixels masked.

    Args:
        clean: for each arm [n, n_pix] noiseless flux density, 1e-17 erg s^-1 cm^-2 A^-1, on `pixel_grids(instrument)`.
        snr: median signal-to-noise per pixel of each spectrum, over all arms; the noise is the same in every pixel.
    """
    n = len(clean[0])
    noise = np.median(np.abs(np.concatenate(clean, axis=1)), axis=1) / snr
    arms = []
    for arm, grid, model in zip(instrument.arms, pixel_grids(instrument), clean, strict=True):
        shape = (n, len(grid))
        flux = model + noise[:, None] * rng.standard_normal(shape)
        ivar = np.broadcast_to(noise[:, None] ** -2.0, shape)
        sigma = np.broadcast_to(instrument.sigma(grid.centres), shape).copy()
        masked = rng.random(shape) < MASKED_FRACTION
        arms.append(ArmSpectra(arm.name, grid, flux, ivar, masked, sigma))
    names = tuple(f"mock-{i}" for i in range(n))
    return SpectrumBatch(instrument, tuple(arms), names, np.zeros(n, dtype=np.int64), ("",) * n, ({},) * n)


def with_masked(batch: SpectrumBatch, bad: Sequence[NDArray[np.bool_]]) -> SpectrumBatch:
    """The batch with the pixels `bad` ([n, n_pix] for each arm) masked too; rows without any good pixel are FAILED."""
    arms = tuple(replace(arm, bad=arm.bad | more) for arm, more in zip(batch.arms, bad, strict=True))
    empty = np.all(np.concatenate([arm.bad for arm in arms], axis=1), axis=1).tolist()
    flags = np.where(empty, batch.flags | int(Flag.FAILED), batch.flags)
    reasons = tuple("every pixel is masked" if e else r for e, r in zip(empty, batch.reasons, strict=True))
    return replace(batch, arms=arms, flags=flags, reasons=reasons)
