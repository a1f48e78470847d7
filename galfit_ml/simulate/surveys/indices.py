"""Spectral indices of the starlight: the narrow 4000 A break and H-delta_A."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from galfit_ml.grid import air_to_vacuum
from galfit_ml.simulate.populations import StellarPopulations
from galfit_ml.simulate.surveys.rest_frame import RestStarlight
from galfit_ml.simulate.surveys.sample import Part

BREAK_BLUE, BREAK_RED = (3850.0, 3950.0), (4000.0, 4100.0)
"""A, air: the 4000 A break of Balogh et al. (1999, ApJ 527, 54)."""

HDELTA, HDELTA_BLUE, HDELTA_RED = (4083.50, 4122.25), (4041.60, 4081.50), (4128.50, 4161.00)
"""A, air: H-delta_A of Worthey & Ottaviani (1997, ApJS 111, 377)."""


class StellarIndices:
    """Indices of the stars behind dust, without emission lines and velocity broadening.

    Args:
        grid: stellar populations; its own resolution (65-80 km/s) is that of the indices.
    """

    def __init__(self, grid: StellarPopulations) -> None:
        self._light = RestStarlight(grid, 3830.0, 4180.0)
        wave = self._light.wavelength.double()
        self._wave = wave
        self._width = torch.gradient(wave)[0]

    def __call__(self, parts: Sequence[Part]) -> dict[str, Tensor]:
        """`D4000n` and `HdA` (A) of galaxies that are the sum of `parts`, each [n]."""
        light = sum((self._of(part) for part in parts), start=torch.zeros((), device=self._wave.device))
        return {"D4000n": self._break(light), "HdA": self._hdelta(light)}

    def _of(self, part: Part) -> Tensor:
        return self._light(part.galaxies).double() * 10 ** part.galaxies.log_formed_mass.double()[:, None]

    def _weights(self, band: tuple[float, float]) -> Tensor:
        """Width of each pixel within the band, A; pixels at its ends count in part."""
        low, high = (float(edge) for edge in air_to_vacuum(band))
        left, right = self._wave - 0.5 * self._width, self._wave + 0.5 * self._width
        return (right.clamp(max=high) - left.clamp(min=low)).clamp(min=0.0)

    def _break(self, light: Tensor) -> Tensor:
        """Ratio of the mean f_nu on the red and blue side."""
        red, blue = self._weights(BREAK_RED), self._weights(BREAK_BLUE)
        f_nu = light * self._wave**2
        return (f_nu @ red / red.sum()) / (f_nu @ blue / blue.sum())

    def _hdelta(self, light: Tensor) -> Tensor:
        """Equivalent width below the straight line through the two side bands, A."""
        places, means = [], []
        for band in (HDELTA_BLUE, HDELTA_RED):
            weights = self._weights(band)
            places.append(float((weights * self._wave).sum() / weights.sum()))
            means.append(light @ weights / weights.sum())
        slope = (means[1] - means[0]) / (places[1] - places[0])
        line = means[0][:, None] + slope[:, None] * (self._wave - places[0])
        return (1 - light / line) @ self._weights(HDELTA)
