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

from galfit_ml.simulate.pixels import C_ANGSTROM
from galfit_ml.simulate.prior import MASS_RANGE
from galfit_ml_emcee.library.amplitude import log_integral
from galfit_ml_emcee.library.correlate import Correlator, Pieces
from galfit_ml_emcee.library.data import ScanData
from galfit_ml_emcee.library.library import Library
from galfit_ml_emcee.library.templates import BinTemplates, log_dilution

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
            self.groups.append(_Group(own.coefficients, *bounds, torch.searchsorted(own.age, age).tolist(), own.number))

    def log_evidence(self, data: ScanData, *, bounded: bool = True) -> Tensor:
        """ln of the mean evidence of the first templates, [n_size, n, n_lag]; -inf where all are too old.

        Args:
            data: n spectra.
            bounded: whether the amplitude is held to what ranges of magnitude and mass allow.
        """
        terms = self.terms(data)
        total = data.data.new_full((len(data), self.n_lag), -torch.inf)
        count = data.data.new_zeros(self.n_lag)
        out = []
        for group in self.groups:
            products = group.products(self.pairs)
            for start in range(0, self.n_lag, LAGS):
                lags = slice(start, min(start + LAGS, self.n_lag))
                n = group.n_old_enough[(lags.start + lags.stop) // 2]
                if n:
                    evidence = group.log_terms(n, [t[:, :, lags] for t in terms], products, self._bounds(lags, bounded))
                    total[:, lags] = torch.logaddexp(total[:, lags], _log_sum(evidence))
                    count[lags] += n
            out.append(total - torch.log(count))
        return torch.stack(out).nan_to_num(nan=-torch.inf, neginf=-torch.inf)

    def terms(self, data: ScanData) -> tuple[Tensor, Tensor]:
        """Sums with basis vectors and pairs of them, [k, n_spectrum, n_lag] and [n_pair, n_spectrum, n_lag]."""
        return self.linear(data.pieces.data).transpose(0, 1), self._gram(data).transpose(0, 1)

    def template_evidence(
        self, terms: tuple[Tensor, Tensor], lag: int, *, bounded: bool = True
    ) -> tuple[Tensor, Tensor]:
        """ln evidence of each template at one lag of one spectrum, and its place in the order of drawing, both [n]."""
        lags, found = slice(lag, lag + 1), []
        for group in self.groups:
            n = group.n_old_enough[lag]
            own = [t[:, :1, lags] for t in terms]
            evidence = group.log_terms(n, own, group.products(self.pairs), self._bounds(lags, bounded))
            found.append((evidence[:, 0, 0], group.number[:n]))
        return torch.cat([e for e, _ in found]), torch.cat([k for _, k in found])

    def _bounds(self, lags: slice, bounded: bool) -> Tensor | None:
        return self.interpolation[:, lags] if bounded else None

    def _gram(self, data: ScanData) -> Tensor:
        """Marginal inner products of the basis vectors, [n_spectrum, n_pair, n_lag]."""
        gram = self.square(data.pieces.square)
        if data.modes.shape[1]:
            for row, modes in zip(gram, data.pieces.modes, strict=True):
                seen = self.linear.by_lag(modes)
                row -= torch.bmm(seen, seen.mT)[:, self.pairs[0], self.pairs[1]].T
        return gram


@dataclass(frozen=True, eq=False)
class _Group:
    """Templates drawn one after the other, by increasing age.

    Args:
        coefficients: [n, k].
        low, high: [n, n_node] bounds of the amplitude.
        n_old_enough: n_lag numbers of templates that fit into the age of the Universe.
        number: [n] place in the order of drawing.
    """

    coefficients: Tensor
    low: Tensor
    high: Tensor
    n_old_enough: list[int]
    number: Tensor

    def products(self, pairs: Tensor) -> Tensor:
        """Products of coefficients, [n, n_pair], those of two different vectors twice."""
        first, second = (self.coefficients[:, k] for k in pairs)
        return first * second * torch.where(pairs[0] == pairs[1], 1.0, 2.0)

    def log_terms(self, n: int, terms: Sequence[Tensor], products: Tensor, between: Tensor | None) -> Tensor:
        """ln evidence of the n youngest templates, [n, n_spectrum, n_lag].

        Args:
            n: number of templates.
            terms: sums with basis vectors and pairs of them, [k, n_spectrum, n_lag], [n_pair, ...].
            products: from the method of that name.
            between: [n_node, n_lag] interpolates the bounds of the amplitude; None for no bounds.
        """
        linear, square = terms
        shape = (n, *linear.shape[1:])
        data_term = (self.coefficients[:n] @ linear.flatten(1)).view(shape)
        square_term = (products[:n] @ square.flatten(1)).view(shape)
        if between is None:
            return log_integral(data_term, square_term)
        used = torch.nonzero(between.any(dim=1))[:, 0]
        near = slice(int(used[0]), int(used[-1]) + 1)
        low, high = ((bound[:n, near] @ between[near])[:, None] for bound in (self.low, self.high))
        return log_integral(data_term, square_term, low, high)


def _log_sum(evidence: Tensor) -> Tensor:
    """ln of the summed evidence of templates, [n_template, ...] to [...]; overwrites it."""
    top = evidence.amax(dim=0)
    # Denormal numbers are slow.
    return evidence.sub_(top).clamp_(min=-80.0).exp_().sum(dim=0).log_().add_(top)


def pair_terms(basis: Tensor, pairs: Tensor) -> Tensor:
    """What the weights and the slopes of `ScanData` see of two basis vectors, [2, n_pair, n_rest].

    A native pixel that lies a of the way between two grid points sees (1 - a) u_0 v_0 + a u_1 v_1 -
    a (1 - a) (u_1 - u_0) (v_1 - v_0) of the product of two interpolated functions u and v. No mean of a (1 - a) may
    stand for the pixels' own: where a bright line lies in a gap, next to a pixel that is seen, it would take away what
    no pixel sees, and a template would fit better than perfectly.
    """
    steps = torch.nn.functional.pad(basis.diff(dim=1), (0, 1))
    return torch.stack([basis[pairs[0]] * basis[pairs[1]], steps[pairs[0]].mul_(steps[pairs[1]]).neg_()])


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
    sums = linear(Pieces((weight / weight.max()).to(templates.basis)[None]))[0, :, nodes(len(templates.bin))]
    return (templates.coefficients @ sums).clamp(min=1e-6).double() * scale


def nodes(n_lag: int) -> Tensor:
    """Every `COARSE`th of n_lag redshifts, and the last."""
    return torch.cat([torch.arange(0, n_lag - 1, COARSE), torch.tensor([n_lag - 1])])


def interpolation(n_lag: int) -> Tensor:
    """Matrix [n_node, n_lag] that interpolates values at the `nodes` linearly."""
    at = nodes(n_lag).numpy()
    rows = [np.interp(np.arange(n_lag), at, unit) for unit in np.eye(len(at))]
    return torch.as_tensor(np.stack(rows), dtype=torch.float32)
