"""Where the sampler starts: the best of many prior draws, improved by Gauss-Newton steps in probit coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from galfit_ml.simulate.prior import coordinate
from galfit_ml_emcee.likelihood import N_DIM, NOISE_SCALE_SIGMA, Likelihood

STEP = 0.03
"""Finite difference, in probit units."""

REDSHIFT_STEP = 0.003
"""The same for the redshift, whose cell is hundreds of times wider than its error: about 7 km/s."""

MAX_COORDINATE = 5.0
MAX_MOVE = 1.0


KICKS = (
    {"log_gas_metallicity": 1.2, "log_ionisation": 1.2},
    {"log_gas_metallicity": 1.2, "log_ionisation": -1.0},
    {"burst_age": 1.5},
    {"log_burst_fraction": 1.5},
    {"formation_age": 1.5},
    {"tau": 1.5},
    {"dust_av": 1.0, "log_metallicity": -0.5},
)
"""Directions in which a posterior has several maxima, in probit units, tried with both signs."""


@dataclass(frozen=True)
class Start:
    """Local maxima of the posterior and the Gaussian around each.

    Args:
        x: [k, N_DIM] probit coordinates, best first.
        log_density: [k] ln posterior density.
        covariance: [k, N_DIM, N_DIM] inverse of the Gauss-Newton Hessian.
    """

    x: Tensor
    log_density: Tensor
    covariance: Tensor


def find_start(
    likelihood: Likelihood, generator: torch.Generator, *, n_draws: int = 480, n_keep: int = 12, n_steps: int = 25
) -> Start:
    """Search the posterior: the best `n_keep` of `n_draws` prior draws, improved; then kicked, and improved again."""
    x = _draws(likelihood, generator, n_draws)
    value = likelihood(x)
    x = x[_best_of_both_branches(likelihood, x, value, n_keep)]
    first = _climb(likelihood, x, n_steps)
    second = _climb(likelihood, _kicked(first[1][first[0].argmax()])[: 2 * n_keep], n_steps)
    value, x, hessian = (torch.cat(pair) for pair in zip(first, second, strict=True))
    order = torch.argsort(value, descending=True)
    covariance = torch.linalg.inv(hessian[order] + 1e-6 * torch.eye(N_DIM, dtype=x.dtype))
    return Start(x[order], value[order], covariance)


def _best_of_both_branches(likelihood: Likelihood, x: Tensor, value: Tensor, n_keep: int) -> Tensor:
    """Rows of the best starts, half of them on each side of solar gas metallicity.

    Strong lines have a metal-poor and a metal-rich solution; a search that starts on one side rarely finds the other.
    """
    order = torch.argsort(value, descending=True)
    rich = likelihood.prior.transform(torch.special.ndtr(x[:, :-1])).log_gas_metallicity[order] > 0
    half = n_keep // 2
    return torch.cat([order[rich][:half], order[~rich][: n_keep - half]])


def _kicked(x: Tensor) -> Tensor:
    """Starts that differ from `x` [d] by a large step in one of `KICKS`, [k, d]: a way out of a local maximum."""
    starts = []
    for kick in KICKS:
        for sign in (-1.0, 1.0):
            moved = x.clone()
            for name, size in kick.items():
                moved[coordinate(name)] = sign * size
            starts.append(moved)
    return torch.stack(starts)


def _draws(likelihood: Likelihood, generator: torch.Generator, n: int) -> Tensor:
    """Prior draws near the middle of the redshift cell, scaled to the brightness of the data, probit coordinates."""
    cube = likelihood.prior.draw(n, generator)
    cube[:, coordinate("redshift")] = 0.5
    cube[:, coordinate("zero_point")] = 0.5
    cube = 0.05 + 0.9 * cube
    x = torch.cat([torch.special.ndtri(cube), torch.zeros(n, 1, dtype=cube.dtype)], dim=1)
    flux = likelihood.spectra(x).flux
    data = likelihood.spectrum
    amplitude = (flux * data.ivar * data.flux).sum(1) / (flux * flux * data.ivar).sum(1)
    low, high = likelihood.prior.magnitude
    index = coordinate("magnitude")
    magnitude = low + (high - low) * cube[:, index] - 2.5 * torch.log10(amplitude.double().clamp(min=1e-6))
    x[:, index] = torch.special.ndtri(((magnitude - low) / (high - low)).clamp(1e-3, 1 - 1e-3))
    return x


def _climb(likelihood: Likelihood, x: Tensor, n_steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Damped Gauss-Newton ascent of several points at once: density [k], points [k, d], Hessian [k, d, d]."""
    damping = torch.full((len(x),), 1.0, dtype=x.dtype)
    value = likelihood(x)
    gradient, hessian = _derivatives(likelihood, x)
    for _ in range(n_steps):
        system = hessian + damping[:, None, None] * torch.diag_embed(torch.diagonal(hessian, dim1=1, dim2=2))
        move = torch.linalg.solve(system, gradient).clamp(-MAX_MOVE, MAX_MOVE)
        trial = (x + move).clamp(-MAX_COORDINATE, MAX_COORDINATE)
        better = likelihood(trial)
        accept = better > value
        gain = torch.where(accept, better - value, torch.zeros_like(value))
        x = torch.where(accept[:, None], trial, x)
        value = torch.where(accept, better, value)
        damping = torch.where(accept, damping / 5, damping * 4).clamp(1e-4, 1e6)
        if bool(accept.any()):
            gradient, hessian = _derivatives(likelihood, x)
        if float(gain.max()) < 0.05 and bool((damping > 1e2).all() | accept.all()):
            break
    return value, x, hessian


def _derivatives(likelihood: Likelihood, x: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient [k, d] and Gauss-Newton Hessian [k, d, d] of minus ln posterior's negative, at x [k, d]."""
    k, d = x.shape
    step = torch.full((d,), STEP, dtype=x.dtype)
    step[coordinate("redshift")] = REDSHIFT_STEP
    seen = [i for i in range(d - 1) if i not in likelihood.unseen]
    shifted = x[:, None] + torch.diag(step)[seen]
    flux = likelihood.spectra(torch.cat([x, shifted.reshape(-1, d)])).flux
    base, moved = flux[:k], flux[k:].reshape(k, len(seen), -1)
    jacobian = base.new_zeros(k, d - 1, base.shape[1])
    jacobian[:, seen] = (moved - base[:, None]) / step[seen, None].float()
    precision = torch.exp(-2 * likelihood.log_noise_scale(x))
    solve = _Whitening(likelihood, base, precision)
    residual = likelihood.spectrum.flux - base
    gradient = torch.zeros_like(x)
    hessian = torch.zeros(k, d, d, dtype=x.dtype)
    gradient[:, :-1] = solve.inner(jacobian, residual[:, None])[..., 0]
    hessian[:, :-1, :-1] = solve.inner(jacobian, jacobian)
    chi2 = solve.inner(residual[:, None], residual[:, None])[:, 0, 0]
    _add_noise_scale(likelihood, chi2, gradient, hessian)
    gradient -= x
    hessian += torch.eye(d, dtype=x.dtype)
    return gradient, hessian


def _add_noise_scale(likelihood: Likelihood, chi2: Tensor, gradient: Tensor, hessian: Tensor) -> None:
    """Derivatives with respect to the last coordinate, the noise scale."""
    n_good = likelihood.spectrum.n_good
    gradient[:, -1] = (chi2 - n_good) * NOISE_SCALE_SIGMA
    hessian[:, -1, -1] = 2 * chi2.clamp(min=n_good) * NOISE_SCALE_SIGMA**2


class _Whitening:
    """Inner products under the inverse covariance of noise and calibration error."""

    def __init__(self, likelihood: Likelihood, flux: Tensor, precision: Tensor) -> None:
        self.ivar = likelihood.spectrum.ivar
        self.precision = precision
        self.basis = likelihood.spectrum.calibration.basis
        self.flux = flux
        normal, _ = likelihood.normal_equations(flux, torch.zeros_like(flux))
        sigma = likelihood.spectrum.calibration.sigma
        system = normal * precision[:, None, None] + torch.diag(sigma**-2)
        self.factor = torch.linalg.cholesky(system)

    def inner(self, left: Tensor, right: Tensor) -> Tensor:
        """left' C^-1 right: [k, a, p] and [k, b, p] to [k, a, b], float64."""
        weighted = right * self.ivar
        plain = torch.einsum("kap,kbp->kab", left, weighted).double()
        a = self._project(left)
        b = a if right is left else self._project(right)
        p = self.precision[:, None, None]
        return plain * p - torch.einsum("kaj,kbj->kab", a, b) * p**2

    def _project(self, vectors: Tensor) -> Tensor:
        """L^-1 B' W v, [k, a, j]."""
        raw = torch.einsum("kap,pj->kaj", vectors * (self.ivar * self.flux)[:, None], self.basis).double()
        return torch.linalg.solve_triangular(self.factor, raw.transpose(1, 2), upper=False).transpose(1, 2)
