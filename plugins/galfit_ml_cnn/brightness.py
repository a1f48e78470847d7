"""Magnitudes that training spectra are given: more of those that can be learnt from, each with its weight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EMPHASIS = (0.4, 0.85)
"""Part of a magnitude range in which spectra are neither easy nor hopeless."""

EXCESS = 2.0
"""How many more spectra are drawn there than elsewhere, less one."""


class Brightness:
    """Draws magnitudes within limits, denser where it matters; with its weights, draws are flat.

    Args:
        magnitude_range: of the instrument's prior.
        excess: see `EXCESS`; 0 draws flat.
    """

    def __init__(self, magnitude_range: tuple[float, float], excess: float = EXCESS) -> None:
        low, high = magnitude_range
        self._magnitude = np.linspace(low, high, 2001)
        place = (self._magnitude - low) / (high - low)
        ramps = [np.clip((place - EMPHASIS[0]) / 0.05 + 0.5, 0, 1), np.clip((EMPHASIS[1] - place) / 0.05 + 0.5, 0, 1)]
        self._density = 1.0 + excess * ramps[0] * ramps[1]
        steps = 0.5 * (self._density[1:] + self._density[:-1]) * np.diff(self._magnitude)
        self._cumulative = np.concatenate([[0.0], np.cumsum(steps)])

    def draw(self, bright: Floats, faint: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Magnitudes [n] between limits [n], and weights [n] with which they are a flat sample."""
        low, high = (np.interp(m, self._magnitude, self._cumulative) for m in (bright, faint))
        magnitude = np.interp(low + (high - low) * rng.random(len(low)), self._cumulative, self._magnitude)
        width = faint - bright
        mean_density = np.where(width > 1e-3, (high - low) / np.maximum(width, 1e-3), 1.0)
        density = np.where(width > 1e-3, np.interp(magnitude, self._magnitude, self._density), 1.0)
        return np.clip(magnitude, bright, faint), mean_density / density
