"""A small network, trained from nothing: that it learns redshifts, knows what it does not know, and keeps two peaks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from galfit_ml.backend import Request
from galfit_ml.instruments import get_instrument
from galfit_ml.parameters import GALAXY
from galfit_ml.posterior import Posterior
from galfit_ml.redshift_prior import RedshiftPriors
from galfit_ml.simulate import survey
from galfit_ml.simulate.threads import one_thread
from galfit_ml.spectra import SpectrumBatch
from galfit_ml_cnn import pool as pools
from galfit_ml_cnn.backend import CnnBackend
from galfit_ml_cnn.layout import Layout
from galfit_ml_cnn.network import Architecture, GalaxyNetwork
from galfit_ml_cnn.pool import Pool
from galfit_ml_cnn.stream import Stream
from galfit_ml_cnn.trainer import Recipe, Trainer
from galfit_ml_cnn.validation import fixed_examples
from galfit_ml_cnn.weights import Trained, save

SDSS = get_instrument("sdss")
WHOLE = replace(SDSS, magnitude_range=(15.5, 18.5), redshift_range=(0.0, 1.2))
SMALL = Architecture(
    width=24, dilations=(1, 2, 4), n_templates=12, kinds=4, fine=1, n_rest=8, n_embedding=16, dropout=0.1
)
STEPS = 120

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Learnt:
    """A trained network as a backend."""

    backend: CnnBackend

    def posterior(self, batch: SpectrumBatch, n_samples: int = 200) -> Posterior:
        return self.backend.infer(batch, Request(n_samples, 3, RedshiftPriors.free(len(batch))))


def learnt(seed: int, folder: Path, dropout: float = SMALL.dropout) -> Learnt:
    """2048 galaxies at 0 < z < 1.2, fixed steps: about half a minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pools, "PIECE", 1024)
        pool = Pool(folder / "pool", WHOLE, seed)
        pool.grow(2)
        stream = Stream(WHOLE, Layout.of(WHOLE), pool.load())
    trainer = Trainer((WHOLE.name,), replace(SMALL, dropout=dropout), Recipe(batch=32, rate=4e-3, seed=seed), stream)
    trainer.standardise(fixed_examples(stream, 2, 128, seed))
    trainer.schedule.warm_up = 20
    trainer.schedule.begin_descent(STEPS // 2, STEPS // 2)
    with one_thread():  # two threads of a busy machine wait for each other
        for examples, _ in zip(trainer.examples(), range(STEPS), strict=False):
            trainer.learn(examples)
    path = folder / "weights.safetensors"
    save(path, Trained(trainer.network.eval(), ("sdss",), {"seed": seed}))
    return Learnt(CnnBackend(path))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Learnt:
    return learnt(1, tmp_path_factory.mktemp("first"))


def success(one: Learnt) -> tuple[float, int]:
    """Share of redshifts that are right within 0.0033 (1 + z) at S/N > 5, of galaxies never seen."""
    made = survey("sdss", 400, seed=99, exposure="45m", magnitude=(15.5, 18.5), redshift=(0.0, 1.2))
    told = one.posterior(made.batch, 20).diagnostics
    bright = told["signal_to_noise"] > 5
    z = made.truth["redshift"]
    right = np.abs(told["redshift_1"] - z) < 0.0033 * (1 + z)
    return float(right[bright].mean()), int(bright.sum())


def test_it_learns_redshifts(first: Learnt) -> None:
    share, n = success(first)
    assert n > 100
    assert share > 0.8


@pytest.mark.parametrize("seed", [2, 3])
def test_it_learns_redshifts_whatever_the_seed(seed: int, tmp_path: Path) -> None:
    share, _ = success(learnt(seed, tmp_path))
    assert share > 0.8


def spread(posterior: Posterior, kind: str) -> np.ndarray:
    """[n] standard deviations of all properties but the redshift, over that of the prior's range, averaged."""
    parts = [posterior.diagnostics[f"{p.name}_{kind}"] / (p.high - p.low) for p in GALAXY if p.name != "redshift"]
    return np.mean(parts, axis=0)


def test_what_it_does_not_know_grows_outside_its_training(first: Learnt) -> None:
    """Spectra upside down, unlike anything it saw: more of the spread is the network's own."""
    made = survey("sdss", 60, seed=98, exposure="45m", magnitude=(15.5, 17.5), redshift=(0.05, 0.5))
    arm = made.batch.arms[0]
    strange = replace(made.batch, arms=(replace(arm, flux=-arm.flux),))
    inside, outside = (spread(first.posterior(batch, 600), "epistemic") for batch in (made.batch, strange))
    assert inside.mean() > 0
    assert outside.mean() > 1.3 * inside.mean()


def test_without_dropout_nothing_is_epistemic(tmp_path: Path, first: Learnt) -> None:
    trained = first.backend.trained_for("sdss")
    network = trained.network
    none = replace(network.architecture, dropout=0.0)
    same = GalaxyNetwork(network.layout, none)
    same.load_state_dict(network.state_dict())
    save(tmp_path / "none", Trained(same.eval(), ("sdss",), {}))
    made = survey("sdss", 8, seed=97, exposure="45m", magnitude=(16.0, 17.0))
    told = Learnt(CnnBackend(tmp_path / "none")).posterior(made.batch)
    assert (spread(told, "epistemic") == 0).all()
    assert (spread(told, "aleatoric") > 0).all()
