"""A folder of real spectra: its sets, read into batches, and what the survey and catalogues say of them.

The format is described in docs/real_data.md.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galfit_ml.errors import FileFormatError
from galfit_ml.instruments import get_instrument
from galfit_ml.reading.recognise import FIRST_BOSS_PLATE
from galfit_ml.spectra import SpectrumBatch

ARRAYS = ("flux", "ivar", "loglam0", "dloglam", "meta")
FIELDS = ("z", "class")
EVERY = 50
"""Pixels between two values of `wdisp_every50`."""

Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class RealSet:
    """n spectra of a folder.

    Args:
        name: of the file, without its ending.
        known: [n] what survey and catalogues say: `z`, `class`, `subclass`, `zerr`, `zwarn`, and the truth table.
        batches: instrument -> its rows and their spectra.
    """

    name: str
    known: pd.DataFrame
    batches: dict[str, tuple[Rows, SpectrumBatch]]


def sets_of(folder: Path) -> list[str]:
    """Names of the sets in a folder.

    Raises:
        FileFormatError: there are none.
    """
    names = sorted(path.stem for path in folder.glob("*.npz"))
    if not names:
        raise FileFormatError(
            f"There are no spectra in '{folder}': a file NAME.npz for each set was expected, with the arrays "
            f"{', '.join(ARRAYS)}. docs/real_data.md describes the folder."
        )
    return names


def read_real(folder: Path, name: str) -> RealSet:
    """One set.

    Raises:
        FileFormatError: arrays or columns are missing, which the message names, or tables differ in length.
    """
    path = folder / f"{name}.npz"
    try:
        with path.open("rb") as file, np.load(file) as data:
            arrays = {key: data[key] for key in data.files}
    except (OSError, ValueError, EOFError, AttributeError, BadZipFile, zlib.error) as error:
        raise FileFormatError(f"'{path}' cannot be read: {error}. docs/real_data.md says what it holds.") from error
    _complain(path, "arrays", [key for key in ARRAYS if key not in arrays])
    meta = arrays["meta"]
    _complain(path, "fields of 'meta'", [field for field in FIELDS if field not in (meta.dtype.names or ())])
    known = pd.DataFrame({field: meta[field] for field in meta.dtype.names})
    for field, usual in (("subclass", ""), ("zerr", np.nan), ("zwarn", 0), ("plate", 0)):
        if field not in known:
            known[field] = usual
    known["id"] = known["file"] if "file" in known else [f"{name}-{i}" for i in range(len(known))]
    known = _with_truth(known, folder / f"{name}_truth.csv")
    instruments = np.where(known["plate"].to_numpy() >= FIRST_BOSS_PLATE, "boss", "sdss")
    batches = {}
    for instrument in np.unique(instruments):
        rows = np.flatnonzero(instruments == instrument)
        batches[str(instrument)] = rows, batch_of(arrays, rows, str(instrument), known["id"].to_numpy()[rows])
    return RealSet(name, known, batches)


def _complain(path: Path, what: str, missing: list[str]) -> None:
    if missing:
        raise FileFormatError(
            f"'{path}' lacks the {what} {', '.join(missing)}. docs/real_data.md says what such a folder holds."
        )


def _with_truth(known: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The truth table's columns beside those of the survey."""
    if not path.is_file():
        return known
    truth = pd.read_csv(path)
    if len(truth) != len(known):
        raise FileFormatError(
            f"'{path}' has {len(truth)} rows for {len(known)} spectra: it must have one for each, in the same order."
        )
    return known.join(truth[[column for column in truth if column not in known]])


def batch_of(arrays: dict[str, Any], rows: Rows, instrument: str, ids: NDArray[Any]) -> SpectrumBatch:
    """The spectra `rows` of a set's arrays, with their line-spread functions, as spectra of an instrument."""
    flux, ivar = (arrays[key][rows].astype(np.float64) for key in ("flux", "ivar"))
    step, pixel = float(arrays["dloglam"]), np.arange(flux.shape[1])
    wave = 10 ** (float(arrays["loglam0"]) + step * pixel)
    width = wave * np.log(10) * step
    lsf, usual = None, get_instrument(instrument).sigma(wave) / width
    if "wdisp_every50" in arrays:
        coarse = arrays["wdisp_every50"][rows].astype(np.float64)
        nodes = EVERY * np.arange(coarse.shape[1])
        known = [row > 0.3 for row in coarse]
        sigma = [np.interp(pixel, nodes[k], row[k]) if k.any() else usual for row, k in zip(coarse, known)]  # noqa: B905
        lsf = np.stack(sigma) * width
    return SpectrumBatch.from_arrays(
        wave,
        np.nan_to_num(flux),
        np.nan_to_num(ivar),
        get_instrument(instrument),
        lsf_sigma=lsf,
        ids=list(map(str, ids)),
    )


def synthetic_r(batch: SpectrumBatch) -> NDArray[np.float64]:
    """[n] AB magnitude in a box between the half-power points of the SDSS r band, 5500-7000 A."""
    arm = batch.arms[0]
    wave, width = arm.grid.centres, arm.grid.widths
    use = (wave > 5500) & (wave < 7000) & ~arm.bad
    photons = np.where(use, arm.flux * wave * width, 0.0).sum(axis=1)
    f_nu = photons * 1e-17 / (2.99792458e18 * np.where(use, width / wave, 0.0).sum(axis=1).clip(min=1e-30))
    return np.asarray(-2.5 * np.log10(np.maximum(f_nu, 1e-40)) - 48.6)


def narrow_galaxies(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Rows the survey calls galaxies, without broad lines."""
    broad = table["subclass"].fillna("").str.contains("BROAD")
    return np.asarray(((table["class"] == "GALAXY") & ~broad).to_numpy())
