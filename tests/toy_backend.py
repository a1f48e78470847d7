"""A correct backend for the toy galaxies of `galfit_ml.testing`, fast enough to be broken in many ways."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from galfit_ml.backend import Request, Tags
from galfit_ml.flags import Flag
from galfit_ml.instruments import Instrument
from galfit_ml.parameters import GALAXY
from galfit_ml.posterior import BestFit, Floats, Posterior
from galfit_ml.prepare import Preparation, Prepared, prepare
from galfit_ml.redshift_prior import RedshiftPrior
from galfit_ml.spectra import SpectrumBatch
from galfit_ml.testing import toy_batch
from galfit_ml.testing.mocks import TOY_LOG_MASS, toy_flux

INSTRUMENT = replace(Instrument.generic_of(300.0), redshift_range=(0.0, 0.6))
TRIAL = {"instrument": INSTRUMENT, "simulator": toy_batch, "n_calibration": 40}
ALL_TAGS = Tags(embedding=True, best_fit=True)
FEWEST_PIXELS = 20
COARSE_STEP = 1.5e-3


@dataclass(frozen=True, eq=False)
class Row:
    """One spectrum, flux and ivar 0 at bad pixels, and what is known of its redshift."""

    wavelength: Floats
    sigma: Floats
    flux: Floats
    ivar: Floats
    prior: RedshiftPrior


@dataclass(frozen=True, eq=False)
class Fit:
    """ln posterior [k], amplitude and its error [k] on a redshift grid [k] of cells of width `step`."""

    redshift: Floats
    step: float
    log_weight: Floats
    amplitude: Floats
    error: Floats

    @property
    def weight(self) -> Floats:
        weight = np.exp(self.log_weight - self.log_weight.max())
        return weight / weight.sum()


class ToyBackend:
    """The exact posterior of redshift and amplitude: chi2 on a redshift grid that zooms in on the best minimum."""

    parameters = GALAXY.select("redshift", "log_stellar_mass")

    def infer(self, batch: SpectrumBatch, request: Request) -> Posterior:
        seen = prepare(batch, Preparation())
        answers = []
        for i in range(len(batch)):
            answers.append(self.answer(seen, i, batch, request))
            if request.progress is not None:
                request.progress(i + 1, len(batch), batch.ids[i])
        failed = np.array([bool(np.isnan(draws).all()) for draws in answers])
        reasons = tuple("fewer than 20 good pixels" if f else "" for f in failed)
        flags = batch.flags | np.where(failed, int(Flag.FAILED), 0)
        draws = np.stack(answers)
        posterior = Posterior(self.parameters, draws, batch.ids, flags, reasons, provenance={"kind": "toy"})
        draws[batch.relative, :, [p.needs_flux_scale for p in self.parameters].index(True)] = np.nan
        best = self.best_fit(seen, posterior)
        return replace(posterior, best_fit=best, embedding=draws.mean(axis=1), diagnostics={"chi2": best.chi2})

    def answer(self, seen: Prepared, i: int, batch: SpectrumBatch, request: Request) -> Floats:
        """Draws [n_samples, 2] of row i; NaN where it has too few pixels."""
        good = seen.good[i]
        if good.sum() < FEWEST_PIXELS:
            return np.full((request.n_samples, 2), np.nan)
        flux, ivar = np.where(good, seen.flux[i], 0.0), np.where(good, seen.ivar[i], 0.0)
        row = Row(seen.wavelength, seen.lsf_sigma[i], flux, ivar, request.redshift[i])
        return self.draw(self.fit(row), row.prior, request.n_samples, self.stream(request.seed, row, i))

    def stream(self, seed: int, row: Row, position: int) -> np.random.Generator:
        """Random numbers that belong to the seed and the good pixels of the spectrum."""
        good = row.ivar > 0
        content = hashlib.blake2b(row.flux[good].tobytes() + row.ivar[good].tobytes(), digest_size=8).digest()
        return np.random.default_rng([seed, int.from_bytes(content)])

    def fit(self, row: Row) -> Fit:
        """The posterior on a fine grid around the best redshift."""
        low, high = row.prior.within(*INSTRUMENT.redshift_range, "the toy")
        if row.prior.fixed:
            return self.on_grid(row, np.array([low]))
        fit = self.on_grid(row, np.linspace(low, high, max(2, int((high - low) / COARSE_STEP) + 2)))
        for n_points, reach in ((61, 2.0 * COARSE_STEP), (121, 0.0)):
            best = fit.redshift[np.argmax(fit.log_weight)]
            mean = np.sum(fit.weight * fit.redshift)
            spread = np.sqrt(np.sum(fit.weight * (fit.redshift - mean) ** 2)) + fit.step
            half = reach or 7.0 * spread
            fit = self.on_grid(row, np.linspace(max(low, best - half), min(high, best + half), n_points))
        return fit

    def on_grid(self, row: Row, redshift: Floats) -> Fit:
        """Amplitude at each redshift by least squares, flat prior on it marginalised."""
        model = _models(row.wavelength.tobytes(), row.sigma.tobytes(), redshift.tobytes())
        precision = (model**2) @ row.ivar
        amplitude = model @ (row.ivar * row.flux) / precision
        log_weight = 0.5 * amplitude**2 * precision - 0.5 * np.log(precision) + self.log_prior(row.prior, redshift)
        step = float(redshift[1] - redshift[0]) if len(redshift) > 1 else 0.0
        return Fit(redshift, step, log_weight, amplitude, precision**-0.5)

    def log_prior(self, prior: RedshiftPrior, redshift: Floats) -> Floats:
        """ln of the user's factor."""
        return prior.log_density(redshift)

    def draw(self, fit: Fit, prior: RedshiftPrior, n: int, rng: np.random.Generator) -> Floats:
        """n draws of redshift and log mass."""
        cell = rng.choice(len(fit.redshift), size=n, p=fit.weight)
        inside = np.clip(fit.redshift[cell] + fit.step * rng.uniform(-0.5, 0.5, n), fit.redshift[0], fit.redshift[-1])
        amplitude = np.maximum(fit.amplitude[cell] + fit.error[cell] * rng.standard_normal(n), 1e-5)
        return np.stack([inside, TOY_LOG_MASS + np.log10(amplitude)], axis=1)

    def best_fit(self, seen: Prepared, posterior: Posterior) -> BestFit:
        """The model at the mean of the draws; 0 where there is none."""
        mean = np.nan_to_num(posterior.draws.mean(axis=1))
        wavelength = np.broadcast_to(seen.wavelength, seen.flux.shape)
        shape = toy_flux(wavelength, mean[:, 0], seen.lsf_sigma)
        model = shape * 10 ** (mean[:, 1:] - TOY_LOG_MASS)
        chi2 = np.where(seen.good, (seen.flux - model) ** 2 * seen.ivar, 0.0).sum(axis=1)
        return BestFit(wavelength, seen.flux, seen.ivar, model, seen.good, chi2, seen.good.sum(axis=1))


@lru_cache(maxsize=128)
def _models(wavelength: bytes, sigma: bytes, redshift: bytes) -> Floats:
    wave, width, z = (np.frombuffer(raw) for raw in (wavelength, sigma, redshift))
    return toy_flux(np.broadcast_to(wave, (len(z), len(wave))), z, np.broadcast_to(width, (len(z), len(wave))))
