"""Mock observations of matched galaxies with the noise level of the real spectra."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.sdss_mocks.match import Match
from galfit_ml.simulate.conditions import Conditions
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.spectrograph import Spectrograph

Floats = NDArray[np.float64]

EDGE = 40
"""Pixels at both ends that the noise level is not measured on."""


@dataclass(frozen=True)
class Mocks:
    """Simulated counterparts of n matched galaxies.

    Args:
        wavelength: [n_pix] observed frame.
        flux, ivar: [n, n_pix]; ivar 0 at bad pixels.
        clean: [n, n_pix] without noise and errors.
    """

    wavelength: Floats
    flux: Floats
    ivar: Floats
    clean: Floats


def observe(
    matches: list[Match], model: GalaxyModel, spectrograph: Spectrograph, *, same_noise: bool, seed: int
) -> Mocks:
    """Mocks of all matches at tier 1.

    Args:
        matches: n of them.
        model: galaxy model.
        spectrograph: the instrument.
        same_noise: True for the exposure time that gives the median ivar of the galaxy; False for that of the curve.
        seed: of the noise.
    """
    clean = torch.cat([model.observe(m.galaxy, spectrograph.pixels).flux for m in matches])
    curve = spectrograph.instrument.noise_curve
    if curve is None:
        raise SystemExit(f"The instrument '{spectrograph.instrument.name}' has no noise curve.")
    conditions = Conditions.nominal(spectrograph.instrument, len(matches), curve.exposure)
    if same_noise:
        expected = _observed(spectrograph, clean, conditions, seed).ivar
        ratio = [variance_ratio(m, spectrograph, row) for m, row in zip(matches, expected, strict=True)]
        conditions = replace(conditions, exposure=conditions.exposure / torch.tensor(ratio, dtype=torch.float32))
    return _observed(spectrograph, clean, conditions, seed)


def _observed(spectrograph: Spectrograph, clean: torch.Tensor, conditions: Conditions, seed: int) -> Mocks:
    generator = torch.Generator().manual_seed(seed)
    seen = spectrograph.observe(clean, conditions, tier=1, generator=generator)
    wavelength = spectrograph.pixels.wavelength.numpy()
    return Mocks(wavelength, *(a.double().numpy() for a in (seen.flux, seen.ivar, clean)))


def variance_ratio(match: Match, spectrograph: Spectrograph, ivar: Floats) -> float:
    """Median ratio of the real variance to the simulated one, 1 / `ivar` [n_pix]."""
    real = np.interp(spectrograph.pixels.wavelength.numpy(), match.wavelength, match.ivar, left=0.0, right=0.0)
    good = (real > 0) & (ivar > 0)
    good[:EDGE] = good[-EDGE:] = False
    return float(np.median(ivar[good] / real[good]))
