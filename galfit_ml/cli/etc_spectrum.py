"""A user's spectrum on the pixels of an instrument."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import FileFormatError, GalfitMLError, SpectrumError

if TYPE_CHECKING:
    from galfit_ml.instruments import Instrument

Floats = NDArray[np.float64]

TEXT = (".txt", ".dat", ".csv", ".ascii")


def on_pixels(path: Path, instrument: Instrument, redshift: float) -> tuple[Floats, NDArray[np.bool_]]:
    """Flux densities [n_pix] on the instrument's pixels, 0 where the file has none, and [n_pix] where it has some.

    A text file has two columns: vacuum wavelength (angstrom) and flux density per angstrom (1e-17 erg s^-1 cm^-2 A^-1
    where no magnitude is given). Anything else is read as `galfit-ml estimate` reads it. The spectrum is shifted by
    `redshift`, in wavelength alone, and averaged over the pixels; it is not smoothed to the instrument's resolution.

    Raises:
        FileFormatError: the file cannot be read.
        SpectrumError: it has no wavelength in common with the instrument.
        GalfitMLError: the redshift makes no sense.
    """
    from galfit_ml.grid import WavelengthGrid, rebin_matrix

    if not -1 < redshift < 100:
        raise GalfitMLError(f"The redshift {redshift:g} makes no sense: give one of at least 0, for example 1.2.")
    wavelength, flux = _read_text(path) if path.suffix.lower() in TEXT else _read_spectrum(path)
    source = WavelengthGrid.from_centres(wavelength * (1.0 + redshift))
    flux_on, covered = [], []
    for arm in instrument.arms:
        weights = rebin_matrix(source, arm.grid)
        inside = np.asarray(weights.sum(axis=1)) > 0.999
        flux_on.append(np.where(inside, weights @ flux, 0.0))
        covered.append(inside)
    if not any(part.any() for part in covered):
        low, high = source.centres[0], source.centres[-1]
        raise SpectrumError(
            f"'{path}' covers {low:.6g} to {high:.6g} A at redshift {redshift:g}, and '{instrument.name}' works from "
            f"{instrument.low:.6g} to {instrument.high:.6g} A. Wavelengths are angstroms; --redshift Z shifts them."
        )
    return np.concatenate(flux_on), np.concatenate(covered)


def _read_text(path: Path) -> tuple[Floats, Floats]:
    if not path.is_file():
        raise FileFormatError(f"There is no file '{path}'. Check the spelling.")
    lines = [line.split("#")[0].replace(",", " ").split() for line in path.read_text(errors="replace").splitlines()]
    rows = [line for line in lines if line]
    if rows and not _numbers(rows[0]):
        rows = rows[1:]  # the names of the columns
    values = [_numbers(row) for row in rows]
    if len(values) < 2 or not all(len(row) >= 2 for row in values):
        raise FileFormatError(
            f"'{path}' is not a spectrum: two columns of numbers are expected, wavelength (vacuum, angstrom) and flux "
            "density per angstrom, with # before comments."
        )
    table = np.array([row[:2] for row in values])
    table = table[np.argsort(table[:, 0], kind="stable")]
    if not np.isfinite(table).all() or table[0, 0] <= 0 or not np.all(np.diff(table[:, 0]) > 0):
        raise FileFormatError(f"'{path}': wavelengths must be positive and all different, fluxes finite.")
    return table[:, 0], table[:, 1]


def _numbers(cells: list[str]) -> list[float]:
    """The numbers in a line; none where one of its first two cells is not a number."""
    try:
        return [float(cell) for cell in cells[:2]]
    except ValueError:
        return []


def _read_spectrum(path: Path) -> tuple[Floats, Floats]:
    from galfit_ml.reading.files import read_file
    from galfit_ml.reading.measure import measure
    from galfit_ml.reading.result import ReaderOptions
    from galfit_ml.reading.sources import sources_of

    first = sources_of(read_file(path).spectra, ReaderOptions()).items[0]
    measured = measure(next(iter(first.arms.values())), ReaderOptions())
    good = np.isfinite(measured.flux[0]) & ~measured.mask[0]
    if good.sum() < 2:
        raise SpectrumError(f"'{path}' has no flux that can be used.")
    return measured.grid.centres[good], measured.flux[0, good]
