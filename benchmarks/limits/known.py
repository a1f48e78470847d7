"""The reference with a known template: each object's own noiseless spectrum, at every redshift."""

from __future__ import annotations

import torch
from torch import Tensor

from galfit_ml.instruments import Instrument
from galfit_ml.simulate.galaxies import Galaxies
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml_emcee.library.amplitude import log_integral
from galfit_ml_emcee.library.axis import ScanAxis
from galfit_ml_emcee.library.correlate import correlate
from galfit_ml_emcee.library.data import ScanData
from galfit_ml_emcee.library.templates import grid_pixels


@torch.no_grad()
def rest_spectra(galaxies: Galaxies, instrument: Instrument, axis: ScanAxis, model: GalaxyModel) -> Tensor:
    """Noiseless spectra at all rest-frame grid points that any redshift of the axis needs, [n, n_pix + n_z - 1].

    Where a spectrum leaves the instrument's range it is seen with the line-spread function at the nearest end.
    """
    first, n_rest = axis.everything.stop - 1, axis.n_pix + len(axis.everything) - 1
    rows = []
    for number in range(len(galaxies)):
        galaxy = galaxies.take(slice(number, number + 1))
        stretch = 1.0 + float(galaxy.redshift[0])
        pixels = grid_pixels(instrument, axis.points(-first, n_rest - first) * stretch)
        rows.append(model.observe(galaxy, pixels.to(model.device)).flux)
    return torch.cat(rows) if rows else torch.zeros(0, n_rest)


@torch.no_grad()
def known_log_posterior(data: ScanData, spectra: Tensor, axis: ScanAxis) -> Tensor:
    """ln p(z) [n, n_z], up to a constant per spectrum, of each spectrum under its own template, in float64.

    Prior flat in ln(1 + z) and in the logarithm of the amplitude; with rho^2 the drop of chi^2 against no galaxy,
    ln p is rho^2 / 2 - ln(rho^2 - 2) / 2.

    Args:
        data: n spectra.
        spectra: [n, n_pix + n_z - 1] from `rest_spectra`.
        axis: grid of both.
    """
    n_lag = len(axis.everything)
    linear, square = known_terms(data, spectra / spectra.square().mean(1, keepdim=True).sqrt(), n_lag)
    return log_integral(linear, square)


def known_terms(data: ScanData, spectra: Tensor, n_lag: int) -> tuple[Tensor, Tensor]:
    """Data term and quadratic term of each spectrum's own template at each redshift, both [n, n_lag]."""
    here = data.to(spectra.device, torch.float64)
    rest = spectra.double()
    steps = torch.nn.functional.pad(rest.diff(dim=1), (0, 1))
    linear = correlate(here.data, rest, n_lag)
    square = correlate(here.weight, rest.square(), n_lag) - correlate(here.slope, steps.square(), n_lag)
    for number in range(here.modes.shape[1]):
        square -= correlate(here.modes[:, number], rest, n_lag).square()
    return linear, square
