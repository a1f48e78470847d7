"""The panels of a suite as bokeh figures without data: the page fills them from the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bokeh.models import BasicTickFormatter, ColumnDataSource, FixedTicker, HoverTool, Range1d
from bokeh.models.annotations.arrows import TeeHead
from bokeh.models.annotations.geometry import Span, Whisker
from bokeh.plotting import figure

from galfit_ml.benchmark.report.colours import Look
from galfit_ml.benchmark.report.curves import batch_axes
from galfit_ml.benchmark.report.wording import METRICS

if TYPE_CHECKING:
    import pandas as pd

FONT = "system-ui, 'Helvetica Neue', Arial, sans-serif"
TEXT, FAINT = "#30343b", "#dfe3e8"
HEIGHT = 300
COLUMNS = ("x", "y", "low", "high", "where", "told", "who")
"""Of every curve: place, value, value less and plus its error, and three texts for the pointer."""

TOOLTIP = (
    '<div style="font:14px/1.4 sans-serif;padding:2px 4px"><b>@who</b> <span>@where</span><br><span>@told</span></div>'
)


@dataclass(frozen=True)
class Panel:
    """A panel of the report.

    Args:
        key: identifier.
        title: above it.
        kind: what is along x: "binned", "level" (of intervals), "pit", "retention" or "batch".
        metrics: those that can be shown; a reader chooses where there are several.
        log: whether y is logarithmic.
    """

    key: str
    title: str
    kind: str
    metrics: tuple[str, ...]
    log: bool = False


_MAIN = (
    Panel("success", "Redshift success", "binned", ("success", "success_0.01", "success_abs_0.01")),
    Panel("outliers", "Outliers", "binned", ("outliers",)),
    Panel("nmad", "Scatter", "binned", ("nmad", "scatter"), log=True),
    Panel("crps", "CRPS", "binned", ("crps",), log=True),
    Panel("coverage", "Coverage of stated intervals", "level", ("coverage",)),
    Panel("pit", "PIT histogram", "pit", ("pit",)),
    Panel("retention", "Retention", "retention", ("retention",)),
    Panel("speed", "Speed", "batch", ("rate", "latency", "memory"), log=True),
)
_ELSEWHERE = ("failed", *(name for panel in _MAIN for name in panel.metrics))


def panels_of(rows: pd.DataFrame) -> list[Panel]:
    """The panels that a suite's rows fill."""
    batches = rows["axis"].isin(batch_axes(rows))
    binned = {str(m) for m in rows.loc[~rows["axis"].isin(["retention", "level"]) & ~batches, "metric"]}
    timed = {str(m) for m in rows.loc[batches, "metric"]}
    other = {str(m) for m in rows.loc[rows["axis"].isin(["retention", "level"]), "metric"]}
    has = {"binned": binned, "batch": timed, "pit": other, "retention": other}
    has["level"] = {"coverage"} if any(m.startswith("coverage_") for m in binned) else set()
    asked = rows.groupby("metric")["backend"].nunique()
    found = [_with(panel, has[panel.kind], asked) for panel in _MAIN]
    rest = [m for m in (*METRICS, *sorted(binned - set(METRICS))) if m in binned and m not in _ELSEWHERE]
    found.append(Panel("more", "Another metric", "binned", tuple(rest)))
    return [panel for panel in found if panel.metrics]


def _with(panel: Panel, metrics: set[str], asked: pd.Series[int]) -> Panel:
    """The panel with those of its metrics that there are, first what most backends have: published ones have few."""
    kept = sorted((m for m in panel.metrics if m in metrics), key=lambda m: -int(asked.get(m, 0)))
    return replace(panel, metrics=tuple(kept))


def panel_figure(panel: Panel, looks: Sequence[Look]) -> Any:
    """An empty panel with one curve per backend; its parts carry the backend's name as a tag."""
    plot = plain_figure(panel.key, HEIGHT, y_axis_type="log" if panel.log else "linear", **_x(panel.kind))
    for axis in [plot.xaxis] * (panel.kind in {"binned", "level", "batch"}) + [plot.yaxis] * panel.log:
        axis.ticker = FixedTicker(ticks=[])  # the page says where
    plot.add_layout(_target(panel))
    hovered = [_curve(plot, panel, look) for look in looks]
    plot.add_tools(HoverTool(renderers=hovered, tooltips=TOOLTIP, point_policy="snap_to_data"))
    return plot


def _target(panel: Panel) -> Span:
    """The line at the right value; the page moves and shows it where a metric has one."""
    right = {"level": 0.0, "pit": 1.0}.get(panel.kind)
    line = Span(location=right or 0.0, dimension="width", name=f"{panel.key}:target", visible=right is not None)
    line.line_color, line.line_width = TEXT, 1.2
    return line


def _curve(plot: Any, panel: Panel, look: Look) -> Any:
    """A curve without data; the renderer of its points."""
    source = ColumnDataSource({name: [] for name in COLUMNS}, name=f"{panel.key}:{look.name}")
    parts = _lines(plot, panel.kind, source, look)
    style = {"fill_color": look.colour, "line_color": "white", "size": 5 if panel.kind == "pit" else 9}
    points = plot.scatter("x", "y", source=source, marker=look.marker, **style)
    for part in (*parts, points):
        part.tags = [look.name]
    return points


def _x(kind: str) -> dict[str, Any]:
    """Axis and range of x; of bins the page gives labels and range."""
    if kind == "batch":
        return {"x_axis_type": "log", "x_range": Range1d(start=0.5, end=2000)}
    start, end = {"pit": (0.0, 1.0), "retention": (0.0, 1.03)}.get(kind, (-0.5, 0.5))
    return {"x_range": Range1d(start=start, end=end)}


def _lines(plot: Any, kind: str, source: ColumnDataSource, look: Look) -> list[Any]:
    """Line and errors of a curve."""
    style = {"line_color": look.colour, "line_dash": look.dash, "line_width": 2}
    if kind == "pit":
        return [plot.step("x", "y", source=source, mode="center", **style), _bars(plot, source, look)]
    line = plot.line("x", "y", source=source, **style)
    if kind == "retention":
        return [line, plot.varea("x", "low", "high", source=source, fill_color=look.colour, fill_alpha=0.18)]
    return [line, _bars(plot, source, look)]


def _bars(plot: Any, source: ColumnDataSource, look: Look) -> Whisker:
    bar = Whisker(base="x", lower="low", upper="high", source=source)
    bar.upper_head, bar.lower_head = TeeHead(size=7), TeeHead(size=7)
    for part in (bar, bar.upper_head, bar.lower_head):
        part.line_color, part.line_width = look.colour, 1.5
    plot.add_layout(bar)
    return bar


def plain_figure(name: str, height: int, **options: Any) -> Any:
    """An empty figure as wide as its place, in the style of the report, without tools unless they are given."""
    options = {"tools": "", "toolbar_location": None, "y_range": Range1d(start=0.1, end=1), **options}
    plot = figure(name=name, height=height, min_width=0, sizing_mode="stretch_width", **options)
    plot.outline_line_color = plot.background_fill_color = None
    plot.border_fill_color = None
    plot.min_border_left, plot.min_border_right, plot.min_border_top = 10, 12, 10
    plot.toolbar.logo = None
    for axis in plot.axis:
        axis.major_label_text_font_size = axis.axis_label_text_font_size = "14px"
        axis.major_label_text_font = axis.axis_label_text_font = FONT
        axis.major_label_text_color = axis.axis_label_text_color = TEXT
        axis.axis_label_text_font_style, axis.axis_line_color = "normal", TEXT
        if isinstance(axis.formatter, BasicTickFormatter):
            axis.formatter.power_limit_low = -6
        axis.minor_tick_line_color, axis.major_tick_line_color = None, TEXT
    plot.grid.grid_line_color = FAINT
    plot.xgrid.grid_line_color = None
    return plot
