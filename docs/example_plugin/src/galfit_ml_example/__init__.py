"""An example backend as a distribution of its own. Importing this loads data only: galfit_ml does so to list it."""

from __future__ import annotations

from galfit_ml import BackendInfo, Tags, hookimpl


@hookimpl
def galfit_ml_backends() -> list[BackendInfo]:
    """The backends this package offers."""
    return [
        BackendInfo(
            name="template-redshift",
            target="galfit_ml_example.backend:TemplateRedshift",
            summary="redshift alone: eight templates and a polynomial at every redshift (an example)",
            install_hint="Install it with: pip install torch",
            tags=Tags(),
            requires=("torch",),
        )
    ]
