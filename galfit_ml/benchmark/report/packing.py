"""Tables and spectra as JSON for the page: text as codes, numbers of points as base64 of 32-bit floats."""

from __future__ import annotations

import base64
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galfit_ml.benchmark.pairs import key_of
from galfit_ml.benchmark.report.data import ROW_COLUMNS, Spectra
from galfit_ml.flags import Flag

if TYPE_CHECKING:
    import pandas as pd

NUMBERS = ("low", "high", "value", "error", "n")
OF_SPECTRUM = ("snr", "magnitude", "exposure_s", "log_ssfr")
"""Columns of points that belong to a spectrum, whoever answers, besides `true_P`: they are stored once."""

OF_ANSWER = ("best_redshift", "redshift_probability", "latent_x", "latent_y")
SEED = 7
FAR = 3.0
"""Times the distance of the 99.5th percentile from the median: what lies beyond is cut off in pictures of spectra."""

Floats = NDArray[np.float64]


def to_json(content: Any) -> str:
    """JSON that may stand inside a script element."""
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")


def encoded(values: ArrayLike, kind: str) -> dict[str, str]:
    """Numbers as {"type", "data"}: little-endian base64; `kind` is float32, int32 or uint8."""
    array = np.ascontiguousarray(values, dtype=np.dtype(kind).newbyteorder("<"))
    return {"type": kind, "data": base64.b64encode(array.tobytes()).decode("ascii")}


def coded(values: Any) -> dict[str, list[Any]]:
    """Text as {"levels", "codes"}; what is missing is ""."""
    texts = ["" if value is None or value != value else str(value) for value in values]
    levels = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    return {"levels": list(levels), "codes": [levels[text] for text in texts]}


def packed_rows(rows: pd.DataFrame) -> dict[str, Any]:
    """Column -> a list of numbers (seven digits, None for NaN) or `coded` text."""
    return {name: _numbers(rows[name]) if name in NUMBERS else coded(rows[name]) for name in ROW_COLUMNS}


def _numbers(values: Any) -> list[float | int | None]:
    found = [float(value) if value is not None else math.nan for value in values]
    rounded = [float(f"{value:.7g}") if math.isfinite(value) else None for value in found]
    return [int(v) if v is not None and v == int(v) and abs(v) < 1e9 else v for v in rounded]


def parameters_of(points: pd.DataFrame) -> list[str]:
    """Parameters that the points have estimates of, in the order of the columns."""
    names = [str(name).removeprefix("median_") for name in points.columns if str(name).startswith("median_")]
    return [n for n in names if np.isfinite(points[f"median_{n}"].to_numpy(dtype=np.float64)).any()]


def thinned(points: pd.DataFrame, most: int, first: int) -> pd.DataFrame:
    """At most about `most` points: those of the spectra below number `first`, and others drawn at random.

    All answers to a spectrum stay together.
    """
    if len(points) <= most:
        return points
    numbers = np.unique(points["spectrum"].to_numpy())
    keep = max(int(most * len(numbers) / len(points)), 1)
    shown, rest = numbers[numbers < first][:keep], numbers[numbers >= first]
    drawn = np.random.default_rng(SEED).choice(rest, size=max(keep - len(shown), 0), replace=False)
    return points[points["spectrum"].isin([*shown.tolist(), *drawn.tolist()])]


def packed_points(points: pd.DataFrame) -> dict[str, Any]:
    """The points: columns of the spectra, once each, and columns of the answers, with the row of their spectrum.

    Which answers are to one spectrum is told as two backends are compared: by its name and truth, for a number is of
    another where it depends on how many were asked for.
    """
    alike = points.groupby(["spectrum", *key_of(points)], sort=True, dropna=False).ngroup().to_numpy()
    _, first, row = np.unique(alike, return_index=True, return_inverse=True)
    numbers = points["spectrum"].to_numpy()[first]
    spectra, names = points.iloc[first], parameters_of(points)
    columns = [c for c in (*OF_SPECTRUM, *(f"true_{n}" for n in names)) if _known(spectra, c)]
    answers: dict[str, Any] = {c: _floats(points[c]) for c in OF_ANSWER if _known(points, c)}
    for name in names:
        answers[f"median_{name}"] = _floats(points[f"median_{name}"])
        if f"low_{name}" in points and f"high_{name}" in points:
            answers[f"error_{name}"] = _floats(0.5 * (points[f"high_{name}"] - points[f"low_{name}"]))
    for name in ("right", "failed"):
        if name in points:
            answers[name] = encoded(points[name].fillna(0).astype(bool), "uint8")
    if "flags" in points:
        answers["flags"] = encoded(points["flags"].fillna(0).to_numpy().astype(np.int32), "int32")
    return {
        "parameters": names,
        "number": encoded(numbers, "int32"),
        "spectra": {c: _floats(spectra[c]) for c in columns},
        "texts": {c: coded(spectra[c]) for c in ("id", *_classes(spectra)) if c in spectra},
        "backend": coded(points["backend"]),
        "row": encoded(row, "int32"),
        "answers": answers,
        "flags": _flags(points),
    }


def _known(table: pd.DataFrame, column: str) -> bool:
    return column in table and bool(np.isfinite(table[column].to_numpy(dtype=np.float64, na_value=np.nan)).any())


def _floats(values: Any) -> dict[str, str]:
    return encoded(values.to_numpy(dtype=np.float64, na_value=np.nan), "float32")


def _classes(spectra: pd.DataFrame) -> list[str]:
    """Columns of text with 2 to 9 different values."""
    text = [str(c) for c in spectra.columns if spectra[c].dtype.kind not in "fiub"]
    own = [c for c in text if c not in {"suite", "backend", "id", "reason"}]
    return [c for c in own if 2 <= len(set(coded(spectra[c])["levels"]) - {""}) <= 9]


def _flags(points: pd.DataFrame) -> list[dict[str, Any]]:
    """The flags that any point has: name and bit."""
    union = int(np.bitwise_or.reduce(points["flags"].fillna(0).astype(np.int64))) if "flags" in points else 0
    names = {int(flag): str(flag.name) for flag in Flag}
    bits = [1 << k for k in range(31) if union >> k & 1]
    known = [(bit, names.get(bit, f"bit {bit.bit_length() - 1}")) for bit in bits]
    return [{"bit": bit, "name": name.lower().replace("_", " ")} for bit, name in known]


def _extremes(flux: Floats, known: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Lowest and highest flux [n, 1] to draw: those there are, but for single pixels far outside of all others."""
    filled = np.where(known.any(axis=1, keepdims=True), flux, 0.0)
    bottom, low, middle, high, top = np.nanpercentile(filled, [0, 0.5, 50, 99.5, 100], axis=1)[:, :, None]
    return np.maximum(bottom, middle - FAR * (middle - low)), np.minimum(top, middle + FAR * (high - middle))


def packed_spectra(spectra: Spectra, numbers: NDArray[Any]) -> dict[str, Any] | None:
    """The spectra of these numbers, each in 254 steps between its extremes, 255 where there is no value; None if none.

    That is finer than the pixels of a screen, and an eighth of the size of the numbers themselves.
    """
    kept = np.unique(numbers[(numbers >= 0) & (numbers < len(spectra.flux))]).astype(np.int64)
    if not len(kept):
        return None
    coarse = Spectra(spectra.wavelength, np.asarray(spectra.flux)[kept]).coarse()
    flux = np.asarray(coarse.flux, dtype=np.float64)
    known = np.isfinite(flux)
    low, high = _extremes(flux, known)
    width = high - low
    scaled = np.clip((np.where(known, flux, low) - low) / np.where(width > 0, width, 1.0), 0.0, 1.0)
    levels = np.where(known, np.round(254 * scaled), 255)
    return {
        "number": encoded(kept, "int32"),
        "wavelength": encoded(coarse.wavelength, "float32"),
        "levels": encoded(levels, "uint8"),
    }
