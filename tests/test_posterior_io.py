"""Posteriors in files: nothing changes on the way, nothing is half-written, and every bad file is named."""

from __future__ import annotations

import gzip
import warnings
from dataclasses import fields, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import QTable
from companion_samples import sample_histories, sample_trace, whole_posterior, with_calibration
from conftest import FreshPython
from hypothesis import given, settings
from hypothesis import strategies as st
from posterior_samples import GALAXY, REASON, sample_draws, sample_fit, sample_posterior

from galfit_ml.errors import FileFormatError, OutputExistsError
from galfit_ml.posterior import Posterior
from galfit_ml.posterior_io import load, save
from galfit_ml.summary import describe, flag_names, to_table

WHOLE = (".fits", ".h5", ".hdf5")


def assert_same(found: Posterior, expected: Posterior) -> None:
    """Equal bit for bit, in the same precision."""
    assert found.parameters == expected.parameters
    assert (found.ids, found.reasons) == (expected.ids, expected.reasons)
    assert dict(found.provenance) == dict(expected.provenance)
    assert list(found.diagnostics) == list(expected.diagnostics)
    pairs = [(found.draws, expected.draws), (found.flags, expected.flags), (found.embedding, expected.embedding)]
    pairs += [(found.diagnostics[k], expected.diagnostics[k]) for k in expected.diagnostics]
    for name in ("best_fit", "histories", "trace"):
        one, other = getattr(found, name), getattr(expected, name)
        assert (one is None) == (other is None)
        pairs += [] if other is None else [(getattr(one, f.name), getattr(other, f.name)) for f in fields(other)]
    for one, other in pairs:
        assert (one is None) == (other is None)
        if one is not None:
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("suffix", WHOLE)
@pytest.mark.parametrize("n", [1, 3])
def test_a_posterior_comes_back_bit_for_bit(tmp_path: Path, suffix: str, n: int) -> None:
    posterior = sample_posterior(n, parameters=GALAXY)
    path = posterior.save(tmp_path / f"all{suffix}")
    assert_same(Posterior.load(path), posterior)


@pytest.mark.parametrize("suffix", WHOLE)
def test_what_is_not_there_stays_away(tmp_path: Path, suffix: str) -> None:
    bare = replace(sample_posterior(2), best_fit=None, embedding=None, diagnostics={}, provenance={})
    bare = replace(bare, draws=bare.draws.astype(np.float32))
    assert_same(load(save(bare, tmp_path / f"bare{suffix}")), bare)


@pytest.mark.parametrize("suffix", WHOLE)
def test_histories_trace_calibration_and_noise_come_back_bit_for_bit(tmp_path: Path, suffix: str) -> None:
    posterior = whole_posterior(parameters=GALAXY)
    again = load(save(posterior, tmp_path / f"whole{suffix}"))
    assert_same(again, posterior)
    assert again.histories.sfr.dtype == again.trace.values.dtype == np.float32
    assert np.isnan(again.histories.sfr[2]).all()
    assert_same(load(save(posterior[:0], tmp_path / f"none{suffix}")), posterior[:0])


@pytest.mark.parametrize("suffix", [".fits", ".h5"])
@pytest.mark.parametrize("part", ["histories", "trace", "calibration", "noise_scale"])
def test_each_part_is_kept_without_the_others(tmp_path: Path, suffix: str, part: str) -> None:
    fit = with_calibration(sample_fit(2))
    parts = {
        "histories": {"histories": sample_histories(2)},
        "trace": {"trace": sample_trace(2)},
        "calibration": {"best_fit": replace(fit, noise_scale=None)},
        "noise_scale": {"best_fit": replace(fit, calibration=None)},
    }
    posterior = replace(sample_posterior(2, 10), **parts[part])
    path = posterior.save(tmp_path / f"p{suffix}")
    assert_same(load(path), posterior)
    assert format_of(path) == 2


def format_of(path: Path) -> int:
    """The version that stands at the top of a file."""
    if path.suffix == ".fits":
        return fits.getheader(path)["FORMAT"]
    with h5py.File(path) as file:
        return int(file.attrs["format_version"])


@pytest.mark.parametrize("suffix", [".fits", ".h5"])
def test_what_older_versions_can_hold_is_written_as_they_read_it(tmp_path: Path, suffix: str) -> None:
    assert format_of(sample_posterior().save(tmp_path / f"p{suffix}")) == 1


@pytest.mark.parametrize("suffix", [".fits", ".h5"])
def test_a_file_of_format_1_still_loads(tmp_path: Path, suffix: str) -> None:
    packed = Path(__file__).parent / "data" / f"posterior_format_1{suffix}.gz"
    path = tmp_path / f"old{suffix}"
    path.write_bytes(gzip.decompress(packed.read_bytes()))
    old = load(path)
    assert (old.histories, old.trace, old.best_fit.calibration, old.best_fit.noise_scale) == (None, None, None, None)
    np.testing.assert_array_equal(old.draws[:2], sample_draws(3, 5)[:2])
    assert old.ids == ("galaxy-0", "galaxy-1", "galaxy-2")
    assert old.best_fit.good.dtype == bool
    assert old.reasons[2] == REASON
    old.plot_fit(0)


@pytest.mark.parametrize("suffix", WHOLE)
def test_no_spectra_at_all(tmp_path: Path, suffix: str) -> None:
    nothing = sample_posterior()[:0]
    assert_same(load(save(nothing, tmp_path / f"none{suffix}")), nothing)


@pytest.mark.parametrize("suffix", [".fits", ".h5", ".ecsv"])
@settings(max_examples=25)
@given(name=st.text(max_size=40), reason=st.text(max_size=40))
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, suffix: str, name: str, reason: str) -> None:
    posterior = sample_posterior(1, 5)
    posterior = replace(posterior, ids=(name,), reasons=(reason,), provenance={"options": reason})
    path = save(posterior, tmp_path_factory.mktemp("text") / f"t{suffix}")
    if suffix != ".ecsv":
        assert_same(load(path), posterior)


def test_a_file_name_that_is_no_utf8_survives(tmp_path: Path) -> None:
    name = b"spec-\xff\xe9.fits".decode("utf-8", "surrogateescape")
    posterior = replace(sample_posterior(1, 5), ids=(name,))
    for suffix in WHOLE:
        assert load(save(posterior, tmp_path / f"odd{suffix}")).ids == (name,)
    save(posterior, tmp_path / "odd.ecsv")


@pytest.mark.parametrize("suffix", [".ecsv", ".fits"])
def test_the_summary_keeps_its_units(tmp_path: Path, suffix: str) -> None:
    posterior = sample_posterior(parameters=GALAXY)
    path = posterior.save(tmp_path / f"summary{suffix}")
    table = QTable.read(path) if suffix == ".ecsv" else QTable.read(path, hdu="SUMMARY")
    assert table["log_stellar_mass_q50"].unit == u.dex(u.solMass)
    assert table["log_sfr_q16"].unit == u.dex(u.solMass / u.yr)
    assert table["velocity_dispersion_q84"].unit == u.km / u.s
    assert table["dust_av_q50"].unit == u.mag
    mass = 10 ** np.median(posterior["log_stellar_mass"][0])
    assert table["log_stellar_mass_q50"][0].physical.to_value(u.solMass) == pytest.approx(mass)
    assert "Kroupa" in table["log_stellar_mass_q50"].info.description
    assert list(table["flags"]) == list(posterior.flags)
    assert table["flag_names"][0] == "LOW_SNR|LSF_ASSUMED"
    assert table["reason"][2] == REASON


def test_the_summary_in_memory() -> None:
    posterior = sample_posterior()
    table = posterior.table()
    assert table.colnames[:4] == ["id", "redshift_q16", "redshift_q50", "redshift_q84"]
    assert table.colnames[-7:] == ["flags", "flag_names", "reason", "chi2", "n_good", "acceptance", "ess"]
    np.testing.assert_array_equal(table["redshift_q16"], posterior.quantile("redshift", 0.16))
    assert table.meta["backend"] == "emcee"
    assert table.meta["format_version"] == 1
    assert np.isnan(table["log_sfr_q50"][2].value)


def test_the_ecsv_says_what_made_it(tmp_path: Path) -> None:
    table = QTable.read(sample_posterior().save(tmp_path / "t.ecsv"))
    assert table.meta["seed"] == "7"
    assert table.meta["galfit_ml"] == "0.1.0"


def test_a_diagnostic_never_takes_a_column_away() -> None:
    posterior = replace(sample_posterior(1), diagnostics={"flags": np.array([0.5])})
    table = to_table(posterior)
    assert table["flags"][0] == posterior.flags[0]
    assert table["flags_diagnostic"][0] == 0.5


def test_fits_opens_without_a_warning_and_without_this_package(tmp_path: Path) -> None:
    path = sample_posterior().save(tmp_path / "p.fits")
    with warnings.catch_warnings(), fits.open(path, checksum=True) as hdus:
        warnings.simplefilter("error")
        assert [h.name for h in hdus][:4] == ["PRIMARY", "SUMMARY", "META", "DRAWS"]
        assert hdus["DRAWS"].data.shape == (3, 400, 5)
        assert hdus["SUMMARY"].header["TCOMM5"].startswith("16 % quantile. log10 of the value in solMass")
        assert "backend = emcee" in str(hdus[0].header["HISTORY"])


def test_hdf5_opens_without_this_package(tmp_path: Path) -> None:
    with h5py.File(sample_posterior().save(tmp_path / "p.h5")) as file:
        assert file["draws"].shape == (3, 400, 5)
        assert file["summary/log_sfr_q50"].attrs["unit"] == "dex(solMass / yr)"
        assert file["summary/reason"].asstr()[2] == REASON


def test_output_that_exists_is_never_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "p.fits"
    path.write_text("precious")
    with pytest.raises(OutputExistsError, match=r"exists already.*--overwrite"):
        sample_posterior().save(path)
    assert path.read_text() == "precious"
    sample_posterior().save(path, overwrite=True)
    assert len(load(path)) == 3


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "p.h5"
    link.symlink_to(tmp_path / "real" / "p.h5")
    sample_posterior().save(link)
    assert link.is_symlink()
    assert len(load(tmp_path / "real" / "p.h5")) == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("results.csv", r"names no format. Use one of .fits, .h5, .hdf5, .ecsv"),
        ("results", r"names no format"),
        ("missing/results.fits", r"Folder '.*missing' does not exist. Make it first: mkdir -p"),
        (".", r"names no format"),
    ],
)
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        sample_posterior(1, 5).save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "p.fits").mkdir()
    with pytest.raises(OutputExistsError, match="is a folder. Name a file in it"):
        sample_posterior(1, 5).save(tmp_path / "p.fits", overwrite=True)
    with pytest.raises(FileFormatError, match="does not exist"):
        load(tmp_path / "p.fits")


FULL_DISK = """
import resource, signal, sys
sys.path.insert(0, sys.argv[2])
from posterior_samples import sample_posterior
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    sample_posterior().save(sys.argv[1], overwrite=True)
except OSError as error:
    print("refused", type(error).__name__)
"""


@pytest.mark.parametrize("suffix", [".fits", ".h5"])
def test_a_disk_that_fills_up_leaves_the_old_file(tmp_path: Path, suffix: str, fresh_python: FreshPython) -> None:
    pytest.importorskip("resource", reason="file-size limits are a Unix thing")
    path = sample_posterior(1, 5).save(tmp_path / f"p{suffix}")
    before = path.read_bytes()
    done = fresh_python(FULL_DISK, str(path), str(Path(__file__).parent))
    assert "refused" in done.stdout
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_summary_is_not_a_posterior(tmp_path: Path) -> None:
    path = sample_posterior().save(tmp_path / "t.ecsv")
    with pytest.raises(FileFormatError, match=r"summary table only.*QTable.read"):
        load(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="does not exist"):
        load(tmp_path / "nothing.fits")
    with pytest.raises(FileFormatError, match="names no format"):
        load(tmp_path / "nothing.pkl")


@pytest.mark.parametrize("suffix", [".fits", ".h5"])
@pytest.mark.parametrize("part", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_file_cut_short_is_recognised(tmp_path: Path, suffix: str, part: float) -> None:
    path = sample_posterior().save(tmp_path / f"p{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(FileFormatError, match=r"cannot be read as a posterior.*take a fresh copy"):
        load(path)


def test_fits_cut_between_two_parts_is_recognised(tmp_path: Path) -> None:
    path = whole_posterior().save(tmp_path / "p.fits")
    with fits.open(path) as hdus:
        ends = [hdu.fileinfo()["datLoc"] + hdu.fileinfo()["datSpan"] for hdu in hdus]
    content = path.read_bytes()
    for end in ends[:-1]:
        path.write_bytes(content[:end])
        with pytest.raises(FileFormatError, match="cannot be read as a posterior"):
            load(path)


@pytest.mark.parametrize("suffix", [".fits", ".h5"])
@pytest.mark.parametrize("part", ["draws", "histories", "trace"])
def test_a_flipped_bit_is_noticed(tmp_path: Path, suffix: str, part: str) -> None:
    posterior = whole_posterior()
    path = posterior.save(tmp_path / f"p{suffix}")
    content = bytearray(path.read_bytes())
    trace, histories = posterior.trace, posterior.histories
    values = {"draws": posterior.draws[1, 200, 1:2], "histories": histories.sfr[1, 50, 3:4]}
    hit = values.get(part, trace.log_density[1, 100, 7:8])
    where = content.index(hit.astype(hit.dtype.newbyteorder(">" if suffix == ".fits" else "<")).tobytes())
    content[where + 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="cannot be read as a posterior"):
        load(path)


@pytest.mark.parametrize("suffix", [".fits", ".h5"])
def test_a_part_that_was_taken_out_is_noticed(tmp_path: Path, suffix: str) -> None:
    path = whole_posterior().save(tmp_path / f"p{suffix}")
    if suffix == ".h5":
        with h5py.File(path, "a") as file:
            del file["trace_log_density"]
    else:
        with fits.open(path, mode="update") as hdus:
            del hdus["TRACE_LOG_DENSITY"]
    with pytest.raises(FileFormatError, match="cannot be read as a posterior"):
        load(path)


def test_other_people_s_files_are_recognised(tmp_path: Path) -> None:
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(tmp_path / "image.fits")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    (tmp_path / "text.h5").write_text("hello")
    (tmp_path / "text.fits").write_text("hello")
    for path in tmp_path.iterdir():
        with pytest.raises(FileFormatError, match=f"'{path}' cannot be read as a posterior"):
            load(path)


@pytest.mark.parametrize("suffix", [".fits", ".h5"])
def test_a_newer_format_says_upgrade(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = whole_posterior().save(tmp_path / f"new{suffix}")
    monkeypatch.setattr("galfit_ml.archive.FORMAT_VERSION", 1)
    with pytest.raises(FileFormatError, match=r"format version 2.*pip install -U galfit-ml"):
        load(path)


def test_files_are_readable_by_others_as_the_umask_says(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("")
    assert sample_posterior(1, 5).save(tmp_path / "p.fits").stat().st_mode == plain.stat().st_mode


def test_bits_without_a_name_are_shown() -> None:
    assert flag_names(0) == ""
    assert flag_names(1 | 1 << 30) == "FAILED|BIT_30"


def test_few_spectra_are_described_in_blocks() -> None:
    text = describe(sample_posterior())
    assert "galaxy-0\n  redshift               0.0312" in text
    assert "dex(solMass / yr)" in text
    assert f"galaxy-2\n  no result            {REASON}" in text
    assert "LOW_SNR              median signal-to-noise below 1 per pixel" in text


def test_many_spectra_are_described_in_lines() -> None:
    lines = describe(sample_posterior(7)).splitlines()
    assert len(lines) == 8
    assert lines[0].split() == ["spectrum", *sample_posterior().parameters.names, "flags"]
    assert lines[7].split() == ["galaxy-6", "-", "-", "-", "-", "-", "FAILED"]


def test_a_fixed_redshift_is_called_fixed() -> None:
    posterior = sample_posterior(1)
    posterior.draws[:, :, 0] = 0.7
    assert "redshift                    0.7  (fixed)" in describe(posterior)
