"""Which E(B-V) a user may give: one number, or one for each spectrum."""

from __future__ import annotations

from typing import Any

import numpy as np

from galfit_ml.errors import SpectrumError, unknown_name

LARGEST = 3.0
"""E(B-V), mag, beyond which it must be something else: behind it a galaxy loses 12 magnitudes in B."""

DUST_MAPS = ("sfd",)
"""Dust maps that can be named; any other one is handed in as a callable."""


def checked_ebv(value: Any) -> float | tuple[float, ...]:
    """One number, checked; or the numbers of an array of any shape in C order, NaN where masked.

    The numbers of an array are not checked here: a spectrum without a usable one becomes a row with a reason.

    Raises:
        SpectrumError: no number at all, or a single one that is not finite, negative or beyond `LARGEST`.
    """
    try:
        numbers = np.ma.filled(np.ma.asarray(value).astype(np.float64), np.nan)
    except (TypeError, ValueError):
        raise SpectrumError(
            f"ebv={value!r} is not a number. It is E(B-V) of the Milky Way in magnitudes: write ebv=0.03, or one "
            "number for each spectrum; a dust map goes to dust_map=."
        ) from None
    if numbers.ndim:
        return tuple(map(float, numbers.ravel()))
    why = why_no_ebv(float(numbers))
    if why:
        raise SpectrumError(why)
    return float(numbers)


def why_no_ebv(ebv: float) -> str:
    """Why a spectrum cannot be corrected for this E(B-V), mag; "" where it can."""
    if np.isfinite(ebv) and 0 <= ebv <= LARGEST:
        return ""
    if not np.isfinite(ebv):
        why = ": a value missing in a catalogue, or a position outside the dust map"
    elif ebv < 0:
        why = " mag, and dust cannot brighten: usually the mark of a missing value"
    else:
        why = f" mag, beyond {LARGEST:g} mag, where no galaxy is seen: is it A_V (3.1 times E(B-V)), or a percentage"
    return (
        f"E(B-V) of the Milky Way is {ebv:g}{why}. Give a number of magnitudes, for example ebv=0.03; "
        "0 leaves a spectrum as it is."
    )


def check_dust_map(dust_map: Any, coordinates: Any, ebv: Any) -> None:
    """Whether `dust_map=`, `coordinates=` and `ebv=` go together.

    Raises:
        UnknownNameError: a dust map of that name is not known.
        SpectrumError: two sources of E(B-V), coordinates without a map, or one of the two is something else.
    """
    if dust_map is None and coordinates is not None:
        raise SpectrumError(
            "coordinates= says where to look in a dust map, and there is none: add dust_map='sfd', or a callable "
            "that turns a SkyCoord into E(B-V)."
        )
    if dust_map is not None and ebv is not None:
        raise SpectrumError("ebv= and dust_map= both say how much the Milky Way reddens: leave one of them out.")
    if isinstance(dust_map, str) and dust_map not in DUST_MAPS:
        raise unknown_name("dust map", dust_map, DUST_MAPS, "Others are handed in as a callable: SkyCoord -> E(B-V).")
    if dust_map is not None and not isinstance(dust_map, str) and not callable(dust_map):
        raise SpectrumError(
            f"dust_map={dust_map!r} cannot be asked. Give 'sfd', or a callable that turns a SkyCoord into E(B-V), such "
            "as a query object of the package dustmaps; a number goes to ebv=."
        )
    if coordinates is not None:
        _check_coordinates(coordinates)


def _check_coordinates(coordinates: Any) -> None:
    from astropy.coordinates import SkyCoord

    if not isinstance(coordinates, SkyCoord):
        raise SpectrumError(
            f"coordinates= is a {type(coordinates).__name__}, which does not say in which system and unit it is. Give "
            "an astropy SkyCoord: coordinates=SkyCoord(ra, dec, unit='deg')."
        )
