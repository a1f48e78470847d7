"""Along the valleys of a posterior: points with one coordinate held and all others at their best.

Histories of star formation that look alike differ by much: a posterior reaches far from its maximum along curved
valleys, where a Gaussian about the maximum has no points and a quadratic surrogate falls off as if there were nothing.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galfit_ml.simulate.prior import coordinate
from galfit_ml_emcee.optimise import MAX_COORDINATE, Start, climb, derivatives
from galfit_ml_emcee.target import Target

Floats = NDArray[np.float64]

HELD = (
    *("log_ssfr", "formation_age", "tau", "burst_age", "log_burst_fraction"),
    *("log_agn", "log_gas_metallicity", "log_metallicity"),
)
PLACES = (-2.0, -0.7, 0.7, 2.0)
"""Where each of them is held, probits of the prior."""

STEPS = 6
DEEPEST = 20.0
"""ln density below the best from which on a place is of no interest."""

AROUND, WIDTHS = 16, (0.3, 0.7)
"""Points drawn about each place, and the widths of their Gaussians in that of the place."""

LONGEST = 0.8
"""Probits; a valley is not straight for longer."""


def valley_points(target: Target, start: Start, random: np.random.RandomState) -> Floats:
    """Points [n, n_free] about the best galaxies that have a coordinate of `HELD` at one of `PLACES`."""
    free = target.free
    x, held = _places(start, [c for c in map(coordinate, HELD) if c in free])
    if len(x):
        value, x, _ = climb(target.likelihood, x, STEPS, held=held)
        x = x[value > start.log_density[0] - DEEPEST]
    if len(x) == 0:  # so good a spectrum has no valleys
        return np.zeros((0, len(free)))
    _, hessian = derivatives(target.likelihood, x)
    size, axes = np.linalg.eigh(torch.linalg.inv(hessian).numpy()[:, free][:, :, free])
    root = axes * np.sqrt(np.clip(size, 0.0, LONGEST**2))[:, None, :]
    width = np.resize(WIDTHS, AROUND)[:, None]
    noise = width * random.standard_normal((len(x), AROUND, len(free)))
    points = x.numpy()[:, None, free] + np.einsum("kij,knj->kni", root, noise)
    return np.clip(points.reshape(-1, len(free)), -MAX_COORDINATE, MAX_COORDINATE)


def _places(start: Start, coordinates: list[int]) -> tuple[Tensor, Tensor]:
    """Where the search begins, [k, N_DIM], and which coordinate is held, [k]: conditional means about the maximum."""
    best, covariance = start.x[0], start.covariance[0]
    x, held = [], []
    for c in coordinates:
        for place in PLACES:
            move = (place - best[c]).clamp(-2.0, 2.0) / covariance[c, c] * covariance[:, c]
            moved = (best + move).clamp(-MAX_COORDINATE, MAX_COORDINATE)
            moved[c] = place
            x.append(moved)
            held.append(c)
    return (torch.stack(x) if x else start.x[:0]), torch.tensor(held, dtype=torch.int64)
