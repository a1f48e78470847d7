"""The modes of a posterior: from the maxima that were found, then from samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from galfit_ml_emcee.moves import Modes
from galfit_ml_emcee.optimise import Start

Floats = NDArray[np.float64]

INFLATION = 1.2
"""Factor on the covariance of the Gaussian that proposals are drawn about: wider is safer than narrower."""

SAME_MODE = 3.0
"""Root-mean-square distance, in sigma per coordinate, within which two maxima are one mode."""

FAINTEST = 12.0
"""ln evidence below the best mode's from which a mode is left out."""

LEAST_SHARE = 0.1
"""Least share of walkers and of proposals that a mode gets while its weight is not known."""


def starting_modes(start: Start, free: list[int]) -> Modes:
    """Distinct maxima among the starting points, in the free coordinates, weighted by their Laplace evidence.

    A maximum within `SAME_MODE` of a better one, in units of that one's Gaussian, is taken to be the same; one whose
    evidence is below e^-`FAINTEST` of the best's is left out.
    """
    mean, covariance = start.x.numpy()[:, free], start.covariance.numpy()[:, free][:, :, free]
    evidence = start.log_density.numpy() + 0.5 * np.linalg.slogdet(covariance)[1]
    evidence = np.where(np.isfinite(evidence), evidence, -np.inf)
    kept: list[int] = []
    for i in np.argsort(evidence)[::-1]:
        chosen = Modes.of(mean[kept], covariance[kept], np.ones(len(kept))) if kept else None
        apart = chosen is None or all(
            (chosen.whiten(mean[[i]], np.array([k])) ** 2).mean() > SAME_MODE**2 for k in range(len(kept))
        )
        if not kept or (apart and evidence[i] > evidence.max() - FAINTEST):
            kept.append(int(i))
    share = np.exp(evidence[kept] - evidence.max())
    return Modes.of(mean[kept], covariance[kept], np.maximum(share, LEAST_SHARE))


def adapted(modes: Modes, samples: Floats) -> Modes:
    """Modes with the mean and covariance of the samples nearest to each; those with too few stay as they were."""
    owner = modes.nearest(samples)
    mean, root, weight = modes.mean.copy(), modes.root.copy(), np.full(len(modes.weight), LEAST_SHARE)
    covariance = root @ np.swapaxes(root, 1, 2)
    for k in range(len(weight)):
        mine = samples[owner == k]
        weight[k] = max(len(mine) / len(samples), LEAST_SHARE)
        if len(mine) > 20 * samples.shape[1]:
            mean[k], covariance[k] = mine.mean(axis=0), INFLATION * np.cov(mine, rowvar=False)
    return Modes.of(mean, covariance, weight)
