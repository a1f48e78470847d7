"""Likelihood of one spectrum: galaxy model, calibration error marginalised, noise scale free.

The data are d = m (1 + sum_j c_j P_j) + noise, P_j Chebyshev polynomials of each arm and c_j Gaussian with the
simulator's widths. With B = m P the c_j are integrated out in closed form (the matrix inversion lemma), so that no
polynomial coefficient is sampled. The noise is the reported one times a scale with a log-normal prior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galfit_ml.instruments import Instrument
from galfit_ml.redshift_prior import RedshiftPrior
from galfit_ml.simulate.galaxy import GalaxyModel, ModelSpectra, Pixels
from galfit_ml.simulate.prior import COORDINATES, GalaxyPrior, log_mass_density
from galfit_ml_emcee.unseen import unseen

NOISE_SCALE_SIGMA = 0.3
"""Sigma of the prior on ln(noise scale)."""

N_DIM = len(COORDINATES) + 1
"""Sampled dimensions: the unit cube of galaxies and the noise scale."""


@dataclass(frozen=True)
class Calibration:
    """Smooth calibration error as a linear model.

    Args:
        basis: [n_pix, j] Chebyshev polynomials, zero outside their arm.
        sigma: [j] prior widths of their coefficients.
    """

    basis: Tensor
    sigma: Tensor

    @classmethod
    def of(cls, instrument: Instrument, wavelength: NDArray[np.float64], arm: NDArray[np.int64]) -> Calibration:
        """The instrument's calibration error: an offset and polynomials per arm, of the rms it states."""
        order = instrument.calibration_order
        columns, widths = [], []
        for number in np.unique(arm):
            inside = arm == number
            low, high = wavelength[inside].min(), wavelength[inside].max()
            x = np.where(inside, 2 * (wavelength - low) / max(high - low, 1e-9) - 1, 0.0)
            for k in range(order + 1):
                columns.append(np.where(inside, np.cos(k * np.arccos(np.clip(x, -1, 1))), 0.0))
                smooth = instrument.calibration_rms * np.sqrt(2.0 / max(order, 1))
                widths.append(instrument.calibration_offset if k == 0 else smooth)
        return cls(torch.as_tensor(np.stack(columns, axis=1)).float(), torch.as_tensor(widths, dtype=torch.float64))

    def extended(self, basis: NDArray[np.float64], sigma: NDArray[np.float64]) -> Calibration:
        """The same with further columns [n_pix, j] of prior widths [j]."""
        wider = torch.cat([self.basis, torch.as_tensor(basis).float()], dim=1)
        return Calibration(wider.contiguous(), torch.cat([self.sigma, torch.as_tensor(sigma, dtype=torch.float64)]))


@dataclass(frozen=True, eq=False)
class Spectrum:
    """One spectrum, trimmed to its good range, ready to be compared with models.

    Args:
        flux, ivar: [n_pix] 1e-17 erg s^-1 cm^-2 A^-1; ivar 0 at bad pixels.
        pixels: where they are.
        calibration: its linear nuisance model.
        relative: True where the flux has no absolute scale.
    """

    flux: Tensor
    ivar: Tensor
    pixels: Pixels
    calibration: Calibration
    relative: bool

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
    """

    def __init__(self, model: GalaxyModel, spectrum: Spectrum, prior: GalaxyPrior, redshift: RedshiftPrior) -> None:
        self.model, self.spectrum, self.prior, self.redshift = model, spectrum, prior, redshift
        self.unseen = unseen(prior, spectrum.pixels)
        basis = spectrum.calibration.basis
        self._pairs = torch.triu_indices(basis.shape[1], basis.shape[1])
        self._products = (basis[:, self._pairs[0]] * basis[:, self._pairs[1]]).contiguous()

    def spectra(self, x: Tensor) -> ModelSpectra:
        """Models at probit coordinates x [n, N_DIM]."""
        return self.model.observe(self.prior.transform(torch.special.ndtr(x[:, :-1])), self.spectrum.pixels)

    @staticmethod
    def log_noise_scale(x: Tensor) -> Tensor:
        """ln of the noise scale, [n]."""
        return NOISE_SCALE_SIGMA * x[:, -1]

    def log_prior(self, x: Tensor) -> Tensor:
        """ln of the density of probit coordinates under a uniform unit cube, up to a constant, [n]."""
        return -0.5 * (x**2).sum(1)

    def __call__(self, x: Tensor) -> Tensor:
        """ln posterior density, [n], of probit coordinates x [n, N_DIM] float64; -inf where there is no model."""
        made = self.spectra(x)
        value = self.log_prior(x) + self.log_likelihood(made.flux, self.log_noise_scale(x))
        if not self.spectrum.relative:
            value = value + log_mass_density(made.log_stellar_mass)
        if self.redshift.distribution is not None:
            z = self.prior.transform(torch.special.ndtr(x[:, :-1])).redshift
            value = value + torch.as_tensor(self.redshift.log_density(z.numpy()))
        return torch.where(torch.isfinite(value), value, -torch.inf)

    def log_likelihood(self, flux: Tensor, log_scale: Tensor) -> Tensor:
        """ln likelihood of model fluxes [n, n_pix] with noise scales, calibration marginalised, [n] float64."""
        residual = self.spectrum.flux - flux
        weighted = residual * self.spectrum.ivar
        chi2 = (residual * weighted).sum(1, dtype=torch.float64)
        normal, right = self.normal_equations(flux, weighted)
        precision = torch.exp(-2 * log_scale)
        system = normal * precision[:, None, None] + torch.diag(self.spectrum.calibration.sigma**-2)
        right = right * precision[:, None]
        # A walker far out may overflow: its density is zero, and the others must not suffer.
        sound = torch.isfinite(system).all(dim=2).all(dim=1)
        identity = torch.eye(system.shape[1], dtype=system.dtype)
        factor, failed = torch.linalg.cholesky_ex(torch.where(sound[:, None, None], system, identity))
        half = torch.linalg.solve_triangular(factor, right[..., None], upper=False)[..., 0]
        log_det = 2 * torch.log(torch.diagonal(factor, dim1=1, dim2=2)).sum(1)
        log_det = log_det + 2 * torch.log(self.spectrum.calibration.sigma).sum()
        gain = (half**2).sum(1) - log_det
        value = -0.5 * (chi2 * precision - gain) - self.spectrum.n_good * log_scale
        return torch.where(sound & (failed == 0), value, -torch.inf)

    def normal_equations(self, flux: Tensor, weighted_residual: Tensor) -> tuple[Tensor, Tensor]:
        """B' W B [n, j, j] and B' W r [n, j] for B = flux x basis, float64."""
        basis = self.spectrum.calibration.basis
        j = basis.shape[1]
        upper = ((flux * flux * self.spectrum.ivar) @ self._products).double()
        normal = torch.zeros(len(flux), j, j, dtype=torch.float64)
        normal[:, self._pairs[0], self._pairs[1]] = upper
        normal[:, self._pairs[1], self._pairs[0]] = upper
        return normal, ((flux * weighted_residual) @ basis).double()

    def calibrated(self, flux: Tensor, log_scale: Tensor) -> Tensor:
        """Model fluxes [n, n_pix] times their most probable calibration, [n, n_pix]."""
        normal, right = self.normal_equations(flux, (self.spectrum.flux - flux) * self.spectrum.ivar)
        precision = torch.exp(-2 * log_scale)
        system = normal * precision[:, None, None] + torch.diag(self.spectrum.calibration.sigma**-2)
        coefficients = torch.linalg.solve(system, right * precision[:, None])
        return flux * (1 + coefficients.float() @ self.spectrum.calibration.basis.T)
