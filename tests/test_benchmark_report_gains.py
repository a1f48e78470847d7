"""Who is better in a report: on the spectra that both answered, with the error of the pairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from benchmark_fakes import failed_row, table_of
from gaussian_backends import SUITE

from galfit_ml.benchmark.answers import Answers
from galfit_ml.benchmark.metrics import ks_distance
from galfit_ml.benchmark.pairs import common, least_share_error
from galfit_ml.benchmark.points import points_of
from galfit_ml.benchmark.report.data import ReportData
from galfit_ml.benchmark.report.duels import Cell, duels
from galfit_ml.benchmark.report.findings import findings
from galfit_ml.benchmark.report.gains import Gains
from galfit_ml.benchmark.report.measures import measure
from galfit_ml.benchmark.report.packing import packed_points
from galfit_ml.benchmark.report.scoreboard import Line, scoreboards
from galfit_ml.benchmark.scoring import Scorer
from galfit_ml.benchmark.table import Row
from galfit_ml.benchmark.table import table_of as rows_table
from galfit_ml.benchmark.versus import versus
from galfit_ml.flags import Flag

NAMES = ("redshift", "log_stellar_mass", "log_sfr", "dust_av")


def answered(n: int, seed: int = 0, *, miss: float = 0.1, failed: int = 0, names: tuple[str, ...] = NAMES) -> Answers:
    """Calibrated Gaussians of width 1, redshifts of width 1e-4, but for a share `miss` that are wrong."""
    rng = np.random.default_rng(seed)
    truth = {"redshift": rng.uniform(0.5, 2.5, n), "log_stellar_mass": rng.standard_normal(n)}
    truth |= {"log_sfr": rng.standard_normal(n), "dust_av": rng.standard_normal(n)}
    own = np.random.default_rng(seed + 1)
    width = np.array([1e-4 if name == "redshift" else 1.0 for name in names])
    centre = np.stack([truth[name] for name in names], axis=1) + width * own.standard_normal((n, len(names)))
    if "redshift" in names:
        centre[own.random(n) < miss, names.index("redshift")] += 0.3
    draws = centre[:, None] + width * own.standard_normal((n, 60, len(names)))
    flags = np.where(np.arange(n) < failed, int(Flag.FAILED), 0)
    draws[flags != 0] = np.nan
    nothing = np.full(n, np.nan)
    known = {"snr": 10 ** rng.uniform(0, 1, n), "magnitude": np.full(n, 22.0), "part": np.full(n, "none")}
    known |= {"log_ssfr": np.where(np.arange(n) % 2, -9.0, -12.0)}
    told = dict.fromkeys(("redshift_1", "redshift_probability_1"), nothing)
    return Answers(
        names, draws.astype(np.float32), np.arange(n), flags, np.full(n, ""), np.array([f"g{i}" for i in range(n)]),
        {**truth, **known}, told, np.zeros((n, 0), dtype=np.float32), np.ones(n),
    )  # fmt: skip


def points(n: int, backend: str, seed: int = 0, **more: object) -> pd.DataFrame:
    return points_of(answered(n, seed, **more), "s", backend)  # type: ignore[arg-type]


def report(*tables: pd.DataFrame) -> ReportData:
    """Rows and points of some backends, with the comparisons where one is called emcee."""
    every = pd.concat(tables, ignore_index=True)
    rows = [row for table in tables for row in Scorer(SUITE, str(table["backend"].iloc[0]), table).rows()]
    found = rows_table([replace(row, suite="s") for row in [*rows, *versus(SUITE, every)]])
    return ReportData(found, every)


def said(data: ReportData, topic: str) -> str:
    return " ".join(f.plain for f in findings(data.rows, Gains(data.points)) if f.topic == topic)


def line(data: ReportData, parameter: str, metric: str) -> Line:
    found = scoreboards(data.rows, Gains(data.points))[parameter]
    return next(one for one in found if one.metric == metric)


@pytest.mark.parametrize("names", [NAMES, NAMES[1:]])
def test_what_pairs_compare_is_what_the_rows_say(names: tuple[str, ...]) -> None:
    own = points(300, "x", failed=20, names=names)
    rows = report(own).rows
    rows = rows[(rows["axis"] == "all") & ~rows["metric"].str.endswith("_chance")]
    seen = set()
    for parameter, metric, value in zip(rows["parameter"], rows["metric"], rows["value"], strict=True):
        found = measure(own, metric, parameter)
        if found is not None:
            told = found.told[np.isfinite(found.told)]
            assert found.statistic(told) == pytest.approx(value, rel=1e-12), (parameter, metric)
            seen.add(metric)
    left = set(rows["metric"]) - seen
    assert left <= {"answered", "flagged", "sharpness", "tarp_ks"}
    assert len(seen) >= 9


def test_of_three_the_best_is_better_than_both_and_who_is_not_compared_is_not_behind() -> None:
    base = points(200, "a")
    score = np.random.default_rng(4).uniform(0.7, 1.3, 200)
    tables = [base.assign(backend=b, crps_dust_av=k * score) for b, k in (("a", 1.0), ("b", 1.001), ("c", 1.2))]
    noise = np.random.default_rng(5).normal(0, 0.1, 200)
    tables[1]["crps_dust_av"] += noise - noise.mean()
    found = line(report(*tables), "dust_av", "crps")
    assert (found.best, found.behind) == ("", {"c"})
    found = line(report(tables[0], tables[2], tables[1].iloc[:10]), "dust_av", "crps")
    assert (found.best, found.behind) == ("a", {"c"})


def picky() -> ReportData:
    """Two backends; one is worse everywhere, and answers only the spectra that are easy."""
    honest, other = points(200, "honest"), points(200, "picky")
    easy = np.arange(200) < 120
    for name in NAMES[1:]:
        score = np.where(easy, 0.5, 2.0) * np.random.default_rng(4).uniform(0.7, 1.3, 200)
        honest[f"crps_{name}"], other[f"crps_{name}"] = score, np.where(easy, 1.2 * score, np.nan)
        other.loc[~easy, [f"{what}_{name}" for what in ("median", "level")]] = np.nan
    other["failed"] = ~easy
    return report(honest, other)


def test_a_backend_is_not_the_best_because_it_leaves_out_what_is_hard() -> None:
    data = picky()
    crps = line(data, "log_sfr", "crps")
    assert crps.found["picky"].value < crps.found["honest"].value  # each on its own spectra
    assert (crps.best, crps.behind) == ("honest", {"picky"})
    assert "honest is clearly best for 3 of 3" in said(data, "Properties")
    assert "picky has no answer to 80 of 200 spectra" in said(data, "Unanswered")
    assert "honest 200 and picky 120 (CRPS and intervals)" in said(data, "Numbers")


def test_what_is_hard_for_both_cancels() -> None:
    first = points(100, "first")
    hard = np.random.default_rng(1).lognormal(0, 0.7, 100)
    first["crps_dust_av"] = hard
    second = first.assign(backend="second", crps_dust_av=1.08 * hard * np.random.default_rng(2).uniform(0.9, 1.1, 100))
    data = report(first, second)
    values = line(data, "dust_av", "crps")
    one, two = values.found["first"], values.found["second"]
    assert abs(one.value - two.value) < np.hypot(one.error, two.error)  # nothing is seen without pairs
    assert values.best == "first"
    gain = Gains(data.points).gain("first", "second", ("crps", "dust_av"), "lower")
    back = Gains(data.points).gain("second", "first", ("crps", "dust_av"), "lower")
    assert gain is not None
    assert back is not None
    assert gain.sigma == pytest.approx(-back.sigma)
    assert gain.value == pytest.approx(two.value - one.value)


METRICS = (
    ("success", "redshift", "higher"),
    ("nmad", "redshift", "lower"),
    ("crps", "log_sfr", "lower"),
    ("scatter", "dust_av", "lower"),
    ("coverage_68", "dust_av", "target:0.68"),
)


@pytest.mark.parametrize("spectra", [1, 4])
def test_gains_of_backends_that_are_alike_are_within_their_errors(spectra: int) -> None:
    """Whether each galaxy has one spectrum or several that are answered alike."""
    found: dict[str, list[float]] = {}
    for seed in range(40):
        tables = [points_of(answered(120, 10 * seed + k, miss=0.3), "s", b) for k, b in enumerate(("a", "b"))]
        truth = [name for name in tables[0] if name.startswith("true_")] + ["galaxy"]
        away = {name: tables[1][f"true_{name}"] - tables[0][f"true_{name}"] for name in NAMES}
        tables[1] = tables[1].assign(
            **{f"{w}_{p}": tables[1][f"{w}_{p}"] - away[p] for p in NAMES for w in ("median",)}
        )
        tables[1]["best_redshift"] -= away["redshift"]
        tables[1][truth] = tables[0][truth]
        many = [pd.concat([t.assign(id=t["id"] + f"-{k}") for k in range(spectra)], ignore_index=True) for t in tables]
        gains = Gains(pd.concat(many, ignore_index=True))
        for metric, parameter, direction in METRICS:
            gain = gains.gain("a", "b", (metric, parameter), direction)
            assert gain is not None
            found.setdefault(metric, []).append(gain.sigma)
        whole = gains.calibration("a", "b", NAMES)
        assert whole is not None
        found.setdefault("calibration", []).append(whole.sigma)
    for metric, sigma in found.items():
        size = np.sqrt(np.mean(np.square(sigma)))
        assert size < 1.35, metric  # 1 expected, with a spread of 0.11
        assert size > 0.65 or metric == "coverage_68"  # a distance from a target is folded, and its error careful
        assert np.mean(np.abs(sigma) > 2) < 0.2, metric


def test_calibration_is_told_beside_what_chance_gives_and_compared_on_the_same_spectra() -> None:
    data = report(points(96, "few", miss=0), points(1500, "many", miss=0).assign(backend="many"))
    text = said(data, "Calibration")
    assert "points for few (3.0 by chance)" in text
    assert "points for many (0.8 by chance)" in text
    assert "closer" not in text
    narrow = points(96, "narrow", seed=0, miss=0)
    for name in NAMES:
        level = narrow[f"level_{name}"]
        narrow[f"level_{name}"] = np.where(level > 0.5, 1 - 0.4 * (1 - level), 0.4 * level)
    told = said(report(points(96, "few", miss=0), narrow), "Calibration")
    assert "most are too narrow" in told
    assert "few is closer than narrow" in told


def test_few_pairs_are_not_compared() -> None:
    data = report(points(100, "emcee"), points(100, "cnn").iloc[:19])
    assert Gains(data.points).gain("cnn", "emcee", ("crps", "dust_av"), "lower") is None
    assert not data.rows["metric"].str.contains("_emcee").any()
    silent = points(100, "cnn")
    silent.loc[3:, [name for name in silent if name.startswith("crps_")]] = np.nan
    found = report(points(100, "emcee"), silent).rows
    assert set(found.loc[found["metric"].str.contains("_emcee"), "metric"]) == {"success_minus_emcee"}


def test_a_ratio_is_as_clear_from_either_side() -> None:
    one = points(60, "emcee").assign(crps_dust_av=np.random.default_rng(0).lognormal(0, 1.5, 60))
    two = points(60, "cnn").assign(crps_dust_av=np.random.default_rng(1).lognormal(0.8, 1.5, 60))
    both = pd.concat([one, two])
    sigma = {}
    for base in ("emcee", "cnn"):
        rows = {(r.parameter, r.metric): r for r in versus(SUITE, both, base) if r.axis == "all"}
        row = rows["dust_av", f"crps_over_{base}"]
        sigma[base] = Cell(row.value, row.error, row.n).sigma
    assert sigma["emcee"] == pytest.approx(-sigma["cnn"], rel=1e-9)
    assert abs(sigma["emcee"]) > 0.5


def test_all_right_against_hardly_any_is_a_clear_difference() -> None:
    one = points(96, "emcee", miss=0)
    one.loc[3:, "right"] = False
    data = report(one, points(96, "cnn", miss=0))
    (duel,) = duels(data.rows)
    cell = duel.lines["redshift: share right, difference in points"][0]
    assert cell is not None
    assert cell.verdict == "won"
    assert cell.told.startswith("+96.9 ± ")


def test_the_error_of_a_share_is_not_0_where_all_pairs_agree() -> None:
    same = np.ones(30)
    assert least_share_error(same, same) == pytest.approx(1 / 32)
    assert least_share_error(same, 0 * same) == pytest.approx(np.sqrt(31 - 30**2 / 32) / 32)


def test_a_backend_without_redshifts_is_not_said_to_find_none() -> None:
    data = report(points(60, "emcee"), points(60, "props", names=NAMES[1:]))
    assert "success_minus_emcee" not in set(data.rows["metric"])
    assert "crps_over_emcee" in set(data.rows["metric"])
    gains = Gains(data.points)
    assert gains.gain("props", "emcee", ("success", "redshift"), "higher") is None
    assert gains.gain("props", "emcee", ("scatter", "dust_av"), "lower") is not None


def tarp(backend: str, value: float, names: str, n: int = 100) -> list[Row]:
    more = {"error": 0.02, "n": n, "reason": names}
    rows = [Row("s", backend, "all", "tarp_ks", value, **more)]  # type: ignore[arg-type]
    return [*rows, Row("s", backend, "all", "tarp_ks_chance", 0.087, error=0.026, n=n)]


def test_joint_calibration_is_compared_for_the_same_parameters_alone() -> None:
    nine, one = "2 parameters: redshift, dust_av", "1 parameters: redshift"
    for other, best in ((nine, "a"), (one, "")):
        rows = rows_table([*tarp("a", 0.08, nine), *tarp("b", 0.3, other)])
        (found,) = scoreboards(rows, Gains(pd.DataFrame()))[""]
        assert found.best == best
        assert found.notes["a"] == ("chance 0.087", "2 parameters")
    assert found.notes["b"] == ("chance 0.087", "1 parameter")
    rows = rows_table([*tarp("a", 0.08, nine), *tarp("b", 0.3, nine, n=400)])
    assert scoreboards(rows, Gains(pd.DataFrame()))[""][0].best == ""


def test_the_chance_of_a_distance_stands_beside_it() -> None:
    data = report(points(100, "few"), points(900, "many"))
    notes = line(data, "dust_av", "pit_ks").notes
    assert notes["many"] == ("chance 0.029",)
    told = float(notes["few"][0].removeprefix("chance "))
    mean = np.mean([ks_distance(np.random.default_rng(k).random(100)) for k in range(300)])
    assert told == pytest.approx(mean, rel=0.06)
    assert "pit_ks_chance" not in {one.metric for one in scoreboards(data.rows, Gains(data.points))["dust_av"]}


def test_whole_runs_are_not_compared_in_speed() -> None:
    runs = [Row("s", b, "", "rate", v, unit="1/s", n=50, direction="higher") for b, v in (("a", 9.0), ("b", 0.1))]
    timed = [replace(row, axis="batch, 100 draws", bin="16", low=16, high=16) for row in runs]
    none = Gains(pd.DataFrame())
    assert not findings(rows_table(runs), none)
    assert "a is 90 times as fast" in findings(rows_table(timed), none)[0].plain
    elsewhere = [timed[0], replace(timed[1], machine="another")]
    assert "times as fast" not in findings(rows_table(elsewhere), none)[0].plain


def test_without_rows_over_all_spectra_parts_are_compared() -> None:
    data = report(points(60, "emcee"), points(60, "cnn").assign(crps_dust_av=9.0))
    rows = data.rows[(data.rows["axis"] == "all") & data.rows["metric"].str.contains("_emcee")]
    parts = pd.concat([rows.assign(axis="part", bin=name) for name in ("as simulated", "3 % tilt")])
    (found,) = findings(parts, Gains(data.points))
    assert "over all" not in found.plain
    assert "in bins of part of the suite, better in 0, worse in 2" in found.plain


def test_equal_numbers_of_different_spectra_are_different_points() -> None:
    """The cells of a grid are numbered anew where more are asked for."""
    one, two = points(40, "cnn"), points(40, "emcee", seed=5).assign(id=lambda t: t["id"] + "x")
    packed = packed_points(pd.concat([one, two]))
    assert np.frombuffer(_bytes(packed["row"]), dtype=np.int32).max() == 79
    assert len(common(pd.concat([one, two]), "cnn", "emcee")[0]) == 0
    alike = packed_points(pd.concat([one, points(40, "emcee")]))
    assert np.frombuffer(_bytes(alike["row"]), dtype=np.int32).max() == 39


def _bytes(packed: dict[str, str]) -> bytes:
    import base64

    return base64.b64decode(packed["data"])


def test_a_failed_backend_has_no_place_among_the_best() -> None:
    data = report(points(60, "emcee"), points(60, "cnn"))
    rows = pd.concat([data.rows, table_of([failed_row("s", "bagpipes", "no room")])])
    assert all(one.best != "bagpipes" for own in scoreboards(rows, Gains(data.points)).values() for one in own)
    assert "bagpipes: no room" in " ".join(f.plain for f in findings(rows, Gains(data.points)))
