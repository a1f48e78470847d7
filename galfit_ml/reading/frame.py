"""In whose rest frame the wavelengths of a spectrum are."""

from __future__ import annotations

from collections.abc import Iterable

from galfit_ml.reading.sources import RawArm, header_of

EARTH = {"TOPOCENT", "GEOCENTR"}
"""Values of SPECSYS (Greisen et al. 2006, A&A 446, 747, table 12) for wavelengths that move with the Earth."""


def moves_with_earth(arms: Iterable[RawArm]) -> bool:
    """Whether the header of an arm says that its wavelengths are not corrected for the motion of the Earth.

    A header that says nothing is no evidence, nor is the absence of SDSS's HELIO_RV.
    """
    return any(str(header_of(arm.meta).get("SPECSYS", "")).strip().upper() in EARTH for arm in arms)
