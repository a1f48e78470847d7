"""Options of the backend, checked where they are given."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from galfit_ml.errors import PriorError, unknown_name
from galfit_ml_bagpipes.coordinates import COORDINATES, RANGES

LARGEST_ORDER = 12


@dataclass(frozen=True)
class Settings:
    """How a spectrum is fitted.

    Args:
        n_live: live points of nautilus, >= 20, by default as many as bagpipes takes; more are slower and surer.
        n_eff: effective samples wanted, > 0.
        max_calls: likelihood calls after which it stops, and the row is flagged NOT_CONVERGED.
        max_seconds: time after which it stops likewise; the draws then depend on the machine.
        calibration_order: degree of the Chebyshev polynomial that stands for calibration errors; None for none.
        n_networks: networks of nautilus that learn where the likelihood is high; 0 for ellipsoids alone.
        fixed: coordinate -> value that it keeps, such as {"dust_slope": 0.0} for the curve of Calzetti et al. (2000).
        stock: True to run bagpipes exactly as it ships, thirty times slower a call.
    """

    n_live: int = 400
    n_eff: float = 1000.0
    max_calls: int = 200_000
    max_seconds: float = math.inf
    calibration_order: int | None = 2
    n_networks: int = 4
    fixed: Mapping[str, float] = field(default_factory=dict)
    stock: bool = False

    def __post_init__(self) -> None:
        if self.n_live < 20 or self.max_calls < self.n_live:
            raise ValueError(
                f"n_live={self.n_live} and max_calls={self.max_calls}: at least 20 live points are needed, and as many "
                "calls as live points. Leave them out for 400 and 200000."
            )
        if not (self.n_eff > 0 and self.max_seconds > 0):
            raise ValueError(f"n_eff and max_seconds must be positive, not {self.n_eff} and {self.max_seconds}.")
        order = self.calibration_order
        if order is not None and not 0 <= order <= LARGEST_ORDER:
            raise ValueError(f"calibration_order must be None or 0 to {LARGEST_ORDER}, not {order}.")
        if self.n_networks < 0:
            raise ValueError(f"n_networks must be 0 or more, not {self.n_networks}.")
        for name, value in self.fixed.items():
            _check_fixed(name, value)


def _check_fixed(name: str, value: float) -> None:
    """A coordinate other than the redshift, kept at a value within its range."""
    if name == "redshift":
        raise PriorError("The redshift is fixed with redshift=0.7, not with fixed={'redshift': 0.7}.")
    if name not in COORDINATES:
        raise unknown_name("coordinate", name, COORDINATES)
    low, high = RANGES[name]
    if not low <= value <= high:
        raise PriorError(f"fixed={{{name!r}: {value}}} lies outside its range, {low:g} to {high:g}.")
