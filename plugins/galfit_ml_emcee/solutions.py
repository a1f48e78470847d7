"""From spectra to the redshift around which a posterior is sampled: grids, ranges, and how a scan is read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from galfit_ml.errors import PriorError
from galfit_ml.flags import Flag
from galfit_ml.grid import WavelengthGrid
from galfit_ml.instruments import Instrument
from galfit_ml.parameters import GALAXY
from galfit_ml.redshift_prior import RedshiftPrior
from galfit_ml.spectra import SpectrumBatch
from galfit_ml_emcee.redshift_scan import ScanResult

SCAN_STEP = 2e-4
"""Step of the scan's ln(wavelength) grid, 60 km/s, where the spectra are not on a fine enough log grid already."""

LOWEST_REDSHIFT = 1e-4
"""Nearer galaxies have no distance from their redshift."""


@dataclass(frozen=True)
class Solution:
    """What the scan says of one spectrum.

    Args:
        redshift: of the best minimum.
        flags: AMBIGUOUS_REDSHIFT, NO_CLEAR_MINIMUM.
        gap: ln marginal likelihood by which the best minimum exceeds the second.
    """

    redshift: float
    flags: Flag
    gap: float


def scan_grid(batch: SpectrumBatch) -> WavelengthGrid:
    """The spectra's own grid where it is one arm, uniform in ln(wavelength) and fine; else 60 km/s over their range."""
    grid = batch.arms[0].grid
    step = np.diff(np.log(grid.centres))
    if len(batch.arms) == 1 and np.ptp(step) < 1e-3 * step.mean() and step.mean() < 1.3 * SCAN_STEP:
        return grid
    low = min(a.grid.edges[0] for a in batch.arms)
    high = max(a.grid.edges[-1] for a in batch.arms)
    index = np.arange(np.floor(np.log(low) / SCAN_STEP), np.ceil(np.log(high) / SCAN_STEP) + 1)
    return WavelengthGrid(np.exp(SCAN_STEP * (np.append(index, index[-1] + 1) - 0.5)), np.exp(SCAN_STEP * index))


def redshift_range(prior: RedshiftPrior, instrument: Instrument) -> tuple[float, float]:
    """Range to scan: the instrument's where the user says nothing, else the user's within the model's.

    Raises:
        PriorError: the range lies outside the galaxy model.
    """
    if prior.free:
        return max(instrument.redshift_range[0], LOWEST_REDSHIFT), instrument.redshift_range[1]
    limits = GALAXY["redshift"]
    low, high = prior.within(limits.low, limits.high, "the galaxy model")
    if prior.distribution is not None:
        tails = prior.distribution.ppf([1e-6, 1 - 1e-6])
        low, high = max(low, float(tails[0])), min(high, float(tails[1]))
    if high < LOWEST_REDSHIFT:
        raise PriorError(
            f"redshift={high:g} is below {LOWEST_REDSHIFT:g}: galaxies that near have no distance from their redshift. "
            "Usually a star or a missing redshift; leave redshift= out to search for it."
        )
    return max(low, LOWEST_REDSHIFT), high


def read_scan(found: ScanResult, row: int, prior: RedshiftPrior) -> Solution:
    """Best minimum of one scan with the user's prior applied, and how it compares with the others."""
    height = found.minima_log_evidence[row] + prior.log_density(np.nan_to_num(found.minima[row]))
    order = np.argsort(np.where(np.isfinite(height), height, -np.inf))[::-1]
    best = float(found.minima[row, order[0]])
    gap = float(height[order[0]] - height[order[1]]) if len(order) > 1 else np.inf
    log_p = found.log_evidence[row] + prior.log_density(found.redshift)
    p = np.exp(log_p - log_p.max())
    near = np.abs(found.redshift - best) < 0.0033 * (1 + best)
    share = float(p[near].sum() / p.sum())
    flags = Flag.AMBIGUOUS_REDSHIFT if share < 0.9 else Flag(0)
    # Rounded, so that the last bits, which differ with the size of a batch, do not set the chain on another course.
    rounded = float(np.expm1(np.round(np.log1p(best), 7)))
    return Solution(rounded, flags | (Flag.NO_CLEAR_MINIMUM if share < 0.5 else Flag(0)), gap)
