"""Pieces of the page's HTML: text is escaped here and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from galfit_ml.benchmark.report.charts import Panel
from galfit_ml.benchmark.report.colours import Look
from galfit_ml.benchmark.report.curves import batch_axes, binned_axes
from galfit_ml.benchmark.report.data import ReportData
from galfit_ml.benchmark.report.duels import Cell, Duel, duels
from galfit_ml.benchmark.report.findings import Finding
from galfit_ml.benchmark.report.gains import Gains
from galfit_ml.benchmark.report.scoreboard import Line, scoreboards, title
from galfit_ml.benchmark.report.wording import axis_label, error_only, metric, number, ordered, parameter_label

if TYPE_CHECKING:
    import pandas as pd

Looks = Mapping[str, Look]

_PICKS = {
    "wrong": "4 wrong redshifts",
    "overconfident": "4 most overconfident",
    "random": "4 at random",
    "none": "Nothing",
}


_HOW_MARKED = (
    "Numbers over all spectra that a backend answered, with standard errors. Blue: better than every other backend by "
    "two standard errors or more on the spectra that both answered; orange: another is so much better."
)


def backend(name: str, looks: Looks) -> str:
    """A backend's name behind a dot of its colour."""
    colour = looks[name].colour if name in looks else "#b4bac4"
    return f'<span class="backend"><i style="background:{colour}"></i>{escape(name)}</span>'


def about(content: Mapping[str, str]) -> str:
    """What is known of the run."""
    told = [f"<div><dt>{escape(str(k))}</dt><dd>{escape(str(v))}</dd></div>" for k, v in content.items()]
    return f'<dl class="about">{"".join(told)}</dl>' if told else ""


def finding_card(number: int, suite: str, found: Sequence[Finding], looks: Looks) -> str:
    """What was found in a suite; its name leads to the section."""
    told = "".join(_finding(finding, looks) for finding in found)
    body = f"<dl>{told}</dl>" if told else '<p class="soft">No comparison can be made from these rows.</p>'
    return f'<li class="card"><h3><a href="#s{number}">{escape(suite)}</a></h3>{body}</li>'


def _finding(finding: Finding, looks: Looks) -> str:
    text = re.sub("⟦(.*?)⟧", lambda found: backend(found.group(1), looks), _escaped(finding.text))
    text = text.replace(" ± ", "\u00a0±\u00a0").replace(" %", "\u00a0%").replace(" = ", "\u00a0=\u00a0")
    kind = ' class="caveat"' if finding.caveat else ""
    return f"<dt{kind}>{escape(finding.topic)}</dt><dd{kind}>{text}</dd>"


def _escaped(text: str) -> str:
    """Escaped, but for what stands between marks: `backend` escapes names."""
    parts = re.split("(⟦.*?⟧)", text)
    return "".join(part if part.startswith("⟦") else escape(part) for part in parts)


def legend(looks: Looks) -> str:
    """Buttons that hide and show backends in all plots."""
    buttons = [
        f'<button type="button" aria-pressed="true" data-backend="{escape(name)}">'
        f'<i style="background:{look.colour}"></i>{escape(name)}</button>'
        for name, look in looks.items()
    ]
    return f'<nav class="legend"><div><span>Show</span>{"".join(buttons)}</div></nav>' if buttons else ""


def boards(rows: pd.DataFrame, gains: Gains, looks: Looks) -> str:
    """The numbers over all spectra; those of the redshift first, of other parameters when they are asked for."""
    found = scoreboards(rows, gains)
    first = [name for name in ("redshift", "") if name in found]
    shown = "".join(_board(label, lines, looks) for name in first for label, lines in _grouped(name, found[name]))
    rest = "".join(_board(parameter_label(n), lines, looks) for n, lines in found.items() if n not in first)
    more = f'<details><summary>Numbers of other parameters</summary><div class="boards">{rest}</div></details>'
    told = (
        f'<p class="soft">{_HOW_MARKED}</p>' if any(line.behind for lines in found.values() for line in lines) else ""
    )
    return f'{told}<div class="boards">{shown}</div>{more if rest else ""}'


def _grouped(parameter: str, lines: Sequence[Line]) -> list[tuple[str, list[Line]]]:
    """The lines of the first tables: of the redshift accuracy and calibration apart."""
    if parameter != "redshift":
        return [("all parameters together", list(lines))]
    calibration = [line for line in lines if line.metric.startswith(("coverage", "pit", "pull"))]
    accuracy = [line for line in lines if line not in calibration]
    groups = (("redshift: accuracy", accuracy), ("redshift: calibration", calibration))
    return [(label, own) for label, own in groups if own]


def _board(label: str, lines: Sequence[Line], looks: Looks) -> str:
    names = [name for name in looks if any(name in line.found for line in lines)]
    head = "".join(f"<th>{backend(name, looks)}{_count(name, lines)}</th>" for name in names)
    body = "".join(f"<tr><td>{escape(title(line))}</td>{_cells(line, names)}</tr>" for line in lines)
    table = f'<table class="scores"><tr><th>{escape(label)}</th>{head}</tr>{body}</table>'
    return f'<div class="card"><div class="scroll">{table}</div></div>'


def _count(name: str, lines: Sequence[Line]) -> str:
    """The most spectra behind any number of a backend."""
    n = max((line.found[name].n for line in lines if name in line.found), default=0)
    return f'<span class="pm">n\u00a0=\u00a0{n:,}</span>' if n > 0 else ""


def _cells(line: Line, names: Sequence[str]) -> str:
    cells = []
    for name in names:
        value = line.found.get(name)
        kind = ' class="won"' if name == line.best else ' class="lost"' if name in line.behind else ""
        told, error = (number(value.value, value.error), error_only(value.value, value.error)) if value else ("–", "")
        more = f' <span class="pm">{error}</span>' if error else ""
        more += "".join(f' <span class="pm">{escape(note)}</span>' for note in line.notes.get(name, ()))
        cells.append(f'<td{kind}><span class="pm">{told}</span>{more}</td>')
    return "".join(cells)


def duel_cards(data: ReportData, suite: str, looks: Looks) -> str:
    """Each backend against its baseline, bin by bin."""
    return "".join(_duel(duel, looks) for duel in duels(data.rows_of(suite)))


def _duel(duel: Duel, looks: Looks) -> str:
    pair = f"{backend(duel.backend, looks)} against {backend(duel.baseline, looks)}"
    head = "".join(
        f'<th>{escape(label)}<span class="pm">n\u00a0=\u00a0{_span(*ends)}</span></th>'
        for label, ends in zip(duel.bins, duel.counts, strict=True)
    )
    body = "".join(
        f"<tr><td>{escape(name)}</td>{''.join(map(_duel_cell, line))}</tr>" for name, line in duel.lines.items()
    )
    first, second = escape(duel.backend), escape(duel.baseline)
    told = (
        f"By {escape(axis_label(duel.axis))}. CRPS: ratio on the spectra that both answered, below 1 is better. Share "
        "right: difference on those that both were asked, above 0 is better; no answer is a wrong one. Blue: "
        f"{first} is better, orange: {second} is, by two standard errors or more (of a ratio, of its logarithm); where "
        "both are alike, one cell in twenty is marked by chance."
    )
    table = f'<table class="scores duel"><tr><th></th>{head}</tr>{body}</table>'
    return f'<div class="card"><h3>{pair}</h3><p class="soft">{told}</p><div class="scroll">{table}</div></div>'


def _span(fewest: int, most: int) -> str:
    return f"{most:,}" if fewest == most else f"{fewest:,}–{most:,}"


def _duel_cell(cell: Cell | None) -> str:
    if cell is None:
        return "<td>–</td>"
    kind = f' class="{cell.verdict}"' if cell.verdict else ""
    value, _, error = cell.told.partition(" ± ")
    more = f' <span class="pm">± {error}</span>' if error else ""
    return f'<td{kind}><span class="pm">{value}</span>{more}</td>'


def options(pairs: Mapping[str, str]) -> str:
    """Of a select element: value -> label."""
    return "".join(f'<option value="{escape(value)}">{escape(label)}</option>' for value, label in pairs.items())


def panel_controls(data: ReportData, suite: str) -> str:
    """What all panels of a suite are drawn against, and of which parameter."""
    rows = data.rows_of(suite)
    axes = binned_axes(rows) or ["all"]
    shown = {axis: axis_label(axis) for axis in sorted(axes, key=lambda axis: axis != "snr")}
    own = rows.loc[rows["metric"] != "failed", "parameter"].unique()
    parameters = {name: parameter_label(name) for name in ordered([str(p) for p in own if p not in {"", "all"}])}
    found = f'<label>Against <select data-control="axis">{options(shown)}</select></label>'
    if parameters:
        found += f'<label>Parameter <select data-control="parameter">{options(parameters)}</select></label>'
    return f'<div class="controls">{found}</div>'


def panel_card(panel: Panel, place: str, data: ReportData, suite: str) -> str:
    """A panel: title, choices, meaning and the place of its plot."""
    choices = ""
    if len(panel.metrics) > 1:
        shown = {name: metric(name).title for name in panel.metrics}
        choices = f'<select data-choice="metric" aria-label="metric">{options(shown)}</select>'
    axes = batch_axes(data.rows_of(suite)) if panel.kind == "batch" else []
    if len(axes) > 1:
        shown = {axis: axis.removeprefix("batch, ") for axis in axes}
        choices += f'<select data-choice="axis" aria-label="setting">{options(shown)}</select>'
    told = {
        "panel": panel.key,
        "kind": panel.kind,
        "metric": panel.metrics[0],
        "axis": axes[0] if axes else "",
        "log": "1" if panel.log else "",
    }
    marks = "".join(f' data-{key}="{escape(value)}"' for key, value in told.items())
    head = f'<div class="head"><h3>{escape(panel.title)}</h3>{choices}</div><p class="meaning"></p>'
    plot = f'<div class="plot" id="{place}"></div>'
    return f'<figure class="panel card"{marks}><figcaption>{head}</figcaption>{plot}</figure>'


def explorer_block(number: int, places: Mapping[str, str], note: str) -> str:
    """The linked plots of single spectra; `places` are the ids of its plots, by figure."""
    titles = {"scatter": "True and estimated", "latent": "Latent space", "errors": "Error against S/N"}
    cards = "".join(
        f'<div class="card"><h3>{titles[key]}</h3><div class="plot" id="{place}"></div></div>'
        for key, place in places.items()
        if key in titles
    )
    selects = "".join(
        f'<label>{label} <select data-control="{name}"></select></label>'
        for name, label in {"backend": "Backend", "parameter": "Parameter", "colour": "Colour"}.items()
    )
    picks = "".join(f'<button type="button" data-pick="{key}">{label}</button>' for key, label in _PICKS.items())
    spectra = f'<div class="plot" id="{places["spectra"]}" hidden></div>' if "spectra" in places else ""
    return f"""<div class="explorer" data-suite="s{number}" data-part="explorer">
<h3>Single spectra</h3><p class="soft">{escape(note)}</p>
<div class="controls">{selects}</div><div class="colours"></div>
<div class="triple">{cards}</div>
<div class="selection card"><div class="controls"><span>Select</span>{picks}</div>
<p class="selection-note">Nothing is selected.</p>{spectra}<div class="scroll"><table></table></div></div></div>"""


def rows_block(count: int) -> str:
    """The list of all rows with filters and a button that copies."""
    filters = "".join(
        f'<select data-filter="{name}" aria-label="{name}"></select>'
        for name in ("backend", "parameter", "axis", "metric")
    )
    return f"""<details class="rows"><summary>All {count:,} rows</summary>
<div class="controls">{filters}<button type="button" data-do="copy">Copy as CSV</button></div>
<div class="scroll"><table></table></div><button type="button" data-do="more">Show more</button></details>"""
