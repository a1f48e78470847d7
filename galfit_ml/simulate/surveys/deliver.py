"""How much of a galaxy's light a fibre delivers, over what the pipeline takes it to deliver."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

APERTURE_SCATTER = 0.07
"""Sigma of ln(f_true / f_assumed), f the fibre fraction: centring errors of 0.1 arcsec, seeing that differs from what
was assumed and galaxies that are no Gaussians make 5-10 %."""


def aperture_factors(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Delivered over total flux of n galaxies."""
    return np.exp(APERTURE_SCATTER * rng.standard_normal(n))
