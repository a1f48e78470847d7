"""E(B-V) of the Milky Way from a dust map: any callable, or the map of Schlegel, Finkbeiner & Davis (1998)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import GalfitMLError, SpectrumError

RECALIBRATION = 0.86
"""True over mapped E(B-V) of SFD: Schlafly & Finkbeiner (2011, ApJ 737, 103), from the colours of stars."""

_INSTALL = "pip install dustmaps"
_FETCH = 'python -c "import dustmaps.sfd; dustmaps.sfd.fetch()"'


def ebv_at(dust_map: Any, coordinates: Any) -> NDArray[np.float64]:
    """E(B-V) [n], mag, as a map tells it; NaN where it has none.

    Args:
        dust_map: a callable SkyCoord [n] -> E(B-V) [n], taken as it is; or "sfd", taken times `RECALIBRATION`.
        coordinates: SkyCoord [n].

    Raises:
        GalfitMLError: "sfd" without the package dustmaps, or without its map.
        SpectrumError: the map answers with something else than a number for each position.
    """
    answer = RECALIBRATION * _sfd()(coordinates) if dust_map == "sfd" else dust_map(coordinates)
    try:
        values = np.ma.filled(np.ma.asarray(answer).astype(np.float64), np.nan)
        return np.array(np.broadcast_to(values, coordinates.shape))
    except (TypeError, ValueError):
        raise SpectrumError(
            f"dust_map= answered with {np.shape(answer)} values for {coordinates.shape} positions; it must give one "
            "E(B-V) for each. A map in three dimensions needs a distance in coordinates=, and a mode that gives one "
            "number: wrap it, dust_map=lambda where: query(where, mode='median')."
        ) from None


@cache
def _sfd() -> Callable[[Any], Any]:
    try:
        module = import_module("dustmaps.sfd")
    except ImportError as error:
        raise GalfitMLError(
            f"dust_map='sfd' needs the package dustmaps, which cannot be imported ({error}). Install it and fetch the "
            f"map once: {_INSTALL}, then {_FETCH}. Or give the number: ebv=0.03."
        ) from error
    try:
        with redirect_stdout(sys.stderr):  # dustmaps prints what to do where a map is missing
            return module.SFDQuery()
    except OSError as error:
        raise GalfitMLError(
            f"dustmaps is installed, but its map of Schlegel, Finkbeiner & Davis cannot be read ({error}). Fetch it "
            f"once: {_FETCH}. Or give the number: ebv=0.03."
        ) from error
