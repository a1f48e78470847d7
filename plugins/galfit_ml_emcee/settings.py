"""How long and how wide to sample."""

from __future__ import annotations

from dataclasses import dataclass, replace

from galfit_ml_emcee.likelihood import N_DIM

LEAST = {"learn": 40, "asked": 2, "outward": 0, "n_trial": 0}
"""Below these there is no sample that the surrogate could learn from."""


@dataclass(frozen=True)
class SamplerSettings:
    """How long and how wide to sample.

    Args:
        n_walkers: even, at least twice the number of dimensions.
        learn: steps of a walk under the surrogate in each round of learning, and after the last.
        asked: samples of it in each round whose true density is computed.
        outward: points outward of these samples, in each round, whose true density is computed besides.
        n_trial, most_trials, trial: short chains from which the surrogate learns at last: at least, at most (where few
            of their steps are accepted), and the steps of each.
        walk: steps under the surrogate between two steps of the chain.
        block: steps between two looks at the chain.
        max_steps: cap on the steps kept; stopping there without convergence is flagged.
        n_effective: independent samples wanted of redshift and stellar mass.
        n_effective_others: independent samples wanted of the other parameters.
        n_autocorr: a chain shorter than this many autocorrelation times is not believed: it underestimates them.
    """

    n_walkers: int = 56
    learn: int = 600
    asked: int = 600
    outward: int = 300
    n_trial: int = 2
    most_trials: int = 8
    trial: int = 12
    walk: int = 200
    block: int = 10
    max_steps: int = 400
    n_effective: float = 500.0
    n_effective_others: float = 200.0
    n_autocorr: float = 4.0

    def __post_init__(self) -> None:
        if self.n_walkers % 2 or self.n_walkers < 2 * N_DIM:
            raise ValueError(f"n_walkers must be even and at least {2 * N_DIM}, not {self.n_walkers}.")
        whole = {name: getattr(self, name) for name in ("learn", "asked", "trial", "walk", "block", "max_steps")}
        wrong = [name for name, value in whole.items() if not isinstance(value, int) or value < 1]
        if wrong:
            raise ValueError(f"{wrong[0]} must be a whole number of at least 1, not {whole[wrong[0]]!r}.")
        for name, least in LEAST.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)}.")
        for name in ("n_effective", "n_effective_others", "n_autocorr"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be a positive number, not {getattr(self, name)!r}.")

    def scaled(self, share: float) -> SamplerSettings:
        """For a mode with this share of the posterior: the samples its draws need, a quarter at least."""
        part = max(share, 0.25)
        return replace(self, n_effective=self.n_effective * part, n_effective_others=self.n_effective_others * part)

    def eased(self, effort: float) -> SamplerSettings:
        """With this share of the work before anything is kept; ValueError unless 0 < effort <= 10."""
        if not 0 < effort <= 10:
            raise ValueError(f"effort must be a positive number up to 10, such as 1 or 0.3, not {effort!r}.")
        learn = max(int(effort * self.learn), LEAST["learn"])
        asked, outward, walk = (max(int(effort * n), 10) for n in (self.asked, self.outward, self.walk))
        return replace(self, learn=learn, asked=asked, outward=outward, walk=walk)
