"""From the answer of a fit to a row of a `Posterior`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from galfit_ml.flags import Flag
from galfit_ml.parameters import GALAXY
from galfit_ml.posterior import BestFit, Posterior
from galfit_ml.spectra import FLUX_UNIT
from galfit_ml_bagpipes.coordinates import RANGES
from galfit_ml_bagpipes.cosmology import log_mass_shift
from galfit_ml_bagpipes.job import Answer, Job
from galfit_ml_bagpipes.observed import Observed

Floats = NDArray[np.float64]

POOR_CHI2 = 4.0
"""chi^2 per pixel, with the reported noise, above which a fit is flagged."""

LIBRARY_SIGMA = 65.0
"""km/s; below it a velocity dispersion is an upper limit (resolution of the stellar library at 5000 A)."""

CERTAIN = 0.9
CLEAR = 0.5
"""Shares of the scan's probability at its best redshift below which it is ambiguous, or no minimum stands out."""

EDGE = 0.01
"""Share of a range that counts as its edge."""


def to_posterior(name: str, flags: int, job: Job, answer: Answer) -> Posterior:
    """The row of one spectrum."""
    draws = reported(answer)
    if flags & Flag.RELATIVE_FLUX:
        draws[:, [p.needs_flux_scale for p in GALAXY]] = np.nan
    best = best_fit(job.observed, answer)
    bits = flags | int(fit_flags(job, answer, best))
    numbers = {**answer.numbers, "noise_scale": float(np.median(answer.values["noise_scale"]))}
    return Posterior(
        GALAXY,
        np.clip(draws, [p.low for p in GALAXY], [p.high for p in GALAXY])[None],
        (name,),
        np.array([bits], dtype=np.int64),
        ("",),
        best,
        None,
        {key: np.array([value]) for key, value in numbers.items() if key != "converged"},
        {"sampler": "nautilus", "bagpipes": answer.version, "gas_dispersion": "that of the stars"},
    )


def reported(answer: Answer) -> Floats:
    """Draws [n_samples, n_par] of what is reported, masses and rates in this package's cosmology."""
    values, derived = answer.values, answer.derived
    shift = log_mass_shift(values["redshift"])
    columns = {
        **values,
        **derived,
        "log_stellar_mass": derived["log_stellar_mass"] + shift,
        "log_sfr": derived["log_sfr"] + shift,
        "gas_metallicity": 10 ** values["log_gas_metallicity"],
    }
    return np.stack([columns[p.name] for p in GALAXY], axis=-1)


def best_fit(observed: Observed, answer: Answer) -> BestFit:
    """Model and data in the units of a batch."""
    unit = observed.scale * FLUX_UNIT
    good = observed.good
    flux = np.where(good, observed.flux / unit, 0.0)
    ivar = np.where(good, (observed.error / unit) ** -2.0, 0.0)
    model = answer.model / unit
    return BestFit(
        observed.wavelength[None],
        flux[None],
        ivar[None],
        model[None],
        good[None],
        np.array([np.sum((flux - model) ** 2 * ivar)]),
        np.array([good.sum()], dtype=np.int64),
        answer.calibration[None],
        np.array([answer.best["noise_scale"]]),
    )


def fit_flags(job: Job, answer: Answer, best: BestFit) -> Flag:
    """What a user should know of this fit."""
    flags = Flag(0) if answer.numbers["converged"] else Flag.NOT_CONVERGED
    share = answer.numbers["scan_share"]
    flags |= Flag.AMBIGUOUS_REDSHIFT if share < CERTAIN else Flag(0)
    flags |= Flag.NO_CLEAR_MINIMUM if share < CLEAR else Flag(0)
    if float(best.chi2[0]) / max(int(best.n_good[0]), 1) > POOR_CHI2:
        flags |= Flag.POOR_FIT
    if any(_at_edge(answer.values[name], *limits) for name, limits in watched(job).items()):
        flags |= Flag.EDGE_OF_RANGE
    dispersion = float(np.median(answer.values["velocity_dispersion"]))
    return flags | (Flag.BELOW_RESOLUTION if dispersion < LIBRARY_SIGMA else Flag(0))


def watched(job: Job) -> dict[str, tuple[float, float]]:
    """Ranges at whose edges a posterior should not pile up: those of what was free."""
    names = {"log_formed_mass", "log_metallicity"} & set(job.prior.free)
    ranges = {name: RANGES[name] for name in sorted(names)}
    return ranges if job.prior.redshift.fixed else ranges | {"redshift": job.limits}


def _at_edge(draws: Floats, low: float, high: float) -> bool:
    share = (float(np.median(draws)) - low) / (high - low)
    return not EDGE < share < 1 - EDGE
