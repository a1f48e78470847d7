"""Instruments as data: arms with range, sampling and line-spread function, read from TOML.

A file looks like this (every number with its source beside it)::

    name = "sdss"
    summary = "SDSS-I/II spectrograph, 3 arcsec fibres"
    redshift_range = [0.0, 1.2]
    magnitude_range = [13.0, 23.0]
    magnitude_band = [5600.0, 6900.0]
    source = "York et al. (2000); ..."

    [[arms]]
    name = "optical"
    range = [3800.0, 9200.0]
    sampling = "log10"
    step = 1e-4
    resolution = { wavelength = [3800.0, 9200.0], R = [1850.0, 2200.0] }

`resolution` is `{ R = 2000.0 }`, `{ fwhm = 1.88 }` (angstrom) or a table over `wavelength` of `R` or `fwhm`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galfit_ml.errors import FileFormatError, unknown_name
from galfit_ml.grid import WavelengthGrid

FWHM_PER_SIGMA = 2.0 * float(np.sqrt(2.0 * np.log(2.0)))

_SAMPLINGS = ("log10", "linear")


@dataclass(frozen=True)
class Resolution:
    """Line-spread function of an arm: Gaussian FWHM, in angstrom, against observed vacuum wavelength.

    The FWHM is that of an unresolved line in the delivered, pixelised spectrum.

    Args:
        wavelength: nodes, angstrom; one node means constant.
        value: R = wavelength / FWHM, or FWHM in angstrom, at the nodes.
        kind: "R" or "fwhm".
    """

    wavelength: tuple[float, ...]
    value: tuple[float, ...]
    kind: str

    def __post_init__(self) -> None:
        if self.kind not in {"R", "fwhm"}:
            raise ValueError(f"Resolution kind must be 'R' or 'fwhm', not {self.kind!r}.")
        if len(self.value) != len(self.wavelength) or not self.value or min(self.value) <= 0:
            raise ValueError("Resolution needs as many positive values as wavelengths, at least one.")

    def sigma(self, wavelength: ArrayLike) -> NDArray[np.float64]:
        """Gaussian sigma, angstrom, at each `wavelength` [n_pix], angstrom."""
        wave = np.asarray(wavelength, dtype=np.float64)
        value = np.interp(wave, self.wavelength, self.value)
        return (wave / value if self.kind == "R" else value) / FWHM_PER_SIGMA


@dataclass(frozen=True)
class Arm:
    """One arm: name, wavelength range (angstrom, vacuum), sampling ("log10" in dex or "linear" in angstrom), LSF."""

    name: str
    low: float
    high: float
    sampling: str
    step: float
    resolution: Resolution

    def __post_init__(self) -> None:
        if self.sampling not in _SAMPLINGS:
            raise ValueError(f"Arm '{self.name}': sampling must be one of {_SAMPLINGS}, not {self.sampling!r}.")
        if not (0 < self.low < self.high and self.step > 0):
            raise ValueError(f"Arm '{self.name}': needs 0 < low < high and step > 0.")

    @property
    def grid(self) -> WavelengthGrid:
        """The arm's native pixels."""
        maker = WavelengthGrid.log10 if self.sampling == "log10" else WavelengthGrid.linear
        return maker(self.low, self.high, self.step)


@dataclass(frozen=True)
class Instrument:
    """A spectrograph as a fitting code sees it.

    Args:
        name, summary, source: identifier, one line, where the numbers come from.
        arms: at least one.
        redshift_range: range of the default redshift prior.
        magnitude_range: range of the default magnitude prior (AB, noiseless, in the aperture).
        magnitude_band: [low, high] angstrom; the magnitude is that of the mean f_nu in this band.
        calibration_rms: fractional rms of the smooth flux-calibration error per arm.
        calibration_order: highest Chebyshev order of that error; 0 leaves only the offset.
        calibration_offset: fractional rms of the offset between arms.
        generic: True where nothing but the resolving power is known, so that coverage means nothing.
    """

    name: str
    summary: str
    source: str
    arms: tuple[Arm, ...]
    redshift_range: tuple[float, float] = (0.0, 5.0)
    magnitude_range: tuple[float, float] = (13.0, 26.0)
    magnitude_band: tuple[float, float] = (5600.0, 6900.0)
    calibration_rms: float = 0.03
    calibration_order: int = 5
    calibration_offset: float = 0.02
    generic: bool = False

    def __post_init__(self) -> None:
        if not self.arms:
            raise ValueError(f"Instrument '{self.name}' needs at least one arm.")
        for label in ("redshift_range", "magnitude_range", "magnitude_band"):
            low, high = getattr(self, label)
            if not low < high:
                raise ValueError(f"Instrument '{self.name}': {label} needs low < high, not {low} and {high}.")

    @property
    def low(self) -> float:
        """Shortest wavelength, angstrom."""
        return min(arm.low for arm in self.arms)

    @property
    def high(self) -> float:
        """Longest wavelength, angstrom."""
        return max(arm.high for arm in self.arms)

    def sigma(self, wavelength: ArrayLike) -> NDArray[np.float64]:
        """LSF sigma, angstrom, at `wavelength` [n_pix], angstrom, of the arm whose range is nearest."""
        wave = np.asarray(wavelength, dtype=np.float64)
        distance = np.stack([np.maximum(np.maximum(a.low - wave, wave - a.high), 0.0) for a in self.arms])
        sigma = np.stack([a.resolution.sigma(wave) for a in self.arms])
        return np.take_along_axis(sigma, distance.argmin(axis=0)[None], axis=0)[0]

    @classmethod
    def generic_of(cls, resolving_power: float) -> Instrument:
        """An instrument of which only R = wavelength / FWHM is known; its pixels are those of the spectrum."""
        if not resolving_power > 0:
            raise ValueError(f"The resolving power must be positive, not {resolving_power}.")
        base = _load_all()["generic"]
        resolution = Resolution((1.0,), (float(resolving_power),), "R")
        arm = Arm("all", base.low, base.high, base.arms[0].sampling, base.arms[0].step, resolution)
        fields = {k: getattr(base, k) for k in base.__dataclass_fields__}
        return cls(**{**fields, "arms": (arm,), "summary": f"any spectrograph of R = {resolving_power:g}"})

    @classmethod
    def from_toml(cls, path: str | Path) -> Instrument:
        """Read an instrument from a TOML file; FileFormatError names file, key and what was expected."""
        path = Path(path)
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise FileFormatError(f"Instrument file '{path}' cannot be read: {error}") from error
        return _from_mapping(data, str(path))


def _from_mapping(data: Mapping[str, Any], where: str) -> Instrument:
    try:
        arms = tuple(_arm(entry) for entry in data["arms"])
        optional = {k: data[k] for k in data if k not in {"arms", "name", "summary", "source"}}
        ranges: dict[str, Any] = {
            k: tuple(float(x) for x in v) if isinstance(v, list) else v for k, v in optional.items()
        }
        return Instrument(name=data["name"], summary=data["summary"], source=data["source"], arms=arms, **ranges)
    except KeyError as error:
        raise FileFormatError(
            f"Instrument file '{where}': key {error} is missing. See galfit_ml.instruments."
        ) from error
    except (TypeError, ValueError) as error:
        raise FileFormatError(f"Instrument file '{where}': {error}") from error


def _arm(entry: Mapping[str, Any]) -> Arm:
    low, high = (float(x) for x in entry["range"])
    table = entry["resolution"]
    kind = "R" if "R" in table else "fwhm"
    value = table[kind] if isinstance(table[kind], list) else [table[kind]]
    nodes = table.get("wavelength", [1.0])
    resolution = Resolution(tuple(map(float, nodes)), tuple(map(float, value)), kind)
    return Arm(entry["name"], low, high, entry["sampling"], float(entry["step"]), resolution)


@cache
def _load_all() -> dict[str, Instrument]:
    folder = resources.files("galfit_ml") / "data" / "instruments"
    found: dict[str, Instrument] = {}
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".toml"):
            instrument = _from_mapping(tomllib.loads(entry.read_text(encoding="utf-8")), entry.name)
            found[instrument.name] = instrument
    return found


def shipped_instruments() -> dict[str, Instrument]:
    """Instruments that come with the package, by name."""
    return dict(_load_all())


def get_instrument(name: str | Instrument, extra: Mapping[str, Instrument] | None = None) -> Instrument:
    """The instrument of this name; "generic:1800" means R = 1800; UnknownNameError with a suggestion otherwise.

    `extra` holds instruments that plugins brought.
    """
    if isinstance(name, Instrument):
        return name
    kind, _, power = str(name).partition(":")
    if kind == "generic" and power:
        try:
            return Instrument.generic_of(float(power))
        except ValueError as error:
            raise unknown_name("instrument", name, ["generic:R, for example generic:1800"]) from error
    known = {**(extra or {}), **_load_all()}
    if name not in known:
        raise unknown_name(
            "instrument", name, known, "For another one use instrument='generic:R', R its resolving power."
        )
    return known[name]
