"""What rows count: galaxies rather than spectra, parts that do not mix, and parameters that are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from gaussian_backends import SUITE
from test_benchmark_scoring import N, answers, rows_of

from benchmarks.backends import accuracy, joint, rebin
from galfit_ml.benchmark import Suite, get_suite, write_results
from galfit_ml.benchmark.answers import Answers, joined
from galfit_ml.benchmark.metrics import ks_distance
from galfit_ml.benchmark.points import points_of
from galfit_ml.benchmark.scoring import Scorer
from galfit_ml.benchmark.suite import Part
from galfit_ml.benchmark.table import Row, table_of
from galfit_ml.flags import Flag

TWICE = replace(SUITE, parts=(Part("sdss"), Part("sdss", change="3 % tilt")))


def copies(given: Answers, times: int, *, part: tuple[str, ...] = ()) -> Answers:
    """The same answers several times, as of spectra of the same galaxies."""
    parts = []
    for k in range(times):
        own = {"part": np.full(N, part[k])} if part else {}
        parts.append(replace(given, truth=given.truth | own, number=given.number + k * N))
    return joined(parts)


def one(rows: pd.DataFrame, metric: str, parameter: str = "log_sfr") -> pd.Series:
    own = rows[(rows.metric == metric) & (rows.parameter == parameter) & (rows.axis == "all")]
    assert len(own) == 1
    return own.iloc[0]


def test_copies_of_spectra_make_no_error_smaller() -> None:
    trust = {"redshift_1": np.full(N, np.nan), "redshift_probability_1": np.linspace(0.5, 1.0, N)}
    given = replace(answers("redshift", "log_sfr"), told=trust)
    once, often = rows_of(given), rows_of(copies(given, 12))
    for metric in ("crps", "bias", "scatter", "sharpness", "pull_width", "pit_ks"):
        assert one(often, metric).error == pytest.approx(one(once, metric).error, rel=0.25), metric
    for metric in ("coverage_50", "coverage_68", "coverage_90"):  # levels are random within a rank, so no exact copies
        assert one(often, metric).n == 12 * one(once, metric).n
        assert one(often, metric).error == pytest.approx(one(once, metric).error, rel=0.15), metric
    for axis, near in (("level", 0.35), ("retention", 0.15)):
        errors = [t[(t.axis == axis) & (t.parameter == "redshift")].error for t in (often, once)]
        assert errors[0].mean() == pytest.approx(errors[1].mean(), rel=near), axis
    assert one(often, "pit_ks_chance").value == pytest.approx(one(once, "pit_ks_chance").value, rel=0.35)


def test_spectra_of_one_galaxy_are_known_by_name_redshift_and_magnitude() -> None:
    given = answers("redshift")
    ids = np.array([f"grid-{k // 3:06d}-{3600 * (k % 3 + 1)}s" for k in range(N)])
    truth = given.truth | {"redshift": np.repeat(given.truth["redshift"][::3], 3)}
    galaxy = points_of(replace(given, ids=ids, truth=truth), "s", "x").galaxy
    assert galaxy.nunique() == N // 3
    assert (galaxy.to_numpy().reshape(-1, 3) == galaxy.to_numpy()[::3, None]).all()
    for name, value in (("magnitude", 21.0), ("class", "early"), ("redshift", 2.0)):
        other = points_of(replace(given, ids=ids, truth=truth | {name: np.full(N, value)}), "s", "x").galaxy
        assert not set(other) & set(galaxy), name


def test_parts_of_the_same_galaxies_do_not_mix() -> None:
    given = copies(answers("redshift", "log_sfr"), 2, part=("none", "3 % tilt"))
    rows = table_of(Scorer(TWICE, "x", points_of(given, "s", "x")).rows(given))
    assert set(rows.axis) == {"part"}
    assert set(rows.bin) == {"as simulated", "3 % tilt"}
    assert (rows[rows.metric == "success"].n == N).all()
    assert set(rows[rows.metric == "tarp_ks"].bin) == {"as simulated", "3 % tilt"}
    assert not {"pit", "retention"} & set(rows.metric)


def test_which_suites_repeat_their_galaxies() -> None:
    repeated = {name for name in ("robustness", "moons-snr", "moonz-grid", "calibration") if get_suite(name).repeated}
    assert repeated == {"robustness"}
    assert TWICE.repeated
    assert not SUITE.repeated


def test_the_share_that_was_answered_is_a_row_of_every_bin() -> None:
    given = answers("redshift", "log_sfr")
    given.flags[:6] = int(Flag.FAILED)
    given.draws[:6] = np.nan
    rows = rows_of(given)
    assert one(rows, "answered", "").value == pytest.approx(1 - 6 / N)
    assert one(rows, "answered", "").direction == "higher"
    assert one(rows, "answered", "").error > 0
    assert set(rows[rows.metric == "answered"].bin) == set(rows[rows.metric == "flagged"].bin)


def test_what_chance_gives_stands_beside_distances_from_uniform() -> None:
    rows = rows_of(answers("redshift", "log_sfr"))
    rng = np.random.default_rng(3)
    told = [ks_distance(rng.random(N)) for _ in range(4000)]
    for metric, parameter in (("pit_ks_chance", "log_sfr"), ("tarp_ks_chance", "all")):
        assert one(rows, metric, parameter).value == pytest.approx(np.mean(told), rel=0.02)
        assert one(rows, metric, parameter).error == pytest.approx(np.std(told), rel=0.06)
    assert one(rows, "pit_ks").value < one(rows, "pit_ks_chance").value + 3 * one(rows, "pit_ks_chance").error


def test_errors_of_a_backend_without_redshifts_count_all_spectra() -> None:
    rows = rows_of(answers("log_sfr", "dust_av"))
    assert one(rows, "bias", "dust_av").n == N
    assert "redshift" not in set(rows.parameter)
    told = replace(
        answers("log_sfr", "dust_av"), told={"redshift_1": np.full(N, 5.0), "redshift_probability_1": np.ones(N)}
    )
    rows = rows_of(told)  # it finds redshifts, all of them wrong
    assert one(rows, "success", "redshift").value == 0
    assert "bias" not in set(rows.metric)


def test_a_parameter_without_any_truth_does_not_take_tarp_away() -> None:
    given = answers("redshift", "log_sfr", "dust_av")
    whole = rows_of(given)
    assert one(whole, "tarp_ks", "all").reason == "3 parameters: redshift, log_sfr, dust_av"
    for lacking in (replace(given, truth=given.truth | {"dust_av": np.full(N, np.nan)}), given):
        if lacking is given:
            lacking.draws[:, :, 2] = np.nan
        rows = rows_of(lacking)
        assert one(rows, "tarp_ks", "all").reason == "2 parameters: redshift, log_sfr"
        assert one(rows, "tarp_ks", "all").n == N
        assert joint(rows[rows.axis == "all"]).endswith(" by chance)")
        assert "(2 parameters; 0.1" in joint(rows[rows.axis == "all"])


def test_one_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="n_draws must be at least 2, not 1"):
        Suite("s", "s", n_draws=1, parts=(Part("sdss"),))


def test_a_shard_without_any_answer_has_no_latent_space_and_hinders_none() -> None:
    given = replace(answers("redshift"), embedding=np.ones((N, 3), dtype=np.float32))
    lost = replace(given, embedding=np.zeros((N, 0), dtype=np.float32), flags=np.full(N, int(Flag.FAILED)))
    together = joined([lost, given])
    assert together.embedding.shape == (2 * N, 3)
    assert np.isnan(together.embedding[:N]).all()
    assert (together.embedding[N:] == 1).all()


def test_older_points_go_where_there_are_none(tmp_path: Path) -> None:
    rows = table_of([Row("s", "x", "", "rate", 1.0)])
    for ending in (".csv", ".parquet"):
        (tmp_path / f"points{ending}").write_text("suite,backend,spectrum\ns,old,1\n")
    write_results(tmp_path, rows, pd.DataFrame(), ".csv")
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def test_tables_say_how_many_spectra_are_in_no_bin() -> None:
    given = answers("redshift", "log_sfr")
    given.truth["snr"][:4] = -0.1
    lines = list(accuracy(rows_of(given)))
    assert [line.split("|")[1:4] for line in lines if "in no bin" in line] == [[" in no bin ", " x ", " 4 "]]
    given.truth["snr"][:4] = 200.0
    assert not [line for line in accuracy(rows_of(given)) if "in no bin" in line]


def test_other_edges_are_for_shipped_suites_with_bins_of_signal_to_noise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"gaussian": SUITE, "latent": replace(SUITE, name="latent", bins={"magnitude": (20.0, 24.0)})}
    monkeypatch.setattr("benchmarks.backends.suites", lambda: known)
    asked: list[Suite] = []
    monkeypatch.setattr("benchmarks.backends.score", lambda suite, _: asked.append(suite) or (pd.DataFrame(), []))
    monkeypatch.setattr("benchmarks.backends.write_results", lambda *_: None)
    for name in ("gaussian", "latent", "of-a-file"):
        (tmp_path / name / "perfect").mkdir(parents=True)
        (tmp_path / name / "rows.csv").write_text("")
        (tmp_path / name / "perfect" / "about.json").write_text(f'{{"spectra": "{SUITE.digest(1)}"}}')
    rebin(tmp_path, (0.0, 3.0))
    assert [(suite.name, suite.bins["snr"]) for suite in asked] == [("gaussian", (0.0, 3.0))]
    (tmp_path / "gaussian" / "perfect" / "about.json").write_text('{"spectra": "of a file of that name"}')
    rebin(tmp_path, (0.0, 3.0))
    assert len(asked) == 1
