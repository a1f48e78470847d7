"""What may come beside the draws of a posterior: the best fit, star-formation histories, the sampler's trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BestFit:
    """The best model of each spectrum beside what was observed.

    Args:
        wavelength: [n, n_pix] observed vacuum wavelength, angstrom; NaN pads rows of fewer pixels.
        flux, ivar, model: [n, n_pix] in 1e-17 erg s^-1 cm^-2 A^-1 (relative for relative spectra); NaN pads.
        good: [n, n_pix] pixels that took part.
        chi2: [n] sum of ((flux - model)^2 ivar) over good pixels.
        n_good: [n] number of good pixels.
        calibration: [n, n_pix] most probable factor of calibration and lines that `model` contains: model = galaxy x
            calibration; NaN pads. None where the backend fits none.
        noise_scale: [n] factor by which the reported noise was found too small; `ivar` and `chi2` are as reported.
            NaN where it is not known, None where the backend fits none.
    """

    wavelength: Floats
    flux: Floats
    ivar: Floats
    model: Floats
    good: NDArray[np.bool_]
    chi2: Floats
    n_good: NDArray[np.int64]
    calibration: Floats | None = None
    noise_scale: Floats | None = None

    def __post_init__(self) -> None:
        shape = self.wavelength.shape
        pixels = [self.flux, self.ivar, self.model, self.good]
        pixels += [] if self.calibration is None else [self.calibration]
        if len(shape) != 2 or any(values.shape != shape for values in pixels):
            raise ValueError(
                "wavelength, flux, ivar, model, good and calibration of a BestFit must share one shape [n, n_pix]."
            )
        numbers = [self.chi2, self.n_good, *([] if self.noise_scale is None else [self.noise_scale])]
        if any(values.shape != shape[:1] for values in numbers):
            raise ValueError(f"chi2, n_good and noise_scale of a BestFit must have {shape[0]} rows.")

    def __len__(self) -> int:
        return len(self.wavelength)

    def take(self, rows: NDArray[np.intp]) -> BestFit:
        """The fits of the spectra `rows`."""
        return BestFit(**{name: values[rows] for name, values in known_arrays(self).items()})


@dataclass(frozen=True, eq=False)
class StarFormationHistories:
    """Draws of the star-formation rate of n galaxies in bins of lookback time.

    Args:
        lookback: [n_bin + 1] float64, edges in years before the galaxy's light left it, from small to large; the same
            for all rows.
        sfr: [n, n_kept, n_bin] float32, solar masses formed per year, mean over the bin; NaN in bins older than the
            Universe and in rows that failed or have no flux scale.

    Raises:
        ValueError: edges do not increase from 0 or more, or shapes disagree.
    """

    lookback: Floats
    sfr: NDArray[np.float32]

    def __post_init__(self) -> None:
        edges = self.lookback
        if edges.ndim != 1 or len(edges) < 2 or not (edges[0] >= 0 and bool((np.diff(edges) > 0).all())):
            raise ValueError("lookback of histories must be two or more edges in years that increase from 0 or more.")
        if self.sfr.ndim != 3 or self.sfr.shape[2] != len(edges) - 1:
            raise ValueError(f"sfr of histories must be [n, n_kept, {len(edges) - 1}], not {self.sfr.shape}.")

    def __len__(self) -> int:
        return len(self.sfr)

    @property
    def known(self) -> NDArray[np.bool_]:
        """[n] True where there is a history."""
        return np.asarray(np.isfinite(self.sfr).any(axis=(1, 2)))

    def take(self, rows: NDArray[np.intp]) -> StarFormationHistories:
        """The histories of the galaxies `rows`."""
        return StarFormationHistories(self.lookback, self.sfr[rows])

    def quantile(self, probability: float | Sequence[float]) -> Floats:
        """Quantiles over the draws of the star-formation rate in each bin, solar masses per year.

        Returns:
            [n, n_bin], or [n, n_bin, k] for k probabilities; over the draws that reach a bin, NaN where none does.
        """
        columns = np.moveaxis(self.sfr, 1, 2).astype(np.float64)
        found = np.full((*columns.shape[:2], *np.shape(probability)), np.nan)
        reached = np.isfinite(columns).any(axis=2)
        if reached.any():
            found[reached] = np.moveaxis(np.nanquantile(columns[reached], probability, axis=1), 0, -1)
        return found

    def formed_fraction(self) -> Floats:
        """Share of all mass that had formed by each edge of `lookback`.

        Returns:
            [n, n_kept, n_bin + 1]: 1 at the youngest edge, 0 at the oldest; NaN where nothing formed or is known.
        """
        mass = np.nan_to_num(self.sfr.astype(np.float64)) * np.diff(self.lookback)
        older = np.cumsum(mass[..., ::-1], axis=2)[..., ::-1]
        total = np.where(older[..., :1] > 0, older[..., :1], np.nan)
        return np.concatenate([older / total, 0 * total], axis=2)

    def time_of_fraction(self, fraction: float) -> Floats:
        """Lookback time, years, by which `fraction` of all mass had formed: 0.5 gives t50.

        Within a bin the rate is constant.

        Returns:
            [n, n_kept]; NaN where nothing formed or is known.

        Raises:
            ValueError: unless 0 < fraction < 1.
        """
        if not 0 < fraction < 1:
            raise ValueError(f"A fraction of the mass lies between 0 and 1, got {fraction}. Write 0.5 for t50.")
        formed = self.formed_fraction()
        inside = np.maximum((formed >= fraction).sum(axis=2) - 1, 0)[..., None]
        younger, older = (np.take_along_axis(formed, inside + k, axis=2)[..., 0] for k in (0, 1))
        low, high = (self.lookback[inside[..., 0] + k] for k in (0, 1))
        return high - (fraction - older) / (younger - older) * (high - low)


@dataclass(frozen=True, eq=False)
class Trace:
    """Every step of the walkers of a sampler, to judge whether it has converged.

    Args:
        values: [n, n_steps, n_walkers, n_par] float32, parameters in the order of the posterior's.
        log_density: [n, n_steps, n_walkers] float32, ln of likelihood times prior, up to a constant.

    NaN pads rows of fewer steps or walkers. Whether steps before the walkers settled are in it is the backend's choice.
    """

    values: NDArray[np.float32]
    log_density: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.values.ndim != 4 or self.log_density.shape != self.values.shape[:3]:
            raise ValueError(
                f"A trace has values [n, n_steps, n_walkers, n_par] and log_density [n, n_steps, n_walkers], not "
                f"{self.values.shape} and {self.log_density.shape}."
            )

    def __len__(self) -> int:
        return len(self.values)

    @property
    def n_parameters(self) -> int:
        """Parameters of each walker."""
        return int(self.values.shape[3])

    @property
    def n_steps(self) -> NDArray[np.int64]:
        """[n] steps of each row, without padding."""
        return np.isfinite(self.log_density).any(axis=2).sum(axis=1)

    def take(self, rows: NDArray[np.intp]) -> Trace:
        """The traces of the spectra `rows`."""
        return Trace(self.values[rows], self.log_density[rows])


def known_arrays(companion: BestFit | StarFormationHistories | Trace) -> dict[str, NDArray[Any]]:
    """The arrays of a companion by name, without those that are not there."""
    values = {f.name: getattr(companion, f.name) for f in fields(companion)}
    return {name: np.asarray(array) for name, array in values.items() if array is not None}
