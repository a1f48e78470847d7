"""What may come beside the draws, made up for tests: histories of the galaxy model, and walkers that settle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from posterior_samples import CENTRE, SPREAD, TARGETS, sample_posterior

from galfit_ml.parameters import ParameterSet
from galfit_ml.posterior import BestFit, Posterior, StarFormationHistories, Trace
from galfit_ml.simulate.history import StarFormation, formed_mass

EDGES = np.array([0, 1e7, 3e7, 1e8, 3e8, 1e9, 2e9, 4e9, 6.5e9, 9e9, 1.2e10, 1.5e10, 1.8e10])
"""Years; the last bin is older than the Universe."""

NOISE_SCALE = 1.3


def sample_histories(n: int, n_kept: int = 200, log_formed: float = 10.4, seed: int = 8) -> StarFormationHistories:
    """Galaxies that began 10 Gyr ago, had a burst 1.3 Gyr ago and still form stars; the last of three failed."""
    generator = torch.Generator().manual_seed(seed)
    shape = n * n_kept

    def about(centre: float, spread: float) -> torch.Tensor:
        return centre + spread * torch.randn(shape, generator=generator)

    history = StarFormation(
        log_ssfr=about(-10.5, 0.2),
        log_burstiness=about(0.0, 0.25),
        burst_age=10 ** about(9.1, 0.08),
        log_burst_fraction=about(-0.7, 0.2),
        formation_age=about(1.05e10, 1.0e9).clamp(max=1.33e10),
        tau=10 ** about(9.4, 0.15),
    )
    edges = torch.as_tensor(EDGES, dtype=torch.float32)
    alive = torch.full((shape, len(EDGES) - 1), 0.6)
    mass = 10**log_formed * formed_mass(history, edges, alive, alive).total.double().numpy()
    sfr = (mass / np.diff(EDGES)).reshape(n, n_kept, -1).astype(np.float32)
    sfr[:, :, -1] = np.nan
    if n > 2:
        sfr[-1] = np.nan
    return StarFormationHistories(EDGES.copy(), sfr)


def sample_trace(n: int, n_steps: int = 300, n_walkers: int = 24, parameters: ParameterSet = TARGETS) -> Trace:
    """Walkers that begin far off and settle within 40 steps; row 1 has 50 steps fewer, the last of three failed."""
    rng = np.random.default_rng(11)
    walkers = np.empty((n, n_steps, n_walkers, len(parameters)))
    now = 4 * rng.standard_normal((n, n_walkers, len(parameters)))
    for step in range(n_steps):
        now = 0.93 * now + np.sqrt(1 - 0.93**2) * rng.standard_normal(now.shape)
        walkers[:, step] = now
    centre = [CENTRE.get(p.name, 0.5 * (p.low + p.high)) for p in parameters]
    spread = [SPREAD.get(p.name, 0.02 * (p.high - p.low)) for p in parameters]
    trace = Trace(
        (np.array(centre) + np.array(spread) * walkers).astype(np.float32),
        (-1234 - 0.5 * (walkers**2).sum(axis=3)).astype(np.float32),
    )
    for values in (trace.values, trace.log_density):
        values[1:2, -50:] = np.nan
        values[2:][-1:] = np.nan
    return trace


def with_calibration(fit: BestFit, noise_scale: float = NOISE_SCALE) -> BestFit:
    """The same fit with a slow calibration of some per cent, one line factor, and too small a reported noise."""
    wave = fit.wavelength
    slow = 1 + 0.03 * np.sin(wave / 900) + 0.15 * np.exp(-0.5 * ((wave - 6770) / 8) ** 2)
    return replace(fit, calibration=slow, noise_scale=np.full(len(fit), noise_scale))


def whole_posterior(n: int = 3, n_draws: int = 400, parameters: ParameterSet = TARGETS) -> Posterior:
    """A posterior with all that a backend may give."""
    posterior = sample_posterior(n, n_draws, parameters)
    assert posterior.best_fit is not None
    return replace(
        posterior,
        best_fit=with_calibration(posterior.best_fit),
        histories=sample_histories(n),
        trace=sample_trace(n, parameters=parameters),
        diagnostics={
            "acceptance": np.linspace(0.24, 0.4, n),
            "autocorrelation": np.linspace(27.0, 60.0, n),
            "effective_samples": np.linspace(830.0, 40.0, n),
            "split_rhat": np.linspace(1.01, 1.3, n),
        },
    )
