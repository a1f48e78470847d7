"""Parts of several posteriors under one another: rows without a part get NaN, narrower parts are padded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from galfit_ml.companions import BestFit, StarFormationHistories, Trace
from galfit_ml.saliency import KEPT, Source

if TYPE_CHECKING:
    from galfit_ml.posterior import Posterior

Part = TypeVar("Part", BestFit, Trace)


def joined_parts(pieces: Sequence[Posterior]) -> dict[str, Any]:
    """Every part of the joined posterior but its parameters and draws, by the name of the field.

    Raises:
        ValueError: embeddings or histories do not match.
    """
    return {
        "ids": tuple(i for p in pieces for i in p.ids),
        "flags": np.concatenate([p.flags for p in pieces]),
        "reasons": tuple(r for p in pieces for r in p.reasons),
        "best_fit": _join(BestFit, [p.best_fit for p in pieces], [len(p) for p in pieces]),
        "embedding": _join_embeddings(pieces),
        "diagnostics": _join_diagnostics(pieces),
        "provenance": _join_provenance(pieces),
        "sources": _join_sources(pieces),
        "histories": _join_histories(pieces),
        "trace": _join(Trace, [p.trace for p in pieces], [len(p) for p in pieces]),
    }


def _join(kind: type[Part], parts: Sequence[Part | None], rows: Sequence[int]) -> Part | None:
    """Every array of the parts under one another; None where no piece has the part."""
    if all(part is None for part in parts):
        return None
    arrays: dict[str, Any] = {f.name: _stacked([getattr(p, f.name, None) for p in parts], rows) for f in fields(kind)}
    return kind(**arrays)


def _stacked(arrays: Sequence[NDArray[Any] | None], rows: Sequence[int]) -> NDArray[Any] | None:
    """Arrays [rows, ...] under one another, padded to the largest with NaN, 0 or False; None where all are None."""
    known = [a for a in arrays if a is not None]
    if not known:
        return None
    shape = (sum(rows), *np.max([a.shape[1:] for a in known], axis=0, initial=0).astype(int))
    dtype = np.result_type(*known)
    joined = np.full(shape, np.nan if dtype.kind == "f" else 0, dtype=dtype)
    start = 0
    for array, n in zip(arrays, rows, strict=True):
        if array is not None:
            joined[(slice(start, start + n), *(slice(size) for size in array.shape[1:]))] = array
        start += n
    return joined


def _join_histories(pieces: Sequence[Posterior]) -> StarFormationHistories | None:
    known = [p.histories for p in pieces if p.histories is not None]
    if not known:
        return None
    if any(not np.array_equal(h.lookback, known[0].lookback) for h in known):
        raise ValueError(
            "Star-formation histories in different bins of lookback time cannot be joined: these posteriors come from "
            "different backends or options. Keep them apart, or drop them: dataclasses.replace(p, histories=None)."
        )
    sfr = _stacked([None if p.histories is None else p.histories.sfr for p in pieces], [len(p) for p in pieces])
    assert sfr is not None
    return StarFormationHistories(known[0].lookback, sfr)


def _join_embeddings(pieces: Sequence[Posterior]) -> NDArray[Any] | None:
    known = [p.embedding for p in pieces if p.embedding is not None]
    if not known:
        return None
    width = known[0].shape[1]
    return np.concatenate([np.full((len(p), width), np.nan) if p.embedding is None else p.embedding for p in pieces])


def _join_diagnostics(pieces: Sequence[Posterior]) -> dict[str, NDArray[np.float64]]:
    names = dict.fromkeys(k for p in pieces for k in p.diagnostics)
    return {k: np.concatenate([p.diagnostics.get(k, np.full(len(p), np.nan)) for p in pieces]) for k in names}


def _join_sources(pieces: Sequence[Posterior]) -> tuple[Source | None, ...]:
    """Sources of all rows, while there are not too many to keep."""
    if sum(len(p) for p in pieces) > KEPT or not any(p.sources for p in pieces):
        return ()
    return tuple(source for p in pieces for source in p.sources or (None,) * len(p))


def _join_provenance(pieces: Sequence[Posterior]) -> dict[str, str]:
    keys = dict.fromkeys(k for p in pieces for k in p.provenance)
    return {k: "; ".join(dict.fromkeys(p.provenance[k] for p in pieces if k in p.provenance)) for k in keys}
