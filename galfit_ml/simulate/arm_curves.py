"""`ArmCurves`: what the pixels of one arm see of sky and object, from telescope, fibre, throughput and sky table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from galfit_ml.instruments import Arm
from galfit_ml.observatory import Observatory
from galfit_ml.simulate.sky import SkyOnPixels, SkyTable

Floats = NDArray[np.float64]

PLANCK_C = 1.986445857148968e-8
"""h c, erg angstrom."""

FLUX_UNIT = 1e-17
CM2_PER_M2 = 1e4
LEAST_THROUGHPUT = 1e-5
"""Floor of the response where no light arrives (the pixel is a gap), so that its variance stays finite."""


@dataclass(frozen=True)
class ArmCurves:
    """Curves of one arm; arrays [n_pix].

    Args:
        lines, continuum, thermal: sky electrons per second.
        slope: derivative of the sky with respect to wavelength, electrons per second and angstrom.
        transmission: of the atmosphere, at the airmass of the sky table.
        response: electrons per second and unit flux density (1e-17 erg s^-1 cm^-2 A^-1), without atmosphere and fibre:
            wavelength / (h c) * area * throughput * pixel width.
        throughput: of telescope, instrument and detector.
        wavelength: angstrom.
    """

    lines: Floats
    continuum: Floats
    thermal: Floats
    slope: Floats
    transmission: Floats
    response: Floats
    throughput: Floats
    wavelength: Floats

    @classmethod
    def of(cls, arm: Arm, observatory: Observatory) -> ArmCurves:
        """Curves of an arm that has a throughput."""
        assert arm.throughput is not None
        grid = arm.grid
        sky = _sky_on_pixels(replace(arm, throughput=None, detector=None), observatory)
        throughput = arm.throughput(grid.centres)
        collected = observatory.area * throughput * grid.widths
        light = observatory.area * np.maximum(throughput, LEAST_THROUGHPUT) * grid.widths
        on_sky = collected * fibre_area(observatory)
        return cls(
            lines=on_sky * sky.lines,
            continuum=on_sky * sky.continuum,
            thermal=on_sky * sky.thermal,
            slope=on_sky * sky.slope,
            transmission=sky.transmission,
            response=FLUX_UNIT * CM2_PER_M2 * grid.centres / PLANCK_C * light,
            throughput=throughput,
            wavelength=grid.centres,
        )

    @property
    def sky(self) -> Floats:
        """[3, n_pix] lines, continuum and thermal emission, electrons per second."""
        return np.stack([self.lines, self.continuum, self.thermal])


@lru_cache(maxsize=64)
def _sky_on_pixels(arm: Arm, observatory: Observatory) -> SkyOnPixels:
    """Smoothing the table takes a second, and the same arms are asked for again and again."""
    grid = arm.grid
    return SkyOnPixels.of(SkyTable.load(observatory.sky), grid, arm.resolution.sigma(grid.centres), observatory)


def fibre_area(observatory: Observatory) -> float:
    """Solid angle of the fibre, arcsec^2."""
    return float(np.pi / 4.0 * observatory.fibre**2)
