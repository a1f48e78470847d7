"""What probes, matching and projections ask of the arrays they are given."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galfit_ml.errors import GalfitMLError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class LatentError(GalfitMLError, ValueError):
    """Features or labels that nothing can be learnt from."""


def as_features(features: ArrayLike, what: str = "features") -> Floats:
    """Features as [n, k] of float64, a column [n] as [n, 1]; LatentError for any other shape."""
    array = np.asarray(features, dtype=np.float64)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or array.shape[1] == 0:
        raise LatentError(f"The {what} must be an array [n, n_features], not one of shape {np.shape(features)}.")
    return array


def known_rows(features: Floats) -> Bools:
    """[n] True where all features are finite."""
    return np.asarray(np.isfinite(features).all(axis=1))


def same_length(n: int, **columns: Any) -> None:
    """LatentError unless every column has n entries."""
    for name, values in columns.items():
        if len(values) != n:
            raise LatentError(
                f"There are {n} spectra and {len(values)} {name}. Each row needs one, in the order of the posterior: "
                f"match them by `posterior.ids` first."
            )


def in_classes(labels: ArrayLike, classes: tuple[Any, Any], rows: Bools, least: int) -> tuple[Bools, Bools]:
    """Where the first and the second of two classes are, [n] each, among `rows`.

    Raises:
        LatentError: the classes are the same, or one of them has fewer than `least` members; the message counts all.
    """
    given = np.asarray(labels)
    if classes[0] == classes[1]:
        raise LatentError(f"Two different classes are compared, not {classes[0]!r} with itself.")
    first, second = (np.asarray(given == name, dtype=bool) & rows for name in classes)
    if min(first.sum(), second.sum()) < least:
        told = ", ".join(f"{name!r} {inside.sum()}" for name, inside in zip(classes, (first, second), strict=True))
        raise LatentError(
            f"Too few spectra of a class: {told}; each needs at least {least}. The labels are: {counts(given)}; "
            f"{int((~rows).sum())} of {len(rows)} rows have no features (failed spectra). "
            "Check the spelling of the classes, or use fewer folds."
        )
    return first, second


def counts(labels: NDArray[Any], most: int = 8) -> str:
    """The labels with how often each occurs, the most frequent first."""
    names, numbers = np.unique(labels.astype(str), return_counts=True)
    order = np.argsort(-numbers, kind="stable")
    shown = ", ".join(f"{str(names[i])!r} {numbers[i]}" for i in order[:most])
    return shown + (f" and {len(order) - most} more" if len(order) > most else "")
