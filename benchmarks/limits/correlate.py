"""Cross-correlations by Fourier transforms: sums over observed pixels at all redshifts of a bin."""

from __future__ import annotations

import torch
from torch import Tensor

from galfit_ml.simulate.smoothing import fast_length


def transform(templates: Tensor) -> tuple[Tensor, int]:
    """Fourier transform of templates [..., n_pix + n_lag - 1] and the length it was taken with."""
    size = fast_length(templates.shape[-1])
    return torch.fft.rfft(templates, n=size), size


def correlate(left: Tensor, right: Tensor, size: int, n_lag: int) -> Tensor:
    """Sum over p of left[..., p] * template[p + l], at l = n_lag - 1 .. 0 (increasing redshift): [..., n_lag].

    Args:
        left: [..., n_pix].
        right: [..., n_frequency] from `transform`; its shape broadcasts with that of `left`.
        size: from `transform`.
        n_lag: number of redshifts.
    """
    product = torch.fft.rfft(left, n=size).conj() * right
    return torch.fft.irfft(product, n=size)[..., :n_lag].flip(-1)
