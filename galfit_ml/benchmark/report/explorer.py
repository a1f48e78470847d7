"""The linked plots of single spectra as bokeh figures without data: the page fills them from the points."""

from __future__ import annotations

from typing import Any

from bokeh.models import (
    BoxSelectTool,
    BoxZoomTool,
    ColumnDataSource,
    HoverTool,
    LassoSelectTool,
    LinearColorMapper,
    PanTool,
    Range1d,
    ResetTool,
    Scatter,
    TapTool,
    WheelZoomTool,
)
from bokeh.models.annotations.geometry import Slope, Span
from bokeh.palettes import Viridis256

from galfit_ml.benchmark.report.charts import TEXT, plain_figure

COLUMNS = ("true", "median", "latent_x", "latent_y", "snr", "error", "half", "colour", "who", "name")
PLACES = {
    "scatter": ("true", "median", "true", "estimated"),
    "latent": ("latent_x", "latent_y", "first direction", "second direction"),
    "errors": ("snr", "error", "S/N per pixel", "|error|"),
}
"""Key -> columns of x and y, and the words at the axes."""

MOST_SHOWN = 4
"""Spectra drawn for a selection."""

TOOLTIP = (
    '<div style="font:14px/1.4 sans-serif;padding:2px 4px;max-width:260px"><b>@name</b> <span>@who</span><br>'
    "true @true{0.0000}, estimated @median{0.0000} ± @half{0.0000}<br>S/N @snr{0.0}</div>"
)


def explorer_figures(*, latent: bool, snr: bool, spectra: bool) -> dict[str, Any]:
    """Figures by key; the three plots of points share one source, and with it the selection.

    Args:
        latent: whether any point has a place in a latent space.
        snr: whether the spectra's S/N is known.
        spectra: whether there are spectra to show.
    """
    source = ColumnDataSource({name: [] for name in COLUMNS}, name="points")
    mapper = LinearColorMapper(palette=list(Viridis256), low=0, high=1, nan_color="#c3c8d0", name="colours")
    wanted = {"scatter": True, "latent": latent, "errors": snr}
    found = {key: _scatter(key, source, mapper) for key, on in wanted.items() if on}
    found["scatter"].add_layout(Slope(gradient=1, y_intercept=0, line_color=TEXT, line_width=1.2, level="underlay"))
    if snr:
        limit = Span(location=0.0033, dimension="width", line_color=TEXT, line_dash="dashed", name="limit")
        found["errors"].add_layout(limit)
    if spectra:
        found["spectra"] = _spectra_figure()
    return found


def _scatter(key: str, source: ColumnDataSource, mapper: LinearColorMapper) -> Any:
    x, y, *words = PLACES[key]
    kind = "log" if key == "errors" else "linear"
    tap, box, lasso = TapTool(), BoxSelectTool(), LassoSelectTool(continuous=False)
    tools = [tap, box, lasso, PanTool(), BoxZoomTool(), WheelZoomTool(), ResetTool()]
    ranges = {"x_range": Range1d(start=0.1, end=1), "x_axis_type": kind, "y_axis_type": kind}
    plot = plain_figure(key, 420, tools=tools, toolbar_location="above", output_backend="webgl", **ranges)
    plot.toolbar.active_drag, plot.toolbar.active_tap, plot.toolbar.active_scroll = box, tap, None
    plot.xaxis.axis_label, plot.yaxis.axis_label = words
    colour: Any = {"field": "colour", "transform": mapper}
    plain = {"size": 5, "fill_color": colour, "line_color": None, "fill_alpha": 0.55}
    drawn = plot.scatter(x, y, source=source, nonselection_fill_alpha=0.06, **plain)
    drawn.selection_glyph = Scatter(size=8, fill_color=colour, line_color=TEXT, line_width=1.2)
    hover = HoverTool(renderers=[drawn], tooltips=TOOLTIP, attachment="horizontal")
    plot.add_tools(hover)
    return plot


def _spectra_figure() -> Any:
    """Spectra above each other, each between k and k + 1, with the places of lines at the true redshift."""
    ranges = {"x_range": Range1d(start=4000, end=9000), "y_range": Range1d(start=-0.1, end=MOST_SHOWN)}
    plot = plain_figure("spectra", 150 * MOST_SHOWN, **ranges)
    lines = ColumnDataSource({"xs": [], "ys": []}, name="spectra:flux")
    marks = ColumnDataSource({"x": [], "low": [], "high": [], "label": []}, name="spectra:lines")
    names = ColumnDataSource({"x": [], "y": [], "label": []}, name="spectra:names")
    plot.segment("x", "low", "x", "high", source=marks, line_color="#D55E00", line_alpha=0.55, line_dash="dotted")
    plot.multi_line("xs", "ys", source=lines, line_color=TEXT, line_width=1)
    style = {"text_font_size": "14px", "text_color": "#a64500", "text_baseline": "top", "x_offset": 3}
    plot.text("x", "high", "label", source=marks, name="spectra:labels", **style)
    plot.text("x", "y", "label", source=names, text_font_size="15px", text_font_style="bold", text_color=TEXT)
    plot.xaxis.axis_label = "observed wavelength, Å"
    plot.yaxis.visible, plot.ygrid.visible = False, False
    return plot
