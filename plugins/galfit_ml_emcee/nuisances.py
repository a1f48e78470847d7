"""Linear errors of an arm that are integrated out: factors on the model (calibration, lines) and terms (sky residual).

In an arm the data are d = m (1 + sum_j a_j P_j) + sum_k b_k S_k + noise with standard normal a and b, the widths being
in P and S. With B = (m P, S), W the inverse variance of the noise and p = s^-2 for a noise scale s the marginal
likelihood needs r' W r, v = B' W r and N = B' W B alone (matrix inversion lemma, e.g. Rasmussen & Williams 2006, eq.
A.9-A.10):

    -2 ln L = p r' W r - p^2 v' (1 + p N)^-1 v + ln det(1 + p N) + n ln s^2 + const.

N holds products of columns, which are smooth: hundreds of products lie in a space of a few dozen dimensions, and only
sums over a basis of that space are taken for every model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]

TOLERANCE = 1e-6
"""Products are kept to this share of the largest of them."""


ROUNDING = 1e-5
"""Less than this share of chi^2 cannot be told from rounding of single precision and counts as this: of a model
thousands of times brighter than the data, taken to zero by its calibration, nothing would be left: the best of all."""


@dataclass(frozen=True, eq=False)
class ArmErrors:
    """Linear errors of one arm.

    Args:
        start, stop: its pixels in the spectrum.
        factors: [n_pix, j] columns P; standard normals times these, summed, are the relative error of the model.
        terms: [n_pix, k] columns S; standard normals times these, summed, are added to the model.
    """

    start: int
    stop: int
    factors: Floats
    terms: Floats

    @property
    def pixels(self) -> slice:
        """Its part of a spectrum."""
        return slice(self.start, self.stop)


class Span:
    """Sums over a set of columns by way of a basis of the space they span.

    Args:
        columns: [n_pix, m].
    """

    def __init__(self, columns: Floats) -> None:
        size = np.sqrt((columns**2).sum(axis=0)).max(initial=1e-30)
        left, values, right = np.linalg.svd(columns / size, full_matrices=False)
        kept = values > TOLERANCE
        self.basis = torch.as_tensor(left[:, kept] * values[kept], dtype=torch.float32)
        self.mix = torch.as_tensor(right[kept] * size, dtype=torch.float64)

    def sums(self, rows: Tensor) -> Tensor:
        """rows [n, n_pix] times the columns, [n, m] float64."""
        return (rows @ self.basis).double() @ self.mix


class MarginalArm:
    """Marginal likelihood of the models of one arm.

    Args:
        errors: its linear errors.
        flux, ivar: [n_pix] of the arm; ivar 0 at bad pixels.
    """

    def __init__(self, errors: ArmErrors, flux: Tensor, ivar: Tensor) -> None:
        self.pixels, self.flux, self.ivar = errors.pixels, flux, ivar
        p, s = errors.factors, errors.terms
        self.n_factor, self.n_term = p.shape[1], s.shape[1]
        self.pairs = torch.triu_indices(self.n_factor, self.n_factor)
        first, second = self.pairs.numpy()
        self._squares = Span(p[:, first] * p[:, second])
        self._crosses = Span((p[:, :, None] * s[:, None, :]).reshape(len(p), -1))
        self.factors = torch.as_tensor(p, dtype=torch.float32).contiguous()
        self.terms = torch.as_tensor(s, dtype=torch.float32).contiguous()
        self._fixed = torch.as_tensor(s.T @ (s * ivar.double().numpy()[:, None]))

    def normal(self, model: Tensor, weighted: Tensor) -> Tensor:
        """N = B' W B of models [n, n_pix], `weighted` being model times ivar: [n, j + k, j + k] float64."""
        j = self.n_factor
        out = torch.zeros(len(model), j + self.n_term, j + self.n_term, dtype=torch.float64)
        squares = self._squares.sums(model * weighted)
        out[:, self.pairs[0], self.pairs[1]] = squares
        out[:, self.pairs[1], self.pairs[0]] = squares
        cross = self._crosses.sums(weighted).view(len(model), j, self.n_term)
        out[:, :j, j:], out[:, j:, :j] = cross, cross.transpose(1, 2)
        out[:, j:, j:] = self._fixed
        return out

    def seen(self, weighted_model: Tensor, vectors: Tensor) -> Tensor:
        """B' W v of vectors [..., n_pix] for models times ivar that broadcast against them, [..., j + k] float64."""
        own = (vectors * weighted_model) @ self.factors
        return torch.cat([own, (vectors * self.ivar) @ self.terms], dim=-1).double()

    def log_likelihood(self, model: Tensor, precision: Tensor) -> Tensor:
        """ln L [n] float64 of models [n, n_pix] of this arm, less the noise's own normalisation; NaN where none."""
        weighted = model * self.ivar
        residual = self.flux - model
        chi2 = (residual * residual * self.ivar).sum(1, dtype=torch.float64)
        half, log_det = self._solved(self.normal(model, weighted), self.seen(weighted, residual), precision)
        left = torch.maximum(chi2 - (half**2).sum(1) * precision, ROUNDING * chi2)
        return -0.5 * (left * precision + log_det)

    @staticmethod
    def _solved(normal: Tensor, seen: Tensor, precision: Tensor) -> tuple[Tensor, Tensor]:
        """L^-1 v [n, j + k] and ln det L L', with L L' = 1 + p N."""
        factor, sound = _cholesky(normal, precision)
        half = torch.linalg.solve_triangular(factor, seen[..., None], upper=False)[..., 0]
        log_det = 2 * torch.log(torch.diagonal(factor, dim1=1, dim2=2)).sum(1)
        return torch.where(sound[:, None], half, torch.nan), torch.where(sound, log_det, torch.nan)

    def most_probable(self, model: Tensor, precision: Tensor) -> tuple[Tensor, Tensor]:
        """The most probable factor on models [n, n_pix] and term added to them, both [n, n_pix]."""
        weighted = model * self.ivar
        normal, seen = self.normal(model, weighted), self.seen(weighted, self.flux - model)
        factor, _ = _cholesky(normal, precision)
        best = torch.cholesky_solve((seen * precision[:, None])[..., None], factor)[..., 0].float()
        return 1 + best[:, : self.n_factor] @ self.factors.T, best[:, self.n_factor :] @ self.terms.T

    def whitened(self, model: Tensor, precision: Tensor) -> _Whitened:
        """Inner products under the inverse of the marginal covariance at models [n, n_pix]."""
        weighted = model * self.ivar
        return _Whitened(self, weighted, _cholesky(self.normal(model, weighted), precision)[0], precision)


@dataclass(frozen=True, eq=False)
class _Whitened:
    """See `MarginalArm.whitened`."""

    arm: MarginalArm
    weighted: Tensor
    factor: Tensor
    precision: Tensor

    def inner(self, left: Tensor, right: Tensor) -> Tensor:
        """left' C^-1 right of [n, a, n_pix] and [n, b, n_pix], [n, a, b] float64."""
        plain = torch.bmm(left, (right * self.arm.ivar).transpose(1, 2)).double()
        a = self._project(left)
        b = a if right is left else self._project(right)
        p = self.precision[:, None, None]
        return plain * p - torch.bmm(a.transpose(1, 2), b) * p**2

    def _project(self, vectors: Tensor) -> Tensor:
        seen = self.arm.seen(self.weighted[:, None], vectors)
        return torch.linalg.solve_triangular(self.factor, seen.transpose(1, 2), upper=False)


def _cholesky(normal: Tensor, precision: Tensor) -> tuple[Tensor, Tensor]:
    """Factor of 1 + p N [n, m, m], and whether there is one, [n]: a model far out may overflow."""
    system = normal * precision[:, None, None]
    system.diagonal(dim1=1, dim2=2).add_(1.0)
    sound = torch.isfinite(system).all(dim=2).all(dim=1)
    identity = torch.eye(system.shape[1], dtype=system.dtype)
    factor, failed = torch.linalg.cholesky_ex(torch.where(sound[:, None, None], system, identity))
    return factor, sound & (failed == 0)
