"""The exposure time that a signal-to-noise ratio takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import GalfitMLError, unknown_name

if TYPE_CHECKING:
    from galfit_ml.instruments import Instrument
    from galfit_ml.simulate.etc import Depth

LONGEST_HOURS = 1000.0
"""Nobody observes for longer."""

PRECISION = 0.002
"""Of the exposure time, where it is not made of whole integrations."""


def exposure_for(
    instrument: Instrument, target: float, arm: str | None, covered: NDArray[np.bool_] | None, **asked: Any
) -> Depth:
    """The shortest exposure whose median signal-to-noise ratio per pixel reaches `target`.

    It is made of whole integrations where the instrument counts photons.

    Args:
        instrument: to observe with.
        target: signal-to-noise ratio.
        arm: in which; None for all arms together.
        covered: [n_pix] pixels that count; None for all.
        **asked: arguments of `signal_to_noise`.

    Raises:
        GalfitMLError: it cannot be reached: no light, or the sky residual, which does not average out, is too large.
        UnknownNameError: no such arm.
    """
    from galfit_ml.simulate.etc import signal_to_noise

    if not (math.isfinite(target) and target > 0):
        raise GalfitMLError(f"The target S/N must be positive, not {target:g}.")
    pixels = _pixels_of(instrument, arm)

    def reached(seconds: float) -> tuple[Depth, float]:
        depth = signal_to_noise(instrument, exposure=seconds, **asked)
        use = depth.good & pixels if covered is None else depth.good & pixels & covered
        return depth, float(np.median(depth.snr[use])) if use.any() else 0.0

    longest = 3600.0 * LONGEST_HOURS
    best = reached(longest)[1]
    if best < target:
        raise GalfitMLError(
            f"S/N {target:g} cannot be reached: after {LONGEST_HOURS:g} h it is {best:.3g}. What the sky subtraction "
            "leaves does not average out. Ask for less, a brighter object, another arm (--arm), or --tier 0 without it."
        )
    return reached(_shortest(lambda seconds: reached(seconds)[1] >= target, _quantum(instrument), longest))[0]


def _pixels_of(instrument: Instrument, arm: str | None) -> NDArray[np.bool_]:
    names = [one.name for one in instrument.arms]
    if arm is not None and arm not in names:
        raise unknown_name(f"arm of {instrument.name}", arm, names)
    return np.repeat([arm is None or name == arm for name in names], [len(one.grid) for one in instrument.arms])


def _quantum(instrument: Instrument) -> float | None:
    """Seconds of one integration; None where the exposure is not made of them."""
    return None if instrument.observatory is None else instrument.observatory.dit


def _shortest(enough: Callable[[float], bool], quantum: float | None, longest: float) -> float:
    """The shortest time for which `enough` holds, which it does for `longest`."""
    if quantum is None:
        return _bisected(enough, longest)
    low, high = 0, math.ceil(longest / quantum)
    step = 1
    while step < high and not enough(step * quantum):
        low, step = step, 2 * step
    high = min(step, high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle * quantum) else (middle, high)
    return high * quantum


def _bisected(enough: Callable[[float], bool], longest: float) -> float:
    low, high = math.log(1e-3), math.log(longest)
    while high - low > PRECISION:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if enough(math.exp(middle)) else (middle, high)
    return math.exp(high)
