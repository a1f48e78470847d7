"""A plugin with a backend that answers at once, to test what stands around backends."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from galfit_ml import hookimpl
from galfit_ml.backend import BackendInfo, Request, Tags
from galfit_ml.parameters import TARGETS
from galfit_ml.posterior import BestFit, Posterior
from galfit_ml.prepare import Preparation, prepare
from galfit_ml.spectra import SpectrumBatch


@hookimpl
def galfit_ml_backends() -> list[BackendInfo]:
    """The dummy, and one that is never there."""
    return [
        BackendInfo("dummy", "dummy_backend:DummyBackend", "answers at once", tags=Tags(best_fit=True)),
        BackendInfo("absent", "dummy_backend:X", "needs much", "pip install no-such", requires=("no_such_library",)),
    ]


class DummyBackend:
    """Draws about numbers that depend on the spectrum alone; the best model is the spectrum's median.

    Args:
        mass: centre of log_stellar_mass.
        stop_at: name of a spectrum at which Ctrl-C is pressed.
        best_fit: whether it gives one.
        companions: whether it gives histories and a trace too.
    """

    parameters = TARGETS

    def __init__(self, mass: float = 10.0, stop_at: str = "", best_fit: bool = True, companions: bool = False) -> None:
        if mass <= 0:
            raise ValueError(f"mass must be positive, not {mass}.")
        self.mass, self.stop_at, self.best_fit, self.companions = mass, stop_at, best_fit, companions

    def infer(self, batch: SpectrumBatch, request: Request) -> Posterior:
        """Gaussian draws."""
        seen = prepare(batch, Preparation())
        draws = np.empty((len(batch), request.n_samples, len(TARGETS)))
        for i, name in enumerate(batch.ids):
            if self.stop_at and self.stop_at in name:
                raise KeyboardInterrupt
            key = int.from_bytes(hashlib.blake2b(seen.flux[i].tobytes(), digest_size=4).digest())
            noise = np.random.default_rng([request.seed, key]).standard_normal(draws[i].shape)
            low, high = request.redshift[i].low, min(request.redshift[i].high, 0.2)
            draws[i] = np.array([0.5 * (low + high), self.mass, 0.0, -0.2, 1.0]) + 0.01 * noise
            if request.redshift[i].fixed:
                draws[i, :, 0] = low
            if request.progress is not None:
                request.progress(i + 1, len(batch), name)
        wave = np.tile(seen.wavelength, (len(batch), 1))
        model = np.median(seen.flux, axis=1)[:, None] + 0.0 * wave
        chi2 = ((seen.flux - model) ** 2 * seen.ivar).sum(axis=1)
        best = BestFit(wave, seen.flux, seen.ivar, model, seen.good, chi2, seen.good.sum(axis=1))
        reasons = ("",) * len(batch)
        found = Posterior(TARGETS, draws, batch.ids, batch.flags, reasons, best if self.best_fit else None)
        if not self.companions:
            return found
        from companion_samples import sample_histories, sample_trace  # torch, where it is asked for

        return replace(found, histories=sample_histories(len(batch)), trace=sample_trace(len(batch)))
