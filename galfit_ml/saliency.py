"""`Saliency`: how much each stretch of a spectrum mattered for an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from galfit_ml.features import BREAKS, FEATURES
from galfit_ml.grid import SPEED_OF_LIGHT_KMS

if TYPE_CHECKING:
    from galfit_ml.spectra import SpectrumBatch

Floats = NDArray[np.float64]

KEPT = 256
"""A posterior of at most so many spectra keeps them, so that it can say what mattered (0.1-0.3 MB each)."""

NEAR_KMS = 1000.0
"""Distance from a line within which a stretch counts as that line's."""


@dataclass(frozen=True, eq=False)
class Saliency:
    """Of n spectra, by occlusion (Zeiler & Fergus 2014, ECCV, arXiv:1311.2901).

    A stretch of the spectrum is masked and the question asked again; its importance is what the answer loses: for the
    redshift the fall of ln(p / (1 - p)) of the best solution, in nats; for a property the estimate with the stretch
    less that without it, in the property's unit. Stretches overlap; each place has the mean over those that hold it.

    Args:
        name: of the parameter.
        unit: of `importance`.
        wavelength: [n_place] observed vacuum wavelength, angstrom, uniform in its logarithm.
        importance: [n, n_place]; NaN where a spectrum has no good pixel.
        flux: [n, n_place] mean of the good pixels, 1e-17 erg s^-1 cm^-2 A^-1; NaN without any.
        redshift: [n] to which the rest frame refers.
        width_kms: of the stretches.
    """

    name: str
    unit: str
    wavelength: Floats
    importance: Floats
    flux: Floats
    redshift: Floats
    width_kms: float

    def __len__(self) -> int:
        return len(self.redshift)

    @property
    def rest_wavelength(self) -> Floats:
        """[n, n_place] angstrom."""
        return self.wavelength / (1 + self.redshift[:, None])

    def shares(self, near_kms: float | None = None) -> dict[str, Floats]:
        """Share [n] of the whole absolute importance that lies at each named line, break, and "elsewhere".

        Args:
            near_kms: half-width of a line; by default `NEAR_KMS` and half a stretch.
        """
        near = NEAR_KMS + 0.5 * self.width_kms if near_kms is None else near_kms
        size = np.abs(np.nan_to_num(self.importance))
        total = np.maximum(size.sum(axis=1), 1e-30)
        rest, left = self.rest_wavelength, size.copy()
        out: dict[str, Floats] = {}
        for label, inside in named_places(rest, near):
            out[label] = out.get(label, np.zeros(len(self))) + np.where(inside, left, 0.0).sum(axis=1) / total
            left = np.where(inside, 0.0, left)
        return {**out, "elsewhere": left.sum(axis=1) / total}

    def stack(self, rows: NDArray[np.bool_] | NDArray[np.intp], step_kms: float = 500.0) -> tuple[Floats, Floats]:
        """Rest wavelength [k] and the mean over spectra `rows` of the share of importance per pixel of `step_kms`, [k].

        Each spectrum counts the same; NaN where fewer than a tenth of them reach.
        """
        rest, size = self.rest_wavelength[rows], np.abs(self.importance[rows])
        step = step_kms / SPEED_OF_LIGHT_KMS
        grid = np.exp(np.arange(np.log(rest.min()), np.log(rest.max()) + step, step))
        own = step / np.log(self.wavelength[1] / self.wavelength[0])
        total = np.maximum(np.nansum(size, axis=1, keepdims=True), 1e-30)
        shares = [
            np.interp(grid, x, y, left=np.nan, right=np.nan) for x, y in zip(rest, size / total * own, strict=True)
        ]
        table = np.array(shares)
        known = np.isfinite(table).mean(axis=0)
        mean = np.nansum(table, axis=0) / np.maximum(np.isfinite(table).sum(axis=0), 1)
        return grid, np.where(known >= 0.1, mean, np.nan)


def named_places(rest: Floats, near_kms: float) -> list[tuple[str, NDArray[np.bool_]]]:
    """Each named line and break, and where rest wavelengths (any shape) lie at it; lines first."""
    places = []
    for feature in FEATURES:
        speeds = [np.abs(np.log(rest / line)) * SPEED_OF_LIGHT_KMS for line in feature.wavelengths]
        places.append((feature.label, np.min(speeds, axis=0) < near_kms))
    return places + [(step.label, (rest > step.low) & (rest < step.high)) for step in BREAKS]


@runtime_checkable
class Explaining(Protocol):
    """A backend that can say what mattered."""

    def saliency(self, batch: SpectrumBatch, name: str = "redshift", redshift: Any = None) -> Saliency:
        """Of every spectrum in `batch`; ValueError for a parameter that it does not know."""


@dataclass(frozen=True, eq=False)
class Source:
    """Where one row of a posterior comes from.

    Args:
        backend: that answered, and can explain itself.
        batch: of this spectrum alone.
    """

    backend: Explaining
    batch: SpectrumBatch

    def saliency(self, name: str, redshift: float) -> Saliency:
        """Of this row, at a redshift."""
        return self.backend.saliency(self.batch, name, np.array([redshift]))
