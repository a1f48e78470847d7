"""Smallest line flux a spectrum shows: the error of a matched filter at every wavelength."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from galfit_ml.grid import SPEED_OF_LIGHT_KMS
from galfit_ml.instruments import FWHM_PER_SIGMA
from galfit_ml.simulate.pixels import Pixels

Floats = NDArray[np.float64]

REACH = 4.0
"""Half-width of the line, in sigma."""


def line_error(pixels: Pixels, variance: Floats, good: NDArray[np.bool_], width: float) -> Floats:
    """One-sigma error of the flux of a Gaussian line centred on each pixel, [n_pix], flux-density unit x angstrom.

    With p_i the mean profile in pixel i, the least-squares amplitude has the variance 1 / sum_i p_i^2 / var_i.

    Args:
        pixels: of the instrument.
        variance: [n_pix] of the pixels.
        good: [n_pix] pixels that are used.
        width: intrinsic FWHM, km/s.

    Returns:
        Infinite where no good pixel sees the line.
    """
    weight = np.where(good, 1.0 / variance, 0.0)
    lsf = pixels.lsf_sigma.double().numpy()
    parts, start = [], 0
    for edges in (e.numpy() for e in pixels.edges):
        own = slice(start, start + len(edges) - 1)
        parts.append(_arm_error(edges, weight[own], lsf[own], width))
        start = own.stop
    return np.concatenate(parts)


def _arm_error(edges: Floats, weight: Floats, lsf: Floats, width: float) -> Floats:
    widths = np.diff(edges)
    centre = 0.5 * (edges[1:] + edges[:-1])
    doppler = centre * width / (SPEED_OF_LIGHT_KMS * FWHM_PER_SIGMA)
    sigma = np.sqrt(doppler**2 + np.maximum(lsf**2 - widths**2 / 12.0, 0.0))
    information = np.zeros(len(centre))
    reach = int(np.ceil(REACH * float((sigma / widths).max())))
    index = np.arange(len(centre))
    for step in range(-reach, reach + 1):
        pixel = index + step
        inside = (pixel >= 0) & (pixel < len(centre))
        i, j = index[inside], pixel[inside]
        share = ndtr((edges[j + 1] - centre[i]) / sigma[i]) - ndtr((edges[j] - centre[i]) / sigma[i])
        information[i] += (share / widths[j]) ** 2 * weight[j]
    return np.where(information > 0, 1.0 / np.sqrt(np.maximum(information, 1e-300)), np.inf)
