"""The suite of real spectra: what is asked, in which order, and against which truth."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_real_benchmark import META

from galfit_ml.benchmark import Run, get_suite, score
from galfit_ml.benchmark.real import contents, real_shards
from galfit_ml.errors import FileFormatError
from galfit_ml.parameters import GALAXY

SUITE = get_suite("real-sdss")

ROWS = [
    ("a", 300, 0.10, "GALAXY", "", 0),
    ("b", 300, 0.20, "STAR", "", 0),
    ("c", 300, 0.15, "GALAXY", "STARBURST BROADLINE", 0),
    ("d", 300, 0.12, "GALAXY", "", 4),
    ("e", 4000, 0.50, "GALAXY", "", 0),
    ("f", 300, 0.05, "GALAXY", "", 0),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    flux = np.ones((len(ROWS), 3000), dtype=np.float32) * np.arange(1, 7, dtype=np.float32)[:, None]
    arrays = {"flux": flux, "ivar": 4 * np.ones_like(flux), "loglam0": 3.6, "dloglam": 1e-4}
    np.savez(tmp_path / "some.npz", **arrays, meta=np.array(ROWS, dtype=META))
    truth = {"type": "E", "logM_any": np.arange(6) + 10.0, "aper_corr_dex": 0.5, "logSFR_any": np.nan, "r_total": 17.0}
    pd.DataFrame(truth, index=range(6)).to_csv(tmp_path / "some_truth.csv", index=False)
    return tmp_path


def test_galaxies_with_a_sure_redshift_are_asked_by_instrument(folder: Path) -> None:
    shards = list(real_shards(SUITE, folder, 100))
    assert [(s.batch.instrument.name, tuple(sorted(s.batch.ids))) for s in shards] == [
        ("boss", ("e",)),
        ("sdss", ("a", "f")),
    ]
    assert [s.first for s in shards] == [0, SUITE.shard]
    sdss, order = shards[1].truth, [shards[1].batch.ids.index(name) for name in ("a", "f")]
    np.testing.assert_allclose(sdss["redshift"][order], [0.10, 0.05])
    np.testing.assert_allclose(sdss["log_stellar_mass"][order], [9.5, 14.5])
    np.testing.assert_allclose(sdss["snr"][order], [2.0, 12.0])
    assert np.isnan(sdss["log_sfr"]).all()
    assert set(sdss["part"]) == {"some (sdss)"}
    assert set(GALAXY.names) <= set(sdss)


def test_a_smaller_number_is_a_part_of_the_same(folder: Path) -> None:
    everything = {name for s in real_shards(SUITE, folder, 100) for name in s.batch.ids}
    one = [name for s in real_shards(SUITE, folder, 1) for name in s.batch.ids]
    two = [name for s in real_shards(SUITE, folder, 2) for name in s.batch.ids]
    assert len(one) == 1
    assert set(one) <= set(two) <= everything


def test_what_was_asked_stays_where_it_was_when_more_are_asked(folder: Path) -> None:
    """Shard by shard, at their beginning and with the same numbers."""
    small = replace(SUITE, shard=1)
    for suite in (SUITE, small):
        everything = {s.name: s for s in real_shards(suite, folder, 3)}
        for n in (1, 2):
            for shard in real_shards(suite, folder, n):
                whole = everything[shard.name]
                assert whole.batch.ids[: len(shard)] == shard.batch.ids
                assert whole.first == shard.first
    numbers = [s.first for s in real_shards(small, folder, 3)]
    assert len(set(numbers)) == len(numbers) == 3


def test_a_folder_is_known_by_what_it_holds(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    first = contents(folder)
    copy = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(folder, copy)
    assert contents(copy) == first == contents(folder / ".." / folder.name)
    (copy / "some.npz").rename(copy / "same.npz")
    (copy / "some_truth.csv").rename(copy / "same_truth.csv")
    assert contents(copy) != first
    with np.load(folder / "some.npz") as data:
        arrays = {k: data[k] for k in data.files}
    for changed in ([*ROWS[:5], ("g", *ROWS[5][1:])], [*ROWS[:5], ("f", 300, 0.06, *ROWS[5][3:])]):
        np.savez(folder / "some.npz", **arrays | {"meta": np.array(changed, dtype=META)})
        assert contents(folder) != first
    about = Run(SUITE, ("cnn",), 5, copy, data=folder).about("cnn")
    assert about["spectra"] == contents(folder)


def test_what_the_folder_lacks_is_named(tmp_path: Path, folder: Path) -> None:
    with np.load(folder / "some.npz") as data:
        arrays = {k: data[k] for k in data.files if k != "ivar"}
    np.savez(folder / "some.npz", **arrays)
    with pytest.raises(FileFormatError, match="lacks the arrays ivar"):
        Run(SUITE, ("cnn",), 5, tmp_path / "out", data=folder)()


@pytest.mark.slow
def test_real_galaxies_are_scored(real_data: Path, tmp_path: Path) -> None:
    Run(SUITE, ("cnn",), 48, tmp_path, data=real_data)()
    rows, points = score(SUITE, tmp_path / "real-sdss")
    assert len(points) == 48
    own = rows[(rows.metric == "success") & (rows.axis == "all")]
    assert own.value.iloc[0] > 0.9
    assert own.n.iloc[0] == 48
    mass = rows[(rows.parameter == "log_stellar_mass") & (rows.metric == "crps") & (rows.axis == "all")]
    assert mass.n.empty or mass.n.iloc[0] < 48


def test_a_damaged_set_is_named(folder: Path) -> None:
    path = folder / "some.npz"
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(FileFormatError, match="some.npz' cannot be read"):
        list(real_shards(SUITE, folder, 5))
