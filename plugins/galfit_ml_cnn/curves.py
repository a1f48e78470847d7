"""Curves of a training: what its log says, as a figure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from galfit_ml.writing import save_figure


def read_log(path: Path) -> list[dict[str, Any]]:
    """Rows of log.jsonl; a last line that was cut short, as in a copy of it, is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def draw_curves(rows: list[dict[str, Any]], path: Path) -> None:
    """Loss, densities and redshift success against spectra seen; ImportError without matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    x = [row["spectra"] / 1e3 for row in rows]
    left.plot(x, [row["loss"] for row in rows], label="training loss", color="0.6")
    left.plot(x, [row["bins"] for row in rows], label="redshift, validation", color="C0")
    left.set_ylabel("negative log density (nats)")
    known = ("log_stellar_mass", "log_sfr", "log_metallicity", "gas_metallicity", "dust_av", "log_age")
    for number, name in enumerate(name for name in known if name in rows[0]):
        middle.plot(x, [row[name] for row in rows], label=name, color=f"C{number}")
    middle.set_ylabel("negative log density, standardised (nats)")
    _successes(rows, x, right)
    for axes in (left, middle, right):
        axes.set_xlabel("spectra seen (thousands)")
    left.legend(fontsize=7, frameon=False)
    middle.legend(fontsize=7, frameon=False)
    if right.lines:
        right.legend(
            fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), title="class, magnitude (AB)"
        )
    save_figure(figure, path, dpi=130)


def _successes(rows: list[dict[str, Any]], x: list[float], axes: Any) -> None:
    names = [name for name in rows[0] if name.startswith(("SF ", "Q ")) and 0.02 < rows[-1].get(name, 0) < 0.99]
    colours = {label: f"C{n % 10}" for n, label in enumerate(sorted({name.partition(" ")[2] for name in names}))}
    for name in names:
        kind, _, label = name.partition(" ")
        y = [row.get(name, float("nan")) for row in rows]
        axes.plot(x, y, "-" if kind == "SF" else "--", color=colours[label], label=name)
    axes.set_ylabel("share of redshifts within 0.0033 (1 + z)")
    axes.set_ylim(0, 1)


def main(arguments: list[str] | None = None) -> int:
    """`python -m galfit_ml_cnn.curves run/log.jsonl curves.png`."""
    import argparse

    parser = argparse.ArgumentParser("python -m galfit_ml_cnn.curves", description="Draw the curves of a training.")
    parser.add_argument("log", type=Path)
    parser.add_argument("figure", type=Path)
    options = parser.parse_args(arguments)
    draw_curves(read_log(options.log), options.figure)
    return 0


if __name__ == "__main__":
    main()
