"""`write_figures`: the main panels of a report as figures for papers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from galfit_ml.benchmark.report.axes_panels import (
    binned_panel,
    coverage_panel,
    estimate_panel,
    pit_panel,
    ratio_panel,
    retention_panel,
    speed_panel,
)
from galfit_ml.benchmark.report.colours import Look, looks
from galfit_ml.benchmark.report.curves import batch_axes, curves, main_axis
from galfit_ml.benchmark.report.data import ReportData
from galfit_ml.benchmark.report.packing import parameters_of
from galfit_ml.benchmark.report.wording import ordered, parameter_word
from galfit_ml.benchmark.versus import OVER
from galfit_ml.plots.canvas import new_figure, own_style, plain_text
from galfit_ml.writing import whole_file

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Draw = Callable[["Axes"], None]
MOST_PARAMETERS = 5


def write_figures(data: ReportData, folder: str | Path, formats: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Write the figures of every suite, as `<suite>_<what>.<format>`; what has no rows is left out.

    Args:
        data: what they show.
        folder: made where it is not there; files of the same names are replaced.
        formats: endings that matplotlib knows.

    Returns:
        The paths written.

    Raises:
        ValueError: matplotlib does not know a format.
        WriteError: a file cannot be written.
    """
    place, written = Path(folder), []
    place.mkdir(parents=True, exist_ok=True)
    for suite in data.suites:
        for what, figure in suite_figures(data, suite).items():
            for ending in formats:
                path = place / f"{re.sub(r'[^A-Za-z0-9.-]+', '-', suite)}_{what}.{ending}"
                with whole_file(path) as file:
                    figure.savefig(file, format=ending, metadata=_undated(ending))
                written.append(path)
    return written


def _undated(ending: str) -> dict[str, None] | None:
    """Without the date, that the same numbers give the same file."""
    return {"Date": None} if ending == "svg" else None


def suite_figures(data: ReportData, suite: str) -> dict[str, Figure]:
    """The figures of a suite by what they show: accuracy, properties, ratios, calibration, use, estimates."""
    rows, points, styles = data.rows_of(suite), data.points_of(suite), looks(data.backends)
    drawn = {
        "accuracy": (_accuracy(rows, styles), 2),
        "properties": (_properties(rows, styles), 2),
        "ratios": (_ratios(rows, styles), 3),
        "calibration": (_calibration(rows, styles), 2),
        "use": (_use(rows, styles), 2),
        "estimates": (_estimates(points, styles), max(len(_answering(points, styles)), 1)),
    }
    return {what: _grid(panels, columns, suite) for what, (panels, columns) in drawn.items() if panels}


def _grid(panels: Sequence[Draw], columns: int, suite: str) -> Figure:
    """Panels in rows, the suite's name above them."""
    columns = min(columns, len(panels))
    lines = -(-len(panels) // columns)
    with own_style():
        figure = new_figure(3.7 * columns, 2.9 * lines + 0.3)
        for k, draw in enumerate(panels):
            draw(figure.add_subplot(lines, columns, k + 1))
        figure.tight_layout(rect=(0, 0, 1, 1 - 0.3 / figure.get_figheight()))
        plain_text(figure, 0.02, 1 - 0.05 / figure.get_figheight(), suite, fontsize=11, weight="bold", va="top")
        _legend(figure)
    return figure


def _legend(figure: Figure) -> None:
    """The backends of all panels, once, beside the suite's name."""
    found: dict[str, Any] = {}
    for axes in figure.axes:
        handles, names = axes.get_legend_handles_labels()
        found |= dict(zip(names, handles, strict=True))
    if found:
        place: dict[str, Any] = {"loc": "upper right", "bbox_to_anchor": (0.99, 1.0), "ncols": min(len(found), 4)}
        box = figure.legend(list(found.values()), list(found), fontsize=8, frameon=False, **place)
        for text in box.get_texts():
            text.set_parse_math(False)


def _accuracy(rows: pd.DataFrame, styles: dict[str, Look]) -> list[Draw]:
    axis = main_axis(rows)
    found: list[Draw] = []
    for metric in ("success", "outliers", "nmad", "crps"):
        if own := curves(rows, metric, "redshift", axis):
            found.append(partial(binned_panel, own=own, looks=styles, axis=axis, what=(metric, "redshift")))
    return found


def _properties(rows: pd.DataFrame, styles: dict[str, Look]) -> list[Draw]:
    axis = main_axis(rows)
    found: list[Draw] = []
    for name in ordered([str(p) for p in rows["parameter"].unique() if p not in {"redshift", "all", ""}]):
        if own := curves(rows, "crps", name, axis):
            found.append(partial(binned_panel, own=own, looks=styles, axis=axis, what=("crps", name)))
    return found


def _ratios(rows: pd.DataFrame, styles: dict[str, Look]) -> list[Draw]:
    """CRPS over the baseline's, parameter by parameter."""
    axis = main_axis(rows)
    found: list[Draw] = []
    for metric in dict.fromkeys(m for m in map(str, rows["metric"]) if m.startswith(f"crps{OVER}")):
        baseline = metric.partition(OVER)[2]
        for name in ordered([str(p) for p in rows.loc[rows["metric"] == metric, "parameter"].unique()]):
            if own := curves(rows, metric, name, axis):
                title = f"{parameter_word(name)}: CRPS / {baseline}'s"
                found.append(partial(ratio_panel, own=own, looks=styles, axis=axis, title=title))
    return found


def _calibration(rows: pd.DataFrame, styles: dict[str, Look]) -> list[Draw]:
    """Coverage and PIT of the first few parameters, side by side."""
    found: list[Draw] = []
    own = rows[rows["metric"] == "pit"]
    for name in ordered([str(p) for p in own["parameter"].unique()])[:MOST_PARAMETERS]:
        found.append(partial(coverage_panel, rows=rows, looks=styles, parameter=name))
        found.append(partial(pit_panel, own=curves(rows, "pit", name, "level"), looks=styles, parameter=name))
    return found


def _use(rows: pd.DataFrame, styles: dict[str, Look]) -> list[Draw]:
    """Retention, and speed in the first setting."""
    found: list[Draw] = []
    if kept := curves(rows, "retention", "redshift", "retention"):
        found.append(partial(retention_panel, own=kept, looks=styles))
    for axis in batch_axes(rows)[:1]:
        timed = [c for p in rows.loc[rows["axis"] == axis, "parameter"].unique() for c in curves(rows, "rate", p, axis)]
        if timed:
            found.append(partial(speed_panel, own=timed, looks=styles))
    return found


def _answering(points: pd.DataFrame, styles: dict[str, Look]) -> list[str]:
    """Backends that have points."""
    known = set(points["backend"].astype(str)) if len(points) else set()
    return [name for name in styles if name in known]


def _estimates(points: pd.DataFrame, styles: dict[str, Look]) -> list[Draw]:
    """True against estimated: a line a parameter, a column a backend."""
    if not len(points):
        return []
    found: list[Draw] = []
    names = [n for n in ordered(parameters_of(points)) if f"true_{n}" in points][:MOST_PARAMETERS]
    for name in names:
        true, told = (points[f"{what}_{name}"].to_numpy(dtype=np.float64) for what in ("true", "median"))
        ends = np.nanpercentile(np.concatenate([true, told]), [0.3, 99.7])
        for backend in _answering(points, styles):
            own = (points["backend"] == backend).to_numpy()
            label = (parameter_word(name), styles[backend])
            found.append(partial(estimate_panel, pair=(true[own], told[own]), ends=ends, label=label))
    return found
