"""The builder of the sky table, on a small folder or wheel made to look like moons1d."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from galfit_ml.errors import FileFormatError
from galfit_ml.simulate.build import build_sky
from galfit_ml.simulate.build.sky import SOURCE
from galfit_ml.simulate.sky import SkyTable

N_PIX = 20_001
CONTINUUM = 3e-6
"""photon s^-1 cm^-2 A^-1 arcsec^-2."""


def source(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Write a SkyCalc file as moons1d has it, and return its emission and transmission at 0.1 A."""
    rng = np.random.default_rng(4)
    wavelength = 6000.0 + 0.1 * np.arange(N_PIX)
    emission = CONTINUUM * (1 + 0.1 * np.sin(wavelength / 500.0))
    emission[rng.integers(0, N_PIX, 300)] += 10 ** rng.uniform(-5, -1, 300)
    transmission = np.clip(0.95 - 0.9 * np.exp(-0.5 * ((wavelength - 6900.0) / 20.0) ** 2), 0.0, 1.0)
    hdus = [fits.PrimaryHDU(emission), fits.ImageHDU(transmission), fits.ImageHDU(0.1 * emission)]
    for hdu in hdus:
        hdu.header.update(CRVAL1=6000.0, CDELT1=0.1)
    path = folder / SOURCE.format(airmass=1.2)
    path.parent.mkdir(parents=True)
    fits.HDUList(hdus).writeto(path)
    return emission, transmission


def binned(values: np.ndarray) -> np.ndarray:
    return np.asarray(values[: N_PIX // 2 * 2].reshape(-1, 2).mean(axis=1))


def quiet(message: str) -> None:
    assert message


def test_the_table_keeps_emission_and_transmission(tmp_path: Path) -> None:
    emission, transmission = source(tmp_path)
    told = build_sky(tmp_path, tmp_path / "sky.npz", quiet)
    assert "10000 pixels of 0.2 A" in told
    table = SkyTable.from_file(tmp_path / "sky.npz")
    expected = 1e4 * binned(emission)
    found = table.lines + table.continuum
    ratio = found / expected
    assert abs(found.sum() / expected.sum() - 1) < 2e-4
    assert abs(ratio.mean() - 1) < 2e-4
    assert ratio.std() < 3e-4
    assert np.abs(table.transmission - binned(transmission)).max() <= 0.5 / 8192 + 1e-12
    np.testing.assert_allclose(table.wavelength[[0, -1]], [6000.05, 7999.85])


def test_lines_and_continuum_are_told_apart(tmp_path: Path) -> None:
    emission, _ = source(tmp_path)
    build_sky(tmp_path, tmp_path / "sky.npz", quiet)
    table = SkyTable.from_file(tmp_path / "sky.npz")
    truth = 1e4 * CONTINUUM * (1 + 0.1 * np.sin(table.wavelength / 500.0))
    np.testing.assert_allclose(table.continuum, truth, rtol=0.03)
    lines = 1e4 * binned(emission) - truth
    assert table.lines.sum() == pytest.approx(lines.sum(), rel=2e-3)


def test_a_wheel_and_its_folder_give_the_same_file(tmp_path: Path) -> None:
    source(tmp_path)
    wheel = tmp_path / "moons1d-1.0.3-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(tmp_path / SOURCE.format(airmass=1.2), SOURCE.format(airmass=1.2))
    build_sky(tmp_path, tmp_path / "a.npz", quiet)
    build_sky(str(wheel), str(tmp_path / "b.npz"), quiet)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize("kind", ["nothing", "empty folder", "text", "another wheel"])
def test_what_is_not_moons1d_is_refused_with_the_command_that_gets_it(tmp_path: Path, kind: str) -> None:
    origin = tmp_path / "origin"
    if kind == "empty folder":
        origin.mkdir()
    if kind == "text":
        origin.write_text("not a wheel")
    if kind == "another wheel":
        with zipfile.ZipFile(origin, "w") as archive:
            archive.writestr("numpy/__init__.py", "")
    with pytest.raises(FileFormatError, match="pip download --no-deps moons1d==1.0.3"):
        build_sky(origin, tmp_path / "sky.npz", quiet)
    assert not (tmp_path / "sky.npz").exists()
