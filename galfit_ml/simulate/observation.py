"""`Observation`: n simulated spectra with noise, inverse variances and masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galfit_ml.flags import Flag
from galfit_ml.instruments import Instrument
from galfit_ml.simulate.masks import UNUSABLE
from galfit_ml.spectra import ArmSpectra, SpectrumBatch


@dataclass(frozen=True)
class Observation:
    """Spectra as a spectrograph would deliver them; arrays [n, n_pix], the arms one after the other.

    Args:
        flux: 1e-17 erg s^-1 cm^-2 A^-1; 0 where `bad`.
        ivar: inverse variance a pipeline would report: white noise, sky residual and the floor of a
            noise curve, times `noise_scale`; 0 where bad.
        white_ivar: inverse variance of the white noise alone, as it is; 0 where bad.
        mask: bits of `MaskBit`, uint8.
        noise_scale: [n] factor by which the reported inverse variance is wrong; a user does not know it.
        arms: pixels of each arm.
    """

    flux: Tensor
    ivar: Tensor
    white_ivar: Tensor
    mask: Tensor
    noise_scale: Tensor
    arms: tuple[slice, ...]

    def __len__(self) -> int:
        return len(self.flux)

    @property
    def bad(self) -> Tensor:
        """[n, n_pix] True where a pixel must not be used."""
        return (self.mask & UNUSABLE).clamp_(max=1).view(torch.bool)

    def snr(self) -> Tensor:
        """[n, n_arm + 1] median of flux x sqrt(ivar) over good pixels, per arm and over all arms; NaN without any."""
        ratio = (self.flux * self.ivar.sqrt()).cpu().numpy()
        np.copyto(ratio, np.inf, where=self.bad.cpu().numpy())
        columns = [_medians(ratio[:, arm]) for arm in (*self.arms, slice(None))]
        return torch.as_tensor(np.stack(columns, axis=1), device=self.flux.device)

    def batch(
        self, instrument: Instrument, ids: Sequence[str], meta: Sequence[Mapping[str, Any]] | None = None
    ) -> SpectrumBatch:
        """The spectra as a backend gets them; a row without a good pixel is FAILED.

        Args:
            instrument: the one observed with.
            ids: n names.
            meta: n mappings of what else is known.
        """
        host = {name: getattr(self, name).cpu().numpy() for name in ("flux", "ivar", "bad")}
        arms = []
        for arm, pixels in zip(instrument.arms, self.arms, strict=True):
            grid = arm.grid
            flux, ivar = (np.asarray(host[name][:, pixels], dtype=np.float64) for name in ("flux", "ivar"))
            sigma = np.broadcast_to(arm.resolution.sigma(grid.centres), flux.shape)
            arms.append(ArmSpectra(arm.name, grid, flux, ivar, host["bad"][:, pixels], sigma))
        lost = host["bad"].all(axis=1)
        reasons = tuple("every pixel is masked" if empty else "" for empty in lost)
        flags = np.where(lost, int(Flag.FAILED), 0).astype(np.int64)
        known = tuple(meta) if meta is not None else tuple({} for _ in ids)
        return SpectrumBatch(instrument, tuple(arms), tuple(ids), flags, reasons, known)


def _medians(ratio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Median of the finite values of each row."""
    n_good = np.isfinite(ratio).sum(axis=1)
    return np.array([_median(row, int(n)) for row, n in zip(ratio, n_good, strict=True)], dtype=np.float32)


def _median(row: NDArray[np.float32], n_good: int) -> float:
    """Median of the `n_good` smallest values (one pivot: with two numpy sorts four times as slowly)."""
    if not n_good:
        return float("nan")
    low = (n_good - 1) // 2
    ordered = np.partition(row, low)
    upper = ordered[low] if n_good % 2 else ordered[low + 1 :].min()
    return 0.5 * (float(ordered[low]) + float(upper))
