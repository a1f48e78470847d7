"""Running suites: every backend answers the same spectra, shard by shard; what is finished is never lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from galfit_ml import __version__
from galfit_ml.api import Estimator
from galfit_ml.backend import Progress, Request
from galfit_ml.benchmark.answers import Answers, check_about
from galfit_ml.benchmark.errors import BenchmarkError
from galfit_ml.benchmark.real import real_shards
from galfit_ml.benchmark.spectra import Shard, make_shard, shard_names
from galfit_ml.benchmark.speed import measure
from galfit_ml.benchmark.suite import Suite
from galfit_ml.redshift_prior import RedshiftPriors
from galfit_ml.registry import registry
from galfit_ml.writing import write_whole

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
            UnknownNameError: no backend of that name (before anything is asked).
            BenchmarkError: answers in the folder are of another version or other settings; there is no backend.
        """
        if not self.backends:
            raise BenchmarkError("No backend was named: add --backends cnn,emcee, for example.")
        for name in self.backends:
            registry().info(name)
        pieces = self._pieces()
        for name in self.backends:
            folder = self.folder / name
            folder.mkdir(parents=True, exist_ok=True)
            check_about(folder, self.about(name))
            (folder / FAILURE).unlink(missing_ok=True)
            try:
                self._ask(name, folder, pieces)
            except BenchmarkError:
                raise
            except Exception as error:  # noqa: BLE001 - a backend may raise anything: it is a row with the reason
                write_whole(folder / FAILURE, f"{type(error).__name__}: {error}".encode())

    def about(self, backend: str) -> dict[str, Any]:
        """What the answers of a backend depend on."""
        options = {k: str(v) for k, v in self.options.get(backend, {}).items() if k not in NOT_OPTIONS}
        return {
            "suite": self.suite.name,
            "spectra": self.suite.digest(self.n) if self.suite.kind != "real" else f"{self.data}, {self.n}",
            "backend": backend,
            "galfit_ml": __version__,
            "options": options,
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
            measure(self.suite, name, self.options.get(name, {}), folder, self.progress)
            return
        waiting = [piece for piece in pieces if not _whole(folder, piece)]
        total = sum(piece.size for piece in pieces)
        done = total - sum(piece.size for piece in waiting)
        if not waiting:
            return
        estimator = Estimator(name, **self.options.get(name, {}))
        for piece in waiting:
            made = piece.make()
            answer(estimator, made, self.suite, self._told(name, done, total)).write(folder / f"{piece.name}.npz")
            done += piece.size
        if self.progress is not None:
            self.progress(done, total, f"{self.suite.name}: {name}")

    def _told(self, name: str, before: int, total: int) -> Progress | None:
        if self.progress is None:
            return None
        tell = self.progress
        return lambda done, _, message: tell(before + done, total, f"{self.suite.name}: {name} {message}".rstrip())


def answer(estimator: Estimator, shard: Shard, suite: Suite, progress: Progress | None) -> Answers:
    """Ask a backend for the posteriors of a shard."""
    request = Request(suite.n_draws, SEED, RedshiftPriors.free(len(shard)), progress)
    start = time.perf_counter()
    posterior = estimator.serving(shard.batch.instrument.name)[1].infer(shard.batch, request)
    return Answers.of(posterior, shard, time.perf_counter() - start, latent=suite.latent)


def _whole(folder: Path, piece: Piece) -> bool:
    """Whether a shard is answered, and as long as it is to be now."""
    path = folder / f"{piece.name}.npz"
    return path.exists() and len(Answers.read(path)) >= piece.size


def _itself(shard: Shard) -> Shard:
    return shard
