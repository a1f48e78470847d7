"""What a user knows of the redshift: nothing, a number, a range, a distribution; for all spectra or for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galfit_ml.errors import PriorError
from galfit_ml.parameters import GALAXY

if TYPE_CHECKING:
    from galfit_ml.instruments import Instrument

LOWEST_REDSHIFT = 1e-4
"""Nearer galaxies have no distance from their redshift."""

TAILS = 1e-6
"""Probability of each tail of a distribution that is left out."""


@dataclass(frozen=True)
class RedshiftPrior:
    """A prior on the redshift of one spectrum, relative to the backend's own: it multiplies it.

    Args:
        low, high: allowed range; equal for a fixed redshift.
        distribution: a scipy frozen distribution, or None for no preference within the range.
    """

    low: float = 0.0
    high: float = float("inf")
    distribution: Any = None

    def __post_init__(self) -> None:
        if not (self.low >= 0 and self.high >= self.low):
            raise PriorError(
                f"The redshift prior ({self.low}, {self.high}) is empty or negative. Give redshift=0.7 to fix it, "
                "redshift=(0.5, 1.2) for a range, or a scipy frozen distribution such as scipy.stats.norm(0.7, 0.05)."
            )

    @property
    def fixed(self) -> bool:
        """Whether the redshift is given."""
        return self.low == self.high

    @property
    def free(self) -> bool:
        """Whether nothing is said."""
        return self.low == 0.0 and self.high == float("inf") and self.distribution is None

    def log_density(self, redshift: ArrayLike) -> NDArray[np.float64]:
        """ln of the factor on the backend's own density at `redshift` (any shape); -inf outside the range."""
        z = np.asarray(redshift, dtype=np.float64)
        inside = (z >= self.low) & (z <= self.high)
        value = np.zeros(z.shape) if self.distribution is None else np.asarray(self.distribution.logpdf(z))
        return np.where(inside, value, -np.inf)

    def within(self, low: float, high: float, who: str) -> tuple[float, float]:
        """Overlap of this prior with the model's range; PriorError where they do not meet."""
        overlap = max(low, self.low), min(high, self.high)
        if overlap[0] > overlap[1]:
            said = f"redshift={self.low:g}" if self.fixed else f"the redshift prior ({self.low:g}, {self.high:g})"
            raise PriorError(
                f"{said} lies outside what {who} covers ({low:g} to {high:g}). Give a prior inside that range, "
                "or choose another instrument or backend with instrument= or backend=."
            )
        return overlap


def redshift_range(prior: RedshiftPrior, instrument: Instrument) -> tuple[float, float]:
    """Range of redshift: the instrument's where the user says nothing, else the user's within the model's.

    Raises:
        PriorError: the range lies outside the galaxy model.
    """
    if prior.free:
        return max(instrument.redshift_range[0], LOWEST_REDSHIFT), instrument.redshift_range[1]
    limits = GALAXY["redshift"]
    low, high = prior.within(limits.low, limits.high, "the galaxy model")
    if prior.distribution is not None:
        tails = prior.distribution.ppf([TAILS, 1 - TAILS])
        low, high = max(low, float(tails[0])), min(high, float(tails[1]))
    if high < LOWEST_REDSHIFT:
        raise PriorError(
            f"redshift={high:g} is below {LOWEST_REDSHIFT:g}: galaxies that near have no distance from their redshift. "
            "Usually a star or a missing redshift; leave redshift= out to search for it."
        )
    return max(low, LOWEST_REDSHIFT), high


@dataclass(frozen=True)
class RedshiftPriors:
    """One prior per spectrum, in order."""

    priors: tuple[RedshiftPrior, ...]

    def __len__(self) -> int:
        return len(self.priors)

    def __iter__(self) -> Iterator[RedshiftPrior]:
        return iter(self.priors)

    def __getitem__(self, index: int) -> RedshiftPrior:
        return self.priors[index]

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> RedshiftPriors:
        """The priors of the spectra `rows`."""
        return RedshiftPriors(tuple(self.priors[int(i)] for i in rows))

    @classmethod
    def free(cls, n: int) -> RedshiftPriors:
        """n times no knowledge."""
        return cls((RedshiftPrior(),) * n)

    @classmethod
    def parse(cls, value: Any, n: int) -> RedshiftPriors:
        """From what a user may write.

        Args:
            value: None, a number, a pair (low, high), a scipy frozen distribution, or a list or array of n of these.
            n: number of spectra. A tuple of two numbers is always a range; a list or array of n means one each.

        Raises:
            PriorError: anything else, or a list of another length.
        """
        if isinstance(value, (list, np.ndarray)) and np.ndim(np.asarray(value, dtype=object)) >= 1:
            if len(value) != n:
                raise PriorError(
                    f"redshift= has {len(value)} entries for {n} spectra. Give one entry per spectrum, or a single "
                    "number, a tuple (low, high) or a distribution for all of them."
                )
            return cls(tuple(_one(v) for v in value))
        return cls((_one(value),) * n)


def _one(value: Any) -> RedshiftPrior:
    if value is None:
        return RedshiftPrior()
    if isinstance(value, RedshiftPrior):
        return value
    if hasattr(value, "logpdf") and hasattr(value, "support"):
        low, high = (float(v) for v in value.support())
        if high <= 0:
            raise PriorError("The redshift distribution has no probability at redshift > 0.")
        return RedshiftPrior(max(low, 0.0), high, value)
    try:
        numbers = np.asarray(value, dtype=np.float64).ravel()
    except (TypeError, ValueError):
        numbers = np.array([])
    if not np.all(np.isfinite(numbers)) or len(numbers) not in (1, 2):
        raise PriorError(
            f"redshift={value!r} is not understood. Give None, a number, a tuple (low, high), a scipy frozen "
            "distribution, or a list with one of these per spectrum."
        )
    return RedshiftPrior(float(numbers[0]), float(numbers[-1]))
