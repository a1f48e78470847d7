"""The population `moonrise` against the papers it is made from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from astropy.cosmology import Planck18

from galfit_ml.instruments import get_instrument
from galfit_ml.simulate.cosmology import Cosmology
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.spectrograph import Spectrograph
from galfit_ml.simulate.surveys import mass_function as masses
from galfit_ml.simulate.surveys import scaling_relations as relations
from galfit_ml.simulate.surveys import survey
from galfit_ml.simulate.surveys.bulge_disc import Whole, draw_whole, split
from galfit_ml.simulate.surveys.mass_draws import MassDraws
from galfit_ml.simulate.surveys.moonrise import MoonrisePopulation
from galfit_ml.simulate.surveys.rest_frame import with_stellar_mass

TOMCZAK_MASS = np.arange(8.25, 11.3, 0.25)
TOMCZAK = {
    "star-forming": (
        masses.STAR_FORMING,
        [1.60, 1.67, 1.83, 1.92, 2.09, 2.19, 2.28, 2.39, 2.55, 2.76, 3.00, 3.46, 4.3],
    ),
    "quiescent": (masses.QUIESCENT, [np.nan, 2.42, 2.58, 2.77, 2.75, 2.94, 2.99, 2.83, 2.78, 2.75, 2.75, 2.93, 3.37]),
}
"""-log10 of the densities that Tomczak et al. (2014, table 1) measured at 0.5 < z < 0.75, in bins of Chabrier mass."""


@pytest.mark.parametrize("kind", TOMCZAK)
def test_the_mass_functions_go_through_the_published_points(kind: str) -> None:
    function, minus_log = TOMCZAK[kind]
    found = np.log10(function.density(TOMCZAK_MASS + masses.KROUPA_OVER_CHABRIER, 0.625))
    # Their errors are 0.06-0.12 dex a point.
    assert np.nanstd(found + minus_log) < 0.08
    assert abs(np.nanmean(found + minus_log)) < 0.05


def test_the_quenched_fraction_agrees_with_another_survey() -> None:
    """Muzzin et al. (2013, abstract and fig. 5): at z < 1 half of the galaxies of 10^10.7-10.9 M_sun are quiescent."""
    assert 0.4 < float(masses.quenched_fraction(10.8, 0.75)) < 0.65
    assert float(masses.quenched_fraction(9.5, 1.25)) < 0.1
    assert float(masses.quenched_fraction(10.8, 2.25)) < 0.5


def test_densities_are_continuous_in_redshift() -> None:
    z = np.linspace(0.2, 3.0, 561)
    for function in (masses.STAR_FORMING, masses.QUIESCENT):
        step = np.abs(np.diff(np.log10(function.density(10.5, z))))
        assert step.max() < 0.02


def test_the_comoving_volume_is_that_of_planck() -> None:
    redshift = np.array([0.5, 1.0, 2.6])
    wanted = Planck18.comoving_volume(redshift).to_value("Mpc3")
    assert masses.comoving_volume(redshift) == pytest.approx(wanted, rel=1e-3)


def test_draws_have_the_density_of_the_mass_functions() -> None:
    draws = MassDraws((0.8, 1.6), lambda z, mass, kind: (mass > 9.5) & (z > 0), Cosmology.default())
    z, mass, quiescent = draws(60_000, np.random.default_rng(1))
    edges_z, edges_m = np.linspace(0.8, 1.6, 5), np.linspace(9.5, 11.5, 9)
    expected = []
    for function in (masses.STAR_FORMING, masses.QUIESCENT):
        fine_z, fine_m = np.linspace(0.8, 1.6, 401), np.linspace(9.5, 12.3, 561)
        middle_z, middle_m = 0.5 * (fine_z[1:] + fine_z[:-1]), 0.5 * (fine_m[1:] + fine_m[:-1])
        weight = function.density(middle_m, middle_z[:, None]) * np.diff(masses.comoving_volume(fine_z))[:, None]
        points = np.repeat(middle_z, len(middle_m)), np.tile(middle_m, len(middle_z))
        expected.append((np.histogram2d(*points, (edges_z, edges_m), weights=weight.ravel())[0], weight.sum()))
    total = sum(sum_ for _, sum_ in expected)
    for kind, (cells, _) in zip((False, True), expected, strict=True):
        found = np.histogram2d(z[quiescent == kind], mass[quiescent == kind], (edges_z, edges_m))[0]
        wanted = cells / total * len(z)
        chi2 = ((found - wanted) ** 2 / wanted)[wanted > 10].sum()
        n = int((wanted > 10).sum())
        assert chi2 < n + 5 * np.sqrt(2 * n)


def test_two_main_sequences_agree_where_both_are_measured() -> None:
    for z in (0.8, 1.5, 2.4):
        mass, age = np.linspace(9.5, 10.7, 13), float(Planck18.age(z).to_value("Gyr"))
        apart = relations.main_sequence(mass, age) - relations.main_sequence_speagle(mass, age)
        assert np.abs(apart).max() < 0.25


def test_gas_metallicities_are_those_of_sanders() -> None:
    """Sanders et al. (2021): 8.51 + 0.30 (log M - 10) at z = 2.3 and 8.41 + 0.29 (log M - 10) at z = 3.3."""
    mass = np.linspace(9.2, 10.5, 14)
    assert relations.gas_metallicity(mass, 2.3) == pytest.approx(8.51 + 0.30 * (mass - 10), abs=0.05)
    assert relations.gas_metallicity(mass, 3.3) == pytest.approx(8.41 + 0.29 * (mass - 10), abs=0.07)
    assert relations.gas_metallicity(10.0, 0.0) == pytest.approx(8.77, abs=0.04)


def test_sizes_are_those_of_van_der_wel() -> None:
    """Closed forms at 5e10 M_sun: 8.9 (1 + z)^-0.75 kpc for late, 5.6 (1 + z)^-1.48 kpc for early types."""
    z = np.array([0.75, 1.25, 1.75, 2.25])
    pivot = np.log10(5e10)
    assert relations.size_kpc(pivot, z, False) == pytest.approx(8.9 * (1 + z) ** -0.75, rel=0.15)
    assert relations.size_kpc(pivot, z, True) == pytest.approx(5.6 * (1 + z) ** -1.48, rel=0.15)


@pytest.fixture(scope="module")
def whole() -> Whole:
    rng = np.random.default_rng(3)
    z, mass, quiescent = MassDraws(
        (0.7, 2.6),
        lambda z, mass, kind: np.broadcast_to(mass > 9.8, np.broadcast_shapes(z.shape, mass.shape)),
        Cosmology.default(),
    )(6000, rng)
    return draw_whole(z, mass, quiescent, Cosmology.default(), rng)


def test_star_forming_galaxies_scatter_about_the_main_sequence(whole: Whole) -> None:
    usual = ~whole.quiescent & ~whole.starburst
    n = usual.sum()
    assert abs(np.median(whole.above_sequence[usual])) < 5 * 0.3 * 1.25 / np.sqrt(n)
    assert np.std(whole.above_sequence[usual]) == pytest.approx(0.3, abs=5 * 0.3 / np.sqrt(2 * n))
    active = (~whole.quiescent).sum()
    assert whole.starburst.sum() / active == pytest.approx(0.033, abs=5 * np.sqrt(0.033 / active))


def test_quiescent_galaxies_are_at_least_twenty_times_below_the_sequence(whole: Whole) -> None:
    assert whole.above_sequence[whole.quiescent].max() <= -1.3


def test_bulges_and_discs_add_up(whole: Whole) -> None:
    bulge, disc = split(whole, np.random.default_rng(4))
    assert np.log10(10**bulge.log_mass + 10**disc.log_mass) == pytest.approx(whole.log_mass, abs=1e-9)
    rates = [10 ** (part.log_mass + part.galaxies.history.log_ssfr.double().numpy()) for part in (bulge, disc)]
    inside = (whole.log_ssfr < -8.5) & (whole.log_ssfr > -12.0)
    found = np.log10(sum(rates)) - whole.log_mass
    assert np.abs(found - whole.log_ssfr)[inside].max() < 0.1
    assert np.median(np.abs(found - whole.log_ssfr)[inside]) < 1e-3


def test_bulges_are_older_richer_in_metals_and_formed_stars_earlier(whole: Whole) -> None:
    bulge, disc = (part.galaxies for part in split(whole, np.random.default_rng(4)))
    massive = torch.as_tensor((whole.log_mass > 10.5) & ~whole.quiescent)
    assert bool((bulge.log_metallicity >= disc.log_metallicity).all())
    assert float((bulge.history.log_ssfr - disc.history.log_ssfr)[massive].median()) < -0.5
    assert float((bulge.history.tau < disc.history.tau)[massive].float().mean()) > 0.95
    fraction = np.median(whole.bulge_share[whole.quiescent]) - np.median(whole.bulge_share[~whole.quiescent])
    assert fraction > 0.25


def test_a_mass_asked_for_is_the_mass_made(whole: Whole) -> None:
    model, spectrograph = GalaxyModel(), Spectrograph("moons-lr")
    bulge, _ = split(whole, np.random.default_rng(4))
    rows = torch.arange(8)
    asked = with_stellar_mass(bulge.galaxies.take(rows), bulge.log_mass[:8], model.grid)
    made = model.observe(asked, spectrograph.pixels)
    assert made.log_stellar_mass.numpy() == pytest.approx(bulge.log_mass[:8], abs=1e-3)


def population(magnitude: tuple[float, float]) -> MoonrisePopulation:
    spectrograph = Spectrograph("moons-lr")
    return MoonrisePopulation(GalaxyModel(), spectrograph.pixels, get_instrument("moons-lr"), (0.7, 2.6), magnitude)


@pytest.mark.parametrize(
    ("magnitude", "holds"),
    [((21.0, 22.0), lambda m: (m > 20.98) & (m < 22.02)), ((23.0, 23.0), lambda m: np.abs(m - 23.0) < 0.02)],
    ids=["range", "single"],
)
def test_galaxies_have_the_magnitudes_asked_for(
    magnitude: tuple[float, float], holds: Callable[[np.ndarray], np.ndarray]
) -> None:
    sample = population(magnitude).sample(range(12), np.random.default_rng(5))
    total = sample.band_flux / sample.aperture
    assert holds((-2.5 * torch.log10(total) - 48.6).numpy()).all()


def test_masses_that_are_not_drawn_would_not_have_been_selected() -> None:
    """The selected galaxies of all masses are as many as those of the masses that are drawn."""
    narrow = population((20.0, 23.5))
    every = MassDraws((0.7, 2.6), lambda z, mass, kind: np.ones((len(z), len(mass)), dtype=bool), Cosmology.default())
    rng = np.random.default_rng(6)
    found = []
    for draws, n in ((narrow._draws, 1500), (every, 6000)):
        candidates = narrow._measured(*draws(n, rng), rng)
        selected = ((candidates.magnitude >= 20.0) & (candidates.magnitude < 23.5)).sum()
        found.append((selected / n * draws.on_the_sky, draws.on_the_sky / n * np.sqrt(selected)))
    (few, few_error), (many, many_error) = found
    assert abs(few - many) < 4 * np.hypot(few_error, many_error)
    assert many_error < 0.12 * many


@pytest.fixture(scope="module")
def truth() -> dict[str, np.ndarray]:
    return survey("moons-lr", 384, "moonrise", 9, exposure="8h", tier=0).truth


def test_survey_lies_on_the_main_sequence(truth: dict[str, np.ndarray]) -> None:
    usual = (truth["class"] == "star-forming") & (truth["log_stellar_mass"] > 9.5)
    age = Cosmology.default().age_yr(torch.as_tensor(truth["redshift"][usual])).numpy() / 1e9
    apart = truth["log_sfr"][usual] - relations.main_sequence(truth["log_stellar_mass"][usual], age)
    assert abs(np.median(apart)) < 5 * 1.25 * 0.3 / np.sqrt(usual.sum())
    assert np.std(apart) == pytest.approx(0.3, abs=0.08)


def test_survey_lies_on_the_mass_metallicity_relation(truth: dict[str, np.ndarray]) -> None:
    usual = truth["class"] == "star-forming"
    wanted = relations.gas_metallicity(truth["log_stellar_mass"], truth["redshift"])
    apart = (8.71 + np.log10(truth["gas_metallicity"]) - wanted)[usual]
    assert abs(np.median(apart)) < 0.03
    assert np.std(apart) < 0.12


def test_survey_lies_between_the_sequences_of_the_bpt_diagram(truth: dict[str, np.ndarray]) -> None:
    """Above the sequence at z ~ 0 (Kewley et al. 2013), within 0.15 dex of that at z ~ 2.3 (Steidel et al. 2014)."""
    x = np.log10(truth["flux_NII6585"] / truth["flux_Halpha"])
    y = np.log10(truth["flux_OIII5008"] / truth["flux_Hbeta"])
    usual = (truth["class"] == "star-forming") & (x < -0.4) & (x > -1.3)
    assert usual.sum() > 100
    assert np.median((y - 0.61 / (x + 0.08) - 1.1)[usual]) > 0.05
    assert abs(np.median((y - 0.67 / (x - 0.33) - 1.13)[usual])) < 0.15
    assert ((y - 0.61 / (x - 0.47) - 1.19)[usual] < 0.1).mean() > 0.95
    excited = truth["flux_NII6585"] / truth["flux_Halpha"]
    assert np.median(excited[truth["class"] == "quiescent"]) > 0.5


def test_survey_has_breaks_and_hdelta_as_published(truth: dict[str, np.ndarray]) -> None:
    """Kauffmann et al. (2003, fig. 3): the locus of continuous histories; bursts and quick ends lie above it."""
    active, passive = truth["class"] != "quiescent", truth["class"] == "quiescent"
    assert np.percentile(truth["D4000n"][active], 95) < 1.35
    assert np.median(truth["D4000n"][passive]) > 1.35
    locus = np.interp(
        truth["D4000n"], [1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8], [6.8, 5.9, 4.7, 3.3, 2.0, 0.9, -0.1, -1.0]
    )
    above = (truth["HdA"] - locus)[passive & (truth["D4000n"] > 1.3)]
    assert -1.0 < np.median(above) < 2.0
    assert np.percentile(above, 2) > -2.0
