"""One spectrum from scan to posterior: what a worker does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp

from galfit_ml import __version__
from galfit_ml.backend import Request
from galfit_ml.errors import SpectrumError
from galfit_ml.posterior import Posterior
from galfit_ml.prepare import random_stream
from galfit_ml.redshift_prior import RedshiftPrior, redshift_range
from galfit_ml.simulate.galaxies import Galaxies
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.prior import GalaxyPrior, coordinate
from galfit_ml_emcee.chain_file import ChainFile, chain_path, fingerprint
from galfit_ml_emcee.draws import Draws, Others, draw
from galfit_ml_emcee.evidence import evidence
from galfit_ml_emcee.leftover import library_draws
from galfit_ml_emcee.library.data import ScanData
from galfit_ml_emcee.library.templates import Size
from galfit_ml_emcee.likelihood import Likelihood, Spectrum
from galfit_ml_emcee.line_error import line_factors
from galfit_ml_emcee.optimise import Start, find_start
from galfit_ml_emcee.options import Options
from galfit_ml_emcee.redshift_scan import RedshiftScan, scan_input
from galfit_ml_emcee.report import Fit, to_posterior
from galfit_ml_emcee.sampler import Chain, sample, share_there
from galfit_ml_emcee.settings import SamplerSettings
from galfit_ml_emcee.solutions import Peak, Solutions, axis_range, read_scan, scan_axis
from galfit_ml_emcee.target import Target
from galfit_ml_emcee.trim import Native

Floats = NDArray[np.float64]

MAGNITUDE_MARGIN = 2.0
"""The range of magnitudes holds the observed one with so much to spare on both sides."""

SCANNED = 32
"""Spectra laid out for the scan at a time: 10 MB each."""

LEAST_LEFT = 0.005
"""Probability outside all cells from which it gets draws of its own."""


class Machine:
    """What all spectra of a process share: the galaxy model, and the last scan's templates.

    Args:
        options: of the backend.
        size: templates of the scan; by default as the redshifts ask for.
    """

    def __init__(self, options: Options, size: Size | None = None) -> None:
        self.options, self.size = options, size
        self._model: GalaxyModel | None = None
        self._scan: RedshiftScan | None = None

    @property
    def model(self) -> GalaxyModel:
        """The galaxy model, built on first use."""
        if self._model is None:
            self._model = GalaxyModel()
        return self._model

    def scan(self, native: Native, limits: tuple[float, float]) -> RedshiftScan:
        """A scan that covers these spectra and redshifts; the last one is kept."""
        instrument = native.batch.instrument
        axis = scan_axis(native.batch, axis_range(limits, instrument))
        if self._scan is None or self._scan.axis != axis or self._scan.instrument != instrument:
            self._scan = RedshiftScan(instrument, axis, self.model, self.size)
        return self._scan

    def solutions(self, native: Native, prior: RedshiftPrior | None = None) -> list[Solutions]:
        """What the scan alone says of each spectrum, many at a time, under one prior on the redshift."""
        own = prior or RedshiftPrior()
        limits = redshift_range(own, native.batch.instrument)
        scan = self.scan(native, limits)
        out = []
        for rows in np.array_split(np.arange(len(native.batch)), max(1, -(-len(native.batch) // SCANNED))):
            part = native.take(rows)
            found = scan.run(laid_out(part, scan), *limits, bounded=not part.batch.relative.any())
            out += [read_scan(found, i, own, limits, self.options.least_probability) for i in range(len(rows))]
        return out

    def fit(self, native: Native, request: Request, tick: Callable[[float], None] | None = None) -> Posterior:
        """Posterior of the only spectrum of `native`.

        Raises:
            SpectrumError: it cannot be fitted.
            PriorError: the redshift prior is empty.
        """
        native.check(0)
        prior = request.redshift[0]
        limits = redshift_range(prior, native.batch.instrument)
        solutions, others = self._solve(native, prior, limits)
        whole = native.prepared
        rng = random_stream(request.seed, whole.flux[0], whole.ivar[0])
        name, relative = native.batch.ids[0], bool(native.batch.relative[0])
        chains = tuple(
            self.chain(native, peak, number, prior, rng, _part_of(tick, number, solutions))
            for number, peak in enumerate(solutions.sampled)
        )
        weights, error = _weights(chains, solutions, rng)
        chains = tuple(_judged(c, w, self.options.sampler) for c, w in zip(chains, weights, strict=True))
        draws = draw(chains, weights, request.n_samples, rng, others(solutions) if others else None)
        if prior.fixed:
            draws = _exactly(draws, limits[0])
        fit = Fit(name, int(native.batch.flags[0]), solutions, chains, weights, error, draws)
        return to_posterior(fit, self.model, relative)

    def _solve(
        self, native: Native, prior: RedshiftPrior, limits: tuple[float, float]
    ) -> tuple[Solutions, Callable[[Solutions], Others | None] | None]:
        """Peaks of p(z), and what makes draws outside their cells."""
        if limits[0] == limits[1]:
            return Solutions.given(limits[0]), None
        scan = self.scan(native, limits)
        data = laid_out(native, scan)
        found = scan.run(data, *limits, bounded=not native.batch.relative[0])
        solutions = read_scan(found, 0, prior, limits, self.options.least_probability)

        def others(own: Solutions) -> Others | None:
            p = own.outside()
            if p.sum() < LEAST_LEFT:
                return None
            spectrum = native.trimmed(0)

            def make(n: int, rng: np.random.Generator) -> tuple[Galaxies, Floats]:
                redshift = np.clip(own.spread(n, scan.axis.step, rng, p), *limits)
                return library_draws(scan, data, spectrum, redshift, rng)

            return make

        return solutions, others

    def chain(
        self,
        native: Native,
        peak: Peak,
        number: int,
        redshift: RedshiftPrior,
        rng: np.random.Generator,
        tick: Callable[[float], None] | None = None,
    ) -> Chain:
        """Chain in the cell of one peak, the `number`-th of the only spectrum of `native`."""
        spectrum = native.trimmed(0)
        prior = cell_prior(native, spectrum, peak.cell)
        settings = self.options.sampler.scaled(min(peak.share, 1.0))
        own = np.random.default_rng(rng.integers(2**62))
        plain = Likelihood(self.model, spectrum, prior, redshift)
        file = self._file(native, plain, settings, number)
        likelihood, start = self._started(plain, peak.redshift, own)
        fixed = (coordinate("redshift"),) if peak.cell[0] == peak.cell[1] else ()
        return sample(Target.of(likelihood, start, fixed), start, own, settings, file=file, tick=tick)

    def _started(self, plain: Likelihood, redshift: float, rng: np.random.Generator) -> tuple[Likelihood, Start]:
        """The likelihood with line factors from a first search, and the maxima of it."""
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        first = find_start(plain, generator, redshift, n_keep=4)
        galaxy = plain.galaxies(first.x[:1])
        columns = line_factors(self.model, galaxy, plain.spectrum.pixels, self.options.line_error)
        if columns.shape[1]:
            spectrum = plain.spectrum.with_factors(columns)
            plain = Likelihood(self.model, spectrum, plain.prior, plain.redshift)
        return plain, find_start(plain, generator, redshift)

    def _file(self, native: Native, likelihood: Likelihood, settings: SamplerSettings, number: int) -> ChainFile | None:
        if self.options.resume is None:
            return None
        spectrum, prior = likelihood.spectrum, likelihood.prior
        arrays = [t.numpy() for t in (spectrum.flux, spectrum.ivar, spectrum.pixels.wavelength)]
        arrays += [spectrum.pixels.lsf_sigma.numpy(), *(e.factors for e in spectrum.errors)]
        arrays += [e.terms for e in spectrum.errors]
        # A distribution is known by its values: its name is another in every process.
        arrays.append(likelihood.redshift.log_density(np.linspace(*prior.redshift, 64)))
        own = (__version__, prior, settings, self.options.line_error, spectrum.relative)
        path = chain_path(self.options.resume, native.batch.ids[0], number)
        return ChainFile(path, fingerprint(arrays, own))


def laid_out(native: Native, scan: RedshiftScan) -> ScanData:
    """Spectra with the errors of their instrument as a scan wants them."""
    return scan_input(native.prepared, native.all_factors(), native.all_terms(), scan.axis)


def cell_prior(native: Native, spectrum: Spectrum, cell: tuple[float, float]) -> GalaxyPrior:
    """The galaxy prior in a redshift cell, its magnitude range widened to hold the data.

    Raises:
        SpectrumError: the spectrum has no light in the band of its magnitude.
    """
    weights = spectrum.pixels.band_weights() * (spectrum.ivar > 0)
    f_nu = float(spectrum.flux.double() @ weights) * 1e-17
    noise = float((weights**2 / spectrum.ivar.double().clamp(min=1e-30)).sum().sqrt()) * 1e-17
    if not np.isfinite(f_nu) or not np.isfinite(noise):
        raise SpectrumError("its flux is not finite; check the units")
    observed = -2.5 * np.log10(max(f_nu, noise, 1e-40)) - 48.6
    low, high = native.batch.instrument.magnitude_range
    return GalaxyPrior(cell, (min(low, observed - MAGNITUDE_MARGIN), max(high, observed + MAGNITUDE_MARGIN)))


def _weights(chains: tuple[Chain, ...], solutions: Solutions, rng: np.random.Generator) -> tuple[Floats, float]:
    """Posterior share of each chain's cell, and the largest error of ln evidence behind them.

    The cells share what the scan gives them together; how they divide it is told by their evidences, or by the scan
    where one of these is not known well enough.
    """
    scanned = np.array([peak.share for peak in solutions.sampled])
    together = scanned.sum() if len(solutions.redshift) == 0 else min(1.0 - float(solutions.outside().sum()), 1.0)
    if len(chains) == 1:
        return np.array([together]), float("nan")
    found = [evidence(chain, rng) for chain in chains]
    error = max(e.error for e in found)
    if not all(e.believed for e in found):
        return together * scanned / scanned.sum(), error
    log_z = np.array([e.log_z + peak.log_width for e, peak in zip(found, solutions.sampled, strict=True)])
    return together * np.exp(log_z - logsumexp(log_z)), error


def _judged(chain: Chain, weight: float, settings: SamplerSettings) -> Chain:
    """The chain, converged if it is worth what its weight asks for: while it ran only the scan's share was known."""
    enough = share_there(chain.quality, len(chain.x), settings.scaled(min(float(weight), 1.0))) >= 1.0
    return replace(chain, converged=chain.converged and enough)


def _exactly(draws: Draws, redshift: float) -> Draws:
    """The draws with the redshift that was given: to the last digit."""
    values = draws.values.copy()
    values[:, 0] = redshift
    return replace(draws, values=values)


def _part_of(tick: Callable[[float], None] | None, number: int, solutions: Solutions) -> Callable[[float], None] | None:
    """Share of all chains done, from the share of the chain around peak `number`."""
    n = len(solutions.sampled)
    return None if tick is None else lambda share: tick((number + share) / n)
