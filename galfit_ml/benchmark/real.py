"""Suites of real spectra: the sets of a folder as shards, with what survey and catalogues say as truth."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.benchmark.real_folder import RealSet, narrow_galaxies, read_real, sets_of
from galfit_ml.benchmark.spectra import Shard, measured_snr
from galfit_ml.benchmark.suite import Suite
from galfit_ml.parameters import GALAXY

CATALOGUE = {"log_stellar_mass": "logM_any", "log_sfr": "logSFR_any"}
"""Parameter -> column of the truth table: of the whole galaxy, so that `aper_corr_dex` is taken off."""

SEED = 5


def real_shards(suite: Suite, folder: Path, n: int) -> Iterator[Shard]:
    """Galaxies of all sets of a folder, n at most, in a random order that is always the same.

    Each set and instrument has shards of its own, which grow at their end when n grows.

    Raises:
        FileFormatError: arrays or columns are missing, which the message names.
    """
    sets = [read_real(folder, name) for name in sets_of(folder)]
    groups = [
        (own, instrument, _ranked(own.batches[instrument][0], ranks))
        for own, ranks in zip(sets, _ranks(sets), strict=True)
        for instrument in sorted(own.batches)
    ]
    for number, (own, instrument, (order, rank)) in enumerate(groups):
        rows, batch = own.batches[instrument]
        wanted = order[rank < n]
        for index, start in enumerate(range(0, len(wanted), suite.shard)):
            part = wanted[start : start + suite.shard]
            chosen = batch.take(part)
            truth = _truth(own, rows[part], f"{own.name} ({instrument})")
            first = (index * len(groups) + number) * suite.shard
            yield Shard(f"{number:02d}-{index:04d}", chosen, truth | {"snr": measured_snr(chosen)}, first)


def contents(folder: Path) -> str:
    """Short hash of what a folder holds, wherever it lies: its sets, and name, class and redshift of every spectrum.

    Raises:
        FileFormatError: as for `real_shards`.
    """
    digest = hashlib.sha256()
    for name in sets_of(folder):
        known = read_real(folder, name).known
        digest.update(f"{name} {len(known)}\n".encode())
        for row in known[["id", "class", "z"]].itertuples(index=False):
            digest.update(f"{row[0]} {row[1]} {row[2]!r}\n".encode())
    return digest.hexdigest()[:16]


def _ranks(sets: list[RealSet]) -> list[dict[int, int]]:
    """Row -> place among all galaxies that may be asked about: without broad lines, with a sure redshift."""
    flat = [(k, row) for k, own in enumerate(sets) for row in _usable(own)]
    found: list[dict[int, int]] = [{} for _ in sets]
    for rank, place in enumerate(np.random.default_rng(SEED).permutation(len(flat))):
        found[flat[place][0]][flat[place][1]] = rank
    return found


def _ranked(rows: NDArray[np.intp], ranks: dict[int, int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Places among `rows` of those that have a rank, by rank, and the ranks."""
    known = sorted((ranks[int(row)], place) for place, row in enumerate(rows) if int(row) in ranks)
    rank, order = np.array(known, dtype=np.intp).reshape(-1, 2).T
    return order, rank


def _usable(own: RealSet) -> list[int]:
    sure = (own.known["zwarn"] == 0).to_numpy() & (own.known["z"] > 0).to_numpy()
    return [int(row) for row in np.flatnonzero(narrow_galaxies(own.known) & sure)]


def _truth(own: RealSet, rows: NDArray[np.intp], label: str) -> dict[str, NDArray[Any]]:
    """Truth columns of a shard; NaN for what nobody has measured."""
    known = own.known.iloc[rows]
    nothing = np.full(len(rows), np.nan)
    truth: dict[str, NDArray[Any]] = dict.fromkeys(GALAXY.names, nothing)
    truth["redshift"] = known["z"].to_numpy(dtype=np.float64)
    for name, column in CATALOGUE.items():
        if {column, "aper_corr_dex"} <= set(known):
            truth[name] = (known[column] - known["aper_corr_dex"]).to_numpy(dtype=np.float64)
    truth["log_ssfr"] = truth["log_sfr"] - truth["log_stellar_mass"]
    magnitude = known.get("r_total")
    truth["magnitude"] = nothing if magnitude is None else magnitude.to_numpy(dtype=np.float64)
    truth["part"] = np.full(len(rows), label)
    truth["class"] = known["type"].fillna("").to_numpy(dtype=np.str_) if "type" in known else np.full(len(rows), "")
    return truth
