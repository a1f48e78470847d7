"""`SpectrumBatch`: spectra as plain arrays, the first half of the bridge between users' data and backends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.flags import Flag
from galfit_ml.grid import WavelengthGrid
from galfit_ml.instruments import Instrument

FLUX_UNIT = 1e-17
"""Fluxes of a batch are in FLUX_UNIT erg s^-1 cm^-2 A^-1."""


@dataclass(frozen=True, eq=False)
class ArmSpectra:
    """Spectra of one arm on one wavelength grid.

    Args:
        name: the arm's name.
        grid: [n_pix] observed-frame vacuum wavelengths, angstrom, increasing.
        flux: [n, n_pix] flux density, 1e-17 erg s^-1 cm^-2 A^-1 (relative where the row is flagged RELATIVE_FLUX).
        ivar: [n, n_pix] inverse variance of flux; 0 where unusable.
        bad: [n, n_pix] True where a pixel must not be used.
        lsf_sigma: [n, n_pix] Gaussian sigma of the line-spread function, angstrom.

    Arrays are float64; bad pixels hold flux 0 and ivar 0, and a sigma that makes no sense the
    median of its row, so that nothing non-finite reaches a backend.
    """

    name: str
    grid: WavelengthGrid
    flux: NDArray[np.float64]
    ivar: NDArray[np.float64]
    bad: NDArray[np.bool_]
    lsf_sigma: NDArray[np.float64]

    def __post_init__(self) -> None:
        shape = self.flux.shape
        if len(shape) != 2 or shape[1] != len(self.grid):
            raise ValueError(f"Arm '{self.name}': flux must be [n, {len(self.grid)}], not {shape}.")
        for label in ("ivar", "bad", "lsf_sigma"):
            if getattr(self, label).shape != shape:
                raise ValueError(f"Arm '{self.name}': {label} must have the shape of flux, {shape}.")
        unusable = self.bad | ~np.isfinite(self.flux) | ~np.isfinite(self.ivar) | (self.ivar <= 0)
        object.__setattr__(self, "bad", unusable)
        object.__setattr__(self, "flux", np.where(unusable, 0.0, self.flux))
        object.__setattr__(self, "ivar", np.where(unusable, 0.0, self.ivar))
        object.__setattr__(self, "lsf_sigma", _filled(self.lsf_sigma))

    def take(self, rows: NDArray[np.intp]) -> ArmSpectra:
        """The same arm for the spectra `rows`."""
        return replace(
            self, flux=self.flux[rows], ivar=self.ivar[rows], bad=self.bad[rows], lsf_sigma=self.lsf_sigma[rows]
        )


def _filled(sigma: NDArray[np.float64]) -> NDArray[np.float64]:
    """Line-spread functions [n, n_pix]; values without sense become the median of their row, 1 where it has none."""
    sound = np.isfinite(sigma) & (sigma > 0)
    if sound.all():
        return sigma
    middle = [np.median(row[ok]) if ok.any() else 1.0 for row, ok in zip(sigma, sound, strict=True)]
    return np.where(sound, sigma, np.array(middle)[:, None])


@dataclass(frozen=True, eq=False)
class SpectrumBatch:
    """n spectra of one instrument that share their wavelength grids.

    Args:
        instrument: the instrument they come from.
        arms: one `ArmSpectra` per arm, all with n rows.
        ids: n names, unique or not.
        flags: [n] bits of `Flag`, already known before any inference.
        reasons: n texts; "" unless the row is flagged FAILED.
        meta: n mappings of what else is known (file, header redshift, E(B-V) removed, ...).
    """

    instrument: Instrument
    arms: tuple[ArmSpectra, ...]
    ids: tuple[str, ...]
    flags: NDArray[np.int64]
    reasons: tuple[str, ...]
    meta: tuple[Mapping[str, Any], ...]

    def __post_init__(self) -> None:
        n = len(self.ids)
        if not self.arms:
            raise ValueError("A SpectrumBatch needs at least one arm.")
        if any(len(arm.flux) != n for arm in self.arms) or {len(self.flags), len(self.reasons), len(self.meta)} != {n}:
            raise ValueError(f"Arms, flags, reasons and meta must all have {n} rows.")

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> SpectrumBatch:
        """The batch of the spectra `rows`, in that order."""
        index = np.asarray(rows, dtype=np.intp)
        return SpectrumBatch(
            self.instrument,
            tuple(arm.take(index) for arm in self.arms),
            tuple(self.ids[i] for i in index),
            self.flags[index],
            tuple(self.reasons[i] for i in index),
            tuple(self.meta[i] for i in index),
        )

    @property
    def usable(self) -> NDArray[np.bool_]:
        """[n] False where a row is flagged FAILED."""
        return (self.flags & Flag.FAILED) == 0

    @property
    def relative(self) -> NDArray[np.bool_]:
        """[n] True where the flux has no absolute scale."""
        return (self.flags & Flag.RELATIVE_FLUX) != 0

    @classmethod
    def from_arrays(
        cls,
        wavelength: NDArray[np.float64],
        flux: NDArray[np.float64],
        ivar: NDArray[np.float64],
        instrument: Instrument,
        *,
        bad: NDArray[np.bool_] | None = None,
        lsf_sigma: NDArray[np.float64] | None = None,
        ids: Sequence[str] | None = None,
    ) -> SpectrumBatch:
        """A one-arm batch from arrays.

        Args:
            wavelength: [n_pix] vacuum, angstrom, increasing.
            flux, ivar: [n, n_pix] in 1e-17 erg s^-1 cm^-2 A^-1.
            instrument: gives the line-spread function where `lsf_sigma` [n, n_pix] (angstrom) is not given.
        """
        flux = np.atleast_2d(np.asarray(flux, dtype=np.float64))
        ivar = np.atleast_2d(np.asarray(ivar, dtype=np.float64))
        grid = WavelengthGrid.from_centres(wavelength)
        n = len(flux)
        sigma = np.broadcast_to(instrument.sigma(grid.centres), flux.shape) if lsf_sigma is None else lsf_sigma
        mask = np.zeros(flux.shape, dtype=bool) if bad is None else np.atleast_2d(bad)
        arm = ArmSpectra(instrument.arms[0].name, grid, flux, ivar, mask, np.array(sigma, dtype=np.float64))
        names = tuple(ids) if ids is not None else tuple(f"spectrum-{i}" for i in range(n))
        flags = np.where(arm.bad.all(axis=1), int(Flag.FAILED), 0).astype(np.int64)
        reasons = tuple("every pixel is masked or has no usable uncertainty" if f else "" for f in flags)
        return cls(instrument, (arm,), names, flags, reasons, tuple({} for _ in range(n)))


def joined_batches(batches: Sequence[SpectrumBatch]) -> SpectrumBatch:
    """Batches of one instrument, one after the other.

    Raises:
        ValueError: there is none, or their wavelength grids differ.
    """
    first = batches[0]
    if len(batches) == 1:
        return first
    return SpectrumBatch(
        first.instrument,
        tuple(_joined_arms(arms) for arms in zip(*(batch.arms for batch in batches), strict=True)),
        tuple(name for batch in batches for name in batch.ids),
        np.concatenate([batch.flags for batch in batches]),
        tuple(text for batch in batches for text in batch.reasons),
        tuple(known for batch in batches for known in batch.meta),
    )


def _joined_arms(arms: Sequence[ArmSpectra]) -> ArmSpectra:
    if any(not np.array_equal(arm.grid.edges, arms[0].grid.edges) for arm in arms):
        raise ValueError(f"Spectra on different wavelengths cannot stand in one batch (arm '{arms[0].name}').")
    flux, ivar, bad = (np.concatenate([getattr(arm, name) for arm in arms]) for name in ("flux", "ivar", "bad"))
    return replace(arms[0], flux=flux, ivar=ivar, bad=bad, lsf_sigma=_joined_rows([arm.lsf_sigma for arm in arms]))


def _joined_rows(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Rows one after the other; a row that all share is held once."""
    shared = all(part.strides[0] == 0 and np.array_equal(part[0], parts[0][0]) for part in parts)
    if shared:
        return np.broadcast_to(parts[0][0], (sum(map(len, parts)), parts[0].shape[1]))
    return np.concatenate(parts)
