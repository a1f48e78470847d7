"""The line a user calls: spectra in, posterior out."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from galfit_ml.backend import Progress, Request
from galfit_ml.errors import PluginError, SpectrumError
from galfit_ml.registry import BackendStatus, registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galfit_ml.backend import Backend
    from galfit_ml.instruments import Instrument
    from galfit_ml.posterior import Posterior
    from galfit_ml.reading import Reading
    from galfit_ml.redshift_prior import RedshiftPriors
    from galfit_ml.saliency import Source
    from galfit_ml.spectra import SpectrumBatch

PREFERENCE = ("cnn", "emcee")
"""Backends tried in this order when a user names none."""


def backends() -> list[BackendStatus]:
    """Installed backends: name, summary, available or why not. Imports none of them."""
    return registry().statuses()


def default_backend(instrument: str | None = None) -> str:
    """The first available backend of `PREFERENCE`, then any available one, that reads spectra of `instrument`.

    Raises:
        PluginError: there is none.
    """
    known = registry()
    available = [s.name for s in backends() if s.available]
    if instrument is not None:
        available = [name for name in available if known.info(name).serves(instrument)]
    ranked = [n for n in PREFERENCE if n in available] + available
    if not ranked:
        raise PluginError(
            "No backend is available. See why with `galfit-ml backends`; reinstall with `pip install galfit-ml`."
        )
    return ranked[0]


class Estimator:
    """A loaded backend, for many calls.

    Args:
        backend: name, or None for the network where it reads the instrument's spectra, else emcee.
        **options: passed to the backend's constructor; an unknown one is an error.

    Attributes:
        name: of the backend; without a name given, of the first choice.
    """

    def __init__(self, backend: str | None = None, **options: Any) -> None:
        self.name = backend or default_backend()
        self.options = options
        self._named = backend is not None
        self._created: dict[str, Backend] = {}
        if self._named:
            self._create(self.name)

    @property
    def backend(self) -> Backend:
        """The backend itself; without a name given, the first choice."""
        return self._create(self.name)

    def _create(self, name: str) -> Backend:
        if name not in self._created:
            self._created[name] = registry().create(name, self.options)
        return self._created[name]

    def serving(self, instrument: str) -> tuple[str, Backend]:
        """Name and backend for spectra of an instrument: the one that was named, else the first choice that reads them.

        Raises:
            PluginError: no backend reads them.
        """
        if self._named or registry().info(self.name).serves(instrument):
            return self.name, self.backend
        name = default_backend(instrument)
        return name, self._create(name)

    def estimate(
        self,
        spectrum: Any,
        *,
        instrument: str | Instrument | None = None,
        redshift: Any = None,
        n_samples: int = 1000,
        seed: int | None = None,
        progress: Progress | None = None,
        **reading: Any,
    ) -> Posterior:
        """Posterior of one or many spectra; see `galfit_ml.estimate` for the arguments."""
        from galfit_ml.reading import read_spectra

        if n_samples < 1:
            raise ValueError(f"n_samples must be at least 1, not {n_samples}.")
        read = read_spectra(spectrum, instrument=instrument, **reading)
        return self.infer(read, redshift, n_samples, secrets.randbits(32) if seed is None else int(seed), progress)

    def infer(self, read: Reading, redshift: Any, n_samples: int, seed: int, progress: Progress | None) -> Posterior:
        """Run the backend over each group of a reading and put the rows back in the user's order."""
        from galfit_ml.posterior import Posterior, concatenate

        priors = _checked_priors(redshift, read)
        for group in read.groups:  # an option that one of the backends does not know is told before any work
            self.serving(group.batch.instrument.name)
        pieces, positions = [], []
        done, usable = 0, sum(int(g.batch.usable.sum()) for g in read.groups)
        for group in read.groups:
            step = None if progress is None else _offset(progress, done, usable)
            request = Request(n_samples, seed, priors.take(group.positions), step)
            pieces.append(self.infer_batch(group.batch, request))
            positions += list(group.positions)
            done += int(group.batch.usable.sum())
        if read.failures:
            failed = list(read.failures.values())
            names, reasons = [f.id for f in failed], [f.reason for f in failed]
            pieces.append(Posterior.failed(self.backend.parameters, n_samples, names, reasons))
            positions += list(read.failures)
        joined = concatenate(pieces).take(np.argsort(positions))
        if read.single and not joined.ok[0]:
            raise SpectrumError(f"{joined.ids[0]}: {joined.reasons[0]}")
        return _with_provenance(joined, self, read, seed)

    def infer_batch(self, batch: SpectrumBatch, request: Request) -> Posterior:
        """Run the backend over the usable spectra of a batch; the others are failed rows with their reason.

        Raises:
            ValueError: the backend answered another number of spectra than it was asked for.
        """
        from galfit_ml.posterior import Posterior, concatenate

        _, backend = self.serving(batch.instrument.name)
        good = np.flatnonzero(batch.usable)
        bad = np.flatnonzero(~batch.usable)
        pieces = []
        if len(good):
            own = batch.take(good)
            answer = backend.infer(own, request.take(good))
            if len(answer) != len(own):
                raise ValueError(f"it answered {len(answer)} spectra of {len(own)}")
            pieces.append(replace(answer, sources=_sources(backend, own)))
        if len(bad):
            names, reasons = [batch.ids[i] for i in bad], [batch.reasons[i] for i in bad]
            failed = Posterior.failed(backend.parameters, request.n_samples, names, reasons)
            pieces.append(replace(failed, flags=failed.flags | batch.flags[bad]))
        return _with_extinction(concatenate(pieces).take(np.argsort(np.concatenate([good, bad]))), batch)


def estimate(
    spectrum: Any,
    backend: str | None = None,
    *,
    instrument: str | Instrument | None = None,
    redshift: Any = None,
    n_samples: int = 1000,
    seed: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Posterior:
    """Estimate redshift, stellar mass, star-formation rate and metallicity of one or many spectra.

    Args:
        spectrum: a specutils `Spectrum` (1-D or n-D), `SpectrumList`, `SpectrumCollection`, a list of spectra (separate
            galaxies), `{arm: Spectrum}` for the arms of one galaxy, a path, or a list of paths.
        backend: name of a backend (`galfit_ml.backends()` lists them); None takes the network
            where it reads spectra of the instrument, else emcee.
        instrument: name, `Instrument`, "generic:R" with R the resolving power, or None to recognise it from the file.
        redshift: None (free), a number (fixed), `(low, high)`, a scipy frozen distribution, or a list with one of
            these per spectrum. `spectrum.redshift` is never used as a prior.
        n_samples: posterior draws per spectrum.
        seed: integer for reproducible draws; None for fresh ones.
        progress: called as progress(done, total, message).
        **options: `format=`, `medium="air"|"vacuum"`, `resolving_power=`, `ids=`, and for the dust of the Milky Way
            `ebv=`, or `dust_map=` and `coordinates=`, go to the reader (`galfit_ml.reading.ReaderOptions`), the rest
            to the backend; an unknown one is an error.

    Returns:
        A `Posterior` with one row per spectrum, in order. In a batch a spectrum that cannot be used is a flagged row
        with its reason.

    Raises:
        SpectrumError: the only spectrum given cannot be used.
        FileFormatError: the only path given cannot be read.
        UnknownNameError: unknown backend, instrument or option (with a suggestion).
        PriorError: a redshift prior outside the model.
        PluginError: the backend is installed but cannot be loaded.
    """
    from galfit_ml.reading import READER_OPTIONS

    reading = {k: options.pop(k) for k in list(options) if k in READER_OPTIONS}
    return Estimator(backend, **options).estimate(
        spectrum,
        instrument=instrument,
        redshift=redshift,
        n_samples=n_samples,
        seed=seed,
        progress=progress,
        **reading,
    )


def _sources(backend: Backend, batch: SpectrumBatch) -> tuple[Source | None, ...]:
    """Where rows come from, for few rows and a backend that can explain itself."""
    from galfit_ml.saliency import KEPT, Explaining, Source

    if len(batch) > KEPT or not isinstance(backend, Explaining):
        return ()
    return tuple(Source(backend, batch.take([i])) for i in range(len(batch)))


def _checked_priors(redshift: Any, read: Reading) -> RedshiftPriors:
    """Priors of all spectra, each inside the range for which models exist."""
    from galfit_ml.parameters import GALAXY
    from galfit_ml.redshift_prior import RedshiftPriors

    priors = RedshiftPriors.parse(redshift, read.n)
    limits = GALAXY["redshift"]
    for prior in priors:
        if not prior.free:
            prior.within(limits.low, limits.high, "the galaxy model")
    return priors


def _offset(progress: Progress, done: int, total: int) -> Progress:
    def step(part: int, _part_total: int, message: str) -> None:
        progress(done + part, total, message)

    return step


def _with_extinction(posterior: Posterior, batch: SpectrumBatch) -> Posterior:
    """The posterior, and as a diagnostic E(B-V) [n], mag, if reading took the Milky Way's dust out of its spectra."""
    removed = np.array([meta.get("ebv", np.nan) for meta in batch.meta], dtype=np.float64)
    if np.isnan(removed).all():
        return posterior
    return replace(posterior, diagnostics={**posterior.diagnostics, "milky_way_ebv": removed})


def _with_provenance(posterior: Posterior, estimator: Estimator, read: Reading, seed: int) -> Posterior:
    from galfit_ml import __version__

    names: Sequence[str] = sorted({g.batch.instrument.name for g in read.groups})
    used = list(dict.fromkeys(estimator.serving(name)[0] for name in names)) or [estimator.name]
    made = {
        "backend": ", ".join(used),
        "galfit_ml": __version__,
        "seed": str(seed),
        "instrument": ", ".join(names),
        "options": repr(dict(sorted(estimator.options.items()))),
    }
    if read.extinction:
        made["extinction"] = read.extinction
    return replace(posterior, provenance={**posterior.provenance, **made})
