"""The report as a file: what is in it, and what it says, whatever is missing."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmark_fakes import failed_row, fake_report, table_of

from galfit_ml.benchmark.errors import BenchmarkError
from galfit_ml.benchmark.report import ReportData, Spectra, write_figures, write_report
from galfit_ml.benchmark.report.charts import panels_of
from galfit_ml.benchmark.report.colours import looks
from galfit_ml.benchmark.report.duels import Cell, duels
from galfit_ml.benchmark.report.findings import findings
from galfit_ml.benchmark.report.gains import Gains
from galfit_ml.benchmark.report.packing import packed_spectra, thinned
from galfit_ml.benchmark.report.scoreboard import Line, scoreboards
from galfit_ml.benchmark.report.wording import number, with_error
from galfit_ml.errors import MissingPackageError, WriteError


class Scan(HTMLParser):
    """Elements, JSON that the page holds by id, and addresses it would load."""

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[str, str] = {}
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self._id = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._id = str(given.get("id", "")) if tag == "script" else ""
        self.ids += [str(given["id"])] if "id" in given else []
        loaded = [given.get(name) for name in ("src", "srcset", "data", "poster")]
        loaded += [given.get("href")] if tag != "a" else []
        self.loads += [address for address in loaded if address]
        if tag not in {"meta", "link", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._id:
            self.held[self._id] = self.held.get(self._id, "") + data
        elif not self.open or self.open[-1] not in {"script", "style"}:
            self.text += data


def scanned(path: Path) -> Scan:
    scan = Scan()
    scan.feed(path.read_text(encoding="utf-8"))
    assert scan.open == []
    assert len(scan.ids) == len(set(scan.ids))
    return scan


def numbers(packed: dict[str, str]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed["data"]), dtype=packed["type"])


@pytest.fixture(scope="module")
def data() -> ReportData:
    return fake_report(400, ("cnn", "emcee", "bagpipes"), ("moons-snr", "moonrise"))


@pytest.fixture(scope="module")
def scan(data: ReportData, tmp_path_factory: pytest.TempPathFactory) -> Scan:
    return scanned(write_report(data, tmp_path_factory.mktemp("report") / "report.html"))


def test_the_file_loads_nothing_from_elsewhere(scan: Scan) -> None:
    assert [address for address in scan.loads if not address.startswith("data:")] == []


def test_styles_load_nothing(data: ReportData, tmp_path: Path) -> None:
    text = write_report(data, tmp_path / "report.html").read_text(encoding="utf-8")
    for style in re.findall(r"<style>(.*?)</style>", text, re.DOTALL):
        assert "url(" not in style
        assert "@import" not in style
    assert "default-src 'none'" in text


def test_the_rows_are_in_the_file(scan: Scan, data: ReportData) -> None:
    packed, rows = json.loads(scan.held["s0-rows"]), data.rows_of("moons-snr")
    values = np.array([np.nan if v is None else v for v in packed["value"]])
    np.testing.assert_allclose(values, rows["value"], rtol=1e-6)
    metrics = [packed["metric"]["levels"][code] for code in packed["metric"]["codes"]]
    assert metrics == rows["metric"].tolist()


def test_the_points_are_in_the_file_and_the_truth_once(scan: Scan, data: ReportData) -> None:
    packed, points = json.loads(scan.held["s0-points"]), data.points_of("moons-snr")
    row = numbers(packed["row"])
    assert len(row) == 1200
    assert len(numbers(packed["spectra"]["true_redshift"])) == 400
    np.testing.assert_allclose(numbers(packed["spectra"]["snr"])[row], points["snr"], rtol=1e-6)
    np.testing.assert_allclose(numbers(packed["answers"]["median_log_sfr"]), points["median_log_sfr"], rtol=1e-6)
    half = 0.5 * (points["high_dust_av"] - points["low_dust_av"])
    np.testing.assert_allclose(numbers(packed["answers"]["error_dust_av"]), half, rtol=1e-5)
    assert packed["texts"]["class"]["levels"]


def test_spectra_keep_their_shape_and_their_gaps() -> None:
    wave = np.linspace(4000.0, 9000.0, 1999)
    flux = np.stack([np.sin(wave / 300), np.full(1999, np.nan), wave / 9000])
    flux[0, 800:1000] = np.nan
    packed = packed_spectra(Spectra(wave, flux), np.array([0, 2, 7]))
    assert packed is not None
    assert numbers(packed["number"]).tolist() == [0, 2]
    levels = numbers(packed["levels"]).reshape(2, -1)
    shown = numbers(packed["wavelength"])
    assert levels.shape == (2, len(shown)) == (2, 500)
    good = levels[0] < 255
    assert 40 < (~good).sum() < 60
    np.testing.assert_allclose(levels[0][good] / 127 - 1, np.sin(shown[good] / 300), atol=0.02)


def test_spectra_that_nobody_answered_are_left_out() -> None:
    assert packed_spectra(Spectra(np.arange(3.0), np.ones((2, 3))), np.array([5, 9])) is None


def test_spectra_of_another_length_are_refused() -> None:
    with pytest.raises(BenchmarkError, match="one wavelength grid"):
        Spectra(np.arange(4.0), np.ones((2, 3)))


def test_of_too_many_points_all_answers_to_a_spectrum_stay() -> None:
    points = fake_report(300, ("cnn", "emcee")).points
    kept = thinned(points, 200, 20)
    assert len(kept) == 200
    assert kept.groupby("spectrum").size().eq(2).all()
    assert set(range(20)) <= set(kept["spectrum"])


def test_a_panel_begins_with_the_metric_that_most_backends_have() -> None:
    rows = fake_report(60).rows
    assert panels_of(rows)[0].metrics == ("success", "success_0.01")
    published = rows[rows["metric"] == "success_0.01"].assign(backend="moonz (published)")
    assert panels_of(pd.concat([rows, published]))[0].metrics == ("success_0.01", "success")


def test_a_missing_column_is_named() -> None:
    data = fake_report(50)
    with pytest.raises(BenchmarkError, match="rows lacks metric"):
        ReportData(data.rows.drop(columns="metric"), data.points)


def test_without_bokeh_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "bokeh", None)
    with pytest.raises(MissingPackageError, match=r"galfit-ml\[benchmark\]"):
        write_report(fake_report(50), tmp_path / "report.html")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="mkdir"):
        write_report(fake_report(50), tmp_path / "no" / "report.html")


def only_speed(data: ReportData) -> ReportData:
    rows = data.rows[data.rows["metric"].isin(["rate", "latency", "memory"])]
    return ReportData(rows, pd.DataFrame())


CASES = {
    "no rows": lambda d: ReportData(d.rows.iloc[:0], pd.DataFrame()),
    "no points": lambda d: replace(d, points=pd.DataFrame()),
    "no rows but points": lambda d: replace(d, rows=d.rows.iloc[:0]),
    "one backend": lambda d: replace(
        d, rows=d.rows[d.rows["backend"] == "emcee"], points=d.points[d.points["backend"] == "emcee"]
    ),
    "no latent space": lambda d: replace(d, points=d.points.drop(columns=["latent_x", "latent_y"])),
    "no spectra": lambda d: replace(d, spectra=None),
    "no S/N": lambda d: replace(d, points=d.points.drop(columns=["snr", "class", "flags", "right", "id"])),
    "speed alone": only_speed,
    "all failed": lambda d: ReportData(table_of([failed_row("moons-snr", "cnn", "no weights")]), pd.DataFrame()),
    "only overall": lambda d: ReportData(d.rows[d.rows["axis"] == "all"], pd.DataFrame()),
    "no errors": lambda d: replace(d, rows=d.rows.assign(error=np.nan)),
    "text missing": lambda d: replace(d, rows=d.rows.assign(unit=np.nan, reason=None)),
}


@pytest.mark.parametrize("case", CASES)
def test_whatever_is_missing_the_page_is_whole(case: str, tmp_path: Path) -> None:
    data = CASES[case](fake_report(60))
    scan = scanned(write_report(data, tmp_path / "report.html"))
    for content in scan.held.values():
        json.loads(content)
    for backend in data.backends:
        assert backend in scan.text
    assert ("s0-explorer" in scan.held) == bool(len(data.points))


@pytest.mark.parametrize("case", ["no rows", "all failed", "only overall", "speed alone", "no errors"])
def test_whatever_is_missing_the_figures_are_drawn(case: str, tmp_path: Path) -> None:
    written = write_figures(CASES[case](fake_report(60)), tmp_path, ("png",))
    kinds = {path.stem.partition("_")[2] for path in written}
    every = {"accuracy", "properties", "ratios", "calibration", "use", "estimates"}
    assert kinds == {"speed alone": {"use"}, "no errors": every}.get(case, set())


def test_what_looks_like_html_is_shown_as_it_is(tmp_path: Path) -> None:
    data, nasty = fake_report(60), "</script><script>alert(1)</script> & ⟦<b>⟧"
    rows = pd.concat([data.rows, table_of([failed_row("moons-snr", "<i>x</i>", nasty)])])
    points = data.points.assign(id=nasty)
    scan = scanned(write_report(ReportData(rows, points, {"<command>": nasty}), tmp_path / "report.html"))
    assert "alert(1)" in scan.text
    assert "<command>" in scan.text
    assert nasty in json.loads(scan.held["s0-points"])["texts"]["id"]["levels"]
    assert "alert(1)" not in " ".join(scan.held.keys())


def said(data: ReportData, topic: str) -> str:
    gains = Gains(data.points_of("moons-snr"))
    return " ".join(f.plain for f in findings(data.rows_of("moons-snr"), gains) if f.topic == topic)


def boards_of(data: ReportData) -> list[Line]:
    found = scoreboards(data.rows_of("moons-snr"), Gains(data.points_of("moons-snr")))
    return [line for lines in found.values() for line in lines]


def test_intervals_that_are_too_narrow_are_called_so() -> None:
    rows = fake_report(300).rows.copy()
    covers = rows["metric"].str.startswith("coverage") & (rows["axis"] == "all")
    level = rows["metric"].str.extract(r"_(\d+)$")[0].astype(float) / 100
    rows.loc[covers, "value"] = level[covers] - np.where(rows.loc[covers, "backend"] == "emcee", 0.1, 0.0)
    rows.loc[covers, "error"] = 0.01
    text = said(ReportData(rows, pd.DataFrame()), "Calibration")
    assert "0.0 points for cnn (1.7 by chance) and 10.0 points for emcee (1.7 by chance; most are too narrow)" in text
    assert "closer" not in text  # without points nothing is compared


def test_speed_failures_and_unequal_numbers_are_told() -> None:
    data = fake_report(300)
    rows = pd.concat([data.rows, table_of([failed_row("moons-snr", "bagpipes", "no room on the disk")])])
    rows.loc[(rows["metric"] == "success") & (rows["backend"] == "emcee"), "n"] = 30
    data = replace(data, rows=rows)
    assert "cnn 879 and emcee 0.4: cnn is 2,200 times as fast" in said(data, "Speed")
    assert "bagpipes: no room on the disk" in said(data, "Failed")
    assert "cnn 300 and emcee 30 (redshifts found)" in said(data, "Numbers")


def test_what_is_no_gain_in_itself_has_no_best() -> None:
    lines = boards_of(fake_report(300))
    judged = {line.metric for line in lines if line.best}
    assert {"flagged", "sharpness"} <= {line.metric for line in lines}
    assert judged
    assert not judged & {"flagged", "sharpness"}
    assert not [m for m in lines if "_over_" in m.metric or "_minus_" in m.metric]  # they have a table of their own


@pytest.mark.parametrize(("cell", "verdict"), [
    (Cell(0.8, 0.05, 100), "won"),
    (Cell(1.25, 0.05, 100), "lost"),
    (Cell(1.09, 0.05, 100), ""),
    (Cell(0.5, 0.18, 100), ""),  # as far from 1 as its inverse, with the error of the logarithm
    (Cell(2.0, 0.72, 100), ""),
    (Cell(0.5, 0.17, 100), "won"),
    (Cell(2.0, 0.68, 100), "lost"),
    (Cell(1.5, float("nan"), 100), ""),
    (Cell(0.97, 0.02, 100, ratio=False), "won"),
    (Cell(-0.05, 0.02, 100, ratio=False), "lost"),
    (Cell(0.03, 0.02, 100, ratio=False), ""),
])  # fmt: skip
def test_a_comparison_says_who_is_better_beyond_its_errors(cell: Cell, verdict: str) -> None:
    assert cell.verdict == verdict


def test_who_is_better_at_which_signal_to_noise() -> None:
    data = fake_report(2000, ("cnn", "emcee", "bagpipes"))
    first, second = duels(data.rows_of("moons-snr"))
    assert [(d.backend, d.baseline, d.axis) for d in (first, second)] == [
        ("cnn", "emcee", "snr"),
        ("bagpipes", "emcee", "snr"),
    ]
    assert first.bins == ("all", "0.5–1", "1–2", "2–4", "4–8", "8–16")
    assert first.counts[0] == (2000, 2000)
    shown = ["redshift: share right, difference in points", "redshift: CRPS, ratio", "stellar mass: CRPS, ratio"]
    assert list(first.lines)[:3] == shown
    rows = data.rows_of("moons-snr")
    place = (rows["metric"] == "crps_over_emcee") & (rows["parameter"] == "log_sfr") & (rows["axis"] == "snr")
    row = rows[place & (rows["bin"] == "2-4") & (rows["backend"] == "cnn")].iloc[0]
    cell = first.lines["star-formation rate: CRPS, ratio"][3]
    assert cell is not None
    assert (cell.value, cell.error, cell.n, cell.ratio) == (row["value"], row["error"], row["n"], True)
    cells = [[cell is not None for cell in line] for line in first.lines.values()]
    assert sum(first.tally(inside=True)) == sum(sum(line[1:]) for line in cells)
    assert sum(first.tally(inside=False)) == sum(line[0] for line in cells)


def test_each_pair_has_bins_of_its_own_and_the_fewest_spectra_of_a_bin_are_told() -> None:
    data = fake_report(2000, ("cnn", "emcee", "bagpipes"))
    rows = data.rows_of("moons-snr")
    duel = rows["metric"].str.contains("_emcee")
    few = rows[~(duel & (rows["backend"] == "bagpipes") & (rows["axis"] == "snr"))].copy()
    mass = duel & (rows["parameter"] == "log_stellar_mass") & (rows["backend"] == "cnn") & (rows["axis"] == "all")
    few.loc[mass, "n"] = 25
    first, second = duels(few)
    assert (first.axis, second.axis) == ("snr", "magnitude")
    assert first.counts[0] == (25, 2000)
    (third,) = duels(few[(few["axis"] == "all") & (few["backend"] == "cnn")])
    assert third.bins == ("all",)
    alone = replace(data, rows=few[few["axis"] == "all"])
    assert "bins" not in said(alone, "Same spectra")
    assert "over all spectra, better in" in said(alone, "Same spectra")
    assert "furthest" not in said(alone, "Same spectra")


def test_the_page_and_the_findings_tell_who_is_better(tmp_path: Path) -> None:
    data = fake_report(2000, ("bagpipes", "emcee"))
    (duel,) = duels(data.rows_of("moons-snr"))
    inside, everywhere = duel.tally(inside=True), duel.tally(inside=False)
    assert inside[1] > inside[0]  # the invented bagpipes is worse
    text = said(data, "Same spectra")
    told = [
        f"better in {w}, worse in {s}, alike within the errors in {e} of {w + s + e}"
        for w, s, e in (everywhere, inside)
    ]
    assert f"over all spectra, {told[0]} numbers; in bins of S/N per pixel, {told[1]} numbers" in text
    assert "furthest behind" in text
    page = write_report(data, tmp_path / "report.html").read_text(encoding="utf-8")
    _, table = page.split('<table class="scores duel">')
    assert table.count('<td class="lost">') == inside[1] + everywhere[1]
    assert table.count('<td class="won">') == inside[0] + everywhere[0]


def test_without_a_baseline_there_is_no_duel() -> None:
    assert duels(fake_report(300, ("cnn",)).rows_of("moons-snr")) == []


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.5, np.nan, "0.5"),
        (np.nan, 0.1, "–"),
        (0.0, 0.01, "0.000 ± 0.010"),
        (-3.2e-6, 6e-6, "(-3 ± 6) × 10⁻⁶"),
        (123456.0, 7000.0, "123,000 ± 7,000"),
        (0.0, np.nan, "0"),
    ],
)
def test_numbers_have_the_digits_of_their_errors(value: float, error: float, text: str) -> None:
    assert with_error(value, error) == text


def test_numbers_without_errors_have_three_digits() -> None:
    assert [number(v) for v in (2200.0, 879.12, 0.4, 1.0, 1.5e9)] == ["2,200", "879", "0.4", "1", "1.5 × 10⁹"]


def test_each_backend_has_its_own_look() -> None:
    styles = looks([f"backend{k}" for k in range(20)])
    assert len({(s.colour, s.dash) for s in styles.values()}) == 20
    assert len({s.colour for s in list(styles.values())[:7]}) == 7


def test_figures_of_every_suite_are_written(tmp_path: Path) -> None:
    data = fake_report(60, ("cnn",), ("moons snr/2",))
    data = replace(
        data, rows=data.rows[data.rows["metric"].isin(["success", "crps", "pit", "coverage_68", "retention"])]
    )
    paths = write_figures(data, tmp_path / "new" / "figures")
    kinds = ("accuracy", "properties", "calibration", "use", "estimates")
    expected = {f"moons-snr-2_{kind}.{ending}" for kind in kinds for ending in ("png", "svg")}
    assert {path.name for path in paths} == expected
    for path in paths:
        start = path.read_bytes()[:300]
        assert start.startswith(b"\x89PNG") or b"<?xml" in start


def test_an_unknown_format_is_refused(data: ReportData, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="docx"):
        write_figures(data, tmp_path, ("docx",))


def test_ratios_have_a_figure_where_there_is_a_baseline(tmp_path: Path) -> None:
    written = write_figures(fake_report(600, ("cnn", "emcee")), tmp_path / "two", ("png",))
    assert "moons-snr_ratios.png" in {path.name for path in written}
    written = write_figures(fake_report(600, ("cnn", "bagpipes")), tmp_path / "none", ("png",))
    assert "moons-snr_ratios.png" not in {path.name for path in written}
