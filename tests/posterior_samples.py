"""Posteriors made up for tests, with everything a backend may fill in."""

from __future__ import annotations

import numpy as np

from galfit_ml.flags import Flag
from galfit_ml.parameters import GALAXY, TARGETS, ParameterSet
from galfit_ml.posterior import BestFit, Floats, Posterior

CENTRE = {
    "redshift": 0.0312,
    "log_stellar_mass": 10.2,
    "log_sfr": -0.4,
    "log_metallicity": -0.1,
    "gas_metallicity": 0.9,
}
SPREAD = {"redshift": 2e-5, "log_stellar_mass": 0.05, "log_sfr": 0.2, "log_metallicity": 0.06, "gas_metallicity": 0.1}
REASON = "every pixel is masked"


def sample_draws(n: int, n_draws: int, parameters: ParameterSet = TARGETS, seed: int = 3) -> Floats:
    """[n, n_draws, n_par] Gaussian draws about `CENTRE`, parameters correlated."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((n, n_draws, len(parameters)))
    noise[..., 1:] += 0.7 * noise[..., :-1]
    centre = [CENTRE.get(p.name, 0.5 * (p.low + p.high)) for p in parameters]
    spread = [SPREAD.get(p.name, 0.02 * (p.high - p.low)) for p in parameters]
    return np.array(centre) + np.array(spread) * noise


def sample_fit(n: int, n_pix: int = 1200) -> BestFit:
    """Absorption-line spectra with Halpha in emission; row 1 is 100 pixels shorter, every row has a masked stretch."""
    rng = np.random.default_rng(5)
    wave = np.tile(np.geomspace(3900.0, 9000.0, n_pix), (n, 1))
    rest = wave / (1 + CENTRE["redshift"])
    model = 20 - 8 * np.exp(-0.5 * ((rest - 3950) / 25) ** 2) + 30 * np.exp(-0.5 * ((rest - 6564.6) / 6) ** 2)
    flux = model + rng.standard_normal(model.shape)
    good = np.ones(model.shape, dtype=bool)
    good[:, 500:520] = False
    ivar = np.where(good, 1.0, 0.0)
    for values in (wave, flux, model, ivar):
        values[1:2, -100:] = np.nan
    good[1:2, -100:] = False
    chi2 = np.nansum(np.where(good, (flux - model) ** 2, 0.0), axis=1)
    return BestFit(wave, flux, ivar, model, good, chi2, good.sum(axis=1))


def sample_posterior(n: int = 3, n_draws: int = 400, parameters: ParameterSet = TARGETS) -> Posterior:
    """n spectra; the last one failed, where there are more than two."""
    draws, flags, reasons = sample_draws(n, n_draws, parameters), np.zeros(n, dtype=np.int64), [""] * n
    flags[0] = int(Flag.LOW_SNR | Flag.LSF_ASSUMED)
    if n > 2:
        draws[-1], flags[-1], reasons[-1] = np.nan, int(Flag.FAILED), REASON
    return Posterior(
        parameters,
        draws,
        tuple(f"galaxy-{i}" for i in range(n)),
        flags,
        tuple(reasons),
        sample_fit(n),
        np.arange(4.0 * n, dtype=np.float32).reshape(n, 4) / 3,
        {"acceptance": np.linspace(0.2, 0.4, n), "ess": np.arange(n) / 7.0},
        {"backend": "emcee", "galfit_ml": "0.1.0", "seed": "7", "options": "{}"},
    )


__all__ = ["CENTRE", "GALAXY", "REASON", "SPREAD", "TARGETS", "sample_draws", "sample_fit", "sample_posterior"]
