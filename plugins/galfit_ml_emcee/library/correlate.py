"""Cross-correlations by Fourier transforms: sums over observed pixels at all redshifts of a bin."""

from __future__ import annotations

import torch
from torch import Tensor

from galfit_ml.simulate.smoothing import fast_length

LEAST_PIECE = 512
ROUND = 64
"""Ranges of lags are taken for the next multiple of it, so that bins that differ by one have pieces of one length."""


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


class Pieces:
    """Rows cut into pieces and transformed: once for all correlators of the same lengths that come one after another.

    Args:
        rows: [n, n_pix] or, for m sets, [n, m, n_pix].
    """

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows
        self._made: tuple[tuple[int, int], Tensor] | None = None

    def transforms(self, piece: int, size: int) -> Tensor:
        """Of pieces of so many pixels, to be padded to `size`, [n_frequency, m * n_pieces, n]."""
        if self._made is None or self._made[0] != (piece, size):
            n_pix = self.rows.shape[-1]
            padded = torch.nn.functional.pad(self.rows, (0, -n_pix % piece))
            found = torch.fft.rfft(padded.reshape(len(self.rows), -1, piece), n=size)
            self._made = (piece, size), found.permute(2, 1, 0).contiguous()
        return self._made[1]


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
        n_pix = sets.shape[2] - n_lag + 1
        self.n_lag = n_lag
        room = -(-n_lag // ROUND) * ROUND
        self.piece = min(max(room, LEAST_PIECE), n_pix)
        self.size = fast_length(self.piece + room - 1)
        reach = self.piece + n_lag - 1
        padded = torch.nn.functional.pad(sets, (0, -n_pix % self.piece))
        found = torch.fft.rfft(padded.unfold(2, reach, self.piece), n=self.size).permute(3, 1, 0, 2).flatten(2)
        # Conjugate and turned by n_lag - 1 steps: the sums come out by increasing redshift.
        turn = torch.arange(len(found), dtype=torch.float64, device=sets.device) * (
            -2 * torch.pi * (n_lag - 1) / self.size
        )
        phase = torch.polar(torch.ones_like(turn), turn).to(found.dtype)
        self.transforms = (found.conj() * phase[:, None, None]).contiguous()

    def __call__(self, left: Pieces) -> Tensor:
        """Sums with rows [n, n_pix] or, for m sets, [n, m, n_pix]; [n, k, n_lag] by increasing redshift."""
        return torch.fft.irfft(self._product(left).permute(2, 1, 0).contiguous(), n=self.size)[..., : self.n_lag]

    def by_lag(self, left: Pieces) -> Tensor:
        """The same in the order [n_lag, k, n]."""
        return torch.fft.irfft(self._product(left), n=self.size, dim=0)[: self.n_lag].contiguous()

    def _product(self, left: Pieces) -> Tensor:
        """Transforms of the sums, [n_frequency, k, n]."""
        return self.transforms @ left.transforms(self.piece, self.size)
