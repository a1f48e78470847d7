"""Files, read through the loaders of specutils; what those leave out of SDSS files is read beside them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import FileFormatError, GalfitMLError, unknown_name

SDSS_FORMAT = "SDSS-III/IV spec"
GENERIC_FORMATS = {"tabular-fits", "wcs1d-fits", "iraf", "ASCII", "ECSV", "IPAC", "generic cube"}
"""Loaders that accept almost anything: a loader made for the survey goes first."""

_FITS_STARTS = (b"SIMPLE  =", b"\x1f\x8b")
_LN10_STEP = 1e-4 * float(np.log(10.0))


@dataclass(frozen=True, eq=False)
class FileContent:
    """What a file holds.

    Args:
        spectra: one `Spectrum`, or a `SpectrumList`.
        lsf_sigma: [n_pix] sigma of the line-spread function, angstrom, 0 where unknown; None if the file has none.
    """

    spectra: Any
    lsf_sigma: NDArray[np.float64] | None = None


def read_file(path: str | Path, format: str | None = None) -> FileContent:
    """Read a spectrum file.

    Raises:
        FileFormatError: missing, a folder, empty, damaged, truncated or of a kind that no loader recognises.
        UnknownNameError: specutils has no loader called `format`.
    """
    path = Path(path)
    check_format(format)
    _check_is_file(path)
    with _quiet_loaders(), _as_format_error(path, format):
        content = _read_fits(path, format) if _is_fits(path) else None
        return content or FileContent(_read_with_specutils(path, format))


def check_format(format: str | None) -> None:
    """UnknownNameError unless specutils has a loader of that name."""
    if format is not None and format not in (known := loaders()):
        raise unknown_name("format", format, known, "These are the loaders of specutils.")


def loaders() -> list[str]:
    """Names of the file formats that specutils reads."""
    from astropy.io import registry
    from specutils import Spectrum, SpectrumList

    tables = [registry.get_formats(kind, "Read") for kind in (Spectrum, SpectrumList)]
    return sorted({str(name) for table in tables for name in table["Format"]})


def _check_is_file(path: Path) -> None:
    if path.is_dir():
        raise FileFormatError(f"'{path}' is a folder. Name its files: estimate(sorted(Path('{path}').glob('*.fits'))).")
    if not path.exists():
        pattern = any(sign in path.name for sign in "*?[")
        hint = (
            f"Patterns are not expanded here: write estimate(sorted(glob.glob('{path}')))."
            if pattern
            else f"Relative paths start from {Path.cwd()}. Check the spelling."
        )
        raise FileFormatError(f"There is no file '{path}'. {hint}")
    if path.stat().st_size == 0:
        raise FileFormatError(f"'{path}' is empty (0 bytes): a download that failed? Fetch it again.")


@contextmanager
def _quiet_loaders() -> Iterator[None]:
    """Surveys write units in ways the FITS standard discourages: nothing a user can mend."""
    from astropy.io.fits.verify import VerifyWarning
    from astropy.units import UnitsWarning
    from astropy.wcs import FITSFixedWarning

    with warnings.catch_warnings():
        for category in (UnitsWarning, VerifyWarning, FITSFixedWarning):
            warnings.simplefilter("ignore", category)
        warnings.filterwarnings("ignore", message=".*values of 0 or less")  # such pixels are bad, and treated so later
        warnings.filterwarnings("error", message=".*truncated")
        yield


@contextmanager
def _as_format_error(path: Path, format: str | None) -> Iterator[None]:
    try:
        yield
    except GalfitMLError:
        raise
    except Exception as error:  # loaders raise whatever a damaged file makes them stumble over
        raise FileFormatError(f"'{path}' cannot be read: {_explain(error, format)}") from error


def _explain(error: Exception, format: str | None) -> str:
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    cut = any(sign in said for sign in ("truncated", "buffer is too small", "Empty or corrupt FITS"))
    if cut or isinstance(error, EOFError):
        return f"the file is truncated, usually by an interrupted download; fetch it again. ({said})"
    if "could not be identified" in said:
        return (
            "specutils does not recognise its format. Name it with format= "
            f"(one of: {', '.join(loaders())}), or build a specutils Spectrum yourself."
        )
    if "ambiguous" in said:
        return f"more than one loader of specutils claims it. Choose with format=. ({said})"
    cause = f"it is damaged, or not of format '{format}'" if format else "it is damaged, or its loader does not fit it"
    return f"{cause}; check it with another program or name another format=. ({type(error).__name__}: {said})"


def _is_fits(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(9).startswith(_FITS_STARTS)


def _read_fits(path: Path, format: str | None) -> FileContent | None:
    """The content of an SDSS file, opened once; None for any other FITS file, after a check that it is complete."""
    from astropy.io import fits
    from specutils import Spectrum

    with fits.open(path, memmap=False) as hdus:
        _check_complete(path, hdus)
        if format not in {None, SDSS_FORMAT} or not _is_sdss(hdus):
            return None
        sigma = np.asarray(10.0 ** hdus[1].data["loglam"].astype(np.float64) * hdus[1].data["wdisp"] * _LN10_STEP)
        return FileContent(Spectrum.read(hdus, format=SDSS_FORMAT), np.where(np.isfinite(sigma), sigma, 0.0))


def _check_complete(path: Path, hdus: Any) -> None:
    """Notice a file cut in its data (astropy warns, here an error) or in a header (astropy takes it for rubbish)."""
    len(hdus)  # reads every header
    where = hdus[-1].fileinfo()
    with path.open("rb") as file:
        file.seek(where["datLoc"] + where["datSpan"])
        if file.read(8) == b"XTENSION":
            raise EOFError(f"the header of extension {len(hdus)} is cut")


def _is_sdss(hdus: Any) -> bool:
    """Whether this is a `spec` file of the SDSS: its table has wdisp, the sigma of the LSF in pixels of 1e-4 dex."""
    if len(hdus) < 2 or not str(hdus[0].header.get("TELESCOP", "")).startswith("SDSS"):
        return False
    columns = {name.lower() for name in getattr(getattr(hdus[1], "columns", None), "names", [])}
    return {"flux", "loglam", "ivar", "and_mask", "wdisp"} <= columns


def _read_with_specutils(path: Path, format: str | None) -> Any:
    from specutils import Spectrum, SpectrumList

    kind = SpectrumList if _wants_list(path, format) else Spectrum
    content = kind.read(path, format=format)
    return content[0] if isinstance(content, list) and len(content) == 1 else content


def _wants_list(path: Path, format: str | None) -> bool:
    """Whether only the loaders of `SpectrumList` are made for this file."""
    from astropy.io import registry
    from specutils import Spectrum, SpectrumList

    def formats(kind: type) -> set[str]:
        if format is not None:
            return {str(name) for name in registry.get_formats(kind, "Read")["Format"]} & {format}
        # as a Path: one loader claims every text that names an existing file
        return set(registry.identify_format("read", kind, str(path), None, [path], {}))

    found = formats(Spectrum)
    return not (found - GENERIC_FORMATS) and bool(formats(SpectrumList) - found)
