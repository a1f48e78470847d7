"""Smooth errors as Chebyshev polynomials: the flux calibration of an arm, the shape of a sky residual."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from galfit_ml.instruments import Instrument

Floats = NDArray[np.float64]


def chebyshev(order: int, n_pix: int) -> Floats:
    """Chebyshev polynomials T_0 .. T_order, [order + 1, n_pix], from -1 at an arm's first pixel to 1 at its last."""
    angle = np.arccos(np.linspace(-1.0, 1.0, n_pix)) if n_pix > 1 else np.zeros(1)
    return np.asarray(np.cos(np.arange(order + 1)[:, None] * angle))


def calibration_modes(instrument: Instrument, n_pix: int) -> Floats:
    """The flux-calibration error of one arm, [order + 1, n_pix]: standard normals times these are its relative error.

    The first mode is the offset of the arm; the others share the stated rms equally.
    """
    order = instrument.calibration_order
    smooth = instrument.calibration_rms * np.sqrt(2.0 / max(order, 1))
    width = np.array([instrument.calibration_offset, *[smooth] * order])
    return width[:, None] * chebyshev(order, n_pix)
