"""The truth table: rows as bytes while a survey is written, an astropy table afterwards."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import FileFormatError
from galfit_ml.writing import write_whole

if TYPE_CHECKING:
    from astropy.table import Table

TEXT_BYTES = 40
COPIES = (".ecsv", ".parquet", ".csv")
"""Endings of further copies of the table."""


def row_type(ids: Sequence[str], truth: Mapping[str, NDArray[Any]]) -> np.dtype[Any]:
    """Type of a row: id first, then the columns; numbers keep their precision, texts get 40 bytes."""
    kinds = {"f4": ">f4", "f8": ">f8", "i8": ">i8", "i4": ">i4", "u1": "u1", "b1": "u1"}
    columns: list[tuple[str, str]] = [("id", f"S{TEXT_BYTES}")]
    for name, values in truth.items():
        array = np.asarray(values)
        if name == "id":
            continue
        columns.append((name, f"S{TEXT_BYTES}" if array.dtype.kind in "USO" else kinds[array.dtype.str[1:]]))
    return np.dtype(columns)


def rows(ids: Sequence[str], truth: Mapping[str, NDArray[Any]], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The rows of n spectra.

    Args:
        ids: n names.
        truth: name -> [n] values.
        dtype: what `row_type` made of the first ones.

    Raises:
        ValueError: other columns than the first ones, or a text that is too long.
    """
    given = {name for name in truth if name != "id"}
    if given != set(dtype.names or ()) - {"id"}:
        raise ValueError(f"The truth has the columns {sorted(given)}, the file {dtype.names}.")
    out = np.zeros(len(ids), dtype)
    for name in dtype.names or ():
        values = np.asarray(list(ids) if name == "id" else truth[name])
        out[name] = as_text(values, name) if dtype[name].kind == "S" else values
    return out


def as_text(values: NDArray[Any], name: str) -> NDArray[np.bytes_]:
    """Texts [n] as ASCII bytes; ValueError where one has more than 40 or none of ASCII."""
    encoded = np.array([str(value).encode("ascii") for value in values], dtype=np.bytes_)
    if encoded.dtype.itemsize > TEXT_BYTES:
        raise ValueError(f"Column '{name}' has texts of {encoded.dtype.itemsize} bytes; at most {TEXT_BYTES} fit.")
    return encoded


def truth_path(mock: Path) -> Path:
    """Name of the truth table that belongs to a mock file."""
    return mock.with_name(f"{mock.stem}_truth.fits")


def read_truth(path: str | Path) -> Table:
    """The true parameters, one row per spectrum in the order of the mock file, with units and descriptions.

    Args:
        path: the mock file, or its truth table (.fits, or a copy as .ecsv).

    Raises:
        FileFormatError: there is none, or it cannot be read.
    """
    from astropy.table import Table

    from galfit_ml.mock_files.reader import is_mock_file

    source = Path(path)
    if source.is_file() and is_mock_file(source):
        source = truth_path(source)
    if not source.is_file():
        raise FileFormatError(f"There is no truth table '{source}'. It lies beside its mock file, as NAME_truth.fits.")
    try:
        if source.suffix.lower() == ".ecsv":
            return Table.read(source, format="ascii.ecsv")
        return _from_fits(source)
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise FileFormatError(f"'{source}' cannot be read as a truth table: {error}") from error


def _from_fits(path: Path) -> Table:
    from astropy.io import fits
    from astropy.table import Table

    table = Table.read(path, format="fits", hdu="TRUTH")
    header = fits.getheader(path, "TRUTH")
    for number, name in enumerate(table.colnames, start=1):
        column = table[name]
        column.info.description = header.get(f"TCOMM{number}")
        if column.dtype.kind == "S":
            table[name] = np.char.decode(np.asarray(column), "ascii")
            table[name].info.description = header.get(f"TCOMM{number}")
    table.meta.clear()
    return table


def check_copy(path: Path) -> None:
    """FileFormatError unless `copy_truth` could write there."""
    if path.suffix.lower() not in COPIES:
        raise FileFormatError(f"A copy of the truth table ends in {', '.join(COPIES)}; '{path}' does not.")
    if path.suffix.lower() == ".parquet":
        _check_parquet()


def _check_parquet() -> None:
    import importlib.util

    if not any(importlib.util.find_spec(name) for name in ("pyarrow", "fastparquet")):
        raise FileFormatError("A .parquet table needs the library pyarrow: pip install pyarrow. Or ask for .ecsv.")


def copy_truth(truth: Path, path: Path) -> None:
    """Write the truth table in another format, told by the ending of `path`, which is replaced; WriteError."""
    table = read_truth(truth)
    if path.suffix.lower() == ".parquet":
        packed = io.BytesIO()
        table.to_pandas().to_parquet(packed)
        write_whole(path, packed.getvalue())
    else:
        text = io.StringIO()
        table.write(text, format="ascii.ecsv" if path.suffix.lower() == ".ecsv" else "ascii.csv")
        write_whole(path, text.getvalue().encode())
