"""Instruments as data: arms with range, sampling and line-spread function, telescope and noise, read from TOML.

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

`sampling` is "log10" (step in dex), "linear" (step in angstrom) or "resolution" (step in pixels per FWHM, which the
pixels follow). `resolution` is `{ R = 2000.0 }`, `{ fwhm = 1.88 }` (angstrom) or a table over `wavelength` of `R` or
`fwhm`.

What is needed to simulate spectra is optional. Where photons can be counted, each arm has::

    throughput = { wavelength = [6470.0, 9340.0], value = [0.15, 0.16] }   # telescope x instrument x detector
    detector = { read_noise = 5.0, dark = 2.0, spatial_pixels = 4.0, stray = 0.02 }

and the file a table `[observatory]` with the fields of `galfit_ml.observatory.Observatory`, its `[[observatory.modes]]`
and `image_quality = { wavelength = [...], value = [...] }`. Where they cannot, a table `[noise_curve]` has the fields
of `galfit_ml.observatory.NoiseCurve` with `file` in place of `sky` and `object`: a CSV file with the columns
wavelength, sky, object, beside the TOML file or in the package's `data/noise`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galfit_ml.errors import FileFormatError, unknown_name
from galfit_ml.grid import WavelengthGrid
from galfit_ml.observatory import Curve, Detector, NoiseCurve, Observatory, SkyMode
from galfit_ml.toml_tables import Convert, check_keys, construct, number, numbers, refused_by

FWHM_PER_SIGMA = 2.0 * float(np.sqrt(2.0 * np.log(2.0)))

_SAMPLINGS = ("log10", "linear", "resolution")


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
    """One arm of a spectrograph.

    Args:
        name: of the arm.
        low, high: wavelength range, vacuum angstrom.
        sampling: "log10", "linear" or "resolution".
        step: of the pixels, in dex, in angstrom or in pixels per FWHM.
        resolution: line-spread function.
        throughput: of telescope, instrument and detector together; None where photons cannot be counted.
        detector: None likewise.
    """

    name: str
    low: float
    high: float
    sampling: str
    step: float
    resolution: Resolution
    throughput: Curve | None = None
    detector: Detector | None = None

    def __post_init__(self) -> None:
        if self.sampling not in _SAMPLINGS:
            raise ValueError(f"Arm '{self.name}': sampling must be one of {_SAMPLINGS}, not {self.sampling!r}.")
        if not (0 < self.low < self.high and self.step > 0):
            raise ValueError(f"Arm '{self.name}': needs 0 < low < high and step > 0.")
        if self.throughput is not None and not (min(self.throughput.value) >= 0 < max(self.throughput.value) <= 1):
            raise ValueError(f"Arm '{self.name}': a throughput is a fraction, 0 to 1, and not 0 everywhere.")

    @property
    def grid(self) -> WavelengthGrid:
        """The arm's native pixels."""
        if self.sampling == "resolution":
            return self._following_resolution()
        maker = WavelengthGrid.log10 if self.sampling == "log10" else WavelengthGrid.linear
        return maker(self.low, self.high, self.step)

    def _following_resolution(self) -> WavelengthGrid:
        """Pixels of FWHM / step: edges at equal steps of the integral of step / FWHM over wavelength."""
        fine = np.linspace(self.low, self.high, 20_001)
        density = self.step / (FWHM_PER_SIGMA * self.resolution.sigma(fine))
        pixel = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(fine))])
        edges = np.interp(np.arange(int(pixel[-1]) + 1), pixel, fine)
        return WavelengthGrid(edges, 0.5 * (edges[1:] + edges[:-1]))


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
        observatory: telescope, fibre and sky, where photons can be counted.
        noise_curve: measured noise, where they cannot.
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
    observatory: Observatory | None = None
    noise_curve: NoiseCurve | None = None

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
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise FileFormatError(f"Instrument file '{path}' cannot be read: {error}") from error
        return _from_mapping(data, str(path), path.parent)


def _from_mapping(data: Mapping[str, Any], where: str, folder: Traversable) -> Instrument:
    place = f"Instrument file '{where}'"
    converters: dict[str, Convert] = {
        "arms": lambda value, at: tuple(_arm(entry, f"{at} number {i + 1}") for i, entry in enumerate(value)),
        "observatory": _observatory,
        "noise_curve": lambda value, at: _noise_curve(value, at, folder),
        "calibration_order": _whole,
    }
    for key in ("redshift_range", "magnitude_range", "magnitude_band"):
        converters[key] = _pair
    return construct(Instrument, data, place, converters)


def _arm(entry: Any, where: str) -> Arm:
    keys = ("name", "range", "sampling", "step", "resolution")
    check_keys(entry, (*keys, "throughput", "detector"), keys, where)
    low, high = _pair(entry["range"], f"{where}: key 'range'")
    given: dict[str, Any] = {}
    if "throughput" in entry:
        given["throughput"] = construct(Curve, entry["throughput"], f"{where}: key 'throughput'")
    if "detector" in entry:
        given["detector"] = construct(Detector, entry["detector"], f"{where}: key 'detector'")
    resolution = _resolution(entry["resolution"], f"{where}: key 'resolution'")
    step = number(entry["step"], f"{where}: key 'step'")
    return refused_by(lambda: Arm(entry["name"], low, high, entry["sampling"], step, resolution, **given), where)


def _resolution(table: Any, where: str) -> Resolution:
    check_keys(table, ("wavelength", "R", "fwhm"), (), where)
    if ("R" in table) == ("fwhm" in table):
        raise FileFormatError(f"{where}: expected either 'R' or 'fwhm' (angstrom), not {dict(table)!r}.")
    kind = "R" if "R" in table else "fwhm"
    nodes = numbers(table.get("wavelength", 1.0), where)
    return refused_by(lambda: Resolution(nodes, numbers(table[kind], where), kind), where)


def _observatory(table: Any, where: str) -> Observatory:
    modes: Convert = lambda value, at: tuple(construct(SkyMode, entry, at) for entry in value)  # noqa: E731
    curve: Convert = lambda value, at: construct(Curve, value, at)  # noqa: E731
    return construct(Observatory, table, where, {"modes": modes, "image_quality": curve})


def _noise_curve(table: Any, where: str, folder: Traversable) -> NoiseCurve:
    known = ("file", "exposure", "scatter", "residual", "floor", "source")
    check_keys(table, known, ("file", "exposure", "source"), where)
    name = str(table["file"])
    shipped = resources.files("galfit_ml") / "data" / "noise"
    found = next((place / name for place in (folder, shipped) if (place / name).is_file()), None)
    if found is None:
        raise FileFormatError(f"{where}: there is no file '{name}' beside the instrument file.")
    wavelength, sky, light = _columns(found, where)
    values = {**{key: table[key] for key in table if key != "file"}, "sky": sky, "object": light}
    curve: Convert = lambda value, at: refused_by(lambda: Curve(wavelength, value), at)  # noqa: E731
    return construct(NoiseCurve, values, where, {"sky": curve, "object": curve})


def _columns(file: Traversable, where: str) -> list[tuple[float, ...]]:
    """The columns wavelength, sky and object of a CSV file; lines that begin with # are comments."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    if not lines or lines[0].replace(" ", "") != "wavelength,sky,object":
        raise FileFormatError(f"{where}: the first line of '{file.name}' must be wavelength,sky,object.")
    rows = refused_by(
        lambda: [[float(cell) for cell in line.split(",")] for line in lines[1:]], f"{where}: {file.name}"
    )
    if not rows or any(len(row) != 3 for row in rows):
        raise FileFormatError(f"{where}: every line of '{file.name}' needs three numbers.")
    return [tuple(column) for column in zip(*rows, strict=True)]


def _pair(value: Any, where: str) -> tuple[float, float]:
    pair = numbers(value, where)
    if len(pair) != 2:
        raise FileFormatError(f"{where}: expected two numbers [low, high], not {value!r}.")
    return pair[0], pair[1]


def _whole(value: Any, where: str) -> int:
    if type(value) is not int:
        raise FileFormatError(f"{where}: expected a whole number, not {value!r}.")
    return value


@cache
def _load_all() -> dict[str, Instrument]:
    folder = resources.files("galfit_ml") / "data" / "instruments"
    found: dict[str, Instrument] = {}
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".toml"):
            instrument = _from_mapping(tomllib.loads(entry.read_text(encoding="utf-8")), entry.name, folder)
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
