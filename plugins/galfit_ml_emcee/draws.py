"""Draws of the posterior: from the chains by their weights, and from the scan for what no chain covers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray

from galfit_ml.parameters import GALAXY
from galfit_ml.simulate.galaxies import Galaxies
from galfit_ml_emcee.sampler import Chain

Floats = NDArray[np.float64]

Others = Callable[[int, np.random.Generator], tuple[Galaxies, Floats]]
"""others(n, rng): n galaxies outside all cells and their reported parameters [n, n_par]."""


@dataclass(frozen=True, eq=False)
class Draws:
    """n draws.

    Args:
        values: [n, n_par] reported parameters.
        galaxies: the same galaxies.
    """

    values: Floats
    galaxies: Galaxies


def shares(weights: Floats, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """How many of n draws each of the parts gets, their remainders by chance: [n_part] for weights that add up to 1."""
    exact = n * weights / weights.sum()
    counts = np.floor(exact).astype(np.int64)
    missing = n - int(counts.sum())
    if missing:
        rest = exact - counts
        counts += np.bincount(
            rng.choice(len(rest), size=missing, replace=False, p=rest / rest.sum()), minlength=len(rest)
        )
    return counts


def draw(chains: Sequence[Chain], weights: Floats, n: int, rng: np.random.Generator, others: Others | None) -> Draws:
    """n draws in random order.

    Args:
        chains: sampled peaks.
        weights: [n_chain] share of each.
        n: number of draws.
        rng: source of all randomness.
        others: draws what `weights` leave of 1; None where they leave nothing.
    """
    left = max(1.0 - float(weights.sum()), 0.0) if others is not None else 0.0
    counts = shares(np.append(weights, left), n, rng)
    values, galaxies = [], []
    for chain, count in zip(chains, counts[:-1], strict=True):
        flat, own = chain.flat, chain.values.reshape(-1, chain.values.shape[-1])
        rows = rng.choice(len(flat), size=int(count), replace=int(count) > len(flat))
        values.append(own[rows])
        galaxies.append(chain.target.likelihood.galaxies(torch.as_tensor(flat[rows])))
    if others is not None and counts[-1]:
        made, own = others(int(counts[-1]), rng)
        values.append(own)
        galaxies.append(made)
    order = rng.permutation(n)
    limits = [p.low for p in GALAXY], [p.high for p in GALAXY]
    return Draws(np.clip(np.concatenate(values)[order], *limits), joined(galaxies).take(torch.as_tensor(order)))


def joined(parts: Sequence[Galaxies]) -> Galaxies:
    """Galaxies of all parts, in order."""
    histories = {f.name: torch.cat([getattr(part.history, f.name) for part in parts]) for f in fields(parts[0].history)}
    own = {
        f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(parts[0]) if f.name != "history"
    }
    return replace(parts[0], history=replace(parts[0].history, **histories), **own)
