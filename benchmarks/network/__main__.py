"""Measure a backend on mocks: `python -m benchmarks.network accuracy moonz retention robustness`.

Numbers of each spectrum are kept in the folder, so that a table can be made again; another backend or other weights
need another folder.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from benchmarks.network.suites import SUITES, Run, library
from galfit_ml.progress import shown_progress


def main(arguments: list[str] | None = None) -> int:
    """Run the suites asked for, one file of Markdown each."""
    options = _parser().parse_args(arguments)
    backend_options = (("weights", options.weights),) if options.weights else ()
    suites = {**SUITES, "library": partial(library, reference=options.reference)}
    for name in options.suites:
        with shown_progress() as report:
            own = options.instrument, options.n, options.backend, backend_options, options.processes, options.out
            lines = list(suites[name](Run(*own, report, options.mismatch)))
        text = "\n".join(lines) + "\n"
        folder = options.tables or options.out
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
        print(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.network", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("suites", nargs="+", choices=[*SUITES, "library"])
    parser.add_argument("--instrument", default="moons-lr", help="default: moons-lr")
    parser.add_argument("--backend", default="cnn", help="default: cnn")
    parser.add_argument("--weights", help="file of weights (default: those that come with the package)")
    parser.add_argument("--n", type=int, help="galaxies (default: the suite's own number)")
    parser.add_argument("--mismatch", type=float, default=0.0, help="errors of the model in the mocks (default: 0)")
    parser.add_argument("--processes", type=int, default=2, help="default: 2")
    parser.add_argument("--reference", type=Path, help="CSV of `python -m benchmarks.limits`, for `library`")
    parser.add_argument("--out", type=Path, default=Path("network"), help="folder of numbers (default: network)")
    parser.add_argument("--tables", type=Path, help="folder of the tables (default: that of the numbers)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
