"""Spectra as the likelihood wants them: between the first and last good pixel of each arm, with its linear errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import block_diag

from galfit_ml.errors import SpectrumError
from galfit_ml.instruments import Instrument
from galfit_ml.prepare import Preparation, Prepared, prepare
from galfit_ml.simulate.calibration import calibration_modes
from galfit_ml.simulate.galaxy import Pixels
from galfit_ml.spectra import SpectrumBatch
from galfit_ml_emcee.likelihood import Spectrum
from galfit_ml_emcee.nuisances import ArmErrors
from galfit_ml_emcee.sky import sky_modes

Floats = NDArray[np.float64]

MIN_GOOD_PIXELS = 50


@dataclass(frozen=True, eq=False)
class Native:
    """A batch at its native pixels, with the errors that its instrument predicts.

    Args:
        batch: the spectra.
        prepared: the same, one arm after the other.
        factors: per arm [n_arm_pix, j], relative errors of the model.
        terms: per arm [n_arm_pix, k], errors added to it.
        scanned: the same for a scan, the largest of them.
    """

    batch: SpectrumBatch
    prepared: Prepared
    factors: tuple[Floats, ...]
    terms: tuple[Floats, ...]
    scanned: tuple[Floats, ...]

    @classmethod
    def of(cls, batch: SpectrumBatch) -> Native:
        """Lay a batch out."""
        factors = tuple(_calibration(batch.instrument, len(arm.grid)) for arm in batch.arms)
        terms, scanned = (
            tuple(np.ascontiguousarray(modes.T) for modes in sky_modes(batch, scan=scan)) for scan in (False, True)
        )
        return cls(batch, prepare(batch, Preparation()), factors, terms, scanned)

    def take(self, rows: NDArray[np.intp]) -> Native:
        """The spectra `rows`."""
        return Native(self.batch.take(rows), self.prepared.take(rows), self.factors, self.terms, self.scanned)

    def all_factors(self) -> Floats:
        """Factors of all arms as rows over all pixels, [n_mode, n_pix]."""
        return np.asarray(block_diag(*[f.T for f in self.factors]))

    def all_terms(self) -> Floats:
        """Terms of a scan of all arms as rows over all pixels, [n_mode, n_pix]."""
        return np.asarray(block_diag(*[t.T for t in self.scanned]))

    def n_good(self, i: int) -> int:
        """Good pixels of spectrum i."""
        return int(self.prepared.good[i].sum())

    def check(self, i: int) -> None:
        """SpectrumError where spectrum i has too few pixels, or no light at all."""
        n_good = self.n_good(i)
        if n_good < MIN_GOOD_PIXELS:
            raise SpectrumError(f"only {n_good} good pixels, {MIN_GOOD_PIXELS} are needed; check mask and uncertainty")
        good = self.prepared.good[i]
        flux, ivar = self.prepared.flux[i, good], self.prepared.ivar[i, good]
        if flux.max() <= 0:
            raise SpectrumError(
                "no pixel has positive flux: there is no light to fit. Usually the sky was subtracted twice, or the "
                "sign is wrong; plot the spectrum, and check that it is flux and not a residual"
            )
        if not np.ptp(flux) > 0:
            raise SpectrumError(
                "all pixels have the same flux: that is a fill value, no spectrum. Check which column or extension of "
                "the file holds the flux"
            )
        if not np.isfinite((flux**2 * ivar).sum()):
            raise SpectrumError("flux over noise is not a finite number; check the units of flux and uncertainty")

    def trimmed(self, i: int) -> Spectrum:
        """Spectrum i between its first and last good pixel of each arm.

        Args:
            i: number in the batch.
        """
        self.check(i)
        arms = [part for number in range(len(self.batch.arms)) if (part := self._arm(i, number)) is not None]
        keep = np.concatenate([np.arange(low, high) for low, high, _ in arms])
        wave, good = self.prepared.wavelength[keep], self.prepared.good[i, keep]
        ivar = np.where(good, self.prepared.ivar[i, keep], 0.0)
        flux = np.where(ivar > 0, self.prepared.flux[i, keep], 0.0)
        edges, errors, start = [], [], 0
        for low, high, number in arms:
            own, stop = low - int(np.flatnonzero(self.prepared.arm == number)[0]), start + high - low
            edges.append(self.batch.arms[number].grid.edges[own : own + high - low + 1])
            rows = slice(own, own + high - low)
            errors.append(ArmErrors(start, stop, self.factors[number][rows], self.terms[number][rows]))
            start = stop
        pixels = Pixels.from_arrays(wave, edges, self.prepared.lsf_sigma[i, keep], self.batch.instrument.magnitude_band)
        data, weight = (torch.as_tensor(a, dtype=torch.float32) for a in (flux, ivar))
        return Spectrum(data, weight, pixels, tuple(errors), bool(self.batch.relative[i]))

    def _arm(self, i: int, number: int) -> tuple[int, int, int] | None:
        """First and last + 1 good pixel of an arm, and its number; None where it has none."""
        good = np.flatnonzero((self.prepared.arm == number) & self.prepared.good[i])
        return None if len(good) < 2 else (int(good[0]), int(good[-1]) + 1, number)


def _calibration(instrument: Instrument, n_pix: int) -> Floats:
    """The flux-calibration error of one arm as the simulator makes it, [n_pix, n_mode]."""
    return np.ascontiguousarray(calibration_modes(instrument, n_pix).T)
