"""`galfit-ml`: the command line.

Exit status: 0 when every spectrum has a result, 1 when some have none (each named on standard error), 2 for wrong
usage, 130 after Ctrl-C, 141 when nobody reads the output. Results go to standard output, everything else to standard
error.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

from galfit_ml import __version__
from galfit_ml.cli import backends, benchmark, data, demo, estimate, etc, instruments, latent, plugins, simulate
from galfit_ml.cli.console import tell
from galfit_ml.commands import CommandInfo
from galfit_ml.errors import GalfitMLError
from galfit_ml.registry import registry

COMMANDS = (estimate, simulate, etc, latent, benchmark, instruments, backends, plugins, demo, data)

EXAMPLES = """examples:
  galfit-ml demo                                            a real galaxy, from file to figures
  galfit-ml estimate spec-*.fits --out results.fits         posteriors of SDSS files
  galfit-ml etc moons-lr --mag 22 --exposure 1h             signal-to-noise ratio of an observation
  galfit-ml simulate moons-lr --survey moonrise --n 1000 --exposure 1h,8h --out mock.fits
  galfit-ml benchmark run moons-snr --n 60 --out results/   backends compared on the same mocks
  galfit-ml backends                                        what is installed
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = _run(given)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # as in `galfit-ml instruments | head -3`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (GalfitMLError, OSError) as error:
        tell(f"galfit-ml: error: {error}")
        return 2
    except KeyboardInterrupt:
        tell("galfit-ml: stopped")
        return 130


def _run(given: list[str]) -> int:
    own = {command.__name__.rpartition(".")[2] for command in COMMANDS}
    added = {name: info for name, info in registry().commands.items() if name not in own}
    if given and given[0] in added:
        return added[given[0]].call(given[1:])
    chosen = _parser(added).parse_args(given)
    return int(chosen.run(chosen))


def _parser(added: Mapping[str, CommandInfo]) -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    about = "Redshift, stellar mass, star-formation rate and metallicity of galaxies from their spectra, as posteriors."
    parser = argparse.ArgumentParser("galfit-ml", description=about, epilog=EXAMPLES, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"galfit-ml {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_to(commands)
    for info in added.values():  # only to be listed: what they do with their arguments is theirs
        commands.add_parser(info.name, help=info.summary, add_help=False)
    return parser
