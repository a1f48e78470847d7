"""`galfit-ml plugins`: what each installed plugin offers and why one is broken; and a new one to start from."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from galfit_ml.cli.console import tell

if TYPE_CHECKING:
    from galfit_ml.registry import InstalledPlugin

EXAMPLES = """examples:
  galfit-ml plugins                                         what is installed
  galfit-ml plugins new my-fit --author "Ada Lovelace"      a package with a backend that works, to start from
"""


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    raw = argparse.RawDescriptionHelpFormatter
    about = "list the plugins and what each offers, or begin a new one"
    parser = commands.add_parser("plugins", help=about, description=about, epilog=EXAMPLES, formatter_class=raw)
    parser.set_defaults(run=run)
    parts = parser.add_subparsers(title="commands", metavar="COMMAND")
    begun = parts.add_parser("new", help="write a package with a backend that passes galfit_ml's checks")
    begun.add_argument("name", metavar="NAME", help="of the backend, such as my-fit; the package is galfit-ml-my-fit")
    begun.add_argument("--out", type=Path, metavar="FOLDER", help="to make (default: the package's name)")
    begun.add_argument("--author", default="", metavar="NAME", help="'Name' or 'Name <mail>', for the licence")
    begun.set_defaults(run=run_new)


def run(_chosen: argparse.Namespace) -> int:
    """List the plugins."""
    from galfit_ml.registry import registry

    plugins = registry().plugins
    if not plugins:
        tell("No plugin is installed. Install the package again: pip install --force-reinstall galfit-ml")
    for plugin in plugins:
        print("\n".join(_lines(plugin)))
    return 0


def _lines(plugin: InstalledPlugin) -> list[str]:
    """A plugin as text: a line for itself, one for each thing that it offers, one for each fault."""
    from galfit_ml.registry import registry

    offers = [*_offers(plugin)]
    problems = [why for name, why in registry().broken.items() if name.partition(":")[0] == plugin.name]
    state = "" if offers else "  broken" if problems else "  offers nothing"
    lines = [f"{plugin.name:<12} {plugin.module} ({plugin.distribution or 'no distribution'}){state}"]
    return lines + [f"{'':<12} {text}" for text in [*offers, *(f"problem: {why}" for why in problems)]]


def _offers(plugin: InstalledPlugin) -> Iterator[str]:
    from galfit_ml.errors import FileFormatError
    from galfit_ml.instruments import Instrument
    from galfit_ml.registry import registry

    found = registry()
    for status in found.statuses():
        if status.name in plugin.backends:
            yield f"backend {status.name}: {f'not available: {status.problem}' if status.problem else status.summary}"
    for name in plugin.commands:
        yield f"command {name}: {found.commands[name].summary}"
    for file in plugin.instrument_files:
        try:
            instrument = Instrument.from_toml(file)
            yield f"instrument {instrument.name}: {instrument.summary}"
        except FileFormatError as error:
            yield f"instrument in {file.name}: broken: {error}"
    for file in plugin.suite_files:
        yield f"benchmark suite {file.stem}"


def run_new(chosen: argparse.Namespace) -> int:
    """Write a new package and say what to do with it."""
    from galfit_ml.scaffold import new_plugin

    folder = new_plugin(chosen.name, chosen.out, chosen.author)
    print(f"wrote the package of backend '{chosen.name}' into {folder}. Install it and run its tests:")
    print(f'  pip install -e "{folder}[test]"\n  pytest {folder}\n  galfit-ml plugins')
    return 0
