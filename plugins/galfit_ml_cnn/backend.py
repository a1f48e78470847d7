"""`CnnBackend`: spectra to posteriors with a trained network."""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galfit_ml.backend import Request
from galfit_ml.errors import FileFormatError, GalfitMLError
from galfit_ml.flags import Flag
from galfit_ml.parameters import GALAXY, ParameterSet
from galfit_ml.posterior import Posterior, concatenate
from galfit_ml.prepare import Preparation, Prepared, prepare, random_stream
from galfit_ml.saliency import Saliency
from galfit_ml.simulate.cosmology import Cosmology
from galfit_ml.simulate.threads import one_thread
from galfit_ml.spectra import SpectrumBatch
from galfit_ml_cnn.allowed import Allowed
from galfit_ml_cnn.draws import Drawn, Question, draw
from galfit_ml_cnn.inputs import LOG_SCALE_OF_RELATIVE, Inputs, look_at
from galfit_ml_cnn.occlusion import Asked, check_name, gather, occlude, plain_redshift
from galfit_ml_cnn.points import point
from galfit_ml_cnn.quality import Answer, judge
from galfit_ml_cnn.randomness import Random
from galfit_ml_cnn.resolution import UNUSUAL, corrected, excess_variance
from galfit_ml_cnn.weights import Trained, load, shipped

CHUNK = 16
MIN_GOOD_PIXELS = 50
MOST_FLUX = 1e12
"""Largest flux, 1e-17 erg s^-1 cm^-2 A^-1, and largest signal-to-noise of a pixel: beyond it single precision
overflows, and no galaxy has it."""

FEWEST_DRAWS = 50
"""Draws that are made and calibrated where fewer are asked for."""


class MemoryShortage(GalfitMLError, MemoryError):
    """There is not enough memory for a single spectrum."""


class CnnBackend:
    """A trained network.

    Args:
        weights: path of a file that `galfit-ml train` wrote; None for the weights that come with the package.
        calibrated: False for plain Monte Carlo dropout, as the network itself has it.
        point: True for the best redshift and the means of the properties there as the only "draw", several times
            faster: no distribution at all.
        threads: spectra are shared among so many; None for the cores that this process may use, at most 8.
    """

    parameters: ParameterSet = GALAXY

    def __init__(
        self,
        weights: str | Path | None = None,
        *,
        calibrated: bool = True,
        point: bool = False,
        threads: int | None = None,
    ) -> None:
        for name, value in (("calibrated", calibrated), ("point", point)):
            if not isinstance(value, bool):
                raise ValueError(f"{name} must be True or False, not {value!r}.")
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads}.")
        self.threads = threads or min(usable_cores(), 8)
        self.weights, self.calibrated = None if weights is None else Path(weights), calibrated
        self.point = point
        self._loaded: dict[Path, Trained] = {}
        self._cosmology = Cosmology.default()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaded": {}}

    def trained_for(self, instrument: str) -> Trained:
        """The network for spectra of an instrument, read on first use.

        Raises:
            FileFormatError: there are no weights for it, or they cannot be read.
        """
        path = self.weights or shipped(instrument)
        if path not in self._loaded:
            self._loaded[path] = load(path)
        trained = self._loaded[path]
        if instrument not in trained.instruments:
            raise FileFormatError(
                f"The weights in '{path}' read spectra of {_quoted(trained.instruments)}, and these are of "
                f"'{instrument}'. "
                f"Train others with: galfit-ml train {instrument} --out run/"
            )
        return trained

    def infer(self, batch: SpectrumBatch, request: Request) -> Posterior:
        """Posterior of every spectrum; one that cannot be used is a flagged row with its reason.

        Raises:
            FileFormatError: the weights are of another instrument, or cannot be read.
            MemoryShortage: a single spectrum does not fit into memory.
        """
        trained = self.trained_for(batch.instrument.name)
        if len(batch) == 0:
            return Posterior.failed(GALAXY, request.n_samples, (), ())
        seen = prepare(batch, Preparation(trained.network.layout.grid))
        parts = np.split(np.arange(len(batch)), np.arange(CHUNK, len(batch), CHUNK))
        rows: list[Posterior] = []
        done = 0
        with one_thread(), ThreadPoolExecutor(min(self.threads, len(parts)), initializer=_alone) as pool:
            answers = pool.map(lambda numbers: self._rows(trained, batch, seen, request, numbers), parts)
            for numbers, answer in zip(parts, answers, strict=True):
                rows += answer
                done += len(numbers)
                if request.progress is not None:
                    request.progress(done, len(batch), batch.ids[done - 1])
        return concatenate(rows)

    def saliency(self, batch: SpectrumBatch, name: str = "redshift", redshift: Any = None) -> Saliency:
        """How much each stretch of n spectra mattered for a parameter, by occlusion: about 1.5 s a spectrum and core.

        Args:
            batch: n spectra.
            name: "redshift" or a property.
            redshift: [n] at which properties are read and whose solution counts; None for the most probable.

        Raises:
            ValueError: an unknown parameter, no spectrum, or another number of redshifts.
            FileFormatError: there are no weights for the instrument.
        """
        check_name(name)
        if len(batch) == 0:
            raise ValueError("There is no spectrum to explain.")
        network = self.trained_for(batch.instrument.name).network
        seen = prepare(batch, Preparation(network.layout.grid))
        flux, ivar = (torch.as_tensor(x).float() for x in (seen.flux, seen.ivar))
        with one_thread(), torch.no_grad(), ThreadPoolExecutor(self.threads, initializer=_alone) as pool:
            at = plain_redshift(network, flux, ivar) if redshift is None else np.asarray(redshift, dtype=np.float64)
            if np.shape(at) != (len(batch),):
                raise ValueError(f"{len(batch)} spectra and redshifts of shape {np.shape(at)}: give one for each.")
            questions = [Asked(name, float(z), bool(r)) for z, r in zip(at, batch.relative, strict=True)]
            importance = list(pool.map(lambda *of: occlude(network, *of), flux, ivar, questions))
        return gather(network, name, at, (seen.flux, seen.ivar), np.stack(importance))

    def _rows(
        self, trained: Trained, batch: SpectrumBatch, seen: Prepared, request: Request, numbers: NDArray[np.int64]
    ) -> list[Posterior]:
        """Posteriors of the spectra `numbers`, in as many pieces as memory asks for."""
        own = batch.take(numbers), seen.take(numbers), request.take(numbers)
        try:
            with torch.no_grad():
                return [self._chunk(trained, *own)]
        except (MemoryError, RuntimeError) as error:
            size = _half(len(numbers), error)
            parts = (numbers[:size], numbers[size:])
            return [row for part in parts for row in self._rows(trained, batch, seen, request, part)]

    def _chunk(self, trained: Trained, batch: SpectrumBatch, seen: Prepared, request: Request) -> Posterior:
        reasons = [_refusal(trained, seen, request, i) for i in range(len(batch))]
        good, bad = (np.flatnonzero([bool(reason) is refused for reason in reasons]) for refused in (False, True))
        pieces = []
        if len(good):
            pieces.append(self._posterior(trained, batch.take(good), seen.take(good), request.take(good)))
        if len(bad):
            failed = batch.take(bad)
            told = Posterior.failed(GALAXY, request.n_samples, failed.ids, [reasons[i] for i in bad])
            pieces.append(replace(told, flags=told.flags | failed.flags))
        return concatenate(pieces).take(np.argsort(np.concatenate([good, bad])))

    def _posterior(self, trained: Trained, batch: SpectrumBatch, seen: Prepared, request: Request) -> Posterior:
        inputs = _inputs(seen, batch.relative, trained.network.layout.pool)
        drawn = self._drawn(trained, inputs, seen, request)
        draws = self._draws(trained, drawn, seen, request)
        excess, ratio = excess_variance(seen, batch.instrument, np.median(draws[:, :, 0], axis=1))
        place = GALAXY.index("velocity_dispersion")
        draws[:, :, place] = corrected(draws[:, :, place], excess)
        scaled = np.array([p.needs_flux_scale for p in GALAXY])
        draws[batch.relative[:, None, None] & scaled & np.ones_like(draws, dtype=bool)] = np.nan
        embedding = drawn.embedding.double().numpy()
        free, fixed = (np.array([getattr(p, kind) for p in request.redshift], bool) for kind in ("free", "fixed"))
        allowed = np.isfinite(Allowed.of(request.redshift, trained.network.layout).log_weight.numpy())
        answer = Answer(
            drawn.probability.double().numpy(),
            draws,
            embedding,
            drawn.summary.double().numpy(),
            allowed=allowed & ~fixed[:, None],
            calibrated=free & self.calibrated & (not self.point),
            masks=0 if self.point else 1 if trained.network.architecture.dropout == 0 else 2,
        )
        quality = judge(answer, seen, trained.network.layout, trained.calibrated)
        unusual = np.where(np.abs(ratio - 1) > UNUSUAL, int(Flag.UNUSUAL_LSF), 0)
        return Posterior(
            GALAXY,
            draws[:, : request.n_samples],
            batch.ids,
            batch.flags | quality.flags | unusual,
            ("",) * len(batch),
            embedding=embedding,
            diagnostics=quality.diagnostics,
            provenance={"weights": str(self.weights or f"shipped for {'+'.join(trained.instruments)}")},
        )

    def _drawn(self, trained: Trained, inputs: Inputs, seen: Prepared, request: Request) -> Drawn:
        allowed = Allowed.of(request.redshift, trained.network.layout)
        temperature = self._temperature(trained, seen)
        if not self.point:
            n_draws = max(request.n_samples, FEWEST_DRAWS)
            random = [
                Random.of(trained.network.architecture, n_draws, random_stream(request.seed, flux, ivar))
                for flux, ivar in zip(seen.flux, seen.ivar, strict=True)
            ]
            return draw(trained.network, inputs, Question(allowed, random, temperature), self._cosmology)
        found = point(trained.network, inputs, allowed, temperature, self._cosmology)
        columns = {name: value.expand(-1, request.n_samples) for name, value in found.properties.items()}
        return replace(found, redshift=found.redshift.expand(-1, request.n_samples), properties=columns)

    def _temperature(self, trained: Trained, seen: Prepared) -> Tensor:
        if not self.calibrated or trained.calibrated is None:
            return torch.ones(len(seen.flux))
        return torch.as_tensor(trained.calibrated.temperature_at(seen.snr)).float()

    def _draws(self, trained: Trained, drawn: Drawn, seen: Prepared, request: Request) -> NDArray[np.float64]:
        """[n, n_draws, n_par], calibrated if that is wanted; a redshift with a prior of its own is left as it is."""
        columns = {"redshift": drawn.redshift, **drawn.properties}
        draws = np.stack([columns[p.name].double().numpy() for p in GALAXY], axis=-1)
        if self.point or not self.calibrated or trained.calibrated is None:
            return draws
        low, high = trained.network.layout.redshift
        out = np.empty_like(draws)
        free = np.array([prior.free for prior in request.redshift], dtype=bool)
        for rows, maps in ((free, trained.calibrated.calibration), (~free, trained.calibrated.known)):
            out[rows] = maps.moved(draws[rows], GALAXY, seen.snr[rows])
        out[:, :, 0] = np.clip(out[:, :, 0], low, high)
        return out


def _quoted(names: tuple[str, ...]) -> str:
    return " and ".join(f"'{name}'" for name in names)


def _alone() -> None:
    """Each thread runs torch on itself: threads of its own would wait for those of the others."""
    torch.set_num_threads(1)


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _half(size: int, error: Exception) -> int:
    """Half as many spectra at once, after a shortage of memory; any other error is raised again."""
    told = str(error).lower()
    short = "out of memory" in told or "allocate memory" in told
    if not (short or isinstance(error, (MemoryError, torch.OutOfMemoryError))):
        raise error
    if size == 1:
        raise MemoryShortage(
            "There is not enough memory for one spectrum. Close other programs, or ask for fewer draws (n_samples=)."
        ) from error
    warnings.warn(
        f"Out of memory with {size} spectra at once; going on with {size // 2}.", RuntimeWarning, stacklevel=3
    )
    return size // 2


def _refusal(trained: Trained, seen: Prepared, request: Request, row: int) -> str:
    """Why a spectrum cannot be used; "" where it can."""
    n_good = int(seen.good[row].sum())
    if n_good < MIN_GOOD_PIXELS:
        return f"only {n_good} good pixels within the network's range, {MIN_GOOD_PIXELS} are needed; check the mask"
    largest = float(np.abs(seen.flux[row][seen.good[row]]).max())
    if largest > MOST_FLUX or float((seen.flux[row] ** 2 * seen.ivar[row]).max()) > MOST_FLUX**2:
        return f"a pixel that is not masked has a flux of {largest:.1e}; mask fill values, and check the unit"
    try:
        Allowed.of([request.redshift[row]], trained.network.layout)
    except GalfitMLError as error:
        return str(error)
    return ""


def _inputs(seen: Prepared, relative: NDArray[np.bool_], pool: int) -> Inputs:
    made = look_at(seen, pool)
    known = torch.where(torch.as_tensor(relative), LOG_SCALE_OF_RELATIVE, made.log_scale)
    return Inputs(made.channels, known)
