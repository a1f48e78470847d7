"""Means of finely sampled spectra over pixels: the exact integral of an interpolating spline.

A library tabulates flux densities at points, and its points (67 km/s apart at 4000 A) are not much finer than the
pixels here. Taking each point for a step would print a staircase onto the pixels, and straight lines between points
would broaden every feature; a cubic spline does neither, and its integral conserves flux.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import FileFormatError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Piece:
    """A stretch of wavelength on which one spline is used: from `low` to `high` A, of that `degree`."""

    low: float
    high: float
    degree: int


PIECES = (Piece(0.0, 911.75, 3), Piece(911.75, 8753.0, 3), Piece(8753.0, np.inf, 1))
"""Nothing is interpolated across the Lyman limit, nor with curvature where points are 10–50 A apart (vacuum > 8752)."""


def pixel_means(wavelength: Floats, values: Floats, edges: Floats) -> Floats:
    """Mean flux density [..., n_pix] in the pixels between `edges` [n_pix + 1] of values [..., n] at points [n], A.

    Raises:
        FileFormatError: the points do not cover the pixels.
    """
    if wavelength[0] > edges[0] or wavelength[-1] < edges[-1]:
        raise FileFormatError(
            f"Spectra tabulated from {wavelength[0]:.0f} to {wavelength[-1]:.0f} A do not cover the pixels from "
            f"{edges[0]:.0f} to {edges[-1]:.0f} A: append points on both sides (zeros where there is no light)."
        )
    touched = [piece for piece in PIECES if piece.low < edges[-1] and piece.high > edges[0]]
    integral = sum(_piece_integral(piece, wavelength, values, edges) for piece in touched)
    return np.diff(integral, axis=-1) / np.diff(edges)


def _piece_integral(piece: Piece, wavelength: Floats, values: Floats, edges: Floats) -> Floats:
    """Integral [..., n_pix + 1] from the start of the piece to each edge, constant outside of the piece."""
    from scipy.interpolate import make_interp_spline

    first, last = _points_of(piece, wavelength)
    inside = np.clip(edges, piece.low, piece.high)
    spline = make_interp_spline(wavelength[first:last], values[..., first:last], k=piece.degree, axis=-1)
    integral: Floats = spline.antiderivative()(inside)
    return integral


def _points_of(piece: Piece, wavelength: Floats) -> tuple[int, int]:
    """Range of points inside the piece; a straight line also takes the point before, so that nothing is skipped."""
    first, last = np.searchsorted(wavelength, [piece.low, piece.high])
    return (max(int(first) - 1, 0), int(last)) if piece.degree == 1 else (int(first), int(last))
