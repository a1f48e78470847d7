"""What goes into a fit and what comes out of it: plain data that travels between two processes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from galfit_ml.redshift_prior import RedshiftPrior
from galfit_ml_bagpipes.observed import Observed
from galfit_ml_bagpipes.prior import Prior
from galfit_ml_bagpipes.settings import Settings

Floats = NDArray[np.float64]

SCAN_WIDTH = 0.04
"""Widest range of ln(1 + z) that is sampled as it stands; a wider one is searched for the best redshift first."""

CELL = 0.01
"""Half-width of the cell around that redshift which is sampled, in units of 1 + z."""

FULL_DISK = "The disk of temporary files is full: free some space there, or name another folder, TMPDIR=/other/disk."
"""What to do where a job or its answer cannot be written."""


@dataclass(frozen=True, eq=False)
class Job:
    """One spectrum to be fitted.

    Args:
        observed: the spectrum.
        prior: over the whole range of redshift.
        redshift: the user's prior.
        settings: of the fit.
        remnants: [n_Z, n_age] mass in remnants per mass formed, in bagpipes' own bins.
        seed: of nautilus and of everything else that is random.
        n_samples: draws wanted.
    """

    observed: Observed
    prior: Prior
    redshift: RedshiftPrior
    settings: Settings
    remnants: Floats
    seed: int
    n_samples: int

    @property
    def limits(self) -> tuple[float, float]:
        """Range of redshift."""
        return float(self.prior.redshift.redshift[0]), float(self.prior.redshift.redshift[-1])

    @property
    def needs_scan(self) -> bool:
        """Whether the range of redshift is too wide to be sampled as it stands."""
        low, high = self.limits
        return bool(np.log1p(high) - np.log1p(low) > SCAN_WIDTH)


@dataclass(frozen=True, eq=False)
class Answer:
    """What a fit found.

    Args:
        values: coordinate -> [n_samples] draws of equal weight.
        derived: name -> [n_samples]: log_stellar_mass (with remnants), log_living_mass, log_sfr, log_age, all in
            bagpipes' cosmology.
        best: coordinate -> value of the most probable galaxy.
        model: [n_pix] its spectrum, calibration included, erg s^-1 cm^-2 A^-1.
        calibration: [n_pix] by which the galaxy was multiplied there.
        numbers: name -> what is told of the fit.
        version: of bagpipes.
    """

    values: dict[str, Floats]
    derived: dict[str, Floats]
    best: dict[str, float]
    model: Floats
    calibration: Floats
    numbers: dict[str, float]
    version: str
