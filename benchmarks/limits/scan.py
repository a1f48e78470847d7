"""`LibraryScan`: the posterior of redshift under thousands of templates, batched, on CPU or CUDA.

With coefficients C [n, k] and basis V of the templates, the data term of template t at lag s is
sum_k C_tk (V_k * data)(s): one Fourier transform for each basis vector and one matrix product. The quadratic term is
the same with the squares' basis and the weights. What the nuisances take away from it, sum_j (mode_j . m_ts)^2, and the
magnitude of a template vary slowly with s: they are computed on grid points put together by `COARSE` and interpolated.

The amplitude of a template has a prior flat in its logarithm between bounds that the ranges of magnitude and stellar
mass set, and is integrated out (`galfit_ml`'s prior is flat in magnitude and rejects masses outside its range).
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.limits.amplitude import log_integral
from benchmarks.limits.correlate import correlate, transform
from benchmarks.limits.data import ScanData
from benchmarks.limits.library import Library
from benchmarks.limits.templates import BinTemplates, log_dilution
from galfit_ml.simulate.pixels import C_ANGSTROM
from galfit_ml.simulate.prior import MASS_RANGE

COARSE = 8
"""Grid points put together for sums that vary slowly with redshift."""

COARSE_RANK = 32
LAGS = 64
"""Redshifts at a time: what belongs to them stays in the cache."""

FLUX_UNIT = 1e-17
LARGE = 1e15


class LibraryScan:
    """Scans spectra with a library, on the library's device."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.device = library.bins[0].basis.device
        with torch.no_grad():
            self._parts = [BinScan(templates, library) for templates in library.bins]

    @torch.no_grad()
    def log_posterior(self, data: ScanData) -> Tensor:
        """ln p(z) [n, n_z] on the redshifts of the axis, up to a constant per spectrum; prior flat in ln(1 + z)."""
        here = data.to(self.device, torch.float32)
        return torch.cat([part.log_posterior(here) for part in self._parts], dim=1)


class BinScan:
    """Scan of one redshift bin.

    Args:
        templates: of the bin.
        library: gives axis, prior and cosmology.
    """

    def __init__(self, templates: BinTemplates, library: Library) -> None:
        self.templates, self.n_lag = templates, len(templates.bin)
        self.device = templates.basis.device
        self.linear, self.size = transform(templates.basis)
        self.square, _ = transform(templates.square_basis)
        self.n_coarse = (self.n_lag - 1) // COARSE + 2
        self.n_blocks = -(-library.axis.n_pix // COARSE)
        blocks = _blocks(templates.basis, self.n_blocks + self.n_coarse - 1) / COARSE
        triangle = torch.linalg.qr(templates.coefficients).R
        turn = torch.linalg.svd(triangle @ blocks, full_matrices=False).Vh[:COARSE_RANK]
        self.coarse_coefficients = templates.coefficients @ (blocks @ turn.T)
        self.coarse, self.coarse_size = transform(turn)
        self.interpolation = _interpolation(self.n_lag, self.n_coarse).to(self.device)
        lags = torch.arange(templates.start, templates.stop, device=self.device)
        redshift = torch.expm1(lags.double() * library.axis.step)
        self.n_old_enough = torch.searchsorted(templates.age, library.cosmology.age_yr(redshift)).tolist()
        self.low, self.high = self._bounds(library)

    def _bounds(self, library: Library) -> tuple[Tensor, Tensor]:
        """Least and largest amplitude that ranges of magnitude and mass allow, [n, n_coarse]."""
        last = self.templates.stop - 1
        lags = last - COARSE * torch.arange(self.n_coarse - 1, -1, -1, device=self.device)
        redshift = torch.expm1(lags.double() * library.axis.step).clamp(min=1e-5)
        log_mass = self.templates.log_mass[:, None] + log_dilution(redshift, library.cosmology)
        band = self._band_flux(library)
        faint, bright = (10 ** (-0.4 * (m + 48.6)) / band for m in library.prior.magnitude[::-1])
        light, heavy = (10 ** (m - log_mass) for m in MASS_RANGE)
        low, high = torch.maximum(faint, light), torch.minimum(bright, heavy)
        return low.clamp(max=LARGE).float(), high.clamp(max=LARGE).float()

    def _band_flux(self, library: Library) -> Tensor:
        """Mean f_nu of the magnitude band, erg s^-1 cm^-2 Hz^-1, of templates of amplitude 1, [n, n_coarse] float64."""
        wave = torch.as_tensor(library.axis.points(0, library.axis.n_pix))
        low, high = library.instrument.magnitude_band
        inside = (wave >= low) & (wave <= high)
        if wave[0] > low or wave[-1] < high:
            inside = torch.ones_like(inside)
        weight = (wave.square() * inside).float().to(self.device)
        scale = FLUX_UNIT * float(weight.max()) / (C_ANGSTROM * int(inside.sum()))
        flux = self.coarse_coefficients @ self._coarse_sums(weight[None, None] / weight.max())[0, 0]
        return flux.clamp(min=1e-6).double() * scale

    def _coarse_sums(self, modes: Tensor) -> Tensor:
        """Sums of modes [n, j, n_pix] times the coarse basis at every `COARSE`th lag, [n, j, k, n_coarse]."""
        blocks = _blocks(modes, self.n_blocks)
        return correlate(blocks[:, :, None], self.coarse, self.coarse_size, self.n_coarse)

    def log_posterior(self, data: ScanData) -> Tensor:
        """ln of the evidence of n spectra at the redshifts of the bin, [n, n_lag]."""
        linear = correlate(data.data[:, None], self.linear, self.size, self.n_lag).transpose(0, 1)
        square = correlate(data.weight[:, None], self.square, self.size, self.n_lag).transpose(0, 1)
        modes = self._coarse_sums(data.modes).permute(2, 1, 0, 3) if data.modes.shape[1] else None
        out = torch.empty(len(data), self.n_lag, device=self.device)
        for start in range(0, self.n_lag, LAGS):
            lags = slice(start, min(start + LAGS, self.n_lag))
            n = self.n_old_enough[(lags.start + lags.stop) // 2]
            out[:, lags] = self._evidence(linear[:, :, lags], square[:, :, lags], modes, lags, n)
        return out

    def _evidence(self, linear: Tensor, square: Tensor, modes: Tensor | None, lags: slice, n: int) -> Tensor:
        """ln of the mean evidence of the n youngest templates, [n_spectrum, n_lag of the slice]."""
        shape = (n, *linear.shape[1:])
        if n == 0:
            return linear.new_full(shape[1:], -torch.inf)
        own = self.interpolation[:, lags]
        used = torch.nonzero(own.any(dim=1))[:, 0]
        near, weights = slice(int(used[0]), int(used[-1]) + 1), own[int(used[0]) : int(used[-1]) + 1]
        data_term = (self.templates.coefficients[:n] @ linear.flatten(1)).view(shape)
        square_term = (self.templates.square_coefficients[:n] @ square.flatten(1)).view(shape)
        if modes is not None:
            square_term -= self._explained(modes[..., near], n) @ weights
        low, high = ((bound[:n, near] @ weights)[:, None] for bound in (self.low, self.high))
        evidence = log_integral(data_term, square_term, low, high)
        top = evidence.amax(dim=0)
        return evidence.sub_(top).exp_().sum(dim=0).log_().add_(top).sub_(float(torch.tensor(n).log()))

    def _explained(self, modes: Tensor, n: int) -> Tensor:
        """Sum over modes of (mode . template)^2 at coarse lags, [n, n_spectrum, n_coarse of the slice]."""
        sums = self.coarse_coefficients[:n] @ modes.flatten(1)
        return sums.view(n, *modes.shape[1:]).square_().sum(dim=1)


def _blocks(rows: Tensor, number: int) -> Tensor:
    """Sums over `COARSE` neighbours, [..., number]; the last value stands for what lies beyond the end."""
    missing = number * COARSE - rows.shape[-1]
    if missing < 0:
        rows = rows[..., : number * COARSE]
    elif missing > 0:
        rows = torch.cat([rows, rows.new_zeros(*rows.shape[:-1], missing)], dim=-1)
    return rows.unflatten(-1, (number, COARSE)).sum(-1)


def _interpolation(n_lag: int, n_coarse: int) -> Tensor:
    """Matrix [n_coarse, n_lag] that interpolates values at every `COARSE`th lag linearly."""
    position = torch.arange(n_lag - 1, -1, -1, dtype=torch.float64) / COARSE
    left = position.long()
    share = (position - left).float()
    out = torch.zeros(n_coarse, n_lag)
    column = torch.arange(n_lag)
    out[n_coarse - 1 - left, column] = 1 - share
    out[n_coarse - 2 - left, column] += share
    return out
