"""Spectra that are no galaxies, made at random: what a network must learn to call unknown.

Showing a detector many kinds of outliers makes it find others too (Hendrycks, Mazeika & Dietterich 2019,
arXiv:1812.04606, outlier exposure). Stars and quasars of the simulator are one part of them; these are the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from torch import Tensor, as_tensor

from galfit_ml.grid import SPEED_OF_LIGHT_KMS

Floats = NDArray[np.float64]

BALMER = (6564.61, 4862.69, 4341.69, 4102.89, 3971.20, 3890.17, 3836.48)
"""Vacuum angstrom."""

HC_K = 1.438777e8
"""h c / k, angstrom kelvin."""

WINDOW = 301
"""Pixels of the running mean that a spectrum is turned upside down about."""


class Strange:
    """Puts strange things in the place of galaxies.

    Args:
        wavelength: [n_pix] vacuum angstrom.
        share: of the rows that are replaced.

    Attributes:
        rows: [n] True where the last call replaced a galaxy.
    """

    def __init__(self, wavelength: Floats, share: float) -> None:
        self.wavelength, self.share = wavelength, share
        self.rows = np.zeros(0, dtype=bool)
        self._kinds = (
            *(self._upside_down, self._negative, self._backwards),
            *(self._hot_star, self._broad_lines, self._featureless),
        )

    def __call__(self, flux: Tensor, _redshift: Tensor, rng: np.random.Generator) -> Tensor:
        """Noiseless spectra [n, n_pix], some of them replaced; the size of the mean flux of each stays."""
        out = flux.double().numpy().copy()
        self.rows = rng.random(len(out)) < self.share
        for row in np.flatnonzero(self.rows):
            mean = out[row].mean()
            made = self._kinds[int(rng.integers(len(self._kinds)))](out[row], rng)
            out[row] = made * mean / max(abs(made.mean()), 1e-12)
        return as_tensor(out, dtype=flux.dtype)

    @staticmethod
    def _upside_down(flux: Floats, _rng: np.random.Generator) -> Floats:
        return 2 * uniform_filter1d(flux, WINDOW, mode="nearest") - flux

    @staticmethod
    def _negative(flux: Floats, _rng: np.random.Generator) -> Floats:
        return -flux

    @staticmethod
    def _backwards(flux: Floats, _rng: np.random.Generator) -> Floats:
        return flux[::-1].copy()

    def _hot_star(self, _flux: Floats, rng: np.random.Generator) -> Floats:
        """A black body with Balmer lines, in absorption or, as cataclysmic variables have them, in emission."""
        x = HC_K / (self.wavelength * 10 ** rng.uniform(3.8, 4.7))
        light = (self.wavelength / self.wavelength.mean()) ** -5 / np.expm1(x)
        sigma = 10 ** rng.uniform(2.4, 3.5)
        depth = rng.uniform(0.1, 0.8) * (-1.0 if rng.random() < 0.7 else 1.5)
        velocity = rng.normal(0.0, 100.0)
        for number, line in enumerate(BALMER):
            light *= 1 + depth * 0.93**number * self._bump(line * (1 + velocity / SPEED_OF_LIGHT_KMS), sigma)
        return np.asarray(light)

    def _broad_lines(self, _flux: Floats, rng: np.random.Generator) -> Floats:
        """A power law with broad lines anywhere."""
        light = self._featureless(_flux, rng)
        for _ in range(int(rng.integers(1, 6))):
            line = np.exp(rng.uniform(*np.log(self.wavelength[[0, -1]])))
            light *= 1 + 10 ** rng.uniform(-0.7, 0.8) * self._bump(line, 10 ** rng.uniform(3.0, 3.9))
        return light

    def _featureless(self, _flux: Floats, rng: np.random.Generator) -> Floats:
        return np.asarray((self.wavelength / self.wavelength.mean()) ** rng.uniform(-3.0, 1.5))

    def _bump(self, centre: float, sigma_kms: float) -> Floats:
        velocity = SPEED_OF_LIGHT_KMS * np.log(self.wavelength / centre)
        return np.asarray(np.exp(-0.5 * (velocity / sigma_kms) ** 2))
