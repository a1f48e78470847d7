"""A coarse redshift scan with bagpipes' spectra, for a range of redshift too wide for nested sampling.

In each slab of ln(1 + z) some galaxies of the prior are made once, and moved over the spectrum in steps of a pixel. At
each step a cubic polynomial times each galaxy is fitted; what counts is the mean likelihood over the galaxies.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.special import logsumexp

from galfit_ml.grid import SPEED_OF_LIGHT_KMS, WavelengthGrid, rebin
from galfit_ml.instruments import FWHM_PER_SIGMA
from galfit_ml_bagpipes.job import Job
from galfit_ml_bagpipes.likelihood import LEAST_R, Likelihood
from galfit_ml_bagpipes.observed import Observed
from galfit_ml_bagpipes.resample import resample

Floats = NDArray[np.float64]

SLAB = 0.1
N_TEMPLATES = 20
LEAST_STEP = 3e-4
DEGREE = 3
WIDTH_KMS = 150.0
WINDOW = 0.0033
"""Half-width, in 1 + z, of what counts as one redshift."""


@dataclass(frozen=True)
class Found:
    """Best redshift, and the share of the probability within `WINDOW` (1 + z) of it."""

    redshift: float
    share: float


def scan(job: Job, rng: np.random.Generator) -> Found:
    """Best redshift within the prior of a job."""
    low, high = (float(np.log1p(z)) for z in job.limits)
    step = max(LEAST_STEP, 0.3 / (FWHM_PER_SIGMA * float(np.median(job.observed.resolution))))
    data = _Data.of(job.observed, step)
    n_slabs = max(1, int(np.ceil((high - low) / SLAB)))
    borders = np.linspace(low, high, n_slabs + 1)
    likelihood = _coarse(job, rng)
    parts = [_slab(likelihood, _galaxies(job, limits, rng), data, limits) for limits in pairwise(borders)]
    redshift, height = (np.concatenate(column) for column in zip(*parts, strict=True))
    height = height + job.redshift.log_density(redshift)
    best = float(redshift[np.argmax(height)])
    near = np.abs(redshift - best) < WINDOW * (1 + best)
    return Found(best, float(np.exp(logsumexp(height[near]) - logsumexp(height))))


@dataclass(frozen=True, eq=False)
class _Data:
    """The spectrum on pixels of equal ln(wavelength).

    Args:
        step: of the pixels. first: ln(wavelength) of the first. smoothing: sigma of line-spread function, pixels.
        signal, weight: [n_pix] flux times ivar, and ivar, of a flux of order 1.
        basis: [n_pix, DEGREE + 1] polynomials. products: [n_pix, (DEGREE + 1)^2] of two of them.
    """

    step: float
    first: float
    smoothing: float
    signal: Floats
    weight: Floats
    basis: Floats
    products: Floats

    @classmethod
    def of(cls, spectrum: Observed, step: float) -> _Data:
        source = WavelengthGrid.from_centres(spectrum.wavelength)
        n_pix = int(np.log(spectrum.wavelength[-1] / spectrum.wavelength[0]) / step)
        target = WavelengthGrid(
            *(spectrum.wavelength[0] * np.exp(step * (np.arange(n_pix + k) - k / 2)) for k in (1, 0))
        )
        level = float(np.median(np.abs(spectrum.flux[spectrum.good])))
        ivar = np.where(spectrum.good, (spectrum.error / level) ** -2.0, 0.0)
        new = rebin(spectrum.flux[None] / level, ivar[None], ~spectrum.good[None], source, target)
        weight = np.where(new.bad[0], 0.0, new.ivar[0])
        basis: Floats = np.polynomial.chebyshev.chebvander(np.linspace(-1, 1, n_pix), DEGREE).astype(np.float64)
        products = (basis[:, :, None] * basis[:, None]).reshape(n_pix, -1)
        sigma = 1 / (FWHM_PER_SIGMA * float(np.median(spectrum.resolution)))
        smoothing = float(np.hypot(sigma, WIDTH_KMS / SPEED_OF_LIGHT_KMS)) / step
        return cls(step, float(np.log(target.centres[0])), smoothing, weight * new.flux[0], weight, basis, products)


def _coarse(job: Job, rng: np.random.Generator) -> Likelihood:
    """bagpipes at a low resolving power, for all redshifts."""
    start = _galaxies(job, (float(np.log1p(job.limits[0])),) * 2, rng)[0]
    return Likelihood(job.observed, start, job.limits[1], resolving_power=LEAST_R)


def _galaxies(job: Job, limits: tuple[float, float], rng: np.random.Generator) -> list[dict[str, float]]:
    """Galaxies of the prior in the middle of a slab of ln(1 + z)."""
    middle = float(np.expm1(0.5 * (limits[0] + limits[1])))
    prior = job.prior.within(job.redshift, middle, middle)
    draws = prior.transform(rng.random((N_TEMPLATES, len(prior.free))))
    return [{name: float(column[i]) for name, column in draws.items()} for i in range(N_TEMPLATES)]


def _slab(
    likelihood: Likelihood, galaxies: list[dict[str, float]], data: _Data, limits: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Redshifts of one slab of ln(1 + z), and the ln mean likelihood at each."""
    n_z = int(np.ceil((limits[1] - limits[0]) / data.step)) + 1
    n_pix = len(data.weight)
    ln_rest: Floats = data.first - limits[1] + data.step * np.arange(n_pix + n_z, dtype=np.float64)
    templates = np.stack([_template(likelihood, galaxy, ln_rest, data.smoothing) for galaxy in galaxies])
    height = np.array([_mean_likelihood(templates[:, j : j + n_pix], data) for j in range(n_z)])
    return np.expm1(limits[1] - data.step * np.arange(n_z)), height


def _template(likelihood: Likelihood, galaxy: dict[str, float], ln_rest: Floats, smoothing: float) -> Floats:
    """Rest-frame light of a galaxy at the resolution of the data, of mean 1, [n_rest]."""
    wave, light = likelihood.rest_frame(galaxy)
    smooth = gaussian_filter1d(resample(np.exp(ln_rest), wave, light), smoothing)
    return smooth / max(float(np.abs(smooth).mean()), 1e-300)


def _mean_likelihood(templates: Floats, data: _Data) -> float:
    """ln of the mean likelihood ratio over templates [n, n_pix], each times its best polynomial."""
    k = data.basis.shape[1]
    right = (templates * data.signal) @ data.basis
    normal = ((templates**2 * data.weight) @ data.products).reshape(-1, k, k)
    ridge = 1e-9 * np.trace(normal, axis1=1, axis2=2) + 1e-30
    solution = np.linalg.solve(normal + ridge[:, None, None] * np.eye(k), right[..., None])[..., 0]
    gain = np.where(solution[:, 0] > 0, 0.5 * (solution * right).sum(1), 0.0)
    return float(logsumexp(gain) - np.log(len(gain)))
