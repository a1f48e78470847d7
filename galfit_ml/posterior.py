"""`Posterior`: named draws for each spectrum, with summaries, flags and what they were made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.companions import BestFit, StarFormationHistories, Trace
from galfit_ml.errors import GalfitMLError
from galfit_ml.flags import Flag
from galfit_ml.joining import joined_parts
from galfit_ml.parameters import ParameterSet
from galfit_ml.saliency import Saliency, Source

if TYPE_CHECKING:
    import pandas as pd
    from astropy.table import QTable
    from matplotlib.figure import Figure

__all__ = ["BestFit", "Posterior", "StarFormationHistories", "Trace", "concatenate"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Posterior:
    """Posterior draws of n spectra.

    Args:
        parameters: the n_par parameters, in the order of the draws' last axis.
        draws: [n, n_draws, n_par]; equal weights; NaN where a parameter cannot be given (and the whole row if FAILED).
        ids: n names.
        flags: [n] bits of `Flag`.
        reasons: n texts, "" where nothing failed.
        best_fit: observed and model spectra, or None.
        embedding: [n, n_features] latent features, or None.
        diagnostics: name -> [n] numbers about the inference (acceptance, effective sample size, ...).
        provenance: what made it: backend, version, seed, instrument, options.
        sources: where each of the n rows comes from, None where nothing can be asked of it any more; or ().
        histories: draws of the star-formation rate against lookback time, or None.
        trace: every step of the sampler's walkers, or None.

    `posterior["redshift"]` is the [n, n_draws] array of draws; `posterior[3]` and `posterior[2:5]` are posteriors of
    fewer spectra.
    """

    parameters: ParameterSet
    draws: Floats
    ids: tuple[str, ...]
    flags: NDArray[np.int64]
    reasons: tuple[str, ...]
    best_fit: BestFit | None = None
    embedding: Floats | None = None
    diagnostics: Mapping[str, Floats] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[Source | None, ...] = ()
    histories: StarFormationHistories | None = None
    trace: Trace | None = None

    def __post_init__(self) -> None:
        n = len(self.ids)
        if self.draws.ndim != 3 or self.draws.shape[0] != n or self.draws.shape[2] != len(self.parameters):
            raise ValueError(f"draws must be [{n}, n_draws, {len(self.parameters)}], not {self.draws.shape}.")
        if len(self.flags) != n or len(self.reasons) != n or any(len(v) != n for v in self.diagnostics.values()):
            raise ValueError(f"flags, reasons and diagnostics must have {n} rows.")
        parts = (self.best_fit, self.embedding, self.histories, self.trace)
        if any(part is not None and len(part) != n for part in parts):
            raise ValueError(f"best_fit, embedding, histories and trace must have {n} rows.")
        if self.trace is not None and self.trace.n_parameters != len(self.parameters):
            raise ValueError(f"The trace must hold the {len(self.parameters)} parameters of the draws, in their order.")

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, key: str | int | slice | Sequence[int] | NDArray[Any]) -> Any:
        if isinstance(key, str):
            return self.draws[:, :, self.parameters.index(key)]
        if isinstance(key, (int, np.integer)) and not -len(self) <= key < len(self):
            raise IndexError(f"Spectrum {key} asked for, but this posterior holds {len(self)}.")
        return self.take(np.atleast_1d(np.arange(len(self))[key]))

    def __repr__(self) -> str:
        backend = self.provenance.get("backend", "unknown backend")
        names = ", ".join(self.parameters.names)
        return f"<Posterior of {len(self)} spectra, {self.n_draws} draws of {names} ({backend})>"

    @property
    def n_draws(self) -> int:
        """Draws per spectrum."""
        return int(self.draws.shape[1])

    @property
    def units(self) -> dict[str, str]:
        """Unit of each parameter's draws, `dex(...)` for logarithms."""
        return {p.name: p.column_unit for p in self.parameters}

    @property
    def ok(self) -> NDArray[np.bool_]:
        """[n] True where there is a result."""
        return (self.flags & Flag.FAILED) == 0

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> Posterior:
        """The posterior of the spectra `rows`, in that order."""
        index = np.asarray(rows, dtype=np.intp)
        return replace(
            self,
            draws=self.draws[index],
            ids=tuple(self.ids[i] for i in index),
            flags=self.flags[index],
            reasons=tuple(self.reasons[i] for i in index),
            best_fit=None if self.best_fit is None else self.best_fit.take(index),
            embedding=None if self.embedding is None else self.embedding[index],
            diagnostics={k: v[index] for k, v in self.diagnostics.items()},
            sources=tuple(self.sources[i] for i in index) if self.sources else (),
            histories=None if self.histories is None else self.histories.take(index),
            trace=None if self.trace is None else self.trace.take(index),
        )

    def median(self) -> dict[str, Floats]:
        """Posterior median of each parameter, name -> [n]."""
        return {p.name: self.quantile(p.name, 0.5) for p in self.parameters}

    def quantile(self, name: str, probability: float | Sequence[float]) -> Floats:
        """Quantiles of one parameter's draws: [n], or [n, k] for k probabilities; NaN where draws are NaN."""
        return np.moveaxis(np.quantile(self[name], probability, axis=1), -1, 0)

    def interval(self, level: float = 0.68) -> dict[str, Floats]:
        """Equal-tailed credible interval of each parameter, name -> [n, 2]; ValueError unless 0 < level < 1."""
        if not 0 < level < 1:
            raise ValueError(f"A credible level lies between 0 and 1, got {level}. Write 0.68 for 68 %.")
        tails = [0.5 - level / 2, 0.5 + level / 2]
        return {p.name: self.quantile(p.name, tails) for p in self.parameters}

    def pdf(self, name: str, bins: int = 100) -> tuple[Floats, Floats]:
        """Histogram density of one parameter.

        Returns:
            centres [n, bins] and density [n, bins] (per unit of the parameter; integrates to 1), each row over the
            range of its own draws; NaN rows where there are no draws.
        """
        draws = self[name]
        centres, density = np.full((len(self), bins), np.nan), np.full((len(self), bins), np.nan)
        for i, row in enumerate(draws):
            if not np.isfinite(row).all():
                continue
            pad = 0.05 * np.ptp(row) or 1e-6 * max(1.0, abs(float(row[0])))
            height, edges = np.histogram(row, bins=bins, range=(row.min() - pad, row.max() + pad), density=True)
            centres[i], density[i] = 0.5 * (edges[1:] + edges[:-1]), height
        return centres, density

    def table(self) -> QTable:
        """One row per spectrum: id, q16/q50/q84 of each parameter with units, flags in bits and words, reason."""
        from galfit_ml.summary import to_table

        return to_table(self)

    def to_pandas(self) -> pd.DataFrame:
        """`table()` as a DataFrame (units dropped)."""
        return self.table().to_pandas()

    def to_arviz(self, *, trace: bool = False) -> Any:
        """The draws as `arviz.InferenceData`, [chain, draw, spectrum]; with trace=True the walkers, each a chain.

        MissingPackageError without the extra `arviz`, GalfitMLError where the trace is asked for and there is none.
        """
        from galfit_ml.export.arviz import to_inference_data

        return to_inference_data(self, trace)

    def write_qp(self, path: str | Path, parameter: str = "redshift", *, overwrite: bool = False) -> Path:
        """Write the densities of one parameter to a file that qp and RAIL read, name.qp.hdf5.

        Rows without a result are left out; see `galfit_ml.export.qp.write_qp`.
        """
        from galfit_ml.export.qp import write_qp

        return write_qp(self, path, parameter, overwrite=overwrite)

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write to .fits or .h5/.hdf5 (everything) or .ecsv (the table alone); OutputExistsError if it is there.

        .nc is a netCDF file for ArviZ and .qp.hdf5 one of redshifts for qp: exports, which `load` does not read.
        """
        from galfit_ml.posterior_io import save

        return save(self, path, overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path) -> Posterior:
        """Read what `save` wrote as .fits or .h5; FileFormatError says what is wrong with any other file."""
        from galfit_ml.posterior_io import load

        return load(path)

    def plot(self, index: int = 0, *, names: Iterable[str] | None = None) -> Figure:
        """Corner plot of one spectrum's draws."""
        from galfit_ml.plots import corner

        return corner(self, index, None if names is None else tuple(names))

    def plot_fit(self, index: int = 0) -> Figure:
        """Observed spectrum, best model and residuals of one spectrum, with the lines marked."""
        from galfit_ml.plots import fit

        return fit(self, index)

    def plot_history(self, index: int = 0) -> Figure:
        """Star-formation rate and formed mass of one galaxy against lookback time.

        GalfitMLError where the backend gives no histories, SpectrumError where this row has none.
        """
        from galfit_ml.plots import history

        return history(self, index)

    def plot_trace(self, index: int = 0, *, names: Iterable[str] | None = None) -> Figure:
        """Steps of the sampler's walkers for one spectrum, one panel per parameter, with what tells convergence.

        GalfitMLError where the backend gives no trace, SpectrumError where this row has none.
        """
        from galfit_ml.plots import trace

        return trace(self, index, None if names is None else tuple(names))

    def plot_saliency(self, name: str = "redshift", index: int = 0) -> Figure:
        """Which wavelengths mattered for the answer to one spectrum, over the spectrum, with the lines named.

        GalfitMLError where the backend cannot explain itself, or the spectra are not at hand any more.
        """
        from galfit_ml.plots import saliency

        return saliency(self, name, index)

    def saliency(self, name: str = "redshift", index: int = 0) -> Saliency:
        """The numbers of `plot_saliency`; about a second for backend "cnn".

        Raises:
            GalfitMLError: the backend cannot explain itself, or the spectra are not at hand any more.
            ValueError: there is no such parameter.
        """
        row = self[int(index)]
        source = row.sources[0] if row.sources else None
        if source is None or not row.ok[0]:
            raise GalfitMLError(_no_source(row))
        best = row.diagnostics.get("redshift_1", np.median(row["redshift"], axis=1))
        return source.saliency(name, float(best[0]))

    def plot_embedding(self, colour: str | Sequence[Any] | NDArray[Any] | None = None, method: str = "pca") -> Figure:
        """The latent space in two dimensions, "pca" or "umap", coloured by a parameter's median, numbers or labels [n].

        LatentError, a ValueError, where the backend has no latent space.
        """
        from galfit_ml.plots import embedding

        return embedding(self, colour, method)

    @classmethod
    def failed(
        cls, parameters: ParameterSet, n_draws: int, ids: Sequence[str], reasons: Sequence[str], flags: int = 0
    ) -> Posterior:
        """Rows without a result, each with its reason."""
        n = len(ids)
        draws = np.full((n, n_draws, len(parameters)), np.nan)
        bits = np.full(n, int(Flag.FAILED) | flags, dtype=np.int64)
        return cls(parameters, draws, tuple(ids), bits, tuple(reasons))


def _no_source(row: Posterior) -> str:
    """Why a row cannot be explained, and what to do."""
    if not row.ok[0]:
        return f"{row.ids[0]} has no result to explain: {row.reasons[0] or 'the inference failed'}"
    return (
        f"What mattered for {row.ids[0]} cannot be told: backend {row.provenance.get('backend', 'that made it')} does "
        "not explain itself, or the spectra are not at hand any more (a posterior read from a file has none; a call "
        "with many spectra keeps none). Call estimate(spectrum, backend='cnn') with this spectrum again."
    )


def concatenate(pieces: Sequence[Posterior]) -> Posterior:
    """Stack posteriors of the same parameters and number of draws, in order; differing provenance is listed.

    Rows without a best fit, histories, trace, embedding or diagnostic get NaN where others have one. ValueError where
    parameters, numbers of draws or the bins of histories differ.
    """
    first = pieces[0]
    if any(p.parameters.names != first.parameters.names or p.n_draws != first.n_draws for p in pieces):
        raise ValueError("Posteriors of different parameters or numbers of draws cannot be joined.")
    return Posterior(first.parameters, np.concatenate([p.draws for p in pieces]), **joined_parts(pieces))
