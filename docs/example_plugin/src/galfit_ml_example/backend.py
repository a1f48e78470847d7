"""Redshifts by brute force: templates and polynomials, fitted at every redshift of a grid."""

from __future__ import annotations

import hashlib

import numpy as np

from galfit_ml import Flag, Posterior, SpectrumBatch
from galfit_ml.backend import Request
from galfit_ml.grid import SPEED_OF_LIGHT_KMS
from galfit_ml.parameters import GALAXY
from galfit_ml.prepare import Preparation, Prepared, prepare
from galfit_ml.redshift_prior import RedshiftPrior
from galfit_ml_example.templates import Floats, rest_frame

COARSE, FINE, REACH = (kms / SPEED_OF_LIGHT_KMS for kms in (250.0, 8.0, 300.0))
"""Steps of the two grids in ln(1 + z), and how far the fine one reaches on both sides of a peak."""

GAS = 20.0 / SPEED_OF_LIGHT_KMS
"""Emission lines move by this much against the stars, whose redshift is asked for."""

N_POLYNOMIALS = 5
N_PEAKS = 3
FEWEST_PIXELS = 100


class TemplateRedshift:
    """Posterior of the redshift.

    The spectrum is a linear combination of templates and polynomials, by least squares at each redshift; the noise is
    scaled up until the best combination has a chi-square of 1 per pixel.

    Args:
        max_redshift: end of the search, also where the instrument's range goes on.
    """

    parameters = GALAXY.select("redshift")

    def __init__(self, max_redshift: float = 1.2) -> None:
        self.max_redshift = max_redshift

    def infer(self, batch: SpectrumBatch, request: Request) -> Posterior:
        """One row per spectrum, in order; one of too few pixels is flagged."""
        seen = prepare(batch, Preparation())
        draws = np.full((len(batch), request.n_samples, 1), np.nan)
        flags, reasons = batch.flags.copy(), list(batch.reasons)
        for i, prior in enumerate(request.redshift):
            if seen.good[i].sum() < FEWEST_PIXELS:
                flags[i] |= Flag.FAILED
                reasons[i] = f"fewer than {FEWEST_PIXELS} good pixels"
            else:
                low, high = self._limits(batch, prior)
                draws[i, :, 0] = Scan(seen, i).draw(low, high, prior, request)
            if request.progress is not None:
                request.progress(i + 1, len(batch), batch.ids[i])
        return Posterior(self.parameters, draws, batch.ids, flags, tuple(reasons))

    def _limits(self, batch: SpectrumBatch, prior: RedshiftPrior) -> tuple[float, float]:
        low, high = batch.instrument.redshift_range
        return prior.within(low, min(high, self.max_redshift), "template-redshift")


class Scan:
    """Fits of one spectrum: row i of `seen`."""

    def __init__(self, seen: Prepared, i: int) -> None:
        good = seen.good[i]
        self.ln_wavelength = np.log(seen.wavelength[good])
        self.flux, self.sqrt_ivar = seen.flux[i, good], np.sqrt(seen.ivar[i, good])
        lsf = np.median(seen.lsf_sigma[i, good] / seen.wavelength[good]) * SPEED_OF_LIGHT_KMS
        self.ln_rest, self.templates = rest_frame(round(float(lsf)))
        x = np.interp(self.ln_wavelength, self.ln_wavelength[[0, -1]], [-1.0, 1.0])
        polynomials = np.polynomial.chebyshev.chebvander(x, N_POLYNOMIALS - 1) * self.sqrt_ivar[:, None]
        self.design = np.concatenate([np.empty((len(x), self.templates.shape[1])), polynomials], axis=1)

    def draw(self, low: float, high: float, prior: RedshiftPrior, request: Request) -> Floats:
        """Redshifts [n_samples] between `low` and `high`; the stream is keyed by the seed and the spectrum."""
        content = hashlib.sha256(self.flux.tobytes() + self.sqrt_ivar.tobytes()).digest()
        rng = np.random.default_rng([request.seed, int.from_bytes(content[:8])])
        if np.log1p(high) - np.log1p(low) <= FINE:
            return rng.uniform(low, high, request.n_samples)
        ln_z, density = self.posterior(np.log1p(low), np.log1p(high), prior)
        cell = rng.choice(ln_z, size=request.n_samples, p=density)
        return np.clip(np.expm1(cell + FINE * rng.uniform(-0.5, 0.5, request.n_samples)), low, high)

    def posterior(self, low: float, high: float, prior: RedshiftPrior) -> tuple[Floats, Floats]:
        """Cells in ln(1 + z) around the highest peaks, [n], and their probabilities, [n]."""
        coarse = np.linspace(low, high, int((high - low) / COARSE) + 2)
        chi2 = self.chi2(coarse)
        scale = max(1.0, chi2.min() / (len(self.flux) - self.design.shape[1]))
        height = -0.5 * chi2 / scale + prior.log_density(np.expm1(coarse))
        peak = np.flatnonzero((height >= np.roll(height, 1)) & (height >= np.roll(height, -1)))
        centres = np.round(coarse[peak[np.argsort(-height[peak])[:N_PEAKS]]] / FINE)
        reach = np.arange(-round(REACH / FINE), round(REACH / FINE) + 1)
        ln_z = FINE * np.unique(centres[:, None] + reach)
        log_likelihood = -0.5 * self.chi2(ln_z) / scale
        spread = np.exp(-0.5 * ((ln_z[:, None] - ln_z) / GAS) ** 2)
        density = spread @ np.exp(log_likelihood - log_likelihood.max())
        density *= np.exp(prior.log_density(np.expm1(ln_z))) * ((ln_z >= low) & (ln_z <= high))
        return ln_z, density / density.sum()

    def chi2(self, ln_z: Floats) -> Floats:
        """chi-square of the best combination at each ln(1 + z), [n]."""
        return np.array([self._chi2(shift) for shift in ln_z])

    def _chi2(self, shift: float) -> float:
        position = (self.ln_wavelength - shift - self.ln_rest[0]) / (self.ln_rest[1] - self.ln_rest[0])
        position = np.clip(position, 0, len(self.templates) - 2)
        pixel = position.astype(np.intp)
        right = ((position - pixel) * self.sqrt_ivar)[:, None]
        left = self.sqrt_ivar[:, None] - right
        self.design[:, :-N_POLYNOMIALS] = left * self.templates[pixel] + right * self.templates[pixel + 1]
        data = self.flux * self.sqrt_ivar
        projected = self.design.T @ data
        normal = self.design.T @ self.design
        return float(data @ data - projected @ np.linalg.solve(normal + 1e-9 * np.diag(np.diag(normal)), projected))
