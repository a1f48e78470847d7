"""From a chain to a `Posterior` row: draws of what is reported, the best model, flags and diagnostics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr

from galfit_ml.flags import Flag
from galfit_ml.parameters import GALAXY
from galfit_ml.posterior import BestFit, Posterior
from galfit_ml.simulate.galaxy import reported_parameters
from galfit_ml.simulate.prior import coordinate
from galfit_ml_emcee.likelihood import NOISE_SCALE_SIGMA, Likelihood
from galfit_ml_emcee.sampler import Chain
from galfit_ml_emcee.solutions import Solution

Floats = NDArray[np.float64]

POOR_CHI2 = 4.0
"""chi^2 per pixel, with the reported noise, above which a fit is flagged."""

LIBRARY_SIGMA = 65.0
"""km/s; below it a velocity dispersion is an upper limit (resolution of the stellar library at 5000 A)."""


@dataclass(frozen=True, eq=False)
class Fit:
    """One fitted spectrum: its name and flags so far, density, chain and redshift solution."""

    name: str
    flags: int
    likelihood: Likelihood
    chain: Chain
    solution: Solution


def to_posterior(fit: Fit, n_samples: int, rng: np.random.Generator) -> Posterior:
    """The row of one spectrum: `n_samples` of its chain, drawn without replacement where there are enough."""
    flat, density = fit.chain.x.reshape(-1, fit.chain.x.shape[-1]), fit.chain.log_density.ravel()
    x = flat[rng.choice(len(flat), size=n_samples, replace=n_samples > len(flat))]
    draws = reported(fit.likelihood, torch.as_tensor(x))
    best = best_fit(fit.likelihood, torch.as_tensor(flat[[int(np.argmax(density))]]))
    bits = fit.flags | int(fit.solution.flags | fit_flags(fit.chain, draws, best, x))
    provenance = {"sampler": "emcee: Gaussian (pCN), mode-jump and differential-evolution moves"}
    return Posterior(
        GALAXY,
        draws[None],
        (fit.name,),
        np.array([bits], dtype=np.int64),
        ("",),
        best,
        None,
        diagnostics(fit, x),
        provenance,
    )


def diagnostics(fit: Fit, x: Floats) -> dict[str, Floats]:
    """Numbers about the inference, each [1]."""
    values = {
        "scan_redshift": fit.solution.redshift,
        "scan_gap": fit.solution.gap,
        "autocorrelation": fit.chain.autocorrelation,
        "acceptance": fit.chain.acceptance,
        "effective_samples": fit.chain.effective_samples,
        "noise_scale": float(np.exp(NOISE_SCALE_SIGMA * np.median(x[:, -1]))),
    }
    return {name: np.array([value]) for name, value in values.items()}


def reported(likelihood: Likelihood, x: torch.Tensor) -> Floats:
    """Reported parameters at probit coordinates [n, N_DIM]: [n, n_par]; NaN for mass and SFR without a flux scale."""
    galaxies = likelihood.prior.transform(torch.special.ndtr(x[:, :-1]))
    made = likelihood.model.observe(galaxies, likelihood.spectrum.pixels)
    columns = reported_parameters(galaxies, made)
    out = np.stack([columns[p.name].numpy() for p in GALAXY], axis=-1)
    if likelihood.spectrum.relative:
        out[:, [p.needs_flux_scale for p in GALAXY]] = np.nan
    return np.clip(out, [p.low for p in GALAXY], [p.high for p in GALAXY])


def best_fit(likelihood: Likelihood, x: torch.Tensor) -> BestFit:
    """The model at x [1, N_DIM] with its most probable calibration, beside the data."""
    data = likelihood.spectrum
    model = likelihood.calibrated(likelihood.spectra(x).flux, likelihood.log_noise_scale(x)).double()
    flux, ivar = data.flux.double()[None], data.ivar.double()[None]
    chi2 = ((flux - model) ** 2 * ivar).sum(1)
    good = (ivar > 0).numpy()
    wave = data.pixels.wavelength[None].numpy()
    return BestFit(wave, flux.numpy(), ivar.numpy(), model.numpy(), good, chi2.numpy(), good.sum(1))


def fit_flags(chain: Chain, draws: Floats, best: BestFit, x: Floats) -> Flag:
    """What a user should know of this fit."""
    flags = Flag(0) if chain.converged else Flag.NOT_CONVERGED
    if float(best.chi2[0]) / max(int(best.n_good[0]), 1) > POOR_CHI2:
        flags |= Flag.POOR_FIT
    middle = ndtr(np.median(x, axis=0))
    watched = [coordinate(n) for n in ("redshift", "magnitude", "log_metallicity")]
    if np.any((middle[watched] < 0.01) | (middle[watched] > 0.99)):
        flags |= Flag.EDGE_OF_RANGE
    dispersion = np.median(draws[:, GALAXY.index("velocity_dispersion")])
    return flags | (Flag.BELOW_RESOLUTION if dispersion < LIBRARY_SIGMA else Flag(0))
