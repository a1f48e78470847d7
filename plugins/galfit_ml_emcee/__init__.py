"""The classical baseline as a plugin: redshift scan, then template fitting with emcee. Importing it loads data only."""

from __future__ import annotations

from galfit_ml.backend import BackendInfo, Tags
from galfit_ml.hookspecs import hookimpl


@hookimpl
def galfit_ml_backends() -> list[BackendInfo]:
    """The `emcee` backend and the redshift scan it starts from."""
    return [
        BackendInfo(
            name="emcee",
            target="galfit_ml_emcee.backend:EmceeBackend",
            summary="template fit: redshift scan, then affine-invariant sampling (emcee) of a full galaxy model",
            install_hint="Install it with: pip install emcee torch",
            # Coverage on simulations has not been shown yet (docs/results.md); a promise needs proof.
            tags=Tags(calibrated=False, best_fit=True),
            requires=("emcee", "torch"),
        ),
    ]
