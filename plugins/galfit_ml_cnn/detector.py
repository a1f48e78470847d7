"""`Detector`: how probable it is that a spectrum is that of a galaxy, from what the network saw in it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Floats = NDArray[np.float64]

HIDDEN = (64, 32)
STEPS, RATE, DECAY = 1500, 3e-3, 1e-3
FOLDS = 4
"""Parts, of which each is judged once by a detector that learnt from the others, to find the limit."""

FALSE_ALARMS = 0.003
"""Share of simulated galaxies, judged by detectors that did not learn from them, that the limit calls unknown."""

LEAST_SNR = 1.0
"""Size of the signal-to-noise below which galaxies cannot be told from anything: the limit is not for them."""


@dataclass(frozen=True, eq=False)
class Detector:
    """A small network that tells galaxies from stars, quasars and strange things.

    Args:
        weights: matrices [k, k'] of its layers, the first one for standardised signs.
        biases: [k'] of each.
        mean, width: [n_sign] of the signs.
        limit: probability below which a spectrum is called unknown.
    """

    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]
    mean: Floats
    width: Floats
    limit: float

    def probability(self, signs: Floats) -> Floats:
        """[n] that a spectrum with signs [n, n_sign] is a galaxy, where half of all are."""
        x = np.clip((signs - self.mean) / self.width, -20.0, 20.0)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = x @ weight + bias
            x = x / (1 + np.exp(-np.clip(x, -60.0, 60.0)))
        logit = (x @ self.weights[-1] + self.biases[-1])[:, 0]
        return np.asarray(1 / (1 + np.exp(-np.clip(logit, -60.0, 60.0))))

    @classmethod
    def fit(cls, signs: Floats, galaxy: NDArray[np.bool_], snr: Floats, seed: int = 0) -> Detector:
        """From signs [n, n_sign] of simulations, whether they are galaxies [n], and signal-to-noise [n]."""
        part = np.random.default_rng(seed).permutation(len(signs)) % FOLDS
        judged = np.zeros(len(signs))
        for number in range(FOLDS):
            held = part == number
            judged[held] = cls._without_limit(signs[~held], galaxy[~held], seed + number).probability(signs[held])
        limit = float(np.quantile(judged[galaxy & (np.abs(snr) > LEAST_SNR)], FALSE_ALARMS))
        return replace(cls._without_limit(signs, galaxy, seed), limit=limit)

    @classmethod
    def _without_limit(cls, signs: Floats, galaxy: NDArray[np.bool_], seed: int) -> Detector:
        mean, width = signs.mean(axis=0), signs.std(axis=0) + 1e-6
        arrays = [p.detach().double().numpy() for p in _learn((signs - mean) / width, galaxy, seed).parameters()]
        return cls(tuple(a.T for a in arrays[::2]), tuple(arrays[1::2]), mean, width, 0.0)

    def arrays(self) -> dict[str, Floats]:
        """All of it as arrays."""
        matrices = {f"weight{i}": weight for i, weight in enumerate(self.weights)}
        biases = {f"bias{i}": bias for i, bias in enumerate(self.biases)}
        return {**matrices, **biases, "mean": self.mean, "width": self.width, "limit": np.array([self.limit])}

    @classmethod
    def of(cls, arrays: Mapping[str, Floats]) -> Detector:
        """The inverse of `arrays`."""
        numbers = range(len(HIDDEN) + 1)
        return cls(
            tuple(arrays[f"weight{i}"] for i in numbers),
            tuple(arrays[f"bias{i}"] for i in numbers),
            arrays["mean"],
            arrays["width"],
            float(arrays["limit"][0]),
        )


def signs_of(embedding: Floats, summary: Floats, probability: Floats, snr: Floats) -> Floats:
    """What a detector looks at, [n, n_sign]: latent features, means over the spectrum, and how sure the redshift is.

    Args:
        embedding: [n, n_embedding] at the most probable redshift.
        summary: [n, n_summary].
        probability: [n, n_bins] of the redshift.
        snr: [n] measured signal-to-noise.
    """
    entropy = -(probability * np.log(np.maximum(probability, 1e-30))).sum(axis=1)
    place = probability.argmax(axis=1) / probability.shape[1]
    told = np.stack([entropy, place, np.exp(-300 * place), np.arcsinh(snr)], axis=1)
    return np.concatenate([embedding, summary, told], axis=1)


def _learn(signs: Floats, galaxy: NDArray[np.bool_], seed: int) -> nn.Module:
    """Layers that tell the two apart; both count as much in all."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = (signs.shape[1], *HIDDEN)
        parts = [part for a, b in itertools.pairwise(sizes) for part in (nn.Linear(a, b), nn.SiLU())]
        layers = nn.Sequential(*parts, nn.Linear(HIDDEN[-1], 1))
        x = torch.as_tensor(np.clip(signs, -20.0, 20.0)).float()
        y = torch.as_tensor(galaxy).float()
        weight = torch.where(y > 0, 0.5 / y.mean(), 0.5 / (1 - y).mean())
        optimiser = torch.optim.AdamW(layers.parameters(), lr=RATE, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
        for _ in range(STEPS):
            rows = torch.randint(len(x), (512,))
            logit = layers(x[rows])[:, 0]
            loss = nn.functional.binary_cross_entropy_with_logits(logit, y[rows], weight=weight[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return layers
