"""Where the sampler starts: the best of many prior draws, improved by Gauss-Newton steps in probit coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from galfit_ml.errors import SpectrumError
from galfit_ml.simulate.prior import coordinate
from galfit_ml_emcee.likelihood import N_DIM, NOISE_SCALE_SIGMA, Likelihood

STEP = 0.03
"""Finite difference, in probit units."""

REDSHIFT_STEP = 0.003
"""The same for the redshift, whose cell is hundreds of times wider than its error: about 7 km/s."""

MAX_COORDINATE = 5.0
MAX_MOVE = 1.0

LEAST_GAIN = 0.1
PATIENCE = 2
"""A point rests after so many steps that gain less ln density than that."""

GRACE, HOPELESS = 5, 40.0
"""After so many steps a point rests while its ln density is that far below the best."""


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
    likelihood: Likelihood,
    generator: torch.Generator,
    redshift: float,
    *,
    n_draws: int = 480,
    n_keep: int = 12,
    n_steps: int = 20,
) -> Start:
    """Search the posterior near a redshift: the best of many prior draws, improved; then kicked, and improved again."""
    x = _draws(likelihood, generator, redshift, n_draws)
    value = likelihood(x)
    x = x[_best_of_both_branches(likelihood, x, value, n_keep)]
    first = climb(likelihood, x, n_steps)
    second = climb(likelihood, _kicked(first[1][first[0].argmax()]), n_steps)
    value, x, hessian = (torch.cat(pair) for pair in zip(first, second, strict=True))
    order = torch.argsort(value, descending=True)
    if not torch.isfinite(value[order[0]]):
        raise SpectrumError(
            "no galaxy of the model is as faint or as bright as this spectrum (masses from 10^5 to 10^12.5 M_sun). "
            "Usually its flux unit is wrong, or the redshift that was given"
        )
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


def _draws(likelihood: Likelihood, generator: torch.Generator, redshift: float, n: int) -> Tensor:
    """Prior draws at a redshift, scaled to the brightness of the data, probit coordinates."""
    cube = likelihood.prior.draw(n, generator)
    low, high = (math.log1p(z) for z in likelihood.prior.redshift)
    cube[:, coordinate("redshift")] = (math.log1p(redshift) - low) / (high - low) if high > low else 0.5
    cube[:, coordinate("zero_point")] = 0.5
    where = cube[:, coordinate("redshift")].clamp(1e-3, 1 - 1e-3)
    cube = 0.05 + 0.9 * cube
    cube[:, coordinate("redshift")] = where
    x = torch.cat([torch.special.ndtri(cube), torch.zeros(n, 1, dtype=cube.dtype)], dim=1)
    flux = likelihood.spectra(x).flux
    data = likelihood.spectrum
    amplitude = (flux * data.ivar * data.flux).sum(1) / (flux * flux * data.ivar).sum(1)
    low, high = likelihood.prior.magnitude
    index = coordinate("magnitude")
    magnitude = low + (high - low) * cube[:, index] - 2.5 * torch.log10(amplitude.double().clamp(min=1e-6))
    x[:, index] = torch.special.ndtri(((magnitude - low) / (high - low)).clamp(1e-3, 1 - 1e-3))
    return x


def climb(likelihood: Likelihood, x: Tensor, n_steps: int, held: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Damped Gauss-Newton ascent of several points at once: density [k], points [k, d], Hessian [k, d, d].

    Coordinate held[i] of point i stays where it is; its row and column of the Hessian are those of the unit matrix. A
    point rests when it gains little, or lies so far below the best that it will not matter.
    """
    damping = torch.full((len(x),), 1.0, dtype=x.dtype)
    x, value = x.clone(), likelihood(x)
    gradient, hessian = _held(derivatives(likelihood, x), held)
    patience = torch.full((len(x),), PATIENCE)
    for step in range(n_steps):
        live = patience > 0
        if step >= GRACE:
            live &= value > value.max() - HOPELESS
        rows = torch.nonzero(live)[:, 0]
        if len(rows) == 0:
            break
        trial = _moved(x[rows], gradient[rows], hessian[rows], damping[rows])
        better = likelihood(trial)
        gain = better - value[rows]
        accept = gain > 0
        went = rows[accept]
        x[went], value[went] = trial[accept], better[accept]
        damping[rows] = torch.where(accept, damping[rows] / 5, damping[rows] * 4).clamp(1e-4, 1e6)
        patience[rows] = torch.where(gain > LEAST_GAIN, PATIENCE, patience[rows] - 1)
        if len(went):
            own = None if held is None else held[went]
            gradient[went], hessian[went] = _held(derivatives(likelihood, x[went]), own)
    return value, x, hessian


def _held(found: tuple[Tensor, Tensor], held: Tensor | None) -> tuple[Tensor, Tensor]:
    """Derivatives with those of a held coordinate of each point taken out."""
    gradient, hessian = found
    if held is not None:
        rows = torch.arange(len(held))
        gradient[rows, held] = 0.0
        hessian[rows, held] = 0.0
        hessian[rows, :, held] = 0.0
        hessian[rows, held, held] = 1.0
    return gradient, hessian


def _moved(x: Tensor, gradient: Tensor, hessian: Tensor, damping: Tensor) -> Tensor:
    """One damped step, [k, d]."""
    system = hessian + damping[:, None, None] * torch.diag_embed(torch.diagonal(hessian, dim1=1, dim2=2))
    move = torch.linalg.solve(system, gradient).clamp(-MAX_MOVE, MAX_MOVE)
    return (x + move).clamp(-MAX_COORDINATE, MAX_COORDINATE)


def derivatives(likelihood: Likelihood, x: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient [k, d] and Gauss-Newton Hessian [k, d, d] of minus ln posterior's negative, at x [k, d]."""
    k, d = x.shape
    step = torch.full((d,), STEP, dtype=x.dtype)
    step[coordinate("redshift")] = REDSHIFT_STEP
    seen = [i for i in range(d - 1) if i not in likelihood.unseen]
    shifted = x[:, None] + torch.diag(step)[seen]
    flux = likelihood.spectra(torch.cat([x, shifted.reshape(-1, d)])).flux
    base, moved = flux[:k], flux[k:].reshape(k, len(seen), -1)
    slope = moved.sub_(base[:, None]).div_(step[seen, None].float())
    residual = (likelihood.spectrum.flux - base)[:, None]
    gradient = torch.zeros_like(x)
    hessian = torch.zeros(k, d, d, dtype=x.dtype)
    chi2 = torch.zeros(k, dtype=x.dtype)
    own, precision = torch.tensor(seen), likelihood.precision(x)
    for arm in likelihood.arms:
        white = arm.whitened(base[:, arm.pixels], precision)
        steep, left = slope[:, :, arm.pixels].contiguous(), residual[:, :, arm.pixels]
        gradient[:, own] += white.inner(steep, left)[..., 0]
        hessian[:, own[:, None], own] += white.inner(steep, steep)
        chi2 += white.inner(left, left)[:, 0, 0]
    _add_noise_scale(likelihood, chi2, gradient, hessian)
    gradient -= x
    hessian += torch.eye(d, dtype=x.dtype)
    return gradient, hessian


def _add_noise_scale(likelihood: Likelihood, chi2: Tensor, gradient: Tensor, hessian: Tensor) -> None:
    """Derivatives with respect to the last coordinate, the noise scale."""
    n_good = likelihood.spectrum.n_good
    gradient[:, -1] = (chi2 - n_good) * NOISE_SCALE_SIGMA
    hessian[:, -1, -1] = 2 * chi2.clamp(min=n_good) * NOISE_SCALE_SIGMA**2
