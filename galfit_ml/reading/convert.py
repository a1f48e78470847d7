"""From a `Source` to a `SpectrumBatch`: arms, instrument, line-spread function, flags, reasons for bad rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import SpectrumError
from galfit_ml.flags import Flag
from galfit_ml.instruments import Instrument
from galfit_ml.reading.extinction import dereddened
from galfit_ml.reading.frame import moves_with_earth
from galfit_ml.reading.lsf import instrument_sigma
from galfit_ml.reading.measure import Measured, measure
from galfit_ml.reading.quality import observed_flags, row_medians, why_unusable
from galfit_ml.reading.recognise import InstrumentChoice, check_overlap
from galfit_ml.reading.reddening import Reddening
from galfit_ml.reading.result import ReaderOptions
from galfit_ml.reading.sources import RawArm, Source
from galfit_ml.spectra import ArmSpectra, SpectrumBatch

Floats = NDArray[np.float64]


def to_batch(
    source: Source, choice: InstrumentChoice, options: ReaderOptions, reddening: Reddening | None = None
) -> SpectrumBatch:
    """The batch of a source, `reddening` taken out; rows that cannot be used are flagged FAILED with their reason.

    Raises:
        SpectrumError: something is wrong with all of it: units, axis, shapes, uncertainties, no overlap.
    """
    measured = {name: _measured_arm(name, raw, options) for name, raw in source.arms.items()}
    if reddening is not None:  # a row without E(B-V) stays as it is, and is said below to be unusable
        measured = {name: dereddened(m, np.nan_to_num(reddening.ebv)) for name, m in measured.items()}
    first = next(iter(source.arms.values()))
    waves = [m.grid.centres for m in measured.values()]
    instrument = choice.for_spectrum(first.meta, min(w[0] for w in waves), max(w[-1] for w in waves))
    check_overlap(waves, instrument, _angstroms_in(first.axis.unit))
    scale = _relative_scale(list(measured.values()))
    arms = tuple(_arm(name, m, instrument, scale) for name, m in measured.items())
    reasons = why_unusable(list(measured.values()))
    if reddening is not None:
        reasons = tuple(own or other for own, other in zip(reasons, reddening.reasons, strict=True))
    assumed = any(m.lsf_sigma is None for m in measured.values()) and not choice.stated
    flags = observed_flags(arms, instrument) | (Flag.LSF_ASSUMED if assumed else 0)
    flags |= Flag.NOISE_ESTIMATED if any(m.estimated for m in measured.values()) else 0
    flags |= Flag.RELATIVE_FLUX if scale is not None else 0
    flags |= Flag.TOPOCENTRIC if moves_with_earth(source.arms.values()) else 0
    failed = np.array([bool(reason) for reason in reasons])
    bits = np.where(failed, flags | int(Flag.FAILED), flags).astype(np.int64)
    return SpectrumBatch(instrument, arms, ("",) * len(bits), bits, reasons, _metas(source, reddening))


def _measured_arm(name: str, raw: RawArm, options: ReaderOptions) -> Measured:
    try:
        return measure(raw, options)
    except SpectrumError as error:
        raise SpectrumError(f"arm '{name}': {error}" if name else str(error)) from error


def _relative_scale(measured: list[Measured]) -> Floats | None:
    """[n, 1] median absolute flux of good pixels where fluxes are relative (1 where it is 0); None where absolute."""
    if len({m.relative for m in measured}) > 1:
        raise SpectrumError(
            "some arms have an absolute flux scale and others are relative (counts or dimensionless). Give all of them "
            "the same kind of unit."
        )
    if not measured[0].relative:
        return None
    flux = np.concatenate([m.flux for m in measured], axis=1)
    bad = np.concatenate([m.mask | (m.ivar <= 0) for m in measured], axis=1)
    size = row_medians(np.abs(flux), ~bad & np.isfinite(flux))
    return np.where(size > 0, size, 1.0)[:, None]


def _arm(name: str, measured: Measured, instrument: Instrument, scale: Floats | None) -> ArmSpectra:
    name = name or instrument.arms[0].name
    sigma = measured.lsf_sigma
    if sigma is None:
        sigma = instrument_sigma(instrument, name, measured.grid.centres)
    factor = 1.0 if scale is None else scale
    lsf = np.array(np.broadcast_to(sigma, measured.flux.shape))
    return ArmSpectra(name, measured.grid, measured.flux / factor, measured.ivar * factor**2, measured.mask, lsf)


def _angstroms_in(unit: Any) -> float | None:
    return float(unit.to("AA")) if unit.physical_type == "length" else None


def _metas(source: Source, reddening: Reddening | None) -> tuple[Mapping[str, Any], ...]:
    """What else is known of each row: file, place in an n-D array, redshift in its header, E(B-V) taken out."""
    shared: dict[str, Any] = {"file": source.file} if source.file else {}
    redshift = next(iter(source.arms.values())).redshift
    # 0.0 is what specutils says when nobody set it
    if redshift is not None and np.ndim(redshift) == 0 and float(redshift) != 0.0:
        shared["header_redshift"] = float(redshift)
    places = [{"index": index} for index in np.ndindex(*source.row_shape)] if source.row_shape else [{}]
    removed = [{}] * source.n if reddening is None else [{"ebv": float(ebv)} for ebv in reddening.ebv]
    return tuple({**shared, **place, **taken} for place, taken in zip(places, removed, strict=True))
