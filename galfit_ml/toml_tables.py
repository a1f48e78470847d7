"""TOML tables as frozen dataclasses: every key known, none missing, each of its kind; else file and key are named."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar

from galfit_ml.errors import FileFormatError

T = TypeVar("T")

Convert = Callable[[Any, str], Any]
"""convert(value, where): the value of a dataclass field from that of the file; `where` says which key it is."""

WORDS = {float: "a number", str: "a text in quotes", int: "a whole number", bool: "true or false"}


def construct(kind: type[T], table: Any, where: str, converters: Mapping[str, Convert] | None = None) -> T:
    """A dataclass `kind` from a TOML table.

    Args:
        kind: dataclass whose field names are the keys.
        table: what the file holds.
        where: file and table, for messages.
        converters: by field name; numbers, texts and truth values need none.

    Raises:
        FileFormatError: not a table, unknown, missing or wrong keys; says what was expected.
    """
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    check_keys(table, known, [name for name, field in known.items() if _required(field)], where)
    hints = typing.get_type_hints(kind)
    values = {
        key: (converters or {}).get(key, _plain(hints[key]))(value, f"{where}: key '{key}'")
        for key, value in table.items()
    }
    return refused_by(lambda: kind(**values), where)


def check_keys(table: Any, known: typing.Iterable[str], required: typing.Iterable[str], where: str) -> None:
    """FileFormatError unless `table` is a table with the `required` keys and none but the `known` ones."""
    if not isinstance(table, Mapping):
        raise FileFormatError(f"{where}: expected a table of keys and values, not {table!r}.")
    names = list(known)
    for key in table:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            meant = f" Did you mean '{near[0]}'?" if near else ""
            raise FileFormatError(f"{where}: the key '{key}' is unknown.{meant} Known: {', '.join(names)}.")
    missing = [f"key '{key}' is missing" for key in required if key not in table]
    if missing:
        raise FileFormatError(f"{where}: {', '.join(missing)}. See galfit_ml.instruments for the format.")


def refused_by(make: Callable[[], T], where: str) -> T:
    """The outcome of `make`; a TypeError or ValueError becomes a FileFormatError that names the place."""
    try:
        return make()
    except FileFormatError:
        raise
    except (TypeError, ValueError) as error:
        raise FileFormatError(f"{where}: {error}") from error


def numbers(value: Any, where: str) -> tuple[float, ...]:
    """A number or a list of numbers, as a tuple."""
    entries = value if isinstance(value, list) else [value]
    return tuple(number(entry, where) for entry in entries)


def number(value: Any, where: str) -> float:
    """A number; FileFormatError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FileFormatError(f"{where}: expected a number, not {value!r}.")
    return float(value)


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _plain(kind: Any) -> Convert:
    if kind is float:
        return number
    if kind in WORDS:
        return lambda value, where: _of_kind(kind, value, where)
    return lambda value, where: numbers(value, where)


def _of_kind(kind: type, value: Any, where: str) -> Any:
    if type(value) is not kind:
        raise FileFormatError(f"{where}: expected {WORDS[kind]}, not {value!r}.")
    return value
