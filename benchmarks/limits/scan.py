"""`LibraryScan`: the posterior of redshift under thousands of templates, batched, on CPU or CUDA.

A template is m_t = sum_k C_tk V_k. Its data term at lag s is sum_k C_tk (V_k * data)(s), its quadratic term
sum_kl C_tk C_tl G_kl(s), with G_kl(s) the sum over pixels of weight V_k V_l less what the nuisances take away,
sum_j (mode_j * V_k)(s) (mode_j * V_l)(s). So a few hundred Fourier transforms and two matrix products give both terms
for all templates and redshifts of a bin; both are exactly those of one and the same m_t, so that no template can fit
better than perfectly, whatever the truncation.

The amplitude of a template has a prior flat in its logarithm between bounds that the ranges of magnitude and stellar
mass set, and is integrated out (`galfit_ml`'s prior is flat in magnitude and rejects masses outside its range).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from benchmarks.limits.amplitude import log_integral
from benchmarks.limits.correlate import Correlator
from benchmarks.limits.data import ScanData
from benchmarks.limits.library import Library
from benchmarks.limits.templates import BinTemplates, log_dilution
from galfit_ml.simulate.pixels import C_ANGSTROM
from galfit_ml.simulate.prior import MASS_RANGE

COARSE = 16
"""Redshifts from one computed magnitude of a template to the next; between them it is interpolated."""

LAGS = 64
"""Redshifts at a time: what belongs to them stays in the cache."""

FLUX_UNIT = 1e-17

IMPOSSIBLE = 1e12
"""An amplitude, 1e-17 erg s^-1 cm^-2 A^-1, whose square times any weight is still a number in single precision."""


class LibraryScan:
    """Scans spectra with a library, on the library's device.

    Args:
        library: templates.
        sizes: increasing numbers of templates, those drawn first, for each of which a posterior is wanted; the last is
            at most that of the library. By default all of them.
    """

    def __init__(self, library: Library, sizes: Sequence[int] = ()) -> None:
        self.sizes = tuple(sizes) or (library.size.templates,)
        self.device = library.bins[0].basis.device
        with torch.no_grad():
            self.parts = [BinScan(templates, library, self.sizes) for templates in library.bins]

    @torch.no_grad()
    def log_posteriors(self, data: ScanData) -> Tensor:
        """ln p(z) [n_size, n, n_z] on the redshifts of the axis, up to a constant each; prior flat in ln(1 + z)."""
        here = data.to(self.device, torch.float32)
        return torch.cat([part.log_evidence(here) for part in self.parts], dim=2)

    def log_posterior(self, data: ScanData) -> Tensor:
        """The same with the largest number of templates, [n, n_z]."""
        return self.log_posteriors(data)[-1]


class BinScan:
    """Scan of one redshift bin.

    Args:
        templates: of the bin.
        library: gives axis, prior and cosmology.
        sizes: see `LibraryScan`.
    """

    def __init__(self, templates: BinTemplates, library: Library, sizes: Sequence[int]) -> None:
        self.n_lag, self.device = len(templates.bin), templates.basis.device
        self.pairs = torch.triu_indices(*[len(templates.basis)] * 2, device=self.device)
        self.linear = Correlator(templates.basis, self.n_lag)
        self.square = Correlator(pair_terms(templates.basis, self.pairs), self.n_lag)
        self.interpolation = interpolation(self.n_lag).to(self.device)
        lags = torch.arange(templates.start, templates.stop, device=self.device)
        age = library.cosmology.age_yr(torch.expm1(lags.double() * library.axis.step))
        self.groups = []
        for low, high in pairwise((0, *sizes)):
            own = templates.take((templates.number >= low) & (templates.number < high))
            bounds = amplitude_bounds(own, library, self.linear)
            self.groups.append(_Group(own.coefficients, *bounds, torch.searchsorted(own.age, age).tolist()))

    def log_evidence(self, data: ScanData) -> Tensor:
        """ln of the mean evidence of the first templates, [n_size, n, n_lag]; -inf where all are too old."""
        linear, square = self.linear(data.data).transpose(0, 1), self._gram(data).transpose(0, 1)
        total = data.data.new_full((len(data), self.n_lag), -torch.inf)
        count = data.data.new_zeros(self.n_lag)
        out = []
        for group in self.groups:
            products = group.products(self.pairs)
            for start in range(0, self.n_lag, LAGS):
                lags = slice(start, min(start + LAGS, self.n_lag))
                n = group.n_old_enough[(lags.start + lags.stop) // 2]
                if n:
                    terms = [part[:, :, lags] for part in (linear, square)]
                    found = group.log_sum(n, terms[0], terms[1], products, self.interpolation[:, lags])
                    total[:, lags] = torch.logaddexp(total[:, lags], found)
                    count[lags] += n
            out.append(total - torch.log(count))
        return torch.stack(out).nan_to_num(nan=-torch.inf, neginf=-torch.inf)

    def _gram(self, data: ScanData) -> Tensor:
        """Marginal inner products of the basis vectors, [n_spectrum, n_pair, n_lag]."""
        gram = self.square(data.weight)
        if data.modes.shape[1]:
            for row, modes in zip(gram, data.modes, strict=True):
                # Without a copy in the order of the product each of the small matrices is copied by itself.
                seen = self.linear(modes).permute(2, 1, 0).contiguous()
                row -= torch.bmm(seen, seen.mT)[:, self.pairs[0], self.pairs[1]].T
        return gram


@dataclass(frozen=True, eq=False)
class _Group:
    """Templates drawn one after the other, by increasing age.

    Args:
        coefficients: [n, k].
        low, high: [n, n_node] bounds of the amplitude.
        n_old_enough: n_lag numbers of templates that fit into the age of the Universe.
    """

    coefficients: Tensor
    low: Tensor
    high: Tensor
    n_old_enough: list[int]

    def products(self, pairs: Tensor) -> Tensor:
        """Products of coefficients, [n, n_pair], those of two different vectors twice."""
        first, second = (self.coefficients[:, k] for k in pairs)
        return first * second * torch.where(pairs[0] == pairs[1], 1.0, 2.0)

    def log_sum(self, n: int, linear: Tensor, square: Tensor, products: Tensor, between: Tensor) -> Tensor:
        """ln of the summed evidence of the n youngest templates, [n_spectrum, n_lag].

        Args:
            n: number of templates.
            linear, square: sums with basis vectors and pairs of them, [k, n_spectrum, n_lag], [n_pair, ...].
            products: from the method of that name.
            between: [n_node, n_lag] interpolates the bounds.
        """
        shape = (n, *linear.shape[1:])
        data_term = (self.coefficients[:n] @ linear.flatten(1)).view(shape)
        square_term = (products[:n] @ square.flatten(1)).view(shape)
        used = torch.nonzero(between.any(dim=1))[:, 0]
        near = slice(int(used[0]), int(used[-1]) + 1)
        low, high = ((bound[:n, near] @ between[near])[:, None] for bound in (self.low, self.high))
        evidence = log_integral(data_term, square_term, low, high)
        top = evidence.amax(dim=0)
        # Denormal numbers are slow.
        return evidence.sub_(top).clamp_(min=-80.0).exp_().sum(dim=0).log_().add_(top)


def pair_terms(basis: Tensor, pairs: Tensor) -> Tensor:
    """Products of two basis vectors interpolated linearly at native pixels, as the weights see them, [n_pair, n_rest].

    Where a native pixel lies a of the way between two grid points the product of two interpolated functions u and v is
    (1 - a) u_0 v_0 + a u_1 v_1 - a (1 - a) (u_1 - u_0) (v_1 - v_0); native pixels fall anywhere between grid points,
    and the mean of a (1 - a) is 1/6.
    """
    steps = basis.diff(dim=1)
    out = basis[pairs[0]] * basis[pairs[1]]
    bend = steps[pairs[0]].mul_(steps[pairs[1]]).div_(12.0)
    out[:, 1:] -= bend
    out[:, :-1] -= bend
    return out


def amplitude_bounds(templates: BinTemplates, library: Library, linear: Correlator) -> tuple[Tensor, Tensor]:
    """Least and largest amplitude that ranges of magnitude and mass allow, [n, n_node] at the `nodes` of the bin.

    Where the two ranges exclude each other (too heavy even at the faintest magnitude) the least amplitude is so large
    that no spectrum can have it.
    """
    lags = templates.start + nodes(len(templates.bin)).to(templates.basis.device)
    redshift = torch.expm1(lags.double() * library.axis.step).clamp(min=1e-5)
    log_mass = templates.log_mass[:, None] + log_dilution(redshift, library.cosmology)
    band = band_flux(templates, library, linear)
    faint, bright = (10 ** (-0.4 * (m + 48.6)) / band for m in library.prior.magnitude[::-1])
    light, heavy = (10 ** (m - log_mass) for m in MASS_RANGE)
    low, high = torch.maximum(faint, light), torch.minimum(bright, heavy)
    low = torch.where(low <= high, low, IMPOSSIBLE)
    return low.clamp(max=IMPOSSIBLE).float(), high.clamp(max=IMPOSSIBLE).float()


def band_flux(templates: BinTemplates, library: Library, linear: Correlator) -> Tensor:
    """Mean f_nu of the magnitude band, erg s^-1 cm^-2 Hz^-1, of templates of amplitude 1, [n, n_node] float64."""
    wave = torch.as_tensor(library.axis.points(0, library.axis.n_pix))
    low, high = library.instrument.magnitude_band
    inside = (wave >= low) & (wave <= high)
    if wave[0] > low or wave[-1] < high:
        inside = torch.ones_like(inside)
    # On a grid uniform in ln(wavelength) the mean of f_nu = f_lambda lambda^2 / c over photons is a plain mean.
    weight = wave.square() * inside
    scale = FLUX_UNIT * float(weight.max()) / (C_ANGSTROM * int(inside.sum()))
    sums = linear((weight / weight.max()).to(templates.basis)[None])[0, :, nodes(len(templates.bin))]
    return (templates.coefficients @ sums).clamp(min=1e-6).double() * scale


def nodes(n_lag: int) -> Tensor:
    """Every `COARSE`th of n_lag redshifts, and the last."""
    return torch.cat([torch.arange(0, n_lag - 1, COARSE), torch.tensor([n_lag - 1])])


def interpolation(n_lag: int) -> Tensor:
    """Matrix [n_node, n_lag] that interpolates values at the `nodes` linearly."""
    at = nodes(n_lag).numpy()
    rows = [np.interp(np.arange(n_lag), at, unit) for unit in np.eye(len(at))]
    return torch.as_tensor(np.stack(rows), dtype=torch.float32)
