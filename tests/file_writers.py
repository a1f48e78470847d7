"""Everything in the package that writes files, each in two versions, and what a full disk and a kill do to it.

`python file_writers.py FOLDER` prints a line of JSON for each. A limit on the size of files stands for the full disk;
where the signal that comes with it is not ignored, it kills the process in the middle of the writing.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from companion_samples import whole_posterior
from mock_makers import fake_chunks, toy_plan

from galfit_ml import cli
from galfit_ml.cli import latent_report
from galfit_ml.errors import WriteError
from galfit_ml.instruments import get_instrument
from galfit_ml.latent.report import Findings, Line
from galfit_ml.mock_files import write_mock
from galfit_ml.mock_files.journal import Journal
from galfit_ml.mock_files.truth import copy_truth
from galfit_ml.posterior_io import save
from galfit_ml_cnn import pool as pools
from galfit_ml_cnn.curves import draw_curves
from galfit_ml_cnn.layout import Layout
from galfit_ml_cnn.network import Architecture, GalaxyNetwork
from galfit_ml_cnn.schedule import Schedule
from galfit_ml_cnn.train import write_log
from galfit_ml_cnn.trainer import Trainer
from galfit_ml_cnn.weights import Trained
from galfit_ml_cnn.weights import save as save_weights

Writer = Callable[[Path, int], Any]
"""writer(path, number): writes version 1 or 2 to `path`, which may be there."""

torch.set_num_threads(1)  # a process that has threads of OpenMP must not fork: its child would wait for them for ever

POSTERIOR = whole_posterior()
SMALL = Architecture(width=8, dilations=(1, 2), n_templates=4, kinds=3, fine=2, n_rest=4, n_embedding=8)
SMALLEST = 64
"""Bytes that fit on the full disk."""


def posterior(path: Path, number: int) -> None:
    save(POSTERIOR.take(np.arange(number)), path, overwrite=True)


def journal(path: Path, number: int) -> None:
    Journal("0123", {"survey": "toy"}, number, (("redshift", ">f8"),)).write(path)


def mock_survey(path: Path, number: int) -> None:
    plan = toy_plan(seed=number)
    write_mock(plan, path, partial(fake_chunks, plan), overwrite=True)


def truth_copy(path: Path, number: int) -> None:
    copy_truth(path.with_name(f"of{number}_truth.fits"), path)


def command(*words: str) -> Writer:
    """`galfit-ml`, PATH in its words being the path and NUMBER the version; an error is raised with what was told."""

    def run(path: Path, number: int) -> None:
        told = io.StringIO()
        filled = [word.replace("PATH", str(path)).replace("NUMBER", str(number)) for word in words]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(told):
            status = cli.main([*filled, "--overwrite"])
        if status:
            raise WriteError(told.getvalue())

    return run


def instrument_toml(path: Path, number: int) -> None:
    command("instruments", ("sdss", "moons-lr")[number - 1], "--toml", "PATH")(path, number)


def latent_csv(path: Path, number: int) -> None:
    lines = (Line("type", "E / Sp", "all", "embedding", "AUC", 100, 0.8, 0.02, 0.0, 0.0),) * number
    latent_report._write_csv(Findings(lines, ()), path)


def network(number: int) -> GalaxyNetwork:
    torch.manual_seed(number)
    return GalaxyNetwork(Layout.of(get_instrument("sdss")), SMALL)


def weights(path: Path, number: int) -> None:
    save_weights(path, Trained(network(number), ("sdss",), {"number": number}))


def checkpoint(path: Path, number: int) -> None:
    own = network(number)
    optimiser = torch.optim.AdamW(own.parameters())
    parts = {"network": own, "optimiser": optimiser, "schedule": Schedule(1e-3), "history": []}
    Trainer.save(SimpleNamespace(**parts, finishing=False, made_with={}, step=number, spent=0.0), path)


def training_log(path: Path, number: int) -> None:
    write_log([{"step": step, "loss": 0.123456789, "spectra": 100 * step, "bins": 1.5} for step in range(number)], path)


def curves(path: Path, number: int) -> None:
    draw_curves([{"spectra": 1000.0 * k, "loss": number + k, "bins": 2.0, "log_sfr": 1.0} for k in range(4)], path)


def pool_piece(path: Path, number: int) -> None:
    """A piece of a pool is made where its labels are not there."""
    made = pools.Piece(np.full((8, 300), number, dtype=np.float16), np.ones((8, len(pools.COLUMNS))))
    pools._Maker = lambda instrument: SimpleNamespace(piece=lambda rng: made)
    pool = pools.Pool(path.parent, get_instrument("sdss"), 1)
    pool.path(0, "labels").unlink(missing_ok=True)
    pool.grow(1)


WRITERS: dict[str, tuple[str, Writer]] = {
    "posterior, FITS": ("p.fits", posterior),
    "posterior, HDF5": ("p.h5", posterior),
    "posterior, table": ("p.ecsv", posterior),
    "posterior, ArviZ": ("p.nc", posterior),
    "posterior, qp": ("p.qp.hdf5", posterior),
    "mock survey": ("m.fits", mock_survey),
    "mock survey, journal": ("m.fits.progress", journal),
    "truth, ECSV": ("t.ecsv", truth_copy),
    "truth, CSV": ("t.csv", truth_copy),
    "truth, Parquet": ("t.parquet", truth_copy),
    "etc, FITS": ("e.fits", command("etc", "moons-lr", "--mag", "2NUMBER", "--exposure", "1h", "--out", "PATH")),
    "etc, ECSV": ("e.ecsv", command("etc", "moons-lr", "--mag", "2NUMBER", "--exposure", "1h", "--out", "PATH")),
    "etc, figure": ("e.png", command("etc", "moons-lr", "--mag", "2NUMBER", "--exposure", "1h", "--plot", "PATH")),
    "instrument, TOML": ("i.toml", instrument_toml),
    "latent report": ("report.csv", latent_csv),
    "weights": ("w.safetensors", weights),
    "checkpoint": ("c.pt", checkpoint),
    "training log": ("log.jsonl", training_log),
    "training curves": ("curves.png", curves),
    "pool": ("sdss-1-000-flux.npy", pool_piece),
}


@contextlib.contextmanager
def limited(size: int) -> Iterator[None]:
    """No file may be larger."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def refused(writer: Writer, path: Path) -> str:
    """What is said where the disk is full."""
    try:
        with limited(SMALLEST):
            writer(path, 2)
    except WriteError as error:
        return str(error)
    return "nothing"


def killed(prepare: Callable[[], None], writer: Writer, path: Path) -> int:
    """The signal that ended another process in which version 2 was to be written."""
    child = os.fork()
    if not child:
        try:
            prepare()
            writer(path, 2)
        finally:
            os._exit(0)
    return os.WTERMSIG(os.waitpid(child, 0)[1])


def in_the_middle(size: int) -> None:
    """The process dies when a file grows beyond `size`."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def before_the_name() -> None:
    """The process dies when a file is complete and does not have its name yet."""
    os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)


def examine(name: str, folder: Path) -> dict[str, Any]:
    """What happens to the file of a writer."""
    file, writer = WRITERS[name]
    path = folder / file
    for number in (1, 2):
        if file.startswith("t."):
            mock_survey(folder / f"of{number}.fits", number)
    writer(path, 1)
    before, beside = path.read_bytes(), {entry.name for entry in folder.iterdir()}
    said = refused(writer, path)
    found = {"said": said, "kept": [path.read_bytes() == before]}
    found["left"] = sorted({entry.name for entry in folder.iterdir()} - beside)
    ways = [partial(in_the_middle, max(SMALLEST, len(before) // 2)), before_the_name]
    found["signals"] = [killed(way, writer, path) for way in ways]
    found["kept"].append(path.read_bytes() == before)
    path.unlink()
    found["signals"].append(killed(before_the_name, writer, path))
    found["half"] = path.exists()
    writer(path, 2)
    found["replaced"] = path.read_bytes() != before
    return found


def main() -> None:
    """Examine all, each in a folder of its own."""
    os.environ["MPLBACKEND"] = "Agg"
    for name in WRITERS:
        folder = Path(tempfile.mkdtemp(dir=sys.argv[1]))
        try:
            found = examine(name, folder)
        except Exception as error:  # noqa: BLE001 - the test tells which writer it was
            found = {"error": f"{type(error).__name__}: {error}"}
        row = {"name": name, "path": str(folder / WRITERS[name][0]), **found}
        sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
