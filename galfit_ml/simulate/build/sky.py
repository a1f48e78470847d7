"""The compact sky table of the package, from the ESO SkyCalc spectra that `moons1d` carries.

The source is at vacuum wavelengths (its header: VACAIR vac; its [O I] line stands at 6302.0 A, where it has 6300.3 A in
air), photons / s / cm^2 / A / arcsec^2 at 0.1 A, for Paranal at an airmass of 1.2, with moonlight (Noll et al. 2012,
A&A 543, A92; Jones et al. 2013, A&A 560, A91); `data/README.md` has all conditions. What is kept: means over 0.2 A,
6000-18000 A, split into a continuum (a running low percentile, or the emission where that is less) and lines.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import FileFormatError
from galfit_ml.writing import write_whole

Floats = NDArray[np.float64]

SOURCE = "moons1d/models/Skymodel/SkyTemplate_ESO_a{airmass:.1f}.fits"
AIRMASS = 1.2
BIN = 2
"""Source pixels per stored pixel."""

CONTINUUM_WINDOW = 80.0
"""Angstrom over which the continuum is the low percentile of the emission."""

CONTINUUM_PERCENTILE = 15.0
CONTINUUM_STEP = 50
"""Stored pixels per node of the continuum."""

FLOOR = 1e-4
"""photon / s / m^2 / A / arcsec^2: the emission is stored as ln(1 + emission / floor)."""

STEP = 4e-4
TRANSMISSION_STEP = 1 / 8192
CM2_PER_M2 = 1e4


def build_sky(origin: str | Path, out: str | Path, tell: Callable[[str], None]) -> str:
    """Write the sky table `out` (.npz) from the moons1d wheel, or the folder it was unpacked to; returns a summary.

    Raises:
        FileFormatError: `origin` does not hold the SkyCalc spectra of moons1d.
    """
    tell(f"reading {origin}")
    wavelength, emission, transmission = read_skycalc(Path(origin), AIRMASS)
    content, path = io.BytesIO(), Path(out)
    np.savez_compressed(content, **_compact(wavelength, emission, transmission))
    write_whole(path, content.getvalue())
    return f"wrote {out}: {len(wavelength)} pixels of {BIN / 10:.1f} A, {path.stat().st_size / 1e3:.0f} kB"


def _compact(wavelength: Floats, emission: Floats, transmission: Floats) -> dict[str, Any]:
    """The arrays of the file: quantised emission and transmission, nodes of the continuum."""
    continuum = continuum_of(wavelength, emission)
    nodes = slice(0, None, CONTINUUM_STEP)
    return {
        "format": "galfit_ml sky table",
        "version": 1,
        "airmass": AIRMASS,
        "wavelength0": wavelength[0],
        "step": wavelength[1] - wavelength[0],
        "emission_code": _steps(np.log1p(emission / FLOOR) / STEP),
        "emission_floor": FLOOR,
        "emission_step": STEP,
        "continuum_wavelength": wavelength[nodes],
        "continuum": continuum[nodes].astype(np.float32),
        "transmission_code": _steps(transmission / TRANSMISSION_STEP),
        "transmission_step": TRANSMISSION_STEP,
        "origin": "ESO SkyCalc (Noll et al. 2012; Jones et al. 2013) as moons1d 1.0.3 carries it",
    }


def read_skycalc(origin: Path, airmass: float) -> tuple[Floats, Floats, Floats]:
    """Wavelength [m] (angstrom), emission [m] (photon / s / m^2 / A / arcsec^2) and transmission [m] at 0.2 A."""
    from astropy.io import fits

    with fits.open(io.BytesIO(_content(origin, SOURCE.format(airmass=airmass)))) as file:
        first, step = float(file[0].header["CRVAL1"]), float(file[0].header["CDELT1"])
        emission, transmission = (np.asarray(file[i].data, dtype=np.float64) for i in (0, 1))
    n_bins = len(emission) // BIN
    wavelength = first + step * (BIN * np.arange(n_bins) + 0.5 * (BIN - 1))
    binned = [array[: n_bins * BIN].reshape(n_bins, BIN).mean(axis=1) for array in (emission, transmission)]
    return np.asarray(wavelength, dtype=np.float64), binned[0] * CM2_PER_M2, binned[1]


def continuum_of(wavelength: Floats, emission: Floats) -> Floats:
    """Continuum [m] of an emission spectrum [m]: a running low percentile, smoothed over the same window."""
    from scipy.ndimage import percentile_filter, uniform_filter1d

    window = round(CONTINUUM_WINDOW / float(wavelength[1] - wavelength[0]))
    low = percentile_filter(emission, CONTINUUM_PERCENTILE, size=window, mode="nearest")
    smooth = uniform_filter1d(low, window, mode="nearest")
    nodes = wavelength[::CONTINUUM_STEP]
    return np.asarray(np.interp(wavelength, nodes, smooth[::CONTINUUM_STEP].astype(np.float32)), dtype=np.float64)


def _steps(value: Floats) -> NDArray[np.uint16]:
    return np.round(value).astype(np.uint16)


def _content(origin: Path, name: str) -> bytes:
    try:
        if origin.is_dir():
            return (origin / name).read_bytes()
        with zipfile.ZipFile(origin) as wheel:
            return wheel.read(name)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise FileFormatError(
            f"'{origin}' does not hold {name} ({error}). Give the wheel of moons1d 1.0.3 "
            "(pip download --no-deps moons1d==1.0.3) or the folder it was unpacked to."
        ) from error
