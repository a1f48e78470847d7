"""`CnnBackend`: spectra to posteriors with a trained network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from galfit_ml.backend import Request
from galfit_ml.errors import FileFormatError, GalfitMLError
from galfit_ml.flags import Flag
from galfit_ml.parameters import GALAXY, ParameterSet
from galfit_ml.posterior import Posterior, concatenate
from galfit_ml.prepare import Preparation, Prepared, prepare, random_stream
from galfit_ml.simulate.cosmology import Cosmology
from galfit_ml.simulate.threads import one_thread
from galfit_ml.spectra import SpectrumBatch
from galfit_ml_cnn.allowed import Allowed
from galfit_ml_cnn.draws import Drawn, Random, draw
from galfit_ml_cnn.inputs import Inputs, look
from galfit_ml_cnn.solutions import N_SOLUTIONS, solutions
from galfit_ml_cnn.weights import Trained, load

CHUNK = 32
MIN_GOOD_PIXELS = 50
SECOND = 0.1
"""Probability of the second redshift solution above which a row is flagged as ambiguous."""

EDGE = 0.05
"""Probability within three bins of an end of the redshift range above which a row is flagged."""

LOG_SCALE_OF_RELATIVE = -0.5
"""log10 of the flux that a spectrum without a flux scale is taken to have, 1e-17 erg s^-1 cm^-2 A^-1."""


class CnnBackend:
    """A trained network.

    Args:
        weights: path of a file that `python -m galfit_ml_cnn.train` wrote.
        temperature: by which the logits of the redshift are divided.
    """

    parameters: ParameterSet = GALAXY

    def __init__(self, weights: str | Path, temperature: float = 1.0) -> None:
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, not {temperature}.")
        self.weights, self.temperature = Path(weights), temperature
        self._trained: Trained | None = None
        self._cosmology = Cosmology.default()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_trained": None}

    @property
    def trained(self) -> Trained:
        """The network, read on first use; FileFormatError where it cannot be."""
        if self._trained is None:
            self._trained = load(self.weights)
        return self._trained

    def infer(self, batch: SpectrumBatch, request: Request) -> Posterior:
        """Posterior of every spectrum; one that cannot be used is a flagged row with its reason.

        Raises:
            FileFormatError: the weights are of another instrument, or cannot be read.
        """
        self._check(batch)
        seen = prepare(batch, Preparation(self.trained.network.layout.grid))
        rows: list[Posterior] = []
        with torch.no_grad(), one_thread():
            for start in range(0, len(batch), CHUNK):
                numbers = np.arange(start, min(start + CHUNK, len(batch)))
                rows.append(self._chunk(batch.take(numbers), seen.take(numbers), request.take(numbers)))
                if request.progress is not None:
                    request.progress(int(numbers[-1]) + 1, len(batch), batch.ids[int(numbers[-1])])
        return concatenate(rows)

    def _check(self, batch: SpectrumBatch) -> None:
        known, asked = self.trained.instrument, batch.instrument.name
        if asked != known:
            raise FileFormatError(
                f"The weights in '{self.weights}' read spectra of '{known}', and these are of '{asked}'. "
                f"Train others with: python -m galfit_ml_cnn.train {asked} --out run/"
            )

    def _chunk(self, batch: SpectrumBatch, seen: Prepared, request: Request) -> Posterior:
        reasons = [self._refusal(seen, request, i) for i in range(len(batch))]
        good, bad = (np.flatnonzero([bool(reason) is refused for reason in reasons]) for refused in (False, True))
        pieces = []
        if len(good):
            pieces.append(self._posterior(batch.take(good), seen.take(good), request.take(good)))
        if len(bad):
            failed = batch.take(bad)
            told = Posterior.failed(GALAXY, request.n_samples, failed.ids, [reasons[i] for i in bad])
            pieces.append(replace(told, flags=told.flags | failed.flags))
        return concatenate(pieces).take(np.argsort(np.concatenate([good, bad])))

    def _refusal(self, seen: Prepared, request: Request, row: int) -> str:
        """Why a spectrum cannot be used; "" where it can."""
        n_good = int(seen.good[row].sum())
        if n_good < MIN_GOOD_PIXELS:
            return f"only {n_good} good pixels within the network's range, {MIN_GOOD_PIXELS} are needed; check the mask"
        try:
            Allowed.of([request.redshift[row]], self.trained.network.layout)
        except GalfitMLError as error:
            return str(error)
        return ""

    def _posterior(self, batch: SpectrumBatch, seen: Prepared, request: Request) -> Posterior:
        network = self.trained.network
        inputs = _inputs(seen, batch.relative, network.layout.pool)
        random = [
            Random.of(network.architecture, request.n_samples, random_stream(request.seed, flux, ivar))
            for flux, ivar in zip(seen.flux, seen.ivar, strict=True)
        ]
        allowed = Allowed.of(request.redshift, network.layout)
        drawn = draw(network, inputs, allowed, random, self._cosmology, self.temperature)
        columns = {"redshift": drawn.redshift, **drawn.properties}
        draws = np.stack([columns[p.name].double().numpy() for p in GALAXY], axis=-1)
        scaled = np.array([p.needs_flux_scale for p in GALAXY])
        draws[batch.relative[:, None, None] & scaled[None, None, :] & np.ones_like(draws, dtype=bool)] = np.nan
        quality = _Quality.of(drawn, network.layout)
        return Posterior(
            GALAXY,
            draws,
            batch.ids,
            batch.flags | quality.flags,
            ("",) * len(batch),
            embedding=drawn.embedding.double().numpy(),
            diagnostics=quality.diagnostics,
            provenance={"weights": self.weights.name},
        )


@dataclass(frozen=True, eq=False)
class _Quality:
    flags: NDArray[np.int64]
    diagnostics: dict[str, NDArray[np.float64]]

    @classmethod
    def of(cls, drawn: Drawn, layout: Any) -> _Quality:
        probability = drawn.probability.double().numpy()
        redshift, share = solutions(probability, layout)
        ends = probability[:, :3].sum(axis=1) + probability[:, -3:].sum(axis=1)
        flags = np.where(share[:, 1] > SECOND, int(Flag.AMBIGUOUS_REDSHIFT), 0)
        flags |= np.where(ends > EDGE, int(Flag.EDGE_OF_RANGE), 0)
        entropy = -(probability * np.log(np.maximum(probability, 1e-30))).sum(axis=1)
        diagnostics = {"redshift_entropy": entropy}
        for k in range(N_SOLUTIONS):
            diagnostics |= {f"redshift_{k + 1}": redshift[:, k], f"redshift_probability_{k + 1}": share[:, k]}
        return cls(flags.astype(np.int64), diagnostics)


def _inputs(seen: Prepared, relative: NDArray[np.bool_], pool: int) -> Inputs:
    made = look(torch.as_tensor(seen.flux).float(), torch.as_tensor(seen.ivar).float(), pool)
    known = torch.where(torch.as_tensor(relative), LOG_SCALE_OF_RELATIVE, made.log_scale)
    return Inputs(made.channels, known)
