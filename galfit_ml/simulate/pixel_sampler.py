"""From rest-frame spectra on the stellar grid to an instrument's pixels: redshift, dispersion, line-spread function.

Both wavelength scales are logarithmic, so a redshift is a shift. Its whole pixels are a choice of where to begin, its
fraction a phase in Fourier space, where the dispersion acts too. After that all galaxies lie on one observed grid, and
cubic B-splines at positions common to all give the values at the pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from galfit_ml.simulate.galaxies import Galaxies
from galfit_ml.simulate.lsf import blends
from galfit_ml.simulate.pixels import Pixels
from galfit_ml.simulate.populations import StellarPopulations
from galfit_ml.simulate.smoothing import C_KMS, SplineSampler, spline_coefficients

TAPER = 24
"""Grid pixels at both ends over which spectra fade to 0: a step would ring when it is shifted."""

REACH = 5.0
"""Sigma beyond the first and last pixel that are computed."""

LEAST_MARGIN, LARGEST_MARGIN = 3000.0, 30000.0
"""km/s computed beyond the first and last pixel."""


@dataclass(frozen=True)
class Placement:
    """Where galaxies lie on the observed grid.

    Args:
        shift: [n] grid pixels by which the redshift moves each, float64.
        offset: [n] whole pixels: element `offset` + k of the stellar grid is element k of the observed one, less a ...
        fraction: [n] ... fraction of a pixel, 0 to 1.
    """

    shift: Tensor
    offset: Tensor
    fraction: Tensor


class PixelSampler:
    """Projects spectra of the stellar grid onto pixels.

    Args:
        grid: stellar populations.
        library_variance: [n_wave] of the grid, (km/s)^2.
        pixels: the instrument's.
    """

    def __init__(self, grid: StellarPopulations, library_variance: Tensor, pixels: Pixels) -> None:
        self.grid, self.pixels, self._library = grid, pixels, library_variance
        self._position = (torch.log(pixels.wavelength) - grid.ln_wavelength0) / grid.dln
        instrument = (C_KMS * pixels.lsf_sigma / pixels.wavelength).float() ** 2
        widest = math.sqrt(float(instrument.max()))
        self._instrument = None if widest**2 <= float(library_variance.min()) else instrument
        margin = min(max(LEAST_MARGIN, REACH * math.hypot(400.0, widest)), LARGEST_MARGIN)
        self._margin = math.ceil(margin / (C_KMS * grid.dln)) + TAPER
        self._start = math.floor(float(self._position.min())) - self._margin
        self.length = math.ceil(float(self._position.max())) + self._margin + 1 - self._start
        self._sample = SplineSampler(self._position - self._start)
        ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(TAPER) + 0.5) / TAPER)
        self._ramp = torch.as_tensor(ramp, dtype=torch.float32, device=pixels.wavelength.device)

    def take(self, rows: Tensor) -> PixelSampler:
        """The sampler of the spectra `rows`, where the LSF differs between spectra."""
        if self._instrument is None or self._instrument.ndim == 1:
            return self
        part = object.__new__(PixelSampler)
        part.__dict__ |= self.__dict__ | {"_instrument": self._instrument[rows]}
        return part

    def place(self, g: Galaxies) -> Placement:
        """Where the galaxies lie."""
        stretch = (1 + g.redshift.double()) * (1 + g.zero_point.double() / C_KMS)
        shift = torch.log(stretch) / self.grid.dln
        begin = self._start - shift
        offset = begin.floor()
        return Placement(shift, offset.long(), (begin - offset).float())

    def window(self, g: Galaxies) -> tuple[int, int]:
        """First and last + 1 of the grid pixels that these galaxies need."""
        offset, n_wave = self.place(g).offset, len(self.grid.wavelength)
        first = min(max(int(offset.min()), 0), n_wave - 8)
        return first, max(min(int(offset.max()) + self.length, n_wave), first + 8)

    def project(self, light: Tensor, first: int, g: Galaxies) -> Tensor:
        """Rest-frame `light` [n, n_window] from grid pixel `first` on, at the pixels: [n, n_pix]."""
        at = self.place(g)
        aligned = self._align(light, at.offset - first)
        aligned[:, :TAPER] *= self._ramp
        aligned[:, -TAPER:] *= self._ramp.flip(0)
        out = light.new_empty(len(g), len(self._position))
        for blend in blends(self._excess(at), g.velocity_dispersion):
            rows = slice(None) if blend.rows is None else blend.rows
            dispersion, fraction = g.velocity_dispersion[rows], at.fraction[rows]
            splines = spline_coefficients(aligned[rows], dispersion, blend.variances, self.grid.dln, offset=fraction)
            values = [self._sample(s).T for s in splines]
            if blend.weights is None:
                out[rows] = values[0]
            else:
                out[rows] = sum(v * w for v, w in zip(values, blend.weights, strict=True))
        return out

    def _align(self, light: Tensor, begin: Tensor) -> Tensor:
        """Rows of `light` from `begin` [n] on, `length` pixels of each, [n, length]; 0 beyond the light."""
        low, high = int(begin.min()), int(begin.max()) + self.length
        left, right = max(-low, 0), max(high - light.shape[1], 0)
        if left or right:
            light = torch.nn.functional.pad(light, (left, right))
        starts = (begin + left).tolist()
        return torch.stack([row[b : b + self.length] for row, b in zip(light, starts, strict=True)])

    def _excess(self, at: Placement) -> Tensor | None:
        """Instrumental minus library variance, clipped at 0, [n, n_pix], (km/s)^2; None where it is 0 everywhere."""
        if self._instrument is None:
            return None
        pixel = (self._position.float() - at.shift.float()[:, None] + 0.5).long().clamp(0, len(self._library) - 1)
        return (self._instrument - self._library[pixel]).clamp(min=0.0)
