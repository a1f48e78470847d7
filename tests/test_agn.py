"""Lines that young stars do not make: strengths as asked for, ratios where surveys find them, totals in the spectra."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from galfit_ml.simulate.dust import calzetti, milky_way
from galfit_ml.simulate.galaxies import Galaxies, simple_galaxies
from galfit_ml.simulate.galaxy import GalaxyModel, Pixels
from galfit_ml.simulate.line_fluxes import LINES, line_fluxes
from galfit_ml.simulate.line_ratios import AGN, HALPHA, LIER, OIII, SAME_LINE, missing_lines
from galfit_ml.simulate.prior import GalaxyPrior, coordinate

Z = 0.05
PASSIVE = {"log_formed_mass": 10.5, "log_ssfr": -20.0, "gas_dispersion": 60.0}


@pytest.fixture(scope="module")
def model() -> GalaxyModel:
    return GalaxyModel()


def pixels_around(line: float, half: float, step: float = 0.4) -> Pixels:
    """Pixels of high resolution, in the observed frame at `Z`, around a rest wavelength."""
    edges = np.arange((line - half) * (1 + Z), (line + half) * (1 + Z), step)
    wave = 0.5 * (edges[1:] + edges[:-1])
    return Pixels.from_arrays(wave, [edges], wave / 2e4 / 2.355, (edges[0], edges[-1]))


def line_and_continuum(model: GalaxyModel, galaxies: Galaxies, line: float) -> tuple[Tensor, Tensor]:
    """Flux of one line, [n], and the mean flux density without any line beside it, [n]: the model with lines less the
    model without."""
    pixels = pixels_around(line, 70.0)
    bare = dataclasses.replace(galaxies, log_agn=galaxies.log_agn - math.inf, log_lier=galaxies.log_lier - math.inf)
    made, none = (model.observe(g, pixels).flux.double() for g in (galaxies, bare))
    width = pixels.edges[0].diff()
    rest = pixels.wavelength / (1 + Z)
    inside = (rest - line).abs() < 6
    beside = ((rest - line).abs() > 12) & ((rest - line).abs() < 38)
    return ((made - none) * width)[:, inside].sum(1), none[:, beside].mean(1)


# Strength.


@pytest.mark.parametrize("values", [{}, {"dust_av": 1.5, "dust_eta": 2.5, "dust_slope": -0.3}], ids=["clear", "dusty"])
@pytest.mark.parametrize("old", [True, False], ids=["passive", "star-forming"])
def test_equivalent_width_of_an_agn_is_the_one_asked_for(
    model: GalaxyModel, values: dict[str, float], old: bool
) -> None:
    """Over the starlight that comes out, dusty or not; nebular continuum of young stars is a few per cent here."""
    wanted = torch.tensor([0.1, 3.0, 60.0])
    shape = PASSIVE if old else {**PASSIVE, "log_ssfr": -9.5}
    galaxies = simple_galaxies(3, Z, log_agn=wanted.log10(), **{**shape, **values})
    flux, continuum = line_and_continuum(model, galaxies, OIII)
    width = flux / continuum / (1 + Z)
    torch.testing.assert_close(width, wanted.double(), rtol=0.03 if old else 0.06, atol=0)


def test_equivalent_width_of_a_lier_is_over_the_old_stars(model: GalaxyModel) -> None:
    """A passive galaxy has the width asked for; young stars add continuum but no LIER light."""
    wanted = torch.tensor([0.3, 1.0, 3.0])
    old = simple_galaxies(3, Z, log_lier=wanted.log10(), dust_av=0.7, **PASSIVE)
    flux, continuum = line_and_continuum(model, old, HALPHA)
    torch.testing.assert_close(flux / continuum / (1 + Z), wanted.double(), rtol=0.03, atol=0)
    young = dataclasses.replace(old, history=dataclasses.replace(old.history, log_ssfr=old.history.log_ssfr + 10.7))
    lit, beside = line_and_continuum(model, young, HALPHA)
    assert bool((beside > 1.3 * continuum).all())
    assert bool((lit < 1.001 * flux).all())


def test_strength_does_not_depend_on_the_pixels(model: GalaxyModel) -> None:
    """The same line seen by an instrument that sees next to nothing else."""
    galaxies = simple_galaxies(2, Z, log_agn=1.0, log_lier=0.3, **PASSIVE)
    wide = pixels_around(OIII, 60.0)
    keep = slice(len(wide.wavelength) // 2 - 20, len(wide.wavelength) // 2 + 20)
    edges = wide.edges[0][keep.start : keep.stop + 1]
    narrow = Pixels(wide.wavelength[keep], (edges,), wide.lsf_sigma[keep], wide.band)
    found, expected = model.observe(galaxies, narrow).flux, model.observe(galaxies, wide).flux[:, keep]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)


def test_lines_lie_behind_the_diffuse_dust(model: GalaxyModel) -> None:
    """[O III] is fixed by its width; H-alpha over H-beta reddens by the curve, not by eta times it."""
    clear, dusty = (
        line_fluxes(model, simple_galaxies(1, Z, log_agn=1.5, dust_av=av, dust_eta=3.0, **PASSIVE)) for av in (0.0, 1.2)
    )
    curve = calzetti(torch.tensor([4862.68, 6564.61]))
    expected = 10 ** (0.4 * 1.2 * float(curve[0] - curve[1]))
    found = (dusty["Halpha"] / dusty["Hbeta"]) / (clear["Halpha"] / clear["Hbeta"])
    assert float(found) == pytest.approx(expected, rel=1e-3)


def test_lyman_alpha_of_an_agn_escapes_by_the_galaxys_share(model: GalaxyModel) -> None:
    shares = torch.tensor([0.1, 0.5])
    galaxies = simple_galaxies(2, Z, log_agn=1.0, lya_escape=shares, **PASSIVE)
    light = model.line_luminosities(galaxies)[:, (model.lines.wavelength - 1215.67).abs() < 1]
    torch.testing.assert_close(light[1] / light[0], torch.tensor([5.0]))


# Ratios.


def diagnostics(model: GalaxyModel, galaxies: Galaxies) -> dict[str, Tensor]:
    """log10 of the ratios of the diagnostic diagrams."""
    f = line_fluxes(model, galaxies)
    pairs = {"N2": ("NII6585", "Halpha"), "S2": ("SII6725", "Halpha"), "O1": ("OI6302", "Halpha")}
    out = {name: torch.log10(f[a] / f[b]) for name, (a, b) in pairs.items()}
    return {**out, "O3": torch.log10(f["OIII5008"] / f["Hbeta"])}


def kewley_2001(n2: Tensor) -> Tensor:
    """log [O III] / H-beta of maximal starbursts (Kewley et al. 2001, eq. 5), +inf beyond its pole."""
    return torch.where(n2 < 0.47, 0.61 / (n2 - 0.47) + 1.19, -torch.inf)


def seyfert(d: dict[str, Tensor]) -> Tensor:
    """Above the lines between Seyferts and LI(N)ERs in [S II] and [O I] (Kewley et al. 2006, section 4)."""
    return (d["O3"] > 1.89 * d["S2"] + 0.76) & (d["O3"] > 1.18 * d["O1"] + 1.30)


def test_agn_lie_among_the_seyferts(model: GalaxyModel) -> None:
    hardness = torch.linspace(-2, 2, 9)
    found = diagnostics(model, simple_galaxies(9, Z, log_agn=1.5, agn_hardness=hardness, **PASSIVE))
    assert bool((found["O3"] > kewley_2001(found["N2"])).all())
    assert bool(seyfert(found).all())
    assert bool((found["O3"].diff() > 0).all())
    assert bool((found["N2"].diff() < 0).all())
    assert 0.5 < float(found["O3"].min()) < float(found["O3"].max()) < 1.25


def test_liers_lie_among_the_liers(model: GalaxyModel) -> None:
    found = diagnostics(model, simple_galaxies(1, Z, log_lier=0.0, **PASSIVE))
    assert bool((found["O3"] > kewley_2001(found["N2"])).all())
    assert not bool(seyfert(found).any())
    assert bool((found["O1"] > -1.1).all())


def test_liers_fill_their_locus_and_no_other(model: GalaxyModel) -> None:
    """Belfiore et al. (2016, fig. 3): [N II] / H-alpha of about 0.6 to 1.6, never as much [O III] as a Seyfert."""
    hardness = torch.linspace(-2, 2, 9)
    found = diagnostics(model, simple_galaxies(9, Z, log_lier=0.0, agn_hardness=hardness, **PASSIVE))
    assert not bool(seyfert(found).any())
    assert bool((found["O3"] > kewley_2001(found["N2"]))[hardness >= -0.5].all())
    for name, width in (("N2", 0.10), ("O3", 0.10), ("S2", 0.08), ("O1", 0.10)):
        steps = found[name].diff() / hardness.diff()
        torch.testing.assert_close(steps, torch.full((8,), width), rtol=0, atol=0.02)


def test_star_forming_galaxies_stay_below_the_maximal_starbursts(model: GalaxyModel) -> None:
    """Draws of the prior, whose gas metallicity and ionisation belong together, with next to no other lines."""
    prior = GalaxyPrior((Z, Z), (17.0, 18.0), log_ssfr=(-10.0, -8.5), ionisation_scatter=0.2)
    cube = prior.draw(400, torch.Generator().manual_seed(2))
    for name in ("log_agn", "log_lier"):
        cube[:, coordinate(name)] = 1e-3
    galaxies = dataclasses.replace(prior.transform(cube), log_formed_mass=torch.full((400,), 10.0))
    found = diagnostics(model, galaxies)
    assert float((found["O3"] < kewley_2001(found["N2"])).float().mean()) > 0.97


def test_strong_agn_move_star_forming_galaxies_up_the_mixing_sequence(model: GalaxyModel) -> None:
    strength = torch.linspace(-2, 2, 9)
    galaxies = simple_galaxies(9, Z, log_agn=strength, log_ssfr=-9.8, log_formed_mass=10.0)
    found = diagnostics(model, galaxies)
    above = found["O3"] > kewley_2001(found["N2"])
    assert not bool(above[0])
    assert bool(above[-1])
    assert bool((found["O3"].diff() > 0).all())


@pytest.mark.parametrize(
    ("strong", "weak", "ratio"),
    [(5008.24, 4960.29, 2.98), (6585.27, 6549.86, 3.05), (6302.04, 6365.54, 3.1), (4862.68, 4341.68, 1 / 0.468)],
)
@pytest.mark.parametrize("table", [AGN, LIER], ids=["AGN", "LIER"])
def test_ratios_that_atoms_fix(table: tuple, strong: float, weak: float, ratio: float) -> None:  # type: ignore[type-arg]
    lines = {line.wavelength: line.log_ratio for line in table}
    assert 10 ** (lines[strong] - lines[weak]) == pytest.approx(ratio, rel=1e-6)


@pytest.mark.parametrize("table", [AGN, LIER], ids=["AGN", "LIER"])
def test_no_line_is_listed_twice(table: tuple) -> None:  # type: ignore[type-arg]
    waves = sorted(line.wavelength for line in table)
    assert min(np.diff(waves)) > SAME_LINE


# In spectra.


def test_lines_the_nebular_grid_lacks_are_drawn(model: GalaxyModel) -> None:
    extra = missing_lines(model.grid.line_wavelength.numpy())
    assert {1548.19, 1550.77, 3426.85} <= set(extra)
    galaxies = simple_galaxies(1, Z, log_agn=1.5, **PASSIVE)
    neon, _ = line_and_continuum(model, galaxies, 3426.85)
    reference, _ = line_and_continuum(model, galaxies, OIII)
    assert float(neon / reference) == pytest.approx(10 ** (-0.10 - 0.90), rel=0.01)


@pytest.mark.parametrize("name", ["Hbeta", "OIII5008", "OI6302"])
def test_line_fluxes_are_those_of_the_spectrum(model: GalaxyModel, name: str) -> None:
    values = {**PASSIVE, "log_ssfr": -9.6, "dust_av": 0.8, "dust_eta": 1.7, "ebv": 0.04}
    galaxies = simple_galaxies(2, Z, log_agn=0.5, log_lier=0.4, **values)
    (line,) = LINES[name]
    pixels = pixels_around(line, 40.0)

    class Continuum(GalaxyModel):
        def _draw_lines(self, *_: object) -> None:
            pass

    light = (model.observe(galaxies, pixels).flux - Continuum().observe(galaxies, pixels).flux).double()
    near = (pixels.wavelength / (1 + Z) - line).abs() < 7
    found = (light * pixels.edges[0].diff())[:, near].sum(1)
    torch.testing.assert_close(line_fluxes(model, galaxies)[name].double(), found, rtol=2e-3, atol=0)


def test_line_fluxes_are_seen_through_the_milky_way(model: GalaxyModel) -> None:
    clean, red = (line_fluxes(model, simple_galaxies(1, Z, log_lier=0.0, ebv=e, **PASSIVE)) for e in (0.0, 0.05))
    expected = 10 ** (-0.4 * 0.05 * float(milky_way(torch.tensor(HALPHA * (1 + Z)))))
    assert float(red["Halpha"] / clean["Halpha"]) == pytest.approx(expected, rel=1e-5)


def test_line_fluxes_need_a_mass(model: GalaxyModel) -> None:
    with pytest.raises(ValueError, match=r"log_formed_mass.*Observe first"):
        line_fluxes(model, simple_galaxies(2, Z, magnitude=18.0))


def test_two_components_at_one_redshift_add_up(model: GalaxyModel) -> None:
    """A bulge and a disc, made apart and added, have the mass and the light of both; lines come from each."""
    bulge = simple_galaxies(1, Z, log_formed_mass=10.6, log_ssfr=-12.5, log_lier=0.0, velocity_dispersion=220.0)
    disc = simple_galaxies(1, Z, log_formed_mass=10.2, log_ssfr=-9.8, velocity_dispersion=60.0, dust_av=0.6)
    pixels = pixels_around(6565.0, 60.0)
    parts = [model.observe(g, pixels) for g in (bulge, disc)]
    together = model.observe(
        simple_galaxies(2, Z, log_formed_mass=torch.tensor([10.6, 10.2]), log_ssfr=torch.tensor([-12.5, -9.8]),
            log_lier=torch.tensor([0.0, -math.inf]), velocity_dispersion=torch.tensor([220.0, 60.0]),
            dust_av=torch.tensor([0.0, 0.6])), pixels,
    )  # fmt: skip
    torch.testing.assert_close(together.flux.sum(0), parts[0].flux[0] + parts[1].flux[0], rtol=1e-4, atol=0)
    assert float(parts[1].log_sfr10) == pytest.approx(float(parts[1].log_sfr), abs=1e-3)
    assert float(parts[0].log_stellar_mass) < float(parts[0].log_formed_mass)


def test_with_all_of_it_off_only_young_stars_make_lines(model: GalaxyModel) -> None:
    """Bit for bit what the nebular grid says behind eta times the dust; lines the grid lacks are exactly 0."""
    galaxies = simple_galaxies(3, Z, log_ssfr=-9.0, dust_av=torch.tensor([0.0, 0.5, 2.0]), dust_eta=1.6)
    mass, z_weights = model._formed(galaxies)
    nebular = model._nebular_emission(galaxies, mass, z_weights)[1]
    n_grid = len(model.grid.line_wavelength)
    depth = -0.4 * math.log(10) * galaxies.dust_av[:, None] * calzetti(model.grid.line_wavelength)
    expected = nebular * torch.exp(depth * galaxies.dust_eta[:, None])
    expected[:, (model.grid.line_wavelength - 1215.67).abs() < 1] *= 0.1
    found = model.line_luminosities(galaxies)
    torch.testing.assert_close(found[:, :n_grid], expected, rtol=1e-6, atol=0)
    assert bool((found[:, n_grid:] == 0).all())
