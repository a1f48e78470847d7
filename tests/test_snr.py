"""Signal-to-noise of MOONS beside the design's table and beside recorded moons1d runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import FreshPython

from benchmarks import snr
from benchmarks.moons1d_faults import Faults, median_in_bins, recorded, signal_to_noise_as_moons1d

RECORD = recorded()
CASES = {case["name"]: case for case in RECORD["cases"]}


@pytest.mark.parametrize("name", CASES)
def test_with_its_simplifications_we_are_moons1d(name: str) -> None:
    """Medians within 1 % in every arm; so are typical coarse bins.

    Its tables are steps where ours are lines: the edges of the arms, where the throughput rises from 4 to 20 % within
    40 nm, differ by up to a sixth.
    """
    case = CASES[name]
    found = signal_to_noise_as_moons1d(case, RECORD["spiral"], Faults())
    for arm, values in found.items():
        expected = case["arms"][arm]
        assert np.median(values) == pytest.approx(expected["snr"], rel=0.01)
        ratio = median_in_bins(values, len(expected["snr_bins"])) / expected["snr_bins"]
        assert np.median(np.abs(ratio - 1)) < 0.01
        assert np.abs(ratio - 1)[3:-1].max() < 0.06


def test_the_simplifications_matter() -> None:
    """Without them the same source has a third less signal-to-noise in H: the comparison above is no tautology."""
    rows = {row.what: row.difference for row in snr.fault_rows()}
    assert rows["all"][2] > 40.0
    assert rows["adu"][0] < -25.0
    assert rows["one_pixel"][2] > 20.0
    assert rows["sky_through_fibre"][0] > 10.0
    assert rows["none"] is None


DESIGN = {row.what: row for row in snr.design_rows()}


@pytest.mark.parametrize("what", [what for what in DESIGN if what != "tier 0, AB 22, 1 h"])
def test_tiers_have_the_signal_to_noise_of_the_design(what: str) -> None:
    """Each against its own row, which has two digits. The design's tier 0 had no stray light."""
    np.testing.assert_allclose(DESIGN[what].found, DESIGN[what].reference, rtol=0.05)


def test_stray_light_costs_most_where_the_sky_is_brightest() -> None:
    """It is 2 % of the mean sky, which a few lines dominate; the continuum between them has to bear it."""
    bare, stray, residual = (
        np.array(DESIGN[what].found)
        for what in ("tier 0, AB 22, 1 h, without stray light", "tier 0, AB 22, 1 h", "tier 1, AB 22, 1 h")
    )
    assert (np.diff(stray / bare) < 0).all()
    assert ((residual < stray) & (stray < bare)).all()


def test_line_limits_are_those_of_the_design() -> None:
    """Its limits are those of tier 0 without stray light."""
    bare, *others = snr.line_rows()
    np.testing.assert_allclose(bare.found, bare.reference, rtol=0.03)
    assert all(row.found > bare.found for row in others)


def test_the_tables_are_written(tmp_path: Path) -> None:
    out, rows = tmp_path / "snr.md", tmp_path / "snr.json"
    snr.main(["--out", str(out), "--json", str(rows)])
    tables = json.loads(rows.read_text())
    assert set(tables) == set(snr.TABLES)
    assert out.read_text().count("|---|") >= len(snr.TABLES)
    assert "tier 1, AB 24, 8 h" in out.read_text()


def test_the_speed_benchmark_writes_its_rows(fresh_python: FreshPython, tmp_path: Path) -> None:
    rows = tmp_path / "speed.json"
    code = "from benchmarks.simulate import main; main()"
    fresh_python(code, "--batch", "8", "--repeats", "1", "--workers", "2", "--json", str(rows))
    made = {row["what"]: row["value"] for row in json.loads(rows.read_text())}
    assert made["observed spectra, 2 worker(s)"] > 0
    assert made["noise, one thread"] > 0
