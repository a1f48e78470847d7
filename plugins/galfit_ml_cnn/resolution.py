"""A spectrum's own line-spread function beside the one that the network learnt with.

The network does not look at the line-spread function: it learnt with that of the instrument. Lines of a spectrum of
lower resolution look broader, by as much as a larger velocity dispersion would make them; what it says of the
dispersion is set right in quadrature.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from galfit_ml.grid import SPEED_OF_LIGHT_KMS
from galfit_ml.instruments import Instrument
from galfit_ml.parameters import GALAXY
from galfit_ml.prepare import Prepared

Floats = NDArray[np.float64]

REST_RANGE = (4000.0, 6500.0)
"""Rest angstrom whose absorption lines say most of the stellar velocity dispersion."""

FEWEST = 50
"""Pixels of that range that must be there; with fewer all are taken."""

UNUSUAL = 0.25
"""Relative difference of the widths above which a row is flagged."""


def excess_variance(seen: Prepared, instrument: Instrument, redshift: Floats) -> tuple[Floats, Floats]:
    """By how much line-spread functions are wider than the instrument's: [n] km^2/s^2, and [n] the ratio of widths.

    Medians over good pixels of `REST_RANGE` at redshifts [n].
    """
    usual = instrument.sigma(seen.wavelength)
    rest = seen.wavelength / (1 + redshift[:, None])
    inside = seen.good & (rest > REST_RANGE[0]) & (rest < REST_RANGE[1])
    enough = inside.sum(axis=1) >= FEWEST
    inside[~enough] = seen.good[~enough]
    own = SPEED_OF_LIGHT_KMS * seen.lsf_sigma / seen.wavelength
    nominal = np.broadcast_to(SPEED_OF_LIGHT_KMS * usual / seen.wavelength, own.shape)
    inside[~inside.any(axis=1)] = True
    difference = [np.median(o[k] ** 2 - u[k] ** 2) for o, u, k in zip(own, nominal, inside, strict=True)]
    ratio = [np.median(o[k] / u[k]) for o, u, k in zip(own, nominal, inside, strict=True)]
    return np.array(difference), np.array(ratio)


def corrected(dispersion: Floats, excess: Floats) -> Floats:
    """Velocity dispersions [n, n_draws] without the excess [n] of the line-spread function, km/s."""
    parameter = GALAXY["velocity_dispersion"]
    squared = dispersion**2 - excess[:, None]
    return np.clip(np.sqrt(np.maximum(squared, parameter.low**2)), parameter.low, parameter.high)
