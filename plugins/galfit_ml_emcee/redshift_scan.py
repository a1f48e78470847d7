"""Redshift scan: templates and a polynomial at every redshift of a fine grid, by Fourier correlations.

At each redshift the spectrum is a linear model with Gaussian priors on its coefficients, so the coefficients are
marginalised in closed form: ln L(z) = 1/2 b' A^-1 b - 1/2 ln det A + const, with A = M' W M + priors and
b = M' W d. On a grid uniform in ln(wavelength) every element of A and b is a cross-correlation of the data (or of
weights) with a template (or a product of two), and one Fourier transform gives it at all redshifts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galfit_ml.grid import WavelengthGrid
from galfit_ml.simulate.cosmology import Cosmology
from galfit_ml.simulate.populations import StellarPopulations
from galfit_ml.simulate.smoothing import C_KMS, fast_length
from galfit_ml_emcee.templates import TemplateSet, make_templates

POLYNOMIAL_ORDER = 4
POLYNOMIAL_SIGMA = 0.2
AMPLITUDE_SIGMA = 3.0
BATCH = 8


@dataclass(frozen=True, eq=False)
class ScanResult:
    """Outcome of a scan.

    Args:
        redshift: [n_z] grid.
        log_evidence: [n, n_z] ln of the marginal likelihood, up to a constant per spectrum.
        minima: [n, k] redshifts of the best solutions, best first, refined below the grid step; NaN where fewer.
        minima_log_evidence: [n, k] their ln marginal likelihood relative to the best; -inf where fewer.
    """

    redshift: NDArray[np.float64]
    log_evidence: NDArray[np.float64]
    minima: NDArray[np.float64]
    minima_log_evidence: NDArray[np.float64]

    def probability(self) -> NDArray[np.float64]:
        """p(z) on the grid, [n, n_z], each row summing to 1, for a prior flat in ln(1 + z)."""
        p = np.exp(self.log_evidence - self.log_evidence.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True)


class RedshiftScan:
    """Scan over the redshifts low .. high of spectra on one grid uniform in ln(wavelength).

    Args:
        grid: [n_pix] pixels uniform in ln(wavelength).
        low, high: redshift range.
        lsf_kms: typical sigma of the line-spread function, km/s.
        populations: stellar grid the templates are made from.
        cosmology: decides which templates are older than the Universe.
    """

    def __init__(
        self,
        grid: WavelengthGrid,
        low: float,
        high: float,
        lsf_kms: float,
        populations: StellarPopulations,
        cosmology: Cosmology | None = None,
    ) -> None:
        ln = np.log(grid.centres)
        self.step = float((ln[-1] - ln[0]) / (len(ln) - 1))
        if not np.allclose(np.diff(ln), self.step, rtol=1e-3):
            raise ValueError("The redshift scan needs a grid uniform in ln(wavelength); rebin with galfit_ml.prepare.")
        self.n_pix = len(ln)
        self.n_lag = int(np.ceil((np.log1p(high) - np.log1p(low)) / self.step)) + 1
        self.redshift = np.expm1(np.log1p(low) + self.step * np.arange(self.n_lag))
        start = ln[0] - np.log1p(low) - (self.n_lag - 1) * self.step
        rest = start + self.step * np.arange(self.n_pix + self.n_lag - 1)
        self.templates = make_templates(populations, rest, lsf_kms)
        self.size = fast_length(len(rest))
        self._pairs = torch.triu_indices(len(self.templates.flux), len(self.templates.flux))
        self._singles, self._products = self._transform_templates(self.templates)
        self._exists = self._existing(self.templates, cosmology or Cosmology.default())

    def _transform_templates(self, templates: TemplateSet) -> tuple[Tensor, Tensor]:
        products = templates.flux[self._pairs[0]] * templates.flux[self._pairs[1]]
        return torch.fft.rfft(templates.flux, n=self.size), torch.fft.rfft(products, n=self.size)

    def _existing(self, templates: TemplateSet, cosmology: Cosmology) -> Tensor:
        """[k, n_z] False where a template is older than the Universe."""
        age = cosmology.age_yr(torch.as_tensor(self.redshift).clamp(min=1e-4)).numpy()
        return torch.as_tensor(templates.min_age[:, None] < age[None])

    def run(self, flux: NDArray[np.float64], ivar: NDArray[np.float64], n_minima: int = 5) -> ScanResult:
        """Scan spectra.

        Args:
            flux, ivar: [n, n_pix]; ivar 0 at bad pixels.
            n_minima: number of solutions kept, at least 1000 km/s apart.
        """
        rows = [
            self._evidence(torch.as_tensor(flux[i : i + BATCH]), torch.as_tensor(ivar[i : i + BATCH]))
            for i in range(0, len(flux), BATCH)
        ]
        log_evidence = torch.cat(rows).numpy()
        separation = max(round(1000.0 / C_KMS / self.step), 1)
        best = [_peaks(row, self.redshift, separation, n_minima) for row in log_evidence]
        return ScanResult(self.redshift, log_evidence, np.array([b[0] for b in best]), np.array([b[1] for b in best]))

    def _evidence(self, flux: Tensor, ivar: Tensor) -> Tensor:
        """ln marginal likelihood, [n, n_z]."""
        level = _level(flux, ivar)
        data, weight = flux / level, ivar * level**2
        data = torch.where(weight > 0, data, torch.zeros_like(data))
        basis = self._polynomial_basis(data, weight)
        dual = weight[:, None] * basis
        projection = torch.einsum("njp,np->nj", dual, data)
        cross = self._correlate(dual, self._singles)
        linear = self._correlate((weight * data)[:, None], self._singles)[:, 0]
        square = self._correlate(weight[:, None], self._products)[:, 0]
        linear = linear - torch.einsum("nj,njkz->nkz", projection, cross)
        return self._solve(square, cross, linear) + 0.5 * (projection**2).sum(1)[:, None]

    def _polynomial_basis(self, data: Tensor, weight: Tensor) -> Tensor:
        """Polynomials times a smooth continuum, orthonormal under weights and prior, [n, j, n_pix]."""
        x = _span(weight > 0)
        powers = [torch.cos(k * torch.arccos(x)) for k in range(POLYNOMIAL_ORDER + 1)]
        basis = torch.stack(powers, dim=1) * _smooth(data, weight)[:, None]
        normal = torch.einsum("njp,np,nkp->njk", basis, weight, basis)
        normal += torch.eye(basis.shape[1], dtype=basis.dtype) / POLYNOMIAL_SIGMA**2
        return torch.linalg.solve_triangular(torch.linalg.cholesky(normal), basis, upper=False)

    def _correlate(self, left: Tensor, right: Tensor) -> Tensor:
        """sum_p left[n, j, p] right[k, p + lag] for the lag of each redshift: [n, j, k, n_z]."""
        transform = torch.fft.rfft(left, n=self.size).conj()
        product = torch.fft.irfft(transform[:, :, None] * right, n=self.size)
        return product[..., : self.n_lag].flip(-1)

    def _solve(self, square: Tensor, cross: Tensor, linear: Tensor) -> Tensor:
        """1/2 b' A^-1 b - 1/2 ln det A by a Cholesky decomposition that runs over all redshifts at once."""
        k = linear.shape[1]
        elements: dict[tuple[int, int], Tensor] = {}
        for number, (i, j) in enumerate(self._pairs.T.tolist()):
            elements[j, i] = square[:, number] - (cross[:, :, i] * cross[:, :, j]).sum(1)
        half = torch.zeros_like(linear[:, 0])
        log_det = torch.zeros_like(half)
        solution: list[Tensor] = []
        for j in range(k):
            exists = self._exists[j]
            pivot = elements[j, j] + torch.where(exists, 1.0 / AMPLITUDE_SIGMA**2, 1e30)
            pivot = pivot.clamp(min=1e-3 / AMPLITUDE_SIGMA**2)
            value = linear[:, j]
            for m in range(j):
                pivot = pivot - elements[j, m] ** 2
                value = value - elements[j, m] * solution[m]
            pivot = pivot.clamp(min=1e-6 / AMPLITUDE_SIGMA**2)
            root = pivot.sqrt()
            solution.append(value / root)
            half = half + 0.5 * solution[-1] ** 2
            log_det = log_det + torch.where(exists, torch.log(pivot * AMPLITUDE_SIGMA**2), 0.0)
            for i in range(j + 1, k):
                entry = elements[i, j]
                for m in range(j):
                    entry = entry - elements[i, m] * elements[j, m]
                elements[i, j] = entry / root
        return half - 0.5 * log_det


def _level(flux: Tensor, ivar: Tensor) -> Tensor:
    """Typical flux [n, 1]: the ivar-weighted mean, at least its own error."""
    total = ivar.sum(1, keepdim=True).clamp(min=1e-300)
    mean = (ivar * flux).sum(1, keepdim=True) / total
    return torch.maximum(mean, 1.0 / total.sqrt())


def _span(good: Tensor) -> Tensor:
    """Coordinate from -1 at the first to 1 at the last good pixel of each row, clipped outside, [n, n_pix]."""
    n_pix = good.shape[1]
    index = torch.arange(n_pix, dtype=torch.float64)
    first = good.int().argmax(1).double()[:, None]
    last = n_pix - 1 - good.flip(1).int().argmax(1).double()[:, None]
    return (2 * (index - first) / (last - first).clamp(min=1) - 1).clamp(-1, 1)


def _smooth(data: Tensor, weight: Tensor, half_width: int = 200) -> Tensor:
    """Weighted mean over the neighbours within `half_width` pixels; 1 where there is no data, [n, n_pix]."""
    n_pix = data.shape[1]
    index = torch.arange(n_pix)
    low, high = (index - half_width).clamp(min=0), (index + half_width + 1).clamp(max=n_pix)
    prior = 1e-3 * weight.sum(1, keepdim=True) / (weight > 0).sum(1, keepdim=True).clamp(min=1) + 1e-300

    def window_sum(x: Tensor) -> Tensor:
        total = torch.nn.functional.pad(x.cumsum(1), (1, 0))
        return total[:, high] - total[:, low]

    return (window_sum(weight * data) + prior) / (window_sum(weight) + prior)


def _peaks(
    row: NDArray[np.float64], redshift: NDArray[np.float64], separation: int, n_minima: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The highest local maxima of one row, refined by a parabola in ln(1 + z)."""
    inner = np.flatnonzero((row[1:-1] >= row[:-2]) & (row[1:-1] > row[2:])) + 1
    candidates = np.append(inner, [0, len(row) - 1])
    chosen: list[int] = []
    for index in candidates[np.argsort(row[candidates])[::-1]]:
        if all(abs(int(index) - c) > separation for c in chosen):
            chosen.append(int(index))
        if len(chosen) == n_minima:
            break
    z, height = np.full(n_minima, np.nan), np.full(n_minima, -np.inf)
    step = np.log1p(redshift[1]) - np.log1p(redshift[0])
    for rank, index in enumerate(chosen):
        offset, gain = _vertex(row, index)
        z[rank] = np.expm1(np.log1p(redshift[index]) + offset * step)
        height[rank] = row[index] + gain
    height -= height[0]
    return z, height


def _vertex(row: NDArray[np.float64], index: int) -> tuple[float, float]:
    """Offset (in steps) and gain of the parabola through a maximum and its neighbours."""
    if not 0 < index < len(row) - 1:
        return 0.0, 0.0
    left, middle, right = row[index - 1 : index + 2]
    curvature = left - 2 * middle + right
    if curvature >= 0:
        return 0.0, 0.0
    offset = float(np.clip(0.5 * (left - right) / curvature, -0.5, 0.5))
    return offset, float(-0.25 * (left - right) * offset)
