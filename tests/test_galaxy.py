"""The galaxy model as a whole: what is asked for is what the spectra show."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import FreshPython
from numpy.typing import NDArray

from galfit_ml.simulate.cosmology import Cosmology
from galfit_ml.simulate.dust import calzetti, milky_way
from galfit_ml.simulate.galaxies import Galaxies, simple_galaxies
from galfit_ml.simulate.galaxy import GalaxyModel, ModelSpectra, Pixels, interpolation_weights
from galfit_ml.simulate.history import StarFormation
from galfit_ml.simulate.igm import igm_transmission
from galfit_ml.simulate.lsf import library_variance
from galfit_ml.simulate.prior import GalaxyPrior
from galfit_ml.simulate.smoothing import C_KMS

HALPHA, HBETA, OIII = 6564.61, 4862.68, 5008.24
"""Vacuum angstrom."""


@pytest.fixture(scope="module")
def model() -> GalaxyModel:
    return GalaxyModel()


def linear(low: float, high: float, step: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres and edges of uniform pixels."""
    edges = np.arange(low, high + step / 2, step)
    return 0.5 * (edges[1:] + edges[:-1]), edges


def pixels_of(
    low: float, high: float, step: float, *, resolution: float = 4000.0, band: tuple[float, float] | None = None
) -> Pixels:
    """One arm of uniform pixels and resolution R = lambda / FWHM."""
    wave, edges = linear(low, high, step)
    return Pixels.from_arrays(wave, [edges], wave / resolution / 2.355, band or (low, high))


def moons_like() -> Pixels:
    """Three arms with MOONS's ranges and resolutions and coarser pixels."""
    arms = [linear(6470, 9340, 4.0), linear(9345, 13500, 5.0), linear(14520, 18000, 5.0)]
    wave = np.concatenate([arm[0] for arm in arms])
    resolution = np.repeat([4200.0, 4300.0, 6700.0], [len(arm[0]) for arm in arms])
    return Pixels.from_arrays(wave, [arm[1] for arm in arms], wave / resolution / 2.355, (14520, 18000))


def sdss_like(n: int) -> Pixels:
    """Log-uniform pixels whose LSF differs along and between spectra, wider than the library's in places."""
    edges = 3700 * np.exp(5e-4 * np.arange(1800))
    wave = 0.5 * (edges[1:] + edges[:-1])
    resolution = np.linspace(1500, 2600, len(wave)) * np.linspace(0.8, 1.6, n)[:, None]
    return Pixels.from_arrays(wave, [edges], wave / resolution / 2.355, (4500, 7500))


def drawn(n: int, z_range: tuple[float, float]) -> Galaxies:
    prior = GalaxyPrior(z_range, (18.0, 25.0))
    return prior.transform(prior.draw(n, torch.Generator().manual_seed(11)))


def line_flux(made: ModelSpectra, bare: ModelSpectra, pixels: Pixels, centre: float, half: float) -> torch.Tensor:
    """Integrated difference of two sets of spectra around `centre` A, [n]."""
    near = (pixels.wavelength - centre).abs() < half
    width = torch.cat([e.diff() for e in pixels.edges])
    return ((made.flux - bare.flux).double() * width)[:, near].sum(1)


@pytest.fixture
def without_lines(monkeypatch: pytest.MonkeyPatch) -> type[GalaxyModel]:
    class Continuum(GalaxyModel):
        def _draw_lines(self, *_: object) -> None:
            pass

    return Continuum


# Light, mass, distance.


def magnitude(flux: torch.Tensor, pixels: Pixels, band: tuple[float, float]) -> NDArray[np.float64]:
    """AB magnitude from the definition: photon-weighted mean f_nu of the band, [n]."""
    wave, width = pixels.wavelength.numpy(), np.concatenate([np.diff(e) for e in pixels.edges])
    inside = (wave >= band[0]) & (wave <= band[1])
    f_lambda = flux.double().numpy()[:, inside] * 1e-17
    f_nu = f_lambda * wave[inside] ** 2 / 2.99792458e18
    weight = (width / wave)[inside]
    found: NDArray[np.float64] = -2.5 * np.log10((f_nu * weight).sum(1) / weight.sum()) - 48.6
    return found


def test_magnitude_of_the_spectrum_is_the_one_asked_for(model: GalaxyModel) -> None:
    galaxies, pixels = drawn(20, (0.0, 5.0)), moons_like()
    made = model.observe(galaxies, pixels)
    found = magnitude(made.flux, pixels, pixels.band)
    np.testing.assert_allclose(found, galaxies.magnitude.double().numpy(), atol=1e-4)


def test_without_its_band_the_magnitude_is_of_the_whole_range(model: GalaxyModel) -> None:
    pixels = pixels_of(4000, 5000, 2.0, band=(14520, 18000))
    made = model.observe(simple_galaxies(1, 0.1, magnitude=19.0), pixels)
    assert magnitude(made.flux, pixels, (4000, 5000))[0] == pytest.approx(19.0, abs=1e-4)


@pytest.mark.parametrize("missing", [0.0, 0.9])
def test_a_band_that_ends_with_the_pixels_is_covered(model: GalaxyModel, missing: float) -> None:
    """The last pixel centre lies inside the band's end; a range rounded to whole pixels may fall short of it."""
    pixels = pixels_of(3000, 5000, 2.0, band=(4200, 5000 + 2.0 * missing))
    made = model.observe(simple_galaxies(1, 0.1, magnitude=19.0), pixels)
    assert magnitude(made.flux, pixels, (4200, 5000))[0] == pytest.approx(19.0, abs=1e-4)


def test_formed_mass_overrules_the_magnitude_and_scales_the_spectrum(model: GalaxyModel) -> None:
    pixels = pixels_of(4000, 6000, 4.0)
    masses = torch.tensor([9.0, 10.0, 11.0])
    made = model.observe(simple_galaxies(3, 0.2, log_formed_mass=masses, magnitude=99.0), pixels)
    torch.testing.assert_close(made.log_formed_mass, masses)
    torch.testing.assert_close(made.flux[1:], made.flux[:2] * 10)


def test_masses_and_rates_agree_with_each_other(model: GalaxyModel) -> None:
    galaxies = drawn(40, (0.0, 4.0))
    made = model.observe(galaxies, moons_like())
    torch.testing.assert_close(made.log_sfr - made.log_stellar_mass, galaxies.history.log_ssfr, atol=1e-3, rtol=0)
    assert bool((made.log_living_mass < made.log_stellar_mass).all())
    assert bool((made.log_stellar_mass < made.log_formed_mass).all())


def test_age_is_weighted_by_formed_mass(model: GalaxyModel) -> None:
    made = model.observe(simple_galaxies(1, 0.05, formation_age=8e9, tau=1e8), pixels_of(5000, 6000, 5.0))
    assert 10 ** made.log_age.item() == pytest.approx(8e9 - 2e8, rel=0.05)


def test_flux_is_luminosity_over_distance(model: GalaxyModel) -> None:
    """f_lambda (1 + z) 4 pi d_L^2 at rest wavelengths does not depend on redshift."""
    luminosities = []
    for z in (0.02, 0.5, 2.0):
        pixels = pixels_of(4000 * (1 + z), 7000 * (1 + z), 3.0 * (1 + z), resolution=1e5)
        flux = model.observe(simple_galaxies(1, z, log_formed_mass=10.0, log_ssfr=-9.5), pixels).flux[0].double()
        distance = Cosmology.default().luminosity_distance_cm(torch.tensor(z, dtype=torch.float64))
        luminosities.append(flux * 1e-17 * (1 + z) * 4 * math.pi * distance**2)
    for other in luminosities[1:]:
        torch.testing.assert_close(other, luminosities[0], rtol=2e-4, atol=0)


def test_flux_unit_is_an_option(model: GalaxyModel) -> None:
    pixels, galaxies = pixels_of(5000, 5500, 2.0), simple_galaxies(1, 0.1, magnitude=20.0)
    ours, cgs = (model.observe(galaxies, pixels, unit=unit).flux for unit in (1e-17, 1e-20))
    torch.testing.assert_close(cgs, ours * 1000)


# Wavelengths and widths.


def test_redshift_is_a_shift(model: GalaxyModel) -> None:
    """The same galaxy seen in pixels that move with it is the same spectrum, whatever the sub-pixel phase."""
    spectra = []
    for z in (0.1, 0.1001234, 0.31, 0.8007):
        edges = (1 + z) * 3600 * np.exp(2e-4 * np.arange(3000))
        wave = 0.5 * (edges[1:] + edges[:-1])
        pixels = Pixels.from_arrays(wave, [edges], wave / 2500 / 2.355, (edges[0], edges[-1]))
        made = model.observe(simple_galaxies(1, z, log_ssfr=-10.0, magnitude=20.0, dust_av=0.5), pixels)
        spectra.append(made.flux[0] / made.flux[0].mean())
    for other in spectra[1:]:
        torch.testing.assert_close(other, spectra[0], rtol=2e-4, atol=0)


def centroid(flux: torch.Tensor, pixels: Pixels, centre: float, half: float) -> float:
    near = (pixels.wavelength - centre).abs() < half
    weight = flux.double()[near] * torch.cat([e.diff() for e in pixels.edges])[near]
    return float((weight * pixels.wavelength[near]).sum() / weight.sum())


@pytest.mark.parametrize(
    ("values", "velocity"),
    [({}, 0.0), ({"gas_velocity": 120.0}, 120.0), ({"zero_point": -30.0}, -30.0)],
    ids=["at rest", "gas moves", "wavelength scale off"],
)
def test_lines_lie_where_they_should(
    model: GalaxyModel, without_lines: type[GalaxyModel], values: dict[str, float], velocity: float
) -> None:
    z = 0.4321
    pixels = pixels_of(6800, 7130, 0.7)
    galaxy = simple_galaxies(1, z, log_formed_mass=10.0, log_ssfr=-9.0, **values)
    lines = model.observe(galaxy, pixels).flux - without_lines().observe(galaxy, pixels).flux
    expected = HBETA * (1 + z) * (1 + velocity / C_KMS)
    assert abs(centroid(lines[0], pixels, expected, 15.0) / expected - 1) * C_KMS < 1.0


def test_the_wavelength_zero_point_moves_the_stars_too(model: GalaxyModel) -> None:
    pixels = pixels_of(4100, 5200, 1.0)
    moved = pixels_of(4100 * (1 + 100 / C_KMS), 5200 * (1 + 100 / C_KMS), 1.0 * (1 + 100 / C_KMS))
    still = model.observe(simple_galaxies(1, 0.1, magnitude=20.0), pixels).flux
    pushed = model.observe(simple_galaxies(1, 0.1, magnitude=20.0, zero_point=100.0), moved).flux
    torch.testing.assert_close(pushed / pushed.mean(), still / still.mean(), rtol=2e-4, atol=0)


@pytest.mark.parametrize("resolution", [1500.0, 4200.0])
@pytest.mark.parametrize("dispersion", [30.0, 200.0])
def test_lines_are_as_wide_as_gas_and_instrument_together(
    model: GalaxyModel, without_lines: type[GalaxyModel], resolution: float, dispersion: float
) -> None:
    z, sigma = 0.4321, HBETA * 1.4321 / resolution / 2.355
    pixels = pixels_of(6800, 7130, sigma / 1.15, resolution=resolution)
    galaxy = simple_galaxies(1, z, log_formed_mass=10.0, log_ssfr=-9.0, gas_dispersion=dispersion)
    lines = (model.observe(galaxy, pixels).flux - without_lines().observe(galaxy, pixels).flux)[0]
    centre, expected = HBETA * (1 + z), math.hypot(sigma, HBETA * (1 + z) * dispersion / C_KMS)
    near = (pixels.wavelength - centre).abs() < 5 * expected
    weight = lines.double()[near]
    variance = (weight * (pixels.wavelength[near] - centre) ** 2).sum() / weight.sum()
    assert math.sqrt(variance) == pytest.approx(expected, rel=0.02)


def test_the_instrument_widens_the_continuum_by_what_the_library_lacks(model: GalaxyModel) -> None:
    """A dispersion of v at high R equals v less the instrument's share at low R (R = 1500 at 6500 A, z = 0)."""
    instrument, library = C_KMS / 1500 / 2.355, float(library_variance(model.grid)[_pixel(model, 6500.0)])
    excess = instrument**2 - library
    high = pixels_of(6350, 6500, 1.0, resolution=1e5)
    low = pixels_of(6350, 6500, 1.0, resolution=1500.0)
    asked = simple_galaxies(1, 1e-6, velocity_dispersion=math.sqrt(150.0**2 + excess), magnitude=20.0)
    expected = model.observe(asked, high).flux
    found = model.observe(simple_galaxies(1, 1e-6, velocity_dispersion=150.0, magnitude=20.0), low).flux
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=0)


def _pixel(model: GalaxyModel, wavelength: float) -> int:
    return int(torch.searchsorted(model.grid.wavelength, wavelength))


# Dust, gas, intergalactic medium.


def test_dust_dims_stars_by_the_curve_and_lines_by_eta_times_it(
    model: GalaxyModel, without_lines: type[GalaxyModel]
) -> None:
    pixels = pixels_of(4950, 6950, 1.0)
    dusty = {"dust_av": 0.8, "dust_eta": 2.0, "dust_slope": -0.4}
    values = {"log_formed_mass": 10.0, "gas_dispersion": 60.0}
    young, old = {"log_ssfr": -9.0}, {"log_ssfr": -20.0}
    bare = without_lines()
    stars = [bare.observe(simple_galaxies(1, 0.03, **values, **old, **d), pixels).flux for d in (dusty, {})]

    def depth(rest: torch.Tensor) -> torch.Tensor:
        return 0.4 * 0.8 * calzetti(rest) * (rest / 5500.0) ** -0.4

    rest = pixels.wavelength / 1.03
    smooth = (rest - 6300).abs() > 20  # the published curve has a step there
    torch.testing.assert_close((stars[0] / stars[1])[0, smooth].double(), 10 ** -depth(rest[smooth]), rtol=1e-3, atol=0)
    for line in (HBETA, OIII, HALPHA):
        fluxes = []
        for extra in (dusty, {}):
            galaxy = simple_galaxies(1, 0.03, **values, **young, **extra)
            made, continuum = model.observe(galaxy, pixels), bare.observe(galaxy, pixels)
            fluxes.append(line_flux(made, continuum, pixels, line * 1.03, 8.0).item())
        expected = 10 ** (-2.0 * depth(torch.tensor(line)).item())
        assert fluxes[0] / fluxes[1] == pytest.approx(expected, rel=2e-3)


def test_halpha_follows_from_the_ionising_photons(model: GalaxyModel, without_lines: type[GalaxyModel]) -> None:
    """Osterbrock & Ferland (2006): L(Halpha) = 1.37e-12 erg per ionising photon (case B, 10^4 K), grid within 15 %."""
    z, pixels = 0.03, pixels_of(6600, 6950, 0.5)
    galaxy = simple_galaxies(1, z, log_formed_mass=10.0, log_ssfr=-9.5, gas_dispersion=40.0)
    flux = line_flux(model.observe(galaxy, pixels), without_lines().observe(galaxy, pixels), pixels, HALPHA * 1.03, 8.0)
    distance = Cosmology.default().luminosity_distance_cm(torch.tensor(z, dtype=torch.float64))
    rate = 10 ** model.observe(galaxy, pixels).log_sfr.double()
    young = model.grid.age_edges.double().clamp(max=1e7)
    photons = float((model.grid.ionising_rate[4] * young.diff()).sum()) * rate  # of constant star formation
    luminosity = flux * 1e-17 * 4 * math.pi * distance**2
    assert (luminosity / photons).item() == pytest.approx(1.37e-12, rel=0.15, abs=0)


def test_lines_scale_with_the_stars_photons_when_metallicities_differ(
    model: GalaxyModel, without_lines: type[GalaxyModel]
) -> None:
    """Hbeta per ionising photon hardly depends on the gas; it must follow the stars' photons, not the gas grid's."""
    pixels = pixels_of(4950, 5100, 0.5)
    per_photon = []
    for row in (1, 2, 4):
        stars = float(model.grid.metallicity[row].log10())
        galaxy = simple_galaxies(1, 0.03, log_formed_mass=10.0, log_ssfr=-9.5, log_metallicity=stars)
        made = model.observe(galaxy, pixels)
        flux = line_flux(made, without_lines().observe(galaxy, pixels), pixels, HBETA * 1.03, 20.0)
        young = model.grid.age_edges.double().clamp(max=1e7)
        photons = float((model.grid.ionising_rate[row] * young.diff()).sum()) * 10 ** made.log_sfr.double().item()
        per_photon.append(flux.item() / photons)
    assert per_photon == pytest.approx([per_photon[0]] * 3, rel=0.05, abs=0)


def test_milky_way_reddening_is_in_front(model: GalaxyModel) -> None:
    pixels = pixels_of(3700, 9000, 10.0)
    clean, red = (
        model.observe(simple_galaxies(1, 0.2, log_formed_mass=10.0, ebv=ebv), pixels).flux for ebv in (0.0, 0.05)
    )
    expected = 10 ** (-0.4 * 0.05 * milky_way(pixels.wavelength)).float()
    torch.testing.assert_close((red / clean)[0], expected, rtol=1e-5, atol=0)


def test_intergalactic_absorption_lies_blueward_of_lyman_alpha(
    model: GalaxyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    z, pixels = 4.0, pixels_of(4700, 6700, 5.0)
    galaxy = simple_galaxies(1, z, log_formed_mass=10.0, log_ssfr=-8.5, formation_age=1e9, lya_escape=0.0)
    absorbed = model.observe(galaxy, pixels).flux[0]
    monkeypatch.setattr("galfit_ml.simulate.galaxy.igm_transmission", lambda w, z: torch.ones(len(z), len(w)))
    ratio = absorbed / model.observe(galaxy, pixels).flux[0]
    rest = (pixels.wavelength / (1 + z)).float()
    expected = igm_transmission(rest, torch.tensor([z]))[0]
    smooth = ((rest > 1040) & (rest < 1200)) | (rest > 1230)
    torch.testing.assert_close(ratio[smooth], expected[smooth], rtol=0.02, atol=0)


def test_galaxies_are_dark_below_the_lyman_limit(model: GalaxyModel) -> None:
    pixels = pixels_of(4550, 6000, 2.0)
    galaxy = simple_galaxies(1, 4.2, log_ssfr=-8.5, formation_age=1e9, velocity_dispersion=100.0)
    flux = model.observe(galaxy, pixels).flux[0]
    dark = pixels.wavelength / 5.2 < 905.0
    assert float(flux[dark].abs().max()) < 1e-4 * float(flux.max())


def test_lyman_alpha_escapes_by_its_share(model: GalaxyModel, without_lines: type[GalaxyModel]) -> None:
    pixels, fluxes = pixels_of(3500, 3800, 0.7), []
    for share in (0.1, 0.6):
        galaxy = simple_galaxies(1, 2.0, log_formed_mass=10.0, log_ssfr=-8.5, formation_age=1e9, lya_escape=share)
        made, bare = model.observe(galaxy, pixels), without_lines().observe(galaxy, pixels)
        fluxes.append(line_flux(made, bare, pixels, 1215.67 * 3, 15.0).item())
    assert fluxes[1] / fluxes[0] == pytest.approx(6.0, rel=1e-3)


# Batches.


def one_by_one(model: GalaxyModel, galaxies: Galaxies, pixels: Pixels) -> ModelSpectra:
    rows = [slice(i, i + 1) for i in range(len(galaxies))]
    made = [model.observe(galaxies.take(r), pixels.take(r)) for r in rows]
    return ModelSpectra(*(torch.cat([getattr(m, k) for m in made]) for k in ModelSpectra.__dataclass_fields__))


@pytest.mark.parametrize("instrument", ["moons", "sdss"])
def test_a_batch_equals_one_by_one(model: GalaxyModel, instrument: str) -> None:
    """To 1e-4, or 1e-6 of a spectrum's brightest pixel: the Fourier transforms are in single precision."""
    n = 24
    galaxies = drawn(n, (0.0, 5.0) if instrument == "moons" else (0.0, 1.2))
    pixels = moons_like() if instrument == "moons" else sdss_like(n)
    together, alone = model.observe(galaxies, pixels), one_by_one(model, galaxies, pixels)
    peak = alone.flux.amax(1, keepdim=True)
    error = (together.flux - alone.flux).abs() / (1e-4 * alone.flux.abs() + 1e-6 * peak)
    assert float(error.max()) < 1.0
    for name in ("log_stellar_mass", "log_sfr", "log_age"):
        torch.testing.assert_close(getattr(together, name), getattr(alone, name), atol=1e-5, rtol=0)


def test_more_galaxies_than_a_chunk_keep_their_order(model: GalaxyModel) -> None:
    order = torch.randperm(70, generator=torch.Generator().manual_seed(1))
    redshift = torch.linspace(0.05, 1.05, 70, dtype=torch.float64)[order]
    pixels = pixels_of(6000, 6300, 10.0)
    made = model.observe(simple_galaxies(70, redshift, magnitude=torch.linspace(18, 22, 70)), pixels)
    found = magnitude(made.flux, pixels, pixels.band)
    np.testing.assert_allclose(found, np.linspace(18, 22, 70), atol=1e-4)


def test_arms_are_the_same_spectrum_cut_up(model: GalaxyModel) -> None:
    whole = pixels_of(6000, 7000, 1.0)
    wave, edges = whole.wavelength.numpy(), whole.edges[0].numpy()
    parts = [edges[:301], edges[300:601], edges[600:]]
    arms = Pixels.from_arrays(wave, parts, whole.lsf_sigma.numpy(), whole.band)
    galaxies = simple_galaxies(2, 0.05, log_ssfr=-9.0)
    torch.testing.assert_close(model.observe(galaxies, arms).flux, model.observe(galaxies, whole).flux)


def test_every_draw_of_the_prior_gives_a_finite_spectrum(model: GalaxyModel) -> None:
    made = model.observe(drawn(128, (0.0, 5.0)), moons_like())
    for name in ModelSpectra.__dataclass_fields__:
        assert bool(torch.isfinite(getattr(made, name)).all()), name
    assert bool((made.flux > -1e-5 * made.flux.amax(1, keepdim=True)).all())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_a_gpu_gives_the_same_spectra() -> None:
    galaxies, pixels = drawn(80, (0.0, 5.0)), moons_like()
    expected = GalaxyModel().observe(galaxies, pixels).flux
    fields = {k: v.cuda() for k, v in vars(galaxies).items() if k != "history"}
    history = StarFormation(**{k: v.cuda() for k, v in vars(galaxies.history).items()})
    found = GalaxyModel(device="cuda").observe(Galaxies(history=history, **fields), pixels.to("cuda")).flux.cpu()
    error = (found - expected).abs() / (1e-3 * expected.abs() + 1e-5 * expected.amax(1, keepdim=True))
    assert float(error.max()) < 1.0


def test_the_speed_benchmark_writes_its_rows(fresh_python: FreshPython, tmp_path: Path) -> None:
    out = tmp_path / "rows.json"
    code = "import sys; from benchmarks.forward import main; main(sys.argv[1:])"
    fresh_python(code, "--alone", "--batch", "2", "3", "--bin", "40", "--repeats", "1", "--json", str(out))
    rows = json.loads(out.read_text())["rows"]
    times = {row["batch"]: row["value"] for row in rows if row["what"] == "galaxy model"}
    assert set(times) == {2, 3}
    assert all(value > 0 for value in times.values())


# Small parts.


def test_interpolation_weights_are_linear_and_clipped() -> None:
    nodes = torch.tensor([-2.0, -1.0, 0.0, 0.4])
    weights = interpolation_weights(nodes, torch.tensor([-3.0, -2.0, -1.25, 0.0, 0.1, 0.4, 9.0]))
    expected = [[1, 0, 0, 0], [1, 0, 0, 0], [0.25, 0.75, 0, 0], [0, 0, 1, 0], [0, 0, 0.75, 0.25]] + 2 * [[0, 0, 0, 1]]
    torch.testing.assert_close(weights, torch.tensor(expected))


def test_pixels_refuse_edges_and_wavelengths_that_differ() -> None:
    wave, edges = linear(5000, 5100, 1.0)
    with pytest.raises(ValueError, match="100 pixels between their edges, but there are 99 wavelengths"):
        Pixels.from_arrays(wave[1:], [edges], wave[1:] * 1e-4, (5000, 5100))


def test_a_misspelt_parameter_is_named() -> None:
    with pytest.raises(ValueError, match="log_sfrr"):
        simple_galaxies(2, 0.1, log_sfrr=1.0)
