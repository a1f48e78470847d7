"""`Posterior`: named draws for each spectrum, with summaries, flags and what they were made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import GalfitMLError
from galfit_ml.flags import Flag
from galfit_ml.parameters import ParameterSet
from galfit_ml.saliency import KEPT, Saliency, Source

if TYPE_CHECKING:
    import pandas as pd
    from astropy.table import QTable
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BestFit:
    """The best model of each spectrum beside what was observed.

    Args:
        wavelength: [n, n_pix] observed vacuum wavelength, angstrom; NaN pads rows of fewer pixels.
        flux, ivar, model: [n, n_pix] in 1e-17 erg s^-1 cm^-2 A^-1 (relative for relative spectra); NaN pads.
        good: [n, n_pix] pixels that took part.
        chi2: [n] sum of ((flux - model)^2 ivar) over good pixels.
        n_good: [n] number of good pixels.
    """

    wavelength: Floats
    flux: Floats
    ivar: Floats
    model: Floats
    good: NDArray[np.bool_]
    chi2: Floats
    n_good: NDArray[np.int64]

    def __post_init__(self) -> None:
        shape = self.wavelength.shape
        if len(shape) != 2 or any(getattr(self, k).shape != shape for k in ("flux", "ivar", "model", "good")):
            raise ValueError("wavelength, flux, ivar, model and good of a BestFit must share one shape [n, n_pix].")
        if self.chi2.shape != shape[:1] or self.n_good.shape != shape[:1]:
            raise ValueError(f"chi2 and n_good of a BestFit must have {shape[0]} rows.")

    def __len__(self) -> int:
        return len(self.wavelength)

    def take(self, rows: NDArray[np.intp]) -> BestFit:
        """The fits of the spectra `rows`."""
        return BestFit(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


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

    def __post_init__(self) -> None:
        n = len(self.ids)
        if self.draws.ndim != 3 or self.draws.shape[0] != n or self.draws.shape[2] != len(self.parameters):
            raise ValueError(f"draws must be [{n}, n_draws, {len(self.parameters)}], not {self.draws.shape}.")
        if len(self.flags) != n or len(self.reasons) != n or any(len(v) != n for v in self.diagnostics.values()):
            raise ValueError(f"flags, reasons and diagnostics must have {n} rows.")
        if any(part is not None and len(part) != n for part in (self.best_fit, self.embedding)):
            raise ValueError(f"best_fit and embedding must have {n} rows.")

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

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write to .fits or .h5/.hdf5 (everything) or .ecsv (the table alone); OutputExistsError if it is there."""
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
    """Stack posteriors of the same parameters and number of draws, in order; differing provenance is listed."""
    first = pieces[0]
    if any(p.parameters.names != first.parameters.names or p.n_draws != first.n_draws for p in pieces):
        raise ValueError("Posteriors of different parameters or numbers of draws cannot be joined.")
    keys = list(dict.fromkeys(k for p in pieces for k in p.diagnostics))
    nan = {id(p): np.full(len(p), np.nan) for p in pieces}
    return Posterior(
        first.parameters,
        np.concatenate([p.draws for p in pieces]),
        tuple(i for p in pieces for i in p.ids),
        np.concatenate([p.flags for p in pieces]),
        tuple(r for p in pieces for r in p.reasons),
        _join_fits(pieces),
        _join_embeddings(pieces),
        {k: np.concatenate([p.diagnostics.get(k, nan[id(p)]) for p in pieces]) for k in keys},
        _join_provenance(pieces),
        _join_sources(pieces),
    )


def _join_sources(pieces: Sequence[Posterior]) -> tuple[Source | None, ...]:
    """Sources of all rows, while there are not too many to keep."""
    if sum(len(p) for p in pieces) > KEPT or not any(p.sources for p in pieces):
        return ()
    return tuple(source for p in pieces for source in p.sources or (None,) * len(p))


def _join_provenance(pieces: Sequence[Posterior]) -> dict[str, str]:
    keys = dict.fromkeys(k for p in pieces for k in p.provenance)
    return {k: "; ".join(dict.fromkeys(p.provenance[k] for p in pieces if k in p.provenance)) for k in keys}


def _join_fits(pieces: Sequence[Posterior]) -> BestFit | None:
    fits = [p.best_fit for p in pieces]
    width = max((f.flux.shape[1] for f in fits if f is not None), default=0)
    if width == 0:
        return None
    return BestFit(
        **{
            f.name: np.concatenate([_padded(fit, f.name, len(p), width) for fit, p in zip(fits, pieces, strict=True)])
            for f in fields(BestFit)
        }
    )


def _padded(fit: BestFit | None, name: str, n: int, width: int) -> NDArray[Any]:
    if name in {"chi2", "n_good"}:
        empty = np.full(n, np.nan) if name == "chi2" else np.zeros(n, dtype=np.int64)
        return empty if fit is None else getattr(fit, name)
    fill: Any = False if name == "good" else np.nan
    out = np.full((n, width), fill, dtype=bool if name == "good" else np.float64)
    if fit is not None:
        values = getattr(fit, name)
        out[:, : values.shape[1]] = values
    return out


def _join_embeddings(pieces: Sequence[Posterior]) -> Floats | None:
    known = [p.embedding for p in pieces if p.embedding is not None]
    if not known:
        return None
    width = known[0].shape[1]
    return np.concatenate([np.full((len(p), width), np.nan) if p.embedding is None else p.embedding for p in pieces])
