"""The sky table and what an instrument's pixels see of it: light conserved, lines as wide and where they should be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from galfit_ml.errors import FileFormatError, UnknownNameError
from galfit_ml.grid import SPEED_OF_LIGHT_KMS, WavelengthGrid
from galfit_ml.instruments import FWHM_PER_SIGMA, Arm, get_instrument
from galfit_ml.observatory import Observatory
from galfit_ml.simulate.sky import SkyOnPixels, SkyTable, airglow_path, grey_body, through_lsf

RECORDED = Path(__file__).parent / "data" / "moons1d.json"
PLANCK = 6.62607015e-27
"""erg s."""

MOONS = get_instrument("moons-lr")
ARMS = [
    pytest.param(arm, id=f"{name} {arm.name}") for name in ("moons-lr", "moons-hr") for arm in get_instrument(name).arms
]


@pytest.fixture(scope="module")
def table() -> SkyTable:
    return SkyTable.load("paranal")


def observatory() -> Observatory:
    assert MOONS.observatory is not None
    return MOONS.observatory


def seen(table: SkyTable, arm: Arm, pixels: slice = slice(None), shift: float = 0.0) -> SkyOnPixels:
    grid = arm.grid
    first, last, _ = pixels.indices(len(grid))
    moved = WavelengthGrid(grid.edges[first : last + 1] + shift, grid.centres[first:last] + shift)
    return SkyOnPixels.of(table, moved, arm.resolution.sigma(grid.centres[first:last]), observatory())


def one_line(table: SkyTable, wavelength: float) -> SkyTable:
    """A dark sky with a single line of unit flux, one bin wide."""
    lines = np.zeros(len(table.wavelength))
    lines[np.abs(table.wavelength - wavelength).argmin()] = 1 / table.step
    return replace(table, lines=lines, continuum=0 * lines)


def ab(photons: NDArray[np.float64], wavelength: NDArray[np.float64]) -> NDArray[np.float64]:
    """AB magnitude per arcsec^2 of photon s^-1 m^-2 A^-1 arcsec^-2."""
    return -2.5 * np.log10(photons * 1e-4 * PLANCK * wavelength) - 48.6


def test_the_table_of_paranal_is_what_it_says(table: SkyTable) -> None:
    assert (table.airmass, round(table.step, 9)) == (1.2, 0.2)
    assert table.wavelength[0] < 6001
    assert table.wavelength[-1] > 17999
    assert "Noll et al. 2012" in table.origin
    for part in (table.lines, table.continuum, table.transmission):
        assert part.shape == table.wavelength.shape
        assert np.all((part >= 0) & np.isfinite(part))
    assert table.transmission.max() <= 1


def test_its_wavelengths_are_in_vacuum(table: SkyTable) -> None:
    # [O I] 6300.304 in air; the head of the O2 A band, 13165.2 cm^-1, is at 7593.7 in air
    near = (table.wavelength > 6298) & (table.wavelength < 6306)
    assert table.wavelength[near][table.lines[near].argmax()] == pytest.approx(6302.046, abs=0.15)
    assert table.transmission[(table.wavelength > 7590.0) & (table.wavelength < 7594.9)].min() > 0.9
    assert table.transmission[(table.wavelength > 7595.4) & (table.wavelength < 7596.2)].min() < 0.5


@pytest.mark.parametrize(
    ("low", "high", "magnitude", "tolerance"),
    [(9700, 10700, 19.8, 0.1), (11700, 13300, 20.4, 0.1), (15000, 17800, 19.75, 0.45)],
    ids=["Y", "J", "H"],
)
def test_the_sky_continuum_is_as_bright_as_published(
    table: SkyTable, low: float, high: float, magnitude: float, tolerance: float
) -> None:
    # 19.8 in Y, 20.4 in J, 19.3-20.2 in H
    band = (table.wavelength > low) & (table.wavelength < high)
    median = np.median(ab(table.continuum[band], table.wavelength[band]))
    assert median == pytest.approx(magnitude, abs=tolerance)


@pytest.mark.parametrize(
    ("arm", "percentiles"),
    [("RI", (147, 179, 499, 2.7e3)), ("YJ", (194, 395, 6.4e3, 37e3)), ("H", (229, 529, 17e3, 234e3))],
)
def test_moons_collects_the_sky_electrons_of_the_design(
    table: SkyTable, arm: str, percentiles: tuple[float, ...]
) -> None:
    # Per pixel and 600 s. 2 % where the sky is dark; between lines the 90th percentile is steep, and the design rounds.
    chosen, site = next(a for a in MOONS.arms if a.name == arm), observatory()
    sky, grid = seen(table, chosen), chosen.grid
    assert chosen.throughput is not None
    light = site.area * np.pi / 4 * site.fibre**2 * chosen.throughput(grid.centres) * grid.widths * 600.0
    found = np.percentile(light * (sky.lines + sky.continuum + sky.thermal), [10, 50, 90, 99])
    np.testing.assert_allclose(found[:2], percentiles[:2], rtol=0.02)
    np.testing.assert_allclose(found[2:], percentiles[2:], rtol=0.10)


@pytest.mark.parametrize("arm", ARMS)
def test_light_is_conserved_through_the_lsf_and_onto_the_pixels(table: SkyTable, arm: Arm) -> None:
    middle = 0.5 * (arm.low + arm.high)
    inside = (table.wavelength > middle - 60) & (table.wavelength < middle + 60)
    piece = replace(table, lines=table.lines * inside)
    collected = (seen(piece, arm).lines * arm.grid.widths).sum()
    assert collected == pytest.approx(piece.lines.sum() * table.step, rel=1e-4)


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("place", [0.1, 0.3371, 0.7642])
def test_a_sky_line_has_the_width_of_the_instrument_and_stays_where_it_is(
    table: SkyTable, arm: Arm, place: float
) -> None:
    single = one_line(table, arm.low + place * (arm.high - arm.low))
    centre = single.wavelength[single.lines.argmax()]
    lines, grid = seen(single, arm).lines, arm.grid
    weight = lines * grid.widths
    centroid = (weight * grid.centres).sum() / weight.sum()
    sigma = np.sqrt((weight * (grid.centres - centroid) ** 2).sum() / weight.sum())
    assert weight.sum() == pytest.approx(1.0, abs=1e-4)
    assert abs(centroid / centre - 1) * SPEED_OF_LIGHT_KMS < 1.0
    assert sigma == pytest.approx(float(arm.resolution.sigma(centre)), rel=0.02)


@pytest.mark.parametrize("arm", ARMS)
def test_the_slope_is_the_derivative_of_the_lines(table: SkyTable, arm: Arm) -> None:
    # half a bin to either side, as the table is constant within bins; a finite difference is right to second order
    inner, step = slice(10, -10), 0.5 * table.step
    tolerance = 0.01 + (step / float(arm.resolution.sigma(arm.low))) ** 2
    ahead, behind = (seen(table, arm, inner, shift).lines for shift in (step, -step))
    expected = (ahead - behind) / (2 * step)
    error = seen(table, arm, inner).slope - expected
    assert np.sqrt(np.mean(error**2)) < tolerance * np.sqrt(np.mean(expected**2))


def test_the_width_follows_a_line_spread_function_that_changes_along_the_arm(table: SkyTable) -> None:
    grid = WavelengthGrid.linear(8000.0, 9000.0, 0.5)
    sigma = np.linspace(1.0, 3.0, len(grid))
    for centre in (8100.0, 8500.0, 8900.0):
        lines = through_lsf(table, one_line(table, centre).lines, grid, sigma)
        width = np.sqrt((lines * (grid.centres - centre) ** 2).sum() / lines.sum())
        assert width == pytest.approx(np.interp(centre, grid.centres, sigma), rel=0.03)


def test_a_black_body_sends_out_the_photons_that_planck_says() -> None:
    # photon radiance over all wavelengths: 4 zeta(3) c (k T / h c)^3 = 1.5205e15 T^3 / pi per s, m^2, steradian
    wavelength = np.geomspace(1e4, 1e8, 20_001)
    per_arcsec2 = np.trapezoid(grey_body(wavelength, 285.0, 0.2), wavelength)
    assert per_arcsec2 == pytest.approx(0.2 * 1.5205e15 * 285.0**3 / np.pi * (np.pi / 180 / 3600) ** 2, rel=1e-3)


def test_airglow_brightens_with_the_path_through_its_layer() -> None:
    # van Rhijn for a layer at 90 km: 1.94 at 60 degrees from the zenith, a plane layer would make it 2
    assert airglow_path(1.0) == 1.0
    assert airglow_path(2.0) == pytest.approx(1.922, abs=0.003)
    assert 0.95 * 1.2 < airglow_path(1.2) < 1.2


def test_at_its_own_airmass_the_table_is_itself(table: SkyTable) -> None:
    same = table.at(1.2)
    np.testing.assert_allclose(same.lines, table.lines, rtol=1e-12)
    np.testing.assert_allclose(same.transmission, table.transmission, rtol=1e-12)


@pytest.mark.parametrize("airmass", ["1.0", "1.6", "2.0"])
def test_the_sky_at_another_airmass_is_near_what_skycalc_computes(table: SkyTable, airmass: str) -> None:
    recorded = json.loads(RECORDED.read_text())["sky"]
    moved = table.at(float(airmass))
    emission, transmission = (
        part.reshape(100, -1).mean(axis=1) for part in (moved.lines + moved.continuum, moved.transmission)
    )
    middle = 6000.0 + 120.0 * (np.arange(100) + 0.5)
    oxygen = np.abs(middle - 12700.0) < 200.0
    ratio = emission / np.array(recorded[airmass]["emission"])
    assert np.abs(ratio[~oxygen] - 1).max() < 0.10
    assert np.sqrt(np.mean((ratio[~oxygen] - 1) ** 2)) < 0.02
    # means over unresolved lines do not follow the law of single ones, least in the deep bands of water
    difference = transmission - np.array(recorded[airmass]["transmission"])
    assert np.abs(difference).max() < 0.025
    assert np.sqrt(np.mean(difference**2)) < 0.006


def test_the_table_agrees_with_its_source(table: SkyTable) -> None:
    recorded = json.loads(RECORDED.read_text())["sky"]["1.2"]
    for part, name in ((table.lines + table.continuum, "emission"), (table.transmission, "transmission")):
        # recorded with four digits
        np.testing.assert_allclose(part.reshape(100, -1).mean(axis=1), recorded[name], rtol=6e-4, atol=1e-5)


def test_an_unknown_table_is_named_with_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="No sky table 'paranel'. Did you mean 'paranal'"):
        SkyTable.load("paranel")


def test_an_arm_beyond_the_table_is_refused_with_both_ranges(table: SkyTable) -> None:
    grid = WavelengthGrid.linear(17000.0, 21000.0, 1.0)
    with pytest.raises(FileFormatError, match=r"covers 6000-18000 A, the arm 17000-21000 A"):
        SkyOnPixels.of(table, grid, np.ones(len(grid)), observatory())


@pytest.mark.parametrize("content", [b"", b"not a table", b"PK\x03\x04 cut"])
def test_a_damaged_table_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sky.npz"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"sky.npz"):
        SkyTable.from_file(path)


def test_another_npz_file_is_not_a_sky_table(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", emission=np.ones(3))
    with pytest.raises(FileFormatError, match=r"not a sky table"):
        SkyTable.from_file(tmp_path / "other.npz")


def test_the_width_that_is_measured_is_that_of_the_fwhm_in_the_file() -> None:
    for arm in MOONS.arms:
        assert arm.resolution.value[0] == pytest.approx(FWHM_PER_SIGMA * float(arm.resolution.sigma(arm.low)))
