"""Running suites: ranks of backends that are wrong in known ways, resuming, failing, and refusing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gaussian_backends
import numpy as np
import pandas as pd
import pytest
from gaussian_backends import SUITE

from galfit_ml.benchmark import BenchmarkError, Run, compare, read_results, score, write_results
from galfit_ml.benchmark.answers import ABOUT, Answers, joined
from galfit_ml.benchmark.run import FAILURE
from galfit_ml.benchmark.versus import versus
from galfit_ml.errors import UnknownNameError, WriteError
from galfit_ml.flags import Flag


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield from gaussian_backends.installed(monkeypatch)


def run(out: Path, *backends: str, n: int = 400) -> pd.DataFrame:
    Run(SUITE, backends, n, out)()
    return score(SUITE, out / SUITE.name)[0]


def value(rows: pd.DataFrame, backend: str, parameter: str, metric: str) -> float:
    own = rows[
        (rows.backend == backend) & (rows.parameter == parameter) & (rows.metric == metric) & (rows.axis == "all")
    ]
    assert len(own) == 1
    return float(own.value.iloc[0])


def test_backends_that_are_wrong_are_ranked_as_they_must_be(tmp_path: Path) -> None:
    wrong = ("overconfident", "underconfident", "biased")
    rows = run(tmp_path, "perfect", *wrong)
    for name in ("log_stellar_mass", "log_sfr", "log_metallicity"):
        for other in wrong:
            assert value(rows, "perfect", name, "crps") < value(rows, other, name, "crps")
            assert value(rows, "perfect", name, "pit_ks") < 0.08 < value(rows, other, name, "pit_ks")
        assert value(rows, "perfect", name, "coverage_68") == pytest.approx(0.68, abs=0.08)
        assert value(rows, "overconfident", name, "coverage_68") < 0.5
        assert value(rows, "underconfident", name, "coverage_68") > 0.85
        assert value(rows, "overconfident", name, "pull_width") > 1.5
        assert value(rows, "underconfident", name, "pull_width") < 0.7
        assert value(rows, "biased", name, "bias") > 4 * abs(value(rows, "perfect", name, "bias"))
        assert value(rows, "overconfident", name, "sharpness") < value(rows, "perfect", name, "sharpness")
    for other in ("overconfident", "biased"):
        assert value(rows, "perfect", "all", "tarp_ks") < 0.08 < value(rows, other, "all", "tarp_ks")


def test_the_redshift_is_scored_by_every_definition(tmp_path: Path) -> None:
    rows, points = (run(tmp_path, "perfect"), score(SUITE, tmp_path / SUITE.name)[1])
    dz = np.abs(points.best_redshift - points.true_redshift)
    assert value(rows, "perfect", "redshift", "success") == pytest.approx(
        (dz < 0.0033 * (1 + points.true_redshift)).mean()
    )
    assert value(rows, "perfect", "redshift", "success_abs_0.01") == pytest.approx((dz < 0.01).mean())
    assert value(rows, "perfect", "redshift", "outliers") == pytest.approx(
        1 - value(rows, "perfect", "redshift", "success")
    )
    assert value(rows, "perfect", "redshift", "coverage_hpd_68") == pytest.approx(0.68, abs=0.08)
    kept = rows[(rows.metric == "retention")].sort_values("low")
    assert kept.value.iloc[0] >= kept.value.iloc[-1] - 0.02
    inside = rows[(rows.axis == "snr") & (rows.metric == "crps") & (rows.parameter == "log_sfr")]
    assert list(inside.bin) == ["100-500", "500-2000"]
    assert inside.n.sum() == ((points.snr >= 100) & (points.snr < 2000)).sum()


def test_the_same_seed_gives_identical_rows_and_errors(tmp_path: Path) -> None:
    first, second = run(tmp_path / "a", "perfect", n=120), run(tmp_path / "b", "perfect", n=120)
    timed = first.metric == "rate"
    pd.testing.assert_frame_equal(first[~timed], second[~timed])
    assert first[~timed].error.notna().any()


def test_a_stopped_run_goes_on_to_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(tmp_path / "whole", "flaky", n=200)
    monkeypatch.setattr(gaussian_backends.Flaky, "calls", 0)
    monkeypatch.setenv("STOP_AT", "3")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "part", "flaky", n=200)
    finished = sorted(p.name for p in (tmp_path / "part" / "gaussian" / "flaky").glob("*.npz"))
    assert finished == ["00-0000.npz", "00-0001.npz"]
    resumed = run(tmp_path / "part", "flaky", n=200)
    assert gaussian_backends.Flaky.calls == 5  # two before, the one that was stopped, and two more
    timed = whole.metric == "rate"
    pd.testing.assert_frame_equal(whole[~timed], resumed[~timed])


def test_a_longer_run_keeps_what_is_answered(tmp_path: Path) -> None:
    run(tmp_path, "flaky", n=100)
    assert gaussian_backends.Flaky.calls == 2
    rows = run(tmp_path, "flaky", n=170)
    assert gaussian_backends.Flaky.calls == 4
    assert rows[(rows.metric == "crps") & (rows.axis == "all")].n.max() == 170 - 4  # one of each shard cannot be used


def test_a_spectrum_that_cannot_be_used_is_a_point_with_its_reason_and_counts_as_wrong(tmp_path: Path) -> None:
    rows = run(tmp_path, "flaky", n=50)
    points = score(SUITE, tmp_path / "gaussian")[1]
    assert list(points[points.failed].reason) == ["no light"]
    assert not points[points.failed].right.any()
    own = rows[(rows.metric == "success") & (rows.axis == "all")]
    assert int(own.n.iloc[0]) == 50


def test_a_failing_backend_is_a_row_with_the_reason_and_the_others_go_on(tmp_path: Path) -> None:
    rows = run(tmp_path, "broken", "perfect", n=50)
    failed = rows[rows.metric == "failed"]
    assert list(failed.backend) == ["broken"]
    assert failed.reason.iloc[0] == "RuntimeError: the detector is on fire"
    assert "perfect" in set(rows.backend)


def test_an_unknown_backend_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'perfect'"):
        Run(SUITE, ("flaky", "perfct"), 50, tmp_path)()
    assert gaussian_backends.Flaky.calls == 0
    with pytest.raises(BenchmarkError, match="--backends"):
        Run(SUITE, (), 50, tmp_path)()


def test_answers_of_other_spectra_options_or_versions_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, "perfect", n=50)
    with pytest.raises(BenchmarkError, match="spectra was"):
        Run(replace(SUITE, seed=12), ("perfect",), 50, tmp_path)()
    with pytest.raises(BenchmarkError, match="n_walkers"):
        Run(SUITE, ("perfect",), 50, tmp_path, {"perfect": {"n_walkers": 60}})()
    Run(SUITE, ("perfect",), 50, tmp_path, {"perfect": {"workers": 2}})()  # changes no answer, and nothing is asked
    monkeypatch.setattr("galfit_ml.benchmark.run.__version__", "9.9")
    with pytest.raises(BenchmarkError, match=r"galfit_ml was .*'9\.9'"):
        run(tmp_path, "perfect", n=50)


def test_tables_of_different_versions_do_not_stand_in_one(tmp_path: Path) -> None:
    rows = run(tmp_path, "perfect", n=50)
    write_results(tmp_path / "gaussian", rows, pd.DataFrame(), ".csv")
    (tmp_path / "other").mkdir()
    write_results(tmp_path / "other", rows.assign(version="0.0"), pd.DataFrame(), ".csv")
    with pytest.raises(BenchmarkError, match="different versions"):
        read_results(tmp_path)
    assert len(read_results(tmp_path / "other")[0]) == len(rows)
    with pytest.raises(BenchmarkError, match="no results"):
        read_results(tmp_path / "gaussian" / "perfect")


def test_damaged_answers_are_named(tmp_path: Path) -> None:
    run(tmp_path, "perfect", n=50)
    path = tmp_path / "gaussian" / "perfect" / "00-0000.npz"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(BenchmarkError, match="damaged.*Delete it"):
        run(tmp_path, "perfect", n=50)
    assert (path.parent / ABOUT).exists()


def test_answers_are_the_same_after_writing_and_reading(tmp_path: Path) -> None:
    run(tmp_path, "flaky", n=50)
    path = tmp_path / "gaussian" / "flaky" / "00-0000.npz"
    found = Answers.read(path)
    found.write(tmp_path / "copy.npz")
    copy = Answers.read(tmp_path / "copy.npz")
    np.testing.assert_array_equal(found.draws, copy.draws)
    np.testing.assert_array_equal(found.truth["class"], copy.truth["class"])
    assert found.names == copy.names
    assert list(copy.reasons[:2]) == ["", "no light"]


def test_backends_are_set_against_the_baseline_on_the_same_spectra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, "perfect", "biased", n=200)
    _, points = score(SUITE, tmp_path / "gaussian")
    found = list(versus(SUITE, points, "perfect"))
    whole = {r.parameter: r for r in found if r.axis == "all" and r.metric == "crps_over_perfect"}
    assert {r.backend for r in found} == {"biased"}
    for name in ("log_sfr", "log_metallicity"):
        ours, theirs = (points[points.backend == b][f"crps_{name}"].mean() for b in ("biased", "perfect"))
        assert whole[name].value == pytest.approx(ours / theirs)
        assert whole[name].value > 1 + 3 * whole[name].error > 1
    # Rows in another order, and some that only one of them answered.
    mixed = pd.concat([points[points.backend == "biased"].iloc[::-1], points[points.backend == "perfect"].iloc[:150]])
    again = {r.parameter: r for r in versus(SUITE, mixed, "perfect") if r.axis == "all"}
    assert again["log_sfr"].n == 150
    assert not list(versus(SUITE, points, "emcee"))


def test_comparing_says_what_is_significantly_worse(tmp_path: Path) -> None:
    rows = run(tmp_path, "perfect", "biased", "overconfident")
    whole = rows[rows.axis == "all"]
    tables = {name: whole[whole.backend == name] for name in ("perfect", "biased", "overconfident")}
    same = compare(tables["perfect"], tables["perfect"])
    assert not (same.verdict != "").any()
    found = compare(tables["perfect"], tables["biased"]).set_index(["parameter", "metric"])
    assert found.loc[("log_sfr", "bias"), "verdict"] == "worse"
    assert found.loc[("log_sfr", "sharpness"), "verdict"] == ""
    back = compare(tables["overconfident"], tables["perfect"]).set_index(["parameter", "metric"])
    assert back.loc[("log_sfr", "coverage_68"), "verdict"] == "better"
    with pytest.raises(BenchmarkError, match="no row in common"):
        compare(tables["perfect"], tables["biased"].assign(suite="other"))


def test_answers_to_other_spectra_do_not_lie_beside_one_another(tmp_path: Path) -> None:
    run(tmp_path, "perfect", n=50)
    with pytest.raises(BenchmarkError, match="holds answers to other spectra"):
        Run(replace(SUITE, shard=25), ("biased",), 50, tmp_path)()
    run(tmp_path, "biased", n=100)  # more of the same are welcome


def test_where_nothing_is_answered_settings_may_change(tmp_path: Path) -> None:
    """A wrong option is told, and mended."""
    Run(SUITE, ("perfect",), 50, tmp_path, {"perfect": {"walkers": 2}})()
    assert (tmp_path / "gaussian" / "perfect" / FAILURE).exists()
    Run(SUITE, ("perfect",), 50, tmp_path)()
    assert not (tmp_path / "gaussian" / "perfect" / FAILURE).exists()


def test_an_option_of_a_backend_that_is_not_asked_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="'perfct'. Did you mean 'perfect'"):
        Run(SUITE, ("perfect",), 50, tmp_path, {"perfct": {"workers": 2}})()
    assert not list(tmp_path.iterdir())


def test_what_is_not_the_backends_fault_is_not_put_down_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> None:
        raise UnknownNameError("No instrument 'mons-lr'.")

    with monkeypatch.context() as patched:
        patched.setattr("galfit_ml.benchmark.run.make_shard", unknown)
        with pytest.raises(UnknownNameError, match="mons-lr"):
            run(tmp_path / "suite", "perfect", n=50)
    assert not list((tmp_path / "suite").glob(f"**/{FAILURE}"))

    def full(*_: object) -> None:
        raise WriteError("The disk is full.")

    monkeypatch.setattr("galfit_ml.benchmark.answers.Answers.write", full)
    with pytest.raises(WriteError, match="full"):
        run(tmp_path / "disk", "perfect", n=50)
    assert not list((tmp_path / "disk").glob(f"**/{FAILURE}"))


def test_a_folder_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="could not be written"):
        run(tmp_path / "file", "perfect", n=50)


def test_spectra_that_reading_found_unusable_are_not_given_to_the_backend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shard(*arguments: Any) -> Any:
        made = gaussian_backends.shard(*arguments)
        flags = np.where(np.arange(len(made)) == 3, int(Flag.FAILED), 0)
        reasons = tuple("no good pixel" if i == 3 else "" for i in range(len(made)))
        return replace(made, batch=replace(made.batch, flags=flags, reasons=reasons))

    monkeypatch.setattr("galfit_ml.benchmark.run.make_shard", shard)
    run(tmp_path, "flaky", n=50)
    points = score(SUITE, tmp_path / "gaussian")[1]
    assert list(points[points.failed].reason) == ["no light", "no good pixel"]
    assert list(points[points.failed].spectrum) == [1, 3]
    assert list(points.spectrum) == list(range(50))


def test_a_backend_that_drops_spectra_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = gaussian_backends.Perfect.infer
    monkeypatch.setattr(gaussian_backends.Perfect, "infer", lambda self, b, r: whole(self, b, r)[:40])
    rows = run(tmp_path, "perfect", n=50)
    assert rows[rows.metric == "failed"].reason.iloc[0] == "ValueError: it answered 40 spectra of 50"


def test_rows_are_of_the_version_and_machine_that_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, "perfect", n=50)
    path = tmp_path / "gaussian" / "perfect" / ABOUT
    known = json.loads(path.read_text())
    path.write_text(json.dumps(known | {"galfit_ml": "0.0.9", "machine": "an abacus", "ran": []}))
    rows = run(tmp_path, "biased", n=50)
    told = {name: set(map(tuple, own[["version", "machine"]].to_numpy())) for name, own in rows.groupby("backend")}
    assert told["perfect"] == {("0.0.9", "an abacus")}
    assert told["biased"] == {(known["galfit_ml"], known["machine"])}
    path.write_text(path.read_text()[:20])
    with pytest.raises(BenchmarkError, match="damaged"):
        run(tmp_path, "perfect", n=50)


def test_results_of_one_backend_in_two_folders_do_not_stand_in_one_table(tmp_path: Path) -> None:
    rows = run(tmp_path, "perfect", n=50)
    write_results(tmp_path / "gaussian", rows, pd.DataFrame(), ".csv")
    (tmp_path / "copy").mkdir()
    write_results(tmp_path / "copy", rows, pd.DataFrame(), ".csv")
    with pytest.raises(BenchmarkError, match="'perfect' in suite 'gaussian' stand in .*copy and in .*gaussian"):
        read_results(tmp_path)


def test_shards_with_and_without_a_latent_space_are_told(tmp_path: Path) -> None:
    run(tmp_path, "perfect", n=50)
    found = Answers.read(tmp_path / "gaussian" / "perfect" / "00-0000.npz")
    with pytest.raises(BenchmarkError, match="latent spaces"):
        joined([found, replace(found, embedding=np.zeros((50, 3), dtype=np.float32))])
