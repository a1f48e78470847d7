"""What the latent space knows: `python -m benchmarks.latent mocks`, `python -m benchmarks.latent real --data FOLDER`.

Answers of the network are kept in the folder in pieces of 256 spectra: an interrupted run goes on, a larger one adds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.latent import questions
from benchmarks.latent.collect import PIECE, Source, collect, weights_for
from benchmarks.latent.figures import latent_figure, score_figure
from benchmarks.network.measure import Table, rows_where
from benchmarks.network.suites import checksum_of
from galfit_ml.latent import Folds, project
from galfit_ml.progress import shown_progress


def main(arguments: list[str] | None = None) -> int:
    """Collect answers, write a file of Markdown and two pictures."""
    options = _parser().parse_args(arguments)
    table = _collected(options)
    asked = questions.mocks if options.what == "mocks" else questions.real
    told = list(asked(table, Folds(seed=options.seed)))
    lines = [_made_with(options), *(part for part in told if isinstance(part, str))]
    text = "\n".join(lines) + "\n"
    folder, pictures = options.tables or options.out, options.pictures or options.out
    for one in (folder, pictures):
        one.mkdir(parents=True, exist_ok=True)
    (folder / f"{options.what}.md").write_text(text, encoding="utf-8")
    scored = [part for part in told if not isinstance(part, str)]
    score_figure(scored).savefig(pictures / f"latent_{options.what}_scores.png")
    shown = table if options.what == "mocks" else rows_where(table, table["ok"] & (table["class"] != ""))
    projection = project(shown["embedding"], options.method)
    latent_figure(shown, projection).savefig(pictures / f"latent_{options.what}_{options.method}.png", dpi=100)
    print(text)
    return 0


def _collected(options: argparse.Namespace) -> Table:
    instrument, weights = _network(options)
    if options.what == "mocks":
        n = -(-options.n // PIECE) * PIECE
        source = Source("mocks", instrument, n, weights)
    else:
        import pandas as pd

        n = options.n = len(pd.read_csv(options.data / "sdss_cosmicds_truth.csv"))
        source = Source("real", instrument, n, weights, options.data)
    with shown_progress() as report:
        table = collect(source, options.out / f"{options.what}-{instrument}", options.processes, report)
    return {name: values[: options.n] for name, values in table.items()}


def _network(options: argparse.Namespace) -> tuple[str, Path]:
    """Instrument and file of weights."""
    instrument = options.instrument if options.what == "mocks" else "sdss"
    return instrument, weights_for(instrument, options.weights)


def _made_with(options: argparse.Namespace) -> str:
    """Which weights, and which command."""
    _, weights = _network(options)
    more = "" if options.what == "mocks" else " --data FOLDER"
    command = f"python -m benchmarks.latent {options.what}{more}"
    own = f"Weights `{weights.name}` (checksum {checksum_of(weights, flags=False)})"
    return f"{own}; `{command}`. Errors: bootstrap of the galaxies.\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.latent", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("mocks", "real"))
    parser.add_argument("--data", type=Path, help="folder of real spectra, see docs/real_data.md")
    parser.add_argument("--instrument", default="moons-lr", help="of the mocks (default: moons-lr)")
    parser.add_argument("--weights", type=Path, help="file of weights (default: those that come with the package)")
    parser.add_argument("--n", type=int, default=6000, help="mocks (default: 6000)")
    parser.add_argument("--processes", type=int, default=1, help="default: 1")
    parser.add_argument("--method", choices=("pca", "umap"), default="pca", help="of the picture (default: pca)")
    parser.add_argument("--seed", type=int, default=0, help="of folds and bootstrap (default: 0)")
    parser.add_argument("--out", type=Path, default=Path("latent"), help="folder of answers (default: latent)")
    parser.add_argument("--tables", type=Path, help="folder of the table (default: that of the answers)")
    parser.add_argument("--pictures", type=Path, help="folder of the pictures (default: that of the answers)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
