"""The night sky: emission and transmission of the atmosphere, and as the pixels of an instrument see them.

The table of Paranal was computed by the ESO SkyCalc (Noll et al. 2012, A&A 543, A92; Jones et al. 2013, A&A 560, A91);
`data/README.md` says for which conditions.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import FileFormatError, unknown_name
from galfit_ml.grid import WavelengthGrid, rebin_matrix
from galfit_ml.observatory import Observatory

Floats = NDArray[np.float64]

FORMAT = "galfit_ml sky table"
HC = 1.98644586e-25
"""h c, J m."""

BOLTZMANN = 1.380649e-23
LIGHT = 2.99792458e8
ARCSEC2 = 2.3504430539e-11
"""Steradian per square arcsecond."""

BLOCK_ANGSTROM = 40.0
"""Length of the pieces in which a line-spread function is taken as constant when smoothing."""

REACH = 6.0
"""Half-width of a smoothing kernel, in sigma."""

AIRGLOW_HEIGHT = 90.0 / 6371.0
"""Height of the airglow layer over the radius of the Earth."""

CONTINUUM_POWER = 0.9
"""The continuum grows as this power of the airglow's: what SkyCalc gives at airmass 1.0-2.0, to 2 % in the median."""


@dataclass(frozen=True, eq=False)
class SkyTable:
    """Emission and transmission of the sky.

    Args:
        wavelength: [m] bin centres, vacuum angstrom, uniform.
        lines, continuum: [m] photon s^-1 m^-2 A^-1 arcsec^-2; their sum is the emission. The continuum follows the
            emission where the atmosphere absorbs it.
        transmission: [m] of the atmosphere.
        airmass: to which all belong.
        origin: where the numbers come from.
    """

    wavelength: Floats
    lines: Floats
    continuum: Floats
    transmission: Floats
    airmass: float
    origin: str

    @classmethod
    def load(cls, name: str = "paranal") -> SkyTable:
        """The table of that name in the package; UnknownNameError with a suggestion otherwise."""
        return _load(name)

    @classmethod
    def from_file(cls, path: str | Path) -> SkyTable:
        """A table that `galfit-ml data build-sky` wrote; FileFormatError where it is none."""
        return _read(Path(path))

    @property
    def grid(self) -> WavelengthGrid:
        """The bins."""
        return WavelengthGrid.from_centres(self.wavelength)

    @property
    def step(self) -> float:
        """Width of a bin, angstrom."""
        return float(self.wavelength[1] - self.wavelength[0])

    def at(self, airmass: float) -> SkyTable:
        """The table at another airmass, from 1 to 2.

        Optical depth is proportional to airmass, lines grow with the path through the airglow layer and are absorbed
        like the light of an object, the continuum grows a little less. Against SkyCalc at airmass 1.0 and 2.0, averaged
        over 3 A: transmission within 0.004 rms; emission within 1.2 % rms, weighted with the light, in RI and H. The
        oxygen band at 1.27 um absorbs itself and comes out too bright: by a third rms at airmass 1.6, at single
        wavelengths by a factor of 3 at airmass 2.
        """
        growth = airglow_path(airmass) / airglow_path(self.airmass)
        deeper = np.maximum(self.transmission, 1e-12) ** (airmass / self.airmass - 1.0)
        return replace(
            self,
            lines=self.lines * growth * deeper,
            continuum=self.continuum * growth**CONTINUUM_POWER,
            transmission=self.transmission * deeper,
            airmass=airmass,
        )


def airglow_path(airmass: float) -> float:
    """Path through the airglow layer over that at the zenith (van Rhijn 1921; Noll et al. 2012, eq. 18)."""
    sine2 = 1.0 - airmass**-2
    return float((1.0 - sine2 / (1.0 + AIRGLOW_HEIGHT) ** 2) ** -0.5)


@lru_cache(maxsize=4)
def _load(name: str) -> SkyTable:
    folder = resources.files("galfit_ml") / "data" / "sky"
    known = [entry.name.removesuffix(".npz") for entry in folder.iterdir() if entry.name.endswith(".npz")]
    if name not in known:
        raise unknown_name("sky table", name, known)
    return _read(folder / f"{name}.npz")


def _read(file: Traversable) -> SkyTable:
    try:
        with file.open("rb") as handle, np.load(handle, allow_pickle=False) as data:
            arrays = {key: data[key] for key in data.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise FileFormatError(
            f"The sky table {file} cannot be read ({error}). Build it or install it again."
        ) from error
    if str(arrays.get("format")) != FORMAT:
        raise FileFormatError(f"{file} is not a sky table of this package. `galfit-ml data build-sky` makes one.")
    wavelength = arrays["wavelength0"] + arrays["step"] * np.arange(len(arrays["emission_code"]))
    emission = arrays["emission_floor"] * np.expm1(arrays["emission_code"] * arrays["emission_step"])
    continuum = np.interp(wavelength, arrays["continuum_wavelength"], arrays["continuum"])
    return SkyTable(
        wavelength=wavelength,
        lines=np.maximum(emission - continuum, 0.0),
        continuum=np.minimum(emission, continuum),
        transmission=arrays["transmission_code"] * arrays["transmission_step"],
        airmass=float(arrays["airmass"]),
        origin=str(arrays["origin"]),
    )


@dataclass(frozen=True, eq=False)
class SkyOnPixels:
    """The sky as the pixels of one arm see it, through its line-spread function; arrays [n_pix].

    Args:
        lines, continuum, thermal: emission, photon s^-1 m^-2 A^-1 arcsec^-2.
        slope: derivative of `lines` with respect to wavelength, per angstrom, averaged over the pixel.
        transmission: mean over the line-spread function, at the airmass of the table.
    """

    lines: Floats
    continuum: Floats
    thermal: Floats
    slope: Floats
    transmission: Floats

    @classmethod
    def of(cls, table: SkyTable, grid: WavelengthGrid, sigma: Floats, observatory: Observatory) -> SkyOnPixels:
        """Emission and transmission on `grid` through a Gaussian of `sigma` [n_pix], angstrom, pixel included."""
        if grid.edges[0] < table.grid.edges[0] or grid.edges[-1] > table.grid.edges[-1]:
            raise FileFormatError(
                f"The sky table covers {table.wavelength[0]:.0f}-{table.wavelength[-1]:.0f} A, the arm "
                f"{grid.centres[0]:.0f}-{grid.centres[-1]:.0f} A. Use a sky table that covers it."
            )
        optical = np.sqrt(np.maximum(sigma**2 - (grid.widths**2 + table.step**2) / 12.0, 0.0))
        return cls(
            lines=through_lsf(table, table.lines, grid, optical),
            continuum=through_lsf(table, table.continuum, grid, optical),
            thermal=grey_body(grid.centres, observatory.temperature, observatory.emissivity),
            slope=through_lsf(table, table.lines, grid, optical, derivative=True),
            transmission=np.clip(through_lsf(table, table.transmission, grid, optical), 0.0, 1.0),
        )


def grey_body(wavelength: Floats, temperature: float, emissivity: float) -> Floats:
    """Thermal emission, photon s^-1 m^-2 A^-1 arcsec^-2, at `wavelength` (angstrom): emissivity x Planck's law."""
    metre = wavelength * 1e-10
    per_metre = 2.0 * LIGHT / metre**4 / np.expm1(HC / (metre * BOLTZMANN * temperature))
    return np.asarray(emissivity * per_metre * 1e-10 * ARCSEC2)


def through_lsf(
    table: SkyTable, values: Floats, grid: WavelengthGrid, sigma: Floats, *, derivative: bool = False
) -> Floats:
    """`values` [m] of a sky table smoothed by a Gaussian of `sigma` [n_pix] (angstrom) and averaged over the pixels.

    The kernel is constant in pieces of 40 A, so that a width that changes along the arm costs no more than a
    constant one. With `derivative`, the derivative of that with respect to wavelength.
    """
    out = np.empty(len(grid))
    piece = ((grid.centres - grid.centres[0]) // BLOCK_ANGSTROM).astype(int)
    starts = np.flatnonzero(np.diff(piece, prepend=-1))
    for first, last in zip(starts, [*starts[1:], len(grid)], strict=True):
        part = WavelengthGrid(grid.edges[first : last + 1], grid.centres[first:last])
        kernel = _kernel(float(np.median(sigma[first:last])), table.step, derivative)
        out[first:last] = _smoothed_piece(table, values, part, kernel)
    return out


def _kernel(sigma: float, step: float, derivative: bool) -> Floats:
    """A Gaussian in bins of `step`, or its derivative."""
    width = max(sigma, 1e-3 * step)
    reach = int(np.ceil(REACH * width / step))
    offset = step * np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (offset / width) ** 2)
    kernel /= kernel.sum()
    return np.asarray(-offset / width**2 * kernel if derivative else kernel)


def _smoothed_piece(table: SkyTable, values: Floats, part: WavelengthGrid, kernel: Floats) -> Floats:
    reach, start = len(kernel) // 2, table.wavelength[0]
    low = int((part.edges[0] - start) / table.step) - 1
    high = int((part.edges[-1] - start) / table.step) + 3
    near = values[np.clip(np.arange(low - reach, high + reach), 0, len(values) - 1)]
    smooth = np.convolve(near, kernel, mode="valid")
    centres = start + table.step * np.arange(low, high)
    return np.asarray(rebin_matrix(WavelengthGrid.from_centres(centres), part) @ smooth)
