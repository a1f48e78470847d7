"""The shipped stellar grid: loading, physics of its numbers, and errors for files that are not one."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from galfit_ml.errors import FileFormatError
from galfit_ml.simulate.build.frames import line_velocity
from galfit_ml.simulate.build.nebular import CASE_B_HBETA, HBETA
from galfit_ml.simulate.populations import (
    SOLAR_LUMINOSITY,
    StellarPopulations,
    default_populations,
    refinement_weights,
)

SHIPPED = Path(__file__).parents[1] / "galfit_ml" / "data" / "stellar_grid.npz"
SOLAR = 4
LIGHT_KMS = 299792.458


@pytest.fixture(scope="module")
def grid() -> StellarPopulations:
    return default_populations()


def test_shapes_and_axes(grid: StellarPopulations) -> None:
    assert grid.stars.shape == (7, 42, 20_000)
    assert grid.line_luminosity.shape == (6, 9, 11, len(grid.line_names))
    assert grid.nebular_continuum.shape[:3] == (6, 9, 11)
    assert grid.stars.dtype == grid.line_luminosity.dtype == torch.float32
    steps = torch.log(grid.wavelength.double()).diff()
    assert torch.allclose(steps, torch.full_like(steps, grid.dln), rtol=2e-2)
    assert np.exp(grid.ln_wavelength0) == pytest.approx(float(grid.wavelength[0]), rel=1e-6)
    assert grid.wavelength[0] < 901
    assert grid.wavelength[-1] > 25_000
    assert grid.dln * LIGHT_KMS == pytest.approx(50.0)


def test_age_bins_hold_any_age_of_the_universe(grid: StellarPopulations) -> None:
    assert grid.age_edges[0] == 0
    assert grid.age_edges[-1] == pytest.approx(1.5e10)
    inner = torch.log10(grid.age_edges[1:-1].double())
    assert torch.allclose(inner, 6.05 + 0.1 * torch.arange(41, dtype=torch.float64), atol=1e-6)


def test_loads_in_half_a_second() -> None:
    """Of one core's time: the clock on the wall also counts whatever else the machine is doing."""
    times = []
    for _ in range(3):
        start = time.process_time()
        StellarPopulations.load(SHIPPED)
        times.append(time.process_time() - start)
    assert min(times) < 0.5


def test_file_is_small_and_default_is_read_once() -> None:
    assert SHIPPED.stat().st_size <= 10e6
    assert default_populations() is default_populations()


def test_hbeta_is_case_b_in_every_cell(grid: StellarPopulations) -> None:
    hbeta = grid.line_luminosity[..., grid.line_names.index(HBETA)].double() * SOLAR_LUMINOSITY
    rate = grid.ionising_rate[:6, None, :11]
    assert bool((rate > 1e43).all())
    ratio = hbeta / (rate * CASE_B_HBETA)
    assert float((ratio - 1).abs().max()) <= 0.10


def test_balmer_decrement_is_plausible_in_every_cell(grid: StellarPopulations) -> None:
    lines = [grid.line_luminosity[..., grid.line_names.index(name)] for name in ("H 1 6562.80A", HBETA)]
    ratio = lines[0] / lines[1]
    assert float(ratio.min()) > 2.6
    assert float(ratio.max()) < 3.2


def test_living_and_remnant_fractions(grid: StellarPopulations) -> None:
    bins = [int(np.searchsorted(grid.age_edges.numpy(), age)) - 1 for age in (1e7, 1e8, 1e9, 1e10)]
    assert grid.living_fraction[SOLAR, bins].tolist() == pytest.approx([0.87, 0.73, 0.60, 0.46], abs=0.006)
    remnants = grid.remnant_fraction[SOLAR]
    assert bool((remnants.diff() >= 0).all())
    # Old populations of this initial mass function lock 0.1 to 0.17 of the formed mass in remnants.
    assert 0.10 < float(remnants[-1]) < 0.17
    assert bool((grid.living_fraction + grid.remnant_fraction <= 1.0005).all())


def test_light_per_mass_at_solar_metallicity(grid: StellarPopulations) -> None:
    """V-band mass-to-light ratio of an old population: 2 to 5 in solar units for this initial mass function."""
    wave = grid.wavelength
    band = (wave > 5000) & (wave < 6000)
    old = int(np.searchsorted(grid.age_edges.numpy(), 1e10)) - 1
    per_angstrom = float(grid.stars[SOLAR, old, band].mean())
    mass = float(grid.living_fraction[SOLAR, old] + grid.remnant_fraction[SOLAR, old])
    solar_per_angstrom = 0.187 / 1361  # 1.87 W / m2 / nm of 1361 W / m2 at the Earth
    assert 2.0 < mass / (per_angstrom / solar_per_angstrom) < 5.0


def _core_velocity(grid: StellarPopulations, age: int, line: float) -> float:
    """Velocity, km/s, of the deepest point of a line: a parabola through the five pixels around it."""
    velocity = (grid.wavelength.double().numpy() / line - 1) * LIGHT_KMS
    flux = grid.stars[SOLAR, age].double().numpy()
    near = np.flatnonzero(np.abs(velocity) < 150)
    middle = near[np.argmin(flux[near])]
    pixels = slice(middle - 2, middle + 3)
    curve = np.polynomial.Polynomial.fit(velocity[pixels], flux[pixels], 2)
    return float(curve.deriv().roots()[0])


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("Mg II", 2796.354),
        ("Ca K", 3934.777),
        ("H beta", 4862.683),
        ("Mg b", 5185.048),
        ("Na D1", 5897.558),
        ("Ca triplet", 8664.52),
    ],
)
def test_absorption_lines_at_1_gyr_are_in_vacuum(grid: StellarPopulations, name: str, line: float) -> None:
    """At solar metallicity. Na D2 is left out: nickel 66 km/s redward of it moves its core by 6 km/s."""
    assert abs(_core_velocity(grid, 30, line)) < 5.0, name


@pytest.mark.parametrize("metallicity", [2, 3, 4, 5])
def test_balmer_lines_of_populations_of_any_age_are_in_vacuum(grid: StellarPopulations, metallicity: int) -> None:
    """Hot stars are at vacuum wavelengths in the source: shifting them again puts them 40 to 60 km/s off."""
    wavelength = grid.wavelength.double().numpy()
    lines = (3798.98, 4341.69, 4862.68)
    for age in range(26):
        spectrum = grid.stars[metallicity, age].double().numpy()
        assert abs(np.median([line_velocity(wavelength, spectrum, line, 500.0) for line in lines])) < 25, age


def test_helium_lines_of_hot_stars_are_in_vacuum(grid: StellarPopulations) -> None:
    wavelength, spectrum = grid.wavelength.double().numpy(), grid.stars[SOLAR, 1].double().numpy()
    assert abs(line_velocity(wavelength, spectrum, 5877.25, 300.0)) < 10


@pytest.mark.parametrize(
    ("name", "vacuum"),
    [
        (HBETA, 4862.69),
        ("O 3 5006.84A", 5008.24),
        ("H 1 6562.80A", 6564.61),
        ("Mg 2 2795.53A", 2796.35),
        ("S 3 9068.62A", 9071.1),
        ("H 1 1215.67A", 1215.67),
        ("C 3 1908.73A", 1908.73),
    ],
)
def test_emission_lines_are_in_vacuum(grid: StellarPopulations, name: str, vacuum: float) -> None:
    place = float(grid.line_wavelength[grid.line_names.index(name)])
    assert abs(place / vacuum - 1) * LIGHT_KMS < 5.0


def test_library_resolution_is_that_of_miles(grid: StellarPopulations) -> None:
    sigma = np.interp([4000.0, 5000.0, 6500.0], grid.lsf_wavelength.numpy(), grid.lsf_sigma.numpy())
    assert sigma == pytest.approx([79.6, 63.7, 49.0], abs=0.5)


def test_refinement_keeps_the_mean_and_is_exact_for_a_quartic() -> None:
    weights = refinement_weights(6)
    assert weights.sum(axis=1) == pytest.approx(np.ones(6))
    assert weights.mean(axis=0) == pytest.approx([0, 0, 1, 0, 0], abs=1e-12)
    integral = np.polynomial.Polynomial([0.3, -1.0, 0.5, 0.2, -0.05]).integ()
    coarse, fine = np.arange(-2.0, 4.0), np.linspace(0.0, 1.0, 7)
    assert weights @ np.diff(integral(coarse)) == pytest.approx(6 * np.diff(integral(fine)))


def test_moves_to_another_device(grid: StellarPopulations) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    moved = grid.to(device)
    assert moved.stars.device.type == moved.lsf_sigma.device.type == device
    assert torch.equal(moved.ionising_rate.cpu(), grid.ionising_rate)
    assert StellarPopulations.load(device=device).line_names == grid.line_names


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no stellar grid at .*build-grid"):
        StellarPopulations.load(tmp_path / "none.npz")


def test_truncated_file(tmp_path: Path) -> None:
    path = tmp_path / "grid.npz"
    path.write_bytes(SHIPPED.read_bytes()[:100_000])
    with pytest.raises(FileFormatError, match="truncated"):
        StellarPopulations.load(path)


def test_truncated_file_with_its_checksum(tmp_path: Path) -> None:
    path = tmp_path / "stellar_grid.npz"
    path.write_bytes(SHIPPED.read_bytes()[:-1])
    path.with_suffix(".sha256").write_text(SHIPPED.with_suffix(".sha256").read_text())
    with pytest.raises(FileFormatError, match=r"cut short.*Reinstall"):
        StellarPopulations.load(path)


def test_file_of_another_kind(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", flux=np.ones(3))
    with pytest.raises(FileFormatError, match="not a stellar grid"):
        StellarPopulations.load(tmp_path / "other.npz")
    (tmp_path / "text.npz").write_text("wavelength flux\n")
    with pytest.raises(FileFormatError, match=r"not a numpy \.npz"):
        StellarPopulations.load(tmp_path / "text.npz")


def _shipped_arrays() -> dict[str, np.ndarray]:
    with np.load(SHIPPED) as file:
        return {name: file[name] for name in file.files}


def test_file_of_a_newer_version(tmp_path: Path) -> None:
    np.savez(tmp_path / "newer.npz", **(_shipped_arrays() | {"version": np.array(2)}))
    with pytest.raises(FileFormatError, match="version 2 .*pip install -U"):
        StellarPopulations.load(tmp_path / "newer.npz")


def test_file_without_an_array(tmp_path: Path) -> None:
    arrays = _shipped_arrays()
    del arrays["log_u"]
    np.savez(tmp_path / "less.npz", **arrays)
    with pytest.raises(FileFormatError, match="lacks the array 'log_u'"):
        StellarPopulations.load(tmp_path / "less.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metallicity": np.array([1.0, 0.5, 0.2, 0.1, 2.0, 3.0, 4.0])}, "increase strictly"),
        ({"living_fraction": np.full((7, 42), np.nan)}, "finite"),
        ({"remnant_fraction": np.zeros((7, 41))}, "shape"),
    ],
)
def test_file_with_nonsense(tmp_path: Path, change: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "bad.npz", **(_shipped_arrays() | change))
    with pytest.raises(FileFormatError, match=message):
        StellarPopulations.load(tmp_path / "bad.npz")
