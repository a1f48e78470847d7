"""`write_report`: the page in one file, with everything it needs inside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from galfit_ml.benchmark.report.colours import CLASS_COLOURS, Look, looks
from galfit_ml.benchmark.report.data import ReportData
from galfit_ml.benchmark.report.findings import findings
from galfit_ml.benchmark.report.gains import Gains
from galfit_ml.benchmark.report.packing import (
    packed_points,
    packed_rows,
    packed_spectra,
    parameters_of,
    thinned,
    to_json,
)
from galfit_ml.benchmark.report.wording import METRICS, axis_label, parameter_label
from galfit_ml.errors import MissingPackageError
from galfit_ml.features import FEATURES
from galfit_ml.writing import write_whole

if TYPE_CHECKING:
    import pandas as pd

MOST_POINTS = 20_000
"""Points of a suite that the page holds; of more, some are drawn at random."""

SCRIPTS = ("store.js", "rows.js", "panels.js", "selected.js", "explorer.js", "start.js")
MARKED = ("[O II]", r"H$\beta$", "[O III]", r"H$\alpha$ [N II]", "[S III]", r"Ly$\alpha$", "Mg II", "Ca K", "Na D")
"""Lines that are marked in spectra, by their labels in `FEATURES`."""

FOOTER = "Errors are standard errors. What is called clear, or coloured, is two of them or more, of pairs of answers."

POLICY = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:"
"""The browser refuses to load anything from elsewhere; the WebGL part of bokeh makes functions from text."""


def write_report(data: ReportData, path: str | Path, *, title: str = "galfit_ml benchmark") -> Path:
    """Write one HTML file that needs no network and no other file.

    Args:
        data: what it shows.
        path: of the file; one that is there is replaced.
        title: its headline.

    Returns:
        The path.

    Raises:
        MissingPackageError: bokeh is not installed.
        WriteError: the file cannot be written.
    """
    try:
        import bokeh  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(
            f"Reports need bokeh, which cannot be imported ({error}). It is not installed with the package itself. "
            'Type: pip install "galfit-ml[benchmark]"'
        ) from error
    write_whole(path, report_html(data, title).encode())
    return Path(path)


def report_html(data: ReportData, title: str) -> str:
    """The page as text."""
    from galfit_ml.benchmark.report import blocks

    styles = looks(data.backends)
    suites = list(enumerate(data.suites))
    gains = {suite: Gains(data.points_of(suite)) for suite in data.suites}
    found = {suite: findings(data.rows_of(suite), gains[suite]) for suite in data.suites}
    cards = [blocks.finding_card(k, suite, found[suite], styles) for k, suite in suites]
    sections = "".join(_section(data, k, gains[suite], styles) for k, suite in suites)
    empty = "" if suites else "<p>There are no rows: no benchmark has been run, or every suite was left out.</p>"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title>
<link rel="icon" href="data:,"><style>{_file("page.css")}</style></head><body>
<header><h1>{escape(title)}</h1>{blocks.about(data.about)}<ul class="findings">{"".join(cards)}</ul>{empty}</header>
{blocks.legend(_shown(data, styles))}<main>{sections}</main>
<footer>{FOOTER}</footer>
{_bokeh(gl=any("-explorer" in part for part in sections.split("<script")))}
{_held("words", _words(styles))}
<script>{"".join(map(_file, SCRIPTS))}</script></body></html>"""


def _shown(data: ReportData, styles: Mapping[str, Look]) -> dict[str, Look]:
    """The backends that have anything to draw."""
    own = {str(b) for b in data.rows.loc[data.rows["metric"] != "failed", "backend"].unique()}
    own |= {str(b) for b in data.points["backend"].unique()} if len(data.points) else set()
    return {name: look for name, look in styles.items() if name in own}


def _file(name: str) -> str:
    return resources.files("galfit_ml.benchmark.report").joinpath("page", name).read_text(encoding="utf-8")


def _bokeh(*, gl: bool) -> str:
    from bokeh.resources import Resources

    found: str = Resources(mode="inline", components=["bokeh", "bokeh-gl"] if gl else ["bokeh"]).render()
    return found


def _held(name: str, content: Any) -> str:
    """A script element that holds JSON."""
    return f'<script type="application/json" id="{name}">{to_json(content)}</script>\n'


def _words(styles: Mapping[str, Look]) -> dict[str, Any]:
    """What the scripts know of names and colours."""
    from galfit_ml.parameters import GALAXY

    marked = [f for f in FEATURES if f.label in MARKED]
    plain = {r"$\alpha$": "α", r"$\beta$": "β"}
    return {
        "looks": {name: look.colour for name, look in styles.items()},
        "classColours": CLASS_COLOURS,
        "metrics": {name: {"title": m.title, "meaning": m.meaning} for name, m in METRICS.items()},
        "parameters": {name: parameter_label(name) for name in (*GALAXY.names, "all")},
        "axes": {name: axis_label(name) for name in ("snr", "magnitude", "exposure", "redshift", "batch", "all")},
        "columns": {
            "snr": "S/N",
            "magnitude": "magnitude",
            "exposure_s": "exposure, s",
            "log_ssfr": parameter_label("log_ssfr"),
            "redshift_probability": "stated probability of the redshift",
        },
        "lines": [{"label": _plain(f.label, plain), "wavelength": f.wavelengths[-1]} for f in marked],
    }


def _plain(label: str, letters: Mapping[str, str]) -> str:
    for mathtext, letter in letters.items():
        label = label.replace(mathtext, letter)
    return label.partition(" [N")[0]


def _section(data: ReportData, number: int, gains: Gains, styles: Mapping[str, Look]) -> str:
    """A suite: its numbers, panels, single spectra and rows, and their data."""
    from galfit_ml.benchmark.report import blocks

    suite = data.suites[number]
    rows, points = data.rows_of(suite), gains.points
    panels = _panels(data, number, suite, styles)
    explorer = _explorer(data, number, suite) if len(points) and parameters_of(points) else ""
    counts = f"{len(rows):,} rows" + (f", {len(points):,} answers" if len(points) else "")
    return f"""<section class="suite" id="s{number}"><h2>{escape(suite)}</h2><p class="soft">{counts}</p>
{blocks.boards(rows, gains, styles)}{blocks.duel_cards(data, suite, styles)}
{panels}{explorer}{blocks.rows_block(len(rows))}
{_held(f"s{number}-rows", packed_rows(rows))}</section>"""


def _panels(data: ReportData, number: int, suite: str, styles: Mapping[str, Look]) -> str:
    from galfit_ml.benchmark.report import blocks
    from galfit_ml.benchmark.report.charts import panel_figure, panels_of

    rows = data.rows_of(suite)
    own = [styles[name] for name in styles if name in set(rows.loc[rows["metric"] != "failed", "backend"].astype(str))]
    panels = panels_of(rows)
    if not panels:
        return f'<div data-suite="s{number}" data-part="panels"></div>'
    figures = {panel.key: panel_figure(panel, own) for panel in panels}
    places = {key: f"s{number}-plot-{key}" for key in figures}
    cards = "".join(blocks.panel_card(panel, places[panel.key], data, suite) for panel in panels)
    held = {**_document(figures, places), "backends": [look.name for look in own]}
    return f"""{blocks.panel_controls(data, suite)}<div class="panels" data-suite="s{number}" data-part="panels">{cards}
</div>{_held(f"s{number}-panels", held)}"""


def _explorer(data: ReportData, number: int, suite: str) -> str:
    from galfit_ml.benchmark.report import blocks
    from galfit_ml.benchmark.report.explorer import explorer_figures

    points, spectra = data.points_of(suite), data.spectra_of(suite)
    shown = thinned(points, MOST_POINTS, 0 if spectra is None else len(spectra.flux))
    packed = packed_spectra(spectra, shown["spectrum"].to_numpy()) if spectra is not None else None
    figures = explorer_figures(
        latent=_has(shown, "latent_x") and _has(shown, "latent_y"), snr=_has(shown, "snr"), spectra=packed is not None
    )
    places = {key: f"s{number}-plot-{key}" for key in figures}
    held = _held(f"s{number}-points", packed_points(shown)) + _held(f"s{number}-explorer", _document(figures, places))
    if packed is not None:
        held += _held(f"s{number}-spectra", packed)
    return blocks.explorer_block(number, places, _note(len(shown), len(points), packed is not None)) + held


def _has(points: pd.DataFrame, column: str) -> bool:
    return column in points and bool(np.isfinite(points[column].to_numpy(dtype=np.float64, na_value=np.nan)).any())


def _note(shown: int, every: int, spectra: bool) -> str:
    some = f"{shown:,} of {every:,} answers, drawn at random. " if shown < every else f"{shown:,} answers. "
    text = "The plots share their selection: tap a point, or take the box or the lasso"
    return some + text + (", and the spectra appear below." if spectra else ".")


def _document(figures: Mapping[str, Any], places: Mapping[str, str]) -> dict[str, Any]:
    """A bokeh document of figures, and the element that each goes to."""
    from bokeh.core.json_encoder import serialize_json
    from bokeh.document import Document

    document = Document()
    for plot in figures.values():
        document.add_root(plot)
    content = json.loads(serialize_json(document.to_json()))
    return {"document": content, "places": {plot.id: places[key] for key, plot in figures.items()}}
