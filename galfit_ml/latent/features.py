"""Feature sets of a posterior: its embedding, and what it says in words that astronomers know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from galfit_ml.latent.checks import LatentError

if TYPE_CHECKING:
    from galfit_ml.posterior import Posterior

Floats = NDArray[np.float64]


def embedding_of(posterior: Posterior) -> Floats:
    """Latent features [n, n_features] of a posterior, NaN rows where there is no result.

    Raises:
        LatentError: the backend has no latent space.
    """
    if posterior.embedding is None:
        backend = posterior.provenance.get("backend", "unknown")
        raise LatentError(f"The backend '{backend}' has no latent space; use backend='cnn'.")
    return np.where(posterior.ok[:, None], np.asarray(posterior.embedding, dtype=np.float64), np.nan)


def log_ssfr(posterior: Posterior) -> Floats:
    """Posterior median [n] of log10 SFR / M_star, 1/yr; NaN where mass or rate cannot be given.

    Raises:
        LatentError: the posterior holds no mass or no star-formation rate.
    """
    missing = [name for name in ("log_sfr", "log_stellar_mass") if name not in posterior.parameters]
    if missing:
        raise LatentError(f"The posterior holds no {' and no '.join(missing)}, which a specific rate needs.")
    return np.asarray(np.median(posterior["log_sfr"] - posterior["log_stellar_mass"], axis=1))


def medians(posterior: Posterior) -> tuple[tuple[str, ...], Floats]:
    """Names of k parameters and their posterior medians [n, k].

    Parameters that no spectrum has (masses of spectra without a flux scale) are left out.
    """
    found = {name: values for name, values in posterior.median().items() if np.isfinite(values).any()}
    if not found:
        raise LatentError("No spectrum of this posterior has a result.")
    return tuple(found), np.stack(list(found.values()), axis=1)
