"""The report of `galfit-ml latent`: a page of HTML, its pictures, and the numbers as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from galfit_ml.writing import save_figure, write_whole

if TYPE_CHECKING:
    from galfit_ml.latent.projection import Projection
    from galfit_ml.latent.report import Findings, Line
    from galfit_ml.posterior import Posterior

SHOWN = ("redshift", "log_stellar_mass", "log_ssfr", "log_metallicity", "gas_metallicity")
"""Medians that the projection is coloured by, where the posterior has them."""

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; color: #23272e; background: #fff;
  max-width: 68rem; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
p.about { color: #565e6b; margin-top: 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .32rem .8rem; border-bottom: 1px solid #e2e5ea; text-align: right; white-space: nowrap; }
th { border-bottom: 2px solid #8b93a1; font-weight: 600; } td.text, th.text { text-align: left; }
tr.first td { background: #f3f6fa; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(24rem, 1fr)); gap: 1rem; }
figure { margin: 0; } img { width: 100%; height: auto; border: 1px solid #e2e5ea; }
figcaption { font-size: .88rem; color: #565e6b; } li { margin-bottom: .3rem; }
"""


@dataclass(frozen=True, eq=False)
class Report:
    """What is reported.

    Args:
        posterior: with an embedding.
        findings: scores.
        labels: column -> numbers or texts [n].
        source: name of the posterior's file.
        matched: how many spectra have labels.
    """

    posterior: Posterior
    findings: Findings
    labels: Mapping[str, Any]
    source: str
    matched: str


def write(report: Report, folder: Path, method: str, seed: int) -> None:
    """Write index.html, report.csv and the pictures into a folder, which is made."""
    from galfit_ml.latent.features import embedding_of
    from galfit_ml.latent.projection import project

    projection = project(embedding_of(report.posterior), method, seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = list(_pictures(report, projection, folder))
    _write_csv(report.findings, folder / "report.csv")
    write_whole(folder / "index.html", _page(report, pictures, projection).encode())


def _write_csv(findings: Findings, path: Path) -> None:
    from galfit_ml.latent.report import Line

    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(Line.__dataclass_fields__))
    writer.writeheader()
    for line in findings.lines:
        cells = line.cells()
        writer.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in cells.items()})
    write_whole(path, text.getvalue().encode())


def _pictures(report: Report, projection: Projection, folder: Path) -> Iterator[tuple[str, str]]:
    """File name and caption of each picture."""
    from galfit_ml.plots.embedding_figure import Colour, as_colour, projection_figure

    posterior = report.posterior
    jobs: list[tuple[str, str, Colour]] = []
    for name, values in report.labels.items():
        colour = as_colour(posterior, values)
        titled = Colour(name.replace("$", ""), colour.values, colour.labels)
        jobs.append((f"label_{name}", f"Coloured by {name}", titled))
    for name in SHOWN:
        if name in posterior.parameters or (
            name == "log_ssfr" and {"log_sfr", "log_stellar_mass"} <= _names(posterior)
        ):
            jobs.append((name, f"Coloured by the posterior median of {name}", as_colour(posterior, name)))
    for number, (stem, caption, colour) in enumerate(jobs, start=1):
        file = f"{number:02d}_{re.sub(r'[^A-Za-z0-9_-]+', '_', stem)}.png"
        save_figure(projection_figure(projection, colour, caption), folder / file)
        yield file, caption


def _names(posterior: Posterior) -> set[str]:
    return set(posterior.parameters.names)


def _page(report: Report, pictures: list[tuple[str, str]], projection: Projection) -> str:
    posterior = report.posterior
    assert posterior.embedding is not None
    n_features, ok = posterior.embedding.shape[1], int(posterior.ok.sum())
    made = posterior.provenance.get("backend", "backend unknown")
    body = [
        "<h1>What the latent space knows</h1>",
        f'<p class="about">{escape(report.source)}: {len(posterior)} spectra, {ok} with a result, {n_features} latent '
        f"features ({escape(made)}). {escape(report.matched)}</p>",
        *_tables(report.findings),
        *_remarks(report.findings),
        f"<h2>Projection ({projection.method.upper()})</h2>",
        '<div class="pictures">',
        *(
            f'<figure><img src="{escape(file)}" alt="{escape(text)}"><figcaption>{escape(text)}</figcaption></figure>'
            for file, text in pictures
        ),
        "</div>",
    ]
    head = f'<meta charset="utf-8"><title>Latent space</title><style>{STYLE}</style>'
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}{view}</head>\n<body>\n' + "\n".join(body) + "\n</body></html>\n"
    )


def _tables(findings: Findings) -> Iterator[str]:
    told = {
        "AUC": "Classes: area under the ROC curve",
        "R2": "Numbers: R²",
    }
    about = {
        "AUC": "Probability that a spectrum of the second class scores higher than one of the first; 0.5 is chance. "
        "L2-regularised logistic regression, out of fold.",
        "R2": "Share of the variance that ridge regression predicts, out of fold.",
    }
    for measure, title in told.items():
        lines = [line for line in findings.lines if line.measure == measure]
        if lines:
            yield f"<h2>{title}</h2><p>{about[measure]} Errors: bootstrap of the spectra, differences paired.</p>"
            yield '<div class="wide"><table>' + _head() + "".join(map(_row, lines)) + "</table></div>"


def _head() -> str:
    texts = ("column", "classes", "sample", "features")
    numbers = ("spectra", "score", "embedding less this")
    cells = [f'<th class="text">{name}</th>' for name in texts] + [f"<th>{name}</th>" for name in numbers]
    return f"<tr>{''.join(cells)}</tr>"


def _row(line: Line) -> str:
    first = line.features == "embedding"
    gain = "" if first else f"{line.embedding_gain:+.3f} ± {line.embedding_gain_error:.3f}"
    texts = (line.column, line.classes, line.sample, line.features)
    cells = [f'<td class="text">{escape(text)}</td>' for text in texts]
    cells += [f"<td>{text}</td>" for text in (line.n, f"{line.value:.3f} ± {line.error:.3f}", gain)]
    return f"<tr{' class=first' if first else ''}>{''.join(cells)}</tr>"


def _remarks(findings: Findings) -> Iterator[str]:
    if findings.remarks:
        yield "<h2>Remarks</h2><ul>" + "".join(f"<li>{escape(text)}</li>" for text in findings.remarks) + "</ul>"
