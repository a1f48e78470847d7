"""The measured noise curves: the regression, the files it reads, the files it made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from benchmarks.noise_curves import SURVEYS, Survey, fit_noise, masked_share, read_spectra, reality, write_csv

DATA = Path(__file__).parents[1] / "galfit_ml" / "data" / "noise"

Floats = NDArray[np.float64]


def short(name: str, first: float = 3.70, n_pix: int = 201) -> Survey:
    """A survey reduced to a few pixels."""
    return replace(SURVEYS[name], log_range=(first, first + 1e-4 * (n_pix - 1)))


def spectra_of(survey: Survey, n: int, *, relative: float, scatter: float, seed: int = 1) -> tuple[Floats, Floats]:
    """Flat spectra between 1 and 300 whose reported errors follow the model; the first fifth have no object."""
    rng = np.random.default_rng(seed)
    wavelength = 10**survey.log_wavelength
    level = 10 ** rng.uniform(0.0, 2.5, n)
    level[: n // 5] = 0.0
    sky, per_flux = expected(wavelength)
    variance = (sky**2 + per_flux * level[:, None]) * np.exp(2 * scatter * rng.standard_normal(n))[:, None]
    reported = variance + (relative * level[:, None]) ** 2
    return level[:, None] + np.sqrt(variance) * rng.standard_normal(variance.shape), 1.0 / reported


def expected(wavelength: Floats) -> tuple[Floats, Floats]:
    """Sky, with a line every 60 angstrom, and variance per unit flux."""
    middle = wavelength[len(wavelength) // 2]
    from_line = (wavelength - middle + 30.0) % 60.0 - 30.0
    return 0.7 + 2.0 * np.exp(-0.5 * (from_line / 2.0) ** 2), 0.03 * (wavelength / middle)


def columns(name: str) -> Floats:
    lines = [line for line in (DATA / f"{name}.csv").read_text(encoding="utf-8").splitlines() if line[0].isdigit()]
    return np.array([[float(cell) for cell in line.split(",")] for line in lines])


def test_the_regression_finds_what_was_put_in() -> None:
    survey = short("sdss")
    flux, ivar = spectra_of(survey, 500, relative=0.017, scatter=0.1)
    fit = fit_noise(flux, ivar, survey)
    sky, per_flux = expected(fit.wavelength)
    assert np.abs(fit.sky / sky - 1).max() < 0.06
    assert np.abs(np.median(fit.object / per_flux) - 1) < 0.1
    assert fit.relative == pytest.approx(0.017, rel=0.05)
    assert fit.scatter == pytest.approx(0.1, rel=0.15)


def test_few_spectra_share_a_smooth_object_term() -> None:
    survey = short("boss", n_pix=801)
    flux, ivar = spectra_of(survey, 60, relative=0.0, scatter=0.05)
    fit = fit_noise(flux, ivar, survey)
    sky, per_flux = expected(fit.wavelength)
    assert fit.relative == 0.0
    assert np.abs(fit.object / per_flux - 1).max() < 0.15
    assert np.abs(fit.sky / sky - 1).max() < 0.1


def test_empty_spectra_tell_the_real_scatter() -> None:
    survey = short("sdss", first=3.84, n_pix=601)
    flux, ivar = spectra_of(survey, 200, relative=0.0, scatter=0.0)
    found = reality(flux, ivar / 1.25**2, fit_noise(flux, ivar / 1.25**2, survey), survey)
    assert found is not None
    assert found.between == pytest.approx(0.8, rel=0.02)
    assert abs(found.neighbour) < 0.03
    assert found.residual < 0.05


def test_a_coherent_residual_of_the_lines_is_measured() -> None:
    survey = short("sdss", first=3.84, n_pix=601)
    flux, ivar = spectra_of(survey, 200, relative=0.0, scatter=0.0)
    line = expected(10**survey.log_wavelength)[0] - 0.7
    amplitude = np.where(np.arange(200) % 2, 0.6, -0.6)
    found = reality(flux + amplitude[:, None] * line, ivar, fit_noise(flux, ivar, survey), survey)
    assert found is not None
    assert found.residual == pytest.approx(0.6, rel=0.15)


def test_without_empty_spectra_nothing_is_said_of_the_real_scatter() -> None:
    survey = short("sdss")
    flux, ivar = spectra_of(survey, 100, relative=0.0, scatter=0.0)
    assert reality(flux + 5.0, ivar, fit_noise(flux, ivar, survey), survey) is None


def test_archives_and_survey_files_give_the_same_spectra(tmp_path: Path) -> None:
    survey = short("sdss", n_pix=60)
    flux, ivar = spectra_of(survey, 3, relative=0.0, scatter=0.0)
    names = [f"spec-0300-51900-{i:04d}.fits" for i in range(3)]
    meta = np.array([(name, 300) for name in names], dtype=[("file", "<U40"), ("plate", "<i4")])
    (tmp_path / "a").mkdir()
    (tmp_path / "f").mkdir()
    np.savez(tmp_path / "a" / "some.npz", flux=flux, ivar=ivar, loglam0=survey.log_range[0], dloglam=1e-4, meta=meta)
    for name, one_flux, one_ivar in zip(names, flux, ivar, strict=True):
        write_spectrum(tmp_path / "f" / name, survey.log_wavelength[5:], one_flux[5:], one_ivar[5:])
    archive, files = read_spectra(tmp_path / "a", survey), read_spectra(tmp_path / "f", survey)
    for one, other in zip(archive, files, strict=True):
        order, other_order = np.argsort(one[:, 20]), np.argsort(other[:, 20])
        np.testing.assert_allclose(one[order][:, 5:], other[other_order][:, 5:], rtol=1e-6)
        assert (other[:, :5] == 0).all()


def write_spectrum(path: Path, log_wavelength: Floats, flux: Floats, ivar: Floats) -> None:
    """A file like the survey's."""
    names = {"flux": flux, "loglam": log_wavelength, "ivar": ivar}
    table = fits.BinTableHDU.from_columns([fits.Column(name=k, format="D", array=v) for k, v in names.items()])
    primary = fits.PrimaryHDU()
    primary.header["PLATEID"] = 300
    fits.HDUList([primary, table]).writeto(path)


def test_a_folder_without_spectra_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="has no spectra of plates"):
        read_spectra(tmp_path, SURVEYS["sdss"])


def test_what_is_written_can_be_read_as_a_curve(tmp_path: Path) -> None:
    survey = short("sdss")
    flux, ivar = spectra_of(survey, 100, relative=0.0, scatter=0.0)
    fit = fit_noise(flux, ivar, survey)
    write_csv(fit, survey, tmp_path / "one.csv")
    lines = [line for line in (tmp_path / "one.csv").read_text(encoding="utf-8").splitlines() if line[0] != "#"]
    assert lines[0] == "wavelength,sky,object"
    table = np.array([[float(cell) for cell in line.split(",")] for line in lines[1:]])
    np.testing.assert_allclose(table, np.stack([fit.wavelength, fit.sky, fit.object], axis=1), rtol=6e-3)


def test_masked_pixels_are_counted_inside_the_spectrum_only() -> None:
    ivar = np.array([[0.0, 1.0, 0.0, 1.0, 1.0, 0.0]])
    assert masked_share(ivar) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("name", "low", "high", "quiet"), [("sdss", 3805.0, 9200.0, 0.65), ("boss", 3600.0, 10300.0, 0.3)]
)
def test_shipped_curves_are_complete_and_look_like_a_sky(name: str, low: float, high: float, quiet: float) -> None:
    wavelength, sky, per_flux = columns(name).T
    assert (np.diff(wavelength) > 0).all()
    assert wavelength[0] < low
    assert wavelength[-1] > high
    assert (sky > 0).all()
    assert (per_flux > 0).all()
    assert np.median(sky[(wavelength > 5400) & (wavelength < 5520)]) == pytest.approx(quiet, rel=0.1)
    for line in (5578.9, 6302.1, 8888.0):
        near = np.abs(wavelength - line) < 4
        around = (np.abs(wavelength - line) > 15) & (np.abs(wavelength - line) < 40)
        assert sky[near].max() > 1.5 * np.percentile(sky[around], 25), line


@pytest.mark.parametrize("name", ["sdss", "boss"])
def test_shipped_curves_are_small_and_name_their_source(name: str) -> None:
    text = (DATA / f"{name}.csv").read_text(encoding="utf-8")
    assert len(text) < 150_000
    comments = " ".join(line for line in text.splitlines() if line.startswith("#"))
    for word in ("Smee et al.", "AJ", "public", "benchmarks/noise_curves.py"):
        assert word in comments


def test_the_shipped_sdss_curve_is_what_real_spectra_say(real_data: Path) -> None:
    survey = short("sdss", first=3.80, n_pix=161)
    flux, ivar = read_spectra(real_data, survey)
    fit = fit_noise(flux, ivar, survey)
    shipped = columns("sdss")
    sky, per_flux = (np.interp(fit.wavelength, shipped[:, 0], shipped[:, i]) for i in (1, 2))
    inner = slice(20, -20)
    assert np.abs(fit.sky / sky - 1)[inner].max() < 0.05
    assert np.abs(np.median((fit.object / per_flux)[inner]) - 1) < 0.1
    assert fit.relative == pytest.approx(0.0168, rel=0.1)
