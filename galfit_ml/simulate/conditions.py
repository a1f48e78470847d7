"""`Conditions`: exposure time, seeing, sky and source size of n observations, nominal or drawn."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from galfit_ml.errors import GalfitMLError
from galfit_ml.instruments import Instrument
from galfit_ml.observatory import Observatory

NOMINAL_SIZE = 0.3
"""Half-light radius, arcsec."""

OH_SCATTER = 0.3
"""Sigma of ln(brightness of the airglow lines), a choice of this project: they vary by tens of per cent within a night
and between nights (Patat 2008, A&A 481, 575; Noll et al. 2012, A&A 543, A92)."""

CONTINUUM_SCATTER = 0.4
"""Sigma of ln(sky continuum), a choice of this project: between lines it is known to 0.3-0.5 only, and moonlight and
zodiacal light vary."""

SEEING_SCATTER = 0.25
"""Sigma of ln(seeing), a choice of this project: half of the nights within 17 % of the nominal seeing."""

SEEING_LIMITS = (0.35, 1.6)
"""Arcsec; worse nights are not observed."""

ZENITH_ANGLE = 50.0
"""Largest, degrees (airmass 1.56); flat in the cosine of the zenith angle, as fields are spread over the sky."""

SIZE_SCATTER = 0.45
"""Sigma of ln(half-light radius) around 0.3 arcsec: 0.2 dex, the scatter at a given mass (van der Wel et al. 2014, ApJ
788, 28); beyond z = 0.7 2.5 kpc are 0.3-0.35 arcsec."""

SIZE_LIMITS = (0.03, 1.2)

NOISE_EXCESS = 0.5
"""Sigma of the half-normal ln(variance over the calculated one) of an arm, a choice of this project: instruments on the
sky are noisier than their calculators. PFS multiplied its near-infrared variance by 2.7, here the 95th percentile."""

_UNITS = {"": 1.0, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "hr": 3600.0}
_EXPOSURE = re.compile(r"(?:(\d+)\s*[x×*]\s*)?(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+)\s*([a-z]*)", re.IGNORECASE)


class ConditionsError(GalfitMLError, ValueError):
    """An observation that cannot be made: exposure, seeing, airmass, size or magnitude outside what makes sense."""


def exposure_seconds(exposure: str | float) -> float:
    """Exposure time in seconds from "1h", "30m", "2x600s" or a number of seconds; ConditionsError otherwise.

    >>> exposure_seconds("1h"), exposure_seconds("6 x 10min"), exposure_seconds(900)
    (3600.0, 3600.0, 900.0)
    """
    seconds = _parsed(exposure) if isinstance(exposure, str) else float(exposure)
    if not (math.isfinite(seconds) and seconds > 0):
        raise ConditionsError(
            f"The exposure time must be positive and finite, not {exposure!r}. Give seconds, or a text such as "
            "'1h', '30m' or '6x600s'."
        )
    return seconds


def _parsed(text: str) -> float:
    match = _EXPOSURE.fullmatch(text.strip())
    unit = match[3].lower() if match else None
    if match is None or unit not in _UNITS:
        raise ConditionsError(
            f"The exposure time {text!r} cannot be understood: a number and s, m or h were expected. "
            "Type, for example, '3600s', '30m', '1.5h' or '6x600s'."
        )
    return float(match[1] or 1) * float(match[2]) * _UNITS[unit]


@dataclass(frozen=True)
class Conditions:
    """Under which n spectra are taken.

    Args:
        exposure: [n] total exposure time, s, sky exposures included.
        seeing: [n] FWHM at 5000 angstrom and airmass 1, arcsec.
        airmass: [n].
        size: [n] half-light radius of the source, arcsec; 0 for a point.
        oh, continuum: [n] factors on the airglow lines and on the continuum of the sky.
        noise_factor: [n, n_arm] factor on the white variance of each arm.

    An instrument of which only a measured noise curve is known uses `exposure` and `noise_factor` alone.
    """

    exposure: Tensor
    seeing: Tensor
    airmass: Tensor
    size: Tensor
    oh: Tensor
    continuum: Tensor
    noise_factor: Tensor

    def __post_init__(self) -> None:
        n = len(self.exposure)
        if any(getattr(self, f.name).shape[:1] != (n,) for f in fields(self)) or self.noise_factor.ndim != 2:
            raise ValueError(f"Conditions: each field must have {n} rows, noise_factor [n, n_arm].")

    def __len__(self) -> int:
        return len(self.exposure)

    @classmethod
    def nominal(
        cls, instrument: Instrument, n: int, exposure: str | float | Tensor, size: float | Tensor = NOMINAL_SIZE
    ) -> Conditions:
        """The instrument's nominal seeing, airmass and sky; ConditionsError names what makes no sense.

        Args:
            exposure: s or a text such as "1h" for all, or [n] s.
            size: half-light radius, arcsec, one or [n].
        """
        sight = instrument.observatory
        one = torch.ones(n)
        seeing, airmass = (sight.seeing, sight.airmass) if sight else (1.0, 1.0)
        conditions = cls(
            exposure=_column(exposure, n),
            seeing=seeing * one,
            airmass=airmass * one,
            size=torch.as_tensor(size, dtype=torch.float32).expand(n).clone(),
            oh=one.clone(),
            continuum=one.clone(),
            noise_factor=torch.ones(n, len(instrument.arms)),
        )
        conditions.check()
        return conditions

    @classmethod
    def draw(
        cls, instrument: Instrument, n: int, exposure: str | float | Tensor, generator: torch.Generator
    ) -> Conditions:
        """Tier 2: sky, seeing, airmass, source size and noise level drawn as the constants of this module say.

        The noise factor of an instrument known by its noise curve is lognormal with the scatter of that curve.

        Args:
            exposure: s or a text such as "1h" for all, or [n] s.
            generator: source of all randomness; the conditions are on its device.
        """
        draw = _Draw(n, generator)
        if instrument.observatory is None:
            scatter = instrument.noise_curve.scatter if instrument.noise_curve else 0.0
            noise = torch.exp(2 * scatter * draw.normal(len(instrument.arms)))
            fixed = cls.nominal(instrument, n, exposure).to(generator.device)
            return cls(**{**{f.name: getattr(fixed, f.name) for f in fields(cls)}, "noise_factor": noise})
        conditions = cls(
            exposure=_column(exposure, n).to(generator.device),
            **_night(instrument.observatory, draw),
            noise_factor=torch.exp(NOISE_EXCESS * draw.normal(len(instrument.arms)).abs()),
        )
        conditions.check()
        return conditions

    def check(self) -> None:
        """Raise ConditionsError where a value makes no sense."""
        least = {"exposure": 0.0, "seeing": 0.0, "airmass": 1.0 - 1e-6, "size": -1e-12}
        for name in (f.name for f in fields(self)):
            value, bound = getattr(self, name), least.get(name, -1e-12)
            wrong = ~(torch.isfinite(value) & (value > bound))
            if bool(wrong.any()):
                raise ConditionsError(
                    f"Conditions: {name} = {float(value[wrong][0]):g} makes no sense. Exposure and seeing must be "
                    "positive, the airmass at least 1, sizes and factors not negative, all of them finite."
                )

    def take(self, rows: Tensor | slice) -> Conditions:
        """The conditions of the spectra `rows`."""
        return self._map(lambda value: value[rows])

    def to(self, device: str | torch.device) -> Conditions:
        """The same conditions on another device."""
        return self._map(lambda value: value.to(device))

    def _map(self, change: Callable[[Tensor], Tensor]) -> Conditions:
        return Conditions(**{f.name: change(getattr(self, f.name)) for f in fields(self)})


@dataclass(frozen=True)
class _Draw:
    """n random numbers at a time."""

    n: int
    generator: torch.Generator

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(self.n, *shape, generator=self.generator, device=self.generator.device)

    def uniform(self) -> Tensor:
        return torch.rand(self.n, generator=self.generator, device=self.generator.device)


def _night(observatory: Observatory, draw: _Draw) -> dict[str, Tensor]:
    """Seeing, airmass, size and sky of n observations."""
    cosine = 1.0 - draw.uniform() * (1.0 - math.cos(math.radians(ZENITH_ANGLE)))
    return {
        "seeing": (observatory.seeing * torch.exp(SEEING_SCATTER * draw.normal())).clamp(*SEEING_LIMITS),
        "airmass": 1.0 / cosine,
        "size": (NOMINAL_SIZE * torch.exp(SIZE_SCATTER * draw.normal())).clamp(*SIZE_LIMITS),
        "oh": torch.exp(OH_SCATTER * draw.normal()),
        "continuum": torch.exp(CONTINUUM_SCATTER * draw.normal()),
    }


def _column(exposure: str | float | Tensor, n: int) -> Tensor:
    value = exposure if isinstance(exposure, Tensor) else exposure_seconds(exposure)
    return torch.as_tensor(value, dtype=torch.float32).expand(n).clone()
