"""Two backends on the same spectra: which these are, which are of one galaxy, and how galaxies are drawn anew."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

LEAST_PAIRS = 20
"""Spectra that both answered below which two backends are not compared."""

SAME = ("part", "id", "class", "magnitude", "exposure_s", "true_redshift")
"""Columns that tell spectra apart, those of them that there are. Numbers do not, nor do names: cells of a grid and real
spectra are numbered anew where more of them are asked for."""

Floats = NDArray[np.float64]
Counts = NDArray[np.int32]


def key_of(points: pd.DataFrame) -> list[str]:
    """The columns of `SAME` that there are; the number of the spectrum where it has no name."""
    own = [name for name in SAME if name in points]
    return own if "id" in own else ["spectrum", *own]


def common(points: pd.DataFrame, first: str, second: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The points of two backends at the spectra that both were asked, [n] rows each, row by row the same spectrum.

    Args:
        points: of several backends.
        first, second: their names.
    """
    key = key_of(points)
    one, two = (_by_spectrum(points[points["backend"] == name], key) for name in (first, second))
    same = one.index.intersection(two.index, sort=False)
    return one.loc[same].reset_index(drop=True), two.loc[same].reset_index(drop=True)


def _by_spectrum(own: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    found = own.set_index(pd.MultiIndex.from_frame(own[key]))
    return found[~found.index.duplicated()]


def tells_redshifts(own: pd.DataFrame) -> bool:
    """Whether the backend of these points gives redshifts at all, in its draws or as what a search found."""
    if "gives_redshift" in own:
        return bool(own["gives_redshift"].astype(bool).any())
    columns = [name for name in ("best_redshift", "median_redshift") if name in own]
    return bool(np.isfinite(own[columns].to_numpy(dtype=np.float64)).any())


def galaxies(points: pd.DataFrame) -> NDArray[np.int64]:
    """[n] the number of each spectrum's galaxy, from 0; each is of another where points do not tell."""
    if "galaxy" not in points:
        return np.arange(len(points))
    return np.asarray(pd.factorize(points["galaxy"])[0], dtype=np.int64)


def drawn(units: NDArray[np.int64], samples: int, rng: np.random.Generator) -> Counts:
    """[samples, n_unit] how often each unit is drawn, as many as there are with replacement: a bootstrap of the units.

    Args:
        units: [n] the unit of each row, from 0: spectra of one galaxy are drawn together.
        samples: how many times.
        rng: takes n_unit numbers for each sample.
    """
    n = int(units.max()) + 1 if len(units) else 0
    found = [np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(samples)] if n else []
    return np.array(found, dtype=np.int32).reshape(samples, n)


def means(counts: Counts, units: NDArray[np.int64], values: ArrayLike) -> Floats:
    """[samples, k] means of the columns of values [n, k] in every sample; NaN among the values is left out."""
    value = np.asarray(values, dtype=np.float64)
    known = np.isfinite(value)
    n = counts.shape[1]
    total, number = np.zeros((n, value.shape[1])), np.zeros((n, value.shape[1]))
    np.add.at(total, units, np.where(known, value, 0.0))
    np.add.at(number, units, known.astype(np.float64))
    weight = counts.astype(np.float64)
    with np.errstate(invalid="ignore"):
        return np.asarray((weight @ total) / (weight @ number))


def least_share_error(first: ArrayLike, second: ArrayLike) -> float:
    """Standard error of a difference of paired shares, with half a pair added to each cell of the table.

    It is not 0 where all pairs agree, or all differ (Agresti & Min 2005, Stat. Med. 24, 729).

    Args:
        first, second: [n] hits, 0 or 1, of the same spectra.
    """
    one, two = (np.asarray(values, dtype=np.float64) for values in (first, second))
    more, less = (one > two).sum() + 0.5, (one < two).sum() + 0.5
    n = len(one) + 2
    return float(np.sqrt(more + less - (more - less) ** 2 / n) / n)
