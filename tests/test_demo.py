"""The demo: the shipped spectrum is the survey's own, and what is written can be read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from specutils import Spectrum

from galfit_ml import cli
from galfit_ml.demo import example_path, files_of, run_demo
from galfit_ml.errors import OutputExistsError
from galfit_ml.posterior import Posterior


def test_the_example_is_the_survey_s_file_of_ngc_3073() -> None:
    assert example_path().stat().st_size <= 250_000
    with example_path().open("rb") as file, fits.open(file, memmap=False, checksum=True) as hdus:
        assert [h.name for h in hdus] == ["PRIMARY", "COADD", "SPECOBJ"]
        header, row = hdus[0].header, hdus["SPECOBJ"].data[0]
        assert (header["PLATEID"], header["MJD"], header["FIBERID"]) == (945, 52652, 470)
        assert row["Z"] == pytest.approx(0.0037627, abs=1e-6)


@pytest.mark.filterwarnings("ignore::astropy.units.UnitsWarning")
def test_specutils_reads_it_as_calibrated_flux_with_good_signal() -> None:
    spectrum = Spectrum.read(example_path())
    snr = spectrum.flux.value * np.sqrt(spectrum.uncertainty.array)
    assert spectrum.flux.unit.is_equivalent("erg / (s cm2 AA)")
    assert np.median(snr) > 50
    assert np.mean(spectrum.mask) < 0.01


def test_halpha_is_in_emission_at_the_redshift_of_the_survey() -> None:
    with example_path().open("rb") as file, fits.open(file, memmap=False) as hdus:
        wave, flux = 10 ** hdus[1].data["loglam"].astype(float), hdus[1].data["flux"].astype(float)
    near = np.abs(wave - 6564.61 * 1.0037627) < 8
    assert wave[near][flux[near].argmax()] == pytest.approx(6564.61 * 1.0037627, abs=1.0)


def test_origin_licence_and_acknowledgement_lie_beside_it() -> None:
    text = " ".join((example_path().parent / "README.md").read_text(encoding="utf-8").split())
    for words in (example_path().name, "Data Release 18", "public domain", "citing-sdss", "Alfred P. Sloan Foundation"):
        assert words in text


@pytest.mark.usefixtures("dummy")
def test_the_demo_writes_what_can_be_read_again(tmp_path: Path) -> None:
    seen: list[int] = []
    posterior = run_demo(tmp_path / "new" / "demo", progress=lambda done, total, message: seen.append(done))
    folder = tmp_path / "new" / "demo"
    assert sorted(p.name for p in folder.iterdir()) == sorted(files_of(posterior))
    assert seen == [1]
    again = Posterior.load(folder / "posterior.fits")
    np.testing.assert_array_equal(again.draws, posterior.draws)
    assert again.provenance["instrument"] == "sdss"
    assert str(QTable.read(folder / "posterior.ecsv")["id"][0]) == posterior.ids[0]
    for name in ("fit.png", "corner.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("dummy")
def test_the_demo_runs_twice_into_the_same_folder_with_the_same_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert cli.main(["demo", "--out", str(tmp_path / "demo")]) == 0
    shown = capsys.readouterr()
    first, second = shown.out[: len(shown.out) // 2], shown.out[len(shown.out) // 2 :]
    assert first == second
    assert "log_stellar_mass" in first
    assert "fit.png" in shown.err


@pytest.mark.usefixtures("dummy")
def test_the_demo_does_not_write_over_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "demo").write_text("precious")
    with pytest.raises(OutputExistsError, match="is a file; the demo needs a folder"):
        run_demo(tmp_path / "demo")
    assert cli.main(["demo", "--out", str(tmp_path / "demo")]) == 2
    assert "galfit-ml: error:" in capsys.readouterr().err
