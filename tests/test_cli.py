"""The command line: exit status, what goes where, and that results are never lost. The backend answers at once."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable
from conftest import ROOT, FreshPython

from galfit_ml import __version__, cli
from galfit_ml.cli import estimate
from galfit_ml.commands import CommandInfo
from galfit_ml.demo import example_path
from galfit_ml.plots import available
from galfit_ml.posterior import Posterior
from galfit_ml.progress import shown_progress
from galfit_ml.registry import Registry, registry

WAVE = np.linspace(4000.0, 9000.0, 600)


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The dummy plugin and a broken one, found by the same door as any other."""
    points = [
        EntryPoint(name, module, "galfit_ml") for name, module in (("dummy", "dummy_backend"), ("sad", "no_such"))
    ]
    monkeypatch.setattr("galfit_ml.registry.entry_points", lambda group: points)
    registry.cache_clear()
    yield
    registry.cache_clear()


@pytest.fixture
def spectra(tmp_path: Path) -> Callable[..., list[str]]:
    """Writes ECSV spectra that specutils reads: `spectra("a", "b", "bad-c")`; those called bad hold NaN alone."""

    def write(*names: str) -> list[str]:
        paths = []
        for k, name in enumerate(names):
            flux = np.full(600, np.nan) if name.startswith("bad") else 2.0 + k + np.sin(WAVE / 300)
            unit = u.Unit("1e-17 erg / (s cm2 AA)")
            table = QTable({"wavelength": WAVE * u.AA, "flux": flux * unit, "uncertainty": np.full(600, 0.1) * unit})
            path = tmp_path / f"{name}.ecsv"
            table.write(path, format="ascii.ecsv")
            paths.append(str(path))
        return paths

    return write


def run(*arguments: str | Path) -> int:
    return cli.main(
        ["estimate", *map(str, arguments), "--backend", "dummy", "--instrument", "generic:1000", "--seed", "1"]
    )


def test_every_spectrum_has_a_row_and_the_status_is_0(
    tmp_path: Path, spectra: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r.ecsv"
    assert run(*spectra("a", "b"), "--out", out, "--out", tmp_path / "r.fits", "--samples", "50") == 0
    table = QTable.read(out)
    assert [str(name) for name in table["id"]] == ["a", "b"]
    assert table["log_stellar_mass_q50"].unit == u.dex(u.solMass)
    posterior = Posterior.load(tmp_path / "r.fits")
    assert posterior.n_draws == 50
    assert posterior.provenance["backend"] == "dummy"
    assert posterior.provenance["seed"] == "1"
    shown = capsys.readouterr()
    assert re.search(r"^a\n  redshift +0\.\d+", shown.out)
    assert "wrote" in shown.err
    assert "wrote" not in shown.out


def test_spectra_without_a_result_are_named_and_the_status_is_1(
    tmp_path: Path, spectra: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    files = spectra("a", "bad-b", "c")
    broken = tmp_path / "broken.fits"
    broken.write_bytes(example_path().read_bytes()[:50_000])
    assert run(*files, broken, "--out", tmp_path / "r.h5") == 1
    posterior = Posterior.load(tmp_path / "r.h5")
    assert list(posterior.ok) == [True, False, True, False]
    errors = capsys.readouterr().err
    assert f"no result for {posterior.ids[1]}: {posterior.reasons[1]}" in errors
    assert "no result for broken" in errors
    assert "truncated" in errors


def test_a_single_spectrum_without_a_result_still_gets_its_row(
    tmp_path: Path, spectra: Callable[..., list[str]]
) -> None:
    assert run(*spectra("bad"), "--out", tmp_path / "r.ecsv") == 1
    assert list(QTable.read(tmp_path / "r.ecsv")["flag_names"]) == ["FAILED"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backend", "dumy"], "No backend 'dumy'. Did you mean 'dummy'?"),
        (["--backend", "absent"], "missing library no_such_library. pip install no-such"),
        (["--instrument", "sds"], "No instrument 'sds'. Did you mean 'sdss'?"),
        (["--option", "mas=9"], "Did you mean 'mass'?"),
        (["--option", "mass=-1"], "The backend refuses --option mass=-1: mass must be positive"),
        (["--format", "SDSS spec"], "No format 'SDSS spec'"),
        (["--redshift", "7"], "redshift=7 lies outside what the galaxy model covers"),
        (["--redshift", "0.5:0.2"], "redshift prior (0.5, 0.2) is empty"),
        (["--out", "r.csv"], "names no format. Use one of .fits, .h5, .hdf5, .ecsv"),
        (["--out", "no/such/r.fits"], "mkdir -p"),
    ],
)
def test_wrong_usage_is_told_without_a_traceback(
    spectra: Callable[..., list[str]], arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["estimate", *spectra("a"), "--backend", "dummy", *arguments]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.startswith("galfit-ml: error: ")
    assert shown.out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["data"],
        ["estimate"],
        ["estimate", "a", "--samples", "0"],
        ["estimate", "a", "--samples", "-3"],
        ["estimate", "a", "--redshift", "big"],
        ["estimate", "a", "--redshift", "1:2:3"],
        ["estimate", "a", "--medium", "water"],
        ["estimate", "a", "--option", "x"],
        ["estimate", "a", "--option", "1=2"],
    ],
)
def test_arguments_that_make_no_sense_end_with_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    assert "usage: galfit-ml" in capsys.readouterr().err


def test_missing_files_are_all_named_before_anything_is_estimated(
    tmp_path: Path, spectra: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*spectra("a"), "x.fits", "y.fits", tmp_path, "--out", tmp_path / "r.fits") == 2
    assert f"No such file: 'x.fits', 'y.fits', '{tmp_path}'" in capsys.readouterr().err
    assert not (tmp_path / "r.fits").exists()


def test_output_that_exists_is_refused_before_anything_is_estimated(
    tmp_path: Path, spectra: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r.fits"
    out.write_text("precious")
    files = spectra("a")
    assert run(*files, "--out", out, "--option", "stop_at=a") == 2  # 130 if it had begun
    assert "--overwrite" in capsys.readouterr().err
    assert out.read_text() == "precious"
    assert run(*files, "--out", out, "--overwrite") == 0
    assert len(Posterior.load(out)) == 1


def test_output_that_appears_meanwhile_is_neither_lost_nor_overwritten(
    tmp_path: Path,
    spectra: Callable[..., list[str]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "r.fits"
    monkeypatch.setattr(estimate.tempfile, "tempdir", str(tmp_path))
    deliver = estimate._deliver

    def slow(*arguments: object) -> int:
        out.write_text("somebody else's")
        return deliver(*arguments)

    monkeypatch.setattr(estimate, "_deliver", slow)
    assert run(*spectra("a"), "--out", out) == 2
    assert out.read_text() == "somebody else's"
    refuge = re.search(r"the results are in (\S+) instead", capsys.readouterr().err)
    assert refuge
    assert Posterior.load(refuge[1]).ids == ("a",)


def test_exports_are_written_beside_the_rest(tmp_path: Path, spectra: Callable[..., list[str]]) -> None:
    pytest.importorskip("xarray", reason="the extra 'arviz' is not installed")
    outs = [tmp_path / name for name in ("r.nc", "r.qp.hdf5", "r.fits")]
    assert run(*spectra("a", "b"), *(word for out in outs for word in ("--out", out))) == 0
    assert all(out.is_file() for out in outs)


def test_densities_that_nobody_has_keep_no_other_output_away(
    tmp_path: Path, spectra: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    outs = [tmp_path / name for name in ("r.qp.hdf5", "r.fits")]
    assert run(*spectra("bad-a"), *(word for out in outs for word in ("--out", out))) == 1
    assert [p.name for p in tmp_path.glob("r.*")] == ["r.fits"]
    assert re.search(r"nothing was written to \S+r.qp.hdf5: No spectrum", capsys.readouterr().err)


def test_figures_that_cannot_be_written_are_told_and_results_stay(
    tmp_path: Path,
    spectra: Callable[..., list[str]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    monkeypatch.setattr(estimate, "_save", lambda *_: True)
    assert run(*spectra("a"), "--plots", tmp_path / "figures") == 2
    said = capsys.readouterr()
    assert re.search(r"a_\w+\.png' could not be written: No space left on device\. The disk of", said.err)
    assert "redshift" in said.out
    assert list((tmp_path / "figures").iterdir()) == []


def test_ctrl_c_keeps_what_was_done(
    tmp_path: Path,
    spectra: Callable[..., list[str]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(estimate, "FILES_AT_ONCE", 2)
    out = tmp_path / "r.fits"
    assert run(*spectra("a", "b", "c", "d", "e"), "--out", out, "--option", "stop_at=e") == 130
    assert Posterior.load(out).ids == ("a", "b", "c", "d")
    assert "stopped" in capsys.readouterr().err


def test_the_draws_do_not_depend_on_how_files_are_grouped(
    tmp_path: Path, spectra: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = spectra("a", "b", "c")
    assert run(*files, "--out", tmp_path / "at-once.h5") == 0
    monkeypatch.setattr(estimate, "FILES_AT_ONCE", 1)
    assert run(*files, "--out", tmp_path / "each.h5") == 0
    one, other = (Posterior.load(tmp_path / f"{name}.h5") for name in ("at-once", "each"))
    np.testing.assert_array_equal(one.draws, other.draws)
    assert one.ids == other.ids
    assert one.provenance == other.provenance


def test_options_reach_the_backend_with_their_types(tmp_path: Path, spectra: Callable[..., list[str]]) -> None:
    out = tmp_path / "r.h5"
    assert run(*spectra("a"), "--out", out, "--option", "mass=8.5", "--option", "best_fit=False") == 0
    posterior = Posterior.load(out)
    assert posterior.median()["log_stellar_mass"][0] == pytest.approx(8.5, abs=0.01)
    assert posterior.best_fit is None


@pytest.mark.parametrize(("given", "low", "high"), [("0.05", 0.05, 0.05), ("0.1:0.12", 0.05, 0.17)])
def test_the_redshift_is_fixed_or_kept_in_a_range(
    tmp_path: Path, spectra: Callable[..., list[str]], given: str, low: float, high: float
) -> None:
    assert run(*spectra("a"), "--out", tmp_path / "r.h5", "--redshift", given) == 0
    draws = Posterior.load(tmp_path / "r.h5")["redshift"]
    assert low <= draws.min() <= draws.max() <= high


def test_air_wavelengths_are_converted(tmp_path: Path, spectra: Callable[..., list[str]]) -> None:
    assert run(*spectra("a"), "--out", tmp_path / "r.h5", "--medium", "air") == 0
    first = Posterior.load(tmp_path / "r.h5").best_fit.wavelength[0, 0]
    assert first == pytest.approx(4001.13, abs=0.02)


def test_nothing_saved_is_said(spectra: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*spectra("a")) == 0
    assert "Nothing was saved. Add --out results.fits" in capsys.readouterr().err


def test_each_spectrum_has_its_own_figures(
    tmp_path: Path, spectra: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    first = spectra("a", "bad")
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / "a.ecsv"
    twin.write_bytes(Path(first[0]).read_bytes())
    folder = tmp_path / "figures"
    assert run(*first, twin, "--plots", folder, "--samples", "60") == 1
    names = sorted(p.name for p in folder.iterdir())
    assert names == ["a-2_corner.png", "a-2_fit.png", "a_corner.png", "a_fit.png"]
    assert run(*first, "--plots", folder) == 2
    assert "holds figures already" in capsys.readouterr().err


def test_histories_and_traces_get_figures_where_there_are_any(
    tmp_path: Path, spectra: Callable[..., list[str]]
) -> None:
    folder, option = tmp_path / "figures", ("--option", "companions=true", "--samples", "30")
    assert run(*spectra("a", "bad"), "--plots", folder, "--out", tmp_path / "r.fits", *option) == 1
    kinds = ("corner", "fit", "history", "trace")
    assert sorted(p.name for p in folder.iterdir()) == [f"a_{kind}.png" for kind in kinds]
    again = Posterior.load(tmp_path / "r.fits")
    assert list(available(again, 0)) == list(kinds)
    assert np.isnan(again.histories.sfr[1]).all()
    assert again.trace.n_steps[1] == 0


def test_figure_names_are_plain_and_never_the_same() -> None:
    names = ["a/b c", "a_b_c", "A_b_c", "", "..", "Ω", "x" * 300, "x" * 301, "a", "a-2", "a"]
    stems = estimate._stems(names)
    assert len({s.lower() for s in stems}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9._+-]{1,110}", s) and not s.startswith(".") for s in stems)
    assert stems[0] == "a_b_c"


def test_backends_are_listed_with_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["backends"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^dummy +available +answers at once$", shown, re.M)
    assert re.search(r"^absent +not available +needs much\n +missing library no_such_library", shown, re.M)
    assert re.search(r"^sad +not available.*\n +ModuleNotFoundError", shown, re.M)


def test_commands_of_plugins_are_listed_and_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    added = {name: CommandInfo(name, "builtins:len", "counts its arguments") for name in ("count", "estimate")}
    monkeypatch.setattr(cli, "registry", lambda: Registry({}, {}, {}, commands=added))
    assert cli.main(["count", "a", "--help"]) == 2
    with pytest.raises(SystemExit):  # the package's own command keeps its name
        cli.main(["estimate", "--help"])
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert "counts its arguments" in capsys.readouterr().out


def test_instruments_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["instruments"]) == 0
    assert re.search(r"^sdss +3800 - +9200 A  SDSS", capsys.readouterr().out, re.M)


def test_the_version_and_the_module_form() -> None:
    done = subprocess.run([sys.executable, "-m", "galfit_ml", "--version"], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout.strip()) == (0, f"galfit-ml {__version__}")


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = [sys.executable, "-m", "galfit_ml", "instruments", "moons-lr"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as running:
        running.stdout.close()
        told = running.stderr.read()
        assert (running.wait(), told) == (141, b"")


def test_the_grid_is_not_built_over_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "grid.npz"
    out.write_text("precious")
    assert cli.main(["data", "build-grid", "--out", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_the_grid_builder_gets_the_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import galfit_ml.simulate.build as build

    def build_grid(out: Path, progress: Callable[[str], None]) -> Path:
        progress("stars")
        return out

    monkeypatch.setattr(build, "build_grid", build_grid)
    assert cli.main(["data", "build-grid", "--out", str(tmp_path / "g.npz")]) == 0
    shown = capsys.readouterr()
    assert (shown.out.strip(), shown.err.strip()) == (str(tmp_path / "g.npz"), "stars")


@pytest.mark.parametrize("arguments", [["--help"], ["backends"], ["--version"]])
def test_light_commands_import_nothing_heavy(arguments: list[str], fresh_python: FreshPython) -> None:
    code = f"""
import sys
from galfit_ml.cli import main
try:
    main({arguments!r})
except SystemExit:
    pass
heavy = {{"torch", "astropy", "numpy", "specutils", "matplotlib", "scipy", "pandas", "emcee", "h5py", "tqdm"}}
print("heavy:", sorted(heavy & set(sys.modules)))
"""
    assert "heavy: []" in fresh_python(code).stdout


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["estimate", "--help"])
    assert stop.value.code == 0
    assert "galfit-ml estimate spec-*.fits --out results.fits" in capsys.readouterr().out


class Terminal(io.StringIO):
    """A stream that calls itself a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_that_goes_away() -> None:
    stream = Terminal()
    with shown_progress(stream) as progress:
        progress(1, 4, "scan")
        progress(2, 8, "step 3")
    shown = stream.getvalue()
    assert "1/4" in shown
    assert "2/8" in shown
    assert "step 3" in shown
    assert shown.endswith("\r")


def test_elsewhere_progress_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 1.0, 2.0, 12.0, 12.5])
    monkeypatch.setattr("galfit_ml.progress.time.monotonic", lambda: next(now))
    stream = io.StringIO()
    with shown_progress(stream) as progress:
        for done, message in ((0, "scan"), (1, "too soon"), (2, "sample"), (3, "")):
            progress(done, 3, message)
    assert stream.getvalue().splitlines() == [
        "[   1.0 s] 0/3 spectra  scan",
        "[  12.0 s] 2/3 spectra, about 3 s left  sample",
        "[  12.5 s] 3/3 spectra",
    ]
    assert "\r" not in stream.getvalue()


def test_no_progress_shows_nothing() -> None:
    for stream in (Terminal(), io.StringIO()):
        with shown_progress(stream):
            pass
        assert stream.getvalue() == ""
