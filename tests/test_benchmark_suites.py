"""Suites as data, and the spectra that are made from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from galfit_ml import hookimpl
from galfit_ml.benchmark import BenchmarkError, Suite, get_suite, suites
from galfit_ml.benchmark.changes import CHANGES
from galfit_ml.benchmark.rebin import rebinned
from galfit_ml.benchmark.results import published
from galfit_ml.benchmark.spectra import Shard, made_shard, make_shard, measured_snr, shard_names, shards
from galfit_ml.benchmark.suite import Part
from galfit_ml.errors import FileFormatError, UnknownNameError
from galfit_ml.registry import registry
from galfit_ml.simulate.surveys import ChunkMaker, make_settings

NAMES = {
    *("calibration", "latent", "moonrise", "moons-snr", "moons-snr-rebinned"),
    *("moonz-grid", "other-stars", "real-sdss", "robustness", "sdss-snr", "speed"),
}

SMALL = Suite(
    "small",
    "two exposures of SDSS galaxies",
    seed=5,
    shard=6,
    parts=(Part("sdss", exposure=("45m",), label="45 min"), Part("sdss", exposure=("15m",), label="15 min")),
)


def test_the_shipped_suites_are_sound() -> None:
    known = suites()
    assert set(known) == NAMES
    for suite in known.values():
        assert suite.summary
        assert all(part.change in CHANGES for part in suite.parts)
        if suite.kind == "mocks":
            names = shard_names(suite, suite.n)
            assert len({name for name, _ in names}) == len(names)
            assert suite.n <= sum(size for _, size in names) < suite.n + len(suite.parts)


def test_an_unknown_suite_is_suggested_and_a_file_will_do(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"No suite 'moon-snr'. Did you mean 'moons-snr'\?"):
        get_suite("moon-snr")
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\nsummary = "x"\n[[parts]]\ninstrument = "sdss"\nexposure = ["45m"]\n')
    assert get_suite(str(path)).parts == (Part("sdss", exposure=("45m",)),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = 'x'\nsummary = ''", r"needs at least one \[\[parts\]\]"),
        ("name = 'x'\nsummary = ''\nkind = 'moks'\n[[parts]]\ninstrument = 'sdss'", "mocks, speed, real"),
        ("name = 'x'\nsummary = ''\n[[parts]]\ninstrument = 'sdss'\nexposur = '1h'", "Did you mean 'exposure'"),
        ("name = 'x'\nsummary = ''\n[[parts]]\ninstrument = 'sdss'\nmagnitude = [1]", r"a range \[low, high\]"),
        ("name = 'x'\nsummary = ''\n[bins]\nsnr = [2, 1]\n[[parts]]\ninstrument = 'sdss'", "increasing"),
        ("name = 'x'\nsummary = ''\n[bins]\ncolour = [1, 2]\n[[parts]]\ninstrument = 'sdss'", "of snr, magnitude"),
        ("name = 'x'\nsummary = ''\nn = 0\n[[parts]]\ninstrument = 'sdss'", "at least 1"),
        ("name = 'x'\nsummary = ''\nsplit = 3\n[[parts]]\ninstrument = 'sdss'", "list of texts"),
        ("name = ", "cannot be read as a suite"),
        ("name = '../x'\nsummary = ''\n[[parts]]\ninstrument = 'sdss'", "fit for a folder"),
        ("name = 'x'\nsummary = ''\n[parts]\ninstrument = 'sdss'", "in two brackets"),
        ("name = 'x'\nsummary = ''\n[bins]\nsnr = ['a']\n[[parts]]\ninstrument = 'sdss'", "'snr': expected a number"),
        ("name = 'x'\nsummary = ''\n[bins]\nsnr = 3\n[[parts]]\ninstrument = 'sdss'", "at least two"),
        ("name = 'x'\nsummary = ''\nsplit = 'clas'\n[[parts]]\ninstrument = 'sdss'", "split must be of class"),
        ("name = 'x'\nsummary = ''\nsplit = 'exposure and class'\n[[parts]]\ninstrument = 'sdss'", r"needs \[bins\]"),
    ],
)
def test_a_wrong_suite_file_says_where(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=message) as told:
        Suite.from_toml(path)
    assert "wrong.toml" in str(told.value)


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A plugin with a suite in a file."""
    path = tmp_path / "theirs.toml"
    path.write_text('name = "theirs"\nsummary = "x"\n[[parts]]\ninstrument = "sdss"\n')
    module: Any = ModuleType("their_plugin")
    module.galfit_ml_suites = hookimpl(specname="galfit_ml_suites")(lambda: [path])

    class Point(EntryPoint):
        def load(self) -> Any:
            return module

    monkeypatch.setattr("galfit_ml.registry.entry_points", lambda group: [Point("theirs", "their_plugin", group)])
    registry.cache_clear()
    yield path
    registry.cache_clear()


def test_a_plugin_may_bring_suites(plugin: Path) -> None:
    assert get_suite("theirs").name == "theirs"
    plugin.write_text(plugin.read_text().replace("theirs", "moons-snr"))
    with pytest.raises(BenchmarkError, match="there is a suite 'moons-snr' already"):
        suites()


def joined(name: str, found: list[Shard]) -> Any:
    return np.concatenate([s.truth[name] for s in found])


def test_every_backend_gets_the_same_spectra_and_more_of_them_begin_with_the_same() -> None:
    few, many = list(shards(SMALL, 16)), list(shards(SMALL, 40))
    assert [s.name for s in few] == ["00-0000", "01-0000", "00-0001", "01-0001"]
    assert [len(s) for s in few] == [6, 6, 2, 2]
    for one in few:
        other = next(s for s in many if s.name == one.name)
        assert one.first == other.first
        np.testing.assert_array_equal(one.batch.arms[0].flux, other.batch.arms[0].flux[: len(one)])
        np.testing.assert_array_equal(one.truth["redshift"], other.truth["redshift"][: len(one)])
    assert sorted(s.first for s in many) == [6 * i for i in range(len(many))]
    changed = make_shard(replace(SMALL, seed=6), 16, "00-0000", 6)
    assert not np.array_equal(changed.batch.arms[0].flux, few[0].batch.arms[0].flux)


def test_truth_comes_with_the_spectra() -> None:
    shard = make_shard(SMALL, 16, "01-0000", 6)
    np.testing.assert_allclose(shard.truth["exposure_s"], 900.0)
    assert set(shard.truth["part"]) == {"15 min"}
    np.testing.assert_array_equal(shard.truth["snr"], measured_snr(shard.batch))
    assert np.isfinite(shard.truth["magnitude"]).all()


def test_shards_across_chunks_are_whole() -> None:
    """256 spectra a chunk: a shard of 100 takes the end of one and the beginning of the next."""
    suite = replace(SMALL, shard=100, parts=SMALL.parts[:1])
    third = make_shard(suite, 300, "00-0002", 100)
    whole = make_shard(replace(suite, shard=300), 300, "00-0000", 300)
    np.testing.assert_array_equal(third.batch.arms[0].flux, whole.batch.arms[0].flux[200:])
    assert third.batch.ids == whole.batch.ids[200:]


def test_parts_that_differ_by_what_is_done_to_them_have_the_same_galaxies() -> None:
    parts = (Part("sdss", exposure=("45m",)), Part("sdss", exposure=("45m",), change="ivar twice too large"))
    plain, changed = list(shards(replace(SMALL, parts=parts), 8))
    np.testing.assert_array_equal(plain.truth["redshift"], changed.truth["redshift"])
    np.testing.assert_allclose(changed.batch.arms[0].ivar, 2 * plain.batch.arms[0].ivar)
    assert set(changed.truth["part"]) == {"ivar twice too large"}


def test_an_unknown_change_is_suggested() -> None:
    with pytest.raises(UnknownNameError, match="3 % tilt"):
        make_shard(replace(SMALL, parts=(Part("sdss", exposure=("45m",), change="3 % tlit"),)), 4, "00-0000", 4)


def test_the_grid_has_every_type() -> None:
    suite = replace(get_suite("moonz-grid"), shard=90)
    found = list(shards(suite, 90))
    assert set(joined("class", found)) == {"early", "spiral", "starburst"}
    assert sorted(set(joined("exposure_s", found))) == [3600.0, 7200.0, 28800.0]
    assert suite.digest(90) != suite.digest(120)
    assert SMALL.digest(90) == SMALL.digest(120)


def test_rebinning_keeps_light_and_information() -> None:
    batch = make_shard(SMALL, 16, "00-0000", 6).batch
    wide = rebinned(batch, 8)
    old, new = batch.arms[0], wide.arms[0]
    n = len(new.grid) * 8
    assert len(new.grid) == len(old.grid) // 8
    np.testing.assert_allclose(new.grid.edges, old.grid.edges[: n + 1 : 8])
    np.testing.assert_allclose(new.ivar.sum(axis=1), old.ivar[:, :n].sum(axis=1))
    np.testing.assert_allclose((new.flux * new.ivar).sum(axis=1), (old.flux * old.ivar)[:, :n].sum(axis=1))
    assert (new.bad == (old.bad[:, :n].reshape(6, -1, 8).all(axis=2))).all()
    box = 8 * old.grid.widths[4] / np.sqrt(12)
    assert new.lsf_sigma[0, 0] == pytest.approx(np.hypot(old.lsf_sigma[0, 4], box), rel=0.01)
    assert rebinned(batch, 1) is batch


def test_published_series_are_rows() -> None:
    rows = list(published(get_suite("moonz-grid")))
    assert len(rows) == 9 * 8
    early = next(r for r in rows if r.axis == "magnitude: 8 h early" and r.low == 22.75)
    assert (early.backend, early.value, early.metric, early.direction) == (
        "moonz (published)",
        0.88,
        "success_0.01",
        "higher",
    )
    assert "moons_redshifting" in early.version


def test_measured_signal_to_noise_leaves_out_bad_pixels() -> None:
    batch = make_shard(SMALL, 16, "00-0000", 2).batch
    arm = batch.arms[0]
    bad = np.zeros_like(arm.bad)
    bad[0, : len(arm.grid) // 2] = bad[1] = True
    cut = replace(batch, arms=(replace(arm, bad=bad),))
    snr = measured_snr(cut)
    half = len(arm.grid) // 2
    good = ~arm.bad[0, half:]
    assert snr[0] == pytest.approx(np.median((arm.flux * np.sqrt(arm.ivar))[0, half:][good]))
    assert np.isnan(snr[1])


@pytest.mark.parametrize("change", ["30 % of pixels masked", "arms scaled by 3 %"])
def test_what_chance_does_to_a_spectrum_does_not_depend_on_how_many_there_are(
    change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen from the second arm on, which gets its numbers after all of the first."""
    suite = replace(SMALL, parts=(Part("sdss", exposure=("45m",), change=change),))
    chunk = ChunkMaker(make_settings("sdss", 6, "training", 5, exposure=["45m"]))(0)
    two = replace(chunk, batch=replace(chunk.batch, arms=chunk.batch.arms * 2), clean=np.hstack([chunk.clean] * 2))
    monkeypatch.setattr("galfit_ml.benchmark.spectra._chunk", lambda *_: two)
    few, many = (make_shard(suite, size, "00-0000", size).batch for size in (2, 6))
    assert (len(few), len(many)) == (2, 6)
    for one, other in zip(few.arms, many.arms, strict=True):
        np.testing.assert_array_equal(one.flux, other.flux[:2])
        np.testing.assert_array_equal(one.bad, other.bad[:2])


def test_displaced_arms_of_two_chunks_are_not_put_under_one_grid() -> None:
    part = Part("sdss", exposure=("45m",), change="arms displaced by 30 km/s")
    suite = replace(SMALL, shard=512, seed=1, parts=(part,))
    first, second = (make_shard(replace(suite, shard=256), 512, f"00-000{i}", 1).batch.arms[0] for i in (0, 1))
    assert first.grid.edges[0] != second.grid.edges[0]  # up in one, down in the other
    with pytest.raises(BenchmarkError, match="divides 256"):
        make_shard(suite, 300, "00-0000", 300)


def test_the_survey_behind_a_shard_has_its_rows() -> None:
    """Across two chunks of 256, and before the change."""
    changed = replace(SMALL, shard=64, parts=(replace(SMALL.parts[0], change="ivar twice too large"),))
    suite = replace(SMALL, shard=300, parts=SMALL.parts[:1])
    for name, size in shard_names(suite, 300):
        shard, made = make_shard(suite, 300, name, size), made_shard(suite, 300, name, size)
        np.testing.assert_array_equal(made.truth["redshift"], shard.truth["redshift"])
        for one, other in zip(made.batch.arms, shard.batch.arms, strict=True):
            np.testing.assert_array_equal(one.flux, other.flux)
    shard, made = make_shard(changed, 10, "00-0000", 10), made_shard(changed, 10, "00-0000", 10)
    np.testing.assert_array_equal(2 * made.batch.arms[0].ivar, shard.batch.arms[0].ivar)
