"""Velocity smoothing, sub-pixel shifts and the blend of copies that stands for a line-spread function."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from torch import Tensor

from galfit_ml.simulate.lsf import SPREADS, blends, library_variance
from galfit_ml.simulate.populations import default_populations
from galfit_ml.simulate.smoothing import C_KMS, evaluate_spline, fast_length, lagrange, spline_coefficients

DLN = default_populations().dln
PIXEL = C_KMS * DLN
"""Width of a pixel of the fine grid, km/s: 50."""


def gaussian(n: int, centre: float, sigma: float, dtype: torch.dtype = torch.float64) -> Tensor:
    """A Gaussian of unit height on n pixels, [1, n]."""
    x = torch.arange(n, dtype=torch.float64)
    return torch.exp(-0.5 * ((x - centre) / sigma) ** 2)[None].to(dtype)


def smooth(spectra: Tensor, dispersion: float, variance: float = 0.0) -> list[Tensor]:
    return spline_coefficients(spectra, torch.full((len(spectra),), dispersion, dtype=spectra.dtype), [variance], DLN)


def moments(flux: Tensor, position: Tensor) -> tuple[float, float]:
    """Centroid and sigma, in the unit of `position`."""
    f, p = flux.double().reshape(-1), position.double().reshape(-1)
    centre = float((f * p).sum() / f.sum())
    return centre, math.sqrt(float((f * (p - centre) ** 2).sum() / f.sum()))


@pytest.mark.parametrize("n", [2, 7, 100, 1023, 5000, 6500, 19999, 20000])
def test_fast_length_is_even_smooth_and_close(n: int) -> None:
    size = fast_length(n)
    assert n <= size < 1.1 * n + 10
    assert size % 2 == 0
    for factor in (2, 3, 5):
        while size % factor == 0:
            size //= factor
    assert size == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dispersion", [30.0, 40.0, 100.0, 250.0, 400.0])
def test_widths_add_in_quadrature(dispersion: float, dtype: torch.dtype) -> None:
    narrow = 1.6  # pixels: 80 km/s, the library's own width
    position = torch.arange(100.0, 900.0, dtype=torch.float64)
    flux = evaluate_spline(smooth(gaussian(1000, 500.3, narrow, dtype), dispersion), position)
    centre, sigma = moments(flux, position)
    assert sigma * PIXEL == pytest.approx(math.hypot(narrow * PIXEL, dispersion), rel=0.01)
    assert abs(centre - 500.3) * PIXEL < 0.1
    assert float(flux.sum()) == pytest.approx(narrow * math.sqrt(2 * math.pi), rel=1e-4)


def test_extra_variance_is_dispersion_under_another_name() -> None:
    spectra = gaussian(500, 250.0, 2.0)
    position = torch.linspace(50, 450, 301, dtype=torch.float64)
    expected = evaluate_spline(smooth(spectra, 130.0), position)
    torch.testing.assert_close(evaluate_spline(smooth(spectra, 50.0, 120.0**2), position), expected)
    per_galaxy = spline_coefficients(spectra, torch.tensor([50.0]), [torch.tensor([120.0**2])], DLN)
    torch.testing.assert_close(evaluate_spline(per_galaxy, position), expected)


def test_dispersion_is_each_spectrums_own() -> None:
    spectra = gaussian(500, 250.0, 2.0).expand(3, -1)
    dispersion = torch.tensor([40.0, 100.0, 300.0], dtype=torch.float64)
    position = torch.arange(50.0, 450.0, dtype=torch.float64)
    flux = evaluate_spline(spline_coefficients(spectra, dispersion, [0.0], DLN), position)
    widths = [moments(row, position)[1] * PIXEL for row in flux]
    assert widths == pytest.approx(np.hypot(100.0, dispersion.numpy()), rel=0.01)


def test_interpolation_is_the_cubic_b_spline_of_scipy() -> None:
    spectra = torch.rand(3, 256, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    position = 20 + 215 * torch.rand(3, 400, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    found = evaluate_spline(smooth(spectra, 0.0), position)
    for row in range(3):
        expected = map_coordinates(spectra[row].numpy(), position[row][None].numpy(), order=3, mode="grid-wrap")
        np.testing.assert_allclose(found[row], expected, rtol=1e-9)


def test_interpolation_of_a_smooth_spectrum_is_its_value() -> None:
    position = torch.linspace(400, 600, 2001, dtype=torch.float64)
    found = evaluate_spline(smooth(gaussian(1000, 500.2, 2.5), 0.0), position)
    expected = torch.exp(-0.5 * ((position - 500.2) / 2.5) ** 2)[None]
    torch.testing.assert_close(found, expected, atol=3e-4, rtol=0)


@pytest.mark.parametrize("shift", [i / 16 for i in range(-16, 17)])
def test_sub_pixel_shifts_are_exact_to_a_tenth_of_a_km_per_s(shift: float) -> None:
    position = torch.arange(100.0, 900.0, dtype=torch.float64)
    splines = smooth(gaussian(1000, 500.0, 1.6, torch.float32), 40.0)
    flux = evaluate_spline(splines, position, shift=torch.tensor([shift], dtype=torch.float64))
    assert abs(moments(flux, position)[0] - (500.0 + shift)) * PIXEL < 0.1


def test_a_shift_moves_the_positions() -> None:
    generator = torch.Generator().manual_seed(6)
    spectra = torch.rand(4, 300, generator=generator, dtype=torch.float64)
    shift = 40 * torch.rand(4, generator=generator, dtype=torch.float64) - 20
    position = 100 + 100 * torch.rand(50, generator=generator, dtype=torch.float64)
    splines = smooth(spectra, 60.0)
    expected = evaluate_spline(splines, position - shift[:, None])
    torch.testing.assert_close(evaluate_spline(splines, position, shift=shift), expected)


def test_positions_outside_give_the_nearest_value_inside() -> None:
    splines = smooth(torch.rand(2, 64, generator=torch.Generator().manual_seed(7), dtype=torch.float64), 50.0)
    ends = evaluate_spline(splines, torch.tensor([1.0, 62.0], dtype=torch.float64))
    outside = evaluate_spline(splines, torch.tensor([-5.0, 0.4, 62.7, 80.0], dtype=torch.float64))
    torch.testing.assert_close(outside, ends[:, [0, 0, 1, 1]])


def test_lagrange_weights_reproduce_polynomials() -> None:
    nodes, value = [-0.9, 0.1, 0.4, 1.3], torch.linspace(-1, 1.5, 30, dtype=torch.float64)
    weights = lagrange(nodes, value)
    torch.testing.assert_close(sum(weights), torch.ones_like(value))  # type: ignore[arg-type]
    for power in (1, 2, 3):
        found = sum(w * node**power for w, node in zip(weights, nodes, strict=True))
        torch.testing.assert_close(found, value**power)


# The blend against one smoothing per pixel.


def excess_of_spread(spread: float, dispersion: float, n_pix: int) -> Tensor:
    """Variances [n_pix] in random order whose ln(dispersion^2 + 30^2 + variance) spans `spread`."""
    base = dispersion**2 + 30.0**2
    variances = base * torch.linspace(0, spread, n_pix, dtype=torch.float64).exp() - base
    return variances[torch.randperm(n_pix, generator=torch.Generator().manual_seed(8))]


@pytest.mark.parametrize("age", [10, 25, 40])
@pytest.mark.parametrize("dispersion", [40.0, 200.0])
@pytest.mark.parametrize("spread", SPREADS)
def test_a_blend_equals_smoothing_every_pixel_by_itself(spread: float, dispersion: float, age: int) -> None:
    spectrum = default_populations().stars[4, age][5000:9096].double()[None]
    position = torch.linspace(500, 3600, 60, dtype=torch.float64)
    excess = excess_of_spread(spread * 0.999, dispersion, len(position))
    sigma = torch.tensor([dispersion], dtype=torch.float64)
    (blend,) = blends(excess[None], sigma)
    found = evaluate_spline(spline_coefficients(spectrum, sigma, blend.variances, DLN), position, blend.weights)[0]
    exact = spline_coefficients(spectrum, sigma, excess.tolist(), DLN)
    expected = torch.stack([evaluate_spline([c], p[None])[0, 0] for c, p in zip(exact, position, strict=True)])
    torch.testing.assert_close(found, expected, rtol=5e-4, atol=0)


def test_the_number_of_copies_follows_the_spread() -> None:
    counts = []
    for spread in (*(0.999 * s for s in SPREADS), 3.5):
        (blend,) = blends(excess_of_spread(spread, 100.0, 40)[None], torch.tensor([100.0], dtype=torch.float64))
        counts.append(len(blend.variances))
    assert counts == [1, 2, 3, 4, 5, 6, 7]


def test_a_galaxys_blend_does_not_depend_on_the_others() -> None:
    excess = torch.stack([excess_of_spread(s, 90.0, 40) for s in (0.5, 0.0, 1.0, 0.1, 0.6)])
    dispersion = torch.tensor([90.0, 300.0, 60.0, 90.0, 40.0], dtype=torch.float64)
    seen = []
    for blend in blends(excess, dispersion):
        assert blend.rows is not None
        for place, row in enumerate(blend.rows.tolist()):
            seen.append(row)
            (alone,) = blends(excess[row : row + 1], dispersion[row : row + 1])
            assert [v[place].item() for v in blend.variances] == [v.item() for v in alone.variances]
            assert (blend.weights is None) == (alone.weights is None)
    assert sorted(seen) == [0, 1, 2, 3, 4]


def test_nothing_to_add_is_one_copy_without_variance() -> None:
    (blend,) = blends(None, torch.tensor([40.0, 100.0]))
    assert blend.rows is None
    assert blend.weights is None
    assert blend.variances[0].tolist() == [0.0, 0.0]


def test_library_variance_contains_its_pixel() -> None:
    grid = default_populations()
    variance = library_variance(grid)
    pixel = int(torch.searchsorted(grid.wavelength, 5000.0))
    sigma = np.interp(5000.0, grid.lsf_wavelength.numpy(), grid.lsf_sigma.numpy())
    assert variance[pixel].item() == pytest.approx(sigma**2 + PIXEL**2 / 12, rel=1e-3)
