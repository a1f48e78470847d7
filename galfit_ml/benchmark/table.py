"""The table of rows that a benchmark returns, and files of it."""

from __future__ import annotations

import io
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from galfit_ml import __version__
from galfit_ml.benchmark.errors import BenchmarkError
from galfit_ml.writing import write_whole

ENDINGS = (".csv", ".parquet")


@lru_cache(maxsize=1)
def machine() -> str:
    """The machine in words: processor, cores, system."""
    import os

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{_processor()}, {cores} cores, {platform.system()}, Python {platform.python_version()}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


@dataclass(frozen=True)
class Row:
    """One measured number.

    Args:
        suite, backend, parameter: what was measured; parameter "all" for several at once, "" for none.
        axis, bin: the bin: what it is in ("all" for none), and its label.
        low, high: its ends, NaN where it has none.
        metric, value, error, n: error is the standard error, NaN where none is known; n the spectra behind it.
        unit: of the value; "" for a share.
        direction: "higher", "lower", or "target:" and the number that is right.
        version, machine: of the package, and what it ran on.
        reason: why there is no value.
    """

    suite: str
    backend: str
    parameter: str
    metric: str
    value: float
    axis: str = "all"
    bin: str = "all"
    low: float = np.nan
    high: float = np.nan
    error: float = np.nan
    n: int = 0
    unit: str = ""
    direction: str = "lower"
    reason: str = ""
    version: str = __version__
    machine: str = field(default_factory=machine)


COLUMNS = (
    *("suite", "backend", "parameter", "axis", "bin", "low", "high", "metric", "value", "error", "n"),
    *("unit", "direction", "version", "machine", "reason"),
)
"""Of the table, in order: the fields of `Row`."""


def table_of(rows: Iterable[Row]) -> pd.DataFrame:
    """A table with one line a row."""
    found = [asdict(row) for row in rows]
    return pd.DataFrame(found, columns=list(COLUMNS))


def write_table(table: pd.DataFrame, path: Path) -> None:
    """To .csv or .parquet, whole or not at all.

    Raises:
        BenchmarkError: another ending, or no library for Parquet.
    """
    if path.suffix == ".csv":
        write_whole(path, table.to_csv(index=False).encode())
        return
    _check_ending(path)
    buffer = io.BytesIO()
    try:
        table.to_parquet(buffer, index=False)
    except ImportError as error:
        raise BenchmarkError(
            "Parquet files need pyarrow. Install it with: pip install 'galfit-ml[benchmark]', or take --format csv"
        ) from error
    write_whole(path, buffer.getvalue())


def read_table(path: Path) -> pd.DataFrame:
    """From .csv or .parquet.

    Raises:
        BenchmarkError: there is no such file, it is damaged, or it lacks columns, which the message names.
    """
    _check_ending(path)
    try:
        table = pd.read_csv(path, keep_default_na=True) if path.suffix == ".csv" else pd.read_parquet(path)
    except FileNotFoundError as error:
        raise BenchmarkError(f"There is no file '{path}'. `galfit-ml benchmark run` writes it.") from error
    except (OSError, ValueError, ImportError) as error:
        raise BenchmarkError(f"'{path}' cannot be read as a table: {error}") from error
    for name, kind in table.dtypes.items():
        if str(kind) in {"object", "string", "str"}:
            table[name] = table[name].fillna("")
    return table


def read_rows(path: Path) -> pd.DataFrame:
    """A table of rows; BenchmarkError where a column is missing."""
    table = read_table(path)
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise BenchmarkError(f"'{path}' is no table of a benchmark: it lacks {', '.join(missing)}.")
    numbers = {"low", "high", "value", "error", "n"}
    for name in (column for column in COLUMNS if column not in numbers):
        table[name] = table[name].astype(object).where(table[name].notna(), "").astype(str)
    return table


def _check_ending(path: Path) -> None:
    if path.suffix not in ENDINGS:
        raise BenchmarkError(f"The ending of '{path}' names no kind of table: {', '.join(ENDINGS)}.")
