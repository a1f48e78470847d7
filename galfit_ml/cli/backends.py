"""`galfit-ml backends`: what is installed."""

from __future__ import annotations

import argparse
from typing import Any

from galfit_ml.cli.console import tell


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    commands.add_parser("backends", help="list the backends, and why one cannot be used").set_defaults(run=run)


def run(_chosen: argparse.Namespace) -> int:
    """Print a line for each backend."""
    from galfit_ml.registry import registry

    statuses = registry().statuses()
    if not statuses:
        tell("No backend is installed. Install the package again: pip install --force-reinstall galfit-ml")
    for status in statuses:
        print(f"{status.name:<12} {'available' if status.available else 'not available':<14} {status.summary}")
        if status.problem:
            print(f"{'':<12} {status.problem}")
    return 0
