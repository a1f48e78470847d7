"""Tables of rows on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from galfit_ml.benchmark import BenchmarkError
from galfit_ml.benchmark.comparison import holm
from galfit_ml.benchmark.summary import changes, summary
from galfit_ml.benchmark.table import COLUMNS, Row, machine, read_rows, table_of, write_table

ROWS = [
    Row("s", "cnn", "redshift", "success", 0.9, error=0.01, n=100, direction="higher"),
    Row("s", "emcee", "redshift", "success", 0.8, error=0.02, n=100, direction="higher"),
    Row("s", "cnn", "redshift", "success", 0.5, axis="snr", bin="1-2", low=1.0, high=2.0, n=40, direction="higher"),
    Row("s", "broken", "", "failed", np.nan, reason="it fell, and 'broke'"),
    Row("s", "cnn", "", "rate", 12.5, axis="batch, 100 draws", bin="16", low=16, high=16, unit="1/s"),
]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_rows_are_the_same_after_writing_and_reading(tmp_path: Path, ending: str) -> None:
    if ending == ".parquet":
        pytest.importorskip("pyarrow", reason="pyarrow (extra `benchmark`) is not installed")
    table = table_of(ROWS)
    write_table(table, tmp_path / f"rows{ending}")
    pd.testing.assert_frame_equal(read_rows(tmp_path / f"rows{ending}"), table, check_dtype=False)
    assert list(table) == list(COLUMNS)


def test_what_is_no_table_of_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="no file"):
        read_rows(tmp_path / "rows.csv")
    with pytest.raises(BenchmarkError, match=r"\.csv, \.parquet"):
        read_rows(tmp_path / "rows.txt")
    pd.DataFrame({"suite": ["x"], "value": [1.0]}).to_csv(tmp_path / "rows.csv")
    with pytest.raises(BenchmarkError, match="lacks backend, parameter"):
        read_rows(tmp_path / "rows.csv")


def test_the_machine_is_named() -> None:
    assert "cores" in machine()
    assert "Python 3" in machine()


def test_the_summary_has_a_column_for_each_backend_and_a_dash_for_what_is_missing() -> None:
    lines = list(summary(table_of(ROWS)))
    assert lines[0].split() == ["broken", "cnn", "emcee"]
    right = next(line for line in lines if line.startswith("redshift right"))
    assert right.split()[2:] == ["-", "0.9", "±", "0.01", "0.8", "±", "0.02"]
    assert any("batch 16" in line and "12.5" in line for line in lines)


def test_the_summary_of_a_suite_that_repeats_its_galaxies_is_of_the_first_part() -> None:
    parts = [
        Row("s", "cnn", "redshift", "success", value, axis="part", bin=name, n=40, direction="higher")
        for name, value in (("as simulated", 0.7), ("no blue arm", 0.3))
    ]
    parts.append(Row("s", "cnn", "", "flagged", 0.1, axis="part", bin="as simulated", n=40))
    lines = list(summary(table_of([*parts, Row("s", "cnn", "", "rate", 3.0, n=80)])))
    assert next(line for line in lines if line.startswith("redshift right")).split()[2:] == ["0.7"]
    assert lines[1].split() == ["spectra", "80"]


def test_ratios_are_compared_by_their_logarithms() -> None:
    from galfit_ml.benchmark import compare

    def ratio(value: float, error: float) -> pd.DataFrame:
        return table_of([Row("s", "cnn", "redshift", "crps_over_emcee", value, error=error, direction="lower")])

    up, down = (compare(ratio(1.0, 0.2), ratio(value, 0.2 * value)).iloc[0] for value in (3.0, 1 / 3))
    assert up.p == pytest.approx(down.p)
    assert (up.verdict, down.verdict) == ("worse", "better")


def test_holm_is_stricter_than_single_tests_and_stops_at_the_first_that_fails() -> None:
    p = np.array([0.2, 0.001, 0.02, 0.012])
    assert holm(p, 0.05).tolist() == [False, True, True, True]
    assert holm(np.array([0.02, 0.02, 0.02, 0.02]), 0.05).tolist() == [False] * 4
    assert holm(np.array([0.001, 0.001]), 0.05).all()


def test_changes_are_told_the_most_significant_first() -> None:
    from galfit_ml.benchmark import compare

    old = table_of(ROWS[:2]).assign(suite="s")
    new = old.assign(value=[0.8, 0.81])
    found = compare(old, new)
    lines = list(changes(found, everything=False))
    assert lines[0].startswith("s cnn redshift all success: 0.9 -> 0.8 (-0.1")
    assert lines[0].endswith("worse")
    assert lines[-1] == "2 rows in common: 0 better, 1 worse, the others as before within their errors"
    assert len(list(changes(found, everything=True))) == 3
