"""`galfit-ml etc` and `galfit-ml instruments`: what they print and write, and what they refuse."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable, Table
from instrument_files import SMALL, write_small

from galfit_ml import cli
from galfit_ml.cli.etc import duration
from galfit_ml.cli.etc_spectrum import on_pixels
from galfit_ml.errors import FileFormatError, GalfitMLError, SpectrumError
from galfit_ml.instruments import Instrument, get_instrument
from galfit_ml.simulate import signal_to_noise


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_small(tmp_path)


def arm_line(text: str, arm: str) -> list[float]:
    (line,) = re.findall(rf"^  {arm} +\d+ - \d+ (.*)$", text, re.M)
    return [float(cell) for cell in line.split()]


def test_the_table_says_what_the_calculator_says(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["etc", str(small), "--mag", "21", "--exposure", "2x600s", "--size", "0.4", "--seeing", "0.7"]) == 0
    shown = capsys.readouterr().out
    depth = signal_to_noise(Instrument.from_toml(small), magnitude=21.0, exposure=1200, size=0.4, seeing=0.7)
    for arm, entry, fwhm_pixels in (("red", depth.arms[0], 3.0), ("far", depth.arms[1], 8150 / 2000 / 1.5)):
        snr, per_fwhm, limit, *electrons = arm_line(shown, arm)
        assert snr == pytest.approx(entry.snr, rel=5e-3)
        assert per_fwhm / snr == pytest.approx(fwhm_pixels**0.5, rel=0.01)
        assert limit == pytest.approx(entry.line_limit, rel=5e-3)
        assert len(electrons) == 3
    red = depth.good[:401]
    assert arm_line(shown, "red")[3] == pytest.approx(np.median(depth.object_electrons[:401][red]), rel=1e-3)
    assert shown.startswith("small, xswitch: i = 21 AB, flat in f_nu, half-light radius 0.4 arcsec; exposure 20 min\n")


def test_the_sky_mode_and_the_tier_matter(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = []
    for more in ([], ["--mode", "stare"], ["--tier", "0"]):
        assert cli.main(["etc", str(small), "--mag", "22", "--exposure", "8h", *more]) == 0
        found.append(arm_line(capsys.readouterr().out, "red")[0])
    assert found[1] > 1.2 * found[0]
    assert found[2] > found[0]


@pytest.mark.parametrize(("target", "arm"), [(3.0, "red"), (2.0, "far"), (2.5, None)])
def test_the_exposure_time_is_the_shortest_that_reaches_the_target(
    small: Path, target: float, arm: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["etc", str(small), "--mag", "22", "--target-snr", str(target), *(["--arm", arm] if arm else [])]
    assert cli.main(asked) == 0
    shown = capsys.readouterr().out
    match = re.search(r"exposure (?:(\d+) h ?)?(?:(\d+) min )?\(for S/N", shown.replace("h (", "h  ("))
    assert match
    seconds = 3600 * int(match[1] or 0) + 60 * int(match[2] or 0)
    assert seconds % 600 == 0
    instrument = Instrument.from_toml(small)
    names = [a.name for a in signal_to_noise(instrument, magnitude=22.0, exposure=seconds).arms]
    index = names.index(arm or "all")

    def snr(time: float) -> float:
        return signal_to_noise(instrument, magnitude=22.0, exposure=time).arms[index].snr

    assert snr(seconds - 600) < target <= snr(seconds)


def test_an_instrument_with_a_noise_curve_needs_no_whole_integrations(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = SMALL.split("[observatory]")[0] + "".join(
        f"[[arms]]{arm}" for arm in re.sub(r"(throughput|detector) = .*\n", "", SMALL).split("[[arms]]")[1:]
    )
    (tmp_path / "noise.csv").write_text("wavelength,sky,object\n6000,2.0,0.5\n9000,2.0,0.5\n")
    path = tmp_path / "curve.toml"
    path.write_text(f'{text}\n[noise_curve]\nfile = "noise.csv"\nexposure = 2700.0\nsource = "nobody"\n')
    assert cli.main(["etc", str(path), "--mag", "20", "--target-snr", "10", "--plot", str(tmp_path / "a.png")]) == 0
    shown = capsys.readouterr().out
    assert "Electrons" not in shown
    assert len(arm_line(shown, "red")) == 3
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    seconds = float(re.search(r"exposure (\S+) s \(for", shown)[1])
    reached = signal_to_noise(Instrument.from_toml(path), magnitude=20.0, exposure=seconds).arms[-1].snr
    assert 10.0 <= reached < 10.03


def test_everything_against_wavelength_goes_into_a_table(small: Path, tmp_path: Path) -> None:
    asked = ["etc", str(small), "--mag", "22", "--exposure", "1h"]
    for ending in ("ecsv", "fits", "csv"):
        assert cli.main([*asked, "--out", str(tmp_path / f"etc.{ending}")]) == 0
    depth = signal_to_noise(Instrument.from_toml(small), magnitude=22.0, exposure="1h")
    table = QTable.read(tmp_path / "etc.ecsv")
    np.testing.assert_allclose(table["wavelength"].to_value("nm"), depth.wavelength / 10)
    np.testing.assert_allclose(table["snr"], depth.snr)
    assert table["line_limit"].unit == u.Unit("erg / (s cm2)")
    assert list(table["arm"][[0, -1]]) == ["red", "far"]
    assert "22 AB" in table.meta["SUMMARY"]
    again = Table.read(tmp_path / "etc.fits")
    np.testing.assert_allclose(again["sky_electrons"], depth.sky_electrons)
    assert len(Table.read(tmp_path / "etc.csv")) == len(depth.snr)


def test_the_figure_is_written_and_not_replaced_unasked(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figure = tmp_path / "etc.png"
    asked = ["etc", str(small), "--mag", "22", "--exposure", "1h", "--plot", str(figure)]
    assert cli.main(asked) == 0
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert f"wrote {figure}" in capsys.readouterr().err
    assert cli.main(asked) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert cli.main([*asked, "--overwrite"]) == 0


def test_a_spectrum_is_shifted_scaled_and_averaged(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "template.txt"
    wave = np.arange(3300.0, 3800.0, 0.25)
    np.savetxt(file, np.column_stack([wave, 3.0 * wave**-2.0]), header="wavelength flux")
    flat = arm_line(printed(["etc", str(small), "--mag", "22", "--exposure", "1h"], capsys), "red")
    asked = ["etc", str(small), "--exposure", "1h", "--spectrum", str(file), "--redshift", "1.0"]
    shown = printed([*asked, "--mag", "22"], capsys)
    assert arm_line(shown, "red") == pytest.approx(flat, rel=5e-3)  # f_lambda ~ lambda^-2 is flat in f_nu
    assert "covers 67 % of the pixels" in shown
    assert re.search(r"^  far .* nan", shown, re.M)


def printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main(arguments) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("kind", ["csv", "ecsv", "txt"])
def test_flux_is_conserved_on_the_pixels(small: Path, tmp_path: Path, kind: str) -> None:
    wave = np.arange(6900.0, 7500.0, 0.37)
    flux = 1.0 + np.exp(-0.5 * ((wave - 7203.3) / 2.0) ** 2)
    path = tmp_path / f"line.{kind}"
    if kind == "ecsv":
        unit = u.Unit("1e-17 erg / (s cm2 AA)")
        QTable({"wavelength": wave * u.AA, "flux": flux * unit, "uncertainty": 0.1 * flux * unit}).write(path)
    else:
        np.savetxt(path, np.column_stack([wave, flux]), delimiter="," if kind == "csv" else " ")
    found, covered = on_pixels(path, Instrument.from_toml(small), 0.0)
    assert covered.sum() == 401
    assert (found[:401] - 1.0).sum() == pytest.approx(np.sqrt(2 * np.pi) * 2.0, rel=1e-3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "two columns"),
        ("a b\nc d\n", "two columns"),
        ("7000\n7001\n", "two columns"),
        ("7000 1\n7000 2\n", "all different"),
        ("-1 1\n7000 2\n", "positive"),
        ("7000 nan\n7001 2\n", "finite"),
        ("1 1\n2 2\n", "Wavelengths are angstroms"),
    ],
)
def test_a_file_that_is_no_spectrum_is_told(small: Path, tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "x.txt"
    path.write_text(content)
    with pytest.raises((FileFormatError, SpectrumError), match=message):
        on_pixels(path, Instrument.from_toml(small), 0.0)


def test_a_redshift_that_makes_no_sense_is_told(small: Path, tmp_path: Path) -> None:
    with pytest.raises(GalfitMLError, match="redshift -2 makes no sense"):
        on_pixels(tmp_path / "x.txt", Instrument.from_toml(small), -2.0)
    with pytest.raises(FileFormatError, match="no file"):
        on_pixels(tmp_path / "x.txt", Instrument.from_toml(small), 2.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["moons-l", "--mag", "22", "--exposure", "1h"], "No instrument 'moons-l'. Did you mean 'moons-lr'?"),
        (["desi", "--mag", "22", "--exposure", "1h"], "The noise of instrument 'desi' is not known"),
        (["none.toml", "--mag", "22", "--exposure", "1h"], "Instrument file 'none.toml' cannot be read"),
        (["SMALL", "--mag", "22"], "Give either --exposure 1h or --target-snr 5"),
        (["SMALL", "--mag", "22", "--exposure", "1h", "--target-snr", "5"], "Give either"),
        (["SMALL", "--exposure", "1h"], "How bright is it?"),
        (["SMALL", "--mag", "-3", "--exposure", "1h"], "magnitude must be a positive"),
        (["SMALL", "--mag", "nan", "--exposure", "1h"], "magnitude must be a positive"),
        (["SMALL", "--mag", "22", "--exposure", "0"], "must be positive and finite"),
        (["SMALL", "--mag", "22", "--exposure", "-1h"], "cannot be understood"),
        (["SMALL", "--mag", "22", "--exposure", "soon"], "cannot be understood"),
        (["SMALL", "--mag", "22", "--exposure", "1h", "--size", "-1"], "half-light radius"),
        (["SMALL", "--mag", "22", "--exposure", "1h", "--airmass", "0.5"], "airmass must be at least 1"),
        (["SMALL", "--mag", "22", "--exposure", "1h", "--mode", "star"], "Did you mean 'stare'?"),
        (["SMALL", "--mag", "22", "--exposure", "1h", "--line-width", "0"], "line width must be a positive"),
        (["SMALL", "--mag", "22", "--exposure", "1h", "--arm", "red"], "--arm names the arm of --target-snr"),
        (["SMALL", "--mag", "22", "--exposure", "1h", "--redshift", "1"], "--redshift shifts the spectrum"),
        (["SMALL", "--mag", "22", "--exposure", "1h", "--plot", "x.doc"], "names no format"),
        (["SMALL", "--mag", "22", "--exposure", "1h", "--out", "no/x.csv"], "mkdir -p"),
        (["SMALL", "--mag", "22", "--target-snr", "5", "--arm", "rde"], "Did you mean 'red'?"),
        (["SMALL", "--mag", "22", "--target-snr", "0"], "target S/N must be positive"),
        (["SMALL", "--mag", "24", "--target-snr", "100"], "S/N 100 cannot be reached: after 1000 h it is"),
    ],
)
def test_nonsense_is_refused_with_a_reason(
    small: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [argument.replace("SMALL", str(small)) for argument in arguments]
    # argparse takes a leading minus for an option unless it is joined by =
    joined = [f"--exposure={given.pop(given.index('-1h'))}"] if "-1h" in given else []
    given = [argument for argument in given if not (joined and argument == "--exposure")]
    assert cli.main(["etc", *given, *joined]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.startswith("galfit-ml: error: ")
    assert shown.out == ""


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("area = 50.0", "aera = 50.0", "'aera' is unknown. Did you mean 'area'?"),
        ("area = 50.0", "", "key 'area' is missing"),
        ("step = 1.0", 'step = "small"', "key 'step': expected a number"),
        ('sky = "paranal"', 'sky = "paris"', "No sky table 'paris'"),
        ("[[arms]]", "[[arms", "cannot be read"),
    ],
)
def test_a_wrong_toml_file_is_told(
    tmp_path: Path, before: str, after: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SMALL.replace(before, after, 1))
    assert cli.main(["etc", str(path), "--mag", "22", "--exposure", "1h"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3600, "1 h"), (4800, "1 h 20 min"), (90, "1 min 30 s"), (0.5, "0.5 s"), (90061, "25 h 1 min 1 s")],
)
def test_times_are_written_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_an_instrument_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["instruments", "moons-lr"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^  H +14520 - 18000 +3872 +0\.90 +2\.43 +\d+-\d+ +0\.\d+-0\.\d+ +6 +30$", shown, re.M)
    assert "source       moons1d 1.0.3" in shown
    assert "mode         xswitch: two fibres" in shown
    assert cli.main(["instruments", "desi"]) == 0
    assert "not known: `galfit-ml etc` and `galfit-ml simulate` cannot use this instrument" in capsys.readouterr().out


def test_an_instrument_is_drawn_and_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["instruments", "moons-hr", "--plot", "--toml", "mine.toml"]) == 0
    assert (tmp_path / "moons-hr.png").read_bytes().startswith(b"\x89PNG")
    assert Instrument.from_toml("mine.toml") == get_instrument("moons-hr")
    assert cli.main(["instruments", "moons-hr", "--toml", "mine.toml"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert cli.main(["instruments", "mine.toml", "--plot", "mine.svg"]) == 0
    assert "<svg" in (tmp_path / "mine.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["moon"], "No instrument 'moon'. Did you mean 'moons-"),
        (["--plot", "a.png"], "Which instrument?"),
        (["sdss", "--plot", "a.txt"], "names no format"),
        (["generic:1800", "--toml", "x.toml"], "is no file of the package"),
    ],
)
def test_nonsense_about_instruments_is_refused(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["instruments", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
