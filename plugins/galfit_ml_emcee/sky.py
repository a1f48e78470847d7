"""Modes of the sky residual that an instrument predicts, on the pixels of the spectra.

A residual is what sky subtraction leaves: a share of the sky, and of its slope. How bright airglow and continuum were,
in what seeing, a spectrum does not tell, so that the residual of one night has another shape than that of another. The
modes are those of the covariance over nights, drawn as the simulator draws them (`Conditions.draw`); the night's own
residual is Gaussian, that over nights nearly so.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from galfit_ml.instruments import Instrument
from galfit_ml.simulate.conditions import Conditions
from galfit_ml.simulate.spectrograph import Spectrograph
from galfit_ml.spectra import ArmSpectra, SpectrumBatch

Floats = NDArray[np.float64]

EXPOSURE_S = 8 * 3600.0
"""The residual in flux units does not depend on it, for it is coherent over all exposures; what is too small does."""

NIGHTS, SEED = 48, 1

LEAST = 0.7
"""Modes that change less than this, in units of the noise summed over an arm (rms over nights), are left out."""

LEAST_SCANNED = 4.0
"""The same for a scan, which pays for every mode at every redshift."""

ALIGNED = 0.02
"""Share of a pixel by which the pixels of a spectrum may lie off those of the instrument."""


def can_predict(instrument: Instrument) -> bool:
    """Whether the instrument states its sky: by an observatory with throughputs and detectors, or by a noise curve."""
    complete = all(arm.throughput is not None and arm.detector is not None for arm in instrument.arms)
    return instrument.noise_curve is not None or (instrument.observatory is not None and complete)


def sky_modes(batch: SpectrumBatch, *, scan: bool = False) -> list[Floats]:
    """Additive modes of each arm of a batch, [n_mode, n_pix]: standard normals times these, summed, are the residual.

    An arm without prediction has no modes. A scan has the largest alone.
    """
    if batch.instrument.generic or not can_predict(batch.instrument):
        return [np.zeros((0, len(arm.grid))) for arm in batch.arms]
    known = modes_of(batch.instrument, LEAST_SCANNED if scan else LEAST)
    return [_on_pixels(arm, *known.get(arm.name, (None, None))) for arm in batch.arms]


def modes_of(instrument: Instrument, least: float = LEAST) -> dict[str, tuple[Floats, Floats]]:
    """For each arm its wavelengths [n_pix] and modes [n_mode, n_pix] above `least`, in 1e-17 erg s^-1 cm^-2 A^-1."""
    return {name: (centres, modes[size > least]) for name, (centres, modes, size) in _over_nights(instrument).items()}


@lru_cache(maxsize=8)
def _over_nights(instrument: Instrument) -> dict[str, tuple[Floats, Floats, Floats]]:
    """For each arm its wavelengths, its modes above `LEAST`, largest first, and their sizes [n_mode]."""
    spectrograph = Spectrograph(instrument)
    nominal = spectrograph.exposed(Conditions.nominal(instrument, 1, EXPOSURE_S))
    nights = Conditions.draw(instrument, NIGHTS, EXPOSURE_S, torch.Generator().manual_seed(SEED))
    out = {}
    for arm, one, many in zip(instrument.arms, nominal, spectrograph.exposed(nights), strict=True):
        variance = one.white_variance(torch.zeros(1, len(arm.grid)))[0].double().numpy()
        residuals = many.residual_modes().double().numpy().reshape(-1, len(arm.grid))
        modes = principal(residuals / NIGHTS**0.5, variance)
        out[arm.name] = (arm.grid.centres, modes, np.sqrt((modes**2 / variance).sum(axis=1)))
    return out


def principal(rows: Floats, variance: Floats) -> Floats:
    """Modes [k, n_pix] with the covariance rows' rows of many rows [m, n_pix], but for what is below `LEAST`.

    Args:
        rows: each times a standard normal, summed.
        variance: [n_pix] of the noise, by which they are weighed.
    """
    white = rows / np.sqrt(variance)
    power, mix = np.linalg.eigh(white @ white.T)
    kept = power > LEAST**2
    return np.ascontiguousarray((mix[:, kept].T @ rows)[::-1])


def _on_pixels(arm: ArmSpectra, wavelength: Floats | None, modes: Floats | None) -> Floats:
    centres = arm.grid.centres
    if wavelength is None or modes is None:
        return np.zeros((0, len(centres)))
    if len(centres) == len(wavelength) and np.abs(centres - wavelength).max() < ALIGNED * arm.grid.widths.min():
        return modes
    return np.stack([np.interp(centres, wavelength, mode, left=0.0, right=0.0) for mode in modes])
