"""Likelihood of one spectrum: galaxy model, linear errors marginalised, noise scale free.

The data of each arm are d = m (1 + factors) + terms + noise (`galfit_ml_emcee.nuisances`): flux calibration and line
ratios are factors on the model, the sky residual is added to it. The noise is the reported one times a scale with a
log-normal prior.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galfit_ml.redshift_prior import RedshiftPrior
from galfit_ml.simulate.galaxies import Galaxies
from galfit_ml.simulate.galaxy import GalaxyModel, ModelSpectra, Pixels
from galfit_ml.simulate.prior import COORDINATES, GalaxyPrior, log_mass_density
from galfit_ml_emcee.nuisances import ArmErrors, MarginalArm
from galfit_ml_emcee.unseen import unseen

NOISE_SCALE_SIGMA = 0.3
"""Sigma of the prior on ln(noise scale)."""

N_DIM = len(COORDINATES) + 1
"""Sampled dimensions: the unit cube of galaxies and the noise scale."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """One spectrum, trimmed to its good range, ready to be compared with models.

    Args:
        flux, ivar: [n_pix] 1e-17 erg s^-1 cm^-2 A^-1; ivar 0 at bad pixels.
        pixels: where they are.
        errors: linear errors of each arm; together the arms hold all pixels.
        relative: True where the flux has no absolute scale.
    """

    flux: Tensor
    ivar: Tensor
    pixels: Pixels
    errors: tuple[ArmErrors, ...]
    relative: bool

    def with_factors(self, columns: NDArray[np.float64]) -> Spectrum:
        """The same with further columns [n_pix, j] of relative errors."""
        errors = []
        for own in self.errors:
            seen = columns[own.pixels]
            seen = seen[:, np.abs(seen).max(axis=0, initial=0.0) > 0]
            errors.append(replace(own, factors=np.concatenate([own.factors, seen], axis=1)))
        return replace(self, errors=tuple(errors))

    @property
    def n_good(self) -> int:
        """Number of pixels that count."""
        return int((self.ivar > 0).sum())


class Likelihood:
    """Posterior density of one spectrum in probit coordinates, x = ndtri(unit cube).

    There the prior is a standard normal in every direction: a parameter that the data leave alone stays exactly
    Gaussian, which Gauss-Newton steps and Gaussian proposals like.

    Args:
        model: galaxy model.
        spectrum: data.
        prior: density of galaxies; its redshift range is the one sampled.
        redshift: the user's prior, a factor on top.

    Attributes:
        unseen: coordinates that no pixel of the spectrum depends on.
        arms: marginal likelihood of each arm.
    """

    def __init__(self, model: GalaxyModel, spectrum: Spectrum, prior: GalaxyPrior, redshift: RedshiftPrior) -> None:
        self.model, self.spectrum, self.prior, self.redshift = model, spectrum, prior, redshift
        self.unseen = unseen(prior, spectrum.pixels)
        self.arms = [MarginalArm(e, spectrum.flux[e.pixels], spectrum.ivar[e.pixels]) for e in spectrum.errors]

    def galaxies(self, x: Tensor) -> Galaxies:
        """Galaxies at probit coordinates x [n, N_DIM]."""
        return self.prior.transform(torch.special.ndtr(x[:, :-1]))

    def spectra(self, x: Tensor) -> ModelSpectra:
        """Models at probit coordinates x [n, N_DIM]."""
        return self.model.observe(self.galaxies(x), self.spectrum.pixels)

    @staticmethod
    def log_noise_scale(x: Tensor) -> Tensor:
        """ln of the noise scale, [n]."""
        return NOISE_SCALE_SIGMA * x[:, -1]

    @staticmethod
    def precision(x: Tensor) -> Tensor:
        """Noise scale to the power -2, [n]."""
        return torch.exp(-2 * NOISE_SCALE_SIGMA * x[:, -1])

    def log_prior(self, x: Tensor) -> Tensor:
        """ln of the density of probit coordinates under a uniform unit cube, up to a constant, [n]."""
        return -0.5 * (x**2).sum(1)

    def __call__(self, x: Tensor) -> Tensor:
        """ln posterior density, [n], of probit coordinates x [n, N_DIM] float64; -inf where there is no model."""
        return self.evaluate(x)[0]

    def evaluate(self, x: Tensor) -> tuple[Tensor, ModelSpectra, Galaxies]:
        """ln posterior density, models and galaxies at x [n, N_DIM]."""
        galaxies = self.galaxies(x)
        made = self.model.observe(galaxies, self.spectrum.pixels)
        value = self.log_prior(x) + self.log_likelihood(made.flux, x)
        if not self.spectrum.relative:
            value = value + log_mass_density(made.log_stellar_mass)
        if self.redshift.distribution is not None:
            value = value + torch.as_tensor(self.redshift.log_density(galaxies.redshift.numpy()))
        return torch.where(torch.isfinite(value), value, -torch.inf), made, galaxies

    def log_likelihood(self, flux: Tensor, x: Tensor) -> Tensor:
        """ln likelihood of model fluxes [n, n_pix] with the noise scales of x [n, N_DIM], [n] float64."""
        precision = self.precision(x)
        parts = [arm.log_likelihood(flux[:, arm.pixels], precision) for arm in self.arms]
        return torch.stack(parts).sum(0) - self.spectrum.n_good * self.log_noise_scale(x)

    def corrections(self, flux: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """The most probable factor on model fluxes [n, n_pix] and term added to them, both [n, n_pix]."""
        precision = self.precision(x)
        pairs = [arm.most_probable(flux[:, arm.pixels], precision) for arm in self.arms]
        factor, term = (torch.cat(part, dim=1) for part in zip(*pairs, strict=True))
        return factor, term
