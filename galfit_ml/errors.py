"""Errors a user may meet. Each message says what happened, why it usually happens, and what to type."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GalfitMLError(Exception):
    """Base of every error this package raises on purpose."""


class SpectrumError(GalfitMLError, ValueError):
    """A spectrum cannot be used: no good pixel, wrong units, no overlap with the instrument."""


class UnknownNameError(GalfitMLError, LookupError):
    """A backend, instrument, parameter or option of that name does not exist."""


class PluginError(GalfitMLError, RuntimeError):
    """A plugin or backend is installed but cannot be loaded."""


class PriorError(GalfitMLError, ValueError):
    """A prior lies outside what the model covers, or is malformed."""


class FileFormatError(GalfitMLError, ValueError):
    """A file is missing, damaged, truncated or of another kind."""


class WorkerError(GalfitMLError, RuntimeError):
    """Work in parallel processes cannot start, or a piece of it failed there."""


class OutputExistsError(GalfitMLError, FileExistsError):
    """The output file is there already and would be overwritten."""


class WriteError(GalfitMLError, OSError):
    """A file cannot be written: the disk is full, a limit is reached, or its folder refuses."""


class MissingPackageError(GalfitMLError, ImportError):
    """A library of one of the package's extras is not installed."""


def unknown_name(kind: str, name: str, known: Iterable[str], hint: str = "") -> UnknownNameError:
    """Return the error for an unknown `name`, with the nearest known one suggested.

    >>> print(unknown_name("backend", "emce", ["cnn", "emcee"]))
    No backend 'emce'. Did you mean 'emcee'? Installed: cnn, emcee.
    """
    names = sorted(known)
    lowered = {known_name.lower(): known_name for known_name in names}
    near = difflib.get_close_matches(str(name).lower(), lowered, n=1, cutoff=0.5)
    suggestion = f" Did you mean '{lowered[near[0]]}'?" if near else ""
    listing = ", ".join(names) if names else "none"
    word = "Installed" if kind in {"backend", "instrument"} else "Known"
    return UnknownNameError(f"No {kind} '{name}'.{suggestion} {word}: {listing}.{' ' + hint if hint else ''}")
