"""The report in a browser: it opens at once, says no error, and its plots answer."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from benchmark_fakes import failed_row, fake_report, table_of
from chromium import CHROMIUM, Page, opened

from galfit_ml.benchmark.report import ReportData, write_report

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium")

LONGEST = 3.0
"""Seconds until a report with 20,000 points can be read."""

SMALL_TEXT = """[...document.querySelectorAll("body *")].filter((one) => {
  const size = parseFloat(getComputedStyle(one).fontSize);
  const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  return own && size < 14 && one.getClientRects().length && !["SCRIPT", "STYLE"].includes(one.tagName);
}).map((one) => one.outerHTML.slice(0, 200))"""

Check = Callable[[Page], Awaitable[Any]]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = fake_report(10_000, ("cnn", "emcee"))
    rows = pd.concat([data.rows, table_of([failed_row("moons-snr", "bagpipes", "no <room> left")])])
    return write_report(replace(data, rows=rows), tmp_path_factory.mktemp("large") / "report.html")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = fake_report(400, ("cnn", "emcee", "bagpipes"), ("moons-snr", "moonrise"))
    return write_report(data, tmp_path_factory.mktemp("small") / "report.html")


def in_browser(report: Path, folder: Path, check: Check, *, phone: bool = False) -> Any:
    """What `check` finds in an opened report that has said no error and has asked for nothing else."""

    async def session() -> Any:
        async with opened(folder / "profile") as page:
            await page.open(report, *((375, 812) if phone else (1400, 1000)), phone=phone)
            found = await check(page)
            await page.settle()
            assert page.problems == []
            assert [url for url in page.requests if not url.startswith(("data:", "blob:"))] == [report.as_uri()]
            return found

    return asyncio.run(session())


def test_twenty_thousand_points_open_in_three_seconds(large: Path, tmp_path: Path, capsys: Any) -> None:
    async def seconds(page: Page) -> list[float]:
        return [await page.run(f"report.{when}") / 1000 for when in ("ready", "complete")]

    times = [in_browser(large, tmp_path / str(k), seconds) for k in range(2)]
    ready, complete = map(min, zip(*times, strict=True))
    with capsys.disabled():
        told = f"{large.stat().st_size / 1e6:.1f} MB: read after {ready:.2f} s, all plots after {complete:.2f} s"
        sys.stdout.write(f"\nreport of 20,000 points, {told}\n")
    assert ready < LONGEST


def test_selected_points_show_their_spectra(large: Path, tmp_path: Path) -> None:
    async def select(page: Page) -> None:
        await page.run("report.complete")
        await page.run(
            "Bokeh.documents.map((d) => d.get_model_by_name('points')).filter(Boolean)[0].selected.indices = [3, 5]"
        )
        await page.settle()
        drawn = "Bokeh.documents.map((d) => d.get_model_by_name('spectra:flux')).filter(Boolean)[0].data.ys"
        assert await page.run(f"{drawn}.length") == 2
        assert await page.run(f"{drawn}[0].filter(Number.isFinite).length") > 300
        assert await page.run("document.querySelector('.selection .plot').clientHeight") > 200
        told = await page.run("document.querySelector('.selection').innerText")
        assert "2 spectra selected" in told
        assert "MOONS_moons-snr_00003" in told
        assert "MOONS_moons-snr_00005" in told

    in_browser(large, tmp_path, select)


def test_a_selection_stays_with_its_spectra_when_the_backend_changes(small: Path, tmp_path: Path) -> None:
    async def change(page: Page) -> None:
        await page.run("(async () => { window.e = await report.mount('s0', 'explorer'); })()")
        await page.run("e.source.selected.indices = [7]")
        before = await page.run("e.source.data.name[7]")
        await page.choose("#s0 .explorer [data-control=backend]", "*")
        names = await page.run("e.source.selected.indices.map((k) => e.source.data.name[k] + e.source.data.who[k])")
        assert sorted(names) == [before + backend for backend in ("bagpipes", "cnn", "emcee")]

    in_browser(small, tmp_path, change)


def test_buttons_pick_wrong_redshifts(small: Path, tmp_path: Path) -> None:
    async def pick(page: Page) -> None:
        await page.run("(async () => { window.e = await report.mount('s0', 'explorer'); })()")
        await page.run("document.querySelector('[data-pick=wrong]').click()")
        # Which four is a matter of chance; a wrong one may lie near the truth in these made-up points.
        assert await page.run("e.source.selected.indices.map((k) => e.points.answers.right[e.rows[k]])") == [0] * 4
        await page.run("document.querySelector('[data-pick=none]').click()")
        assert "Nothing is selected" in await page.run("document.querySelector('.selection').innerText")

    in_browser(small, tmp_path, pick)


def test_redshifts_are_wrong_above_the_line_and_right_below(tmp_path: Path) -> None:
    """The best redshift is judged, which need not be the median; the line is drawn where it applies."""
    data = fake_report(300, ("cnn", "emcee"))
    rng = np.random.default_rng(0)
    points = data.points.assign(median_redshift=lambda t: t["median_redshift"] + rng.normal(0, 0.02, len(t)))
    away = (points["best_redshift"] - points["true_redshift"]).abs() / (1 + points["true_redshift"])
    points["right"] = away < 0.0033
    assert 50 < points["right"].sum() < 550
    report = write_report(replace(data, points=points), tmp_path / "report.html")
    without = replace(data, points=points.drop(columns="best_redshift"))
    other = write_report(without, tmp_path / "other.html")
    line = "e.bokeh.get_model_by_name('errors').center.find((one) => one.name === 'limit').visible"

    async def look(page: Page) -> None:
        await page.run("(async () => { window.e = await report.mount('s0', 'explorer'); })()")
        assert await page.run(line)
        await page.choose("#s0 .explorer [data-control=backend]", "*")
        await page.choose("#s0 .explorer [data-control=parameter]", "redshift")
        errors, right = await page.run("[[...e.source.data.error], e.rows.map((i) => e.points.answers.right[i])]")
        assert len(errors) == 600
        assert [error < 0.0033 for error in errors] == [one == 1 for one in right]
        await page.choose("#s0 .explorer [data-control=parameter]", "dust_av")
        assert not await page.run(line)

    async def hidden(page: Page) -> None:
        await page.run("(async () => { window.e = await report.mount('s0', 'explorer'); })()")
        assert not await page.run(line)

    in_browser(report, tmp_path, look)
    in_browser(other, tmp_path / "other", hidden)


def test_the_most_overconfident_are_those_farthest_off_in_their_own_uncertainty(tmp_path: Path) -> None:
    """Error and uncertainty of a redshift are in one unit: both over 1 + z, or neither."""
    data = fake_report(200, ("cnn",))
    own = data.points
    pull = (own["best_redshift"] - own["true_redshift"]).abs() / (0.5 * (own["high_redshift"] - own["low_redshift"]))
    report = write_report(data, tmp_path / "report.html")

    async def pick(page: Page) -> list[str]:
        await page.run("(async () => { window.e = await report.mount('s0', 'explorer'); })()")
        await page.run("document.querySelector('[data-pick=overconfident]').click()")
        told = await page.run("e.rows.map((i) => e.points.pull('redshift', i))")
        np.testing.assert_allclose(told, pull, rtol=2e-3, atol=1e-2)
        return list(await page.run("e.source.selected.indices.map((k) => e.source.data.name[k])"))

    assert sorted(in_browser(report, tmp_path, pick)) == sorted(own.loc[pull.nlargest(4).index, "id"])


def test_every_colour_and_parameter_can_be_chosen(small: Path, tmp_path: Path) -> None:
    async def choose(page: Page) -> None:
        await page.run("(async () => { window.e = await report.mount('s0', 'explorer'); })()")
        for control in ("parameter", "colour"):
            place = f"#s0 .explorer [data-control={control}]"
            values = await page.run(f"[...document.querySelector('{place}').options].map((one) => one.value)")
            assert len(values) >= 9
            for value in values:
                await page.choose(place, value)
                assert await page.run("document.querySelector('.colours').innerText.trim().length") > 0
                assert await page.run("e.source.data.colour.some(Number.isFinite)")

    in_browser(small, tmp_path, choose)


def test_panels_follow_what_is_chosen_and_hide_what_is_hidden(small: Path, tmp_path: Path) -> None:
    async def choose(page: Page) -> None:
        await page.run("(async () => { window.p = await report.mount('s0', 'panels'); })()")
        source = "p.bokeh.get_model_by_name('crps:emcee').data"
        by_snr = await page.run(f"{source}.y")
        await page.choose("#s0 [data-control=axis]", "class")
        assert await page.run(f"{source}.where") == ["star-forming", "quiescent", "post-starburst"]
        assert await page.run(f"{source}.y") != by_snr
        assert "±" in (await page.run(f"{source}.told"))[0]
        await page.run("document.querySelector('.legend [data-backend=emcee]').click()")
        await page.settle()
        shown = "p.bokeh.get_model_by_name('crps').renderers.map((r) => [r.tags[0] ?? '', r.visible])"
        assert {(name, on) for name, on in await page.run(shown) if name} == {
            ("cnn", True),
            ("emcee", False),
            ("bagpipes", True),
        }

    in_browser(small, tmp_path, choose)


def test_rows_are_filtered_and_copied_as_csv(small: Path, tmp_path: Path) -> None:
    async def copy(page: Page) -> None:
        await page.run("report.ready.then(() => { document.querySelector('#s0 .rows').open = true; })")
        await page.settle()
        await page.choose("#s0 [data-filter=metric]", "success")
        await page.run("window.list = document.getElementById('s0').rowList; 0")
        text = await page.run("list.rows.csv(list.chosen())")
        lines = text.splitlines()
        assert lines[0].startswith("suite,backend,parameter,axis,bin,low,high,metric,value,error,n,")
        assert len(lines) > 20
        assert all(",success," in line for line in lines[1:])
        assert f"Copy {len(lines) - 1} rows" in await page.run("list.copy.textContent")

    in_browser(small, tmp_path, copy)


def test_a_phone_shows_all_without_scrolling_sideways(small: Path, tmp_path: Path) -> None:
    async def look(page: Page) -> None:
        await page.run("report.complete")
        await page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        await page.run("report.mount('s1', 'panels').then(() => report.mount('s1', 'explorer')).then(() => 0)")
        await page.run("document.querySelector('[data-pick=random]').click()")
        await page.settle()
        assert await page.run("[document.documentElement.scrollWidth, innerWidth]") == [375, 375]
        beyond = "[...document.querySelectorAll('.card, .panel, select, button, h2, p')].filter((one) => {"
        beyond += " const box = one.getBoundingClientRect(); return box.width && !one.closest('.scroll, .legend')"
        beyond += " && box.right > 375.5; }).map((one) => one.outerHTML.slice(0, 200))"
        assert await page.run(beyond) == []
        assert await page.run(SMALL_TEXT) == []

    in_browser(small, tmp_path, look, phone=True)


def test_a_finger_on_a_plot_scrolls_the_page(small: Path, tmp_path: Path) -> None:
    async def scroll(page: Page) -> None:
        await page.run("report.complete")
        for place in ("#s0-plot-success", "#s0-plot-latent"):
            await page.run(f"document.querySelector('{place}').scrollIntoView({{ block: 'center' }})")
            await page.settle()
            before = await page.run("scrollY")
            await page.drag(190, 420, up=200)
            await page.settle()
            assert await page.run("scrollY") > before + 100

    in_browser(small, tmp_path, scroll, phone=True)


CASES = {
    "no rows": lambda d: ReportData(d.rows.iloc[:0], pd.DataFrame()),
    "no rows but points": lambda d: replace(d, rows=d.rows.iloc[:0]),
    "no latent space": lambda d: replace(d, points=d.points.drop(columns=["latent_x", "latent_y"]), spectra=None),
    "no S/N": lambda d: replace(d, points=d.points.drop(columns=["snr", "class", "flags", "right", "id"])),
    "speed alone": lambda d: ReportData(d.rows[d.rows["metric"].isin(["rate", "latency"])], pd.DataFrame()),
    "all failed": lambda d: ReportData(table_of([failed_row("moons-snr", "cnn", "no weights")]), pd.DataFrame()),
}


@pytest.mark.parametrize("case", CASES)
def test_whatever_is_missing_the_page_says_no_error(case: str, tmp_path: Path) -> None:
    report = write_report(CASES[case](fake_report(60)), tmp_path / "report.html")

    async def look(page: Page) -> str:
        await page.run("report.complete")
        if await page.run("document.querySelector('[data-pick=random]') !== null"):
            await page.run("document.querySelectorAll('[data-pick]').forEach((one) => one.click())")
        return await page.run("document.body.innerText")

    assert "galfit_ml benchmark" in in_browser(report, tmp_path, look)
