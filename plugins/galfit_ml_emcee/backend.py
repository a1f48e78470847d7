"""`EmceeBackend`: redshift scan over the whole range, then the full posterior around the best solution."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr

from galfit_ml.backend import Request
from galfit_ml.errors import GalfitMLError, PriorError
from galfit_ml.flags import Flag
from galfit_ml.grid import WavelengthGrid
from galfit_ml.instruments import Instrument
from galfit_ml.parameters import GALAXY, ParameterSet
from galfit_ml.posterior import BestFit, Posterior, concatenate
from galfit_ml.prepare import Preparation, Prepared, prepare
from galfit_ml.redshift_prior import RedshiftPrior
from galfit_ml.simulate.galaxy import GalaxyModel, Pixels
from galfit_ml.simulate.prior import GalaxyPrior, coordinate
from galfit_ml.simulate.smoothing import C_KMS
from galfit_ml.spectra import SpectrumBatch
from galfit_ml_emcee.likelihood import NOISE_SCALE_SIGMA, Calibration, Likelihood, Spectrum
from galfit_ml_emcee.optimise import find_start
from galfit_ml_emcee.redshift_scan import RedshiftScan, ScanResult
from galfit_ml_emcee.sampler import Chain, SamplerSettings, sample

SCAN_STEP = 2e-4
"""Step of the scan's ln(wavelength) grid, 60 km/s, where the spectra are not on a fine enough log grid already."""

CELL = 0.01
"""Half-width of the redshift cell that is sampled, in units of 1 + z."""

LOWEST_REDSHIFT = 1e-4
MIN_GOOD_PIXELS = 50


@dataclass(frozen=True)
class _Solution:
    """What the scan says of one spectrum."""

    redshift: float
    flags: Flag
    second_gap: float


class EmceeBackend:
    """Template fit with emcee.

    Args:
        n_walkers, n_burn, max_steps, n_autocorr: see `SamplerSettings`.
    """

    parameters: ParameterSet = GALAXY

    def __init__(
        self, n_walkers: int = 48, n_burn: int = 80, max_steps: int = 1200, n_autocorr: float = 10.0
    ) -> None:
        self.settings = SamplerSettings(n_walkers, n_burn=n_burn, max_steps=max_steps, n_autocorr=n_autocorr)
        self._model: GalaxyModel | None = None
        self._scans: dict[tuple[bytes, float, float, float], RedshiftScan] = {}

    def __getstate__(self) -> dict[str, object]:
        return {"settings": self.settings, "_model": None, "_scans": {}}

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
                except (GalfitMLError, torch.linalg.LinAlgError) as error:
                    rows.append(Posterior.failed(GALAXY, request.n_samples, [batch.ids[i]], [str(error)]))
                if request.progress is not None:
                    request.progress(i + 1, len(batch), batch.ids[i])
        return concatenate(rows)

    def _solve_redshifts(self, batch: SpectrumBatch, request: Request) -> list[_Solution | GalfitMLError]:
        """Best redshift of each spectrum under its prior."""
        grid = scan_grid(batch)
        prepared = prepare(batch, Preparation(grid))
        out: list[_Solution | GalfitMLError] = []
        ranges = [_redshift_range(p, batch.instrument) for p in request.redshift]
        results: dict[int, _Solution] = {}
        for limits in dict.fromkeys(ranges):
            rows = [i for i, r in enumerate(ranges) if r == limits]
            if limits[0] == limits[1]:
                results |= {i: _Solution(limits[0], Flag(0), np.inf) for i in rows}
                continue
            scan = self._scan(grid, limits, prepared)
            found = scan.run(prepared.flux[rows], prepared.ivar[rows])
            results |= {i: _read_scan(found, k, request.redshift[i]) for k, i in enumerate(rows)}
        out += [results[i] for i in range(len(batch))]
        return out

    def _scan(self, grid: WavelengthGrid, limits: tuple[float, float], prepared: Prepared) -> RedshiftScan:
        lsf = float(np.round(np.median(C_KMS * prepared.lsf_sigma / prepared.wavelength), 0))
        key = (grid.key(), *limits, lsf)
        if key not in self._scans:
            self._scans = {key: RedshiftScan(grid, *limits, lsf, self.model.grid, self.model.cosmology)}
        return self._scans[key]

    def _infer_one(
        self, batch: SpectrumBatch, native: Prepared, i: int, request: Request, solution: _Solution | GalfitMLError
    ) -> Posterior:
        if isinstance(solution, GalfitMLError):
            raise solution
        spectrum = _trimmed(native, i, batch)
        rng = _stream(request.seed, spectrum)
        likelihood = Likelihood(
            self.model, spectrum, _local_prior(batch.instrument, spectrum, solution, request.redshift[i]), request.redshift[i]
        )
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        start = find_start(likelihood, generator)
        fixed = (coordinate("redshift"),) if likelihood.prior.redshift[0] == likelihood.prior.redshift[1] else ()
        chain = sample(likelihood, start, rng, self.settings, fixed)
        return _posterior(batch, i, request.n_samples, likelihood, chain, solution, rng)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread: the arrays here are too small for two to help, and two on a busy machine wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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


def _redshift_range(prior: RedshiftPrior, instrument: Instrument) -> tuple[float, float]:
    """Range to scan: the instrument's where the user says nothing, else the user's within the model's."""
    if prior.free:
        return max(instrument.redshift_range[0], LOWEST_REDSHIFT), instrument.redshift_range[1]
    limits = GALAXY["redshift"]
    low, high = prior.within(limits.low, limits.high, "the galaxy model")
    if prior.distribution is not None:
        tails = prior.distribution.ppf([1e-6, 1 - 1e-6])
        low, high = max(low, float(tails[0])), min(high, float(tails[1]))
    if high < LOWEST_REDSHIFT:
        raise PriorError(f"redshift={high:g} is below {LOWEST_REDSHIFT:g}: galaxies so near have no distance from it.")
    return max(low, LOWEST_REDSHIFT), high


def _read_scan(found: ScanResult, row: int, prior: RedshiftPrior) -> _Solution:
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
    rounded = float(np.expm1(np.round(np.log1p(best), 7)))
    return _Solution(rounded, flags | (Flag.NO_CLEAR_MINIMUM if share < 0.5 else Flag(0)), gap)


def _trimmed(native: Prepared, i: int, batch: SpectrumBatch) -> Spectrum:
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
        raise PriorError(f"only {n_good} good pixels, {MIN_GOOD_PIXELS} are needed; check mask and uncertainty")
    wave = native.wavelength[keep]
    pixels = Pixels.from_arrays(wave, edges, native.lsf_sigma[i, keep], batch.instrument.magnitude_band)
    return Spectrum(
        torch.as_tensor(native.flux[i, keep], dtype=torch.float32),
        torch.as_tensor(native.ivar[i, keep], dtype=torch.float32),
        pixels,
        Calibration.of(batch.instrument, wave, native.arm[keep]),
        bool(batch.relative[i]),
    )


def _stream(seed: int, spectrum: Spectrum) -> np.random.Generator:
    """Random stream keyed by the seed and the spectrum's content, never by its place in a batch."""
    content = hashlib.sha256(spectrum.flux.numpy().tobytes() + spectrum.ivar.numpy().tobytes()).digest()
    return np.random.default_rng([seed, *np.frombuffer(content[:16], dtype=np.uint32).tolist()])


def _local_prior(
    instrument: Instrument, spectrum: Spectrum, solution: _Solution, redshift: RedshiftPrior
) -> GalaxyPrior:
    """The galaxy prior in a cell around the scan's redshift, its magnitude range widened to hold the data."""
    low, high = _redshift_range(redshift, instrument)
    z = solution.redshift
    cell = max(low, z - CELL * (1 + z)), min(high, z + CELL * (1 + z))
    f_nu = float(spectrum.flux.double() @ (spectrum.pixels.band_weights() * (spectrum.ivar > 0))) * 1e-17
    observed = -2.5 * np.log10(max(f_nu, 1e-34)) - 48.6
    faint, bright = max(instrument.magnitude_range[1], observed + 2), min(instrument.magnitude_range[0], observed - 2)
    return GalaxyPrior(cell, (bright, faint))


def _posterior(
    batch: SpectrumBatch, i: int, n_samples: int, likelihood: Likelihood, chain: Chain, solution: _Solution,
    rng: np.random.Generator,
) -> Posterior:
    """Draws of the reported parameters, the best model, flags and diagnostics of one spectrum."""
    flat, density = chain.x.reshape(-1, chain.x.shape[-1]), chain.log_density.ravel()
    chosen = rng.choice(len(flat), size=n_samples, replace=n_samples > len(flat))
    draws = _report(likelihood, torch.as_tensor(flat[chosen]))
    best = torch.as_tensor(flat[[int(np.argmax(density))]])
    fit = _best_fit(likelihood, best)
    flags = solution.flags | _flags(likelihood, chain, draws, fit, flat[chosen])
    diagnostics = {
        "scan_redshift": np.array([solution.redshift]),
        "scan_gap": np.array([solution.second_gap]),
        "autocorrelation": np.array([chain.autocorrelation]),
        "acceptance": np.array([chain.acceptance]),
        "effective_samples": np.array([chain.effective_samples]),
        "noise_scale": np.exp(NOISE_SCALE_SIGMA * np.median(flat[chosen, -1], keepdims=True)),
    }
    bits = np.array([int(batch.flags[i]) | int(flags)], dtype=np.int64)
    return Posterior(
        GALAXY, draws[None], (batch.ids[i],), bits, ("",), fit, None, diagnostics, {"sampler": "emcee, DE and snooker moves"}
    )


def _report(likelihood: Likelihood, x: torch.Tensor) -> NDArray[np.float64]:
    """Reported parameters at probit coordinates [n, N_DIM]: [n, n_par]; NaN for mass and SFR without a flux scale."""
    galaxies = likelihood.prior.transform(torch.special.ndtr(x[:, :-1]))
    made = likelihood.model.observe(galaxies, likelihood.spectrum.pixels)
    columns = {
        "redshift": galaxies.redshift,
        "log_stellar_mass": made.log_stellar_mass,
        "log_sfr": made.log_sfr,
        "log_metallicity": galaxies.log_metallicity,
        "gas_metallicity": 10**galaxies.log_gas_metallicity,
        "dust_av": galaxies.dust_av,
        "velocity_dispersion": galaxies.velocity_dispersion,
        "log_age": made.log_age,
        "log_ionisation": galaxies.log_ionisation,
    }
    out = np.stack([columns[p.name].double().numpy() for p in GALAXY], axis=-1)
    if likelihood.spectrum.relative:
        out[:, [p.needs_flux_scale for p in GALAXY]] = np.nan
    return np.clip(out, [p.low for p in GALAXY], [p.high for p in GALAXY])


def _best_fit(likelihood: Likelihood, x: torch.Tensor) -> BestFit:
    data = likelihood.spectrum
    model = likelihood.calibrated(likelihood.spectra(x).flux, likelihood.log_noise_scale(x)).double()
    flux, ivar = data.flux.double()[None], data.ivar.double()[None]
    chi2 = ((flux - model) ** 2 * ivar).sum(1)
    good = (ivar > 0).numpy()
    wave = data.pixels.wavelength[None].numpy()
    return BestFit(wave, flux.numpy(), ivar.numpy(), model.numpy(), good, chi2.numpy(), good.sum(1))


def _flags(
    likelihood: Likelihood, chain: Chain, draws: NDArray[np.float64], fit: BestFit, x: NDArray[np.float64]
) -> Flag:
    """What a user should know of this fit."""
    flags = Flag(0) if chain.converged else Flag.NOT_CONVERGED
    if float(fit.chi2[0]) / max(int(fit.n_good[0]), 1) > 4.0:
        flags |= Flag.POOR_FIT
    middle = ndtr(np.median(x, axis=0))
    watched = [coordinate(n) for n in ("redshift", "magnitude", "log_metallicity")]
    if np.any((middle[watched] < 0.01) | (middle[watched] > 0.99)):
        flags |= Flag.EDGE_OF_RANGE
    dispersion = np.median(draws[:, GALAXY.index("velocity_dispersion")])
    return flags | (Flag.BELOW_RESOLUTION if dispersion < 65.0 else Flag(0))


