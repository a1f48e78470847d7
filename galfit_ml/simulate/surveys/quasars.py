"""Broad-line quasars: a broken power law, the lines of the SDSS composite, and the intergalactic medium."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from galfit_ml.simulate.igm import igm_transmission

Floats = NDArray[np.float64]

LINES = np.array(
    [
        # rest wavelength (vacuum A), equivalent width (A), sigma (A)
        [1033.0, 9.8, 7.8],
        [1216.3, 92.9, 19.5],
        [1239.9, 1.1, 2.7],
        [1305.4, 1.7, 5.4],
        [1336.6, 0.7, 3.9],
        [1398.3, 8.1, 14.3],
        [1546.2, 23.8, 14.3],
        [1637.8, 0.5, 3.9],
        [1664.7, 0.4, 5.3],
        [1856.8, 0.3, 5.0],
        [1887.2, 0.2, 3.1],
        [1906.0, 21.2, 23.6],
        [2800.3, 32.3, 35.0],
        [3426.8, 1.2, 4.7],
        [3729.7, 1.6, 3.3],
        [3869.8, 1.4, 5.3],
        [4102.7, 5.1, 18.6],
        [4346.4, 12.6, 20.3],
        [4853.1, 46.2, 40.4],
        [4960.4, 3.5, 3.9],
        [5008.2, 13.2, 6.0],
        [6564.9, 194.5, 47.4],
    ]
)
"""Vanden Berk et al. (2001, AJ 122, 549, table 2), rounded: the composite of 2,204 SDSS quasars. Blends of iron and the
Balmer continuum are left out."""

SLOPE, SLOPE_SCATTER = -0.44, 0.3
"""f_nu ~ nu^slope between 1300 and 5000 A (Vanden Berk et al. 2001); scatter of single quasars (Richards et al. 2001,
AJ 121, 2308)."""

RED_SLOPE = -0.78
"""The same beyond `BREAK`: the near-infrared composite of Glikman et al. (2006, ApJ 640, 579) at 5700-10850 A. The
-2.45
of the SDSS composite there is in part light of host galaxies (Vanden Berk et al. 2001, sec. 4.1)."""

BREAK = 5000.0
WIDTH_SCATTER, STRENGTH_SCATTER = 0.15, 0.2
"""dex between quasars, about as in Shen et al. (2011, ApJS 194, 45): of all widths together, and of each line."""


def quasar_spectra(wavelength: Floats, redshift: Floats, rng: np.random.Generator) -> Floats:
    """f_lambda of n quasars at observed vacuum wavelengths [n_pix] (A), arbitrary scale, [n, n_pix].

    Without noise, in the middle of the pixels: even the narrow lines (360 km/s) are wider than what instruments add.

    Args:
        wavelength: [n_pix].
        redshift: [n].
        rng: source of slopes, widths and strengths.
    """
    n = len(redshift)
    slope = SLOPE + SLOPE_SCATTER * rng.standard_normal(n)
    width = 10 ** (WIDTH_SCATTER * rng.standard_normal(n))
    strength = LINES[:, 1] * 10 ** (STRENGTH_SCATTER * rng.standard_normal((n, len(LINES))))
    rest = wavelength / (1 + redshift)[:, None]
    out = _continuum(rest, slope[:, None])
    relative = np.zeros_like(rest)
    for i, (centre, _, sigma) in enumerate(LINES):
        own = sigma * (width if sigma > 10.0 else np.ones(n))
        profile = np.exp(-0.5 * ((rest - centre) / own[:, None]) ** 2) / (np.sqrt(2 * np.pi) * own[:, None])
        relative += strength[:, i, None] * profile
    return np.asarray(out * (1 + relative) * _intergalactic(rest, redshift))


def _continuum(rest: Floats, slope: Floats) -> Floats:
    """Power laws f_lambda ~ lambda^(-2 - slope) that meet at `BREAK`."""
    x = rest / BREAK
    return np.asarray(x ** (-2 - np.where(x < 1, slope, RED_SLOPE)))


def _intergalactic(rest: Floats, redshift: Floats) -> Floats:
    out = np.ones_like(rest)
    for row, z in zip(range(len(rest)), redshift, strict=True):
        out[row] = igm_transmission(torch.as_tensor(rest[row]), torch.tensor([z]))[0].numpy()
    return out
