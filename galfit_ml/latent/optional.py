"""Libraries that only the latent space needs: imported when they are used, with an error that says how to get them."""

from __future__ import annotations

import importlib
import warnings
from types import ModuleType

from galfit_ml.errors import GalfitMLError


class MissingPackageError(GalfitMLError, ImportError):
    """A library of the extra `latent` is not installed."""


def needed(module: str, package: str) -> ModuleType:
    """Module of a library of the extra `latent`; MissingPackageError says what to install where it is not there."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # umap-learn says at import which further libraries it would like
            return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackageError(
            f"This needs {package}, which cannot be imported ({error}). It is not installed with the package itself. "
            'Type: pip install "galfit-ml[latent]"'
        ) from error
