"""Headers of the extensions, as the bytes that stand in the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.instruments import Arm
from galfit_ml.mock_files.plan import FORMAT_VERSION, KIND, MockPlan, TruthColumn

if TYPE_CHECKING:
    from astropy.io.fits import Header

BLOCK = 2880
FLUX_UNIT = "10**-17 erg s-1 cm-2 Angstrom-1"
IVAR_UNIT = "10**34 erg-2 s2 cm4 Angstrom2"

_CODES = {"f4": ("E", -32), "f8": ("D", -64), "i8": ("K", 64), "i4": ("J", 32), "u1": ("B", 8)}


def primary(plan: MockPlan, truth: str, complete: bool) -> bytes:
    """The primary header: what the file is, and every setting."""
    from astropy.io import fits

    header = fits.PrimaryHDU().header
    header["EXTEND"] = True
    header["CONTENT"] = (KIND, "read with galfit_ml.mock_files.read_mock")
    header["FORMAT"] = (FORMAT_VERSION, "version of this format")
    header["COMPLETE"] = (complete, "F: the run that writes it has not finished")
    header["ORIGIN"] = (f"galfit_ml {plan.version}", "program that made the spectra")
    header["INSTRUME"] = (ascii_text(plan.instrument.name)[:60], "simulated instrument")
    header["NSPECTRA"] = (plan.n, "number of spectra")
    header["ARMS"] = (
        ascii_text(",".join(arm.name for arm in plan.instrument.arms))[:60],
        "extensions are ARM_FLUX, ...",
    )
    header["AIRORVAC"] = ("vac", "wavelengths are in vacuum")
    header["TRUTHTAB"] = (ascii_text(truth)[:60], "file of the true parameters, beside this one")
    for name, value in plan.settings.items():
        _add_setting(header, name, value)
    header.add_comment("Simulated spectra of galaxies. Settings that made them:")
    for name, value in {**plan.settings, "n": plan.n, "keep": list(plan.keep)}.items():
        header.add_history(ascii_text(f"{name} = {value}"))
    return as_bytes(header)


KEYWORDS = {"survey": "SURVEY", "seed": "SEED", "tier": "TIER", "exposure": "EXPOSURE", "mode": "SKYMODE"}


def _add_setting(header: Header, name: str, value: Any) -> None:
    if name in KEYWORDS and value is not None:
        plain = value if isinstance(value, int) else ascii_text(_joined(value))[:60]
        header[KEYWORDS[name]] = (plain, f"setting '{name}'")


def _joined(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def image(name: str, arm: Arm, n: int, code: str, unit: str = "") -> Header:
    """Header of an image [n, n_pix] with the wavelength axis of `arm`."""
    header = _extension("IMAGE", _CODES[code][1], len(arm.grid), n)
    header["EXTNAME"] = name
    if unit:
        header["BUNIT"] = unit
    for key, value, comment in wavelength_axis(arm):
        header[key] = (value, comment)
    header["CTYPE2"], header["CRPIX2"], header["CRVAL2"], header["CDELT2"] = "", 1.0, 0.0, 1.0
    header["AIRORVAC"] = ("vac", "wavelengths are in vacuum")
    return header


def wavelength_axis(arm: Arm) -> list[tuple[str, Any, str]]:
    """FITS cards of the wavelength axis (Greisen et al. 2006, A&A 446, 747): WAVE is vacuum wavelength.

    Logarithmic pixels have lambda = CRVAL exp((p - CRPIX) CDELT / CRVAL), their eq. 5.
    """
    centres = arm.grid.centres
    first = float(centres[0])
    if arm.sampling == "resolution":
        return [("WCSAXES", 2, ""), ("CTYPE1", "PIXEL", "wavelengths: extension ARM_PIXELS"), ("CRPIX1", 1.0, "")]
    linear = arm.sampling == "linear"
    step = arm.step if linear else first * float(np.log(10.0)) * arm.step
    return [
        ("WCSAXES", 2, ""),
        ("CTYPE1", "WAVE" if linear else "WAVE-LOG", "vacuum wavelength"),
        ("CUNIT1", "Angstrom", ""),
        ("CRPIX1", 1.0, ""),
        ("CRVAL1", first, "centre of the first pixel"),
        ("CDELT1", step, "at the first pixel"),
    ]


def mask_meaning(header: Header, plan: MockPlan) -> None:
    """Explain the bits of the mask."""
    for number, (name, value) in enumerate(plan.mask_bits.items()):
        header[f"MBIT{number}"] = (value, name)
    header["UNUSABLE"] = (plan.unusable, "a pixel with any of these bits holds no data")
    header.add_comment("The other bits are remarks on pixels that can be used.")


def table(name: str, columns: NDArray[Any], n: int, about: Mapping[str, TruthColumn]) -> Header:
    """Header of a binary table of n rows; `columns` is an array of its row type, of any length."""
    dtype = columns.dtype
    header = _extension("BINTABLE", 8, dtype.itemsize, n)
    header["TFIELDS"] = len(dtype.names or ())
    header["EXTNAME"] = name
    for number, column in enumerate(dtype.names or (), start=1):
        kind = dtype[column]
        header[f"TTYPE{number}"] = column
        header[f"TFORM{number}"] = f"{kind.itemsize}A" if kind.kind == "S" else _CODES[kind.str[1:]][0]
        told = about.get(column, TruthColumn())
        unit = fits_unit(told.unit)
        if unit:
            header[f"TUNIT{number}"] = unit
        text = told.description if unit or not told.unit else f"{told.description} [{told.unit}]"
        if text:
            header[f"TCOMM{number}"] = ascii_text(text)
    return header


def fits_unit(unit: str) -> str:
    """The unit as FITS spells it; "" where it has none (logarithms)."""
    from astropy import units as u

    if not unit:
        return ""
    try:
        return str(u.Unit(unit).to_string("fits"))
    except (ValueError, TypeError):
        return ""


def _extension(kind: str, bits: int, first: int, second: int) -> Header:
    from astropy.io import fits

    names = {"IMAGE": "Image extension", "BINTABLE": "binary table extension"}
    cards = [
        ("XTENSION", kind, names[kind]),
        ("BITPIX", bits, ""),
        ("NAXIS", 2, ""),
        ("NAXIS1", first, ""),
        ("NAXIS2", second, ""),
        ("PCOUNT", 0, ""),
        ("GCOUNT", 1, ""),
    ]
    return fits.Header([fits.Card(*card) for card in cards])


def bytes_image(name: str, n_bytes: int) -> Header:
    """Header of a one-dimensional image of bytes."""
    header = _extension("IMAGE", 8, n_bytes, 1)
    header["NAXIS"] = 1
    del header["NAXIS2"]
    header["EXTNAME"] = name
    return header


def as_bytes(header: Header) -> bytes:
    """The header as it stands in a file: a whole number of blocks."""
    return bytes(header.tostring(padding=True).encode("ascii"))


def ascii_text(text: str) -> str:
    """`text` as FITS can hold it: printable ASCII, the rest escaped."""
    return "".join(c if " " <= c <= "~" else c.encode("unicode_escape").decode() for c in text)
