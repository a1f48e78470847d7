"""Calibration of a trained network: `python -m galfit_ml_cnn.calibrate run/weights.safetensors --n 20000`.

Mocks that no training saw go through the backend; what is learnt of its answers is written into the file of weights.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from galfit_ml.backend import Request
from galfit_ml.calibration import Calibration, LevelMap, Reliability, filled, node_weights, places_of, solution_gap
from galfit_ml.errors import GalfitMLError
from galfit_ml.parameters import GALAXY
from galfit_ml.posterior import Posterior
from galfit_ml.prepare import Preparation, prepare
from galfit_ml.redshift_prior import RedshiftPrior, RedshiftPriors
from galfit_ml.simulate.cosmology import Cosmology
from galfit_ml.simulate.surveys import MockSurvey
from galfit_ml_cnn.allowed import Allowed
from galfit_ml_cnn.backend import CnnBackend
from galfit_ml_cnn.calibrated import Calibrated, Cloud
from galfit_ml_cnn.detector import Detector, signs_of
from galfit_ml_cnn.inputs import look_at
from galfit_ml_cnn.memory import keep_memory
from galfit_ml_cnn.mocks import STRANGERS, Alterations, Mocks, maker_of
from galfit_ml_cnn.network import truth_in_bins
from galfit_ml_cnn.points import point
from galfit_ml_cnn.solutions import WINDOW
from galfit_ml_cnn.train import tell
from galfit_ml_cnn.weights import Trained, load, save

Floats = NDArray[np.float64]
Report = Callable[[int, int, str], None]

SEED = 8101
"""Of the mocks; others than those of training, validation and benchmarks."""

TEMPERATURES = np.linspace(0.6, 2.4, 37)
N_DRAWS = 200
FEWEST_MOCKS = 2000


@lru_cache(maxsize=4)
def _backend(weights: Path) -> CnnBackend:
    torch.set_num_threads(1)
    keep_memory()
    return CnnBackend(weights)


def surprise(weights: Path, mocks: Mocks, number: int) -> dict[str, Floats]:
    """Of one chunk: "nll" [n, n_temperatures] of the true redshift bin without dropout, and "snr" [n]."""
    network = _backend(weights).trained_for(mocks.instrument).network
    made = maker_of(mocks)(number)
    seen = prepare(made.batch, Preparation(network.layout.grid))
    inputs = look_at(seen, network.layout.pool)
    with torch.no_grad():
        maps, _, summary = network.features(inputs)
        logits = network.head(maps, summary)
    bins, _ = truth_in_bins(torch.as_tensor(made.truth["redshift"]), network.layout)
    rows = torch.arange(len(bins))
    nll = [torch.logsumexp(logits / t, dim=1) - logits[rows, bins] / t for t in TEMPERATURES]
    return {"nll": torch.stack(nll, dim=1).double().numpy(), "snr": seen.snr}


def answers(weights: Path, mocks: Mocks, number: int) -> dict[str, Floats]:
    """Of one chunk: places of the truth of each parameter, stated probability, whether it was right, embedding, S/N."""
    made = maker_of(mocks)(number)
    request = Request(N_DRAWS, mocks.seed + number, RedshiftPriors.free(len(made)))
    posterior = _backend(weights).infer(made.batch, request)
    ok = posterior.ok
    out = _places(posterior, made)
    told = posterior.diagnostics
    out["stated"] = told["redshift_probability_1"][ok]
    out["right"] = is_right(told["redshift_1"], made)[ok].astype(np.float64)
    out["snr"] = told["signal_to_noise"][ok]
    assert posterior.embedding is not None
    out["embedding"] = posterior.embedding[ok]
    return out


def answers_at_truth(weights: Path, mocks: Mocks, number: int) -> dict[str, Floats]:
    """Of one chunk, the true redshifts given: places of the truth of each property, S/N."""
    made = maker_of(mocks)(number)
    priors = RedshiftPriors(tuple(RedshiftPrior(z, z) for z in np.asarray(made.truth["redshift"], dtype=np.float64)))
    posterior = _backend(weights).infer(made.batch, Request(N_DRAWS, mocks.seed + number, priors))
    out = _places(posterior, made)
    del out["redshift"]
    return {**out, "snr": posterior.diagnostics["signal_to_noise"][posterior.ok]}


def signs(weights: Path, mocks: Mocks, number: int) -> dict[str, Floats]:
    """Of one chunk with strangers: signs for the detector, and whether each is a galaxy."""
    trained = _backend(weights).trained_for(mocks.instrument)
    maker = maker_of(mocks)
    made = maker(number)
    seen = prepare(made.batch, Preparation(trained.network.layout.grid))
    inputs = look_at(seen, trained.network.layout.pool)
    free = Allowed.of(RedshiftPriors.free(len(made)), trained.network.layout)
    temperature = np.ones(len(made)) if trained.calibrated is None else trained.calibrated.temperature_at(seen.snr)
    found = point(trained.network, inputs, free, torch.as_tensor(temperature).float(), Cosmology.default())
    embedding, summary, probability = (x.double().numpy() for x in (found.embedding, found.summary, found.probability))
    assert isinstance(maker.alteration, Alterations)
    galaxy = ~maker.alteration.strange & ~np.isin(np.asarray(made.truth["class"]), list(STRANGERS))
    return {
        "signs": signs_of(embedding, summary, probability, seen.snr),
        "galaxy": galaxy.astype(np.float64),
        "snr": seen.snr,
    }


def _places(posterior: Posterior, made: MockSurvey) -> dict[str, Floats]:
    ok = posterior.ok
    truth = {name: np.asarray(made.truth[name], dtype=np.float64)[ok] for name in GALAXY.names}
    draws = {name: posterior[name][ok] for name in GALAXY.names}
    return {name: places_of(draws[name], truth[name], solution_gap(name, draws[name])) for name in GALAXY.names}


def is_right(redshift: Floats, made: MockSurvey) -> NDArray[np.bool_]:
    """[n] whether redshifts are right within `WINDOW`."""
    truth = made.truth["redshift"]
    return np.asarray(np.abs(redshift - truth) < WINDOW * (1 + truth))


@dataclass(frozen=True, eq=False)
class Worker:
    """Runs one of the functions above over all chunks of mocks.

    Args:
        weights: file.
        processes: at once.
        report: progress.
    """

    weights: Path
    processes: int
    report: Report

    def run(self, what: Callable[[Path, Mocks, int], dict[str, Floats]], mocks: list[Mocks]) -> dict[str, Floats]:
        """Results of all chunks, one after the other."""
        parts = []
        for part in self._parts(what, mocks):
            parts.append(part)
            self.report(sum(len(one["snr"]) for one in parts), sum(one.n for one in mocks), what.__name__)
        return {name: np.concatenate([one[name] for one in parts]) for name in parts[0]}

    def _parts(self, what: Callable[..., dict[str, Floats]], mocks: list[Mocks]) -> Iterator[dict[str, Floats]]:
        jobs = [(what, self.weights, one, number) for one in mocks for number in range(one.n_chunks)]
        if self.processes == 1:
            yield from map(_call, jobs)
            return
        with get_context("spawn").Pool(self.processes) as pool:
            yield from pool.imap(_call, jobs)


def _call(job: tuple[Any, ...]) -> dict[str, Floats]:
    return dict(job[0](*job[1:]))


def mocks_for(trained: Trained, n: int, seed: int, *, strangers: bool = False) -> list[Mocks]:
    """About n mocks, as many of each instrument, with the errors of the model that training had."""
    mismatch = float(trained.about.get("recipe", {}).get("mismatch", 0.0))
    each = -(-n // len(trained.instruments))
    return [Mocks(name, each, seed + 100 * i, mismatch, strangers) for i, name in enumerate(trained.instruments)]


def learn_temperature(found: dict[str, Floats]) -> Floats:
    """[n_nodes] temperature with the least surprise at each signal-to-noise."""
    weight = node_weights(found["snr"])
    best = TEMPERATURES[(weight @ found["nll"]).argmin(axis=1)]
    # Where nearly everything is certain, or nothing is known, any temperature does.
    return filled(best, weight)


def learn_known(worker: Worker, mocks: list[Mocks]) -> Calibration:
    """Maps of the properties where the redshift is known."""
    found = worker.run(answers_at_truth, mocks)
    return Calibration({name: LevelMap.fit(found[name], found["snr"]) for name in GALAXY.names if name in found})


def learn_detector(worker: Worker, mocks: list[Mocks]) -> Detector:
    """What tells galaxies from everything else."""
    found = worker.run(signs, mocks)
    return Detector.fit(found["signs"], found["galaxy"] > 0.5, found["snr"])


def calibrate(weights: Path, n: int, processes: int, report: Report, seed: int = SEED) -> Trained:
    """Learn all of a network's calibration and write it into its file.

    Raises:
        GalfitMLError: too few mocks.
    """
    if n < FEWEST_MOCKS:
        raise GalfitMLError(f"{n} mocks are too few to calibrate with; take at least --n {FEWEST_MOCKS}.")
    _backend.cache_clear()
    trained = load(weights)
    worker = Worker(weights, processes, report)
    temperature = learn_temperature(worker.run(surprise, mocks_for(trained, n // 2, seed)))
    none = Calibration({})
    size = trained.network.architecture.n_embedding
    plain = Calibrated(temperature, none, none, Reliability(*np.eye(2)), Cloud(np.zeros(size), np.eye(size), 1e9))
    begun = weights.with_suffix(".begun.safetensors")
    try:
        save(begun, replace(trained, calibrated=plain))
        second = Worker(begun, processes, report)
        found = second.run(answers, mocks_for(trained, n, seed + 1))
        known = learn_known(second, mocks_for(trained, n // 2, seed + 2))
        detector = learn_detector(second, mocks_for(trained, n, seed + 3, strangers=True))
    finally:
        begun.unlink(missing_ok=True)
    calibrated = replace(
        plain,
        calibration=Calibration({name: LevelMap.fit(found[name], found["snr"]) for name in GALAXY.names}),
        known=known,
        reliability=Reliability.fit(found["stated"], found["right"] > 0.5),
        cloud=Cloud.fit(found["embedding"]),
        detector=detector,
    )
    about = {**trained.about, "calibration": {"spectra": n, "seed": seed, "draws": N_DRAWS}}
    done = replace(trained, calibrated=calibrated, about=about)
    save(weights, done)
    return done


def add_detector(weights: Path, n: int, processes: int, report: Report, seed: int = SEED) -> Trained:
    """Learn the detector alone, of a network that is calibrated, and write it into its file.

    Raises:
        GalfitMLError: the network is not calibrated, or there are too few mocks.
    """
    trained = load(weights)
    if trained.calibrated is None or n < FEWEST_MOCKS:
        raise GalfitMLError(
            f"A detector needs calibrated weights and at least {FEWEST_MOCKS} mocks. Calibrate all of it first: "
            f"galfit-ml calibrate {weights}"
        )
    detector = learn_detector(Worker(weights, processes, report), mocks_for(trained, n, seed + 3, strangers=True))
    about = {**trained.about, "detector": {"spectra": n, "seed": seed + 3}}
    done = replace(trained, calibrated=replace(trained.calibrated, detector=detector), about=about)
    save(weights, done)
    return done


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser("galfit-ml calibrate", description="Calibrate a network on fresh simulations.")
    parser.add_argument("weights", type=Path, help="file that `galfit-ml train` wrote; the result is written into it")
    parser.add_argument("--n", type=int, default=20000, help="mocks (default: 20000)")
    parser.add_argument("--processes", type=int, default=2, help="one core each (default: 2)")
    parser.add_argument("--detector", action="store_true", help="learn anew what is no galaxy, and nothing else")
    options = parser.parse_args(arguments)
    learn = add_detector if options.detector else calibrate
    learn(options.weights, options.n, options.processes, tell)
    return 0


if __name__ == "__main__":
    sys.exit(main())
