"""Reading mock files: batches of the rows that are asked for, straight from disk."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import FileFormatError, SpectrumError, unknown_name
from galfit_ml.flags import Flag
from galfit_ml.instruments import Instrument
from galfit_ml.mock_files.headers import BLOCK
from galfit_ml.mock_files.instrument_json import from_json
from galfit_ml.mock_files.layout import ID_TYPE, PIXEL_TYPE
from galfit_ml.mock_files.plan import FORMAT_VERSION, KIND
from galfit_ml.spectra import ArmSpectra, SpectrumBatch

LAYERS = ("flux", "ivar", "mask", "white_ivar", "noiseless")

Rows = slice | Sequence[int] | NDArray[np.intp] | None


@dataclass(frozen=True, eq=False)
class MockArm:
    """One arm of a mock file; the arrays of n rows are memory maps.

    Args:
        name: of the arm.
        wavelength, lsf_sigma: [n_pix] angstrom, vacuum.
        flux, ivar, mask: [n, n_pix] as in the file.
        white_ivar, noiseless: likewise, None where they were not kept.
    """

    name: str
    wavelength: NDArray[np.float64]
    lsf_sigma: NDArray[np.float64]
    flux: NDArray[np.float32]
    ivar: NDArray[np.float32]
    mask: NDArray[np.uint8]
    white_ivar: NDArray[np.float32] | None = None
    noiseless: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class MockFile:
    """An open mock file.

    Args:
        path: where it is.
        instrument: that observed.
        settings: all settings.
        ids: [n] names, as bytes.
        arms: of the instrument, in order.
    """

    path: Path
    instrument: Instrument
    settings: dict[str, Any]
    ids: NDArray[np.bytes_]
    arms: tuple[MockArm, ...]

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def open(cls, path: str | Path) -> MockFile:
        """Open a file; FileFormatError where it is missing, unfinished, damaged, cut or of another kind."""
        path = Path(path)
        if not path.is_file():
            raise FileFormatError(f"There is no file '{path}'. Relative paths start from {Path.cwd()}.")
        if not is_mock_file(path):
            raise FileFormatError(f"'{path}' is not a file of mock spectra as `galfit-ml simulate` writes them.")
        try:
            return _opened(path)
        except FileFormatError:
            raise
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise FileFormatError(
                f"'{path}' cannot be read as mock spectra ({type(error).__name__}: {error}). It is damaged or cut "
                "short: take a fresh copy, or simulate it again with the same settings."
            ) from error


def is_mock_file(path: str | Path) -> bool:
    """Whether the file begins as a mock file does."""
    with Path(path).open("rb") as file:
        start = file.read(BLOCK)
    return start.startswith(b"SIMPLE  =") and b"CONTENT = '" + KIND.encode() in start


def read_mock(path: str | Path, rows: Rows = None) -> SpectrumBatch:
    """Spectra of a mock file, on the instrument's pixels, with its line-spread function.

    Args:
        path: the file.
        rows: slice or positions; None for all of them (32 bytes of memory for each pixel).

    Raises:
        FileFormatError: the file is missing, unfinished, damaged or of another kind.
        SpectrumError: rows that it does not have.
    """
    file = MockFile.open(path)
    index = row_positions(rows, len(file))
    arms = tuple(_arm_spectra(file.instrument, arm, index) for arm in file.arms)
    lost = np.all([arm.bad.all(axis=1) for arm in arms], axis=0)
    flags = np.where(lost, int(Flag.FAILED), 0).astype(np.int64)
    reasons = tuple("every pixel is masked" if empty else "" for empty in lost)
    meta = tuple({"file": str(file.path), "index": (int(i),)} for i in index)
    return SpectrumBatch(file.instrument, arms, names_of(file, index), flags, reasons, meta)


def read_layer(path: str | Path, layer: str, rows: Rows = None) -> NDArray[Any]:
    """One kind of image of a mock file, [n, n_pix], the arms one after the other.

    Args:
        path: the file.
        layer: "flux", "ivar", "mask" (bits), "white_ivar" or "noiseless".
        rows: slice or positions; None for all.

    Raises:
        FileFormatError: as `read_mock`, or the layer was not kept when the file was made.
        UnknownNameError: no such layer.
        SpectrumError: rows that it does not have.
    """
    if layer not in LAYERS:
        raise unknown_name("layer", layer, LAYERS)
    file = MockFile.open(path)
    index = row_positions(rows, len(file))
    images = [getattr(arm, layer) for arm in file.arms]
    if any(image is None for image in images):
        raise FileFormatError(f"'{path}' was made without --keep {layer.replace('_', '-')}: simulate it again with it.")
    whole = np.concatenate([image[index] for image in images], axis=1)
    return whole.astype(whole.dtype.newbyteorder("="))


def names_of(file: MockFile, index: NDArray[np.intp]) -> tuple[str, ...]:
    """Names of the spectra at those positions."""
    return tuple(name.decode("ascii") for name in file.ids[index])


def row_positions(rows: Rows, n: int) -> NDArray[np.intp]:
    """The positions that `rows` stands for in a file of n spectra; SpectrumError where there is no such row."""
    everything = np.arange(n)
    try:
        index = everything if rows is None else everything[rows if isinstance(rows, slice) else list(map(int, rows))]
    except IndexError as error:
        raise SpectrumError(f"The file holds {n} spectra, rows 0 to {n - 1}: {error}.") from error
    if not len(index):
        raise SpectrumError(f"No spectrum was chosen: the file holds {n}, rows 0 to {n - 1}.")
    return np.atleast_1d(index)


def mock_instrument(path: str | Path) -> Instrument:
    """The instrument of a mock file."""
    return MockFile.open(path).instrument


def read_settings(path: str | Path) -> dict[str, Any]:
    """All settings of a mock file, by name."""
    return MockFile.open(path).settings


def _arm_spectra(instrument: Instrument, arm: MockArm, index: NDArray[np.intp]) -> ArmSpectra:
    grid = next(one.grid for one in instrument.arms if one.name == arm.name)
    flux, ivar = (np.asarray(values[index], dtype=np.float64) for values in (arm.flux, arm.ivar))
    return ArmSpectra(arm.name, grid, flux, ivar, ivar <= 0, np.broadcast_to(arm.lsf_sigma, flux.shape))


def _opened(path: Path) -> MockFile:
    places = _places(path)
    if not places["PRIMARY"][0]["COMPLETE"]:
        raise FileFormatError(
            f"'{path}' is not finished. Type the `galfit-ml simulate` command that began it again, and it goes on."
        )
    _check_size(path, places)
    meta = json.loads(_array(path, places["META"], np.dtype("u1")).tobytes())
    if meta["version"] > FORMAT_VERSION:
        raise FileFormatError(f"'{path}' was written by a newer galfit_ml. Upgrade with: pip install -U galfit-ml")
    instrument = from_json(meta["settings"]["instrument"])
    arms = tuple(_mock_arm(path, places, arm.name) for arm in instrument.arms)
    ids = _array(path, places["ID"], ID_TYPE)["ID"]
    return MockFile(path, instrument, meta["settings"], ids, arms)


def _places(path: Path) -> dict[str, tuple[Any, int]]:
    """Header and offset of the data of each extension."""
    from astropy.io import fits
    from astropy.utils.exceptions import AstropyUserWarning

    with warnings.catch_warnings():
        warnings.simplefilter("error", AstropyUserWarning)  # astropy only warns of a file that is cut short
        try:
            with path.open("rb") as file, fits.open(file, memmap=False, lazy_load_hdus=False) as hdus:
                return {hdu.name: (hdu.header, hdu.fileinfo()["datLoc"]) for hdu in hdus}
        except AstropyUserWarning as problem:
            raise ValueError(str(problem)) from problem


def _check_size(path: Path, places: dict[str, tuple[Any, int]]) -> None:
    header, offset = max(places.values(), key=lambda place: place[1])
    end = offset + _bytes_of(header)
    if path.stat().st_size < end:
        raise EOFError(f"it has {path.stat().st_size} bytes instead of {end}")


def _bytes_of(header: Any) -> int:
    size = abs(header["BITPIX"]) // 8
    for axis in range(header["NAXIS"]):
        size *= header[f"NAXIS{axis + 1}"]
    return int(size) if header["NAXIS"] else 0


REQUIRED = ("PIXELS", "FLUX", "IVAR", "MASK")
"""Extensions that every arm has."""


def _mock_arm(path: Path, places: dict[str, tuple[Any, int]], name: str) -> MockArm:
    missing = [f"{name}_{kind}" for kind in REQUIRED if f"{name}_{kind}" not in places]
    if missing:
        raise FileFormatError(
            f"'{path}' lacks the extension {', '.join(missing)}: something has changed the file. Make it again with "
            "`galfit-ml simulate`."
        )
    pixels = _array(path, places[f"{name}_PIXELS"], PIXEL_TYPE)
    columns: dict[str, Any] = {
        column.lower(): np.asarray(pixels[column], dtype=np.float64) for column in PIXEL_TYPE.names or ()
    }
    kinds = {"FLUX": ">f4", "IVAR": ">f4", "MASK": "u1", "WHITE_IVAR": ">f4", "NOISELESS": ">f4"}
    images: dict[str, Any] = {
        kind.lower(): _array(path, places[f"{name}_{kind}"], np.dtype(code))
        for kind, code in kinds.items()
        if f"{name}_{kind}" in places
    }
    return MockArm(name=name, **columns, **images)


def _array(path: Path, place: tuple[Any, int], dtype: np.dtype[Any]) -> NDArray[Any]:
    header, offset = place
    axes = [header[f"NAXIS{axis}"] for axis in range(header["NAXIS"], 0, -1)]
    shape = tuple(axes[:1] if header.get("XTENSION") == "BINTABLE" else axes)
    return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)
