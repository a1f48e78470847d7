"""`galfit-ml benchmark` from the command line, with backends that are known exactly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gaussian_backends
import pandas as pd
import pytest

from galfit_ml import cli
from galfit_ml.benchmark.table import Row

SUITE = str(Path(__file__).parent / "gaussian.toml")


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield from gaussian_backends.installed(monkeypatch)


def run(out: Path, backends: str, *more: str) -> int:
    return cli.main(["benchmark", "run", SUITE, "--backends", backends, "--n", "100", "--out", str(out), *more])


def test_the_suites_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["benchmark", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("moons-snr ") and "2000 spectra" in line for line in lines)


def test_a_run_tells_its_main_numbers_and_writes_its_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "perfect,biased") == 0
    told = capsys.readouterr()
    assert "redshift right" in told.out
    assert told.out.splitlines()[0].split() == ["biased", "perfect"]
    assert "benchmark report" in told.err
    rows = pd.read_csv(tmp_path / "gaussian" / "rows.csv")
    points = pd.read_csv(tmp_path / "gaussian" / "points.csv")
    assert {"perfect", "biased"} == set(rows.backend) == set(points.backend)
    assert len(points) == 200
    assert points.true_log_sfr.notna().all()


def test_a_failing_backend_is_told_and_the_exit_status_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "broken,perfect") == 1
    told = capsys.readouterr()
    assert "broken failed: RuntimeError: the detector is on fire" in told.err
    assert "perfect" in told.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "moons-sn"], "Did you mean 'moons-snr'"),
        (["run", SUITE, "--backends", "perfec"], "Did you mean 'perfect'"),
        (["run", "real-sdss", "--backends", "perfect"], "--data FOLDER"),
        (["report", "nowhere"], "no results in 'nowhere'"),
        (["compare", "nowhere", "there"], "no folder 'nowhere'"),
    ],
    ids=["suite", "backend", "data", "report", "compare"],
)
def test_wrong_use_says_what_to_type(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["benchmark", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_an_option_names_its_backend(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["benchmark", "run", SUITE, "--option", "workers=2"])
    assert "BACKEND.KEY=VALUE" in capsys.readouterr().err


def test_an_unknown_option_is_a_failed_backend_with_a_suggestion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "perfect", "--option", "perfect.walkers=2") == 1
    assert "walkers" in capsys.readouterr().err


def test_comparing_two_backends_or_two_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "perfect,overconfident")
    capsys.readouterr()
    results = f"{tmp_path}:perfect", f"{tmp_path}:overconfident"
    assert cli.main(["benchmark", "compare", *results]) == 1
    told = capsys.readouterr().out
    assert "log_sfr all coverage_95" in told
    assert "worse" in told
    assert cli.main(["benchmark", "compare", str(tmp_path), str(tmp_path), "--bins"]) == 0
    assert "0 better, 0 worse" in capsys.readouterr().out
    assert cli.main(["benchmark", "compare", f"{tmp_path}:nobody", str(tmp_path)]) == 2
    assert "it has overconfident, perfect" in capsys.readouterr().err


def test_a_backend_that_is_lost_or_fails_is_told_and_the_exit_status_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    run(old, "perfect,biased")
    run(new, "perfect")
    assert cli.main(["benchmark", "compare", str(old), str(new)]) == 1
    told = capsys.readouterr().out
    assert "gaussian biased: " in told
    assert "rows of A are not in B (lost: backend)" in told
    assert cli.main(["benchmark", "compare", str(new), str(old)]) == 0
    run(new, "broken")
    capsys.readouterr()
    assert cli.main(["benchmark", "compare", f"{old}:perfect", str(new)]) == 1
    assert "gaussian broken: failed in B" in capsys.readouterr().out


def test_backends_may_be_written_with_blanks_and_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "perfect, biased,perfect") == 0
    assert capsys.readouterr().out.splitlines()[0].split() == ["biased", "perfect"]


def test_a_probe_that_cannot_be_made_is_told_and_is_no_failure_of_the_backend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = Row("gaussian", "perfect", "quenched", "failed", float("nan"), reason="too few")
    monkeypatch.setattr("galfit_ml.benchmark.results.latent_rows", lambda *_: [row])
    assert run(tmp_path, "perfect") == 0
    assert "perfect failed to tell 'quenched': too few" in capsys.readouterr().err
