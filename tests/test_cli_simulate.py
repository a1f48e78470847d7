"""`galfit-ml simulate`: real surveys of a small instrument, interrupted runs, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table
from conftest import ROOT
from instrument_files import SMALL, write_small
from specutils import Spectrum

from galfit_ml import cli
from galfit_ml.flags import Flag
from galfit_ml.instruments import Instrument
from galfit_ml.mock_files import read_layer, read_mock, read_settings, read_truth
from galfit_ml.posterior import Posterior
from galfit_ml.reading import read_spectra
from galfit_ml.registry import registry
from galfit_ml.simulate.surveys import survey


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_small(tmp_path)


def simulate(instrument: Path | str, *arguments: str | Path) -> int:
    return cli.main(["simulate", str(instrument), *map(str, arguments)])


def test_the_file_holds_the_survey(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mock.fits"
    asked = ["--survey", "moonrise", "--n", "12", "--exposure", "1h,8h", "--seed", "3", "--redshift", "0.8:1.4"]
    assert simulate(small, *asked, "--out", out, "--keep", "noiseless", "--plots", tmp_path / "figures") == 0
    instrument = Instrument.from_toml(small)
    made = survey(instrument, 12, "moonrise", 3, exposure=("1h", "8h"), redshift=(0.8, 1.4))
    batch, truth = read_mock(out), read_truth(out)
    assert batch.instrument == instrument
    assert sorted(batch.ids) == sorted(made.batch.ids)
    order = np.array([made.batch.ids.index(name) for name in batch.ids])
    for ours, theirs in zip(batch.arms, made.batch.arms, strict=True):
        np.testing.assert_array_equal(ours.flux, theirs.flux[order])
        np.testing.assert_array_equal(ours.ivar, theirs.ivar[order])
        np.testing.assert_array_equal(ours.bad, theirs.bad[order])
        np.testing.assert_allclose(ours.lsf_sigma, theirs.lsf_sigma[order])
    np.testing.assert_array_equal(read_layer(out, "noiseless"), made.clean[order])
    np.testing.assert_array_equal(read_layer(out, "mask"), made.mask[order])
    assert set(truth.colnames) == {"id", *made.truth}
    for name, values in made.truth.items():
        np.testing.assert_array_equal(np.asarray(truth[name]), values[order], err_msg=name)
    assert truth["exposure_s"].unit == u.s
    assert all(truth[name].description for name in truth.colnames[1:])
    assert (tmp_path / "figures" / "mock.png").read_bytes().startswith(b"\x89PNG")
    assert "(24 spectra)" in capsys.readouterr().err


def test_the_truth_says_what_was_asked(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "mock.fits"
    asked = ["--n", "40", "--exposure", "2h", "--magnitude", "20:21", "--redshift", "0.4", "--tier", "1"]
    assert simulate(small, *asked, "--contaminant", "sky=0.3", "--mode", "stare", "--out", out) == 0
    truth = read_truth(out)
    galaxies = truth["class"] != "sky"
    assert 2 <= (~galaxies).sum() <= 25
    assert set(truth["exposure_s"]) == {7200.0}
    np.testing.assert_allclose(truth["redshift"][galaxies], 0.4)
    band = next(n for n in truth.colnames if n.startswith("m_") and not n.endswith("_total"))
    assert 20 <= truth[band][galaxies].min() <= truth[band][galaxies].max() <= 21
    settings = read_settings(out)
    expected = {"survey": "training", "tier": 1, "exposure": [7200.0], "mode": "stare", "contaminants": {"sky": 0.3}}
    assert {name: settings[name] for name in expected} == expected


def test_the_door_and_specutils_read_the_file(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "mock.fits"
    assert simulate(small, "--n", "6", "--out", out) == 0
    (group,) = read_spectra(out).groups
    direct = read_mock(out)
    assert group.batch.ids == direct.ids
    assert group.batch.instrument == Instrument.from_toml(small)
    for arm, ours in zip(("red", "far"), direct.arms, strict=True):
        extensions = {"hdu": f"{arm}_FLUX", "uncertainty_hdu": f"{arm}_IVAR"}
        spectrum = Spectrum.read(out, format="wcs1d-fits", uncertainty_type="ivar", **extensions)
        off = (spectrum.spectral_axis.to_value("AA") - ours.grid.centres) / ours.grid.widths
        assert np.abs(off).max() < 1e-3
        np.testing.assert_allclose(spectrum.flux.to_value("1e-17 erg / (s cm2 AA)"), ours.flux, rtol=1e-6)


def test_a_mock_file_can_be_estimated(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From one command to the next, with a backend that answers at once."""
    monkeypatch.setattr("galfit_ml.registry.entry_points", lambda group: [EntryPoint("dummy", "dummy_backend", group)])
    registry.cache_clear()
    try:
        mock, out = tmp_path / "mock.fits", tmp_path / "r.h5"
        assert simulate(small, "--n", "5", "--exposure", "8h", "--magnitude", "19:20", "--out", mock) == 0
        asked = ["estimate", str(mock), "--backend", "dummy", "--samples", "20", "--out", str(out)]
        assert cli.main([*asked, "--rows", "1:4"]) == 0
    finally:
        registry.cache_clear()
    posterior, batch = Posterior.load(out), read_mock(mock, slice(1, 4))
    assert posterior.ids == tuple(read_truth(mock)["id"][1:4])
    assert posterior.provenance["instrument"] == "small"
    assert not (posterior.flags & int(Flag.LSF_ASSUMED)).any()
    np.testing.assert_array_equal(posterior.best_fit.flux, np.concatenate([a.flux for a in batch.arms], axis=1))


def test_the_truth_is_copied(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copies = [tmp_path / "truth.ecsv", tmp_path / "truth.csv"]
    given = [word for path in copies for word in ("--truth", path)]
    assert simulate(small, "--n", "3", "--out", tmp_path / "mock.fits", *given) == 0
    for path in copies:
        table = Table.read(path)
        assert list(table["id"]) == list(read_mock(tmp_path / "mock.fits").ids)
    assert simulate(small, "--n", "3", "--out", tmp_path / "other.fits", *given) == 2
    assert "truth.ecsv' exists already" in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_the_same_to_the_byte(tmp_path: Path) -> None:
    small = write_small(tmp_path)
    asked = [
        sys.executable,
        "-m",
        "galfit_ml",
        "simulate",
        str(small),
        "--n",
        "1500",
        "--exposure",
        "1h,4h",
        "--seed",
        "8",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for name in ("once", "killed"):
        (tmp_path / name).mkdir()
    once = [*asked, "--out", str(tmp_path / "once" / "mock.fits")]
    subprocess.run(once, check=True, cwd=ROOT, env=environment, capture_output=True)
    again = [*asked, "--out", str(tmp_path / "killed" / "mock.fits")]
    journal = tmp_path / "killed" / "mock.fits.progress"
    running = subprocess.Popen(again, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not journal.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert journal.exists()
        assert running.poll() is None
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    finished = json.loads(journal.read_text())["finished"]
    assert 1 <= finished < 12
    assert not (tmp_path / "killed" / "mock.fits").exists()
    done = subprocess.run(again, check=True, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert "(3000 spectra)" in done.stderr
    for name in ("mock.fits", "mock_truth.fits"):
        first, second = ((tmp_path / folder / name).read_bytes() for folder in ("once", "killed"))
        assert first == second
    assert sorted(p.name for p in (tmp_path / "killed").iterdir()) == ["mock.fits", "mock_truth.fits"]


def test_ctrl_c_says_how_to_go_on(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from galfit_ml.cli import simulate as command

    make = command._chunks

    def stopping(settings: object, start: int):
        chunks = make(settings, start)
        yield next(chunks)
        raise KeyboardInterrupt

    out = tmp_path / "mock.fits"
    monkeypatch.setattr(command, "_chunks", stopping)
    assert simulate(small, "--n", "300", "--out", out) == 130
    told = capsys.readouterr().err
    assert f"256 of 300 spectra are kept in {out}.partial. Type the same command again to go on" in told
    monkeypatch.setattr(command, "_chunks", make)
    assert simulate(small, "--n", "301", "--out", out) == 2
    told = capsys.readouterr().err
    assert "begun with other settings (galaxies was 300 and is 301; n was 300 and is 301)" in told
    assert "are kept in" not in told
    assert simulate(small, "--n", "300", "--out", out) == 0
    assert len(read_mock(out)) == 300


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["moons-l", "--n", "3"], "No instrument 'moons-l'. Did you mean 'moons-lr'?"),
        (["generic:1800", "--n", "3"], "The noise of instrument 'generic' is not known"),
        (["none.toml", "--n", "3"], "Instrument file 'none.toml' cannot be read"),
        (["SMALL", "--n", "3", "--survey", "moonris"], "No population 'moonris'. Did you mean 'moonrise'?"),
        (["SMALL"], "Say how many galaxies"),
        (["SMALL", "--n", "3", "--exposure", "0h"], "must be positive and finite"),
        (["SMALL", "--n", "3", "--exposure=-1h"], "cannot be understood"),
        (["SMALL", "--n", "3", "--exposure", "1h,"], "cannot be understood"),
        (["SMALL", "--n", "3", "--magnitude", "0"], "magnitude 0 to 0 makes no sense"),
        (["SMALL", "--n", "3", "--magnitude", "24:20"], "one number or a range"),
        (["SMALL", "--n", "3", "--magnitude", "nan"], "one number or a range"),
        (["SMALL", "--n", "3", "--redshift", "9"], "redshift 9 to 9 makes no sense"),
        (["SMALL", "--n", "3", "--mode", "nodd"], "No sky mode of small 'nodd'"),
        (["SMALL", "--n", "3", "--contaminant", "stars=0.1"], "Did you mean 'star'?"),
        (["SMALL", "--n", "3", "--contaminant", "star=0.1", "--contaminant", "star=0.2"], "given twice"),
        (["SMALL", "--n", "3", "--contaminant", "star=0.7", "--contaminant", "sky=0.7"], "add up to at most 1"),
        (["SMALL", "--n", "3", "--seed", "-1"], "seed must be a whole number"),
        (["SMALL", "--n", "3", "--truth", "t.doc"], "ends in .ecsv, .parquet, .csv"),
        (["SMALL", "--n", "3", "--plots", "small.toml"], "is a file; --plots needs a folder"),
        (["SMALL", "--n", "3", "--out", "mock.h5"], "ends in .fits"),
        (["SMALL", "--n", "3", "--out", "no/mock.fits"], "mkdir -p"),
        (["SMALL", "--n", "1000000000"], "GB free. Ask for fewer spectra"),
    ],
)
def test_nonsense_is_refused_before_anything_is_written(
    small: Path, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(small.parent)
    given = [argument.replace("SMALL", "small.toml") for argument in arguments]
    assert cli.main(["simulate", "--out", "mock.fits", *given]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.startswith("galfit-ml: error: ")
    assert [path.name for path in small.parent.iterdir()] == ["small.toml"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--n", "0"],
        ["--n", "-5"],
        ["--n", "many"],
        ["--tier", "3"],
        ["--magnitude", "bright"],
        ["--contaminant", "star"],
        ["--contaminant", "star=2"],
        ["--keep", "everything"],
    ],
)
def test_arguments_that_make_no_sense_end_with_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["simulate", "moons-lr", "--out", "mock.fits", *arguments])
    assert stop.value.code == 2
    assert "usage: galfit-ml simulate" in capsys.readouterr().err


def test_output_that_exists_is_refused(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mock.fits"
    out.write_text("precious")
    assert simulate(small, "--n", "3", "--out", out) == 2
    assert "exists already. Name another file with --out, or add --overwrite" in capsys.readouterr().err
    assert out.read_text() == "precious"
    assert simulate(small, "--n", "3", "--out", out, "--overwrite") == 0
    assert len(read_mock(out)) == 3


def test_a_wrong_toml_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SMALL.replace("dit = 600.0", 'dit = "long"'))
    assert simulate(path, "--n", "3", "--out", tmp_path / "mock.fits") == 2
    assert "key 'dit': expected a number, not 'long'" in capsys.readouterr().err
