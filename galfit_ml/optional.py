"""Libraries of the package's extras: imported when they are used, with an error that says how to get them."""

from __future__ import annotations

import importlib
import warnings
from types import ModuleType

from galfit_ml.errors import MissingPackageError


def needed(module: str, package: str, extra: str) -> ModuleType:
    """Module of a library that `extra` installs.

    Args:
        module: what is imported.
        package: its name for people, as pip knows it.
        extra: of galfit-ml.

    Raises:
        MissingPackageError: it cannot be imported; the message says what to type.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some say at import which further libraries they would like
            return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackageError(
            f"This needs {package}, which cannot be imported ({error}). It is not installed with the package itself. "
            f'Type: pip install "galfit-ml[{extra}]"'
        ) from error
