"""From spectra to the redshifts around which a posterior is sampled: grids, ranges, and how a scan is read."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import PriorError
from galfit_ml.flags import Flag
from galfit_ml.grid import SPEED_OF_LIGHT_KMS
from galfit_ml.instruments import Instrument
from galfit_ml.parameters import GALAXY
from galfit_ml.redshift_prior import RedshiftPrior
from galfit_ml.spectra import SpectrumBatch
from galfit_ml_emcee.library.axis import STEP_KMS, ScanAxis
from galfit_ml_emcee.redshift_scan import DEEP, ScanResult

Floats = NDArray[np.float64]

WINDOW = 0.0033
"""Half-width of a peak of p(z), in units of 1 + z."""

CELL = 0.01
"""Half-width of the redshift cell that is sampled around a peak, in units of 1 + z."""

DEEP_STEP_KMS = 42.0
"""Step of the scan where redshifts go beyond `DEEP`, km/s: on MOONS it finds what 35 km/s finds, a quarter faster."""

MOST = 5
LEAST_PROBABILITY = 0.01
"""Peaks that are sampled: at most so many, and by default only those with at least this probability."""

CLEAR, HALF = 0.9, 0.5
"""Probability of the best peak below which a redshift is ambiguous, and below which nothing stands out."""

ROUNDING = 50.0
"""The range of a generic instrument's grid is rounded to 1 part in so many, so that spectra share templates."""


@dataclass(frozen=True)
class Peak:
    """One peak of p(z).

    Args:
        redshift: of its maximum, refined below the grid step.
        probability: of the window of +-`WINDOW` (1 + z) around it.
        log_evidence: ln marginal likelihood at the maximum relative to the best peak; -delta chi^2 / 2.
        cell: redshifts that are sampled; cells do not overlap.
        share: probability of the cell.
    """

    redshift: float
    probability: float
    log_evidence: float
    cell: tuple[float, float]
    share: float

    @property
    def log_width(self) -> float:
        """ln of the cell's width in ln(1 + z): what an evidence under the prior of the cell is multiplied by."""
        low, high = np.log1p(self.cell)
        return float(np.log(high - low))


@dataclass(frozen=True, eq=False)
class Solutions:
    """What the scan says of one spectrum.

    Args:
        peaks: by falling probability; at least one.
        redshift, probability: [n_z] p(z) on the scan's grid, the user's prior included; adds up to 1. Empty where the
            redshift is given.
        flags: AMBIGUOUS_REDSHIFT, NO_CLEAR_MINIMUM.
        least: probability from which a peak is sampled.
    """

    peaks: tuple[Peak, ...]
    redshift: Floats
    probability: Floats
    flags: Flag
    least: float = LEAST_PROBABILITY

    @classmethod
    def given(cls, redshift: float) -> Solutions:
        """One redshift and no doubt."""
        peak = Peak(redshift, 1.0, 0.0, (redshift, redshift), 1.0)
        return cls((peak,), np.zeros(0), np.zeros(0), Flag(0))

    @property
    def sampled(self) -> tuple[Peak, ...]:
        """Peaks worth a chain: the best, and those above `least`."""
        return self.peaks[:1] + tuple(p for p in self.peaks[1:] if p.probability >= self.least)

    def diagnostics(self) -> dict[str, float]:
        """The peaks by name, `redshift_1` and `redshift_probability_1` first; NaN for those there are not."""
        values = {}
        for k in range(MOST):
            known = k < len(self.peaks)
            values[f"redshift_{k + 1}"] = self.peaks[k].redshift if known else np.nan
            values[f"redshift_probability_{k + 1}"] = self.peaks[k].probability if known else np.nan
        return values

    def weighed(self, weights: Floats, redshift: Floats) -> Solutions:
        """The same as chains see it: ranked by what their cells hold, flags and all.

        Args:
            weights: [n_sampled] posterior share of the cell of each sampled peak.
            redshift: [n_sampled] of each: the scan's are good to a part of its step.
        """
        sampled = self.sampled
        within = [min(p.probability / p.share, 1.0) if p.share > 0 else 1.0 for p in sampled]
        own = [
            replace(p, redshift=float(z), probability=float(w * part), share=float(w))
            for p, z, w, part in zip(sampled, redshift, weights, within, strict=True)
        ]
        others = [p for p in self.peaks if p not in sampled]
        peaks = sorted(own + others, key=lambda p: -p.probability)
        return replace(self, peaks=tuple(peaks), flags=_doubts(peaks[0].probability))

    def spread(self, n: int, step: float, rng: np.random.Generator, probability: Floats) -> Floats:
        """n redshifts drawn with these weights [n_z], each spread over its step of the grid in ln(1 + z)."""
        chosen = rng.choice(self.redshift, size=n, p=probability / probability.sum())
        return np.expm1(np.log1p(chosen) + step * (rng.random(n) - 0.5))

    def outside(self) -> Floats:
        """p(z) outside all sampled cells, [n_z]."""
        p = self.probability.copy()
        for peak in self.sampled:
            p[(self.redshift >= peak.cell[0]) & (self.redshift <= peak.cell[1])] = 0.0
        return p


def scan_axis(batch: SpectrumBatch, redshift: tuple[float, float]) -> ScanAxis:
    """Grid of a scan: the range of the instrument or, where it has none of its own, that of the spectra, rounded."""
    if not batch.instrument.generic:
        step = STEP_KMS if redshift[1] < DEEP else DEEP_STEP_KMS
        own = ScanAxis.of(batch.instrument, step)
        return ScanAxis(own.low, own.high, redshift, step)
    low = min(a.grid.edges[0] for a in batch.arms)
    high = max(a.grid.edges[-1] for a in batch.arms)
    spare = 1.0 + 1.5 * STEP_KMS / SPEED_OF_LIGHT_KMS
    first, last = np.floor(np.log(low / spare) * ROUNDING), np.ceil(np.log(high * spare) * ROUNDING)
    return ScanAxis(float(np.exp(first / ROUNDING)), float(np.exp(last / ROUNDING)), redshift)


def axis_range(limits: tuple[float, float], instrument: Instrument) -> tuple[float, float]:
    """Redshifts the templates are made for: the instrument's, or all where the user looks beyond them."""
    low, high = instrument.redshift_range
    return (low, high) if limits[0] >= low - 1e-9 and limits[1] <= high + 1e-9 else (0.0, GALAXY["redshift"].high)


def read_scan(
    found: ScanResult,
    row: int,
    prior: RedshiftPrior,
    limits: tuple[float, float],
    least: float = LEAST_PROBABILITY,
) -> Solutions:
    """Peaks of one scan with the user's prior applied; those with at least this probability are to be sampled.

    Raises:
        PriorError: no redshift has any probability.
    """
    z = np.clip(found.redshift, *limits)  # the grid may begin and end half a step outside
    log_p = found.log_evidence[row] + prior.log_density(z)
    if not np.isfinite(log_p).any():
        raise PriorError(
            f"the redshift prior has no probability between {limits[0]:g} and {limits[1]:g}, where the galaxy model is "
            "defined. Usually a distribution that lies elsewhere; leave redshift= out to search the whole range."
        )
    p = np.exp(log_p - log_p[np.isfinite(log_p)].max())
    p /= p.sum()
    peaks = _with_cells(_peaks(z, log_p, p, limits), z, p, limits, least)
    return Solutions(peaks, z, p, _doubts(peaks[0].probability), least)


def _doubts(best: float) -> Flag:
    """Flags of a best peak of this probability."""
    ambiguous = Flag.AMBIGUOUS_REDSHIFT if best < CLEAR else Flag(0)
    return ambiguous | (Flag.NO_CLEAR_MINIMUM if best < HALF else Flag(0))


def _peaks(z: Floats, log_p: Floats, p: Floats, limits: tuple[float, float]) -> list[Peak]:
    """The most probable windows that do not overlap, best first."""
    ln = np.log1p(z)
    reach = np.log1p(WINDOW)
    total = np.concatenate([[0.0], np.cumsum(p)])
    inside = total[np.searchsorted(ln, ln + reach, "right")] - total[np.searchsorted(ln, ln - reach, "left")]
    left = np.ones(len(z), dtype=bool)
    found: list[Peak] = []
    tops: list[int] = []
    while left.any() and len(found) < MOST:
        centre = int(np.argmax(np.where(left, inside, -1.0)))
        near = np.flatnonzero(np.abs(ln - ln[centre]) <= reach)
        top = int(near[np.argmax(log_p[near])])
        left &= np.abs(ln - ln[centre]) > reach
        if any(abs(ln[top] - ln[other]) <= 2 * reach for other in tops):
            continue  # the flank of a peak that is there already
        tops.append(top)
        left &= np.abs(ln - ln[top]) > 2 * reach
        redshift = float(np.clip(np.expm1(ln[top] + _vertex(ln, log_p, top)), *limits))
        # Rounded, so that the last bits, which differ with the size of a batch, do not set a chain on another course.
        rounded = float(np.clip(np.expm1(np.round(np.log1p(redshift), 6)), *limits))
        probability = min(float(inside[centre]), 1.0)  # a difference of rounded sums
        found.append(Peak(rounded, probability, float(log_p[top] - log_p.max()), (0.0, 0.0), 0.0))
    return found


def _vertex(ln: Floats, log_p: Floats, top: int) -> float:
    """Offset of the vertex of the parabola through a maximum and its neighbours."""
    if not 0 < top < len(ln) - 1 or not np.isfinite(log_p[top - 1 : top + 2]).all():
        return 0.0
    left, middle, right = log_p[top - 1 : top + 2]
    curvature = left - 2 * middle + right
    offset = 0.5 * (left - right) / curvature if curvature < 0 else 0.0
    return float(np.clip(offset, -0.5, 0.5) * (ln[top + 1] - ln[top]))


def _with_cells(peaks: list[Peak], z: Floats, p: Floats, limits: tuple[float, float], least: float) -> tuple[Peak, ...]:
    """The same peaks with cells that end half-way to their neighbours of any weight, and what each holds."""
    weighty = [peak.redshift for peak in peaks[:1] + [q for q in peaks[1:] if q.probability >= least]]
    out = []
    for peak in peaks:
        half = CELL * (1 + peak.redshift)
        below = [0.5 * (other + peak.redshift) for other in weighty if other < peak.redshift]
        above = [0.5 * (other + peak.redshift) for other in weighty if other > peak.redshift]
        low = max(limits[0], peak.redshift - half, *below)
        high = min(limits[1], peak.redshift + half, *above)
        share = float(p[(z >= low) & (z <= high)].sum())
        out.append(Peak(peak.redshift, peak.probability, peak.log_evidence, (low, high), share))
    return tuple(out)
