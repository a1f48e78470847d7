"""`Trainer`: a network, its optimiser and where they stand."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from galfit_ml.errors import GalfitMLError
from galfit_ml.writing import write_whole
from galfit_ml_cnn.network import Architecture, GalaxyNetwork
from galfit_ml_cnn.schedule import Schedule
from galfit_ml_cnn.stream import Examples, Mixture, Stream
from galfit_ml_cnn.team import Team
from galfit_ml_cnn.weights import Trained


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
        descent: share of the time, of each stage, in which the learning rate falls.
        finish: share of the time for properties alone, with the features as they then are: several times faster.
        finish_rate: learning rate there, in units of `rate`.
        mismatch: amount of errors of the model that spectra are given.
        start: checksum of the weights it began with; "" for random ones.
    """

    batch: int = 48
    rate: float = 1.5e-3
    decay: float = 0.01
    property_weight: float = 0.15
    clip: float = 5.0
    seed: int = 0
    descent: float = 0.6
    finish: float = 0.1
    finish_rate: float = 0.4
    mismatch: float = 0.0
    start: str = ""


class Trainer:
    """A network, its optimiser and where they stand.

    Args:
        instruments: names of those whose spectra are learnt.
        architecture: of the network.
        recipe: of the training.
        stream: of examples.
        team: of processes that this one belongs to.
        device: on which the network learns.
    """

    def __init__(
        self,
        instruments: tuple[str, ...],
        architecture: Architecture,
        recipe: Recipe,
        stream: Stream | Mixture,
        team: Team | None = None,
        device: str = "cpu",
    ) -> None:
        self.instruments, self.recipe, self.stream = instruments, recipe, stream
        self.team = team or Team()
        torch.manual_seed(recipe.seed)
        self.device = torch.device(device)
        self.network = GalaxyNetwork(stream.layout, architecture).to(self.device)
        self.network.fast = True
        groups = parameter_groups(self.network, recipe.decay)
        self.optimiser = torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, 0.98))
        self.schedule = Schedule(recipe.rate)
        self.finishing = False
        self.step = 0
        self.spent = 0.0
        self.history: list[dict[str, Any]] = []

    def finish(self) -> None:
        """Begin the last stage: encoder and branches alone learn, from the steps that follow."""
        self.finishing = True
        network = self.network
        groups = [
            group for part in (network.encoder, network.branches) for group in parameter_groups(part, self.recipe.decay)
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=self.recipe.rate, betas=(0.9, 0.98))
        self.schedule = Schedule(self.recipe.finish_rate * self.recipe.rate, start=self.step)

    def begin_with(self, trained: Trained, path: Path) -> None:
        """Take the weights of a network that has learnt before.

        Raises:
            GalfitMLError: it has other sizes or reads other spectra.
        """
        before, own = trained.network, self.network
        same = (before.layout, before.architecture) == (own.layout, own.architecture)
        if not same or trained.instruments != self.instruments:
            raise GalfitMLError(
                f"The weights in '{path}' are of a network of {'+'.join(trained.instruments)} with "
                f"{before.architecture}; this one is of {'+'.join(self.instruments)} with {own.architecture}. "
                "Start from weights of the same instruments, --size and --phases."
            )
        own.load_state_dict(before.state_dict())

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
        total = self._loss(examples.to(self.device))
        self.network.zero_grad()
        total.backward()
        self.team.average(self.network.parameters())
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self.optimiser.step()
        self.step += 1
        return float(total.detach())

    def _loss(self, examples: Examples) -> Tensor:
        if self.finishing:
            known = examples.reading, examples.offset, examples.encoded
            place, properties = self.network.property_loss(examples.inputs, *known)
            each = 0.5 * place + self.recipe.property_weight * properties.sum(1)
            return (each * examples.weight).mean()
        truth = examples.bins, examples.offset, examples.encoded
        loss = self.network.loss(examples.inputs, *truth, examples.reading)
        return loss.total(self.recipe.property_weight, examples.weight)

    @property
    def made_with(self) -> dict[str, Any]:
        """What batches and steps depend on besides the number of a step."""
        return {
            "instrument": "+".join(self.instruments),
            **asdict(self.recipe),
            "processes": self.team.size,
            "pieces": len(self.stream.pieces),
        }

    def save(self, path: Path) -> None:
        """Write a checkpoint, under its name only when complete; WriteError."""
        state = {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": asdict(self.schedule),
            "finishing": self.finishing,
            "made_with": self.made_with,
            "step": self.step,
            "spent": self.spent,
            "history": self.history,
        }
        packed = io.BytesIO()
        torch.save(state, packed)
        write_whole(path, packed.getbuffer())

    def load(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            GalfitMLError: it was made with other settings: what would follow is no repetition of anything.
        """
        state = torch.load(path, weights_only=True, map_location=self.device)
        before = state.get("made_with", self.made_with)
        if before != self.made_with:
            raise GalfitMLError(
                f"The checkpoint '{path}' was made with {before}, and this training has {self.made_with}. "
                "Take the same settings, or another folder."
            )
        self.network.load_state_dict(state["network"])
        if state.get("finishing", False):
            self.finish()
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule = Schedule(**state["schedule"])
        self.step, self.spent, self.history = state["step"], state["spent"], state["history"]


def parameter_groups(network: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Weights decay, biases do not."""
    named = list(network.named_parameters())
    return [
        {"params": [p for _, p in named if p.ndim > 1], "weight_decay": decay},
        {"params": [p for _, p in named if p.ndim <= 1], "weight_decay": 0.0},
    ]
