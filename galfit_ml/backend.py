"""The contract of a backend: how it describes itself, what it is asked, what it answers.

A plugin hands over `BackendInfo` objects, plain data; the class named by `target` is imported on first use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from galfit_ml.parameters import ParameterSet
    from galfit_ml.posterior import Posterior
    from galfit_ml.redshift_prior import RedshiftPriors
    from galfit_ml.spectra import SpectrumBatch

API = 1
"""Number of this contract; a backend made for a newer one is refused with a message."""

Progress = Callable[[int, int, str], None]
"""Called as progress(done, total, message) after each step of long work; both numbers count spectra of the batch."""


@dataclass(frozen=True)
class Tags:
    """What a backend can do; the tags choose which checks of `galfit_ml.testing` apply.

    Args:
        calibrated: its intervals should cover the truth on simulations that match its assumptions.
        embedding: it fills `Posterior.embedding`.
        best_fit: it fills `Posterior.best_fit`.
        redshift_prior: it honours a redshift prior (fixed, range or distribution).
        absolute_flux: it needs an absolute flux scale for mass and star-formation rate.
        batch_invariant: a spectrum's answer does not depend on its neighbours in a batch.
    """

    calibrated: bool = True
    embedding: bool = False
    best_fit: bool = False
    redshift_prior: bool = True
    absolute_flux: bool = True
    batch_invariant: bool = True


@dataclass(frozen=True)
class BackendInfo:
    """A backend as data.

    Args:
        name: what a user types; lower case, digits, '-' and '_'.
        target: "package.module:Class", imported on first use.
        summary: one line.
        install_hint: what to type when the target cannot be imported.
        api: the contract number the backend was written for.
        tags: what it can do.
        requires: import names that must be importable; checked without importing them.
        instruments: names of those whose spectra it reads; () for any. Where a user names no backend, only one that
            reads the spectra is chosen.
    """

    name: str
    target: str
    summary: str
    install_hint: str = ""
    api: int = API
    tags: Tags = Tags()
    requires: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name or not self.name.replace("-", "").replace("_", "").isalnum() or self.name != self.name.lower():
            raise ValueError(f"Backend name {self.name!r} must be lower-case letters, digits, '-' or '_'.")
        module, colon, attribute = self.target.partition(":")
        if not (module and colon and attribute.isidentifier()):
            raise ValueError(f"Backend '{self.name}': target {self.target!r} must look like 'package.module:Class'.")
        if not isinstance(self.requires, tuple):
            raise ValueError(f"Backend '{self.name}': requires must be a tuple like ('torch',), not {self.requires!r}.")
        if not isinstance(self.api, int):
            raise ValueError(f"Backend '{self.name}': api must be an integer such as {API}, not {self.api!r}.")

    def serves(self, instrument: str) -> bool:
        """Whether it reads spectra of an instrument."""
        return not self.instruments or instrument in self.instruments


@dataclass(frozen=True)
class Request:
    """What a backend is asked for besides the spectra.

    Args:
        n_samples: draws per spectrum, >= 1.
        seed: base seed, an integer; each spectrum's stream is keyed by the seed and the spectrum's content.
        redshift: one prior per spectrum.
        progress: called after each step, or None.
    """

    n_samples: int
    seed: int
    redshift: RedshiftPriors
    progress: Progress | None = None

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> Request:
        """The same of the spectra `rows`."""
        return replace(self, redshift=self.redshift.take(rows))


@runtime_checkable
class Backend(Protocol):
    """What a backend class provides. Its constructor takes the user's `**options` as keywords."""

    @property
    def parameters(self) -> ParameterSet:
        """The parameters it reports, in the order of the draws' last axis."""

    def infer(self, batch: SpectrumBatch, request: Request) -> Posterior:
        """Posterior of every spectrum in `batch`, in order; spectra it cannot use are flagged, never dropped."""
