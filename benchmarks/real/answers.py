"""What a backend says of real spectra, a row for each beside what is known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from galfit_ml.api import Estimator
from galfit_ml.benchmark.real_folder import RealSet, synthetic_r
from galfit_ml.posterior import Posterior

DIAGNOSTICS = ("redshift_1", "redshift_probability_1", "redshift_quality", "signal_to_noise", "galaxy_probability")


def answers(real: RealSet, estimator: Estimator, n_draws: int, seed: int) -> pd.DataFrame:
    """[n] rows: what is known, quantiles of each parameter, errors of the redshift, flags, diagnostics.

    Columns `z_error` (z - z_true) / (1 + z_true) of the best redshift, `z_sigma` half of the 16-84 % range in the same
    unit, `z_place` the share of draws below the truth, `NAME`, `NAME_low`, `NAME_high` quantiles of a parameter.
    """
    parts = []
    for rows, batch in real.batches.values():
        posterior = estimator.estimate(batch, n_samples=n_draws, seed=seed)
        part = _told(posterior, real.known["z"].to_numpy()[rows])
        part["r_synthetic"] = synthetic_r(batch)
        parts.append(part.set_index(rows))
    told = pd.concat(parts).sort_index()
    return real.known.join(told).assign(set=real.name)


def _told(posterior: Posterior, truth: np.ndarray) -> pd.DataFrame:
    table: dict[str, np.ndarray] = {}
    for name in posterior.parameters.names:
        low, middle, high = posterior.quantile(name, [0.16, 0.5, 0.84]).T
        table |= {f"{name}_low": low, name: middle, f"{name}_high": high}
    for name in DIAGNOSTICS:
        table[name] = posterior.diagnostics.get(name, np.full(len(posterior), np.nan))
    best = np.where(np.isfinite(table["redshift_1"]), table["redshift_1"], table["redshift"])
    table["z_error"] = (best - truth) / (1 + truth)
    table["z_sigma"] = 0.5 * (table["redshift_high"] - table["redshift_low"]) / (1 + truth)
    table["z_place"] = (posterior["redshift"] < truth[:, None]).mean(axis=1)
    frame = pd.DataFrame(table)
    frame["flags"], frame["reason"] = posterior.flags, posterior.reasons
    return frame
