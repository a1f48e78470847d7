"""An unresolved emission line in every arm of every instrument: its flux, its width and its place."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from galfit_ml.grid import SPEED_OF_LIGHT_KMS, WavelengthGrid, rebin
from galfit_ml.instruments import FWHM_PER_SIGMA, Arm, shipped_instruments
from galfit_ml.simulate.galaxies import simple_galaxies
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.lines import add_lines
from galfit_ml.simulate.pixels import Pixels
from galfit_ml.testing.mocks import pixel_grids

PHASES = np.linspace(0.0, 1.0, 11)
"""Pixels by which a line is off the centre of one."""

EMISSION = 5008.24
"""[O III] in vacuum, angstrom."""

ARMS = [
    pytest.param(arm, grid, id=f"{instrument.name} {arm.name}")
    for instrument in shipped_instruments().values()
    for arm, grid in zip(instrument.arms, pixel_grids(instrument), strict=True)
]


def pixels_of(arm: Arm, grid: WavelengthGrid) -> Pixels:
    sigma = arm.resolution.sigma(grid.centres)
    return Pixels.from_arrays(grid.centres, [grid.edges], sigma, (grid.centres[0], grid.centres[-1]))


def places(grid: WavelengthGrid, share: float) -> np.ndarray:
    """Wavelengths at all phases of a pixel `share` of the way along the arm."""
    pixel = int(share * len(grid))
    return np.asarray(np.interp(PHASES, [0.0, 1.0], grid.centres[pixel : pixel + 2]))


def moments(flux: np.ndarray, grid: WavelengthGrid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flux, centroid and sigma [n] of lines [n, n_pix]."""
    weight = flux * grid.widths
    total = weight.sum(axis=1)
    middle = 0.5 * (grid.edges[1:] + grid.edges[:-1])
    centroid = (weight * middle).sum(axis=1) / total
    variance = (weight * (middle - centroid[:, None]) ** 2).sum(axis=1) / total
    return total, centroid, np.sqrt(variance)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
@pytest.mark.parametrize(("arm", "grid"), ARMS)
def test_an_unresolved_line_is_as_wide_as_the_instrument_says_at_every_phase(
    arm: Arm, grid: WavelengthGrid, share: float
) -> None:
    centre = places(grid, share)
    redshift = torch.as_tensor(centre / EMISSION - 1)
    galaxies = simple_galaxies(len(centre), redshift, gas_dispersion=0.01)
    edges = torch.as_tensor(grid.edges)
    line = torch.as_tensor(centre, dtype=torch.float64)[:, None]
    sigma = GalaxyModel._line_sigma(line, galaxies, pixels_of(arm, grid), 0, edges)
    spectra = add_lines(torch.zeros(len(centre), len(grid)), edges, line, sigma.float(), torch.ones_like(line).float())
    flux, centroid, width = moments(spectra.double().numpy(), grid)
    np.testing.assert_allclose(flux, 1.0, atol=1e-4)
    assert np.abs(centroid / centre - 1).max() * SPEED_OF_LIGHT_KMS < 1.0
    np.testing.assert_allclose(width * FWHM_PER_SIGMA, arm.resolution.sigma(centre) * FWHM_PER_SIGMA, rtol=0.02)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
@pytest.mark.parametrize(("arm", "grid"), ARMS)
def test_a_finely_sampled_line_is_rebinned_without_losing_light_width_or_place(
    arm: Arm, grid: WavelengthGrid, share: float
) -> None:
    centre = places(grid, share)
    near = int(share * len(grid))
    part = grid.edges[max(near - 30, 0) : near + 32]
    native = WavelengthGrid(part, 0.5 * (part[1:] + part[:-1]))
    edges = np.linspace(part[0], part[-1], 10 * len(part))
    fine = WavelengthGrid(edges, 0.5 * (edges[1:] + edges[:-1]))
    optical = np.sqrt(arm.resolution.sigma(centre) ** 2 - grid.widths[near] ** 2 / 12)[:, None]
    flux = np.exp(-0.5 * ((fine.centres - centre[:, None]) / optical) ** 2) / (np.sqrt(2 * np.pi) * optical)
    made = rebin(flux, np.ones_like(flux), np.zeros(flux.shape, dtype=bool), fine, native)
    total, centroid, width = moments(made.flux, native)
    np.testing.assert_allclose(total, 1.0, rtol=1e-4)
    assert np.abs(centroid / centre - 1).max() * SPEED_OF_LIGHT_KMS < 1.0
    np.testing.assert_allclose(width, arm.resolution.sigma(centre), rtol=0.02)
