"""Numbers about the answer to each mock spectrum, kept instead of its draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from galfit_ml.api import Estimator
from galfit_ml.backend import Request
from galfit_ml.benchmark.changes import CHANGES
from galfit_ml.benchmark.metrics import crps
from galfit_ml.calibration import levels_of
from galfit_ml.parameters import GALAXY
from galfit_ml.posterior import Posterior
from galfit_ml.redshift_prior import RedshiftPriors
from galfit_ml.simulate.surveys import ChunkMaker, MockSurvey, make_settings
from galfit_ml.simulate.surveys.sample import band_name
from galfit_ml_cnn.mismatch import Mismatch

Floats = NDArray[np.float64]
Table = dict[str, NDArray[Any]]
Report = Callable[[int, int, str], None]

OWN = ("backend", "options", "n_draws", "change", "mismatch")
"""Fields of a plan that are no settings of its survey."""

COPIED = ("redshift", "log_ssfr", "exposure_s", "class")


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Args:
        survey: arguments of `simulate.make_settings`: instrument, n, population, seed and the rest.
        backend: name.
        options: of the backend.
        n_draws: posterior draws per spectrum.
        change: one of `CHANGES`, done to the spectra before.
        mismatch: amount of errors of the model in the mocks.
    """

    survey: tuple[tuple[str, Any], ...]
    backend: str = "cnn"
    options: tuple[tuple[str, Any], ...] = ()
    n_draws: int = 100
    change: str = "none"
    mismatch: float = 0.0

    @classmethod
    def of(cls, instrument: str, n: int | None, population: str = "training", seed: int = 0, **more: Any) -> Plan:
        """A plan for one survey; the plan's own fields may stand among the survey's settings."""
        own = {name: more.pop(name) for name in OWN if name in more}
        survey = {"instrument": instrument, "n": n, "population": population, "seed": seed, **more}
        return cls(tuple(survey.items()), **own)

    def settings(self) -> Any:
        """Of the survey."""
        return make_settings(**{"tier": 2, **dict(self.survey)})


def measure(plan: Plan, processes: int, report: Report | None = None) -> Table:
    """A row for each spectrum of a plan; each process works on chunks of its own."""
    n_chunks, parts = plan.settings().n_chunks, []
    for part in _parts(plan, n_chunks, processes):
        parts.append(part)
        if report is not None:
            report(len(parts), n_chunks, "chunks")
    return {name: np.concatenate([one[name] for one in parts]) for name in parts[0]}


def _parts(plan: Plan, n_chunks: int, processes: int) -> Iterator[Table]:
    jobs = [(plan, number) for number in range(n_chunks)]
    if processes == 1:
        yield from map(_chunk, jobs)
        return
    with get_context("spawn").Pool(processes) as pool:
        yield from pool.imap(_chunk, jobs)


@lru_cache(maxsize=1)
def _tools(plan: Plan) -> tuple[ChunkMaker, Estimator]:
    torch.set_num_threads(1)
    maker = ChunkMaker(plan.settings())
    if plan.mismatch:
        maker.alteration = Mismatch(maker.spectrograph.pixels.wavelength.numpy(), plan.mismatch)
    return maker, Estimator(plan.backend, **dict(plan.options))


def _chunk(job: tuple[Plan, int]) -> Table:
    plan, number = job
    maker, estimator = _tools(plan)
    made = maker(number)
    batch = CHANGES[plan.change](made, np.random.default_rng([77, number]))
    request = Request(plan.n_draws, 1000 + number, RedshiftPriors.free(len(made)))
    return Answers(estimator.backend.infer(batch, request), made, number).table()


@dataclass(frozen=True, eq=False)
class Answers:
    """Posteriors beside the truth."""

    posterior: Posterior
    made: MockSurvey
    number: int = 0
    names: tuple[str, ...] = field(default=GALAXY.names)

    def table(self) -> Table:
        """Column -> [n]. NaN where a spectrum has no result."""
        truth, told = self.made.truth, self.posterior.diagnostics
        out: Table = {f"true_{name}": np.asarray(truth[name], np.float64) for name in self.names}
        out |= {name: np.asarray(truth[name]) for name in COPIED if name in truth}
        out["magnitude"] = np.asarray(truth[f"m_{band_name(self.made.batch.instrument)}"])
        out |= {name: value for name, value in told.items() if not name.startswith(("redshift_3", "redshift_4"))}
        out["flags"] = self.posterior.flags
        for number, name in enumerate(self.names):
            out |= self._of_one(name, number)
        out["tarp"] = self._tarp()
        return out

    def _of_one(self, name: str, number: int) -> Table:
        """Level of the truth, median, half 16-84 range and CRPS of one parameter."""
        draws = self.posterior[name]
        truth = np.asarray(self.made.truth[name], dtype=np.float64)
        low, middle, high = self.posterior.quantile(name, [0.16, 0.5, 0.84]).T
        level = levels_of(draws, truth, seed=1000 * self.number + number)
        level[~self.posterior.ok] = np.nan
        return {
            f"level_{name}": level,
            f"median_{name}": middle,
            f"sigma_{name}": 0.5 * (high - low),
            f"crps_{name}": crps(draws, truth, fair=draws.shape[1] > 1),
        }

    def _tarp(self) -> Floats:
        """[n] share of the draws that are nearer to a random point than the truth is, all parameters together.

        Uniform for a right posterior (TARP: Lemos et al. 2023, arXiv:2302.03026). The point is the truth of another
        galaxy; distances are in units of each parameter's spread.
        """
        truth = np.stack([_scale(name, self.made.truth[name]) for name in self.names], axis=-1)
        draws = np.stack([_scale(name, self.posterior[name]) for name in self.names], axis=-1)
        width = truth.std(axis=0) + 1e-9
        point = np.roll(truth, 1, axis=0) / width
        of_draws = np.linalg.norm(draws / width - point[:, None], axis=-1)
        of_truth = np.linalg.norm(truth / width - point, axis=-1)
        below = (of_draws < of_truth[:, None]).sum(axis=1)
        level = (below + np.random.default_rng(self.number).random(len(below))) / (of_draws.shape[1] + 1)
        return np.where(self.posterior.ok, level, np.nan)


def _scale(name: str, values: Any) -> Floats:
    """Parameters as distances are taken in: redshift as ln(1 + z), positive ones as logarithms."""
    value = np.asarray(values, dtype=np.float64)
    if name == "redshift":
        return np.log1p(value)
    return np.log(value) if name in {"gas_metallicity", "velocity_dispersion"} else value


def rows_where(table: Mapping[str, NDArray[Any]], inside: NDArray[np.bool_]) -> Table:
    """The rows of a table that are `inside`."""
    return {name: values[inside] for name, values in table.items()}
