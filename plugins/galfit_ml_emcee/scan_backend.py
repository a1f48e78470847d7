"""`ScanBackend`: the posterior of thousands of templates drawn from the prior, at every redshift; no chain.

What a perfect user of the prior would report, but for the number of templates: exact for them, coarse in everything but
the redshift, whose draws are spread over a step of the grid (35-42 km/s). It is the library posterior that benchmarks
compare with, and a backend in its own right: a tenth of the time of chains.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from galfit_ml.backend import Request
from galfit_ml.errors import GalfitMLError
from galfit_ml.flags import Flag
from galfit_ml.parameters import GALAXY, ParameterSet
from galfit_ml.posterior import Posterior, concatenate
from galfit_ml.prepare import random_stream
from galfit_ml.redshift_prior import redshift_range
from galfit_ml.simulate.threads import one_thread
from galfit_ml.spectra import SpectrumBatch
from galfit_ml_emcee.fit_one import Machine, laid_out
from galfit_ml_emcee.leftover import library_draws
from galfit_ml_emcee.library.templates import Size
from galfit_ml_emcee.options import Options
from galfit_ml_emcee.solutions import Solutions, read_scan
from galfit_ml_emcee.trim import Native


class ScanBackend:
    """Library posterior.

    Args:
        templates: drawn from the prior for each redshift bin.
        vectors: singular vectors they are made of; the time of a scan grows with the square of their number.

    Raises:
        ValueError: fewer than one of either.
    """

    parameters: ParameterSet = GALAXY

    def __init__(self, *, templates: int = 4096, vectors: int = 18) -> None:
        self.size = Size(templates, vectors)
        self._machine = Machine(Options(), self.size)

    def __getstate__(self) -> dict[str, object]:
        return {"size": self.size}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__ |= state
        self._machine = Machine(Options(), self.size)

    def infer(self, batch: SpectrumBatch, request: Request) -> Posterior:
        """Posterior of every spectrum; one that cannot be scanned is a flagged row with its reason."""
        rows = []
        with torch.no_grad(), one_thread():
            for i, name in enumerate(batch.ids):
                one, own = batch.take([i]), request.take([i])
                try:
                    rows.append(self._one(Native.of(one), own))
                except (GalfitMLError, RuntimeError) as error:
                    failed = Posterior.failed(GALAXY, request.n_samples, [name], [str(error)], int(batch.flags[i]))
                    rows.append(failed)
                if request.progress is not None:
                    request.progress(i + 1, len(batch), name)
        return replace(concatenate(rows), ids=batch.ids)

    def _one(self, native: Native, request: Request) -> Posterior:
        native.check(0)
        prior, relative = request.redshift[0], bool(native.batch.relative[0])
        limits = redshift_range(prior, native.batch.instrument)
        scan = self._machine.scan(native, limits)
        data, whole = laid_out(native, scan), native.prepared
        rng = random_stream(request.seed, whole.flux[0], whole.ivar[0])
        if limits[0] == limits[1]:
            solutions = Solutions.given(limits[0])
            redshift = np.full(request.n_samples, limits[0])
        else:
            solutions = read_scan(scan.run(data, *limits, bounded=not relative), 0, prior, limits)
            drawn = solutions.spread(request.n_samples, scan.axis.step, rng, solutions.probability)
            redshift = np.clip(drawn, *limits)
        _, values = library_draws(scan, data, native.trimmed(0), redshift, rng)
        values[:, 0] = redshift
        if relative:
            values[:, [p.needs_flux_scale for p in GALAXY]] = np.nan
        flags = np.array([int(native.batch.flags[0]) | int(solutions.flags)], dtype=np.int64)
        return Posterior(
            GALAXY,
            values[None].astype(np.float64),
            native.batch.ids,
            flags & ~int(Flag.FAILED),
            ("",),
            diagnostics={name: np.array([value]) for name, value in solutions.diagnostics().items()},
            provenance={"sampler": f"{self.size.templates} templates of the prior at every redshift"},
        )
