"""bagpipes as a plugin: its galaxy model and its likelihood, sampled by nautilus. Importing it loads data only."""

from __future__ import annotations

from galfit_ml.backend import BackendInfo, Tags
from galfit_ml.hookspecs import hookimpl


@hookimpl
def galfit_ml_backends() -> list[BackendInfo]:
    """The `bagpipes` backend."""
    return [
        BackendInfo(
            name="bagpipes",
            target="galfit_ml_bagpipes.backend:BagpipesBackend",
            summary="bagpipes (Carnall et al. 2018) with the nautilus nested sampler; minutes to hours a spectrum",
            install_hint="Install it with: pip install 'galfit-ml[bagpipes]'",
            # Coverage on simulations has not been measured; a promise needs proof.
            tags=Tags(calibrated=False, best_fit=True),
            requires=("bagpipes", "nautilus"),
        ),
    ]
