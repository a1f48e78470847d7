"""What a backend answered, shard by shard, on disk: draws beside the truth, so that every score can be made again."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from galfit_ml.benchmark.errors import BenchmarkError
from galfit_ml.benchmark.spectra import Shard
from galfit_ml.flags import Flag
from galfit_ml.posterior import Posterior
from galfit_ml.writing import write_whole

KEPT = ("redshift_1", "redshift_probability_1", "redshift_quality", "effective_samples")
"""Diagnostics that are kept, where a backend has them."""

PLAIN = ("draws", "number", "flags", "reasons", "ids", "embedding", "seconds")
"""Arrays that stand in the file as they are."""

ABOUT = "about.json"


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers to n spectra.

    Args:
        names: parameters, in the order of the draws' last axis.
        draws: [n, n_draws, n_par]; NaN where there is no answer.
        number: [n] of each spectrum among all of the suite.
        flags, reasons, ids: [n].
        truth: column -> [n].
        told: diagnostic -> [n]; NaN where the backend has none of that name.
        embedding: [n, k]; k = 0 without.
        seconds: [n] of a shard over its spectra.
    """

    names: tuple[str, ...]
    draws: NDArray[np.float32]
    number: NDArray[np.int64]
    flags: NDArray[np.int64]
    reasons: NDArray[np.str_]
    ids: NDArray[np.str_]
    truth: dict[str, NDArray[Any]]
    told: dict[str, NDArray[np.float64]]
    embedding: NDArray[np.float32]
    seconds: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.flags)

    @property
    def all_failed(self) -> bool:
        """Whether no spectrum has an answer."""
        return bool(((self.flags & int(Flag.FAILED)) != 0).all())

    @classmethod
    def of(cls, posterior: Posterior, shard: Shard, seconds: float, *, latent: bool) -> Answers:
        """From a posterior of a shard that took so long."""
        n = len(shard)
        nothing = np.full(n, np.nan)
        embedding = posterior.embedding if latent and posterior.embedding is not None else np.zeros((n, 0))
        return cls(
            tuple(posterior.parameters.names),
            posterior.draws.astype(np.float32),
            shard.first + np.arange(n),
            posterior.flags,
            np.asarray(posterior.reasons, dtype=np.str_),
            np.asarray(shard.batch.ids, dtype=np.str_),
            shard.truth,
            {k: np.asarray(posterior.diagnostics.get(k, nothing), dtype=np.float64) for k in KEPT},
            embedding.astype(np.float32),
            np.full(n, seconds / n),
        )

    def write(self, path: Path) -> None:
        """To an .npz file, whole or not at all."""
        arrays: dict[str, Any] = {k: getattr(self, k) for k in PLAIN} | {"names": np.asarray(self.names)}
        arrays |= {f"truth.{k}": v for k, v in self.truth.items()}
        arrays |= {f"told.{k}": v for k, v in self.told.items()}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        write_whole(path, buffer.getvalue())

    @classmethod
    def read(cls, path: Path) -> Answers:
        """From such a file; BenchmarkError where it is damaged."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
                arrays = {key: data[key] for key in data.files}
            parts = [
                {k.partition(".")[2]: v for k, v in arrays.items() if k.startswith(p)} for p in ("truth.", "told.")
            ]
            own = {k: arrays[k] for k in PLAIN}
            return cls(names=tuple(map(str, arrays["names"])), truth=parts[0], told=parts[1], **own)
        except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
            raise BenchmarkError(f"'{path}' is damaged ({error}). Delete it, and run the benchmark again.") from error


def joined(parts: Sequence[Answers]) -> Answers:
    """Answers one after the other; truth columns that not all have are left out.

    A shard in which every spectrum failed has no embedding: it gets one of NaN, as wide as that of the others.
    """
    parts = _as_wide(parts)
    first = parts[0]
    if any(part.names != first.names for part in parts):
        raise BenchmarkError("Shards of one backend report different parameters: they are of different versions.")
    if len({part.embedding.shape[1] for part in parts}) > 1:
        raise BenchmarkError("Shards of one backend have different latent spaces: they are of different suites.")
    columns = [key for key in first.truth if all(key in part.truth for part in parts)]

    def column(name: str) -> Any:
        return np.concatenate([getattr(part, name) for part in parts])

    return Answers(
        first.names,
        column("draws"),
        column("number"),
        column("flags"),
        column("reasons"),
        column("ids"),
        {key: np.concatenate([part.truth[key] for part in parts]) for key in columns},
        {key: np.concatenate([part.told[key] for part in parts]) for key in first.told},
        column("embedding"),
        column("seconds"),
    )


def _as_wide(parts: Sequence[Answers]) -> list[Answers]:
    width = max(part.embedding.shape[1] for part in parts)
    return [
        replace(part, embedding=np.full((len(part), width), np.nan, dtype=np.float32))
        if part.all_failed and part.embedding.shape[1] == 0
        else part
        for part in parts
    ]


def read_about(folder: Path) -> dict[str, Any]:
    """What the answers in a folder depend on.

    Raises:
        BenchmarkError: the file is damaged.
    """
    path = folder / ABOUT
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise BenchmarkError(
            f"'{path}' is damaged ({error}). Delete '{folder}', and run the benchmark again."
        ) from error
