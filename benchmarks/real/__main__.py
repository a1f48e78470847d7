"""Evaluate a backend on a folder of real spectra with known answers.

    python -m benchmarks.real --data FOLDER --out results/real [--tables docs/real] [--weights FILE]

Writes answers.csv (a row for every spectrum), redshifts.md, misses.md, flagged.md, properties.md, and pictures.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import pandas as pd

from benchmarks.real import figures, tables
from benchmarks.real.answers import answers
from galfit_ml.api import Estimator
from galfit_ml.benchmark.real_folder import read_real, sets_of
from galfit_ml.errors import GalfitMLError


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser("python -m benchmarks.real", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder, see docs/real_data.md")
    parser.add_argument("--out", type=Path, required=True, help="folder for answers and pictures")
    parser.add_argument("--tables", type=Path, help="folder for tables and pictures (default: OUT)")
    parser.add_argument("--backend", default="cnn", help="default: cnn")
    parser.add_argument("--weights", type=Path, help="of the network; by default those that come with the package")
    parser.add_argument("--draws", type=int, default=400, help="posterior draws (default: 400)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    extra = {} if options.weights is None else {"weights": options.weights}
    try:
        found = evaluate(options.data, Estimator(options.backend, **extra), options.draws, options.seed)
    except GalfitMLError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    found.to_csv(options.out / "answers.csv", index=False)
    write(found, options.tables or options.out)
    return 0


def evaluate(folder: Path, estimator: Estimator, n_draws: int, seed: int) -> pd.DataFrame:
    """Answers to all sets of a folder, one after the other."""
    parts = []
    for name in sets_of(folder):
        start = time.perf_counter()
        parts.append(answers(read_real(folder, name), estimator, n_draws, seed))
        sys.stderr.write(f"{name}: {len(parts[-1])} spectra in {time.perf_counter() - start:.1f} s\n")
    return pd.concat(parts, ignore_index=True)


def write(found: pd.DataFrame, folder: Path) -> None:
    """Tables, also to standard output, and pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for make in (tables.redshifts, tables.misses, tables.flagged, tables.properties):
        lines = make(found)
        (folder / f"{make.__name__}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
        sys.stdout.write("\n".join(lines) + "\n\n")
    figures.redshift_figure(found, folder / "redshifts.png")
    figures.property_figure(found, folder / "properties.png")


if __name__ == "__main__":
    sys.exit(main())
