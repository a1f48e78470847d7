"""Projections of an embedding onto a few dimensions: principal components, and UMAP."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galfit_ml.errors import unknown_name
from galfit_ml.latent.checks import LatentError, as_features, known_rows
from galfit_ml.latent.optional import needed

Floats = NDArray[np.float64]

METHODS = ("pca", "umap")


@dataclass(frozen=True, eq=False)
class Projection:
    """n embeddings in k dimensions.

    Args:
        method: "pca" or "umap".
        coordinates: [n, k]; NaN rows where the embedding is NaN.
        explained: [k] share of the variance of the standardised features, of principal components; else None.
        directions: [k, n_features] unit vectors of principal components; else None.
    """

    method: str
    coordinates: Floats
    explained: Floats | None = None
    directions: Floats | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """k texts for axes."""
        if self.explained is None:
            return tuple(f"UMAP {i + 1}" for i in range(self.coordinates.shape[1]))
        return tuple(f"PC {i + 1} ({100 * share:.1f} % of variance)" for i, share in enumerate(self.explained))


def standardised(features: ArrayLike) -> Floats:
    """Features [n, k] less their mean over their standard deviation, both over finite rows; constant ones are 0."""
    array = as_features(features)
    rows = known_rows(array)
    if rows.sum() < 3:
        raise LatentError(f"{rows.sum()} of {len(array)} rows have an embedding; a projection needs at least 3.")
    mean, width = array[rows].mean(axis=0), array[rows].std(axis=0)
    constant = width <= 1e-12 * np.maximum(1.0, np.abs(mean))
    return np.where(rows[:, None], (array - mean) / np.where(constant, np.inf, width), np.nan)


def pca(features: ArrayLike, n_components: int = 2) -> Projection:
    """Principal components of standardised features [n, k], by singular-value decomposition (Jolliffe 2002, sec. 3.5).

    The sign of a component is such that its largest loading is positive.

    Raises:
        LatentError: fewer than 3 rows without NaN, or more components than there are features or rows.
    """
    array = standardised(features)
    rows = known_rows(array)
    _enough(array[rows], n_components)
    left, values, right = np.linalg.svd(array[rows], full_matrices=False)
    chosen = np.arange(n_components)
    sign = np.sign(right[chosen, np.abs(right[:n_components]).argmax(axis=1)])
    coordinates = np.full((len(array), n_components), np.nan)
    coordinates[rows] = (left * values)[:, :n_components] * sign
    explained = values**2 / max(float((values**2).sum()), 1e-300)
    return Projection("pca", coordinates, explained[:n_components], right[:n_components] * sign[:, None])


def umap(features: ArrayLike, n_components: int = 2, *, neighbours: int = 15, seed: int = 0) -> Projection:
    """UMAP of standardised features [n, k] (McInnes et al. 2018, arXiv:1802.03426).

    Distances between groups mean little in it: what has to be known is asked with a probe.

    Args:
        features: [n, k]; NaN rows stay NaN.
        n_components: dimensions.
        neighbours: points that make a neighbourhood; at most as many as there are.
        seed: the same seed gives the same picture.

    Raises:
        MissingPackageError: umap-learn is not installed.
        LatentError: fewer than 10 rows without NaN, or more components than there are features.
    """
    array = standardised(features)
    rows = known_rows(array)
    _enough(array[rows], n_components)
    if rows.sum() < 10:
        raise LatentError(f"UMAP needs at least 10 rows without NaN, and there are {rows.sum()}. Use method='pca'.")
    library = needed("umap", "umap-learn")
    near = min(neighbours, int(rows.sum()) - 1)
    machine = library.UMAP(n_components=n_components, n_neighbors=near, random_state=seed, n_jobs=1)
    coordinates = np.full((len(array), n_components), np.nan)
    coordinates[rows] = machine.fit_transform(array[rows])
    return Projection("umap", coordinates)


def project(features: ArrayLike, method: str = "pca", n_components: int = 2, seed: int = 0) -> Projection:
    """`pca` or `umap`, by name; UnknownNameError for any other."""
    if method == "pca":
        return pca(features, n_components)
    if method == "umap":
        return umap(features, n_components, seed=seed)
    raise unknown_name("method", method, METHODS)


def _enough(array: Floats, n_components: int) -> None:
    if not 1 <= n_components <= min(array.shape):
        raise LatentError(
            f"{n_components} components asked for, and there are {array.shape[1]} features of {array.shape[0]} "
            f"spectra: at most {min(array.shape)}."
        )
