"""Several spectra of one galaxy: how much less they tell than as many spectra of as many galaxies would."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Galaxies:
    """Which of n spectra are of the same of m galaxies.

    Args:
        order: [n] the spectra, those of a galaxy one after the other.
        starts, sizes: [m] where those of a galaxy begin in `order`, and how many they are.
    """

    order: Index
    starts: Index
    sizes: Index

    @classmethod
    def of(cls, labels: ArrayLike) -> Self:
        """From a label [n] for each spectrum, the same for all of a galaxy."""
        _, group = np.unique(np.asarray(labels), return_inverse=True)
        sizes = np.bincount(group).astype(np.int64)
        return cls(np.argsort(group, kind="stable"), np.cumsum(sizes) - sizes, sizes)

    @property
    def single(self) -> bool:
        """Whether no galaxy has more than one spectrum."""
        return bool((self.sizes <= 1).all())

    def sample(self, rng: np.random.Generator) -> Index:
        """Spectra of m galaxies drawn with replacement, all of each."""
        chosen = rng.integers(len(self.sizes), size=len(self.sizes))
        sizes = self.sizes[chosen]
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return self.order[np.repeat(self.starts[chosen], sizes) + within]


def design_effect(hits: ArrayLike, labels: ArrayLike) -> float:
    """By how much the variance of a share exceeds that of as many galaxies with a spectrum each.

    The variance of the share p of hits among spectra, m galaxies of which have x_i hits among n_i spectra, is
    m / (m - 1) sum (x_i - n_i p)^2 / n^2 (Rao & Scott 1992, Biometrics 48, 577, sec. 2), here over p (1 - p) / n. It is
    1 where spectra of a galaxy have nothing in common, and sum n_i^2 / n where they are all hits or all misses; what
    the few galaxies say is held between these. Where all or none are hits nothing is known of it: the latter is given.

    Args:
        hits: [n] True or 1, False or 0.
        labels: [n] the same for all spectra of a galaxy.
    """
    galaxies, hit = Galaxies.of(labels), np.asarray(hits, dtype=np.float64)
    if galaxies.single:
        return 1.0
    n, m, share = len(hit), len(galaxies.sizes), float(hit.mean())
    most = float((galaxies.sizes**2).sum() / n)
    if m < 2 or share in {0.0, 1.0}:
        return most
    away = np.add.reduceat(hit[galaxies.order], galaxies.starts) - galaxies.sizes * share
    return float(np.clip(m / (m - 1) * (away**2).sum() / (n * share * (1 - share)), 1.0, most))
