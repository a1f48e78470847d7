"""Mock files: what is written is read back, interruptions leave nothing half done, other programs understand them."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import Table
from mock_makers import COLUMNS, TOY, FakeSurvey, fake_chunk, fake_chunks, toy_plan
from specutils import Spectrum
from specutils.analysis import snr

from galfit_ml.errors import FileFormatError, GalfitMLError, OutputExistsError, SpectrumError, WriteError
from galfit_ml.instruments import shipped_instruments
from galfit_ml.mock_files import (
    MockPaths,
    MockPlan,
    is_mock_file,
    mock_instrument,
    read_mock,
    read_settings,
    read_truth,
    space_needed,
    write_mock,
)
from galfit_ml.mock_files.instrument_json import from_json, to_json
from galfit_ml.mock_files.truth import check_copy, copy_truth
from galfit_ml.mock_files.writer import TRUTH_ROW_BYTES
from galfit_ml.reading import read_spectra


class Stopped(Exception):
    pass


def write(plan: MockPlan, path: Path, **options: object) -> MockPaths:
    return write_mock(plan, path, partial(fake_chunks, plan), **options)


def stop_after(plan: MockPlan, n_chunks: int, error: BaseException | type[BaseException] = Stopped):
    """Chunks of which the one after `n_chunks` cannot be made."""

    def chunks(first: int) -> Iterator[FakeSurvey]:
        for number in range(first, plan.n_chunks):
            if number == n_chunks:
                raise error
            yield fake_chunk(plan, number)

    return chunks


@pytest.fixture
def mock(tmp_path: Path) -> Path:
    return write(toy_plan(keep=("white-ivar", "noiseless")), tmp_path / "mock.fits").mock


def expected(plan: MockPlan) -> list[FakeSurvey]:
    return list(fake_chunks(plan, 0))


def test_spectra_come_back_as_they_were(mock: Path) -> None:
    made = expected(toy_plan())
    batch = read_mock(mock)
    assert batch.instrument == TOY
    assert batch.ids == tuple(name for chunk in made for name in chunk.batch.ids)
    for i, arm in enumerate(batch.arms):
        for name in ("flux", "ivar", "bad", "lsf_sigma"):
            before = np.concatenate([getattr(chunk.batch.arms[i], name) for chunk in made])
            np.testing.assert_array_equal(getattr(arm, name), before, err_msg=f"{arm.name} {name}")
        np.testing.assert_array_equal(arm.grid.edges, TOY.arms[i].grid.edges)
    with fits.open(mock) as hdus:
        mask = np.concatenate([hdus[f"{arm.name}_MASK"].data for arm in TOY.arms], axis=1)
        clean = np.concatenate([hdus[f"{arm.name}_NOISELESS"].data for arm in TOY.arms], axis=1)
        white = np.concatenate([hdus[f"{arm.name}_WHITE_IVAR"].data for arm in TOY.arms], axis=1)
    np.testing.assert_array_equal(mask, np.concatenate([chunk.mask for chunk in made]))
    np.testing.assert_array_equal(clean, np.concatenate([chunk.clean for chunk in made]))
    np.testing.assert_array_equal(white, np.concatenate([chunk.white_ivar for chunk in made]))


@pytest.mark.parametrize("rows", [slice(7, 12), [22, 0, 7], np.array([3])])
def test_some_rows_are_those_rows(mock: Path, rows: object) -> None:
    some, whole = read_mock(mock, rows), read_mock(mock)
    index = np.arange(23)[rows]
    assert some.ids == tuple(whole.ids[i] for i in index)
    np.testing.assert_array_equal(some.arms[1].flux, whole.arms[1].flux[index])
    assert [m["index"] for m in some.meta] == [(i,) for i in index]


@pytest.mark.parametrize("rows", [[23], slice(23, 30), []])
def test_rows_that_are_not_there_are_refused(mock: Path, rows: object) -> None:
    with pytest.raises(SpectrumError, match="holds 23"):
        read_mock(mock, rows)


def test_the_truth_has_the_same_order_units_and_descriptions(mock: Path) -> None:
    made = expected(toy_plan())
    for path in (mock, mock.with_name("mock_truth.fits")):
        table = read_truth(path)
        assert table.colnames[0] == "id"
        assert tuple(table["id"]) == read_mock(mock).ids
        for name in made[0].truth:
            np.testing.assert_array_equal(table[name], np.concatenate([chunk.truth[name] for chunk in made]))
        assert table["exposure"].unit == u.s
        assert table["redshift"].description == COLUMNS["redshift"].description
        assert table["log_stellar_mass"].description == "log10 of the stellar mass [dex(solMass)]"
        assert table["log_stellar_mass"].dtype.itemsize == 4


def test_the_files_follow_the_fits_standard(mock: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in (mock, mock.with_name("mock_truth.fits")):
            assert path.stat().st_size % 2880 == 0
            with fits.open(path) as hdus:
                hdus.verify("exception")
                assert [hdu.data is not None for hdu in hdus][1:] == [True] * (len(hdus) - 1)


def test_the_header_tells_everything(mock: Path) -> None:
    header = fits.getheader(mock)
    assert header["INSTRUME"] == "toy"
    assert (header["SURVEY"], header["SEED"], header["TIER"], header["NSPECTRA"]) == ("toy", 4, 2, 23)
    assert header["EXPOSURE"] == "1h,8h"
    assert header["TRUTHTAB"] == "mock_truth.fits"
    assert header["COMPLETE"] is True
    assert "magnitude = [20.0, 24.0]" in str(header["HISTORY"])
    assert read_settings(mock)["magnitude"] == [20.0, 24.0]
    mask = fits.getheader(mock, "red_MASK")
    assert (mask["MBIT1"], mask.comments["MBIT1"], mask["UNUSABLE"]) == (16, "BAD_PIXEL", 16)


@pytest.mark.parametrize("arm", ["blue", "red"])
def test_specutils_reads_an_arm(mock: Path, arm: str) -> None:
    options = {"hdu": f"{arm}_FLUX", "uncertainty_hdu": f"{arm}_IVAR", "uncertainty_type": "ivar"}
    spectrum = Spectrum.read(mock, format="wcs1d-fits", **options)
    spectrum.mask = spectrum.uncertainty.array == 0
    batch = read_mock(mock)
    (ours,) = [a for a in batch.arms if a.name == arm]
    off = (spectrum.spectral_axis.to_value("AA") - ours.grid.centres) / ours.grid.widths
    assert np.abs(off).max() < 1e-3
    unit = u.Unit("1e-17 erg / (s cm2 AA)")
    np.testing.assert_allclose(spectrum.flux.to_value(unit), ours.flux, rtol=1e-6)
    np.testing.assert_allclose(spectrum.uncertainty.quantity.to_value(unit**-2), ours.ivar, rtol=1e-6)
    np.testing.assert_array_equal(spectrum.mask, ours.bad)
    np.testing.assert_array_equal((fits.getdata(mock, f"{arm}_MASK") & 16) > 0, ours.bad)
    expected = [np.mean((f * np.sqrt(i))[~bad]) for f, i, bad in zip(ours.flux, ours.ivar, ours.bad, strict=True)]
    with np.errstate(divide="ignore"):  # astropy takes the inverse of the inverse variance of every pixel
        found = [snr(spectrum[row]).value for row in range(len(expected))]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert spectrum.meta["header"]["AIRORVAC"] == "vac"


def test_pixels_that_follow_the_resolution_have_their_wavelengths_in_a_table(mock: Path) -> None:
    table = Table.read(mock, hdu="far_PIXELS")
    np.testing.assert_array_equal(table["WAVELENGTH"], TOY.arms[2].grid.centres)
    np.testing.assert_allclose(table["LSF_SIGMA"], TOY.arms[2].resolution.sigma(table["WAVELENGTH"]))
    assert table["WAVELENGTH"].unit == u.AA


@pytest.mark.parametrize("name", sorted(shipped_instruments()))
def test_an_instrument_survives_json(name: str) -> None:
    instrument = shipped_instruments()[name]
    again = from_json(json.loads(json.dumps(to_json(instrument))))
    assert again == instrument
    assert hash(again) == hash(instrument)


def test_the_door_recognises_a_mock_file(mock: Path) -> None:
    reading = read_spectra(mock)
    (group,) = reading.groups
    direct = read_mock(mock)
    assert (reading.n, reading.single) == (23, False)
    assert group.batch.ids == direct.ids
    assert group.batch.instrument == TOY
    assert not group.batch.flags.any()
    for ours, theirs in zip(group.batch.arms, direct.arms, strict=True):
        assert ours.name == theirs.name
        for name in ("flux", "ivar", "bad"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
        np.testing.assert_allclose(ours.lsf_sigma, theirs.lsf_sigma, rtol=1e-12)
        np.testing.assert_allclose(ours.grid.edges, theirs.grid.edges, rtol=1e-7)


def test_the_door_takes_rows_of_a_mock_file_alone(mock: Path, tmp_path: Path) -> None:
    (group,) = read_spectra([mock], rows=(5, 8)).groups
    assert group.batch.ids == tuple(f"toy-4-{i:07d}" for i in (5, 6, 7))
    table = tmp_path / "other.ecsv"
    Table({"wavelength": np.arange(4000.0, 5000.0), "flux": np.ones(1000)}).write(table)
    with pytest.raises(FileFormatError, match="rows= chooses spectra of a file that `galfit-ml simulate` wrote"):
        read_spectra(table, rows=(5, 8))
    spectrum = Spectrum(flux=np.ones(50) * u.Jy, spectral_axis=np.linspace(4000, 5000, 50) * u.AA)
    with pytest.raises(SpectrumError, match="give its path"):
        read_spectra(spectrum, rows=(5, 8))
    with pytest.raises(SpectrumError, match="not a range of rows"):
        read_spectra(mock, rows=(8, 5))


def test_the_door_takes_the_users_word_before_the_files(mock: Path) -> None:
    (group,) = read_spectra(mock, instrument="generic:900", ids=[f"n{i}" for i in range(23)]).groups
    assert group.batch.instrument.generic
    assert group.batch.ids[3] == "n3"


@pytest.mark.parametrize("stop", [1, 2, 4])
def test_a_run_that_is_stopped_goes_on_and_ends_the_same(tmp_path: Path, stop: int) -> None:
    plan = toy_plan()
    once = write(plan, tmp_path / "once.fits")
    paths = MockPaths.of(tmp_path / "mock.fits")
    with pytest.raises(Stopped):
        write_mock(plan, paths.mock, stop_after(plan, stop))
    assert paths.mock_partial.is_file()
    assert not paths.mock.exists()
    assert not paths.truth.exists()
    asked: list[int] = []

    def chunks(first: int) -> Iterator[FakeSurvey]:
        asked.append(first)
        return fake_chunks(plan, first)

    write_mock(plan, paths.mock, chunks)
    assert asked == [stop]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["once.fits", "once_truth.fits", "mock.fits", "mock_truth.fits"]
    )
    assert data_of(paths.mock) == data_of(once.mock)
    assert data_of(paths.truth) == data_of(once.truth)


def data_of(path: Path) -> dict[str, bytes]:
    with fits.open(path) as hdus:
        return {hdu.name: hdu.data.tobytes() for hdu in hdus[1:]}


def test_the_same_settings_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(toy_plan(), tmp_path / name / "mock.fits")
    for name in ("mock.fits", "mock_truth.fits"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_work_since_the_last_checkpoint_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a kill: bytes of later chunks may stand in the file, but the journal does not know of them."""
    plan, paths = toy_plan(), MockPaths.of(tmp_path / "mock.fits")
    with pytest.raises(Stopped):
        write_mock(plan, paths.mock, stop_after(plan, 3))
    journal = json.loads(paths.journal.read_text())
    assert journal["finished"] == 3
    paths.journal.write_text(json.dumps({**journal, "finished": 1}))
    once = write(plan, tmp_path / "once.fits")
    write(plan, paths.mock)
    assert data_of(paths.mock) == data_of(once.mock)
    assert data_of(paths.truth) == data_of(once.truth)


def test_a_run_killed_before_its_first_checkpoint_begins_anew(tmp_path: Path) -> None:
    plan, paths = toy_plan(), MockPaths.of(tmp_path / "mock.fits")
    paths.mock_partial.write_bytes(b"half a header")
    write(plan, paths.mock)
    assert read_mock(paths.mock).ids[22] == "toy-4-0000022"


@pytest.mark.parametrize("renamed", ["none", "truth", "both"])
def test_a_run_killed_between_the_last_steps_is_completed(tmp_path: Path, renamed: str) -> None:
    plan, paths = toy_plan(), MockPaths.of(tmp_path / "mock.fits")
    with pytest.raises(Stopped):
        write_mock(plan, paths.mock, stop_after(plan, 4))
    journal = paths.journal.read_text()
    write(plan, paths.mock)
    paths.journal.write_text(journal.replace('"finished": 4', '"finished": 5'))
    if renamed in {"none", "truth"}:
        paths.mock.rename(paths.mock_partial)
    if renamed == "none":
        paths.truth.rename(paths.truth_partial)

    def no_chunks(_first: int) -> Iterator[FakeSurvey]:
        raise AssertionError("everything was made already")

    write_mock(plan, paths.mock, no_chunks)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mock.fits", "mock_truth.fits"]
    assert len(read_mock(paths.mock)) == len(read_truth(paths.mock)) == 23


def test_other_settings_do_not_go_on(tmp_path: Path) -> None:
    plan, paths = toy_plan(), MockPaths.of(tmp_path / "mock.fits")
    with pytest.raises(Stopped):
        write_mock(plan, paths.mock, stop_after(plan, 2))
    other = toy_plan(seed=5, n=30)
    with pytest.raises(OutputExistsError, match="begun with other settings.*seed was 4 and is 5; n was 23 and is 30"):
        write(other, paths.mock)
    write(other, paths.mock, overwrite=True)
    assert read_mock(paths.mock).ids[29] == "toy-5-0000029"
    assert not paths.journal.exists()


@pytest.mark.parametrize("name", ["mock.fits", "mock_truth.fits"])
def test_a_file_that_is_there_is_not_replaced_unasked(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    with pytest.raises(OutputExistsError, match=rf"{name}' exists already.*--overwrite"):
        write(toy_plan(), tmp_path / "mock.fits")
    assert (tmp_path / name).read_text() == "precious"
    assert not list(tmp_path.glob("*.partial"))
    write(toy_plan(), tmp_path / "mock.fits", overwrite=True)
    assert len(read_mock(tmp_path / "mock.fits")) == 23


def test_an_old_file_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    plan, path = toy_plan(), tmp_path / "mock.fits"
    write(plan, path)
    other = toy_plan(seed=9)
    with pytest.raises(Stopped):
        write_mock(other, path, stop_after(other, 2), overwrite=True)
    assert read_mock(path).ids[0] == "toy-4-0000000"
    with pytest.raises(OutputExistsError, match="exists already"):
        write(other, path)
    write(other, path, overwrite=True)
    assert read_mock(path).ids[0] == "toy-9-0000000"


def test_too_little_space_is_told_before_the_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(10**12, 0, 3 * 10**9))
    plan = toy_plan(n=1_000_000, chunk=256)
    with pytest.raises(GalfitMLError, match=r"needs 1\d\.\d GB and the disk has 3\.0 GB free"):
        write(plan, tmp_path / "mock.fits")
    assert list(tmp_path.iterdir()) == []
    spectra = 9 * 1_000_000 * sum(len(arm.grid) for arm in TOY.arms)
    assert spectra + 1_000_000 * TRUTH_ROW_BYTES < space_needed(plan) < 1.02 * (spectra + 1_000_000 * TRUTH_ROW_BYTES)


def test_a_full_disk_leaves_what_can_be_continued(tmp_path: Path) -> None:
    plan, paths = toy_plan(), MockPaths.of(tmp_path / "mock.fits")
    told = r"mock.fits' could not be written: No space left on device. .* ask for the same again: it goes on from what"
    with pytest.raises(WriteError, match=told):
        write_mock(plan, paths.mock, stop_after(plan, 3, OSError(28, "No space left on device")))
    assert json.loads(paths.journal.read_text())["finished"] == 3
    write(plan, paths.mock)
    assert len(read_mock(paths.mock)) == 23


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    plan, path = toy_plan(), tmp_path / "mock.fits"

    def chunks(first: int) -> Iterator[FakeSurvey]:
        with pytest.raises(GalfitMLError, match="Another process is writing"):
            write(plan, path)
        yield from fake_chunks(plan, first)

    write_mock(plan, path, chunks)
    assert len(read_mock(path)) == 23


@pytest.mark.parametrize(
    ("name", "message"), [("mock.h5", "ends in .fits"), ("mock", "ends in .fits"), ("no/mock.fits", "mkdir -p")]
)
def test_names_that_cannot_be_written_are_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        write(toy_plan(), tmp_path / name)


def test_chunks_of_the_wrong_length_or_columns_are_noticed(tmp_path: Path) -> None:
    plan = toy_plan()
    with pytest.raises(ValueError, match="Chunk 1 has 3 spectra instead of 5"):
        write_mock(plan, tmp_path / "a.fits", lambda _k: iter([fake_chunk(plan, 0), fake_chunk(plan, 4)]))
    with pytest.raises(ValueError, match="2 chunks were made, 5 are needed"):
        write_mock(plan, tmp_path / "b.fits", lambda _k: iter([fake_chunk(plan, 0), fake_chunk(plan, 1)]))
    odd = replace(fake_chunk(plan, 1), truth={"redshift": np.zeros(5)})
    with pytest.raises(ValueError, match="columns"):
        write_mock(plan, tmp_path / "c.fits", lambda _k: iter([fake_chunk(plan, 0), odd]))


def test_progress_tells_how_long_the_rest_takes(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    write(toy_plan(), tmp_path / "mock.fits", step=lambda *news: told.append(news))
    assert [done for done, _, _ in told] == [0, 5, 10, 15, 20, 23]
    assert {total for _, total, _ in told} == {23}
    assert re.fullmatch(r"about \d+ s left \(\d+ spectra/s\)", told[2][2])


def test_unfinished_cut_and_strange_files_are_refused(mock: Path, tmp_path: Path) -> None:
    plan = toy_plan()
    with pytest.raises(Stopped):
        write_mock(plan, tmp_path / "half.fits", stop_after(plan, 2))
    with pytest.raises(FileFormatError, match="is not finished. Type the `galfit-ml simulate` command"):
        read_mock(tmp_path / "half.fits.partial")
    cut = tmp_path / "cut.fits"
    cut.write_bytes(mock.read_bytes()[: mock.stat().st_size // 2])
    for read in (read_mock, read_spectra, mock_instrument):
        with pytest.raises(FileFormatError, match="cut"):
            read(cut)
    other = tmp_path / "other.fits"
    fits.PrimaryHDU(np.zeros(5)).writeto(other)
    assert not is_mock_file(other)
    with pytest.raises(FileFormatError, match="not a file of mock spectra"):
        read_mock(other)
    with pytest.raises(FileFormatError, match="There is no file"):
        read_mock(tmp_path / "none.fits")
    with pytest.raises(FileFormatError, match="There is no truth table"):
        read_truth(tmp_path / "none_truth.fits")
    mock.with_name("mock_truth.fits").write_bytes(b"SIMPLE  = nonsense")
    with pytest.raises(FileFormatError, match="cannot be read as a truth table"):
        read_truth(mock)


def test_a_journal_that_is_none_is_told(tmp_path: Path) -> None:
    MockPaths.of(tmp_path / "mock.fits").journal.write_text("{}")
    with pytest.raises(FileFormatError, match="Delete it to begin anew"):
        write(toy_plan(), tmp_path / "mock.fits")


def test_the_truth_can_be_copied(mock: Path, tmp_path: Path) -> None:
    truth = mock.with_name("mock_truth.fits")
    copy_truth(truth, tmp_path / "t.ecsv")
    copy_truth(truth, tmp_path / "t.csv")
    again = read_truth(tmp_path / "t.ecsv")
    np.testing.assert_array_equal(again["redshift"], read_truth(truth)["redshift"])
    assert again["exposure"].unit == u.s
    assert Table.read(tmp_path / "t.csv")["kind"][0] == read_truth(truth)["kind"][0]
    with pytest.raises(FileFormatError, match=r"ends in .ecsv, .parquet, .csv"):
        check_copy(tmp_path / "t.xlsx")


def test_a_file_of_more_than_4_gigabytes_is_laid_out_and_read(tmp_path: Path) -> None:
    """Sparse: only the last chunk is written, the rest takes no space on disk."""
    n_pix = sum(len(arm.grid) for arm in TOY.arms)
    plan = toy_plan(n=8 * 10**5, chunk=10**5)
    paths = MockPaths.of(tmp_path / "mock.fits")
    small = fake_chunk(replace(plan, n=2, chunk=2), 0)

    def chunks(_first: int) -> Iterator[FakeSurvey]:
        yield small

    tiny = replace(plan, n=2, chunk=2)
    write_mock(tiny, paths.mock, chunks)
    from galfit_ml.mock_files.layout import mock_layout
    from galfit_ml.mock_files.reader import MockFile
    from galfit_ml.mock_files.writer import _lay_out

    layout = mock_layout(plan, "mock_truth.fits", complete=True)
    assert layout.size > 2**32
    assert layout.size > 9 * n_pix * plan.n
    big = tmp_path / "big.fits"
    with big.open("w+b") as file:
        _lay_out(file, layout)
        last = small.batch.arms[-1].ivar[-1].astype(">f4")
        file.seek(layout.data_offset("far_IVAR") + (plan.n - 1) * last.nbytes)
        file.write(last.tobytes())
    opened = MockFile.open(big)
    assert len(opened) == plan.n
    np.testing.assert_array_equal(opened.arms[2].ivar[plan.n - 1], last)
    assert big.stat().st_blocks * 512 < 10**7


def test_a_file_that_lost_an_extension_says_which(mock: Path, tmp_path: Path) -> None:
    with fits.open(mock) as hdus:
        fits.HDUList([hdu.copy() for hdu in hdus if hdu.name.lower() != "red_ivar"]).writeto(tmp_path / "less.fits")
    with pytest.raises(FileFormatError, match=r"lacks the extension red_IVAR.*Make it again"):
        read_mock(tmp_path / "less.fits")
