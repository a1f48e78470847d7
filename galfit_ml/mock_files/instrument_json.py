"""Frozen dataclasses such as `Instrument` as JSON values, and back."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any, TypeVar

from galfit_ml.instruments import Instrument

T = TypeVar("T")


def to_json(instrument: Instrument) -> dict[str, Any]:
    """The instrument as mappings, lists, numbers and texts."""
    return asdict(instrument)


def from_json(value: Mapping[str, Any]) -> Instrument:
    """The instrument that `to_json` took apart: equal to the original."""
    return build(Instrument, value)


def build(kind: type[T], value: Mapping[str, Any]) -> T:
    """A dataclass from a mapping of its fields; lists become tuples, mappings the dataclasses they stand for."""
    hints = typing.get_type_hints(kind)
    given = {field.name: _value(hints[field.name], value[field.name]) for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**given)


def _value(hint: Any, value: Any) -> Any:
    if isinstance(hint, types.UnionType):
        return None if value is None else _value(next(a for a in hint.__args__ if a is not type(None)), value)
    if typing.get_origin(hint) is tuple:
        return tuple(_value(typing.get_args(hint)[0], entry) for entry in value)
    return build(hint, value) if is_dataclass(hint) and isinstance(hint, type) else value
