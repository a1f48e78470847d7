"""Suites of real spectra: the sets of a folder as shards, with what survey and catalogues say as truth."""

from __future__ import annotations

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
    """Galaxies of all sets of a folder, n at most, chosen at random (always the same ones), set by set.

    Raises:
        FileFormatError: arrays or columns are missing, which the message names.
    """
    sets = [read_real(folder, name) for name in sets_of(folder)]
    wanted, first = _chosen(sets, n), 0
    for number, (own, rows) in enumerate(zip(sets, wanted, strict=True)):
        index = 0
        for instrument, (places, batch) in sorted(own.batches.items()):
            mine = np.flatnonzero(np.isin(places, rows))
            for start in range(0, len(mine), suite.shard):
                part = mine[start : start + suite.shard]
                name = f"{number:02d}-{index:04d}"
                chosen = batch.take(part)
                truth = _truth(own, places[part], f"{own.name} ({instrument})")
                yield Shard(name, chosen, truth | {"snr": measured_snr(chosen)}, first)
                index, first = index + 1, first + len(part)


def _chosen(sets: list[RealSet], n: int) -> list[NDArray[np.intp]]:
    """Rows of each set: galaxies without broad lines whose redshift the survey is sure of."""
    by_set: list[list[int]] = [[] for _ in sets]
    flat = [(k, row) for k, own in enumerate(sets) for row in _usable(own)]
    for place in np.sort(np.random.default_rng(SEED).permutation(len(flat))[:n]):
        by_set[flat[place][0]].append(flat[place][1])
    return [np.asarray(rows, dtype=np.intp) for rows in by_set]


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
