"""Rows that lack a number: found, counted and kept out of every metric."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def complete(*arrays: ArrayLike) -> Bools:
    """[n] rows in which every number of every array [n, ...] is finite; a row is one spectrum.

    Raises:
        ValueError: no array, or arrays of different length.
    """
    values = [np.asarray(one) for one in arrays]
    if not values or any(one.ndim == 0 or len(one) != len(values[0]) for one in values):
        raise ValueError(f"Arrays must have the same number of rows, not shapes {[one.shape for one in values]}.")
    rows = [np.isfinite(one).all(axis=tuple(range(1, one.ndim))) for one in values]
    return np.asarray(np.logical_and.reduce(rows))


def n_left_out(*arrays: ArrayLike) -> int:
    """How many rows of arrays [n, ...] every metric leaves out: those with a NaN or an infinity."""
    return int((~complete(*arrays)).sum())


def known(values: ArrayLike) -> Floats:
    """The finite ones among values of any shape, as a flat array."""
    flat = np.asarray(values, dtype=np.float64).ravel()
    return np.asarray(flat[np.isfinite(flat)])


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Draws beside their truth, checked.

    Args:
        draws: [..., s] draws with equal weights; 0 in rows that are not `whole`.
        truth: [...] in the draws' unit; 0 in rows that are not `whole`.
        whole: [...] where the truth and all s draws are finite.
    """

    draws: Floats
    truth: Floats
    whole: Bools

    @classmethod
    def of(cls, draws: ArrayLike, truth: ArrayLike) -> Ensemble:
        """Of draws [..., s] and truth [...].

        Raises:
            ValueError: the shapes do not belong together, or s is 0.
        """
        sample, value = np.asarray(draws, dtype=np.float64), np.asarray(truth, dtype=np.float64)
        if sample.ndim == 0 or sample.shape[:-1] != value.shape or sample.shape[-1] == 0:
            raise ValueError(
                f"Draws must be [..., s] with s >= 1 and the truth [...], not {sample.shape} and {value.shape}. The "
                "draws of one spectrum lie along the last axis."
            )
        whole = np.asarray(np.isfinite(value) & np.isfinite(sample).all(axis=-1))
        if not whole.all():
            sample, value = np.where(whole[..., None], sample, 0.0), np.where(whole, value, 0.0)
        return cls(sample, value, whole)

    def filled(self, result: ArrayLike) -> Floats:
        """[...] numbers of the rows, NaN in those that are not whole."""
        return np.where(self.whole, result, np.nan)
