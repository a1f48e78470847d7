"""`Subject`: a backend under examination, the spectra it is shown, and what it did with them."""

from __future__ import annotations

import pickle
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from galfit_ml.backend import BackendInfo, Progress, Request, Tags
from galfit_ml.redshift_prior import RedshiftPriors
from galfit_ml.registry import Registry, registry
from galfit_ml.testing.mocks import Simulator, Truth, default_instrument, simulated_batch

if TYPE_CHECKING:
    from galfit_ml.backend import Backend
    from galfit_ml.instruments import Instrument
    from galfit_ml.posterior import Posterior
    from galfit_ml.spectra import SpectrumBatch

Kept = TypeVar("Kept")

BackendLike = str | BackendInfo | Callable[[], Any]
"""A registered name, a description, or a function (or class) that makes a backend when called without arguments."""


@dataclass(frozen=True)
class Trial:
    """What the checks are run with.

    Args:
        instrument: of the simulated spectra; a backend made for one spectrograph is tried on that one.
        simulator: makes the spectra; it must draw from the prior that the backend assumes.
        snr: median signal-to-noise per pixel.
        n_samples: draws per spectrum.
        n_calibration: spectra of the coverage check; fewer for a slow backend, and the check is then less sharp.
        seed: of the simulated spectra and of the backend.
    """

    instrument: Instrument = field(default_factory=default_instrument)
    simulator: Simulator = simulated_batch
    snr: float = 8.0
    n_samples: int = 200
    n_calibration: int = 60
    seed: int = 1

    def __post_init__(self) -> None:
        if not self.snr > 0 or self.n_samples < 50 or self.n_calibration < 1:
            raise ValueError("A trial needs snr > 0, n_samples >= 50 and n_calibration >= 1.")


@dataclass(frozen=True)
class Observed:
    """One run of the backend with everything around it watched.

    Args:
        posterior: its answer.
        changed_inputs: names of the arrays of the batch that changed.
        changed_state: names of the global states that changed.
        progress: what the progress function was called with.
    """

    posterior: Posterior
    changed_inputs: tuple[str, ...]
    changed_state: tuple[str, ...]
    progress: tuple[tuple[int, int, str], ...]


class Subject:
    """A backend under examination. Nothing of it is imported before the first check is run.

    Args:
        backend: name, `BackendInfo`, or factory.
        tags: what it promises; by default those of its description, or `Tags()` for a factory.
        options: passed to its constructor.
        trial: what it is shown.
    """

    def __init__(
        self,
        backend: BackendLike,
        *,
        tags: Tags | None = None,
        options: Mapping[str, Any] | None = None,
        trial: Trial | None = None,
    ) -> None:
        self.info = _info(backend)
        self.name = self.info.name if self.info else getattr(backend, "__name__", type(backend).__name__)
        self.tags = tags or (self.info.tags if self.info else Tags())
        self.options = dict(options or {})
        self.trial = trial or Trial()
        self._given = backend
        self._remembered: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<Subject {self.name}>"

    @cached_property
    def backend(self) -> Backend:
        """The backend itself, made on first use."""
        if self.info:
            return Registry({self.info.name: self.info}, {self.info.name: "testing"}, {}).create(
                self.name, self.options
            )
        assert callable(self._given)
        return self._given(**self.options)

    def load(self) -> None:
        """Make the backend now, so that a failure to do so is not taken for a broken promise."""
        _ = self.backend

    @cached_property
    def simulated(self) -> tuple[SpectrumBatch, Truth]:
        """Two spectra and what is true of them."""
        return self.simulate(2, self.trial.seed)

    @property
    def batch(self) -> SpectrumBatch:
        """The two spectra."""
        return self.simulated[0]

    def simulate(self, n: int, seed: int) -> tuple[SpectrumBatch, Truth]:
        """Simulate n spectra."""
        return self.trial.simulator(self.trial.instrument, n, self.trial.snr, seed)

    def infer(
        self,
        batch: SpectrumBatch,
        *,
        seed: int | None = None,
        n_samples: int | None = None,
        redshift: RedshiftPriors | None = None,
        progress: Progress | None = None,
        backend: Backend | None = None,
    ) -> Posterior:
        """What the backend (or this other one) says of `batch`; the trial's seed and number of draws unless given."""
        request = Request(
            n_samples or self.trial.n_samples,
            self.trial.seed if seed is None else seed,
            redshift or RedshiftPriors.free(len(batch)),
            progress,
        )
        return (self.backend if backend is None else backend).infer(batch, request)

    def remember(self, name: str, make: Callable[[], Kept]) -> Kept:
        """`make()`, called once for all checks that share what it gives."""
        if name not in self._remembered:
            self._remembered[name] = make()
        kept: Kept = self._remembered[name]
        return kept

    @cached_property
    def observed(self) -> Observed:
        """A watched run on the two spectra, made once and shared by the checks."""
        had_torch = "torch" in sys.modules
        seen = self._watch()
        return seen if had_torch or "torch" not in sys.modules else self._watch()

    @property
    def posterior(self) -> Posterior:
        """The answer for the two spectra."""
        return self.observed.posterior

    @cached_property
    def alone(self) -> Posterior:
        """The answer for the first spectrum without the second."""
        return self.infer(self.batch.take([0]))

    def _watch(self) -> Observed:
        calls: list[tuple[int, int, str]] = []
        arrays = _arrays(self.batch)
        with borrowed_generators():
            state = _global_state()
            posterior = self.infer(self.batch, progress=lambda *call: calls.append(call))
            changed_state = _changed(state, _global_state())
        return Observed(posterior, _changed(arrays, _arrays(self.batch)), changed_state, tuple(calls))


def _info(backend: BackendLike) -> BackendInfo | None:
    if isinstance(backend, BackendInfo):
        return backend
    if isinstance(backend, str):
        return registry().info(backend)
    if callable(backend):
        return None
    raise TypeError(
        f"A backend is named, described by a BackendInfo, or made by a function without arguments, not {backend!r}. "
        "For an object that exists already write `lambda: backend`."
    )


def _arrays(batch: SpectrumBatch) -> dict[str, bytes]:
    named: dict[str, Any] = {"flags": batch.flags}
    for arm in batch.arms:
        for label in ("flux", "ivar", "bad", "lsf_sigma"):
            named[f"{label} of arm '{arm.name}'"] = getattr(arm, label)
        named[f"wavelengths of arm '{arm.name}'"] = np.concatenate([arm.grid.edges, arm.grid.centres])
    return {name: np.ascontiguousarray(array).tobytes() for name, array in named.items()}


@contextmanager
def borrowed_generators() -> Iterator[None]:
    """Advance the global generators, and put them back afterwards.

    A backend that seeds them may have done so before: only where they stand elsewhere does it show again.
    """
    torch = sys.modules.get("torch")
    before = random.getstate(), np.random.get_state(), torch and torch.get_rng_state()  # noqa: NPY002 - not used
    random.random()
    np.random.random()  # noqa: NPY002 - only to move on
    if torch is not None:
        torch.rand(1)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002 - see above
        if torch is not None:
            torch.set_rng_state(before[2])


def _global_state() -> dict[str, Any]:
    state = {
        "random": pickle.dumps(random.getstate()),
        "numpy.random": pickle.dumps(np.random.get_state()),  # noqa: NPY002 - it is watched, not used
        "numpy.seterr": np.geterr(),
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        state["torch's generator"] = torch.get_rng_state().numpy().tobytes()
        state["torch.set_default_dtype"] = torch.get_default_dtype()
        state["torch.set_grad_enabled"] = torch.is_grad_enabled()
        if torch.cuda.is_initialized():
            state["torch's CUDA generator"] = torch.cuda.get_rng_state().numpy().tobytes()
    return state


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for name, value in before.items() if after.get(name) != value)
