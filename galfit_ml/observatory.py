"""What stands in front of a spectrograph's pixels: telescope, fibre, sky and detector, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Curve:
    """A quantity against vacuum wavelength, linear between nodes and constant beyond them.

    Args:
        wavelength: nodes, angstrom, increasing.
        value: at the nodes.
    """

    wavelength: tuple[float, ...]
    value: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.wavelength) != len(self.value) or not self.value:
            raise ValueError("a curve needs as many values as wavelengths, at least one")
        if any(right <= left for left, right in zip(self.wavelength, self.wavelength[1:], strict=False)):
            raise ValueError("the wavelengths of a curve must increase")

    def __call__(self, wavelength: ArrayLike) -> NDArray[np.float64]:
        """Values at `wavelength` [...], angstrom."""
        return np.asarray(np.interp(np.asarray(wavelength, dtype=np.float64), self.wavelength, self.value))


def require(table: object, *names: str, least: float = -inf, above: float = -inf, most: float = inf) -> None:
    """ValueError where a number of `table` is below `least`, not above `above`, or above `most`."""
    for name in names:
        value = getattr(table, name)
        if not (value >= least and value > above and value <= most):
            bounds = [f"at least {least:g}"] * (least > -inf) + [f"above {above:g}"] * (above > -inf)
            told = " and ".join(bounds + [f"at most {most:g}"] * (most < inf))
            raise ValueError(f"{name} = {value:g} makes no sense: it must be {told}")


@dataclass(frozen=True)
class Detector:
    """Detector of one arm, per pixel of the extracted spectrum.

    Args:
        read_noise: electrons rms per detector pixel and exposure.
        dark: electrons per hour and detector pixel.
        spatial_pixels: detector pixels across the trace that are summed.
        stray: scattered light, as a fraction of the mean sky of the arm.
        saturation: electrons per detector pixel above which a pixel is lost; infinite where unknown.
    """

    read_noise: float
    dark: float
    spatial_pixels: float = 4.0
    stray: float = 0.0
    saturation: float = float("inf")

    def __post_init__(self) -> None:
        require(self, "read_noise", "dark", "stray", least=0.0)
        require(self, "spatial_pixels", "saturation", above=0.0)


@dataclass(frozen=True)
class SkyMode:
    """How the sky is measured.

    Args:
        name: "xswitch", "stare", "nod", ...
        background: variance of the subtracted background over that of one fibre on the sky.
        on_target: share of the exposure that the object's light is collected.
        summary: one line.
    """

    name: str
    background: float
    on_target: float
    summary: str = ""

    def __post_init__(self) -> None:
        require(self, "background", least=1.0)
        require(self, "on_target", above=0.0, most=1.0)


@dataclass(frozen=True)
class Observatory:
    """Telescope, fibre and sky of a spectrograph whose photons are counted.

    Args:
        area: collecting area, m^2.
        fibre: diameter on the sky, arcsec.
        sky: name of a sky table of the package.
        dit: detector integration time, s.
        modes: at least one; the first is the default.
        seeing: FWHM at 5000 angstrom and airmass 1, arcsec.
        airmass: of the nominal observation.
        image_quality: effective FWHM at the fibre over `seeing`, against wavelength, at airmass 1.
        temperature: of telescope and instrument, K.
        emissivity: of telescope and instrument.
        residual: rms of the sky-subtraction error as a fraction of the sky.
        wavelength_residual: rms of the wavelength error between sky and object exposures, angstrom.
    """

    area: float
    fibre: float
    sky: str
    dit: float
    modes: tuple[SkyMode, ...]
    seeing: float
    airmass: float
    image_quality: Curve
    temperature: float = 285.0
    emissivity: float = 0.2
    residual: float = 0.006
    wavelength_residual: float = 0.01

    def __post_init__(self) -> None:
        require(self, "area", "fibre", "dit", "seeing", "temperature", above=0.0)
        require(self, "airmass", least=1.0)
        require(self, "emissivity", least=0.0, most=1.0)
        require(self, "residual", "wavelength_residual", least=0.0)
        if min(self.image_quality.value) <= 0:
            raise ValueError("image_quality must be positive everywhere")


@dataclass(frozen=True)
class NoiseCurve:
    """Measured noise of a spectrograph whose photons are not counted: variance = sky^2 + object * flux.

    Args:
        exposure: s, to which the curves belong.
        sky: sigma per native pixel without an object, 1e-17 erg s^-1 cm^-2 A^-1.
        object: variance per unit flux, 1e-17 erg s^-1 cm^-2 A^-1.
        scatter: rms of ln(noise) between spectra.
        residual: rms of the sky-subtraction error as a fraction of the noise of sky lines.
        floor: error that the pipeline adds to what it reports, as a fraction of the flux, at `exposure`; the pixels do
            not have it.
        source: where the numbers come from.
    """

    exposure: float
    sky: Curve
    object: Curve
    scatter: float = 0.0
    residual: float = 0.0
    floor: float = 0.0
    source: str = field(default="")
