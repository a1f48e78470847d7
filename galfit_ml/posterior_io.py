"""Posteriors in files: the summary table, and everything in FITS or HDF5.

A file holds one JSON text, `META` (ids, reasons, parameters, names of the diagnostics, provenance), every array (see
`galfit_ml.archive`) in its own precision, so that a posterior comes back bit for bit, and a copy of the summary for
people:

* FITS: `SUMMARY` (binary table), `META` (UTF-8 bytes of the JSON) and one image per array, its name in capitals. Each
  has its CHECKSUM, which is verified on reading.
* HDF5: datasets `meta` and one per array with Fletcher-32 checksums, and the group `summary`, one dataset per column.

Two more endings are exports for other tools, which `load` does not read: .nc for ArviZ, .qp.hdf5 for qp (the package
`galfit_ml.export`). A file appears under its name only when it is complete; one that was there stays whole until then.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from galfit_ml.archive import KIND, Arrays, arrays_of, checked_meta, meta_of, posterior_of, version_of
from galfit_ml.errors import FileFormatError, OutputExistsError
from galfit_ml.export.qp import as_qp, is_qp_name
from galfit_ml.summary import to_table
from galfit_ml.writing import write_whole

if TYPE_CHECKING:
    from astropy.io import fits

    from galfit_ml.posterior import Posterior

_DAMAGED = (OSError, ValueError, TypeError, LookupError, RuntimeError, EOFError, AttributeError)


def save(posterior: Posterior, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write a posterior: .fits, .h5 or .hdf5 hold everything, .ecsv the summary table alone; .nc and .qp.hdf5 export.

    Draws keep their precision (float64: 8 bytes a number, 40 MB for 1000 spectra of 1000 draws of 5 parameters).

    Returns:
        The path written.

    Raises:
        FileFormatError: unknown ending, or the folder does not exist.
        MissingPackageError: .nc needs the extra `arviz`.
        OutputExistsError: the file is there and `overwrite` is False.
        WriteError: the disk is full or not writable; a file that was there before is left as it was.
    """
    target = check_output(path, overwrite=overwrite)
    write_whole(target, _WRITERS[_ending(target)](posterior))
    return target


def check_output(path: str | Path, *, overwrite: bool = False) -> Path:
    """`path` if `save` could write there, else the error it would raise: ask before long work."""
    target = Path(path)
    _check_ending(target, _WRITERS)
    if _ending(target) == ".nc":
        _check_netcdf()
    if not target.parent.is_dir():
        raise FileFormatError(f"Folder '{target.parent}' does not exist. Make it first: mkdir -p '{target.parent}'")
    if target.is_dir():
        raise OutputExistsError(f"'{target}' is a folder. Name a file in it, for example '{target / 'results.fits'}'.")
    if target.exists() and not overwrite:
        raise OutputExistsError(
            f"Output file '{target}' exists already and would be lost. Name another file, or replace it with "
            "overwrite=True (on the command line: --overwrite)."
        )
    return target


def load(path: str | Path) -> Posterior:
    """Read a posterior that `save` wrote as .fits, .h5 or .hdf5; nothing in the file is executed.

    Raises:
        FileFormatError: no such file, a summary (.ecsv), another kind of file, a damaged one or one of a newer version.
    """
    source = Path(path)
    if _ending(source) in _EXPORTS:
        what, call = _EXPORTS[_ending(source)]
        raise FileFormatError(
            f"'{source}' holds {what}, not the whole posterior. Read it with {call}('{source}'); save the posterior as "
            ".fits or .h5 to load it again."
        )
    _check_ending(source, _READERS)
    if not source.is_file():
        raise FileFormatError(f"File '{source}' does not exist. Check the name, and the folder you are in.")
    try:
        meta, arrays = _READERS[_ending(source)](source)
        return posterior_of(meta, arrays)
    except FileFormatError:
        raise
    except _DAMAGED as error:
        said = " ".join(str(error).split())
        raise FileFormatError(
            f"'{source}' cannot be read as a posterior ({type(error).__name__}: {said}). It is damaged, cut short or "
            "of another kind: take a fresh copy, or estimate again and save with posterior.save(...)."
        ) from error


def _ending(path: Path) -> str:
    return ".qp.hdf5" if is_qp_name(path) else path.suffix.lower()


def _check_ending(path: Path, known: Mapping[str, object]) -> None:
    if _ending(path) not in known:
        raise FileFormatError(
            f"The ending of '{path}' names no format. Use one of {', '.join(known)}: .fits and .h5 hold everything, "
            ".ecsv the summary table."
        )


def _check_netcdf() -> None:
    from galfit_ml.export.arviz import check_netcdf

    check_netcdf()


def _ecsv(posterior: Posterior) -> bytes:
    buffer = io.StringIO()
    to_table(posterior).write(buffer, format="ascii.ecsv")
    return buffer.getvalue().encode()


def _fits(posterior: Posterior) -> bytes:
    from astropy.io import fits

    primary = fits.PrimaryHDU()
    primary.header["CONTENT"] = (KIND, "read with galfit_ml.Posterior.load")
    primary.header["FORMAT"] = (version_of(arrays_of(posterior)), "version of this format")
    for key, value in posterior.provenance.items():
        primary.header.add_history(_ascii(f"{key} = {value}"))
    meta = np.frombuffer(meta_of(posterior).encode(), dtype=np.uint8)
    images = [fits.ImageHDU(values, name=name.upper()) for name, values in arrays_of(posterior).items()]
    hdus = fits.HDUList([primary, _summary_hdu(posterior), fits.ImageHDU(meta, name="META"), *images])
    buffer = io.BytesIO()
    hdus.writeto(buffer, checksum=True)
    return buffer.getvalue()


def _summary_hdu(posterior: Posterior) -> fits.BinTableHDU:
    from astropy.io import fits
    from astropy.units import UnitsWarning
    from astropy.utils.exceptions import AstropyUserWarning

    table = to_table(posterior)
    table.meta.clear()
    for name in [n for n in table.colnames if table[n].dtype.kind == "U"]:
        table[name] = np.array([_ascii(t) for t in table[name]], dtype=np.str_)
    descriptions = [table[name].info.description for name in table.colnames]
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # FITS has no unit for logarithms; astropy keeps it in a comment and says so. Others read it in TCOMM.
        warnings.simplefilter("ignore", AstropyUserWarning)
        warnings.simplefilter("ignore", UnitsWarning)
        table.write(buffer, format="fits")
    hdu = fits.HDUList.fromstring(buffer.getvalue())[1]
    hdu.name = "SUMMARY"
    for number, text in enumerate(descriptions, start=1):
        if text:
            hdu.header[f"TCOMM{number}"] = text
    return hdu


def _ascii(text: str) -> str:
    """`text` as FITS can hold it: printable ASCII, the rest escaped; META has it as it is."""
    return "".join(c if " " <= c <= "~" else c.encode("unicode_escape").decode() for c in text)


def _read_fits(path: Path) -> tuple[dict[str, Any], Arrays]:
    from astropy.io import fits
    from astropy.utils.exceptions import AstropyUserWarning

    with warnings.catch_warnings():
        # astropy only warns of a file that is cut short or fails its checksum.
        warnings.simplefilter("error", AstropyUserWarning)
        try:
            with path.open("rb") as file, fits.open(file, memmap=False, checksum=True) as hdus:
                meta = checked_meta(hdus["META"].data.tobytes(), path)
                return meta, {name: hdus[name.upper()].data for name in meta["arrays"]}
        except (AstropyUserWarning, fits.VerifyError) as problem:
            raise ValueError(str(problem)) from problem


def _hdf5(posterior: Posterior) -> bytes:
    import h5py

    buffer = io.BytesIO()  # the HDF5 library takes the process down where a disk fills up under it
    with h5py.File(buffer, "w") as file:
        file.attrs["content"], file.attrs["format_version"] = KIND, version_of(arrays_of(posterior))
        arrays = {"meta": np.frombuffer(meta_of(posterior).encode(), dtype=np.uint8), **arrays_of(posterior)}
        for name, values in arrays.items():
            file.create_dataset(name, data=values, fletcher32=values.size > 0)
        table, group = to_table(posterior), file.create_group("summary")
        for name in table.colnames:
            column = table[name]
            is_text = column.dtype.kind == "U"
            data: Any = list(column) if is_text else np.asarray(getattr(column, "value", column))
            group.create_dataset(name, data=data, dtype=h5py.string_dtype() if is_text else None)
            group[name].attrs["unit"] = str(column.info.unit or "")
    return buffer.getvalue()


def _read_hdf5(path: Path) -> tuple[dict[str, Any], Arrays]:
    import h5py

    with h5py.File(path, "r") as file:
        meta = checked_meta(file["meta"][()].tobytes(), path)
        return meta, {name: file[name][()] for name in meta["arrays"]}


def _netcdf(posterior: Posterior) -> memoryview:
    from galfit_ml.export.arviz import as_netcdf

    return as_netcdf(posterior)


_WRITERS: dict[str, Callable[[Posterior], bytes | memoryview]] = {
    ".fits": _fits,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    ".ecsv": _ecsv,
    ".nc": _netcdf,
    ".qp.hdf5": as_qp,
}

_EXPORTS = {
    ".ecsv": ("the summary table only", "astropy.table.QTable.read"),
    ".nc": ("the draws for ArviZ", "arviz.from_netcdf"),
    ".qp.hdf5": ("redshift densities for qp", "qp.read"),
}
"""Endings that are written and not read: what is in them, and how to read it."""

_Reader = Callable[[Path], tuple[dict[str, Any], Arrays]]
_READERS: dict[str, _Reader] = {".fits": _read_fits, ".h5": _read_hdf5, ".hdf5": _read_hdf5}
