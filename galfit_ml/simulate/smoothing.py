"""Velocity smoothing and interpolation of spectra on a log-uniform grid: Fourier space, cubic B-splines."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

C_KMS = 299792.458


def fast_length(n: int) -> int:
    """Even number of factors 2, 3 and 5, from `n` to a few per cent above: lengths an FFT likes."""
    best = 1 << (n - 1).bit_length()
    for three in (1, 3, 9, 27):
        for five in (1, 5, 25):
            size = three * five * 2
            while size < n:
                size *= 2
            best = min(best, size)
    return best


def spline_coefficients(
    spectra: Tensor,
    dispersion: Tensor,
    extra: Sequence[float | Tensor],
    dln: float,
    *,
    offset: Tensor | None = None,
) -> list[Tensor]:
    """Coefficients of the cubic B-spline through spectra smoothed by Gaussians.

    Args:
        spectra: [n, n_wave] on a grid uniform in ln(wavelength), step `dln`.
        dispersion: [n] Gaussian sigma, km/s, of each spectrum.
        extra: further variances, (km/s)^2, numbers or [n]; one set of coefficients is returned for each.
        offset: [n] pixels by which each spectrum is moved to the left, best below 1; None for none.

    The transform treats the spectrum as periodic: the first and last 5 sigma are not to be used.
    """
    n_wave = spectra.shape[1]
    size = fast_length(n_wave)
    k = 2 * torch.pi * torch.fft.rfftfreq(size, device=spectra.device, dtype=spectra.dtype)
    transform = torch.fft.rfft(spectra, n=size)
    if offset is not None:
        phase = k * offset[:, None]
        transform *= torch.complex(phase.cos(), phase.sin())
    prefilter = torch.log((2 + torch.cos(k)) / 3)
    pixel2 = (C_KMS * dln) ** 2
    out = []
    for variance in extra:
        kernel = torch.exp((-0.5 / pixel2 * (dispersion**2 + variance))[:, None] * k**2 - prefilter)
        out.append(torch.fft.irfft(transform * kernel, n=size)[:, :n_wave])
    return out


def evaluate_spline(
    coefficients: Sequence[Tensor],
    position: Tensor,
    blend: Sequence[Tensor] | None = None,
    shift: Tensor | None = None,
) -> Tensor:
    """Value of cubic B-splines at fractional pixel positions.

    Args:
        coefficients: K arrays [n, n_wave] from `spline_coefficients`.
        position: [n, n_pix], or [n_pix] for all, in pixels, float64; positions outside 1 .. n_wave - 2 give the nearest
            value inside.
        blend: K weights [n, n_pix] that combine the K splines, or None for K = 1.
        shift: [n] pixels to be subtracted from `position`, float64.

    Returns:
        [n, n_pix].
    """
    index, t = _split_position(position, shift, coefficients[0])
    total: Tensor | None = None
    for number, spline in enumerate(coefficients):
        value = _horner(_polynomials(spline), index, t)
        if blend is not None:
            value *= blend[number]
        total = value if total is None else total.add_(value)
    assert total is not None
    return total


class SplineSampler:
    """Values of cubic B-splines at positions that are the same for all spectra.

    Args:
        position: [n_pix] pixels, float64, within 1 .. n_wave - 2 of the coefficients.
        dtype: of the coefficients.
    """

    def __init__(self, position: Tensor, dtype: torch.dtype = torch.float32) -> None:
        whole = position.floor()
        t = (position - whole)[:, None]
        weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, 3 * t * (1 + t - t**2) + 1, t**3)
        self._index = [whole.long() + shift for shift in (-1, 0, 1, 2)]
        self._weights = [(w / 6).to(dtype) for w in weights]

    def __call__(self, coefficients: Tensor) -> Tensor:
        """Values [n_pix, n], spectra last, of the splines [n, n_wave]."""
        columns = coefficients.T.contiguous()
        total = columns.index_select(0, self._index[0]).mul_(self._weights[0])
        for index, weight in zip(self._index[1:], self._weights[1:], strict=True):
            total.addcmul_(columns.index_select(0, index), weight)
        return total


def _split_position(position: Tensor, shift: Tensor | None, like: Tensor) -> tuple[Tensor, Tensor]:
    """Index of the interval (0 for the one that starts at pixel 1) and place 0..1 in it, each [n, n_pix].

    Whole and fractional parts of `position` and `shift` are kept apart, so that single precision suffices.
    """
    n, n_wave = like.shape
    whole = position.floor()
    place = (position - whole).to(like.dtype)
    index = whole.long() - 1
    if shift is not None:
        place = place - (shift - shift.floor()).to(like.dtype)[:, None]
        carry = place.floor()
        place -= carry
        index = index - shift.floor().long()[:, None] + carry.long()
    index, place = index.expand(n, -1), place.expand(n, -1)
    if int(index.min()) < 0 or int(index.max()) > n_wave - 4:
        place = torch.where(index < 0, 0.0, torch.where(index > n_wave - 4, 1.0, place))
        index = index.clamp(0, n_wave - 4)
    return index, place


def _polynomials(spline: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Coefficients of t^0 .. t^3 in each interval between pixels 1 and n_wave - 2, each [n, n_wave - 3]."""
    slope = spline.diff(dim=1)
    bend = slope.diff(dim=1)
    constant = torch.add(spline[:, 1:-2], bend[:, :-1], alpha=1 / 6)
    linear = torch.add(slope[:, 1:-1], bend[:, :-1], alpha=-0.5)
    return constant, linear, bend[:, :-1] / 2, bend.diff(dim=1) / 6


def _horner(polynomials: tuple[Tensor, ...], index: Tensor, t: Tensor) -> Tensor:
    value = torch.gather(polynomials[-1], 1, index)
    for coefficient in polynomials[-2::-1]:
        value = torch.gather(coefficient, 1, index).addcmul_(value, t)
    return value


def lagrange(nodes: Sequence[float], value: Tensor) -> list[Tensor]:
    """Lagrange weights of `nodes` at `value` (any shape): one tensor per node; they add up to 1."""
    out = []
    for i, node in enumerate(nodes):
        weight = torch.ones_like(value)
        for j, other in enumerate(nodes):
            if j != i:
                weight = weight * (value - other) / (node - other)
        out.append(weight)
    return out
