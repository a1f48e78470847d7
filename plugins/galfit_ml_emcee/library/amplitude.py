"""The integral over a template's amplitude."""

from __future__ import annotations

from torch import Tensor

LEAST_RHO2 = 4.0


def log_integral(linear: Tensor, square: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    """ln of the integral of exp(A L - A^2 Q / 2) dA / A over positive A, less ln(2 pi) / 2.

    With rho^2 = L^2 / Q it is exp(rho^2 / 2) / sqrt(rho^2 - 2), right to second order in 1 / rho^2. Below rho =
    sqrt(6) the
    root is held at 2: of no consequence wherever the spectrum has a template of larger rho. Where the best amplitude
    lies beyond a bound, the likelihood at the bound takes its place; the lower bound wins where they contradict.

    Args:
        linear, square: L and Q, any shape; `linear` and `square` are overwritten.
        low, high: bounds of A, broadcast.
    """
    square = square.clamp_(min=1e-10)
    amplitude = linear / square
    if high is not None:
        amplitude = amplitude.minimum(high)
    amplitude = amplitude.clamp_(min=0.0) if low is None else amplitude.maximum(low)
    value = linear.sub_(square.mul_(amplitude).mul_(0.5)).mul_(amplitude)
    return value.sub_((2 * value - 2).clamp_(min=LEAST_RHO2).log_().mul_(0.5))
