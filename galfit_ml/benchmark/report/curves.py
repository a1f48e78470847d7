"""Rows of one metric as numbers: over all spectra, or along an axis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

UNBINNED = ("all", "retention", "level")
"""Axes that are no bins of spectra; nor is one that begins with "batch"."""


@dataclass(frozen=True)
class Value:
    """A number of one backend: value, standard error (NaN where there is none), spectra behind it, what is better."""

    backend: str
    value: float
    error: float
    n: int
    direction: str

    @property
    def score(self) -> float:
        """The higher, the better."""
        return scored(self.value, self.direction)


def scored(value: float, direction: str) -> float:
    """A value as a number that is the higher, the better; `direction` is that of its row."""
    if direction.startswith("target:"):
        return -abs(value - float(direction.partition(":")[2]))
    return value if direction == "higher" else -value


@dataclass(frozen=True, eq=False)
class Curve:
    """A metric of one backend along an axis.

    Args:
        backend: name.
        labels: [n] of the bins.
        low, high: [n] ends of the bins.
        value, error: [n]; the error is NaN where there is none.
    """

    backend: str
    labels: tuple[str, ...]
    low: Floats
    high: Floats
    value: Floats
    error: Floats


def overall(rows: pd.DataFrame, metric: str, parameter: str) -> list[Value]:
    """A metric over all spectra, of every backend that has it, in the order of the rows; parameter "all" is also ""."""
    names = {parameter, ""} if parameter == "all" else {parameter}
    own = rows[(rows["axis"] == "all") & (rows["metric"] == metric) & rows["parameter"].isin(names)]
    return values_of(own)


def values_of(own: pd.DataFrame) -> list[Value]:
    """The finite ones of some rows, the first of each backend."""
    found: dict[str, Value] = {}
    columns = (own[c] for c in ("backend", "value", "error", "n", "direction"))
    for backend, value, error, n, direction in zip(*columns, strict=True):
        if math.isfinite(value):
            count = int(n) if n == n else 0
            found.setdefault(str(backend), Value(str(backend), float(value), float(error), count, str(direction)))
    return list(found.values())


def curves(rows: pd.DataFrame, metric: str, parameter: str, axis: str) -> list[Curve]:
    """A metric along an axis, one curve a backend, in the order of the rows, the bins in that of their ends."""
    own = rows[(rows["axis"] == axis) & (rows["metric"] == metric) & (rows["parameter"] == parameter)]
    own = own[np.isfinite(own["value"].to_numpy(dtype=np.float64))]
    return [_curve(str(name), part) for name, part in own.groupby("backend", sort=False)]


def _curve(backend: str, part: pd.DataFrame) -> Curve:
    ordered = part.sort_values(["low", "high"], kind="stable")
    low, high, value, error = (ordered[c].to_numpy(dtype=np.float64) for c in ("low", "high", "value", "error"))
    labels = tuple(label_of(str(text), *ends) for text, *ends in zip(ordered["bin"], low, high, strict=True))
    return Curve(backend, labels, low, high, value, error)


def label_of(text: str, low: float, high: float) -> str:
    """Of a bin: its ends, for its own label may repeat what the axis says; its label where it has none."""
    if not (math.isfinite(low) and math.isfinite(high)) or low == high:
        return text
    return f"{low:g}–{high:g}"


def binned_axes(rows: pd.DataFrame) -> list[str]:
    """Axes that bin the spectra, in the order of the rows."""
    return [a for a in map(str, rows["axis"].unique()) if a not in UNBINNED and not a.startswith("batch")]


def main_axis(rows: pd.DataFrame) -> str:
    """S/N, else the first axis that bins the spectra."""
    axes = binned_axes(rows)
    return "snr" if "snr" in axes or not axes else axes[0]


def batch_axes(rows: pd.DataFrame) -> list[str]:
    """Axes of measured speed, in the order of the rows."""
    return [a for a in map(str, rows["axis"].unique()) if a.startswith("batch")]
