"""galfit_ml: redshift, stellar mass, star-formation rate and metallicity of galaxies from their spectra.

The whole door is one call::

    from galfit_ml import estimate
    posterior = estimate("spec-0352-51694-0087.fits")
    posterior.table()

Everything here is loaded on first use, so that importing the package costs almost nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from galfit_ml.api import Estimator, backends, estimate
    from galfit_ml.backend import BackendInfo, Tags
    from galfit_ml.errors import GalfitMLError
    from galfit_ml.flags import Flag
    from galfit_ml.hookspecs import hookimpl
    from galfit_ml.instruments import Instrument
    from galfit_ml.parameters import Parameter, ParameterSet
    from galfit_ml.posterior import Posterior
    from galfit_ml.spectra import SpectrumBatch

__version__ = "0.1.0"

_HOME = {
    "estimate": "api",
    "Estimator": "api",
    "backends": "api",
    "BackendInfo": "backend",
    "Tags": "backend",
    "GalfitMLError": "errors",
    "Flag": "flags",
    "Instrument": "instruments",
    "Parameter": "parameters",
    "ParameterSet": "parameters",
    "Posterior": "posterior",
    "SpectrumBatch": "spectra",
    "hookimpl": "hookspecs",
}

__all__ = [
    "BackendInfo",
    "Estimator",
    "Flag",
    "GalfitMLError",
    "Instrument",
    "Parameter",
    "ParameterSet",
    "Posterior",
    "SpectrumBatch",
    "Tags",
    "backends",
    "estimate",
    "hookimpl",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'galfit_ml' has no attribute {name!r}")
    return getattr(importlib.import_module(f"galfit_ml.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
