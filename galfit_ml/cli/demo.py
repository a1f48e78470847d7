"""`galfit-ml demo`: a real galaxy, from file to figures."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from galfit_ml.cli.console import tell


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("demo", help="estimate the real SDSS galaxy that comes with the package")
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="folder (default: demo)")
    parser.add_argument(
        "--backend", help="name of a backend (default: the network where it reads the instrument, else emcee)"
    )
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Estimate the example, write its files, print its summary."""
    from galfit_ml.demo import example_path, files_of, run_demo
    from galfit_ml.progress import shown_progress
    from galfit_ml.summary import describe

    tell(f"Estimating NGC 3073 from its SDSS spectrum, {example_path()}")
    with shown_progress() as progress:
        posterior = run_demo(chosen.out, chosen.backend, progress)
    print(describe(posterior))
    tell(f"wrote {', '.join(files_of(posterior))} in {chosen.out}{os.sep}")
    return 0
