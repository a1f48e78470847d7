"""The bridge: what a backend sees of a batch. Training and inference cross it with the same `Preparation`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from galfit_ml.grid import WavelengthGrid, rebin
from galfit_ml.spectra import SpectrumBatch


@dataclass(frozen=True, eq=False)
class Preparation:
    """How to lay a batch out for a backend.

    Args:
        grid: wavelength grid to rebin onto (all arms combined by inverse variance), or None for native pixels,
            the arms one after the other.
    """

    grid: WavelengthGrid | None = None


@dataclass(frozen=True, eq=False)
class Prepared:
    """Spectra as a backend sees them.

    Args:
        wavelength: [n_pix] observed vacuum wavelength, angstrom (not monotonic where native arms overlap).
        width: [n_pix] pixel widths, angstrom.
        flux, ivar: [n, n_pix] in 1e-17 erg s^-1 cm^-2 A^-1; 0 at bad pixels.
        good: [n, n_pix] True where a pixel may be used.
        lsf_sigma: [n, n_pix] Gaussian sigma, angstrom.
        arm: [n_pix] index of the arm a pixel belongs to.
    """

    wavelength: NDArray[np.float64]
    width: NDArray[np.float64]
    flux: NDArray[np.float64]
    ivar: NDArray[np.float64]
    good: NDArray[np.bool_]
    lsf_sigma: NDArray[np.float64]
    arm: NDArray[np.int64]

    @property
    def snr(self) -> NDArray[np.float64]:
        """[n] median measured signal-to-noise per pixel over good pixels; 0 without any."""
        values = np.where(self.good, self.flux * np.sqrt(self.ivar), np.nan)
        has_any = self.good.any(axis=1)
        out = np.zeros(len(values))
        out[has_any] = np.nanmedian(values[has_any], axis=1)
        return out

    def take(self, rows: NDArray[np.intp]) -> Prepared:
        """The spectra `rows`."""
        own = ("flux", "ivar", "good", "lsf_sigma")
        return replace(self, **{name: getattr(self, name)[rows] for name in own})


def random_stream(seed: int, flux: NDArray[np.floating], ivar: NDArray[np.floating]) -> np.random.Generator:
    """Random stream keyed by a seed and the content of a spectrum [n_pix], never by its place in a batch."""
    content = hashlib.sha256(flux.tobytes() + ivar.tobytes()).digest()
    return np.random.default_rng([seed, *np.frombuffer(content[:16], dtype=np.uint32).tolist()])


def prepare(batch: SpectrumBatch, preparation: Preparation) -> Prepared:
    """Lay `batch` out as `preparation` says."""
    return _native(batch) if preparation.grid is None else _on_grid(batch, preparation.grid)


def _native(batch: SpectrumBatch) -> Prepared:
    arms = batch.arms
    return Prepared(
        wavelength=np.concatenate([a.grid.centres for a in arms]),
        width=np.concatenate([a.grid.widths for a in arms]),
        flux=np.concatenate([a.flux for a in arms], axis=1),
        ivar=np.concatenate([a.ivar for a in arms], axis=1),
        good=~np.concatenate([a.bad for a in arms], axis=1),
        lsf_sigma=np.concatenate([a.lsf_sigma for a in arms], axis=1),
        arm=np.concatenate([np.full(len(a.grid), i, dtype=np.int64) for i, a in enumerate(arms)]),
    )


def _on_grid(batch: SpectrumBatch, grid: WavelengthGrid) -> Prepared:
    weight = np.zeros((len(batch), len(grid)))
    signal, sigma, best = np.zeros_like(weight), np.zeros_like(weight), np.zeros(len(grid))
    owner = np.zeros(len(grid), dtype=np.int64)
    for index, arm in enumerate(batch.arms):
        new = rebin(arm.flux, arm.ivar, arm.bad, arm.grid, grid)
        weight += new.ivar
        signal += new.ivar * new.flux
        lsf = np.stack([np.interp(grid.centres, arm.grid.centres, row) for row in arm.lsf_sigma])
        coverage = new.covered.mean(axis=0)
        sigma = np.where((coverage > best)[None] | (index == 0), lsf, sigma)
        owner = np.where(coverage > best, index, owner)
        best = np.maximum(best, coverage)
    good = weight > 0
    flux = np.where(good, signal / np.where(good, weight, 1.0), 0.0)
    return Prepared(grid.centres, grid.widths, flux, weight, good, sigma, owner)
