"""Arguments that several commands take: each a function from text to value."""

from __future__ import annotations

import argparse
import ast
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from galfit_ml.errors import FileFormatError, OutputExistsError

if TYPE_CHECKING:
    from galfit_ml.instruments import Instrument


def number_or_range(text: str) -> float | tuple[float, float]:
    """A number, or LOW:HIGH."""
    try:
        numbers = [float(part) for part in text.split(":")]
    except ValueError:
        numbers = []
    if len(numbers) not in {1, 2}:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number (0.7) nor a range (0.5:1.2)")
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def option(text: str) -> tuple[str, Any]:
    """KEY=VALUE, the value as Python reads it or else as text."""
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form KEY=VALUE")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def rows(text: str) -> tuple[int, int]:
    """FIRST:END, whole numbers that count from 0; END is not in it."""
    first, colon, end = text.partition(":")
    if not (colon and first.isdigit() and end.isdigit() and int(first) < int(end)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a range of rows FIRST:END, for example 0:20")
    return int(first), int(end)


def share(text: str) -> tuple[str, float]:
    """NAME=FRACTION, the fraction between 0 and 1."""
    name, equals, number = text.partition("=")
    try:
        fraction = float(number)
    except ValueError:
        fraction = math.nan
    if not (name and equals and 0 <= fraction <= 1):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=FRACTION, for example star=0.02")
    return name, fraction


def known_instrument(text: str) -> Instrument:
    """The instrument of that name, shipped or a plugin's, "generic:R", or described by a file that ends in .toml.

    Raises:
        UnknownNameError: no such instrument.
        FileFormatError: the file cannot be read, or a key of it is wrong.
    """
    from galfit_ml.instruments import Instrument, get_instrument
    from galfit_ml.registry import registry

    if text.lower().endswith(".toml"):
        return Instrument.from_toml(text)
    return get_instrument(text, registry().instruments())


def new_file(path: Path, overwrite: bool, endings: tuple[str, ...]) -> Path:
    """`path` if it may be written: its folder exists, its ending is one of `endings`, it is not there already."""
    if path.suffix.lower() not in endings:
        raise FileFormatError(f"The ending of '{path}' names no format that can be written: {', '.join(endings)}.")
    if not path.parent.is_dir():
        raise FileFormatError(f"Folder '{path.parent}' does not exist. Make it first: mkdir -p '{path.parent}'")
    if path.exists() and not overwrite:
        raise OutputExistsError(f"'{path}' exists already. Name another file, or add --overwrite.")
    return path
