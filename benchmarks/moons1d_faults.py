"""The recipe of moons1d 1.0.3, made from this package's parts by switching on what moons1d does otherwise.

Used by `benchmarks.snr` and the tests to tell a difference of recipe from a difference of numbers: with these switches
on, the signal-to-noise ratio must be that of recorded moons1d runs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from galfit_ml.instruments import FWHM_PER_SIGMA, Arm, Instrument, get_instrument
from galfit_ml.simulate.conditions import Conditions
from galfit_ml.simulate.etc import flat_spectrum, signal_to_noise
from galfit_ml.simulate.fibre import effective_fwhm, fibre_fraction

Floats = NDArray[np.float64]

RECORDED = Path(__file__).parents[1] / "tests" / "data" / "moons1d.json"
GAIN = {"RI": 0.6, "YJ": 1.0, "H": 1.0}
"""ADU per electron at low resolution (MOONS_mode.ini)."""

LIGHT_KMS = 299792.458


@dataclass(frozen=True)
class Faults:
    """What moons1d does otherwise; each may be switched off.

    Args:
        sky_through_fibre: the fibre fraction multiplies the sky as well.
        adu: Poisson noise is counted in ADU, read noise and dark current in electrons without gain.
        centre: photons of the object are converted at the wavelength in the middle of the arm.
        one_pixel: one detector pixel across the trace, no scattered light.
        cold: no thermal emission.
        wide_lsf: the pixels widen the line-spread function.
    """

    sky_through_fibre: bool = True
    adu: bool = True
    centre: bool = True
    one_pixel: bool = True
    cold: bool = True
    wide_lsf: bool = True


def recorded() -> dict[str, Any]:
    """Recorded moons1d runs, see `benchmarks.record_moons1d`."""
    return json.loads(RECORDED.read_text())


def instrument(faults: Faults) -> Instrument:
    """MOONS as moons1d has it: detector, telescope and line-spread function."""
    base = get_instrument("moons-lr")
    assert base.observatory is not None
    observatory = replace(base.observatory, emissivity=0.0) if faults.cold else base.observatory
    return replace(base, observatory=observatory, arms=tuple(_arm(arm, faults) for arm in base.arms))


def _arm(arm: Arm, faults: Faults) -> Arm:
    assert arm.detector is not None
    if faults.one_pixel:
        arm = replace(arm, detector=replace(arm.detector, spatial_pixels=1.0, stray=0.0))
    if faults.wide_lsf:
        width = float(np.mean(arm.grid.widths))
        wider = tuple(float(np.hypot(v, FWHM_PER_SIGMA * width / np.sqrt(12.0))) for v in arm.resolution.value)
        arm = replace(arm, resolution=replace(arm.resolution, value=wider))
    return arm


def signal_to_noise_as_moons1d(case: dict[str, Any], spiral: dict[str, Any], faults: Faults) -> dict[str, Floats]:
    """Signal-to-noise ratio per pixel of a recorded case, by arm."""
    moons = instrument(faults)
    assert moons.observatory is not None
    wavelength = np.concatenate([arm.grid.centres for arm in moons.arms])
    depth = signal_to_noise(
        moons,
        magnitude=None,
        exposure=3600.0 * case["hours"],
        size=case["size"],
        spectrum=source(case, spiral, wavelength),
        tier=0,
    )
    light, sky, detector = depth.object_electrons, depth.sky_electrons, depth.detector_electrons
    if faults.sky_through_fibre:
        sky = sky * fraction(moons, case["size"], wavelength)
    out, start = {}, 0
    for arm in moons.arms:
        pixels = slice(start, start + len(arm.grid))
        start = pixels.stop
        gain = GAIN[arm.name] if faults.adu else 1.0
        centre = arm.grid.centres.mean() / arm.grid.centres if faults.centre else 1.0
        counts = gain * light[pixels] * centre
        out[arm.name] = counts / np.sqrt(counts + 2 * gain * sky[pixels] + 2 * detector[pixels])
    return out


def fraction(moons: Instrument, size: float, wavelength: Floats) -> Floats:
    """Nominal fibre fraction, [n_pix]."""
    assert moons.observatory is not None
    nominal = Conditions.nominal(moons, 1, "1h", size)
    quality = torch.as_tensor(moons.observatory.image_quality(wavelength))
    fwhm = effective_fwhm(quality, nominal.seeing, nominal.airmass)
    return np.asarray(fibre_fraction(moons.observatory.fibre, fwhm, nominal.size[:, None])[0].numpy())


def source(case: dict[str, Any], spiral: dict[str, Any], wavelength: Floats) -> Floats:
    """f_lambda of a recorded case, 1e-17 erg s^-1 cm^-2 A^-1, at `wavelength`: the very input moons1d was given."""
    if case["spectrum"] == "flat":
        return flat_spectrum(wavelength, case["magnitude"])
    grid = spiral["first"] * np.exp(np.arange(len(spiral["flux"])) * spiral["step_kms"] / LIGHT_KMS)
    flux = np.asarray(spiral["flux"], dtype=np.float64)
    band = (grid >= spiral["band"][0]) & (grid <= spiral["band"][1])
    unit = flat_spectrum(grid, case["magnitude"])
    return np.asarray(np.interp(wavelength, grid, flux) / np.mean((flux / unit)[band]))


def median_in_bins(values: Floats, n_bins: int) -> Floats:
    """Medians over equal runs of pixels."""
    return np.array([np.median(part) for part in np.array_split(values, n_bins)])
