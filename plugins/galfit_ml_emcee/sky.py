"""Modes of the sky residual that an instrument predicts, on the pixels of the spectra."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from galfit_ml.instruments import Instrument
from galfit_ml.simulate.conditions import Conditions
from galfit_ml.simulate.spectrograph import Spectrograph
from galfit_ml.spectra import ArmSpectra, SpectrumBatch

Floats = NDArray[np.float64]

EXPOSURE_S = 3600.0
"""The residual in flux units does not depend on it: it is coherent over all exposures."""

ALIGNED = 0.02
"""Share of a pixel by which the pixels of a spectrum may lie off those of the instrument."""


def can_predict(instrument: Instrument) -> bool:
    """Whether the instrument states its sky: by an observatory with throughputs and detectors, or by a noise curve."""
    complete = all(arm.throughput is not None and arm.detector is not None for arm in instrument.arms)
    return instrument.noise_curve is not None or (instrument.observatory is not None and complete)


def sky_modes(batch: SpectrumBatch) -> list[Floats]:
    """Additive modes of each arm of a batch, [n_mode, n_pix]: standard normals times these, summed, are the residual.

    Nominal conditions: the sky of the night is not known. An arm without prediction has no modes.
    """
    if batch.instrument.generic or not can_predict(batch.instrument):
        return [np.zeros((0, len(arm.grid))) for arm in batch.arms]
    known = nominal_modes(batch.instrument)
    return [_on_pixels(arm, *known.get(arm.name, (None, None))) for arm in batch.arms]


@lru_cache(maxsize=8)
def nominal_modes(instrument: Instrument) -> dict[str, tuple[Floats, Floats]]:
    """For each arm its wavelengths [n_pix] and modes [n_mode, n_pix], in 1e-17 erg s^-1 cm^-2 A^-1."""
    spectrograph = Spectrograph(instrument)
    conditions = Conditions.nominal(instrument, 1, EXPOSURE_S)
    modes = [exposure.residual_modes()[0].double().numpy() for exposure in spectrograph.exposed(conditions)]
    return {arm.name: (arm.grid.centres, own) for arm, own in zip(instrument.arms, modes, strict=True)}


def _on_pixels(arm: ArmSpectra, wavelength: Floats | None, modes: Floats | None) -> Floats:
    centres = arm.grid.centres
    if wavelength is None or modes is None:
        return np.zeros((0, len(centres)))
    if len(centres) == len(wavelength) and np.abs(centres - wavelength).max() < ALIGNED * arm.grid.widths.min():
        return modes
    return np.stack([np.interp(centres, wavelength, mode, left=0.0, right=0.0) for mode in modes])
