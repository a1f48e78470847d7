"""What reading is told (`ReaderOptions`) and what comes out of it (`Reading`)."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import SpectrumError, unknown_name
from galfit_ml.reading.ebv import check_dust_map, checked_ebv
from galfit_ml.spectra import SpectrumBatch

MEDIA = ("air", "vacuum")


@dataclass(frozen=True)
class ReaderOptions:
    """Choices of the user that concern reading.

    Args:
        format: name of a specutils loader, or None to let specutils recognise the file.
        medium: what the wavelengths are in, "air" or "vacuum"; None: vacuum unless the header says AWAV or AIRORVAC.
        resolving_power: R = wavelength / FWHM of the spectra; it goes before any line-spread function found elsewhere.
        ids: names of the spectra, one each; None takes them from file or header.
        rows: (first, end) of the spectra to take from a file of mock spectra; None for all.
        ebv: E(B-V) of the Milky Way, mag, one number or one for each spectrum, that is taken out of the spectra.
        dust_map: where E(B-V) comes from instead: a callable SkyCoord [n] -> [n] mag, or "sfd".
        coordinates: astropy SkyCoord of all spectra or of each, where to ask it; None takes them from the header.
    """

    format: str | None = None
    medium: str | None = None
    resolving_power: float | None = None
    ids: tuple[str, ...] | None = None
    rows: tuple[int, int] | None = None
    ebv: float | tuple[float, ...] | None = None
    dust_map: Any = None
    coordinates: Any = field(default=None, compare=False)  # compared with None, a SkyCoord would answer with an array

    def __post_init__(self) -> None:
        if self.medium is not None and self.medium not in MEDIA:
            raise unknown_name("medium", self.medium, MEDIA, "It says whether wavelengths are in air or in vacuum.")
        if self.resolving_power is not None and not 10 <= float(self.resolving_power) < float("inf"):
            raise SpectrumError(
                f"resolving_power={self.resolving_power!r} is not a resolving power. It is wavelength / FWHM: "
                "write for example resolving_power=2000."
            )
        if self.ids is not None:
            names = [self.ids] if isinstance(self.ids, str) else self.ids
            object.__setattr__(self, "ids", tuple(map(str, names)))
        if self.rows is not None:
            object.__setattr__(self, "rows", _range_of(self.rows))
        if self.ebv is not None:
            object.__setattr__(self, "ebv", checked_ebv(self.ebv))
        check_dust_map(self.dust_map, self.coordinates, self.ebv)

    @classmethod
    def of(cls, options: Mapping[str, object]) -> ReaderOptions:
        """From keywords; UnknownNameError for one that does not exist."""
        for name in options:
            if name not in READER_OPTIONS:
                raise unknown_name("reader option", name, READER_OPTIONS)
        return cls(**options)  # type: ignore[arg-type]


def _range_of(rows: object) -> tuple[int, int]:
    """(first, end) with 0 <= first < end; SpectrumError for anything else."""
    try:
        first, end = (operator.index(row) for row in rows)  # type: ignore[attr-defined]
        if 0 <= first < end:
            return first, end
    except (TypeError, ValueError):
        pass
    raise SpectrumError(f"rows={rows!r} is not a range of rows: write rows=(0, 20) for the first twenty spectra.")


READER_OPTIONS: frozenset[str] = frozenset(field.name for field in fields(ReaderOptions))
"""Names of the keywords that belong to the reader."""


@dataclass(frozen=True)
class Failure:
    """A spectrum that cannot be used: its name and why."""

    id: str
    reason: str


@dataclass(frozen=True, eq=False)
class Group:
    """Spectra of one instrument that share their grids: [n] positions in the user's order, and the batch of n rows."""

    positions: NDArray[np.intp]
    batch: SpectrumBatch

    def __post_init__(self) -> None:
        if len(self.positions) != len(self.batch):
            raise ValueError(f"{len(self.positions)} positions for a batch of {len(self.batch)} spectra.")


@dataclass(frozen=True, eq=False)
class Reading:
    """Everything a user handed in.

    Args:
        n: number of spectra.
        single: True where the user handed in one spectrum rather than a collection that may hold one.
        groups: the spectra that can be used.
        failures: position -> why not. Every position 0..n-1 is once in the groups or here.
        extinction: what extinction of the Milky Way was taken out, in words; "" where none was.
    """

    n: int
    single: bool
    groups: tuple[Group, ...]
    failures: Mapping[int, Failure]
    extinction: str = ""

    def __post_init__(self) -> None:
        positions = sorted([*self.failures, *(int(p) for g in self.groups for p in g.positions)])
        if positions != list(range(self.n)):
            raise ValueError(f"Groups and failures must hold each of the positions 0 to {self.n - 1} once.")
