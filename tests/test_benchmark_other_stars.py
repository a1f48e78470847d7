"""Suites whose galaxies are made of other stars: MILES models, where they are installed, or a grid of one's own."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits

from galfit_ml.benchmark import BenchmarkError, Suite, get_suite
from galfit_ml.benchmark import other_stars as module
from galfit_ml.benchmark.other_stars import miles_folder, populations, read_miles, with_miles
from galfit_ml.benchmark.spectra import make_shard
from galfit_ml.benchmark.suite import Part
from galfit_ml.grid import air_to_vacuum
from galfit_ml.simulate.populations import StellarPopulations, default_populations

AIR = 3540.5 + 0.9 * np.arange(4300)
METALLICITY = {"m1.71": -1.71, "m0.40": -0.40, "p0.22": 0.22}
GYR = (0.0631, 1.0, 15.8489)


def folder_of_models(folder: Path) -> Path:
    """Files as MILES has them, holding the shipped spectra times a slope and a scale of their own."""
    own = default_populations()
    ages = np.log10(0.5 * (own.age_edges[1:] + own.age_edges[:-1]).numpy())
    log_z, wave = np.log10(own.metallicity.numpy()), own.wavelength.double().numpy()
    for text, metallicity in METALLICITY.items():
        for gyr in GYR:
            z = int(np.argmin(np.abs(log_z - metallicity)))
            a = int(np.argmin(np.abs(ages - 9 - np.log10(gyr))))
            vacuum = air_to_vacuum(AIR)
            flux = 7.0 * (vacuum / 5500) ** 0.5 * np.interp(vacuum, wave, own.stars[z, a].double().numpy())
            header = fits.Header({"CRVAL1": AIR[0], "CDELT1": 0.9})
            name = f"Mun1.30Z{text}T{gyr:07.4f}_iPp0.00_baseFe_linear_FWHM_2.51.fits"
            fits.PrimaryHDU(flux.astype(np.float32), header).writeto(folder / name)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of_models(tmp_path_factory.mktemp("miles"))


def test_models_are_read_in_order_and_at_vacuum_wavelengths(models: Path) -> None:
    wave, metallicity, log_age, spectra = read_miles(models)
    np.testing.assert_array_equal(metallicity, sorted(METALLICITY.values()))
    np.testing.assert_allclose(log_age, np.log10(GYR) + 9)
    assert spectra.shape == (3, 3, len(AIR))
    assert wave[0] == pytest.approx(3541.51, abs=0.01)
    with fits.open(models / "Mun1.30Zm0.40T01.0000_iPp0.00_baseFe_linear_FWHM_2.51.fits") as file:
        np.testing.assert_array_equal(spectra[1, 1], file[0].data)


def test_a_missing_model_is_said(models: Path, tmp_path: Path) -> None:
    for path in list(models.iterdir())[1:]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(BenchmarkError, match="every age and metallicity"):
        read_miles(tmp_path)


def test_old_stars_have_the_models_shape_and_the_shipped_light(models: Path) -> None:
    """Within the limits a slope more, the same light in the band; beyond them level with the edge. Young stars stay."""
    own, new = default_populations(), with_miles(models)
    wave = own.wavelength.double().numpy()
    ages = (0.5 * (own.age_edges[1:] + own.age_edges[:-1])).numpy()
    a, z = int(np.argmin(np.abs(ages - 1e9))), int(np.argmin(np.abs(np.log10(own.metallicity.numpy()) + 0.4)))
    ratio = (new.stars[z, a] / own.stars[z, a]).double().numpy()
    band = (wave > 5300) & (wave < 5700)
    assert (new.stars[z, a][band].mean() / own.stars[z, a][band].mean()).item() == pytest.approx(1.0, abs=1e-4)
    inside = (wave > 3700) & (wave < 7300)
    slope = np.polyfit(np.log(wave[inside]), np.log(ratio[inside]), 1)[0]
    assert slope == pytest.approx(0.5, abs=0.02)
    below, above = ratio[(wave > 2000) & (wave < 3541)], ratio[wave > 7413]
    for beyond, edge in ((below, (wave > 3542) & (wave < 3641)), (above, (wave > 7312) & (wave < 7411))):
        np.testing.assert_allclose(beyond, beyond[0], rtol=1e-4)
        assert beyond[0] == pytest.approx(ratio[edge].mean(), rel=0.02)
    assert torch.equal(new.stars[:, ages < 5e7], own.stars[:, ages < 5e7])
    for name in ("ionising_rate", "remnant_fraction", "line_luminosity"):
        assert torch.equal(getattr(new, name), getattr(own, name))


def test_without_models_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(BenchmarkError, match=r"ppxf is not installed.*pip install 'ppxf==7\.4\.5'"):
        populations("miles")
    newer = ModuleSpec("ppxf", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _: newer)
    with pytest.raises(BenchmarkError, match="does not hold them"):
        populations("miles")
    assert populations("") is None


def test_parts_of_other_stars_have_the_same_galaxies(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "miles_folder", lambda: models)
    part = Part("sdss", exposure=("45m",), magnitude=(16.0, 18.0), redshift=(0.05, 0.2))
    suite = Suite("two", "x", seed=3, shard=8, parts=(part, replace(part, stars="miles", label="other")))
    assert suite.repeated
    one, other = (make_shard(suite, 16, name, 8) for name in ("00-0000", "01-0000"))
    for name in ("redshift", "log_metallicity", "dust_av", "log_age"):
        np.testing.assert_allclose(one.truth[name], other.truth[name], atol=1e-6)
    np.testing.assert_allclose(one.truth["log_stellar_mass"], other.truth["log_stellar_mass"], atol=0.2)
    arms = [shard.batch.arms[0] for shard in (one, other)]
    good = ~(arms[0].bad | arms[1].bad).any(axis=0) & (arms[0].flux > 0).all(axis=0)
    ratio = arms[1].flux[:, good] / arms[0].flux[:, good]
    assert 0.005 < np.median(np.abs(ratio - np.median(ratio, axis=1, keepdims=True))) < 0.2


def test_what_spectra_depend_on_is_told_and_nothing_else(tmp_path: Path) -> None:
    part = Part("sdss", exposure=("45m",))
    assert "stars" not in part.described  # answers given before there was a choice are of these spectra
    grid = tmp_path / "grid.npz"
    grid.write_bytes(b"one")
    before = replace(part, stars=str(grid)).described["stars"]
    grid.write_bytes(b"two")
    assert replace(part, stars=str(grid)).described["stars"] != before
    assert replace(part, stars="miles").described["stars"] == "miles"
    assert get_suite("other-stars").repeated


def test_a_grid_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    red = dataclasses.replace(default_populations(), provenance={"origin": "mine"})
    monkeypatch.setattr(StellarPopulations, "load", classmethod(lambda _, path: red if path == "mine.npz" else None))
    assert populations("mine.npz") is red


def test_miles_models_differ_by_per_cents_and_not_in_velocity() -> None:
    try:
        folder = miles_folder()
    except BenchmarkError:
        pytest.skip("MILES models are not installed: pip install 'ppxf==7.4.5'")
    own, new = default_populations(), with_miles(folder)
    wave = own.wavelength.double().numpy()
    inside = (wave > 4000) & (wave < 6500)
    ages = (0.5 * (own.age_edges[1:] + own.age_edges[:-1])).numpy()
    z = int(np.argmin(np.abs(own.metallicity.numpy() - 1.0)))
    for gyr in (0.5, 2.0, 10.0):
        a = int(np.argmin(np.abs(np.log(ages / gyr / 1e9))))
        one, other = (np.log(grid.stars[z, a].double().numpy()[inside]) for grid in (own, new))
        assert 0.01 < np.std(other - one) < 0.1
        lines = [np.diff(values) for values in (one, other)]
        matches = [np.sum(lines[0][2:-2] * lines[1][2 + k : len(lines[1]) - 2 + k]) for k in (-1, 0, 1)]
        shift = 0.5 * (matches[0] - matches[2]) / (matches[0] - 2 * matches[1] + matches[2])
        assert abs(shift) * 50.0 < 6.0  # km/s; air for vacuum would be 83
