"""The one table of galaxy parameters: names, units, ranges, labels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from galfit_ml.errors import unknown_name


@dataclass(frozen=True)
class Parameter:
    """A galaxy parameter.

    Args:
        name: identifier; `log_` in front means log10.
        unit: unit of the value (of its antilog for `log_` names), as astropy spells it; "" if dimensionless.
        low, high: range outside which no model exists.
        label: text for plots (matplotlib mathtext).
        doc: one sentence.
        needs_flux_scale: True where the value is meaningless for a spectrum in relative units.
    """

    name: str
    unit: str
    low: float
    high: float
    label: str
    doc: str
    needs_flux_scale: bool = False

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"Parameter name {self.name!r} is not an identifier: use letters, digits and '_'.")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"Parameter '{self.name}' needs finite low < high, not {self.low} and {self.high}.")

    @property
    def is_log(self) -> bool:
        """Whether the value is a log10."""
        return self.name.startswith("log_")

    @property
    def column_unit(self) -> str:
        """Unit of a table column that holds this parameter: `dex(unit)` for logarithms of a quantity with a unit."""
        return f"dex({self.unit})" if self.is_log and self.unit else self.unit


@dataclass(frozen=True)
class ParameterSet:
    """An ordered, duplicate-free choice of parameters; iterates over them, indexed by name or position."""

    parameters: tuple[Parameter, ...]

    def __post_init__(self) -> None:
        names = [p.name for p in self.parameters]
        if len(set(names)) != len(names):
            raise ValueError(f"Parameter names must be unique, got {names}.")

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self.parameters)

    def __len__(self) -> int:
        return len(self.parameters)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __getitem__(self, key: str | int) -> Parameter:
        return self.parameters[self.index(key) if isinstance(key, str) else key]

    @property
    def names(self) -> tuple[str, ...]:
        """Names in order."""
        return tuple(p.name for p in self.parameters)

    def index(self, name: str) -> int:
        """Position of `name`; UnknownNameError with a suggestion if it is not there."""
        if name not in self.names:
            raise unknown_name("parameter", name, self.names)
        return self.names.index(name)

    def select(self, *names: str) -> ParameterSet:
        """The parameters of these names, in this order."""
        return ParameterSet(tuple(self[name] for name in names))


GALAXY = ParameterSet(
    (
        Parameter("redshift", "", 0.0, 6.0, r"$z$", "Redshift of the stars, in vacuum."),
        Parameter(
            "log_stellar_mass",
            "solMass",
            4.0,
            13.0,
            r"$\log_{10}(M_\star/\mathrm{M}_\odot)$",
            "Mass in living stars and remnants (Kroupa IMF), of the light in the spectrum.",
            True,
        ),
        Parameter(
            "log_sfr",
            "solMass / yr",
            -9.0,
            5.0,
            r"$\log_{10}(\mathrm{SFR}/\mathrm{M}_\odot\,\mathrm{yr}^{-1})$",
            "Star-formation rate, mean of the last 100 Myr.",
            True,
        ),
        Parameter(
            "log_metallicity",
            "",
            -2.0,
            0.39,
            r"$\log_{10}(Z_\star/\mathrm{Z}_\odot)$",
            "Stellar metallicity in units of Z_sun, weighted by the mass formed.",
        ),
        Parameter(
            "gas_metallicity",
            "",
            0.005,
            2.5,
            r"$Z_\mathrm{gas}/\mathrm{Z}_\odot$",
            "Gas metallicity in units of Z_sun (linear); 12 + log(O/H) = 8.71 + log10 of it.",
        ),
        Parameter("dust_av", "mag", 0.0, 3.0, r"$A_V$", "V-band attenuation of stars older than 10 Myr."),
        Parameter("velocity_dispersion", "km / s", 40.0, 400.0, r"$\sigma_\star$", "Stellar velocity dispersion."),
        Parameter("log_age", "yr", 5.5, 10.2, r"$\log_{10}(t_\star/\mathrm{yr})$", "Age weighted by the mass formed."),
        Parameter("log_ionisation", "", -4.0, -1.5, r"$\log_{10}U$", "Ionisation parameter of the H II regions."),
    )
)

TARGETS = GALAXY.select("redshift", "log_stellar_mass", "log_sfr", "log_metallicity", "gas_metallicity")
