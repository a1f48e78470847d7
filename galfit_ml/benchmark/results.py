"""A folder of results: answers in it are scored, and the tables lie beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from galfit_ml.benchmark.answers import ABOUT, Answers, joined, read_about
from galfit_ml.benchmark.described import described
from galfit_ml.benchmark.errors import BenchmarkError
from galfit_ml.benchmark.latent import latent_rows, with_projection
from galfit_ml.benchmark.points import points_of
from galfit_ml.benchmark.run import FAILURE
from galfit_ml.benchmark.scoring import Scorer
from galfit_ml.benchmark.suite import Suite
from galfit_ml.benchmark.table import COLUMNS, ENDINGS, Row, machine, read_rows, read_table, table_of, write_table
from galfit_ml.benchmark.versus import versus

ROWS, POINTS, SPEED = "rows", "points", "speed.json"


def answers_in(folder: Path) -> Answers | None:
    """All answers of a backend's folder, None where there are none."""
    files = sorted(folder.glob("[0-9]*.npz"), key=lambda p: tuple(reversed(p.stem.split("-"))))
    if not files:
        return None
    return joined([Answers.read(path) for path in files])


def score(suite: Suite, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows and points of every backend that has answered a suite, from the suite's folder of results.

    Rows are of the version and the machines that answered, not of those that score.
    """
    rows: list[Row] = []
    points, made = [], {}
    for own in sorted(path for path in folder.iterdir() if (path / ABOUT).is_file()):
        answers, about = answers_in(own), read_about(own)
        made[own.name] = str(about["galfit_ml"]), machines_of(about)
        if answers is not None:
            table = with_projection(points_of(answers, suite.name, own.name), answers)
            points.append(table)
            rows += [*Scorer(suite, own.name, table).rows(answers), *latent_rows(suite, own.name, table, answers)]
            rows.append(_rate(suite, own.name, answers, about))
        rows += _failure(suite, own)
    together = pd.concat(points, ignore_index=True) if points else pd.DataFrame()
    rows += versus(suite, together)
    rows = [replace(row, version=made[row.backend][0], machine=made[row.backend][1]) for row in rows]
    rows += [row for name in made for row in _speed(folder / name)]
    return table_of([*rows, *(published(suite) if rows else ())]), together


def machines_of(about: Mapping[str, Any]) -> str:
    """The machines that answered, in words; this one where none was noted."""
    noted = [about.get("machine", ""), *(one.get("machine", "") for one in about.get("ran", ()))]
    return "; ".join(dict.fromkeys(str(name) for name in noted if name)) or machine()


def ran_with(about: Mapping[str, Any]) -> str:
    """How many workers and which device answered, such as "workers=2, device=cpu; workers=4"."""
    runs = [", ".join(f"{k}={v}" for k, v in one.items() if k != "machine") for one in about.get("ran", ())]
    return "; ".join(dict.fromkeys(text for text in runs if text))


def _rate(suite: Suite, backend: str, answers: Answers, about: Mapping[str, Any]) -> Row:
    """Spectra per second while the suite ran, whatever else the machine had to do; the reason says with what."""
    rate = len(answers) / float(answers.seconds.sum())
    more = {"unit": "1/s", "direction": "higher", "n": len(answers), "reason": ran_with(about)}
    return Row(suite.name, backend, "", "rate", rate, **more)  # type: ignore[arg-type]


def _speed(folder: Path) -> Iterator[Row]:
    path = folder / SPEED
    if path.is_file():
        yield from (Row(**row) for row in json.loads(path.read_text(encoding="utf-8")))


def _failure(suite: Suite, folder: Path) -> Iterator[Row]:
    path = folder / FAILURE
    if path.is_file():
        yield Row(suite.name, folder.name, "", "failed", np.nan, reason=path.read_text(encoding="utf-8"))


def published(suite: Suite) -> Iterator[Row]:
    """What others have published on the suite's spectra."""
    for series in suite.published:
        unit, direction = described("redshift", series.metric)
        axis = f"{series.axis}: {series.select}" if series.select else series.axis
        for low, high, value in zip(series.edges, series.edges[1:], series.values, strict=False):
            label = f"{series.select}, {low:g}-{high:g}" if series.select else f"{low:g}-{high:g}"
            row = Row(
                suite.name, f"{series.backend} (published)", "redshift", series.metric, value, axis, label, low, high
            )
            yield replace(
                row, n=series.n, unit=unit, direction=direction, version=series.source, machine="", reason=series.source
            )


def write_results(folder: Path, rows: pd.DataFrame, points: pd.DataFrame, ending: str) -> None:
    """Tables of one suite into its folder; `ending` is ".csv" or ".parquet". Older points go where there are none."""
    write_table(rows, folder / f"{ROWS}{ending}")
    if len(points):
        write_table(points, folder / f"{POINTS}{ending}")
        return
    for kind in ENDINGS:
        (folder / f"{POINTS}{kind}").unlink(missing_ok=True)


def read_results(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows and points of all suites in a folder of results (or of one, where it is a suite's own).

    Raises:
        BenchmarkError: there are none, they are of different versions of galfit_ml, or a backend's results of a suite
            stand in several folders.
    """
    places = [path.parent for kind in (".csv", ".parquet") for path in sorted(folder.glob(f"**/{ROWS}{kind}"))]
    if not places:
        raise BenchmarkError(f"There are no results in '{folder}': `galfit-ml benchmark run` writes {ROWS}.csv there.")
    rows = [read_rows(_table(place, ROWS)) for place in dict.fromkeys(places)]
    points = [read_table(_table(place, POINTS)) for place in dict.fromkeys(places) if _there(place, POINTS)]
    table = pd.concat(rows, ignore_index=True)
    own = table[~table["backend"].str.endswith("(published)")]
    versions = sorted(set(own["version"]))
    if len(versions) > 1:
        raise BenchmarkError(
            f"'{folder}' holds results of different versions of galfit_ml ({', '.join(versions)}), which cannot stand "
            "in one table. Run the older suites again, or keep them in another folder."
        )
    twice = own[["suite", "backend"]].value_counts().sort_index().index if len(places) > 1 else ()
    for suite, backend in twice:
        found = [str(p) for p, t in zip(dict.fromkeys(places), rows, strict=True) if _holds(t, suite, backend)]
        if len(found) > 1:
            raise BenchmarkError(
                f"Results of '{backend}' in suite '{suite}' stand in {' and in '.join(found)}: name one of them."
            )
    return table[list(COLUMNS)], pd.concat(points, ignore_index=True) if points else pd.DataFrame()


def _holds(table: pd.DataFrame, suite: str, backend: str) -> bool:
    return bool(((table["suite"] == suite) & (table["backend"] == backend)).any())


def _there(folder: Path, name: str) -> bool:
    return any((folder / f"{name}{kind}").is_file() for kind in (".csv", ".parquet"))


def _table(folder: Path, name: str) -> Path:
    """The newer of the two kinds of file."""
    files = [path for kind in (".csv", ".parquet") if (path := folder / f"{name}{kind}").is_file()]
    return max(files, key=lambda path: path.stat().st_mtime)
