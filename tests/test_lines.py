"""Emission lines on pixels: flux, centroid and width at every sub-pixel phase, against the dense formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf
from torch import Tensor

from galfit_ml.simulate.density import DOUBLETS, OXYGEN, SULPHUR, Doublet, find_doublets, split_doublets
from galfit_ml.simulate.lines import N_SIGMA, add_lines
from galfit_ml.simulate.smoothing import C_KMS

GRIDS = {
    "linear": 7000.0 + 0.7 * torch.arange(301, dtype=torch.float64),
    "logarithmic": 7000.0 * torch.exp(2.302585e-4 * torch.arange(301, dtype=torch.float64)),
}
PHASES = [i / 16 for i in range(16)]
WIDTHS = [0.6, 1.15, 4.0]
"""Sigma in pixels: narrower than any line-spread function in use, 2.7 pixels per FWHM, resolved."""


def dense(edges: Tensor, centre: Tensor, sigma: Tensor, flux: Tensor) -> np.ndarray:
    """The same integral for every pixel and line, in double precision, [n_pix]."""
    e, c, s = edges.numpy(), centre.double().numpy()[:, None], sigma.double().numpy()[:, None]
    below = 0.5 * erf((e - c) / (s * 2**0.5))
    share: np.ndarray = (flux.double().numpy()[:, None] * np.diff(below, axis=1)).sum(0) / np.diff(e)
    return share


def one_line(edges: Tensor, phase: float, width: float) -> tuple[np.ndarray, float, float]:
    """Flux in each pixel of a line of flux 3 near the middle, its centre and sigma (A)."""
    pixel = float(edges[151] - edges[150])
    centre, sigma = float(edges[150]) + phase * pixel, width * pixel
    spectrum = torch.zeros(1, len(edges) - 1)
    arguments = [torch.tensor([[value]], dtype=torch.float64) for value in (centre, sigma, 3.0)]
    add_lines(spectrum, edges, arguments[0], arguments[1].float(), arguments[2].float())
    return spectrum[0].double().numpy() * edges.diff().numpy(), centre, sigma


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("grid", GRIDS)
def test_flux_centroid_and_width_at_every_phase(grid: str, phase: float, width: float) -> None:
    edges = GRIDS[grid]
    flux, centre, sigma = one_line(edges, phase, width)
    middle = (0.5 * (edges[1:] + edges[:-1])).numpy()
    assert flux.sum() == pytest.approx(3.0, rel=1e-4)
    centroid = (flux * middle).sum() / flux.sum()
    assert abs(centroid / centre - 1) * C_KMS < 1.0
    pixel = float(edges[151] - edges[150])
    # A pixel adds the variance of a box (Sheppard's correction).
    variance = (flux * (middle - centroid) ** 2).sum() / flux.sum() - pixel**2 / 12
    assert variance**0.5 == pytest.approx(sigma, rel=0.02)


lines = st.tuples(st.floats(6990, 7230), st.floats(0.2, 20), st.floats(-2, 5))


@settings(max_examples=40)
@given(st.lists(lines, min_size=1, max_size=12), st.sampled_from(sorted(GRIDS)))
def test_equals_the_dense_formula(drawn: list[tuple[float, float, float]], grid: str) -> None:
    centre, sigma, flux = torch.tensor(drawn, dtype=torch.float64).T
    spectrum = torch.zeros(1, 300)
    add_lines(spectrum, GRIDS[grid], centre[None], sigma[None].float(), flux[None].float())
    expected = dense(GRIDS[grid], centre, sigma, flux)
    tail = 1e-6 * (flux.abs() / sigma).sum().item()
    np.testing.assert_allclose(spectrum[0].double().numpy(), expected, rtol=1e-4, atol=tail + 1e-6)


def test_spectra_of_a_batch_are_independent() -> None:
    generator = torch.Generator().manual_seed(2)
    edges = GRIDS["logarithmic"]
    centre = 7000 + 500 * torch.rand(9, 20, generator=generator, dtype=torch.float64)
    sigma, flux = 1 + 4 * torch.rand(9, 20, generator=generator), torch.rand(9, 20, generator=generator)
    together = add_lines(torch.zeros(9, 300), edges, centre, sigma, flux)
    for row in range(9):
        alone = add_lines(torch.zeros(1, 300), edges, centre[row][None], sigma[row][None], flux[row][None])
        torch.testing.assert_close(alone[0], together[row])
        np.testing.assert_allclose(together[row], dense(edges, centre[row], sigma[row], flux[row]), atol=2e-6)


def test_is_added_to_what_is_there() -> None:
    edges = GRIDS["linear"]
    before = torch.rand(1, 300, generator=torch.Generator().manual_seed(1))
    line = (torch.tensor([[7100.0]], dtype=torch.float64), torch.tensor([[2.0]]), torch.tensor([[5.0]]))
    spectrum = before.clone()
    returned = add_lines(spectrum, edges, *line)
    assert returned is spectrum
    torch.testing.assert_close(spectrum - before, add_lines(torch.zeros(1, 300), edges, *line), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("centre", "share"), [(7000.0, 0.5), (7210.0, 0.5), (6900.0, 0.0), (7300.0, 0.0)])
def test_only_what_falls_on_the_detector_counts(centre: float, share: float) -> None:
    edges = GRIDS["linear"]
    line = (torch.tensor([[centre]], dtype=torch.float64), torch.tensor([[2.0]]), torch.tensor([[1.0]]))
    spectrum = add_lines(torch.zeros(1, 300), edges, *line)
    assert float((spectrum[0] * edges.diff()).sum()) == pytest.approx(share, abs=1e-5)


def test_an_arm_is_drawn_at_its_own_place() -> None:
    blue, red = GRIDS["linear"][:101], GRIDS["linear"][201:]
    centre = torch.tensor([[7070.0, 7100.0, 7140.0, 7210.0]] * 2, dtype=torch.float64)
    sigma, flux = torch.full((2, 4), 2.0), torch.tensor([[1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0]])
    both = torch.zeros(2, 199)
    add_lines(both, blue, centre, sigma, flux)
    add_lines(both, red, centre, sigma, flux, start=100)
    torch.testing.assert_close(both[:, :100], add_lines(torch.zeros(2, 100), blue, centre, sigma, flux))
    torch.testing.assert_close(both[:, 100:], add_lines(torch.zeros(2, 99), red, centre, sigma, flux))
    assert float(both[0, 95:102].sum()) > 0


def test_no_line_leaves_the_spectrum_alone() -> None:
    spectrum = torch.ones(2, 300)
    nothing = torch.zeros(2, 3)
    add_lines(spectrum, GRIDS["linear"], 7100.0 + nothing.double(), 1 + nothing, nothing)
    assert bool((spectrum == 1).all())


def test_what_is_left_out_is_below_the_promise() -> None:
    assert 1 - erf(N_SIGMA / 2**0.5) < 6e-7


# Doublets that tell the density.


@pytest.mark.parametrize(
    ("doublet", "low", "high", "critical"), [(OXYGEN, 1.458, 0.377, (1e2, 1e4)), (SULPHUR, 1.450, 0.4315, (1e2, 1e4))]
)
def test_doublets_have_the_limits_of_atomic_physics(
    doublet: Doublet, low: float, high: float, critical: tuple[float, float]
) -> None:
    """Collision strengths of the levels at low density (near 6 : 4), transition probabilities at high density."""
    ratio = doublet.ratio(torch.linspace(-2, 7, 200, dtype=torch.float64))
    assert float(ratio[0]) == pytest.approx(low, abs=2e-3)
    assert float(ratio[-1]) == pytest.approx(high, abs=2e-3)
    assert bool((ratio.diff() < 0).all())
    middle = 0.5 * (low + high)
    density = 10 ** torch.linspace(-2, 7, 200)[int((ratio < middle).int().argmax())]
    assert critical[0] < float(density) < critical[1]


def test_the_ratio_is_of_the_right_lines() -> None:
    """[O II]: the redder line is the stronger at low density, [S II]: the bluer one."""
    thin = torch.tensor(0.0)
    assert float(OXYGEN.blue_share(thin)) == pytest.approx(1 / 2.458, abs=1e-3)
    assert float(SULPHUR.blue_share(thin)) == pytest.approx(1.45 / 2.45, abs=1e-3)


def test_splitting_keeps_totals_and_other_lines() -> None:
    wave = torch.tensor([3727.09, 3729.87, 5008.24, 6718.29, 6732.68])
    before = torch.rand(4, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    density = torch.tensor([1.0, 2.0, 3.5, torch.nan], dtype=torch.float64)
    after = split_doublets(before.clone(), density, find_doublets(wave))
    torch.testing.assert_close(after[:, :2].sum(1), before[:, :2].sum(1))
    torch.testing.assert_close(after[:, 3:].sum(1), before[:, 3:].sum(1))
    torch.testing.assert_close(after[:, 2], before[:, 2])
    torch.testing.assert_close(after[3], before[3])
    torch.testing.assert_close(after[:3, 1] / after[:3, 0], OXYGEN.ratio(density[:3]))
    torch.testing.assert_close(after[:3, 3] / after[:3, 4], SULPHUR.ratio(density[:3]))


def test_a_grid_without_the_doublets_has_none() -> None:
    assert find_doublets(torch.tensor([3727.09, 5008.24])) == []
    assert len(find_doublets(torch.tensor([3727.0, 3730.0, 6718.0, 6733.0]))) == len(DOUBLETS)
