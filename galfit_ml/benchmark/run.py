"""Running suites: every backend answers the same spectra, shard by shard; what is finished is never lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from galfit_ml import __version__
from galfit_ml.api import Estimator
from galfit_ml.backend import Progress, Request
from galfit_ml.benchmark.answers import Answers, check_about, check_spectra
from galfit_ml.benchmark.errors import BenchmarkError
from galfit_ml.benchmark.real import real_shards
from galfit_ml.benchmark.spectra import Shard, make_shard, shard_names
from galfit_ml.benchmark.speed import measure
from galfit_ml.benchmark.suite import Suite
from galfit_ml.benchmark.table import machine
from galfit_ml.errors import WriteError, unknown_name
from galfit_ml.redshift_prior import RedshiftPriors
from galfit_ml.registry import registry
from galfit_ml.writing import cannot_write, write_whole

T = TypeVar("T")

SEED = 1
"""Of the backends' random numbers."""

NOT_OPTIONS = ("workers", "threads", "device", "resume")
"""Options that do not change an answer: a run may go on with others."""

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
        n: spectra; those that are answered already are not asked again.
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
            BenchmarkError: answers in the folder are of another version, other settings or other spectra; there is no
                backend.
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
            folder = self._prepared(name)
            try:
                self._ask(name, folder, pieces)
            except _BackendError as error:
                reason = error.args[0]
                write_whole(folder / FAILURE, f"{type(reason).__name__}: {reason}".encode())

    def _prepared(self, backend: str) -> Path:
        """The folder of a backend, in which answers to the same questions alone may lie."""
        folder = self.folder / backend
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(folder, error) from error
        if self.suite.same_for_any_n:
            check_spectra(self.folder, self.about(backend))
        check_about(folder, self.about(backend))
        (folder / FAILURE).unlink(missing_ok=True)
        return folder

    def about(self, backend: str) -> dict[str, Any]:
        """What the answers of a backend depend on, and the machine."""
        options = {k: str(v) for k, v in self.options.get(backend, {}).items() if k not in NOT_OPTIONS}
        return {
            "suite": self.suite.name,
            "spectra": self.suite.digest(self.n) if self.suite.kind != "real" else f"{self.data}",
            "backend": backend,
            "galfit_ml": __version__,
            "options": options,
            "asked": [self.suite.n_draws, self.suite.shard, self.suite.latent],
            "machine": machine(),
        }

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

    def _ask(self, name: str, folder: Path, pieces: Sequence[Piece]) -> None:
        if self.suite.kind == "speed":
            suite = replace(self.suite, n=self.n)
            _of_backend(partial(measure, suite, name, self.options.get(name, {}), folder, self.progress))
            return
        waiting = [piece for piece in pieces if not _whole(folder, piece)]
        total = sum(piece.size for piece in pieces)
        done = total - sum(piece.size for piece in waiting)
        if not waiting:
            return
        estimator = _of_backend(partial(Estimator, name, **self.options.get(name, {})))
        for piece in waiting:
            made = piece.make()
            found = _of_backend(partial(answer, estimator, made, self.suite, self._told(name, done, total)))
            found.write(folder / f"{piece.name}.npz")
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


def _whole(folder: Path, piece: Piece) -> bool:
    """Whether a shard is answered, and as long as it is to be now."""
    path = folder / f"{piece.name}.npz"
    return path.exists() and len(Answers.read(path)) >= piece.size


def _itself(shard: Shard) -> Shard:
    return shard
