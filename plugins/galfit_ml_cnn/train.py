"""Training: `galfit-ml train moons-lr --out run/ --hours 1`, or `python -m galfit_ml_cnn.train` on a bare machine.

Batches depend on seed and step alone, and so does dropout; a run that was stopped goes on from its last checkpoint with
the same losses. Nothing but torch, numpy, scipy, safetensors and the simulator is needed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch

from galfit_ml import __version__
from galfit_ml.errors import GalfitMLError, OutputExistsError
from galfit_ml.instruments import Instrument, get_instrument
from galfit_ml_cnn.files import completed
from galfit_ml_cnn.layout import Layout
from galfit_ml_cnn.memory import keep_memory
from galfit_ml_cnn.network import Architecture, GalaxyNetwork
from galfit_ml_cnn.pool import Pool
from galfit_ml_cnn.schedule import Schedule
from galfit_ml_cnn.stream import Examples, Stream
from galfit_ml_cnn.team import Team, run_team
from galfit_ml_cnn.validation import fixed_examples, validate
from galfit_ml_cnn.weights import Trained, save

VALIDATION_SEED = 7001


@dataclass(frozen=True)
class Recipe:
    """Settings of a training.

    Args:
        batch: spectra a step, of each process.
        rate: learning rate of the plateau.
        decay: weight decay.
        property_weight: of a property's negative log density in the loss.
        clip: largest norm of the gradient.
        seed: of everything random.
        descent: share of the time in which the learning rate falls.
    """

    batch: int = 48
    rate: float = 1.5e-3
    decay: float = 0.01
    property_weight: float = 0.15
    clip: float = 5.0
    seed: int = 0
    descent: float = 0.3


class Trainer:
    """A network, its optimiser and where they stand.

    Args:
        instrument: whose spectra are learnt.
        architecture: of the network.
        recipe: of the training.
        stream: of examples.
        team: of processes that this one belongs to.
        device: on which the network learns.
    """

    def __init__(
        self,
        instrument: Instrument,
        architecture: Architecture,
        recipe: Recipe,
        stream: Stream,
        team: Team | None = None,
        device: str = "cpu",
    ) -> None:
        self.instrument, self.recipe, self.stream = instrument, recipe, stream
        self.team = team or Team()
        torch.manual_seed(recipe.seed)
        self.device = torch.device(device)
        self.network = GalaxyNetwork(stream.layout, architecture).to(self.device)
        self.network.fast = True
        groups = parameter_groups(self.network, recipe.decay)
        self.optimiser = torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, 0.98))
        self.schedule = Schedule(recipe.rate)
        self.step = 0
        self.spent = 0.0
        self.history: list[dict[str, Any]] = []

    def standardise(self, examples: list[Examples]) -> None:
        """Give the branches the mean and width that encoded properties have."""
        encoded = torch.cat([one.encoded for one in examples])
        self.network.branches.mean.copy_(encoded.mean(0))
        self.network.branches.width.copy_(encoded.std(0))

    def examples(self) -> Iterator[Examples]:
        """Batches from the present step on, each made while the one before is learnt."""
        with ThreadPoolExecutor(1) as pool:
            step = self.step
            waiting = pool.submit(self._batch, step)
            while True:
                ready = waiting.result()
                step += 1
                waiting = pool.submit(self._batch, step)
                yield ready

    def _batch(self, step: int) -> Examples:
        return self.stream.batch(self.recipe.batch, np.random.default_rng([self.recipe.seed, 1, step, self.team.rank]))

    def learn(self, examples: Examples) -> float:
        """One step; its loss."""
        torch.manual_seed((self.recipe.seed * 1_000_003 + self.step) * self.team.size + self.team.rank)
        for group in self.optimiser.param_groups:
            group["lr"] = self.schedule.rate(self.step)
        truth = examples.bins, examples.offset, examples.encoded
        examples = examples.to(self.device)
        loss = self.network.loss(examples.inputs, *truth, examples.reading)
        total = loss.total(self.recipe.property_weight, examples.weight)
        self.optimiser.zero_grad()
        total.backward()
        self.team.average(self.network.parameters())
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self.optimiser.step()
        self.step += 1
        return float(total.detach())

    def save(self, path: Path) -> None:
        """Write a checkpoint, under its name only when complete."""
        state = {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": asdict(self.schedule),
            "step": self.step,
            "spent": self.spent,
            "history": self.history,
        }
        with completed(path) as part:
            torch.save(state, part)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state = torch.load(path, weights_only=True, map_location=self.device)
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule = Schedule(**state["schedule"])
        self.step, self.spent, self.history = state["step"], state["spent"], state["history"]


def parameter_groups(network: GalaxyNetwork, decay: float) -> list[dict[str, Any]]:
    """Weights decay, biases do not."""
    named = list(network.named_parameters())
    return [
        {"params": [p for _, p in named if p.ndim > 1], "weight_decay": decay},
        {"params": [p for _, p in named if p.ndim <= 1], "weight_decay": 0.0},
    ]


def run(trainer: Trainer, folder: Path, seconds: float, every: int, held_out: list[Examples]) -> None:
    """Train for a time, with checkpoints and validation every so many steps."""
    start, before = time.monotonic(), trainer.spent
    recent: list[float] = []
    for examples in trainer.examples():
        recent.append(trainer.learn(examples))
        trainer.spent = trainer.team.agree(before + time.monotonic() - start)
        per_step = (trainer.spent - before) / len(recent)
        left = seconds - trainer.spent
        if left < trainer.recipe.descent * seconds:
            trainer.schedule.begin_descent(trainer.step, int(left / per_step))
        ended = trainer.schedule.finished(trainer.step)
        if (trainer.step % every == 0 or ended) and trainer.team.leads:
            note(trainer, recent[-every:], folder, held_out)
            show(trainer, seconds)
        if ended:
            if trainer.team.leads:
                publish(trainer, folder / "weights.safetensors")
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
    save(path, Trained(trainer.network, trainer.instrument.name, about))


def grid_checksum() -> str:
    """Of the stellar grid the simulations were made from: the recorded one, which loading the grid has compared."""
    return (resources.files("galfit_ml") / "data" / "stellar_grid.sha256").read_text().split()[0]


def note(trainer: Trainer, recent: list[float], folder: Path, held_out: list[Examples]) -> None:
    """Validate, write a line and a checkpoint."""
    score = validate(trainer.network, held_out)
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
    with (folder / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()}) + "\n")
    trainer.save(folder / "checkpoint.pt")


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
        instrument: name.
        out: folder.
        hours: of training, those before a resumption included.
        pool: folder of noiseless spectra.
        pieces: of the pool.
        every: steps between two validations.
        resume: go on from the checkpoint in `out`.
        device: "cpu" or "cuda".
        seed: of everything random.
    """

    instrument: str
    out: Path
    hours: float
    pool: Path
    pieces: int
    every: int
    resume: bool
    device: str
    seed: int


def work(team: Team, job: Job) -> None:
    """Train in one process of a team."""
    torch.set_num_threads(1)
    keep_memory()
    instrument = get_instrument(job.instrument)
    layout = Layout.of(instrument)
    streams = [Stream(instrument, layout, Pool(job.pool, instrument, seed).load()) for seed in (0, VALIDATION_SEED)]
    held_out = fixed_examples(streams[1], 16, 128, VALIDATION_SEED)
    recipe = Recipe(seed=job.seed)
    trainer = Trainer(instrument, Architecture(), recipe, streams[0], team, job.device)
    trainer.standardise(held_out)
    if job.resume and (job.out / "checkpoint.pt").is_file():
        trainer.load(job.out / "checkpoint.pt")
    run(trainer, job.out, 3600 * job.hours, job.every, held_out)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    train(vars(parser().parse_args(arguments)))
    return 0


def train(options: dict[str, Any]) -> Path:
    """Train as the options of `parser` say; the file of weights."""
    processes = options.pop("processes")
    job = Job(**{**options, "pool": options["pool"] or options["out"] / "pool"})
    _check(job)
    job.out.mkdir(parents=True, exist_ok=True)
    instrument = get_instrument(job.instrument)
    for seed, n_pieces in ((0, job.pieces), (VALIDATION_SEED, 1)):
        Pool(job.pool, instrument, seed).grow(n_pieces, tell)
    run_team(work, processes if job.device == "cpu" else 1, job)
    return job.out / "weights.safetensors"


def parser() -> argparse.ArgumentParser:
    """Options of a training."""
    own = argparse.ArgumentParser("galfit-ml train", description="Train a network for an instrument's spectra.")
    own.add_argument("instrument", help="name of an instrument whose noise is known, such as moons-lr")
    own.add_argument("--out", type=Path, required=True, help="folder of weights, checkpoint and log")
    own.add_argument("--hours", type=float, default=1.0, help="of training (default: 1)")
    own.add_argument("--pool", type=Path, help="folder of noiseless spectra (default: OUT/pool)")
    own.add_argument("--pieces", type=int, default=40, help="of 4096 noiseless spectra each (default: 40)")
    own.add_argument("--processes", type=int, default=2, help="that share the work, one core each (default: 2)")
    own.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: cpu")
    own.add_argument("--every", type=int, default=400, help="steps between two validations (default: 400)")
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
    if (job.out / "checkpoint.pt").is_file() and not job.resume:
        raise OutputExistsError(
            f"'{job.out}' holds a checkpoint. Go on from it with --resume, or name another folder with --out."
        )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except GalfitMLError as error:
        sys.exit(f"error: {error}")
