"""Interstellar absorption: depth, velocity and equivalent width as asked for, and nothing where nothing is asked."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from galfit_ml.simulate.galaxies import Galaxies, simple_galaxies
from galfit_ml.simulate.galaxy import GalaxyModel, Pixels
from galfit_ml.simulate.interstellar import SODIUM, ULTRAVIOLET, UV_SIGMA, Absorber, InterstellarMedium, Ion
from galfit_ml.simulate.lsf import library_variance
from galfit_ml.simulate.smoothing import C_KMS

MG2, C2, SI2_1526, FE2_1608, AL2, NA_D2 = 2796.3543, 1334.5323, 1526.7070, 1608.4511, 1670.7886, 5891.5833
NARROW = {"velocity_dispersion": 1.0, "log_ssfr": -9.0, "formation_age": 2e9}


@pytest.fixture(scope="module")
def model() -> GalaxyModel:
    return GalaxyModel()


def pixels_of(low: float, high: float, step: float) -> Pixels:
    edges = np.arange(low, high, step)
    wave = 0.5 * (edges[1:] + edges[:-1])
    return Pixels.from_arrays(wave, [edges], wave / 3e4 / 2.355, (low, high))


def transmitted(model: GalaxyModel, galaxies: Galaxies, line: float, z: float) -> tuple[Tensor, Tensor]:
    """Velocity around a line at rest (km/s), and light with absorption over light without, [n, n_pix]; no emission."""
    pixels = pixels_of((1 + z) * line * (1 - 4000 / C_KMS), (1 + z) * line * (1 + 4000 / C_KMS), 0.1 * (1 + z))
    off = dataclasses.replace(
        galaxies, log_ism_depth=galaxies.log_ism_depth - math.inf, log_sodium=galaxies.log_sodium - math.inf
    )

    class Continuum(GalaxyModel):
        def _draw_lines(self, *_: object) -> None:
            pass

    bare = Continuum()
    ratio = bare.observe(galaxies, pixels).flux / bare.observe(off, pixels).flux
    return (pixels.wavelength / (1 + z) / line - 1) * C_KMS, ratio.double()


@pytest.mark.parametrize("depth", [0.05, 0.4, 0.9])
def test_a_saturated_line_is_as_deep_as_the_gas_covers(model: GalaxyModel, depth: float) -> None:
    galaxies = simple_galaxies(1, 1.5, log_formed_mass=10.5, log_ism_depth=math.log10(depth), **NARROW)
    _, ratio = transmitted(model, galaxies, MG2, 1.5)
    assert 1 - float(ratio.min()) == pytest.approx(depth, rel=0.02)


@pytest.mark.parametrize("velocity", [0.0, -150.0, -300.0])
@pytest.mark.parametrize("line", [FE2_1608, AL2])
def test_lines_move_with_the_gas(model: GalaxyModel, velocity: float, line: float) -> None:
    galaxies = simple_galaxies(1, 2.5, log_formed_mass=10.5, log_ism_depth=-0.2, ism_velocity=velocity, **NARROW)
    v, ratio = transmitted(model, galaxies, line, 2.5)
    weight = (1 - ratio[0]) * ((v - velocity).abs() < 900)
    assert float((weight * v).sum() / weight.sum()) == pytest.approx(velocity, abs=4.0)


@pytest.mark.parametrize("depth", [0.01, 0.1, 0.5])
def test_sodium_is_as_deep_as_asked_for_and_moves_with_the_disc(model: GalaxyModel, depth: float) -> None:
    galaxies = simple_galaxies(
        1, 0.05, log_formed_mass=10.5, log_sodium=math.log10(depth), gas_velocity=40.0, velocity_dispersion=1.0
    )
    v, ratio = transmitted(model, galaxies, NA_D2, 0.05)
    assert 1 - float(ratio.min()) == pytest.approx(depth, rel=0.04)
    blue = v < 150
    assert float(v[blue][ratio[0, blue].argmin()]) == pytest.approx(40.0, abs=15.0)
    red = (v - 40.0 - 304.3).abs() < 60  # 5897.56 A
    shares = (1 - float(ratio[0, red].min())) / (1 - float(ratio.min()))
    assert shares == pytest.approx((1 - math.exp(-1)) / (1 - math.exp(-2)), abs=0.03)


def test_velocity_dispersion_keeps_the_equivalent_width(model: GalaxyModel) -> None:
    widths, depths = [], []
    for dispersion in (1.0, 100.0, 250.0):
        galaxies = simple_galaxies(
            1, 2.5, log_formed_mass=10.5, log_ism_depth=-0.3, **{**NARROW, "velocity_dispersion": dispersion}
        )
        v, ratio = transmitted(model, galaxies, AL2, 2.5)
        near = v.abs() < 2000
        widths.append(float(torch.trapezoid((1 - ratio[0])[near], v[near])))
        depths.append(float((1 - ratio).max()))
    assert widths == pytest.approx([widths[0]] * 3, rel=0.05)
    assert depths[0] > depths[1] > depths[2]


def test_equivalent_widths_have_the_ratios_of_lyman_break_galaxies(model: GalaxyModel) -> None:
    """Shapley et al. (2003), table 3, over C II 1334 (1.72 A): rest widths in A, to 30 %."""
    galaxies = simple_galaxies(1, 2.9, log_formed_mass=10.5, log_ism_depth=-0.2, **NARROW)
    width = {}
    for line in (C2, SI2_1526, FE2_1608, AL2):
        v, ratio = transmitted(model, galaxies, line, 2.9)
        near = v.abs() < 1500
        width[line] = float(torch.trapezoid((1 - ratio[0])[near], v[near])) * line / C_KMS
    for line, published in ((SI2_1526, 1.72), (FE2_1608, 0.91), (AL2, 1.04)):
        assert width[line] / width[C2] == pytest.approx(published / 1.72, rel=0.3)


def test_magnesium_is_saturated_and_iron_is_not(model: GalaxyModel) -> None:
    """Ratios of equivalent widths: Mg II 2796 / 2803 near 1 (Weiner et al. 2009), Fe II 2374 / 2382 well below it."""

    depths = {wave: tau for ion in ULTRAVIOLET for wave, tau in ion.depths()}

    def width(line: float) -> float:
        one = (Ion("one line", depths[line], ((line, 1.0),)),)
        light = torch.ones(1, len(model.grid.wavelength))
        Absorber(one, UV_SIGMA, model.grid, library_variance(model.grid)).absorb(
            light, 0, torch.ones(1), torch.zeros(1)
        )
        return float((1 - light).sum())

    assert 1.0 < width(2796.3543) / width(2803.5315) < 1.35
    assert width(2374.4603) / width(2382.7642) < 0.6


def test_depths_follow_oscillator_strengths() -> None:
    (sodium,) = SODIUM
    blue, red = (tau for _, tau in sodium.depths())
    assert blue / red == pytest.approx(5891.5833 * 0.641 / (5897.5581 * 0.320))


def test_any_window_of_the_grid_gives_the_same(model: GalaxyModel) -> None:
    """The tables are cut to the window in view: at its edges, within lines, and where there is no line at all."""
    gas = InterstellarMedium(model.grid, library_variance(model.grid))
    galaxies = simple_galaxies(
        2, 1.0, log_ism_depth=-0.1, ism_velocity=torch.tensor([0.0, -250.0]), log_sodium=torch.tensor([-1.0, -0.4])
    )
    whole = torch.ones(2, len(model.grid.wavelength))
    gas.absorb(whole, 0, galaxies)
    line = int(torch.searchsorted(model.grid.wavelength, MG2))
    for first, last in ((line - 3, line + 400), (line - 400, line + 2), (0, 500), (line + 300, line + 900), (0, 20000)):
        part = torch.ones(2, last - first)
        gas.absorb(part, first, galaxies)
        torch.testing.assert_close(part, whole[:, first:last])
    assert float(whole.min()) < 0.3


def test_light_elsewhere_is_untouched(model: GalaxyModel) -> None:
    pixels = pixels_of(4000, 5600, 2.0)
    on = simple_galaxies(1, 0.02, log_formed_mass=10.0, log_ism_depth=-0.1, log_sodium=-0.5)
    off = simple_galaxies(1, 0.02, log_formed_mass=10.0)
    assert bool((model.observe(on, pixels).flux == model.observe(off, pixels).flux).all())


def test_weak_gas_fades_away(model: GalaxyModel) -> None:
    """At the bottom of the prior the lines no longer matter: below 1 % in the ultraviolet, 0.3 % in Na D."""
    galaxies = simple_galaxies(1, 1.5, log_formed_mass=10.5, log_ism_depth=-2.0, log_sodium=math.log10(0.003), **NARROW)
    for line, z, limit in ((MG2, 1.5, 0.0101), (NA_D2, 1.5, 0.0031)):
        _, ratio = transmitted(model, galaxies, line, z)
        assert float((1 - ratio).max()) < limit
