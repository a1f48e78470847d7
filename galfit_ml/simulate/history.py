"""Star-formation histories: formed mass in age bins, by exact integrals, vectorised over galaxies.

Each function returns the fraction of the mass it describes in every age bin, [n, n_age], from bin `edges` [n_age + 1]
in years of lookback time. A galaxy is the sum of three components (`StarFormation`): the last 100 Myr, set by the
specific star-formation rate; an intermediate burst; and a delayed exponential for the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

RECENT_YR = 1e8
"""Time over which the star-formation rate is averaged, years."""

BIRTH_CLOUD_YR = 1e7
"""Age below which stars sit in their birth clouds and ionise gas, years."""

BURST_HALF_WIDTH = 0.14
"""The burst is constant over burst age x (1 -+ this)."""


def constant(edges: Tensor, start: Tensor, stop: Tensor) -> Tensor:
    """Constant star formation between lookback times `start` < `stop` [n], yr: mass fractions [n, n_age]."""
    low = torch.maximum(edges[:-1], start[:, None])
    high = torch.minimum(edges[1:], stop[:, None])
    return (high - low).clamp(min=0) / (stop - start)[:, None]


def delayed(edges: Tensor, age: Tensor, tau: Tensor, stop: float = 0.0) -> Tensor:
    """Delayed exponential, SFR ~ t exp(-t / tau) with t the time since `age`, cut at lookback time `stop`.

    Args:
        edges: [n_age + 1] yr.
        age, tau: [n] yr; age > stop.
        stop: lookback time, yr, after which it forms nothing.

    Returns:
        Mass fractions [n, n_age]; they add up to 1.
    """
    # Double precision: a bin is a difference of nearly equal numbers.
    time = (age.double()[:, None] - edges.double().clamp(min=stop)).clamp(min=0)
    formed = _delayed_cumulative(time / tau.double()[:, None])
    total = _delayed_cumulative((age.double() - stop) / tau.double())[:, None]
    return ((formed[:, :-1] - formed[:, 1:]) / total).to(age.dtype)


def _delayed_cumulative(x: Tensor) -> Tensor:
    """1 - (1 + x) exp(-x), by its series where x is small."""
    small = x**2 * (1 / 2 - x / 3 + x**2 / 8 - x**3 / 30)
    return torch.where(x < 1e-3, small, -torch.expm1(-x) - x * torch.exp(-x))


@dataclass(frozen=True)
class StarFormation:
    """Star-formation histories of n galaxies.

    Args:
        log_ssfr: [n] log10 of SFR (mean of 100 Myr) over stellar mass (living and remnants), 1/yr.
        log_burstiness: [n] log10 of the SFR of the last 10 Myr over that of the last 100 Myr.
        burst_age: [n] yr.
        log_burst_fraction: [n] log10 of the burst's share of the mass older than 100 Myr.
        formation_age: [n] lookback time at which the delayed component starts, yr.
        tau: [n] its time scale, yr.
    """

    log_ssfr: Tensor
    log_burstiness: Tensor
    burst_age: Tensor
    log_burst_fraction: Tensor
    formation_age: Tensor
    tau: Tensor

    def recent(self, edges: Tensor) -> tuple[Tensor, Tensor]:
        """Mass fractions of the last 100 Myr: all of it and its part below 10 Myr, both [n, n_age]."""
        ratio = (10**self.log_burstiness).clamp(max=9.5)
        youngest = ratio * BIRTH_CLOUD_YR / RECENT_YR
        zero = torch.zeros_like(ratio)
        cloud = youngest[:, None] * constant(edges, zero, zero + BIRTH_CLOUD_YR)
        rest = (1 - youngest)[:, None] * constant(edges, zero + BIRTH_CLOUD_YR, zero + RECENT_YR)
        return cloud + rest, cloud

    def older(self, edges: Tensor) -> Tensor:
        """Mass fractions of everything older than 100 Myr, [n, n_age]."""
        burst = 10**self.log_burst_fraction
        start = (self.burst_age * (1 - BURST_HALF_WIDTH)).clamp(min=RECENT_YR)
        episode = constant(edges, start, self.burst_age * (1 + BURST_HALF_WIDTH))
        smooth = delayed(edges, self.formation_age, self.tau, RECENT_YR)
        return burst[:, None] * episode + (1 - burst)[:, None] * smooth


@dataclass(frozen=True)
class FormedMass:
    """Formed mass in age bins per unit formed mass of each galaxy.

    Args:
        total: [n, n_age] adds up to 1.
        cloud: [n, n_age] the part of it younger than 10 Myr.
        recent_fraction: [n] share formed in the last 100 Myr.
        surviving: [n] mass in living stars and remnants per unit mass formed.
        living: [n] mass in living stars per unit mass formed.
    """

    total: Tensor
    cloud: Tensor
    recent_fraction: Tensor
    surviving: Tensor
    living: Tensor


def formed_mass(history: StarFormation, edges: Tensor, surviving: Tensor, living: Tensor) -> FormedMass:
    """Mass in age bins from the history.

    The share of the last 100 Myr follows from sSFR = f / (1e8 yr R), with R = f R_recent + (1 - f) R_older the mass
    that survives per unit formed, solved for f.

    Args:
        edges: [n_age + 1] yr.
        surviving, living: [n, n_age] mass per unit formed still in stars and remnants, or in living stars alone.
    """
    recent, cloud = history.recent(edges)
    older = history.older(edges)
    keep_recent, keep_older = (recent * surviving).sum(1), (older * surviving).sum(1)
    share = 10**history.log_ssfr * RECENT_YR
    fraction = (share * keep_older / (1 - share * (keep_recent - keep_older))).clamp(0.0, 1.0)
    total = fraction[:, None] * recent + (1 - fraction)[:, None] * older
    return FormedMass(total, fraction[:, None] * cloud, fraction, (total * surviving).sum(1), (total * living).sum(1))
