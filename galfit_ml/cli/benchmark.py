"""`galfit-ml benchmark`: suites that compare backends, their report, and what changed between two results."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from galfit_ml.cli.arguments import option, positive
from galfit_ml.cli.console import tell

if TYPE_CHECKING:
    from galfit_ml.benchmark import Suite

EXAMPLES = """examples:
  galfit-ml benchmark list                                             the suites
  galfit-ml benchmark run moons-snr --backends cnn,emcee --n 60 --out results/
  galfit-ml benchmark run sdss-snr --backends emcee --option emcee.workers=2 --out results/
  galfit-ml benchmark run real-sdss --backends cnn --data FOLDER --out results/
  galfit-ml benchmark report results/ --out report.html --figures figures/
  galfit-ml benchmark compare results-old/ results-new/

A run that was stopped goes on when the same command is typed again; --n may grow (a shard that was not full is asked
again, whole).
"""


def add_to(commands: Any) -> None:
    """Add the command and its own commands to the parser."""
    raw = argparse.RawDescriptionHelpFormatter
    about = "compare backends on the same spectra: accuracy, calibration, speed"
    parser = commands.add_parser("benchmark", help=about, description=about, epilog=EXAMPLES, formatter_class=raw)
    parts = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_list(parts)
    _add_run(parts)
    _add_report(parts)
    _add_compare(parts)


def _add_list(parts: Any) -> None:
    parts.add_parser("list", help="the suites").set_defaults(run=run_list)


def _add_run(parts: Any) -> None:
    parser = parts.add_parser("run", help="run suites")
    add = parser.add_argument
    add("suites", nargs="+", metavar="SUITE", help="a name (`galfit-ml benchmark list`), or file.toml")
    add("--backends", default="cnn,emcee", metavar="NAMES", help="separated by commas (default: cnn,emcee)")
    add("--n", type=positive, help="spectra (default: the suite's)")
    add("--out", type=Path, default=Path("results"), metavar="FOLDER", help="(default: results)")
    add("--option", type=backend_option, action="append", default=[], metavar="BACKEND.KEY=VALUE", help="repeatable")
    add("--data", type=Path, metavar="FOLDER", help="real spectra, for real-sdss (docs/real_data.md)")
    add("--format", choices=("csv", "parquet"), default="csv", help="of the tables (default: csv)")
    parser.set_defaults(run=run_suites)


def _add_report(parts: Any) -> None:
    parser = parts.add_parser("report", help="one HTML file from a folder of results")
    add = parser.add_argument
    add("results", type=Path, metavar="FOLDER", help="of `benchmark run`")
    add("--out", type=Path, default=Path("report.html"), metavar="FILE", help="(default: report.html)")
    add("--figures", type=Path, metavar="FOLDER", help="write the figures as PNG and SVG, too")
    parser.set_defaults(run=run_report)


def _add_compare(parts: Any) -> None:
    about = "what changed from A to B, and whether it is significant"
    parser = parts.add_parser("compare", help=about, description=about)
    add = parser.add_argument
    add("first", type=Path, metavar="A", help="folder of results; FOLDER:BACKEND for one backend of it")
    add("second", type=Path, metavar="B")
    add("--all", action="store_true", help="every row, not only what changed significantly")
    add("--bins", action="store_true", help="single bins, too, not only the whole of each suite")
    parser.set_defaults(run=run_compare)


def backend_option(text: str) -> tuple[str, str, Any]:
    """BACKEND.KEY=VALUE."""
    backend, dot, rest = text.partition(".")
    if not (backend and dot):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form BACKEND.KEY=VALUE, such as emcee.workers=2")
    return backend, *option(rest)


def run_list(_arguments: argparse.Namespace) -> int:
    """Print the suites."""
    from galfit_ml.benchmark import suites

    known = suites()
    width = max(map(len, known))
    for name, suite in known.items():
        print(f"{name:{width}s}  {suite.n:5d} spectra  {suite.summary}")
    return 0


def run_suites(arguments: argparse.Namespace) -> int:
    """Run each suite, and write and tell its rows; 1 where a backend failed."""
    from galfit_ml.benchmark import get_suite

    chosen = [get_suite(name) for name in arguments.suites]
    return max(_run_one(suite, arguments) for suite in chosen)


def _run_one(suite: Suite, arguments: argparse.Namespace) -> int:
    from galfit_ml.benchmark import Run, score, write_results
    from galfit_ml.benchmark.code_state import states
    from galfit_ml.benchmark.summary import summary
    from galfit_ml.progress import shown_progress

    options: dict[str, dict[str, Any]] = {}
    for backend, key, value in arguments.option:
        options.setdefault(backend, {})[key] = value
    names = list(dict.fromkeys(name.strip() for name in arguments.backends.split(",") if name.strip()))
    with shown_progress() as progress:
        run = Run(suite, names, arguments.n or suite.n, arguments.out, options, arguments.data, progress)
        run()
    rows, points = score(suite, run.folder)
    for told in states(run.folder):
        tell(f"galfit-ml: {told}")
    write_results(run.folder, rows, points, f".{arguments.format}")
    print("\n".join(summary(rows)))
    failed = rows[(rows["metric"] == "failed") & rows["backend"].isin(names)]
    for _, row in failed.iterrows():
        what = f" to tell '{row['parameter']}'" if row["parameter"] else ""
        tell(f"galfit-ml: {row['backend']} failed{what}: {row['reason']}")
    tell(f"Tables: {run.folder}. A report: galfit-ml benchmark report {arguments.out}")
    return int((failed["parameter"] == "").any())


def run_report(arguments: argparse.Namespace) -> int:
    """Write the report, and the figures."""
    from galfit_ml.benchmark.present import report_data
    from galfit_ml.benchmark.report import write_figures, write_report

    data = report_data(arguments.results)
    tell(f"Report: {write_report(data, arguments.out)}")
    if arguments.figures is not None:
        write_figures(data, arguments.figures)
        tell(f"Figures: {arguments.figures}")
    return 0


def run_compare(arguments: argparse.Namespace) -> int:
    """Print what changed, and what is missing; 1 where something became worse, or a backend or parameter was lost."""
    from galfit_ml.benchmark import compare
    from galfit_ml.benchmark.comparison import lost, whole
    from galfit_ml.benchmark.summary import changes

    first, second = (_rows_of(path) for path in (arguments.first, arguments.second))
    if not arguments.bins:
        first, second = whole(first, second)
    missing = lost(first, second)
    for row in missing.itertuples():
        print(_told(row))
    found = compare(first, second)
    print("\n".join(changes(found, everything=arguments.all)))
    grave = missing["what"].isin(("failed", "backend", "parameter"))
    return int((found["verdict"] == "worse").any() or grave.any())


def _told(missing: Any) -> str:
    """A line of `lost`."""
    name = f"{missing.suite} {missing.backend}"
    if missing.what == "failed":
        return f"{name}: failed in B"
    return f"{name} {missing.parameter}".rstrip() + f": {missing.rows} rows of A are not in B (lost: {missing.what})"


def _rows_of(path: Path) -> Any:
    """Rows of FOLDER, or of FOLDER:BACKEND."""
    from galfit_ml.benchmark import BenchmarkError, read_results

    if path.exists():
        return read_results(path)[0]
    folder, colon, backend = str(path).rpartition(":")
    if not colon:
        raise BenchmarkError(f"There is no folder '{path}'.")
    rows = read_results(Path(folder))[0]
    own = rows[rows["backend"] == backend]
    if own.empty:
        raise BenchmarkError(
            f"'{folder}' holds no results of '{backend}'; it has {', '.join(sorted(set(rows.backend)))}."
        )
    return own
