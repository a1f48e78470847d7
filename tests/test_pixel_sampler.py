"""From the stellar grid to pixels: shifts by phase, splines at common positions, edges of the grid."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from galfit_ml.simulate.galaxies import simple_galaxies
from galfit_ml.simulate.lsf import library_variance
from galfit_ml.simulate.pixel_sampler import PixelSampler
from galfit_ml.simulate.pixels import Pixels
from galfit_ml.simulate.populations import default_populations
from galfit_ml.simulate.smoothing import C_KMS, SplineSampler, evaluate_spline, spline_coefficients

GRID = default_populations()
PIXEL = C_KMS * GRID.dln


def bump(n: int, centre: float, sigma: float) -> torch.Tensor:
    """A Gaussian of unit height on n pixels, [1, n] float64."""
    return torch.exp(-0.5 * ((torch.arange(n, dtype=torch.float64) - centre) / sigma) ** 2)[None]


def sampler_of(low: float, high: float) -> PixelSampler:
    edges = np.arange(low, high, 1.0)
    wave = 0.5 * (edges[1:] + edges[:-1])
    pixels = Pixels.from_arrays(wave, [edges], wave / 5e4 / 2.355, (low, high))
    return PixelSampler(GRID, library_variance(GRID), pixels)


@pytest.mark.parametrize("offset", [i / 8 for i in range(9)])
def test_an_offset_moves_spectra_to_the_left(offset: float) -> None:
    moved = spline_coefficients(
        bump(500, 250, 2.0), torch.tensor([30.0]), [0.0], GRID.dln, offset=torch.tensor([offset])
    )
    expected = spline_coefficients(bump(500, 250 - offset, 2.0), torch.tensor([30.0]), [0.0], GRID.dln)
    torch.testing.assert_close(moved[0], expected[0], atol=1e-6, rtol=0)


def test_common_positions_give_the_same_spline() -> None:
    spectra = torch.rand(5, 300, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    position = 2 + 295 * torch.rand(80, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (spline,) = spline_coefficients(spectra, torch.zeros(5, dtype=torch.float64), [0.0], GRID.dln)
    found = SplineSampler(position, torch.float64)(spline).T
    torch.testing.assert_close(found, evaluate_spline([spline], position))


@pytest.mark.parametrize("z", [0.0, 0.1, 0.10003, 0.731])
def test_a_feature_lands_at_its_redshifted_wavelength(z: float) -> None:
    """To 0.2 km/s at any sub-pixel phase, in single precision, whatever else is in the batch."""
    rest = 5000.0
    centre = (math.log(rest) - GRID.ln_wavelength0) / GRID.dln
    sampler = sampler_of(4700 * (1 + z), 5300 * (1 + z))
    galaxies = simple_galaxies(2, torch.tensor([z, z + 0.01], dtype=torch.float64), velocity_dispersion=60.0)
    first, last = sampler.window(galaxies)
    light = bump(len(GRID.wavelength), centre, 1.6).float().expand(2, -1)[:, first:last].contiguous()
    out = sampler.project(light, first, galaxies)[0].double()
    wave = sampler.pixels.wavelength
    near = (wave / (rest * (1 + z)) - 1).abs() < 8 * 100 / C_KMS
    centroid = float((out[near] * wave[near]).sum() / out[near].sum())
    assert abs(centroid / (rest * (1 + z)) - 1) * C_KMS < 0.2
    spread = math.sqrt(float((out[near] * (wave[near] / centroid - 1) ** 2).sum() / out[near].sum())) * C_KMS
    assert spread == pytest.approx(math.hypot(1.6 * PIXEL, 60.0), rel=0.01)


def test_pixels_beyond_the_grid_are_dark() -> None:
    """Below 900 A at rest there is no light, and nothing wraps around from the red end."""
    sampler = sampler_of(3600.0, 5200.0)
    galaxies = simple_galaxies(1, 4.0, velocity_dispersion=100.0)
    first, last = sampler.window(galaxies)
    assert first == 0
    light = torch.ones(1, last - first)
    out = sampler.project(light, first, galaxies)[0]
    rest = sampler.pixels.wavelength / 5
    assert float(out[rest < 895].abs().max()) < 1e-4
    torch.testing.assert_close(out[rest > 910], torch.ones_like(out[rest > 910]), rtol=1e-4, atol=0)


def test_flat_light_stays_flat_up_to_the_last_pixel() -> None:
    """The fading of the ends and the periodic transform stay outside the pixels."""
    sampler = sampler_of(6000.0, 7000.0)
    galaxies = simple_galaxies(2, 0.3, velocity_dispersion=torch.tensor([40.0, 400.0]))
    first, last = sampler.window(galaxies)
    out = sampler.project(torch.ones(2, last - first), first, galaxies)
    torch.testing.assert_close(out, torch.ones_like(out), rtol=1e-5, atol=0)
