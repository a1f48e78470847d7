"""What a user handed in, taken apart: one `Source` for each galaxy, or for each array of galaxies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import FileFormatError, SpectrumError
from galfit_ml.mock_files import is_mock_file
from galfit_ml.mock_files.reader import MockFile, names_of, row_positions
from galfit_ml.reading.files import read_file
from galfit_ml.reading.result import ReaderOptions

NAME_KEYS = ("id", "name", "label")
INSTRUMENT_KEY = "galfit_ml_instrument"
"""Where the meta of a mock spectrum has its `Instrument`."""

DESI_KEYS = {"bands", "fibermap", "resolution_data"}


@dataclass(frozen=True, eq=False)
class RawArm:
    """One arm of a spectrum as the user gave it; nothing is copied or converted yet.

    Args:
        flux: array of any shape; `axis_index` is its spectral axis.
        unit: astropy unit of flux.
        axis: Quantity [n_pix], the spectral axis.
        uncertainty: an `NDUncertainty` of the shape of flux, or None.
        mask: array of the shape of flux, true or non-zero where bad, or None.
        meta: the spectrum's meta.
        redshift: what `spectrum.redshift` says.
        lsf_sigma: [n_pix] sigma of the line-spread function, angstrom, known from the file; or None.
    """

    flux: Any
    unit: Any
    axis: Any
    uncertainty: Any
    mask: Any
    axis_index: int
    meta: Mapping[str, Any]
    redshift: Any = None
    lsf_sigma: NDArray[np.float64] | None = None

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of the array of spectra; () for a single one."""
        shape = tuple(self.flux.shape)
        return shape[: self.axis_index] + shape[self.axis_index + 1 :]


@dataclass(frozen=True, eq=False)
class Source:
    """One galaxy, or the galaxies of one n-D array.

    Args:
        arms: arm name -> data; the name "" stands for "the only arm". Empty where the file could not be read.
        name: what file or header call it; "" if they do not.
        file: path it came from, or "".
        reason: why it could not be read, or "".
        row_names: a name for each row of an array, or ().
    """

    arms: Mapping[str, RawArm]
    name: str = ""
    file: str = ""
    reason: str = ""
    row_names: tuple[str, ...] = field(default=())

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of the array of galaxies; () for a single one."""
        return next(iter(self.arms.values())).row_shape if self.arms else ()

    @property
    def n(self) -> int:
        """Number of galaxies."""
        return int(np.prod(self.row_shape))


@dataclass(frozen=True, eq=False)
class Sources:
    """All sources in the user's order; `single` where the user handed in one spectrum, not a collection."""

    items: tuple[Source, ...]
    single: bool = False


def sources_of(value: Any, options: ReaderOptions) -> Sources:
    """Take `value` apart.

    Raises:
        SpectrumError: an object of a kind that is not understood, anywhere in it, or an empty collection.
        FileFormatError: the only file given cannot be read.
    """
    if isinstance(value, (str, PathLike)):
        return _from_path(fspath(value), options)
    if options.rows is not None and not isinstance(value, (list, tuple)):
        raise SpectrumError(
            "rows= chooses spectra of a file of mock spectra: give its path, or cut the spectra yourself."
        )
    if isinstance(value, Mapping):
        source = _from_arms(value)
        return Sources((source,), source.row_shape == ())
    if isinstance(value, (list, tuple)):
        return _from_list(value, options)
    return _from_specutils(value)


def _from_list(values: Sequence[Any], options: ReaderOptions) -> Sources:
    if not values:
        raise SpectrumError("There is no spectrum: the list is empty. Did a pattern of file names match nothing?")
    if _are_desi_arms(values):
        source = _from_arms({str(v.meta["band"]): v for v in values})
        return Sources((source,), source.row_shape == ())
    return Sources(tuple(source for value in values for source in _each(value, options)))


def _each(value: Any, options: ReaderOptions) -> tuple[Source, ...]:
    """The sources in one element of a list; a file that cannot be read becomes a source with its reason."""
    try:
        return sources_of(value, options).items
    except FileFormatError as error:
        return (Source({}, Path(fspath(value)).stem, fspath(value), str(error)),)


def _from_path(path: str, options: ReaderOptions) -> Sources:
    if options.format is None and Path(path).is_file() and is_mock_file(path):
        return Sources((_from_mock(path, options),))
    if options.rows is not None:
        raise FileFormatError(f"rows= chooses spectra of a file that `galfit-ml simulate` wrote; '{path}' is none.")
    content = read_file(path, options.format)
    found = sources_of(content.spectra, options)
    stem = Path(path).name.split(".")[0]
    many = len(found.items) > 1
    items = []
    for i, source in enumerate(found.items):
        arms = {k: replace(arm, lsf_sigma=content.lsf_sigma) for k, arm in source.arms.items()}
        items.append(replace(source, arms=arms, file=path, name=f"{stem}[{i}]" if many else stem))
    return Sources(tuple(items), found.single)


def _from_mock(path: str, options: ReaderOptions) -> Source:
    """The spectra of a mock file: the file says which instrument, line-spread functions and names are theirs."""
    from astropy import units as u
    from astropy.nddata import InverseVariance

    file = MockFile.open(path)
    index = row_positions(None if options.rows is None else slice(*options.rows), len(file))
    unit = u.Unit("1e-17 erg / (s cm2 Angstrom)")
    arms = {}
    for arm in file.arms:
        ivar = np.asarray(arm.ivar[index], dtype=np.float64)
        flux = np.asarray(arm.flux[index], dtype=np.float64)
        meta = {INSTRUMENT_KEY: file.instrument}
        uncertainty = InverseVariance(ivar, unit=unit**-2)
        axis = arm.wavelength * u.AA
        arms[arm.name] = RawArm(flux, unit, axis, uncertainty, ivar <= 0, 1, meta, None, arm.lsf_sigma)
    return Source(arms, Path(path).name.split(".")[0], path, row_names=names_of(file, index))


def _from_specutils(value: Any) -> Sources:
    from specutils import Spectrum, SpectrumCollection

    if isinstance(value, Spectrum):
        raw = _raw(value)
        return Sources((Source({"": raw}, name_of(raw.meta)),), raw.row_shape == ())
    if isinstance(value, SpectrumCollection):
        return Sources(tuple(_from_collection(value)))
    raise _unsupported(value)


def _raw(spectrum: Any) -> RawArm:
    return RawArm(
        spectrum.data,
        spectrum.unit,  # spectrum.flux fails where this is a magnitude
        spectrum.spectral_axis,
        spectrum.uncertainty,
        spectrum.mask,
        int(spectrum.spectral_axis_index or 0),
        spectrum.meta or {},
        spectrum.redshift,
    )


def _from_arms(arms: Mapping[Any, Any]) -> Source:
    from specutils import Spectrum

    if not arms:
        raise SpectrumError("There is no spectrum: the dictionary of arms is empty.")
    for name, spectrum in arms.items():
        if not isinstance(name, str) or not isinstance(spectrum, Spectrum):
            raise SpectrumError(
                f"A dictionary stands for the arms of one galaxy, {{'arm name': Spectrum}}; this one holds {name!r}: "
                f"{type(spectrum).__name__}. For separate galaxies hand in a list."
            )
    raws = {name: _raw(spectrum) for name, spectrum in arms.items()}
    shapes = {name: raw.row_shape for name, raw in raws.items()}
    if len(set(shapes.values())) > 1:
        raise SpectrumError(f"The arms of a galaxy must hold the same number of spectra; these hold {shapes}.")
    names = (name_of(raw.meta) for raw in raws.values())
    return Source(raws, next(filter(None, names), ""), row_names=_target_ids(raws))


def _from_collection(collection: Any) -> list[Source]:
    """One source per spectrum; read from its arrays, since `collection[i, j]` fails where its meta is a list."""
    sources = []
    for i, index in enumerate(np.ndindex(*collection.flux.shape[:-1])):
        meta = collection.meta[i] if isinstance(collection.meta, (list, tuple)) else collection.meta
        uncertainty = None if collection.uncertainty is None else collection.uncertainty[index]
        mask = None if collection.mask is None else collection.mask[index]
        flux, axis = collection.flux[index], collection.spectral_axis[index]
        raw = RawArm(flux.value, flux.unit, axis, uncertainty, mask, 0, meta or {})
        sources.append(Source({"": raw}, name_of(raw.meta)))
    return sources


def _are_desi_arms(values: Sequence[Any]) -> bool:
    """Whether this is what specutils makes of a DESI file: one `Spectrum` for each of the bands b, r, z."""
    metas = [getattr(value, "meta", None) for value in values]
    if not all(isinstance(meta, Mapping) for meta in metas) or not any(DESI_KEYS & set(meta) for meta in metas if meta):
        return False
    bands = {meta.get("band") for meta in metas if meta}
    return bands <= {"b", "r", "z"} and len(bands) == len(values)


def _target_ids(arms: Mapping[str, RawArm]) -> tuple[str, ...]:
    for arm in arms.values():
        try:
            targets = tuple(str(t) for t in arm.meta["fibermap"]["TARGETID"])
        except (KeyError, TypeError):
            continue
        if (len(targets),) == arm.row_shape:
            return targets
    return ()


def name_of(meta: Mapping[str, Any]) -> str:
    """What a spectrum's meta calls it; "" if nothing."""
    for key in NAME_KEYS:
        if isinstance(meta.get(key), (str, int)) and str(meta[key]).strip():
            return str(meta[key]).strip()
    header = header_of(meta)
    plate, mjd, fibre = (header.get(key) for key in ("PLATEID", "MJD", "FIBERID"))
    if isinstance(plate, int) and isinstance(mjd, int) and isinstance(fibre, int):
        return f"spec-{plate:04d}-{mjd}-{fibre:04d}"
    return str(header.get("OBJECT") or "").strip()


def header_of(meta: Mapping[str, Any]) -> Mapping[str, Any]:
    """The survey's header; empty if there is none."""
    header: Any = meta.get("header")
    return header if hasattr(header, "get") else {}


def _unsupported(value: Any) -> SpectrumError:
    kind = f"{type(value).__module__}.{type(value).__name__}".removeprefix("builtins.")
    return SpectrumError(
        f"A {kind} is not understood as a spectrum. Hand in a specutils Spectrum, SpectrumList or SpectrumCollection, "
        "a list of them, {'arm': Spectrum}, or a path. Arrays become a spectrum so: Spectrum(flux=flux * "
        "u.Unit('1e-17 erg / (s cm2 Angstrom)'), spectral_axis=wavelength * u.AA, uncertainty=InverseVariance(ivar))."
    )
