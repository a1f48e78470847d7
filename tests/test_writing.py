"""Files are written whole or not at all: whatever a full disk or a kill does, what stood there stays."""

from __future__ import annotations

import ast
import json
import os
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, FreshPython

from galfit_ml.errors import GalfitMLError, WriteError
from galfit_ml.writing import DEAD_AFTER, PREFIX, cannot_write, whole_file, write_whole

pytest.importorskip("resource", reason="limits on the size of files are a Unix thing")

FROM_THE_TABLE = [
    *("posterior, FITS", "posterior, HDF5", "posterior, table", "posterior, ArviZ", "posterior, qp"),
    *("mock survey", "mock survey, journal", "truth, ECSV", "truth, CSV", "truth, Parquet"),
    *("etc, FITS", "etc, ECSV", "etc, figure", "instrument, TOML", "latent report"),
    *("weights", "checkpoint", "training log", "training curves", "pool"),
]
"""`file_writers.WRITERS`, which is not imported here: it takes seconds."""

NEEDS = {"posterior, ArviZ": "xarray", "truth, Parquet": "pyarrow"}


@pytest.fixture(scope="module")
def examined(fresh_python: FreshPython, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """Writer -> what a full disk and three kills did to its file; all in one other process."""
    code = f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r}); import file_writers; file_writers.main()"
    rows = map(json.loads, fresh_python(code, str(tmp_path_factory.mktemp("writers"))).stdout.splitlines())
    return {row["name"]: row for row in rows}


@pytest.fixture
def row(request: pytest.FixtureRequest, examined: dict[str, dict]) -> dict:
    name = request.param
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason=f"'{name}' needs {NEEDS[name]}, which is not installed")
    assert "error" not in examined[name], examined[name]["error"]
    return examined[name]


every_writer = pytest.mark.parametrize("row", FROM_THE_TABLE, indirect=True)


@pytest.mark.slow
def test_every_writer_is_listed(examined: dict[str, dict]) -> None:
    assert list(examined) == FROM_THE_TABLE


@pytest.mark.slow
@every_writer
def test_a_full_disk_is_told_and_leaves_the_earlier_file(row: dict) -> None:
    assert f"'{row['path']}' could not be written: File too large. The disk of '" in row["said"]
    assert row["said"].strip().endswith("What stood there before is as it was.")
    assert row["kept"][0]
    in_pieces = {"m.fits.partial"}  # a mock survey can be gone on with
    assert set(row["left"]) <= (in_pieces if row["name"] == "mock survey" else set())


@pytest.mark.slow
@every_writer
def test_a_kill_leaves_the_earlier_file_or_none_and_the_next_run_replaces_it(row: dict) -> None:
    assert row["signals"] == [signal.SIGXFSZ, signal.SIGKILL, signal.SIGKILL]
    assert row["kept"][1]
    assert not row["half"]
    assert row["replaced"]


# The door itself.


def test_content_arrives_whole_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.bin", b"one")
    write_whole(str(tmp_path / "a.bin"), memoryview(b"two"))
    assert (tmp_path / "a.bin").read_bytes() == b"two"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_in_between_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def write() -> None:
        with whole_file(tmp_path / "a.bin") as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        write()
    assert list(tmp_path.iterdir()) == []


def test_until_the_end_the_earlier_file_is_seen(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.bin", b"one")
    with whole_file(tmp_path / "a.bin") as file:
        file.write(b"two")
        file.flush()
        assert (tmp_path / "a.bin").read_bytes() == b"one"
    assert (tmp_path / "a.bin").read_bytes() == b"two"


def test_links_and_permissions_stay(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    write_whole(tmp_path / "real" / "a.bin", b"one")
    (tmp_path / "real" / "a.bin").chmod(0o640)
    (tmp_path / "a.bin").symlink_to(tmp_path / "real" / "a.bin")
    write_whole(tmp_path / "a.bin", b"two")
    assert (tmp_path / "a.bin").is_symlink()
    assert (tmp_path / "real" / "a.bin").read_bytes() == b"two"
    assert stat.S_IMODE((tmp_path / "real" / "a.bin").stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("number", "words", "advice"),
    [
        (28, "No space left on device", "is full, or a quota or limit is reached: free some space"),
        (122, "Disk quota exceeded", "is full, or a quota or limit is reached: free some space"),
        (13, "Permission denied", "You may not write into"),
        (30, "Read-only file system", "You may not write into"),
        (2, "No such file or directory", "Make its folder first: mkdir -p"),
        (5, "Input/output error", "Look at the disk of"),
    ],
)
def test_each_refusal_says_what_to_do(tmp_path: Path, number: int, words: str, advice: str) -> None:
    error = cannot_write(tmp_path / "a.bin", OSError(number, words))
    assert str(error).startswith(f"'{tmp_path / 'a.bin'}' could not be written: {words}. ")
    assert advice in str(error)
    assert "What stood there before" not in str(error)
    assert error.errno == number
    assert isinstance(error, GalfitMLError)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="Make its folder first: mkdir -p"):
        write_whole(tmp_path / "no" / "a.bin", b"one")


def test_the_advice_may_be_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match=r"No space left on device\. Say TMPDIR=/other\.$"):
        write_whole(tmp_path / "a.bin", b"one", "Say TMPDIR=/other.")


def test_what_a_kill_left_is_swept_away_after_a_day(tmp_path: Path) -> None:
    old, young = (tmp_path / f"{PREFIX}{name}.part" for name in ("old", "young"))
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, times=2 * (time.time() - DEAD_AFTER - 60,))
    write_whole(tmp_path / "a.bin", b"one")
    assert sorted(p.name for p in tmp_path.iterdir()) == [young.name, "a.bin"]


# That there is no other door.

IN_MEMORY = {"packed", "text", "buffer", "content", "file", "self.memory"}
"""What is written to there is not on a disk yet, or is the file that `whole_file` hands out."""

BY_NAME = {"savefig", "savez", "savez_compressed", "to_csv", "to_json", "to_netcdf", "to_parquet", "to_pickle"}
BY_NAME |= {"to_hdf", "tofile", "write_bytes", "write_text", "writeto", "savetxt"}
OF_LIBRARIES = {"np.save", "torch.save", "save_file"}

OTHERWISE_WHOLE = {
    "galfit_ml/writing.py": "the door itself",
    "galfit_ml/mock_files/writer.py": "in pieces, with a journal, and named when complete",
    "galfit_ml/posterior.py": "Posterior.save, which goes through posterior_io",
    "galfit_ml/demo.py": "the same",
    "plugins/galfit_ml_bagpipes/isolated.py": "what the process of a fit says, in its temporary folder",
    "plugins/galfit_ml_bagpipes/worker.py": "os.devnull",
    "galfit_ml/cli/__init__.py": "os.devnull",
}


def writing_calls(source: str) -> Iterator[str]:
    """Calls that could leave half a file, as text."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        words = [ast.unparse(argument) for argument in node.args]
        opened = name in {"open", "File"} and any(w.strip("'\"") in {"w", "wb", "a", "ab", "xb", "r+b"} for w in words)
        method = isinstance(node.func, ast.Attribute)
        saves = (method and name in BY_NAME) or ast.unparse(node.func) in OF_LIBRARIES
        if words and (opened or saves) and not IN_MEMORY & set(words[:2]):
            yield ast.unparse(node)


@pytest.mark.parametrize("package", ["galfit_ml", "plugins"])
def test_nothing_else_writes_files(package: str) -> None:
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if "/scaffold/" not in name and name not in OTHERWISE_WHOLE:
            found.update({f"{name}: {call}": "" for call in writing_calls(path.read_text())})
    assert list(found) == []


@pytest.mark.parametrize(
    "line",
    [
        *("open(path, 'w')", "path.open('wb')", "path.write_text(x)", "np.savez(path, a=a)", "figure.savefig(path)"),
        *(
            "h5py.File(path, 'w')",
            "table.to_csv(path)",
            "torch.save(state, part)",
            "hdus.writeto(path)",
            "save_file(x, part)",
        ),
    ],
)
def test_another_door_would_be_noticed(line: str) -> None:
    assert list(writing_calls(line))


def test_what_is_read_or_kept_in_memory_is_no_door() -> None:
    assert not list(writing_calls("open(path)\nnp.savez(packed, a=a)\nh5py.File(path, 'r')\nfile.write(x)"))
