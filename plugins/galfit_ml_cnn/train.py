"""Training: `galfit-ml train moons-lr --out run/ --hours 1`, or `python -m galfit_ml_cnn.train` on a bare machine.

Batches depend on seed and step alone, and so does dropout; a run that was stopped goes on from its last checkpoint with
the same losses. Nothing but torch, numpy, scipy, safetensors and the simulator is needed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch

from galfit_ml import __version__
from galfit_ml.errors import FileFormatError, GalfitMLError, OutputExistsError
from galfit_ml.instruments import get_instrument
from galfit_ml.writing import write_whole
from galfit_ml_cnn.layout import Layout
from galfit_ml_cnn.memory import keep_memory
from galfit_ml_cnn.network import Architecture
from galfit_ml_cnn.pool import Pool
from galfit_ml_cnn.stream import Examples, Mixture, Stream
from galfit_ml_cnn.team import Team, run_team
from galfit_ml_cnn.trainer import Recipe, Trainer
from galfit_ml_cnn.validation import fixed_examples, validate
from galfit_ml_cnn.weights import Trained, load, save

VALIDATION_SEED = 7001
SIZES = {"large": Architecture(), "small": Architecture(width=32, n_templates=20, kinds=8, fine=1)}
SETTLED = 30
"""Steps after which the time of a step is known."""


@dataclass(frozen=True, eq=False)
class Watch:
    """How long to train and what to do meanwhile.

    Args:
        folder: of log, checkpoint and weights.
        seconds: of the whole training.
        every: steps between two validations.
        held_out: examples to validate with.
    """

    folder: Path
    seconds: float
    every: int
    held_out: list[Examples]


def run(trainer: Trainer, watch: Watch) -> None:
    """Train for a time in two stages, with checkpoints and validation every so many steps."""
    recipe = trainer.recipe
    whole = (1 - recipe.finish) * watch.seconds
    if not trainer.finishing:
        stage(trainer, watch, whole, recipe.descent * whole)
        trainer.finish()
    if trainer.schedule.finished(trainer.step) and trainer.team.leads:
        sys.stderr.write("this training has come to its end before; train longer in another folder\n")
    stage(trainer, watch, watch.seconds, recipe.descent * (watch.seconds - whole))
    if trainer.team.leads:
        publish(trainer, watch.folder / "weights.safetensors")


def stage(trainer: Trainer, watch: Watch, until: float, descent: float) -> None:
    """Learn until so many seconds are spent, the learning rate falling in the last `descent` of them."""
    if trainer.schedule.finished(trainer.step):
        return
    start, before = time.monotonic(), trainer.spent
    recent: list[float] = []
    for examples in trainer.examples():
        recent.append(trainer.learn(examples))
        trainer.spent = trainer.team.agree(before + time.monotonic() - start)
        per_step = (trainer.spent - before) / len(recent)
        left = until - trainer.spent
        # The first steps are slow and say nothing about the others.
        if left < descent and len(recent) >= SETTLED:
            trainer.schedule.begin_descent(trainer.step, int(left / per_step))
        ended = trainer.schedule.finished(trainer.step)
        if (trainer.step % watch.every == 0 or ended) and trainer.team.leads:
            note(trainer, recent[-watch.every :], watch)
            show(trainer, watch.seconds)
        if ended:
            return


def publish(trainer: Trainer, path: Path) -> None:
    """Write the weights with what they were made from and how good they are."""
    about = {
        "recipe": asdict(trainer.recipe),
        "steps": trainer.step,
        "spectra": trainer.step * trainer.recipe.batch * trainer.team.size,
        "seconds": trainer.spent,
        "galfit_ml": __version__,
        "stellar_grid": grid_checksum(),
        "validation": trainer.history[-1] if trainer.history else {},
    }
    save(path, Trained(trainer.network, trainer.instruments, about))


def checksum(path: Path) -> str:
    """First digits of the SHA-256 of a file of weights.

    Raises:
        FileFormatError: it is not there.
    """
    if not path.is_file():
        raise FileFormatError(f"There are no weights at '{path}' to start from. Check the path.")
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def grid_checksum() -> str:
    """Of the stellar grid the simulations were made from: the recorded one, which loading the grid has compared."""
    return (resources.files("galfit_ml") / "data" / "stellar_grid.sha256").read_text().split()[0]


def note(trainer: Trainer, recent: list[float], watch: Watch) -> None:
    """Validate, write a line and a checkpoint."""
    folder, score = watch.folder, validate(trainer.network, watch.held_out)
    row = {
        "step": trainer.step,
        "spectra": trainer.step * trainer.recipe.batch * trainer.team.size,
        "seconds": round(trainer.spent, 1),
        "rate": trainer.schedule.rate(trainer.step),
        "loss": float(np.mean(recent)),
        "bins": score.bins,
        "offset": score.offset,
        **score.properties,
        **score.success,
    }
    trainer.history.append(row)
    trainer.save(folder / "checkpoint.pt")
    write_log(trainer.history, folder / "log.jsonl")


def write_log(history: list[dict[str, Any]], path: Path) -> None:
    """All validations so far, one JSON text a line; WriteError."""
    rows = ({k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()} for row in history)
    write_whole(path, "".join(json.dumps(row) + "\n" for row in rows).encode())


def show(trainer: Trainer, seconds: float) -> None:
    """A line of progress for who waits."""
    row = trainer.history[-1]
    sys.stderr.write(
        f"{trainer.spent / 60:.0f} of {seconds / 60:.0f} min: step {row['step']}, {row['spectra']} spectra, "
        f"loss {row['loss']:.3f}, redshift {row['bins']:.3f}\n"
    )


def tell(done: int, total: int, what: str) -> None:
    """A line of progress."""
    sys.stderr.write(f"{done}/{total} {what}\n")


@dataclass(frozen=True)
class Job:
    """What is to be trained, where and how long: the options of the command line.

    Args:
        instruments: names; one network for all of them.
        out: folder.
        hours: of training, those before a resumption included.
        pool: folder of noiseless spectra.
        pieces: of the pool.
        every: steps between two validations.
        resume: go on from the checkpoint in `out`.
        device: "cpu" or "cuda".
        seed: of everything random.
        size: one of `SIZES`.
        phases: redshift bins within 240 km/s.
        mismatch: amount of errors of the model that spectra are given.
        property_weight: of a property's negative log density in the loss.
        rate: learning rate of the plateau.
        descent: share of the time, of each stage, in which the learning rate falls.
        start: weights to begin with, of the same instruments and sizes; None for random ones.
    """

    instruments: list[str]
    out: Path
    hours: float
    pool: Path
    pieces: int
    every: int
    resume: bool
    device: str
    seed: int
    size: str
    phases: int
    mismatch: float
    property_weight: float
    rate: float
    descent: float
    start: Path | None


def work(team: Team, job: Job) -> None:
    """Train in one process of a team."""
    torch.set_num_threads(1)
    keep_memory()
    own, held = (_mixture(job, seed) for seed in (0, VALIDATION_SEED))
    held_out = fixed_examples(held, 16, 128, VALIDATION_SEED)
    chosen = {name: getattr(job, name) for name in ("seed", "mismatch", "property_weight", "rate", "descent")}
    recipe = Recipe(**chosen, start="" if job.start is None else checksum(job.start))
    trainer = Trainer(tuple(job.instruments), SIZES[job.size], recipe, own, team, job.device)
    trainer.standardise(held_out)
    if job.start is not None:
        trainer.begin_with(load(job.start), job.start)
    if job.resume and (job.out / "checkpoint.pt").is_file():
        trainer.load(job.out / "checkpoint.pt")
    run(trainer, Watch(job.out, 3600 * job.hours, job.every, held_out))


def _mixture(job: Job, seed: int) -> Mixture:
    """Spectra of all instruments, from the pool of a seed."""
    instruments = [get_instrument(name) for name in job.instruments]
    layout = Layout.of(*instruments, phases=job.phases)
    pools = [Pool(job.pool, instrument, seed).load()[: job.pieces] for instrument in instruments]
    return Mixture([Stream(one, layout, pieces, job.mismatch) for one, pieces in zip(instruments, pools, strict=True)])


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    train(vars(parser().parse_args(arguments)))
    return 0


def train(options: dict[str, Any]) -> Path:
    """Train as the options of `parser` say; the file of weights."""
    processes = options.pop("processes")
    job = Job(**{**options, "pool": options["pool"] or options["out"] / "pool"})
    _check(job)
    instruments = [get_instrument(name) for name in job.instruments]
    job.out.mkdir(parents=True, exist_ok=True)
    for instrument in instruments:
        for seed, n_pieces in ((0, job.pieces), (VALIDATION_SEED, 1)):
            Pool(job.pool, instrument, seed).grow(n_pieces, tell)
    run_team(work, processes if job.device == "cpu" else 1, job)
    return job.out / "weights.safetensors"


def parser() -> argparse.ArgumentParser:
    """Options of a training."""
    own = argparse.ArgumentParser("galfit-ml train", description="Train a network for an instrument's spectra.")
    own.add_argument(
        "instruments", nargs="+", metavar="instrument", help="whose noise is known, such as moons-lr; several share one"
    )
    own.add_argument("--out", type=Path, required=True, help="folder of weights, checkpoint and log")
    own.add_argument("--hours", type=float, default=1.0, help="of training (default: 1)")
    own.add_argument("--pool", type=Path, help="folder of noiseless spectra (default: OUT/pool)")
    own.add_argument("--pieces", type=int, default=40, help="of 4096 noiseless spectra each (default: 40)")
    own.add_argument("--processes", type=int, default=2, help="that share the work, one core each (default: 2)")
    own.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: cpu")
    own.add_argument("--every", type=int, default=400, help="steps between two validations (default: 400)")
    own.add_argument("--size", choices=tuple(SIZES), default="large", help="of the network (default: large)")
    own.add_argument("--phases", type=int, default=8, help="redshift bins within 240 km/s (default: 8)")
    own.add_argument(
        "--mismatch", type=float, default=0.0, help="errors of the model in training spectra; 1 for real data"
    )
    own.add_argument("--property-weight", type=float, default=0.15, help="of properties in the loss (default: 0.15)")
    own.add_argument("--rate", type=float, default=1.5e-3, help="learning rate (default: 0.0015)")
    own.add_argument("--descent", type=float, default=0.6, help="share of the time in which it falls (default: 0.6)")
    own.add_argument("--start", type=Path, help="weights to begin with instead of random ones, of the same sizes")
    own.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    own.add_argument("--resume", action="store_true", help="go on from the checkpoint in the folder")
    return own


def _check(job: Job) -> None:
    """What would go wrong after minutes is told at once."""
    if job.device == "cuda" and not torch.cuda.is_available():
        raise GalfitMLError(
            "CUDA was asked for, and torch finds no CUDA device here. Check the driver with nvidia-smi and that this "
            "torch has CUDA (torch.version.cuda), or leave out --device cuda."
        )
    if job.start is not None:
        checksum(job.start)
    if (job.out / "checkpoint.pt").is_file() and not job.resume:
        raise OutputExistsError(
            f"'{job.out}' holds a checkpoint. Go on from it with --resume, or name another folder with --out."
        )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except GalfitMLError as error:
        sys.exit(f"error: {error}")
