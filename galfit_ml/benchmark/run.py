"""Running suites: every backend answers the same spectra, shard by shard; what is finished is never lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from galfit_ml import __version__
from galfit_ml.api import Estimator
from galfit_ml.backend import Progress, Request
from galfit_ml.benchmark.answers import Answers
from galfit_ml.benchmark.code_state import code_state
from galfit_ml.benchmark.errors import BenchmarkError
from galfit_ml.benchmark.folder import AnswerFolder, opened
from galfit_ml.benchmark.real import contents, real_shards
from galfit_ml.benchmark.spectra import Shard, make_shard, shard_names
from galfit_ml.benchmark.speed import measure
from galfit_ml.benchmark.suite import Suite
from galfit_ml.benchmark.table import machine
from galfit_ml.errors import WriteError, unknown_name
from galfit_ml.redshift_prior import RedshiftPriors
from galfit_ml.registry import registry
from galfit_ml.writing import write_whole

T = TypeVar("T")

SEED = 1
"""Of the backends' random numbers."""

NOT_OPTIONS = ("workers", "threads", "device", "resume")
"""Options that do not change an answer: a run may go on with others."""

RAN_WITH = ("workers", "threads", "device")
"""Those of them that change how long it takes."""

FAILURE = "failed.txt"


@dataclass(frozen=True)
class Piece:
    """A shard that can be made: its name, its size, and how."""

    name: str
    size: int
    make: Callable[[], Shard]


@dataclass(frozen=True)
class Run:
    """A run of one suite.

    Args:
        suite: what is asked.
        backends: names.
        n: spectra; shards that are answered already are not asked again, but for one that grows with n.
        out: folder of the results: one folder a suite in it, in that one a backend.
        options: backend -> options of its constructor.
        data: folder of real spectra, for suites of these.
        progress: called as progress(done, total, message), or None.
    """

    suite: Suite
    backends: Sequence[str]
    n: int
    out: Path
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    data: Path | None = None
    progress: Progress | None = None

    @property
    def folder(self) -> Path:
        """Of the suite's results."""
        return self.out / self.suite.name

    def __call__(self) -> None:
        """Ask every backend; one that fails leaves its reason in a file, and the others go on.

        Raises:
            UnknownNameError: no backend of that name (before anything is asked), or options of one that is not asked;
                a name in the suite that does not exist.
            BenchmarkError: answers in the folder are of another version, other settings or other spectra, or another
                run writes there; there is no backend.
            WriteError: the folder cannot be written to.
        """
        if not self.backends:
            raise BenchmarkError("No backend was named: add --backends cnn,emcee, for example.")
        for name in self.backends:
            registry().info(name)
        for name in self.options:
            if name not in self.backends:
                raise unknown_name("backend to give an option to", name, self.backends)
        pieces = self._pieces()
        for name in self.backends:
            about, same = self.about(name), self.suite.same_for_any_n
            with opened(self.folder / name, about, same_for_any_n=same) as folder:
                (folder.path / FAILURE).unlink(missing_ok=True)
                try:
                    self._ask(name, folder, pieces)
                except _BackendError as error:
                    reason = error.args[0]
                    write_whole(folder.path / FAILURE, f"{type(reason).__name__}: {reason}".encode())

    def about(self, backend: str) -> dict[str, Any]:
        """What the answers of a backend depend on, and the machine.

        `AnswerFolder.write` adds what need not be the same: the states of the `code`, and with what it `ran`.
        """
        options = {k: str(v) for k, v in self.options.get(backend, {}).items() if k not in NOT_OPTIONS}
        return {
            "suite": self.suite.name,
            "spectra": self._spectra,
            "backend": backend,
            "galfit_ml": __version__,
            "options": options,
            "asked": [self.suite.n_draws, self.suite.shard, self.suite.latent],
            "machine": machine(),
        }

    @cached_property
    def _spectra(self) -> str:
        """Changes with the spectra: of a suite of mocks its digest, of real ones the contents of their folder."""
        if self.suite.kind != "real" or self.data is None:
            return self.suite.digest(self.n)
        return contents(self.data)

    def _pieces(self) -> list[Piece]:
        if self.suite.kind != "real":
            named = shard_names(self.suite, self.n)
            return [Piece(name, size, partial(make_shard, self.suite, self.n, name, size)) for name, size in named]
        if self.data is None:
            raise BenchmarkError(
                f"The suite '{self.suite.name}' needs a folder of real spectra: add --data FOLDER. docs/real_data.md "
                "says what it holds."
            )
        found = list(real_shards(self.suite, self.data, self.n))
        return [Piece(shard.name, len(shard), partial(_itself, shard)) for shard in found]

    def _ask(self, name: str, folder: AnswerFolder, pieces: Sequence[Piece]) -> None:
        code = code_state("galfit_ml", registry().info(name).target.partition(":")[0].partition(".")[0])
        if self.suite.kind == "speed":
            suite = replace(self.suite, n=self.n)
            _of_backend(partial(measure, suite, name, self.options.get(name, {}), folder.path, self.progress))
            folder.note(ran_with(None, self.options.get(name, {})), code, anew=True)
            return
        waiting = [piece for piece in pieces if not folder.holds(piece.name, piece.size)]
        total = sum(piece.size for piece in pieces)
        done = total - sum(piece.size for piece in waiting)
        if not waiting:
            return
        estimator = _of_backend(partial(Estimator, name, **self.options.get(name, {})))
        ran = ran_with(estimator.backend, self.options.get(name, {}))
        for piece in waiting:
            made = piece.make()
            found = _of_backend(partial(answer, estimator, made, self.suite, self._told(name, done, total)))
            folder.write(piece.name, found, ran, code)
            done += piece.size
        if self.progress is not None:
            self.progress(done, total, f"{self.suite.name}: {name}")

    def _told(self, name: str, before: int, total: int) -> Progress | None:
        if self.progress is None:
            return None
        tell = self.progress
        return lambda done, _, message: tell(before + done, total, f"{self.suite.name}: {name} {message}".rstrip())


class _BackendError(Exception):
    """Carries what a backend raised, so that what others raise is not taken for its failure."""


def _of_backend(call: Callable[[], T]) -> T:
    try:
        return call()
    except WriteError:
        raise
    except Exception as error:
        raise _BackendError(error) from error


def answer(estimator: Estimator, shard: Shard, suite: Suite, progress: Progress | None) -> Answers:
    """Ask a backend for the posteriors of a shard; spectra that reading found unusable are failed rows, as for users.

    Raises:
        ValueError: the backend answered another number of spectra than it was asked for.
    """
    request = Request(suite.n_draws, SEED, RedshiftPriors.free(len(shard)), progress)
    start = time.perf_counter()
    posterior = estimator.infer_batch(shard.batch, request)
    return Answers.of(posterior, shard, time.perf_counter() - start, latent=suite.latent)


def ran_with(backend: object, options: Mapping[str, Any]) -> dict[str, str]:
    """The machine, and of workers, threads and device what the user chose or the backend tells."""
    told = {key: options.get(key, getattr(backend, key, None)) for key in RAN_WITH}
    return {"machine": machine(), **{key: str(value) for key, value in told.items() if value is not None}}


def _itself(shard: Shard) -> Shard:
    return shard
