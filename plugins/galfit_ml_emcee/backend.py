"""`EmceeBackend`: redshift scan over the whole range, then chains around every redshift that matters."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from galfit_ml.backend import Request
from galfit_ml.errors import GalfitMLError
from galfit_ml.parameters import GALAXY, ParameterSet
from galfit_ml.posterior import Posterior, concatenate
from galfit_ml.simulate.threads import one_thread
from galfit_ml.spectra import SpectrumBatch
from galfit_ml.workers import News, check_workers, run_tasks
from galfit_ml_emcee.fit_one import Machine
from galfit_ml_emcee.line_error import RELATIVE_ERROR
from galfit_ml_emcee.options import Options
from galfit_ml_emcee.settings import SamplerSettings
from galfit_ml_emcee.solutions import LEAST_PROBABILITY
from galfit_ml_emcee.trim import Native

Task = tuple[SpectrumBatch, Request]


class EmceeBackend:
    """Template fit with emcee.

    Args:
        workers: processes over spectra; the answers do not depend on it.
        resume: folder in which chains are kept; the same call goes on from there after it was stopped.
        n_effective: independent samples wanted of redshift and stellar mass; two fifths of it of the other parameters.
        max_steps: cap on the steps of a chain; a chain that stops there is flagged NOT_CONVERGED.
        n_walkers: even, at least 56.
        effort: share of the work that goes into learning the proposal; below 1 for quick looks, whose chains mix badly.
        line_error: relative error of the ratios of emission lines beyond the photoionisation grid; 0 to trust it.
        least_probability: redshifts less probable than this get no chain of their own but draws from the scan's
            templates; a larger value makes faint spectra, which have many of them, faster.

    Raises:
        ValueError: a value that makes no sense.
    """

    parameters: ParameterSet = GALAXY

    def __init__(
        self,
        *,
        workers: int | None = None,
        resume: str | Path | None = None,
        n_effective: float = 500.0,
        max_steps: int = 400,
        n_walkers: int = 56,
        effort: float = 1.0,
        line_error: float = RELATIVE_ERROR,
        least_probability: float = LEAST_PROBABILITY,
    ) -> None:
        self.workers = check_workers(workers)
        sampler = SamplerSettings(
            n_walkers,
            max_steps=max_steps,
            n_effective=n_effective,
            n_effective_others=0.4 * n_effective,
        ).eased(effort)
        self.options = Options(sampler, line_error, least_probability, None if resume is None else Path(resume))
        self._machine = Machine(self.options)

    def __getstate__(self) -> dict[str, object]:
        return {"workers": self.workers, "options": self.options}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__ |= state
        self._machine = Machine(self.options)

    def infer(self, batch: SpectrumBatch, request: Request) -> Posterior:
        """Posterior of every spectrum; one that cannot be fitted is a flagged row with its reason."""
        names = _distinct(batch.ids)
        tasks = [
            (replace(batch.take([i]), ids=(names[i],)), replace(request.take([i]), progress=None))
            for i in range(len(batch))
        ]
        tell = _Teller(request, batch)
        outcomes = run_tasks(partial(_fit, self), tasks, self.workers, on_done=tell.done, on_news=tell.news)
        rows = [
            outcome.unwrap() if outcome.ok or outcome.details else _failed(task, outcome.error)
            for outcome, task in zip(outcomes, tasks, strict=True)
        ]
        return replace(concatenate(rows), ids=batch.ids)

    def fit(self, batch: SpectrumBatch, request: Request, news: News) -> Posterior:
        """Posterior of the only spectrum of a batch."""
        with torch.no_grad(), one_thread():
            try:
                return self._machine.fit(Native.of(batch), request, news)
            # emcee and numpy.linalg say with a ValueError that a chain or a matrix is degenerate.
            except (GalfitMLError, RuntimeError, ValueError, ArithmeticError) as error:
                return _failed((batch, request), str(error))


def _fit(backend: EmceeBackend, task: Task, news: News) -> Posterior:
    return backend.fit(*task, news)


def _failed(task: Task, reason: str) -> Posterior:
    batch, request = task
    return Posterior.failed(GALAXY, request.n_samples, list(batch.ids), [reason], int(batch.flags[0]))


def _distinct(ids: tuple[str, ...]) -> list[str]:
    """The names, those that stand twice numbered: each is the name of a file."""
    taken, out = set(ids), []
    for name in ids:
        new, number = name, 1
        while new in out or (new != name and new in taken):
            number += 1
            new = f"{name}-{number}"
        out.append(new)
    return out


class _Teller:
    """Progress of several spectra at once: how many are done, and how far the last one heard of is."""

    def __init__(self, request: Request, batch: SpectrumBatch) -> None:
        self.progress, self.ids, self.n_done = request.progress, batch.ids, 0

    def done(self, index: int, n_done: int, n_total: int) -> None:
        """A spectrum is finished."""
        self.n_done = n_done
        if self.progress is not None:
            self.progress(n_done, n_total, self.ids[index])

    def news(self, index: int, share: float) -> None:
        """A spectrum has got on."""
        if self.progress is not None:
            self.progress(self.n_done, len(self.ids), f"{self.ids[index]}: {share:.0%} of the chain")
