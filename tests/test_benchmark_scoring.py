"""From answers to points and rows: who is counted, under which name, and against whom."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from gaussian_backends import SUITE

from galfit_ml.benchmark import compare
from galfit_ml.benchmark.answers import Answers
from galfit_ml.benchmark.comparison import lost, whole
from galfit_ml.benchmark.points import points_of
from galfit_ml.benchmark.scoring import UNCHANGED, Scorer, bins_of
from galfit_ml.benchmark.suite import Part
from galfit_ml.benchmark.summary import summary
from galfit_ml.benchmark.table import Row, table_of
from galfit_ml.benchmark.versus import versus
from galfit_ml.flags import Flag

N = 60
PLACES = (("all", "all"), ("snr", "1-2"))


def answers(*names: str, seed: int = 0) -> Answers:
    """Draws of calibrated Gaussians; redshifts near 1."""
    rng = np.random.default_rng(seed)
    truth = {"redshift": 1 + 1e-4 * rng.standard_normal(N), "log_sfr": rng.standard_normal(N), "dust_av": rng.random(N)}
    width = {"redshift": 1e-4, "log_sfr": 1.0, "dust_av": 0.1}
    draws = [1.0 * (n == "redshift") + width.get(n, 1.0) * rng.standard_normal((N, 50)) for n in names]
    known = {"snr": np.full(N, 200.0), "magnitude": np.full(N, 20.0), "part": np.full(N, "none")}
    nothing = np.full(N, np.nan)
    told = dict.fromkeys(("redshift_1", "redshift_probability_1"), nothing)
    return Answers(
        names, np.stack(draws, axis=2).astype(np.float32), np.arange(N), np.zeros(N, dtype=np.int64),
        np.full(N, ""), np.array([f"g{i}" for i in range(N)]), {**truth, **known}, told,
        np.zeros((N, 0), dtype=np.float32), np.ones(N),
    )  # fmt: skip


def rows_of(given: Answers) -> pd.DataFrame:
    return table_of(Scorer(SUITE, "x", points_of(given, "s", "x")).rows(given))


def test_truth_has_one_name_whether_a_backend_gives_the_parameter_or_not() -> None:
    points = points_of(answers("redshift", "log_sfr"), "s", "x")
    assert "dust_av" not in points
    assert points["true_dust_av"].notna().all()
    assert "level_dust_av" not in points


def test_a_backend_without_redshifts_is_scored_by_what_it_gives() -> None:
    given = answers("log_sfr", "shoe_size")
    points = points_of(given, "s", "x")
    assert points.best_redshift.isna().all()
    assert not points.right.any()
    rows = rows_of(given)
    assert {"log_sfr", "all"} <= set(rows.parameter)
    assert "shoe_size" not in set(rows.parameter)
    assert not {"success", "success_0.01", "retention"} & set(rows.metric)
    assert "redshift" not in set(rows.parameter)
    assert not points.gives_redshift.any()


def test_a_failed_spectrum_is_wrong_whatever_a_search_had_found() -> None:
    given = answers("redshift", "log_sfr")
    given.flags[:6] = int(Flag.FAILED)
    given.draws[:6] = np.nan
    told = {"redshift_1": given.truth["redshift"], "redshift_probability_1": np.full(N, 0.9)}
    found = replace(given, told=told)
    points = points_of(found, "s", "x")
    assert points.best_redshift[:6].isna().all()
    assert points.redshift_probability[:6].isna().all()
    rows = rows_of(found)
    for metric in ("success", "success_0.01"):
        own = rows[(rows.metric == metric) & (rows.axis == "all")]
        assert own.value.iloc[0] == pytest.approx(1 - 6 / N)
        assert own.n.iloc[0] == N


def test_draws_below_all_redshifts_warn_of_nothing() -> None:
    given = answers("redshift", "log_sfr")
    given.draws[0, 0, 0] = -1.5
    rows = rows_of(given)
    assert rows[(rows.metric == "tarp_ks")].n.iloc[0] == N


def test_what_nothing_was_done_to_has_a_bin_beside_what_was_changed() -> None:
    points = points_of(answers("redshift"), "s", "x")
    points["part"] = np.where(np.arange(N) < 20, "none", "3 % tilt")
    suite = replace(SUITE, parts=(Part("sdss"), Part("sdss", change="3 % tilt")))
    found = {b.label: int(b.rows.sum()) for b in bins_of(points, suite) if b.axis == "part"}
    assert found == {UNCHANGED: 20, "3 % tilt": 40}
    assert not [b for b in bins_of(points.assign(part="none"), SUITE) if b.axis == "part"]


def test_equal_numbers_are_not_equal_spectra() -> None:
    """Real spectra and cells of a grid are numbered anew where more are asked for."""
    points = points_of(answers("redshift", "log_sfr"), "s", "emcee")
    other = points.assign(backend="cnn", spectrum=np.roll(points.spectrum, 7))
    ratio = {(r.parameter, r.metric): r for r in versus(SUITE, pd.concat([points, other])) if r.axis == "all"}
    assert ratio["log_sfr", "crps_over_emcee"].value == pytest.approx(1.0, abs=1e-12)
    assert ratio["log_sfr", "crps_over_emcee"].error == pytest.approx(0.0, abs=1e-12)
    strange = points_of(answers("redshift", "log_sfr", seed=1), "s", "cnn")  # the same names and numbers
    assert not list(versus(SUITE, pd.concat([points, strange])))


def test_pairs_without_a_true_redshift_are_not_counted_as_wrong() -> None:
    points = points_of(answers("redshift", "log_sfr"), "s", "emcee")
    points.loc[:9, "true_redshift"] = np.nan
    both = pd.concat([points, points.assign(backend="cnn")])
    found = [r for r in versus(SUITE, both) if r.metric == "success_minus_emcee" and r.axis == "all"]
    assert [r.n for r in found] == [N - 10]


def changed(metric: str, first: float, second: float, error: float, direction: str) -> pd.DataFrame:
    tables = [
        table_of([Row("s", "x", "log_sfr", metric, v, error=error, direction=direction)]) for v in (first, second)
    ]
    return compare(*tables)


@pytest.mark.parametrize(
    ("metric", "first", "second", "direction", "verdict"),
    [
        ("coverage_68", 0.60, 0.765, "target:0.68", ""),  # as far from the target as before
        ("coverage_68", 0.60, 0.68, "target:0.68", "better"),
        ("coverage_68", 0.68, 0.80, "target:0.68", "worse"),
        ("crps", 0.5, 0.4, "lower", "better"),
        ("sharpness", 0.5, 0.1, "lower", ""),  # narrow is not good in itself
    ],
)
def test_verdicts_are_of_what_was_gained(
    metric: str, first: float, second: float, direction: str, verdict: str
) -> None:
    found = changed(metric, first, second, 0.01, direction)
    assert list(found.verdict) == [verdict]


def test_tarp_of_other_parameters_is_not_compared() -> None:
    row = Row("s", "x", "all", "tarp_ks", 0.1, error=0.001, reason="2 parameters: redshift, log_sfr")
    other = [replace(row, value=0.5, reason=reason) for reason in (row.reason, "", "1 parameter: redshift")]
    crps = Row("s", "x", "log_sfr", "crps", 1.0, error=0.1)
    found = [compare(table_of([row, crps]), table_of([one, crps])) for one in other]
    assert [list(table.metric) for table in found] == [["tarp_ks", "crps"], ["tarp_ks", "crps"], ["crps"]]


def test_what_is_lost_is_told() -> None:
    first = table_of(
        [Row("s", b, p, "crps", 1.0, bin=k, axis=a) for b in "xy" for p in ("log_sfr", "dust_av") for a, k in PLACES]
    )
    assert lost(first, first).empty
    no_y, no_dust = first[first.backend != "y"], first[first.parameter != "dust_av"]
    assert lost(first, no_y).to_numpy().tolist() == [["s", "y", "", 4, "backend"]]
    assert lost(first, no_dust)[["backend", "parameter", "what"]].to_numpy().tolist() == [
        ["x", "dust_av", "parameter"], ["y", "dust_av", "parameter"],
    ]  # fmt: skip
    few = lost(first, first[first.axis == "all"])
    assert set(few.what) == {"rows"}
    assert few.rows.sum() == 4
    broken = pd.concat([first, table_of([Row("s", "z", "", "failed", np.nan, reason="fire")])])
    assert lost(first, broken).to_numpy().tolist() == [["s", "z", "", 0, "failed"]]
    x, y = (table[table.backend == b] for b, table in (("x", first), ("y", no_dust)))
    assert list(lost(x, y).what) == ["rows"]  # one backend against another, which gives less


def test_suites_of_parts_alone_are_compared_part_by_part() -> None:
    of_all = [Row(s, "x", "", "flagged", 0.0, axis=a) for s, a in (("s", "all"), ("s", "part"), ("t", "all"))]
    parts = [Row("t", "x", "", "flagged", 0.0, axis="part"), Row("t", "x", "", "rate", 1.0)]
    first, second = whole(table_of([*of_all, parts[0]]), table_of([*of_all[:2], *parts]))
    assert list(zip(first.suite, first.axis, strict=True)) == [("s", "all"), ("t", "all"), ("t", "part")]
    assert list(zip(second.suite, second.axis, strict=True)) == [("s", "all"), ("t", "part"), ("t", "all")]


def test_rows_without_an_error_are_no_tests() -> None:
    """Twenty of them would take a p-value of 0.01 above 0.05 / 21."""
    bare = [Row("s", "x", f"p{i}", "rate", 1.0, direction="higher") for i in range(20)]
    tables = [table_of([*bare, Row("s", "x", "a", "crps", v, error=0.02)]) for v in (0.5, 0.573)]
    assert (compare(*tables).verdict == "worse").sum() == 1


def test_the_summary_tells_how_many_spectra_each_backend_answered() -> None:
    rows = [Row("s", "cnn", "", "rate", 9.0, n=60), Row("s", "scan", "", "rate", 1.0, n=24)]
    lines = list(summary(table_of(rows)))
    assert lines[1].split() == ["spectra", "60", "24"]
    few = list(summary(table_of([Row("s", "cnn", "", "rate", 9.0, n=3)])))
    assert "Fewer than 5 spectra" in few[2]
