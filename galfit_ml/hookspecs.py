"""Every hook a plugin can implement. A plugin is a module named in the entry-point group `galfit_ml`.

Implementations import `hookimpl` from `galfit_ml` and must be cheap: return data, import nothing heavy.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from galfit_ml.backend import BackendInfo
    from galfit_ml.commands import CommandInfo

PROJECT = "galfit_ml"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def galfit_ml_backends() -> list[BackendInfo]:  # type: ignore[empty-body]
    """Backends this plugin offers, as data."""


@hookspec
def galfit_ml_commands() -> list[CommandInfo]:  # type: ignore[empty-body]
    """Commands this plugin adds to `galfit-ml`, as data."""


@hookspec
def galfit_ml_instruments() -> list[Path]:  # type: ignore[empty-body]
    """TOML files of instruments this plugin offers."""


@hookspec
def galfit_ml_suites() -> list[Path]:  # type: ignore[empty-body]
    """TOML files of benchmark suites this plugin offers; see `galfit_ml.benchmark.suite`."""
