"""From chains to a `Posterior` row: draws of what is reported, the best model, histories, flags and diagnostics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import chi2 as chi2_distribution

from galfit_ml.companions import BestFit, StarFormationHistories, Trace
from galfit_ml.flags import Flag
from galfit_ml.parameters import GALAXY
from galfit_ml.posterior import Posterior
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.prior import coordinate
from galfit_ml_emcee.draws import Draws
from galfit_ml_emcee.likelihood import NOISE_SCALE_SIGMA
from galfit_ml_emcee.sampler import Chain
from galfit_ml_emcee.solutions import Solutions

Floats = NDArray[np.float64]

POOR_CHI2 = 4.0
"""chi^2 per pixel, with the reported noise, above which a fit is flagged."""

LIBRARY_SIGMA = 65.0
"""km/s; below it a velocity dispersion is an upper limit (resolution of the stellar library at 5000 A)."""

HISTORIES = 200
"""Draws of the star-formation history that are kept."""

TRACE_STEPS, TRACE_WALKERS = 150, 14
"""What is kept of a chain for its plot."""

PREDICTIVE = 64
"""Draws whose chi^2 is compared with that of new data."""

WATCHED = ("redshift", "magnitude", "log_metallicity")
"""Coordinates that must not pile up at an edge."""


@dataclass(frozen=True, eq=False)
class Fit:
    """One fitted spectrum.

    Args:
        name, flags: of the spectrum, flags as far as known.
        solutions: of the scan.
        chains: around each sampled peak, best first.
        weights: [n_chain] posterior share of each; less than 1 in sum where redshifts were left to the scan.
        evidence_error: largest standard error of the ln evidences behind the weights; NaN with one chain.
        draws: of the posterior.
    """

    name: str
    flags: int
    solutions: Solutions
    chains: tuple[Chain, ...]
    weights: Floats
    evidence_error: float
    draws: Draws

    @cached_property
    def weighed(self) -> Solutions:
        """The redshifts as the chains find and weigh them: the median of each."""
        index = GALAXY.index("redshift")
        return self.solutions.weighed(self.weights, np.array([np.median(c.values[..., index]) for c in self.chains]))


def to_posterior(fit: Fit, model: GalaxyModel, relative: bool) -> Posterior:
    """The row of one spectrum."""
    main = fit.chains[int(np.argmax(fit.weights))]
    draws = fit.draws.values.copy()
    if relative:
        draws[:, [p.needs_flux_scale for p in GALAXY]] = np.nan
    best = best_fit(main)
    return Posterior(
        GALAXY,
        draws[None],
        (fit.name,),
        np.array([fit.flags | int(fit.weighed.flags | fit_flags(fit, draws, best))], dtype=np.int64),
        ("",),
        best,
        None,
        diagnostics(fit, main, best),
        {"sampler": "emcee: Gaussian (pCN), mode-jump and differential-evolution moves"},
        histories=histories(fit.draws, model, relative),
        trace=trace(main, relative),
    )


def diagnostics(fit: Fit, main: Chain, best: BestFit) -> dict[str, Floats]:
    """Numbers about the inference, each [1]; those of a chain are of the most probable one."""
    quality, peaks = main.quality, fit.solutions.peaks
    flat = main.flat
    values = {
        "scan_redshift": peaks[0].redshift,
        "delta_chi2": -2 * peaks[1].log_evidence if len(peaks) > 1 else np.inf,
        "modes_sampled": float(len(fit.chains)),
        "share_sampled": float(fit.weights.sum()),
        "evidence_error": fit.evidence_error,
        "acceptance": main.acceptance,
        "autocorrelation": _extreme(np.max, quality.autocorrelation),
        "effective_samples": _extreme(np.min, quality.effective),
        "split_rhat": _extreme(np.max, quality.r_hat),
        "steps": float(len(main.x)),
        "surrogate_error": main.plan.error,
        "noise_scale": float(np.exp(NOISE_SCALE_SIGMA * np.median(flat[:, -1]))),
        "predictive_p": predictive_p(main),
        "chi2_per_pixel": float(best.chi2[0] / max(int(best.n_good[0]), 1)),
        "edges_touched": float(len(edges(main, tuple(range(flat.shape[1] - 1))))),
    }
    values |= {f"effective_{p.name}": float(quality.effective[i]) for i, p in enumerate(GALAXY)}
    values |= fit.weighed.diagnostics()
    return {name: np.array([value]) for name, value in values.items()}


def _extreme(of: Callable[[Floats], Any], values: Floats) -> float:
    """The largest or smallest of the values that are known; NaN where none is."""
    known = values[~np.isnan(values)]
    return float(of(known)) if len(known) else float("nan")


def histories(draws: Draws, model: GalaxyModel, relative: bool) -> StarFormationHistories:
    """Star-formation rate against lookback time of the first draws, on the age bins of the stellar grid."""
    n = min(HISTORIES, len(draws.values))
    galaxies, edges_yr = draws.galaxies.take(slice(0, n)), model.grid.age_edges.double().numpy()
    mass = model.formed(galaxies)
    formed = 10 ** draws.values[:n, GALAXY.index("log_stellar_mass")] / mass.surviving.double().numpy()
    rate = formed[:, None] * mass.total.double().numpy() / np.diff(edges_yr)
    age = model.cosmology.age_yr(galaxies.redshift.clamp(min=1e-4)).numpy()
    rate = np.where(edges_yr[None, :-1] < age[:, None], rate, np.nan)
    return StarFormationHistories(edges_yr, (rate * (np.nan if relative else 1.0)).astype(np.float32)[None])


def trace(chain: Chain, relative: bool) -> Trace:
    """Some steps of some walkers."""
    step = max(1, -(-len(chain.values) // TRACE_STEPS))
    values = chain.values[::step, :TRACE_WALKERS].astype(np.float32)
    if relative:
        values[..., [p.needs_flux_scale for p in GALAXY]] = np.nan
    return Trace(values[None], chain.log_density[::step, :TRACE_WALKERS].astype(np.float32)[None])


def best_fit(chain: Chain) -> BestFit:
    """The most probable model of a chain with its most probable linear errors, beside the data."""
    likelihood = chain.target.likelihood
    flat = chain.flat
    x = torch.as_tensor(flat[[int(np.argmax(chain.log_density))]])
    data, galaxy = likelihood.spectrum, likelihood.spectra(x).flux
    factor, term = likelihood.corrections(galaxy, x)
    model = (galaxy * factor + term).double()
    flux, ivar = data.flux.double()[None], data.ivar.double()[None]
    chi2 = ((flux - model) ** 2 * ivar).sum(1)
    good = (ivar > 0).numpy()
    return BestFit(
        wavelength=data.pixels.wavelength[None].numpy(),
        flux=flux.numpy(),
        ivar=ivar.numpy(),
        model=model.numpy(),
        good=good,
        chi2=chi2.numpy(),
        n_good=good.sum(1),
        calibration=factor.double().numpy(),
        noise_scale=np.exp(likelihood.log_noise_scale(x).numpy()),
    )


def predictive_p(chain: Chain) -> float:
    """Posterior predictive p-value of chi^2: how often new data of the fitted galaxy would fit worse (Rubin 1984).

    The linear errors are integrated out, the noise scale is part of the model.
    """
    flat = chain.flat
    x = torch.as_tensor(flat[:: max(1, len(flat) // PREDICTIVE)][:PREDICTIVE])
    likelihood = chain.target.likelihood
    flux, precision = likelihood.spectra(x).flux, likelihood.precision(x)
    chi2 = torch.zeros(len(x), dtype=torch.float64)
    for arm in likelihood.arms:
        residual = (arm.flux - flux[:, arm.pixels])[:, None]
        chi2 += arm.whitened(flux[:, arm.pixels], precision).inner(residual, residual)[:, 0, 0]
    return float(chi2_distribution.sf(chi2.numpy(), likelihood.spectrum.n_good).mean())


def edges(chain: Chain, watched: tuple[int, ...]) -> list[int]:
    """Which of the `watched` coordinates have their median in the outer 1 % of their range."""
    middle = ndtr(np.median(chain.flat[:, list(watched)], axis=0))
    return [c for c, m in zip(watched, middle, strict=True) if m < 0.01 or m > 0.99]


def fit_flags(fit: Fit, draws: Floats, best: BestFit) -> Flag:
    """What a user should know of this fit."""
    main = fit.chains[int(np.argmax(fit.weights))]
    flags = Flag(0) if all(c.converged for c in fit.chains) else Flag.NOT_CONVERGED
    if float(best.chi2[0]) / max(int(best.n_good[0]), 1) > POOR_CHI2:
        flags |= Flag.POOR_FIT
    if edges(main, tuple(coordinate(name) for name in WATCHED)):
        flags |= Flag.EDGE_OF_RANGE
    dispersion = np.median(draws[:, GALAXY.index("velocity_dispersion")])
    return flags | (Flag.BELOW_RESOLUTION if dispersion < LIBRARY_SIGMA else Flag(0))
