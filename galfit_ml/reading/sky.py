"""Where on the sky the spectra of a source are, as far as headers tell it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.reading.sources import RawArm, Source, header_of

Floats = NDArray[np.float64]

PLUGGED = ("PLUG_RA", "PLUG_DEC")
"""Where the fibre of the SDSS is. Its RA and DEC are where the telescope points, up to 1.5 degrees off."""

KEYWORDS = (PLUGGED, ("RA_TARG", "DEC_TARG"), ("RA", "DEC"))


def places_of(source: Source) -> Floats:
    """[n, 2] right ascension and declination (ICRS or FK5, J2000), degrees; NaN where unknown.

    Taken from the table of targets of a DESI file, else from the header: a number is degrees, a text such as
    "10:00:52.1" hours of right ascension.
    """
    for arm in source.arms.values():
        found = _from_targets(arm, source.n)
        if found is None:
            found = np.broadcast_to(_from_header(header_of(arm.meta)), (source.n, 2))
        if np.isfinite(found).any():
            return found
    return np.full((source.n, 2), np.nan)


def _from_targets(arm: RawArm, n: int) -> Floats | None:
    """The columns of DESI's table; None where there is none."""
    try:
        columns = [np.asarray(arm.meta["fibermap"][key], dtype=np.float64) for key in ("TARGET_RA", "TARGET_DEC")]
    except (KeyError, TypeError, ValueError):
        return None
    return np.stack(columns, axis=1) if columns[0].shape == (n,) else None


def _from_header(header: Mapping[str, Any]) -> tuple[float, float]:
    sdss = str(header.get("TELESCOP", "")).startswith("SDSS")
    for keys in (PLUGGED,) if sdss else KEYWORDS:
        ra, dec = _degrees(*(header.get(key) for key in keys))
        if -360.0 <= ra <= 360.0 and -90.0 <= dec <= 90.0:
            return ra, dec
    return np.nan, np.nan


def _degrees(ra: Any, dec: Any) -> tuple[float, float]:
    """Numbers as they are; texts in sexagesimal notation; NaN for anything else."""
    try:
        return float(ra), float(dec)
    except (TypeError, ValueError):
        pass
    if not isinstance(ra, str) or not isinstance(dec, str):
        return np.nan, np.nan
    from astropy.coordinates import Angle

    try:
        return float(Angle(ra, unit="hourangle").deg), float(Angle(dec, unit="deg").deg)
    except ValueError:
        return np.nan, np.nan
