"""What real galaxies do and the simulator cannot: features off the library, a blue end off it, lines off the grid.

A network that learns from perfect templates reads differences of a tenth of a per cent that no real spectrum keeps,
and is sure of itself. Three random errors, whose sizes stacks of real spectra suggest (docs/mocks.md), keep it from
that; each spectrum has its own amount of all of them, from none to twice the sizes below:

* a ripple, a smooth random relative error of several widths;
* a relative error below 3900 angstrom at rest, where stellar libraries and calibrations are least certain;
* a relative error of each emission line, since two numbers (metallicity, log U) do not give every line ratio.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galfit_ml.grid import SPEED_OF_LIGHT_KMS

RIPPLE = ((150.0, 0.006), (600.0, 0.008), (3000.0, 0.015))
"""Sigma in km/s of the Gaussian that smooths white noise, and rms, of each part of the ripple."""

BLUE, BLUE_ERROR, BLUE_SOFTNESS = 3900.0, 0.06, 0.02
"""Rest angstrom below which the model errs, by how much (sigma), and how softly that sets in (ln wavelength)."""

LINE_ERROR = 0.15
"""Sigma of a line's relative error."""

LINES = (
    *(2799.12, 3426.85, 3728.49, 3869.86, 3890.17, 3968.59, 4102.89, 4341.69, 4364.44, 4687.02, 4862.69, 4960.30),
    *(5008.24, 5877.25, 6302.05, 6549.86, 6564.61, 6585.27, 6718.29, 6732.68, 7137.76, 9071.11, 9533.23),
)
"""Vacuum angstrom; doublets that are one line at this resolution are one."""

BUMP_KMS = 220.0
"""Sigma of the window of a line."""

SIDEBANDS_KMS = (1300.0, 2000.0)
"""Distances from a line between which the light is that of the continuum."""

STEP_KMS = 75.0
"""Of the grid on which ripples are drawn."""


class Mismatch:
    """Errors of the model at given pixels.

    Args:
        wavelength: [n_pix] angstrom, increasing within arms.
        strength: typical amount; 1 for the sizes of this module.
    """

    def __init__(self, wavelength: NDArray[np.float64], strength: float = 1.0) -> None:
        self.strength = strength
        self._ln = torch.as_tensor(np.log(wavelength))
        place = (self._ln - self._ln.min()) * (SPEED_OF_LIGHT_KMS / STEP_KMS)
        self._pixel = place.long()
        self._share = (place - self._pixel).float()
        self._n = int(self._pixel.max()) + 2
        self._filter = _filter(self._n)

    def __call__(self, flux: Tensor, redshift: Tensor, rng: np.random.Generator) -> Tensor:
        """Noiseless spectra [n, n_pix] at redshifts [n], with errors."""
        n = len(flux)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        amount = 2 * self.strength * torch.rand(n, 1, generator=generator)
        rest = self._ln - torch.log1p(redshift.double())[:, None]
        blue = torch.sigmoid((np.log(BLUE) - rest).float() / BLUE_SOFTNESS)
        relative = self._ripple(n, generator) + BLUE_ERROR * torch.randn(n, 1, generator=generator) * blue
        changed = flux * (1 + amount * relative)
        errors = LINE_ERROR * amount * torch.randn(n, len(LINES), generator=generator)
        return self._lines(changed, rest, errors)

    def _ripple(self, n: int, generator: torch.Generator) -> Tensor:
        """[n, n_pix] of unit amount."""
        white = torch.randn(n, 2 * self._n, generator=generator)
        smooth = torch.fft.irfft(torch.fft.rfft(white) * self._filter, n=2 * self._n)
        low, high = smooth[:, self._pixel], smooth[:, self._pixel + 1]
        return low + (high - low) * self._share

    def _lines(self, flux: Tensor, rest: Tensor, errors: Tensor) -> Tensor:
        """Every line that stands out of the continuum beside it, times 1 + its error [n, n_line]."""
        factor = torch.zeros_like(flux)
        for number, line in enumerate(LINES):
            rows = ((rest[:, 0] < np.log(line)) & (rest[:, -1] > np.log(line))).nonzero()[:, 0]
            if len(rows):
                _add_line(factor, flux, rest, rows, (line, errors[:, number]))
        return flux + factor


def _add_line(added: Tensor, flux: Tensor, rest: Tensor, rows: Tensor, line: tuple[float, Tensor]) -> None:
    """Add the error of one line to `added` [n, n_pix] in the rows where it is within the spectrum."""
    wavelength, error = line
    centre = torch.searchsorted(rest[rows], torch.full((len(rows), 1), np.log(wavelength), dtype=rest.dtype))
    reach = _reach(rest)
    index = (centre + torch.arange(-reach, reach + 1)).clamp(0, flux.shape[1] - 1)
    velocity = (SPEED_OF_LIGHT_KMS * (torch.gather(rest[rows], 1, index) - np.log(wavelength))).float()
    light = torch.gather(flux[rows], 1, index)
    side = ((velocity.abs() > SIDEBANDS_KMS[0]) & (velocity.abs() < SIDEBANDS_KMS[1])).float()
    continuum = (light * side).sum(1, keepdim=True) / side.sum(1, keepdim=True).clamp(min=1.0)
    bump = torch.exp(-0.5 * (velocity / BUMP_KMS) ** 2) * (side.sum(1, keepdim=True) > 0)
    extra = error[rows, None] * bump * (light - continuum).clamp(min=0.0)
    # At the ends of a spectrum the same pixel stands in the window more than once.
    inside = (index > 0) & (index < flux.shape[1] - 1)
    added[rows[:, None].expand_as(index)[inside], index[inside]] += extra[inside]


def _reach(rest: Tensor) -> int:
    """Pixels that the sidebands reach to, at most."""
    step = float((rest[0, 1:] - rest[0, :-1]).median()) * SPEED_OF_LIGHT_KMS
    return int(np.ceil(SIDEBANDS_KMS[1] / step)) + 1


def _filter(n: int) -> Tensor:
    """Transform [n + 1] that gives white noise of 2 n points the ripple's spectrum, for unit amount."""
    frequency = torch.fft.rfftfreq(2 * n).double()
    power = torch.zeros_like(frequency)
    for sigma, rms in RIPPLE:
        own = torch.exp(-((2 * torch.pi * frequency * sigma / STEP_KMS) ** 2))
        power += rms**2 * own * (2 * n) / (own[0] + 2 * own[1:-1].sum() + own[-1])
    return power.sqrt().float()
