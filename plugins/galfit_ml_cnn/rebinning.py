"""Rebinning of simulated spectra onto the network's grid, in torch: the same sums as `galfit_ml.prepare`."""

from __future__ import annotations

import warnings

import torch
from scipy.sparse import csr_array
from torch import Tensor

from galfit_ml.grid import WavelengthGrid, rebin_matrix
from galfit_ml.instruments import Instrument


class Rebinning:
    """Native pixels of all arms to one grid.

    Args:
        instrument: with the arms.
        grid: of the network.
        device: "cpu" or "cuda".
    """

    def __init__(self, instrument: Instrument, grid: WavelengthGrid, device: str | torch.device = "cpu") -> None:
        self.arms = []
        start = 0
        for arm in instrument.arms:
            matrix = rebin_matrix(arm.grid, grid)
            first, last = (int(f(matrix.nonzero()[0])) for f in (min, max))
            part = matrix[first : last + 1]
            pixels = slice(start, start + len(arm.grid))
            self.arms.append((pixels, slice(first, last + 1), _sparse(part, device), _sparse(part.power(2), device)))
            start = pixels.stop
        self.n_pix = len(grid)

    def __call__(self, flux: Tensor, ivar: Tensor) -> tuple[Tensor, Tensor]:
        """Flux and inverse variance [n, n_pix] of native spectra [n, n_native] (0 where bad), arms combined."""
        signal, weight = (flux.new_zeros(len(flux), self.n_pix) for _ in range(2))
        for native, target, matrix, square in self.arms:
            own_flux, own_ivar = _arm(flux[:, native], ivar[:, native], matrix, square)
            weight[:, target] += own_ivar
            signal[:, target] += own_ivar * own_flux
        return torch.where(weight > 0, signal / weight.clamp(min=1e-30), 0.0), weight


def _arm(flux: Tensor, ivar: Tensor, matrix: Tensor, square: Tensor) -> tuple[Tensor, Tensor]:
    good = (ivar > 0).to(flux.dtype)
    covered, total = (matrix @ torch.cat([good, flux * good]).T).T.chunk(2)
    safe = covered.clamp(min=1e-6)
    variance = (square @ (good / ivar.clamp(min=1e-30)).T).T / safe.square()
    use = (covered >= 0.5) & (variance > 0)
    return torch.where(use, total / safe, 0.0), torch.where(use, 1.0 / variance.clamp(min=1e-30), 0.0)


def _sparse(matrix: csr_array, device: str | torch.device) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        rows, columns = (torch.as_tensor(x, dtype=torch.int64) for x in (matrix.indptr, matrix.indices))
        values = torch.as_tensor(matrix.data, dtype=torch.float32)
        made = torch.sparse_csr_tensor(rows, columns, values, matrix.shape, check_invariants=True)
        return made.to(device)
