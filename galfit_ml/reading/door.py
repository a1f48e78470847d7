"""`read_spectra`: the one function the rest of the package calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import SpectrumError
from galfit_ml.instruments import Instrument
from galfit_ml.reading.convert import to_batch
from galfit_ml.reading.grouping import group
from galfit_ml.reading.recognise import InstrumentChoice
from galfit_ml.reading.reddening import Reddening
from galfit_ml.reading.result import Failure, Group, ReaderOptions, Reading
from galfit_ml.reading.sources import Source, sources_of
from galfit_ml.registry import registry
from galfit_ml.spectra import SpectrumBatch


def read_spectra(spectrum: Any, *, instrument: str | Instrument | None = None, **options: Any) -> Reading:
    """Read whatever a user hands in; see `galfit_ml.reading` for what that may be. The input is never modified.

    Args:
        spectrum: spectra or paths.
        instrument: name, `Instrument`, "generic:R", or None to recognise it for each spectrum.
        **options: `format`, `medium`, `resolving_power`, `ids`, `rows`, `ebv`, `dust_map`, `coordinates`; see
            `ReaderOptions`.

    Returns:
        Batches grouped by instrument and wavelength grid, and a reason for each spectrum that cannot be used.

    Raises:
        UnknownNameError: no such instrument, option, file format or medium.
        SpectrumError: an object that is not understood as a spectrum, an empty list; ids, E(B-V) or coordinates of
            another number than the spectra; a dust map without coordinates.
        FileFormatError: the only file given cannot be read.
        GalfitMLError: a dust map that is not installed.
    """
    chosen = ReaderOptions.of(options)
    if isinstance(spectrum, SpectrumBatch):
        return _passed_through(spectrum, instrument, chosen)
    choice = InstrumentChoice.of(instrument, chosen.resolving_power, registry().instruments())
    sources = sources_of(spectrum, chosen)
    names = _names(sources.items, chosen.ids)
    reddening = Reddening.of(sources.items, chosen)
    pieces: list[tuple[NDArray[np.intp], SpectrumBatch]] = []
    failures: dict[int, Failure] = {}
    done = 0
    for source in sources.items:
        positions = np.arange(done, done + source.n)
        batch, reasons = _converted(source, choice, chosen, reddening and reddening.take(positions))
        failures.update({int(p): Failure(names[p], why) for p, why in zip(positions, reasons, strict=True) if why})
        if batch is not None:
            named = replace(batch, ids=tuple(names[p] for p in positions))
            good = np.flatnonzero(batch.usable)
            pieces.append((positions[good], named if len(good) == len(named) else named.take(good)))
        done += source.n
    return Reading(done, sources.single, group(pieces), failures, reddening.origin if reddening else "")


def _converted(
    source: Source, choice: InstrumentChoice, options: ReaderOptions, reddening: Reddening | None
) -> tuple[SpectrumBatch | None, Sequence[str]]:
    """The batch of a source, None without a usable row; and for each of its rows why it is not usable, or ""."""
    if source.reason:
        return None, [source.reason]
    try:
        batch = to_batch(source, choice, options, reddening)
    except SpectrumError as error:
        return None, [str(error)] * source.n
    return (batch if batch.usable.any() else None), batch.reasons


def _passed_through(batch: SpectrumBatch, instrument: str | Instrument | None, options: ReaderOptions) -> Reading:
    if instrument is not None or options != ReaderOptions():
        raise SpectrumError(
            "A SpectrumBatch brings its instrument, line-spread function and ids with it: leave out instrument= and "
            "the reader's options, or build the batch with others."
        )
    everything = np.arange(len(batch))
    return Reading(len(batch), False, (Group(everything, batch),) if len(batch) else (), {})


def _names(sources: Sequence[Source], ids: tuple[str, ...] | None) -> list[str]:
    """A name for each position: the user's, else what file or header say, else "spectrum-<position>"."""
    names: list[str] = []
    for source in sources:
        if source.row_shape == ():
            names.append(source.name or f"spectrum-{len(names)}")
        elif source.row_names or not source.name:
            names += source.row_names or [f"spectrum-{len(names) + i}" for i in range(source.n)]
        else:
            names += [f"{source.name}[{','.join(map(str, i))}]" for i in np.ndindex(*source.row_shape)]
    if ids is None:
        return names
    if len(ids) != len(names):
        raise SpectrumError(f"ids= has {len(ids)} names for {len(names)} spectra. Give one for each, or leave it out.")
    return list(ids)
