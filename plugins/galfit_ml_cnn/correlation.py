"""Correlations of many feature maps with many templates, by Fourier transforms of real numbers forwards and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from galfit_ml.simulate.smoothing import fast_length


def correlate(features: Tensor, templates: Tensor, n_shifts: int) -> Tensor:
    """Sum over c and p of features[n, c, p] templates[t, c, p + s], as [n, t, s].

    Args:
        features: [n, c, n_features].
        templates: [t, c, n_features + n_shifts - 1].
        n_shifts: number of shifts s.
    """
    out: Tensor = _Correlation.apply(features.float(), templates, n_shifts)
    return out


@dataclass(frozen=True, eq=False)
class Spectra:
    """Transforms of templates, for many correlations without gradients.

    Args:
        columns: [f, 2 c, 2 t] real: rows of features times it are correlations.
        each: [c, t, f] complex.
        size: of the transforms.
        n_shifts: number of shifts.
    """

    columns: Tensor
    each: Tensor
    size: int
    n_shifts: int

    @classmethod
    def of(cls, templates: Tensor, n_shifts: int) -> Spectra:
        """Of templates [t, c, n_features + n_shifts - 1]."""
        size = fast_length(templates.shape[-1])
        columns = _conjugate_times(_by_frequency(templates, size).transpose(1, 2))
        each = torch.fft.rfft(templates.transpose(0, 1).contiguous(), n=size)
        return cls(columns, each, size, n_shifts)

    def masked(self, features: Tensor, factors: Tensor) -> Tensor:
        """`correlate` of one spectrum's features [c, n_features] under factors [m, c] on the maps: [m, t, s].

        Correlations are linear in the maps: many masks need no more than one transform of each map.
        """
        if 3 * len(factors) <= len(features):
            rows = _by_frequency(features[None].float(), self.size) * torch.cat([factors, factors], dim=1)
            return _from_frequencies(torch.bmm(rows, self.columns), self.size)[..., : self.n_shifts]
        left = torch.fft.rfft(features.float(), n=self.size)
        each = torch.fft.irfft(left.conj()[:, None] * self.each, n=self.size)[..., : self.n_shifts]
        return (factors @ each.flatten(1)).unflatten(1, each.shape[1:])


class _Correlation(torch.autograd.Function):
    """Its gradients are correlations too; autograd would take them by complex transforms of twice the size."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, templates: Tensor, n_shifts: int) -> Tensor:
        size = fast_length(templates.shape[-1])
        left, right = _by_frequency(features, size), _by_frequency(templates, size)
        ctx.save_for_backward(left, right)
        ctx.sizes = size, features.shape[-1], templates.shape[-1]
        product = torch.bmm(left, _conjugate_times(right.transpose(1, 2)))
        return _from_frequencies(product, size)[..., :n_shifts]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        left, right = ctx.saved_tensors
        size, n_features, n_rest = ctx.sizes
        above = _by_frequency(gradients[0], size)
        of_features = torch.bmm(above, _conjugate_times_rows(right))
        of_templates = _times(torch.bmm(above.transpose(1, 2), left))
        return (
            _from_frequencies(of_features, size)[..., :n_features],
            _from_frequencies(of_templates, size)[..., :n_rest],
            None,
        )


def _by_frequency(values: Tensor, size: int) -> Tensor:
    """Transforms of real [n, c, p] as real numbers [f, n, 2 c], all real parts before all imaginary ones."""
    parts = torch.view_as_real(torch.fft.rfft(values, n=size))
    return parts.permute(2, 0, 3, 1).flatten(2)


def _from_frequencies(parts: Tensor, size: int) -> Tensor:
    """The inverse of `_by_frequency`, [n, c, size]."""
    split = parts.unflatten(2, (2, -1)).permute(1, 3, 0, 2).contiguous()
    return torch.fft.irfft(torch.view_as_complex(split), n=size)


def _conjugate_times(right: Tensor) -> Tensor:
    """[f, 2 c, 2 t] so that rows [f, n, 2 c] times it are conj(row) right, for right as [f, 2 c, t]."""
    real, imaginary = right.chunk(2, dim=1)
    return torch.cat([torch.cat([real, imaginary], dim=2), torch.cat([imaginary, -real], dim=2)], dim=1)


def _conjugate_times_rows(right: Tensor) -> Tensor:
    """The same for right as [f, t, 2 c]: [f, 2 t, 2 c]."""
    real, imaginary = right.chunk(2, dim=2)
    return torch.cat([right, torch.cat([imaginary, -real], dim=2)], dim=1)


def _times(blocks: Tensor) -> Tensor:
    """[f, t, 2 c] product of complex numbers whose parts were multiplied one by one, [f, 2 t, 2 c]."""
    first, second = blocks.chunk(2, dim=1)
    real, imaginary = second.chunk(2, dim=2)
    return first + torch.cat([-imaginary, real], dim=2)
