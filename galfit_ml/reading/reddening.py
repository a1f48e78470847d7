"""How much the Milky Way reddens each spectrum, as the user or a dust map says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import SpectrumError
from galfit_ml.reading.dust_maps import RECALIBRATION, ebv_at
from galfit_ml.reading.ebv import why_no_ebv
from galfit_ml.reading.extinction import CURVE
from galfit_ml.reading.result import ReaderOptions
from galfit_ml.reading.sky import places_of
from galfit_ml.reading.sources import Source

Floats = NDArray[np.float64]

_EXAMPLE = "Give coordinates=SkyCoord(ra, dec, unit='deg') for them, or the numbers themselves with ebv=."


@dataclass(frozen=True, eq=False)
class Reddening:
    """E(B-V) of the Milky Way in front of n spectra.

    Args:
        ebv: [n] mag; NaN where there is a reason.
        reasons: n texts, why there is none; "" where there is one.
        origin: who said so, in words.
    """

    ebv: Floats
    reasons: tuple[str, ...]
    origin: str = ""

    def take(self, rows: NDArray[np.intp]) -> Reddening:
        """That of the spectra `rows`."""
        return Reddening(self.ebv[rows], tuple(self.reasons[i] for i in rows), self.origin)

    @classmethod
    def of(cls, sources: Sequence[Source], options: ReaderOptions) -> Reddening | None:
        """What the options say of the sources; None where nothing is to be taken out.

        Raises:
            SpectrumError: numbers or coordinates of another number than the spectra, or none at all for a dust map.
            GalfitMLError: a dust map that is not installed.
        """
        n = sum(source.n for source in sources)
        if options.ebv is not None:
            several = isinstance(options.ebv, tuple)
            origin = "E(B-V) of each spectrum" if several else f"E(B-V) = {options.ebv:g} mag"
            return cls._checked(_for_each("ebv", np.array(options.ebv), n), ("",) * n, origin)
        if options.dust_map is None:
            return None
        coordinates, reasons = _coordinates(sources, options, n)
        ebv = np.full(n, np.nan)
        known = np.array([not reason for reason in reasons], dtype=bool)
        if known.any():
            ebv[known] = ebv_at(options.dust_map, coordinates[known])
        return cls._checked(ebv, reasons, f"E(B-V) from {_name(options.dust_map)}")

    @classmethod
    def _checked(cls, ebv: Floats, reasons: Sequence[str], origin: str) -> Reddening:
        told = tuple(reason or why_no_ebv(float(value)) for value, reason in zip(ebv, reasons, strict=True))
        return cls(np.where([bool(reason) for reason in told], np.nan, ebv), told, f"{origin}, {CURVE}")


def _name(dust_map: Any) -> str:
    if isinstance(dust_map, str):
        return f"the dust map {dust_map} times {RECALIBRATION}"
    return f"the dust map {getattr(dust_map, '__name__', type(dust_map).__name__)}"


def _for_each(option: str, values: Any, n: int) -> Any:
    """An array or SkyCoord [n] from a single value, or from n of them in any shape."""
    if values.shape == ():
        values = values.reshape(1)[np.zeros(n, dtype=np.intp)]
    if values.size != n:
        raise SpectrumError(
            f"{option}= has {values.size} values for {n} spectra. Give one for all of them, or one for each."
        )
    return values.ravel()


def _coordinates(sources: Sequence[Source], options: ReaderOptions, n: int) -> tuple[Any, tuple[str, ...]]:
    """SkyCoord [n], and for each spectrum why it has none, or ""."""
    if options.coordinates is not None:
        given = _for_each("coordinates", options.coordinates, n)
        return given, tuple("" if ok else _NOT_FINITE for ok in np.isfinite(given.spherical.lon * given.spherical.lat))
    from astropy.coordinates import SkyCoord

    places = np.concatenate([places_of(source) for source in sources])
    known = np.isfinite(places).all(axis=1)
    if not known.any() and not any(source.file for source in sources):
        raise SpectrumError(f"dust_map= needs to know where the spectra are on the sky: no header says it. {_EXAMPLE}")
    # a row without a place gets one that nobody asks for: SkyCoord does not take every NaN
    return SkyCoord(*np.where(known[:, None], places, 0.0).T, unit="deg"), tuple("" if ok else _NOWHERE for ok in known)


_NOT_FINITE = "its coordinates= are not finite, and dust_map= cannot be asked. Give them, or E(B-V) itself with ebv=."

_NOWHERE = (
    "dust_map= needs to know where the spectrum is on the sky, and its header does not say it: it has no PLUG_RA and "
    "PLUG_DEC (SDSS), RA_TARG and DEC_TARG, or RA and DEC. Give coordinates=SkyCoord(ra, dec, unit='deg'), "
    "or E(B-V) itself with ebv=."
)
