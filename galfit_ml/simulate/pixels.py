"""`Pixels`: where model spectra are wanted, and with which line-spread function."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

C_ANGSTROM = 2.99792458e18
"""Speed of light, angstrom / s."""


@dataclass(frozen=True)
class Pixels:
    """Observed pixels on which spectra are wanted.

    Args:
        wavelength: [n_pix] centres, observed vacuum angstrom, float64.
        edges: per arm, [n_arm_pix + 1] pixel edges, angstrom, float64; arms follow one another in `wavelength`.
        lsf_sigma: [n_pix] or [n, n_pix] sigma of the line-spread function (pixel included), angstrom.
        band: [low, high] angstrom of the magnitude; the whole range where the pixels miss more than one pixel of it
            at either end.
    """

    wavelength: Tensor
    edges: tuple[Tensor, ...]
    lsf_sigma: Tensor
    band: tuple[float, float]

    def __post_init__(self) -> None:
        n_pix = sum(len(e) - 1 for e in self.edges)
        if len(self.wavelength) != n_pix or self.lsf_sigma.shape[-1] != n_pix:
            raise ValueError(
                f"The arms have {n_pix} pixels between their edges, but there are {len(self.wavelength)} wavelengths "
                f"and {self.lsf_sigma.shape[-1]} values of the line-spread function: give one of each per pixel."
            )

    @classmethod
    def from_arrays(
        cls,
        wavelength: NDArray[np.float64],
        edges: list[NDArray[np.float64]],
        lsf_sigma: NDArray[np.float64],
        band: tuple[float, float],
    ) -> Pixels:
        """From numpy arrays, see the class."""
        tensors = tuple(torch.as_tensor(np.ascontiguousarray(e), dtype=torch.float64) for e in edges)
        wave = torch.as_tensor(np.ascontiguousarray(wavelength), dtype=torch.float64)
        return cls(wave, tensors, torch.as_tensor(lsf_sigma, dtype=torch.float32), band)

    def to(self, device: str | torch.device) -> Pixels:
        """The same pixels on another device."""
        edges = tuple(e.to(device) for e in self.edges)
        return Pixels(self.wavelength.to(device), edges, self.lsf_sigma.to(device), self.band)

    def take(self, rows: Tensor | slice) -> Pixels:
        """The pixels of the spectra `rows`, where the LSF differs between spectra."""
        return self if self.lsf_sigma.ndim == 1 else replace(self, lsf_sigma=self.lsf_sigma[rows])

    def band_weights(self) -> Tensor:
        """[n_pix] weights that turn f_lambda into the mean f_nu of the band (photon weighted), per angstrom^-1 s."""
        low, high = self.band if self._covers_band() else (-torch.inf, torch.inf)
        inside = (self.wavelength >= low) & (self.wavelength <= high)
        width = torch.cat([e[1:] - e[:-1] for e in self.edges]) * inside
        return self.wavelength * width / (C_ANGSTROM * (width / self.wavelength).sum())

    def _covers_band(self) -> bool:
        first, last = min(self.edges, key=lambda e: float(e[0])), max(self.edges, key=lambda e: float(e[-1]))
        return bool(2 * first[0] - first[1] <= self.band[0]) and bool(2 * last[-1] - last[-2] >= self.band[1])
