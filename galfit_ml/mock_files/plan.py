"""`MockPlan`: what is going to be written, and whether an interrupted file was meant to hold the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from galfit_ml.instruments import Instrument
from galfit_ml.mock_files.instrument_json import to_json

KIND = "galfit_ml mock survey"
FORMAT_VERSION = 1

EXTRAS = ("white-ivar", "noiseless")
"""What can be kept beside flux, inverse variance and mask."""


@dataclass(frozen=True)
class TruthColumn:
    """A column of the truth table: its unit, as astropy spells it ("" if it has none), and one sentence."""

    unit: str = ""
    description: str = ""


@dataclass(frozen=True)
class MockPlan:
    """A mock survey to be written.

    Args:
        instrument: that observes.
        n: number of spectra.
        chunk: spectra that are made at a time; the last chunk may be shorter.
        settings: everything else the spectra depend on, as JSON values: survey, seed, tier, exposure, ...
        version: of galfit_ml.
        columns: name -> unit and description of the columns of the truth table; others may be there without.
        mask_bits: name -> value of the bits of the mask.
        unusable: sum of the bits that make a pixel unusable.
        keep: of `EXTRAS`, what to keep.
    """

    instrument: Instrument
    n: int
    chunk: int
    settings: Mapping[str, Any]
    version: str
    columns: Mapping[str, TruthColumn] = field(default_factory=dict)
    mask_bits: Mapping[str, int] = field(default_factory=dict)
    unusable: int = 0
    keep: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.n < 1 or self.chunk < 1:
            raise ValueError(f"A mock survey needs at least one spectrum in chunks of at least one, not {self.n}.")
        if not set(self.keep) <= set(EXTRAS):
            raise ValueError(f"Of {EXTRAS} can be kept, not {self.keep}.")

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""
        return -(-self.n // self.chunk)

    def rows(self, chunk: int) -> range:
        """Rows of that chunk."""
        return range(chunk * self.chunk, min((chunk + 1) * self.chunk, self.n))

    def everything(self) -> dict[str, Any]:
        """All that the file depends on, by name, as JSON values: two files with the same are the same."""
        return {
            **self.settings,
            "n": self.n,
            "chunk": self.chunk,
            "keep": list(self.keep),
            "galfit_ml": self.version,
            "format": FORMAT_VERSION,
            "instrument": to_json(self.instrument),
        }

    def digest(self) -> str:
        """Hexadecimal number that is the same for the same `everything`."""
        return hashlib.sha256(json.dumps(self.everything(), sort_keys=True).encode()).hexdigest()


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Which settings of two runs are not the same, in words."""
    parts = []
    for name in dict.fromkeys([*now, *then]):
        before, after = (json.loads(json.dumps(side.get(name))) for side in (then, now))
        if before != after:
            parts.append(name if isinstance(after, dict) else f"{name} was {before!r} and is {after!r}")
    return "; ".join(parts)
