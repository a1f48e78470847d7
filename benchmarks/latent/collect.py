"""Answers of the network to spectra, and beside them what its embedding is compared with: kept piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.latent.spectra import over_continuum
from benchmarks.network.measure import Report, Table
from benchmarks.network.suites import checksum_of
from benchmarks.real_sdss import galaxies, read_set
from galfit_ml.backend import Request
from galfit_ml.parameters import GALAXY
from galfit_ml.prepare import Preparation, Prepared, prepare
from galfit_ml.redshift_prior import RedshiftPriors
from galfit_ml.simulate.surveys import ChunkMaker, make_settings
from galfit_ml.spectra import SpectrumBatch
from galfit_ml_cnn.backend import CnnBackend
from galfit_ml_cnn.inputs import look
from galfit_ml_cnn.network import GalaxyNetwork, truth_in_bins
from galfit_ml_cnn.weights import Trained, shipped

PIECE = 256
N_DRAWS = 100
MAGNITUDE = (20.0, 22.0)
"""Total AB magnitude in the instrument's band, H for MOONS."""

TRUTH = ("class", "log_ssfr", "bulge_to_total_light", "bulge_to_total_mass", "m_h_total", "snr")


@dataclass(frozen=True)
class Source:
    """Where spectra come from.

    Args:
        kind: "mocks" of an instrument, or "real": the set `sdss_cosmicds` of a data folder.
        instrument: name.
        n: spectra; a multiple of `PIECE` for mocks.
        weights: file of weights.
        data: folder of real spectra.
        seed: of mocks and draws.
    """

    kind: str
    instrument: str
    n: int
    weights: Path
    data: Path = Path()
    seed: int = 801

    @property
    def made_of(self) -> str:
        """What every piece depends on; mocks of a smaller run are part of a larger one."""
        weights = checksum_of(self.weights, flags=False)
        return f"{self.kind} {self.instrument} {MAGNITUDE} seed {self.seed} weights {weights}"


def collect(source: Source, folder: Path, processes: int, report: Report) -> Table:
    """A row for each spectrum; pieces that are in the folder already are read.

    Raises:
        ValueError: a piece there was made with other weights or settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made_of = source.made_of
    paths = [folder / f"{number:04d}.npz" for number in range(-(-source.n // PIECE))]
    jobs = [(source, number, path, made_of) for number, path in enumerate(paths) if not path.is_file()]
    for done, _ in enumerate(_worked(jobs, processes), start=len(paths) - len(jobs) + 1):
        report(done, len(paths), "pieces")
    parts = [_read(path, made_of) for path in paths]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


Job = tuple[Source, int, Path, str]


def _worked(jobs: list[Job], processes: int) -> Iterator[None]:
    if processes == 1:
        yield from map(_piece, jobs)
        return
    with get_context("spawn").Pool(processes) as pool:
        yield from pool.imap(_piece, jobs)


def _read(path: Path, made_of: str) -> Table:
    with np.load(path) as kept:
        if str(kept["made_of"]) != made_of:
            raise ValueError(f"'{path}' was made with other weights or settings; name another --out, or delete it.")
        return {name: kept[name] for name in kept.files if name != "made_of"}


def _piece(job: Job) -> None:
    source, number, path, made_of = job
    torch.set_num_threads(1)
    batch, known = (_mocks if source.kind == "mocks" else _real)(source, number)
    table = {**known, **answers(batch, np.asarray(known["true_redshift"]), source, 1000 + number)}
    partial = path.with_name(f"{path.stem}.partial.npz")
    np.savez_compressed(partial, made_of=np.array(made_of), **table)
    partial.replace(path)


@lru_cache(maxsize=1)
def _maker(instrument: str, n: int, seed: int) -> ChunkMaker:
    return ChunkMaker(
        make_settings(instrument, n, "moonrise", seed, exposure="8h", tier=2, magnitude=MAGNITUDE)  # type: ignore[arg-type]
    )


def _mocks(source: Source, number: int) -> tuple[SpectrumBatch, Table]:
    made = _maker(source.instrument, source.n, source.seed)(number)
    known: Table = {f"true_{name}": np.asarray(made.truth[name], np.float64) for name in GALAXY.names}
    return made.batch, known | {name: np.asarray(made.truth[name]) for name in TRUTH if name in made.truth}


def _real(source: Source, number: int) -> tuple[SpectrumBatch, Table]:
    import pandas as pd

    truth = pd.read_csv(source.data / "sdss_cosmicds_truth.csv")
    rows = np.arange(number * PIECE, min((number + 1) * PIECE, len(truth)))
    batch, meta = read_set(source.data, "sdss_cosmicds", rows)
    own = truth.iloc[rows]
    known: Table = {"true_redshift": own["z"].to_numpy(np.float64), "narrow": galaxies(meta)}
    known["class"] = own["type"].fillna("").to_numpy().astype("U8")
    return batch, known


@lru_cache(maxsize=1)
def _backend(weights: Path) -> CnnBackend:
    return CnnBackend(weights, threads=1)


def answers(batch: SpectrumBatch, redshift: NDArray[np.float64], source: Source, seed: int) -> Table:
    """Column -> [n] or [n, k]: embedding, medians, signal-to-noise, spectra over continuum, untrained embedding."""
    backend = _backend(source.weights)
    trained = backend.trained_for(batch.instrument.name)
    layout = trained.network.layout
    posterior = backend.infer(batch, Request(N_DRAWS, seed, RedshiftPriors.free(len(batch))))
    if posterior.embedding is None:
        raise ValueError("The network gave no embedding.")
    seen = prepare(batch, Preparation(layout.grid))
    out: Table = {"embedding": posterior.embedding.astype(np.float32), "ok": posterior.ok}
    out |= {f"median_{name}": value for name, value in posterior.median().items()}
    out["signal_to_noise"] = posterior.diagnostics["signal_to_noise"]
    out["untrained"] = _untrained_embedding(trained, seen, redshift)
    out["observed"] = over_continuum(seen, layout)
    out["rest"] = over_continuum(seen, layout, redshift)
    return out


def untrained(trained: Trained, seed: int = 0) -> GalaxyNetwork:
    """A network of the same sizes with the weights that training begins with."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GalaxyNetwork(trained.network.layout, trained.network.architecture).eval()


@torch.no_grad()
def _untrained_embedding(trained: Trained, seen: Prepared, redshift: NDArray[np.float64]) -> NDArray[np.float32]:
    """[n, n_embedding] of a network with random weights, read at the true redshift."""
    network = untrained(trained)
    bins, _ = truth_in_bins(torch.as_tensor(np.array(redshift)), network.layout)
    parts = []
    for rows in np.array_split(np.arange(len(seen.flux)), max(1, len(seen.flux) // 16)):
        inputs = look(torch.as_tensor(seen.flux[rows]).float(), torch.as_tensor(seen.ivar[rows]).float(), 6)
        _, rest, summary = network.features(inputs)
        parts.append(network.embedding(rest, summary, bins[rows]).numpy())
    return np.concatenate(parts)


def weights_for(instrument: str, given: Path | None) -> Path:
    """The file of weights: the one given, or the one that comes with the package."""
    return given or shipped(instrument)
