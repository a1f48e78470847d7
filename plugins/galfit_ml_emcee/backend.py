"""`EmceeBackend`: redshift scan over the whole range, then the full posterior around the best solution."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from galfit_ml.backend import Request
from galfit_ml.errors import GalfitMLError, SpectrumError
from galfit_ml.flags import Flag
from galfit_ml.grid import WavelengthGrid
from galfit_ml.instruments import Instrument
from galfit_ml.parameters import GALAXY, ParameterSet
from galfit_ml.posterior import Posterior, concatenate
from galfit_ml.prepare import Preparation, Prepared, prepare, random_stream
from galfit_ml.redshift_prior import RedshiftPrior
from galfit_ml.simulate.galaxy import GalaxyModel, Pixels
from galfit_ml.simulate.prior import GalaxyPrior, coordinate
from galfit_ml.simulate.smoothing import C_KMS
from galfit_ml.simulate.threads import one_thread
from galfit_ml.spectra import SpectrumBatch
from galfit_ml_emcee.likelihood import Calibration, Likelihood, Spectrum
from galfit_ml_emcee.line_error import line_error_basis
from galfit_ml_emcee.optimise import find_start
from galfit_ml_emcee.redshift_scan import RedshiftScan
from galfit_ml_emcee.report import Fit, to_posterior
from galfit_ml_emcee.sampler import SamplerSettings, sample
from galfit_ml_emcee.solutions import Solution, read_scan, redshift_range, scan_grid

CELL = 0.01
"""Half-width of the redshift cell that is sampled, in units of 1 + z."""

MIN_GOOD_PIXELS = 50


class EmceeBackend:
    """Template fit with emcee.

    Args:
        n_starts: number of prior draws that are improved to maxima before sampling, >= 2.
        n_walkers, n_burn, max_steps, n_autocorr: see `SamplerSettings`.
    """

    parameters: ParameterSet = GALAXY

    def __init__(
        self,
        n_starts: int = 12,
        n_walkers: int = 56,
        n_burn: int = 80,
        max_steps: int = 1200,
        n_autocorr: float = 10.0,
    ) -> None:
        if n_starts < 2:
            raise ValueError(f"n_starts must be at least 2, not {n_starts}.")
        self.n_starts = n_starts
        self.settings = SamplerSettings(n_walkers, n_burn=n_burn, max_steps=max_steps, n_autocorr=n_autocorr)
        self._model: GalaxyModel | None = None
        self._scans: dict[tuple[bytes, float, float, float], RedshiftScan] = {}

    def __getstate__(self) -> dict[str, object]:
        return {"n_starts": self.n_starts, "settings": self.settings, "_model": None, "_scans": {}}

    @property
    def model(self) -> GalaxyModel:
        """The galaxy model, built on first use."""
        if self._model is None:
            self._model = GalaxyModel()
        return self._model

    def infer(self, batch: SpectrumBatch, request: Request) -> Posterior:
        """Posterior of every spectrum; one that cannot be fitted is a flagged row with its reason."""
        with torch.no_grad(), one_thread():
            solutions = self._solve_redshifts(batch, request)
            native = prepare(batch, Preparation())
            rows = []
            for i in range(len(batch)):
                try:
                    rows.append(self._infer_one(batch, native, i, request, solutions[i]))
                except (GalfitMLError, RuntimeError) as error:
                    rows.append(
                        Posterior.failed(GALAXY, request.n_samples, [batch.ids[i]], [str(error)], int(batch.flags[i]))
                    )
                if request.progress is not None:
                    request.progress(i + 1, len(batch), batch.ids[i])
        return concatenate(rows)

    def _solve_redshifts(self, batch: SpectrumBatch, request: Request) -> list[Solution]:
        """Best redshift of each spectrum under its prior; spectra that share a range are scanned together."""
        grid = scan_grid(batch)
        prepared = prepare(batch, Preparation(grid))
        ranges = [redshift_range(p, batch.instrument) for p in request.redshift]
        solved: dict[int, Solution] = {}
        for limits in dict.fromkeys(ranges):
            rows = [i for i, r in enumerate(ranges) if r == limits]
            if limits[0] == limits[1]:
                solved |= {i: Solution(limits[0], Flag(0), np.inf) for i in rows}
                continue
            found = self._scan(grid, limits, prepared).run(prepared.flux[rows], prepared.ivar[rows])
            solved |= {i: read_scan(found, k, request.redshift[i]) for k, i in enumerate(rows)}
        return [solved[i] for i in range(len(batch))]

    def _scan(self, grid: WavelengthGrid, limits: tuple[float, float], prepared: Prepared) -> RedshiftScan:
        lsf = float(np.round(np.median(C_KMS * prepared.lsf_sigma / prepared.wavelength), 0))
        key = (grid.key(), *limits, lsf)
        if key not in self._scans:
            self._scans = {key: RedshiftScan(grid, *limits, lsf, self.model.grid, self.model.cosmology)}
        return self._scans[key]

    def _infer_one(
        self, batch: SpectrumBatch, native: Prepared, i: int, request: Request, solution: Solution
    ) -> Posterior:
        spectrum = _trimmed(native, i, batch, solution.redshift)
        rng = random_stream(request.seed, spectrum.flux.numpy(), spectrum.ivar.numpy())
        prior = _local_prior(batch.instrument, spectrum, solution, request.redshift[i])
        likelihood = Likelihood(self.model, spectrum, prior, request.redshift[i])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        start = find_start(likelihood, generator, n_draws=40 * self.n_starts, n_keep=self.n_starts)
        fixed = (coordinate("redshift"),) if prior.redshift[0] == prior.redshift[1] else ()
        chain = sample(likelihood, start, rng, self.settings, fixed, _ticker(request, i, batch))
        fit = Fit(batch.ids[i], int(batch.flags[i]), likelihood, chain, solution)
        return to_posterior(fit, request.n_samples, rng)


def _trimmed(native: Prepared, i: int, batch: SpectrumBatch, redshift: float) -> Spectrum:
    """Spectrum i between its first and last good pixel of each arm."""
    keep = np.zeros(len(native.wavelength), dtype=bool)
    edges = []
    for number, arm in enumerate(batch.arms):
        inside = np.flatnonzero(native.arm == number)
        good = inside[native.good[i, inside]]
        if len(good) == 0:
            continue
        first, last = good[0] - inside[0], good[-1] - inside[0]
        keep[good[0] : good[-1] + 1] = True
        edges.append(arm.grid.edges[first : last + 2])
    n_good = int(native.good[i].sum())
    if n_good < MIN_GOOD_PIXELS:
        raise SpectrumError(f"only {n_good} good pixels, {MIN_GOOD_PIXELS} are needed; check mask and uncertainty")
    wave = native.wavelength[keep]
    pixels = Pixels.from_arrays(wave, edges, native.lsf_sigma[i, keep], batch.instrument.magnitude_band)
    ivar = np.where(native.good[i, keep], native.ivar[i, keep], 0.0)
    flux = np.where(ivar > 0, native.flux[i, keep], 0.0)
    calibration = Calibration.of(batch.instrument, wave, native.arm[keep])
    return Spectrum(
        torch.as_tensor(flux, dtype=torch.float32),
        torch.as_tensor(ivar, dtype=torch.float32),
        pixels,
        calibration.extended(*line_error_basis(wave, flux, ivar > 0, redshift)),
        bool(batch.relative[i]),
    )


def _ticker(request: Request, i: int, batch: SpectrumBatch) -> Callable[[float], None] | None:
    """Progress within one spectrum: the count stays, the message moves."""
    progress = request.progress
    if progress is None:
        return None
    return lambda share: progress(i, len(batch), f"{batch.ids[i]}: {share:.0%} of the longest chain")


def _local_prior(
    instrument: Instrument, spectrum: Spectrum, solution: Solution, redshift: RedshiftPrior
) -> GalaxyPrior:
    """The galaxy prior in a cell around the scan's redshift, its magnitude range widened to hold the data."""
    low, high = redshift_range(redshift, instrument)
    z = solution.redshift
    cell = max(low, z - CELL * (1 + z)), min(high, z + CELL * (1 + z))
    f_nu = float(spectrum.flux.double() @ (spectrum.pixels.band_weights() * (spectrum.ivar > 0))) * 1e-17
    observed = -2.5 * np.log10(max(f_nu, 1e-34)) - 48.6
    faint, bright = max(instrument.magnitude_range[1], observed + 2), min(instrument.magnitude_range[0], observed - 2)
    return GalaxyPrior(cell, (bright, faint))
