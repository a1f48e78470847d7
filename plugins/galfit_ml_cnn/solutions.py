"""Ranked redshift solutions of a probability over redshift bins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from galfit_ml_cnn.layout import Layout

Floats = NDArray[np.float64]

N_SOLUTIONS = 5
WINDOW = 0.0033
"""Half-width of a solution, in units of 1 + z."""


def solutions(probability: Floats, layout: Layout, number: int = N_SOLUTIONS) -> tuple[Floats, Floats]:
    """Redshifts [n, number] and their probabilities, the most probable first.

    A solution is the mean redshift within the most probable window of +-`WINDOW` (1 + z), of what those before it have
    left; where nothing is left it has probability 0.

    Args:
        probability: [n, n_bins].
        layout: with the bins.
        number: of solutions.
    """
    left = np.array(probability, dtype=np.float64)
    reach = max(int(np.log1p(WINDOW) / layout.bin_width), 1)
    redshift, share = (np.zeros((len(left), number)) for _ in range(2))
    index, rows = np.arange(layout.n_bins), np.arange(len(left))
    for k in range(number):
        window = _window_sums(left, reach)
        best = window.argmax(axis=1)
        inside = np.abs(index - best[:, None]) <= reach
        share[:, k] = window[rows, best]
        weight = np.where(inside, left + 1e-30, 0.0)
        redshift[:, k] = np.expm1((weight * layout.bins).sum(axis=1) / weight.sum(axis=1))
        left[inside] = 0.0
    return redshift, share


def best_redshift(probability: Floats, layout: Layout) -> Floats:
    """[n] redshift of the most probable solution of probabilities [n, n_bins]."""
    return solutions(probability, layout, 1)[0][:, 0]


def _window_sums(values: Floats, reach: int) -> Floats:
    total = np.concatenate([np.zeros((len(values), 1)), values.cumsum(axis=1)], axis=1)
    index = np.arange(values.shape[1])
    return total[:, np.minimum(index + reach + 1, len(index))] - total[:, np.maximum(index - reach, 0)]
