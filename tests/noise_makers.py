"""What the tests of noise share: spectra of constant f_nu, and instruments whose systematics are switched off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from galfit_ml.instruments import Instrument, get_instrument
from galfit_ml.observatory import Curve, NoiseCurve
from galfit_ml.simulate.etc import flat_spectrum
from galfit_ml.simulate.spectrograph import Spectrograph

MOONS = get_instrument("moons-lr")


def flat(spectrograph: Spectrograph, magnitudes: Tensor) -> Tensor:
    """[n, n_pix] sources of constant f_nu and those total AB magnitudes [n]."""
    unit = torch.as_tensor(flat_spectrum(spectrograph.pixels.wavelength.numpy(), 20.0), dtype=torch.float32)
    return 10 ** (-0.4 * (magnitudes[:, None] - 20.0)) * unit


def without_calibration(instrument: Instrument) -> Instrument:
    """The same, its flux calibration free of errors."""
    return replace(instrument, calibration_rms=0.0, calibration_offset=0.0)


def without_residual(instrument: Instrument) -> Instrument:
    """The same, its sky subtracted without residual."""
    assert instrument.observatory is not None
    observatory = replace(instrument.observatory, residual=0.0, wavelength_residual=0.0)
    return replace(instrument, observatory=observatory)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def curved_instrument() -> Instrument:
    """SDSS pixels with a made-up noise curve: a continuum and ten sky lines."""
    base = get_instrument("sdss")
    wavelength = base.arms[0].grid.centres
    lines = np.zeros(len(wavelength))
    for centre in np.linspace(7200.0, 9100.0, 10):
        lines += 4.0 * np.exp(-0.5 * ((wavelength - centre) / 3.0) ** 2)
    sky = Curve(tuple(wavelength), tuple(1.0 + lines))
    light = Curve((3800.0, 9200.0), (0.05, 0.03))
    curve = NoiseCurve(2700.0, sky, light, scatter=0.1, residual=0.05, source="made up")
    return replace(base, noise_curve=curve)
