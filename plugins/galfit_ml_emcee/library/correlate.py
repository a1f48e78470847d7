"""Cross-correlations by Fourier transforms: sums over observed pixels at all redshifts of a bin."""

from __future__ import annotations

import torch
from torch import Tensor

from galfit_ml.simulate.smoothing import fast_length

LEAST_PIECE = 512


def correlate(left: Tensor, right: Tensor, n_lag: int) -> Tensor:
    """Sum over p of left[..., p] * right[..., p + l] for l = n_lag - 1 .. 0 (increasing redshift), [..., n_lag].

    Args:
        left: [..., n_pix].
        right: [..., n_pix + n_lag - 1]; leading shapes broadcast.
        n_lag: number of redshifts.
    """
    size = fast_length(right.shape[-1])
    product = torch.fft.rfft(left, n=size).conj() * torch.fft.rfft(right, n=size)
    return torch.fft.irfft(product, n=size)[..., :n_lag].flip(-1)


class Correlator:
    """The same sums for many templates at fewer redshifts than pixels.

    The observed pixels are cut into pieces hardly longer than the range of lags; the products of the pieces' transforms
    are added up before one short inverse transform (overlap-save, backwards).

    Args:
        templates: [k, n_pix + n_lag - 1], or m sets of them, [m, k, ...], whose sums are added up.
        n_lag: number of redshifts.
    """

    def __init__(self, templates: Tensor, n_lag: int) -> None:
        sets = templates.reshape(-1, *templates.shape[-2:])
        self.n_lag, self.n_pix = n_lag, sets.shape[2] - n_lag + 1
        self.piece = min(max(n_lag, LEAST_PIECE), self.n_pix)
        self.n_pieces = -(-self.n_pix // self.piece)
        reach = self.piece + n_lag - 1
        self.size = fast_length(reach)
        padded = torch.nn.functional.pad(sets, (0, self.n_pieces * self.piece + n_lag - 1 - sets.shape[2]))
        pieces = padded.unfold(2, reach, self.piece)
        self.transforms = torch.fft.rfft(pieces, n=self.size).permute(3, 1, 0, 2).flatten(2).contiguous()

    def __call__(self, left: Tensor) -> Tensor:
        """Sums with rows `left` [n, n_pix] or, for m sets, [n, m, n_pix]; [n, k, n_lag] by increasing redshift."""
        sums = torch.fft.irfft(self._product(left).permute(2, 1, 0).contiguous(), n=self.size)
        return sums[..., : self.n_lag].flip(-1)

    def by_lag(self, left: Tensor) -> Tensor:
        """The same in the order [n_lag, k, n]."""
        return torch.fft.irfft(self._product(left), n=self.size, dim=0)[: self.n_lag].flip(0).contiguous()

    def _product(self, left: Tensor) -> Tensor:
        """Transforms of the sums, [n_frequency, k, n]."""
        padded = torch.nn.functional.pad(left, (0, self.n_pieces * self.piece - self.n_pix))
        pieces = torch.fft.rfft(padded.reshape(len(left), -1, self.piece), n=self.size)
        return self.transforms @ pieces.permute(2, 1, 0).conj().contiguous()
