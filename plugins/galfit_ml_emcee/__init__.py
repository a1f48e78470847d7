"""The classical baseline as a plugin: redshift scan, then template fitting with emcee. Importing it loads data only."""

from __future__ import annotations

from galfit_ml.backend import BackendInfo, Tags
from galfit_ml.hookspecs import hookimpl


@hookimpl
def galfit_ml_backends() -> list[BackendInfo]:
    """The backends `emcee` and `scan`."""
    return [
        BackendInfo(
            name="emcee",
            target="galfit_ml_emcee.backend:EmceeBackend",
            summary="template fit: redshift scan, then emcee over a full galaxy model around every likely redshift",
            install_hint="Install it with: pip install emcee torch",
            # Coverage: benchmarks.emcee.calibration (docs/emcee.md); the check of the contract would take hours.
            tags=Tags(calibrated=False, best_fit=True),
            requires=("emcee", "torch"),
        ),
        BackendInfo(
            name="scan",
            target="galfit_ml_emcee.scan_backend:ScanBackend",
            summary="posterior of thousands of templates drawn from the prior, at every redshift; no chain",
            install_hint="Install it with: pip install torch",
            tags=Tags(calibrated=False),
            requires=("torch",),
        ),
    ]
