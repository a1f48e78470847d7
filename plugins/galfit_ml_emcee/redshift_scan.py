"""The redshift scan of an instrument: templates drawn from the prior, at every redshift, errors marginalised.

Templates of a redshift bin (0.2 in ln(1 + z), finer where the Lyman-alpha forest is seen) are made when they are first
needed, a quarter of a second a bin.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from galfit_ml.instruments import Instrument
from galfit_ml.prepare import Prepared
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.prior import GalaxyPrior
from galfit_ml_emcee.library.axis import Bin, ScanAxis
from galfit_ml_emcee.library.data import Native, ScanData, calibration_columns, scan_data
from galfit_ml_emcee.library.library import Library
from galfit_ml_emcee.library.scan import BinScan
from galfit_ml_emcee.library.templates import Size, TemplateMaker

Floats = NDArray[np.float64]

NEAR, FAR = Size(512, 16), Size(512, 10)
"""Templates of a bin and singular vectors, for instruments whose redshifts end below or above `DEEP`.

On MOONS 512 templates of 10 vectors find 98 % of what 4096 of 28 find, at a tenth of the cost; a shorter range can
afford more vectors.
"""

DEEP = 2.0

SEED = 0
MAGNITUDES = (5.0, 35.0)
"""No limit but that of mass: a spectrum may be brighter or fainter than the survey's."""

BATCH = 4
"""Spectra at a time: what belongs to them stays in the cache."""


@dataclass(frozen=True, eq=False)
class ScanResult:
    """Outcome of a scan.

    Args:
        redshift: [n_z] grid, uniform in ln(1 + z).
        log_evidence: [n, n_z] ln of the marginal likelihood, up to a constant per spectrum; -inf where no template is
            young enough.
    """

    redshift: Floats
    log_evidence: Floats


class RedshiftScan:
    """Scans spectra of one instrument.

    Args:
        instrument: their instrument.
        axis: grid of observed pixels and redshifts.
        model: galaxy model the templates are made with.
        size: number of templates and singular vectors of each bin; by default as the redshifts ask for.
    """

    def __init__(self, instrument: Instrument, axis: ScanAxis, model: GalaxyModel, size: Size | None = None) -> None:
        self.instrument, self.axis, self.model = instrument, axis, model
        self.size = size or (NEAR if axis.redshift[1] < DEEP else FAR)
        self.prior = GalaxyPrior(axis.redshift, MAGNITUDES)
        self._library = Library(instrument, axis, self.prior, (), self.size, "", model.cosmology)
        self._maker = TemplateMaker(instrument, axis, self.prior, model)
        self._bins = axis.bins()
        self._made: dict[Bin, BinScan] = {}

    def bin_scan(self, own: Bin) -> BinScan:
        """Scan of one bin, its templates made if they are not there."""
        if own not in self._made:
            templates = self._maker.make(own, self.size, SEED)
            self._made[own] = BinScan(templates, replace(self._library, bins=(templates,)), (self.size.templates,))
        return self._made[own]

    def bins(self, low: float, high: float) -> list[Bin]:
        """Bins that hold grid points between low and high, or within half a step of them."""
        first, last = np.log1p(low) / self.axis.step, np.log1p(high) / self.axis.step
        return [b for b in self._bins if b.stop - 0.5 >= first and b.start - 0.5 <= last] or [self._bins[-1]]

    def run(self, data: ScanData, low: float, high: float, *, bounded: bool = True) -> ScanResult:
        """Evidence of every redshift between low and high.

        Args:
            data: n spectra, from `scan_input`.
            low, high: redshift range, inside that of the axis.
            bounded: whether mass limits the amplitude: not for fluxes without a scale.
        """
        bins = self.bins(low, high)
        lags = np.concatenate([np.arange(b.start, b.stop) for b in bins])
        rows = [torch.cat(list(self._evidence(part, bins, bounded)), dim=1) for part in _parts(data)]
        z = np.expm1(lags * self.axis.step)
        half = 0.5 * self.axis.step
        inside = (z > np.exp(-half) * (1 + low) - 1) & (z < np.exp(half) * (1 + high) - 1)
        if not inside.any():
            inside[np.argmin(np.abs(z - low))] = True
        return ScanResult(np.clip(z[inside], low, high), torch.cat(rows).double().numpy()[:, inside])

    def _evidence(self, data: ScanData, bins: list[Bin], bounded: bool) -> Iterator[torch.Tensor]:
        for own in bins:
            yield self.bin_scan(own).log_evidence(data, bounded=bounded)[-1]


def _parts(data: ScanData) -> Iterator[ScanData]:
    fields = ("data", "weight", "slope", "modes")
    for start in range(0, len(data), BATCH):
        yield ScanData(*(getattr(data, name)[start : start + BATCH].float() for name in fields))


def scan_input(prepared: Prepared, factors: Floats, terms: Floats, axis: ScanAxis) -> ScanData:
    """Spectra laid out for a scan.

    Args:
        prepared: n spectra at native pixels.
        factors: [n_mode, n_pix] relative errors of the flux.
        terms: [n_mode, n_pix] additive errors.
        axis: grid.
    """
    native = Native(prepared.wavelength, prepared.flux, prepared.ivar, prepared.arm)
    columns = calibration_columns(native, factors, native.continuum())
    return scan_data(native, axis, [np.concatenate([own, terms]) for own in columns])
