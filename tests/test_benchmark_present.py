"""What a report shows of a folder, and the tables made of one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.backends import parts, published, ratios
from galfit_ml.benchmark import get_suite
from galfit_ml.benchmark import present as module
from galfit_ml.benchmark.answers import ABOUT
from galfit_ml.benchmark.report import Spectra
from galfit_ml.benchmark.results import published as series
from galfit_ml.benchmark.table import COLUMNS, Row, table_of, write_table

POINTS = pd.DataFrame({"suite": ["sdss-snr"], "backend": ["x"], "spectrum": [0]})


@pytest.mark.parametrize("same", [True, False])
def test_spectra_of_another_suite_of_the_same_name_are_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    own = tmp_path / "sdss-snr" / "x"
    own.mkdir(parents=True)
    digest = get_suite("sdss-snr").digest(1) if same else "of a copy that was changed"
    (own / ABOUT).write_text(json.dumps({"suite": "sdss-snr", "backend": "x", "spectra": digest}))
    write_table(table_of([Row("sdss-snr", "x", "", "rate", 1.0)]), own.parent / "rows.csv")
    write_table(POINTS, own.parent / "points.csv")
    monkeypatch.setattr(module, "_first", lambda *_: Spectra(np.arange(3.0), np.ones((1, 3), dtype=np.float32)))
    assert len(module.report_data(tmp_path).spectra) == int(same)


def test_changes_are_set_against_the_same_spectra_without_one() -> None:
    blank = {"axis": "part", "n": 40}
    rows = [
        Row("r", "cnn", "redshift", "success", 0.8, n=80),
        Row("r", "cnn", "redshift", "success", 0.9, bin="as simulated", **blank),  # type: ignore[arg-type]
        Row("r", "cnn", "redshift", "success", 0.7, bin="3 % tilt", **blank),  # type: ignore[arg-type]
        Row("r", "emcee", "redshift", "success", 0.7, bin="3 % tilt", **blank),  # type: ignore[arg-type]
    ]
    lines = list(parts(table_of(rows)))[2:]
    assert [[cell.strip() for cell in line.split("|")[1:4]] for line in lines] == [
        ["as simulated", "cnn", "40"], ["3 % tilt", "cnn", "40"], ["3 % tilt", "emcee", "40"]
    ]  # fmt: skip


def test_published_bins_have_their_own_ends() -> None:
    rows = [r for r in series(get_suite("moonz-grid")) if r.low == 22.25]
    table = table_of(rows).assign(high=23.25)
    assert all("22.25-23.25" in line for line in list(published(table))[2:])


def test_columns_stand_in_the_order_of_the_documents() -> None:
    text = (Path(__file__).parent.parent / "docs" / "benchmark.md").read_text(encoding="utf-8").replace("\n", " ")
    assert f"`{', '.join(COLUMNS)}`" in text
    assert set(COLUMNS) == set(Row.__dataclass_fields__)


def test_ratios_stand_beside_redshifts_and_open_bins_are_called_so() -> None:
    rows = []
    for low, high, label in ((-1.0, 0.5, "-1-0.5"), (0.5, 2.0, "0.5-2"), (2.0, 100.0, "2-100")):
        place = {"axis": "snr", "bin": label, "low": low, "high": high}
        rows += [
            Row("s", "cnn", "redshift", "success_minus_emcee", -0.02, error=0.01, n=50, direction="higher", **place),
            Row("s", "cnn", "log_sfr", "crps_over_emcee", 1.25, error=0.1, n=40, direction="lower", **place),
        ]
    lines = list(ratios(table_of(rows)))
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["below 0.5", "0.5-2", "above 2"]
    cells = [cell.strip() for cell in lines[2].split("|")]
    assert cells[2:5] == ["cnn", "40", "-0.020 ± 0.010"]
    assert cells[[cell.strip() for cell in lines[0].split("|")].index("CRPS: SFR")] == "1.25 ± 0.10"
