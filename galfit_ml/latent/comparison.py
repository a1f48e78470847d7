"""Several feature sets on the same galaxies and folds: scores, and differences with paired errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galfit_ml.latent.checks import LatentError, as_features, known_rows, same_length
from galfit_ml.latent.probe import Folds, Model, classify, regress

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Scores of k feature sets on the same rows.

    Args:
        measure: "AUC" or "R2".
        names: of the sets.
        values: [k] scores, out of fold.
        samples: [k, n_bootstrap] scores of the same bootstrap samples of the galaxies.
        n: rows that took part: those that every set knows.
    """

    measure: str
    names: tuple[str, ...]
    values: Floats
    samples: Floats
    n: int

    def __getitem__(self, name: str) -> tuple[float, float]:
        """Score of a set and its bootstrap error."""
        place = self._place(name)
        return float(self.values[place]), float(self.samples[place].std())

    def gain(self, name: str, over: str) -> tuple[float, float]:
        """Score of one set less that of another, and the standard deviation of that over the same bootstrap samples."""
        one, other = self._place(name), self._place(over)
        return float(self.values[one] - self.values[other]), float((self.samples[one] - self.samples[other]).std())

    def _place(self, name: str) -> int:
        if name not in self.names:
            raise LatentError(f"No feature set '{name}' was compared; there are: {', '.join(self.names)}.")
        return self.names.index(name)


def compare_classes(
    sets: Mapping[str, ArrayLike],
    labels: ArrayLike,
    classes: tuple[Any, Any],
    folds: Folds | None = None,
    *,
    scored: ArrayLike | None = None,
) -> Comparison:
    """AUC of each feature set, [n, k] or [n], by `probe.classify`; rows with NaN in any set take no part.

    Args:
        sets: name -> features.
        labels: [n].
        classes: the two labels.
        folds: how the probes are tried.
        scored: [n] the rows whose area is told; None for all.

    Raises:
        LatentError: as `probe.classify`; or there is no set.
    """
    how = folds or Folds()
    known, arrays = _common(sets)
    same_length(len(known), labels=np.asarray(labels))
    found = [classify(_blanked(array, known), labels, classes, how, scored=scored) for array in arrays.values()]
    values, samples = np.array([one.auc for one in found]), np.stack([one.samples for one in found])
    return Comparison("AUC", tuple(arrays), values, samples, int(found[0].rows.sum()))


def compare_values(
    sets: Mapping[str, ArrayLike],
    target: ArrayLike,
    folds: Folds | None = None,
    models: Mapping[str, Model] | None = None,
) -> Comparison:
    """R^2 of each feature set, [n, k] or [n], by `probe.regress`; rows with NaN in any set take no part.

    Args:
        sets: name -> features.
        target: [n]; NaN where it is not known.
        folds: how it is tried.
        models: name -> regression, for sets that are not given to a ridge regression.

    Raises:
        LatentError: as `probe.regress`; or there is no set.
    """
    how, other = folds or Folds(), models or {}
    known, arrays = _common(sets)
    found = [regress(_blanked(array, known), target, how, other.get(name)) for name, array in arrays.items()]
    values, samples = np.array([one.r2 for one in found]), np.stack([one.samples for one in found])
    return Comparison("R2", tuple(arrays), values, samples, int(found[0].rows.sum()))


def _common(sets: Mapping[str, ArrayLike]) -> tuple[NDArray[np.bool_], dict[str, Floats]]:
    """Rows that every set knows, and the sets as arrays."""
    arrays = {name: as_features(values, f"features '{name}'") for name, values in sets.items()}
    if not arrays:
        raise LatentError("There is no feature set to compare.")
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise LatentError(f"Feature sets must have the same number of rows, not {lengths}.")
    return np.all([known_rows(array) for array in arrays.values()], axis=0), arrays


def _blanked(array: Floats, known: NDArray[np.bool_]) -> Floats:
    return np.where(known[:, None], array, np.nan)
