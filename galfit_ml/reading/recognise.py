"""Which instrument a spectrum comes from, told from its header and wavelengths, and whether the two go together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import SpectrumError
from galfit_ml.instruments import Instrument, get_instrument
from galfit_ml.reading.sources import DESI_KEYS, INSTRUMENT_KEY, header_of

FIRST_BOSS_PLATE = 3510
"""SDSS plates from this number on were observed with the BOSS spectrographs (Smee et al. 2013, AJ 146, 32)."""

MIN_INSIDE_GENERIC = 2 / 3
"""Fraction of the pixels that must lie where galaxy models exist, for a spectrum of unknown instrument."""


LENGTHS = {"AA": 1.0, "nm": 10.0, "um": 1e4, "m": 1e10}
"""Angstroms in the units of wavelength that are mistaken for one another."""


@dataclass(frozen=True)
class InstrumentChoice:
    """What the user said of the instrument.

    Args:
        instrument: the instrument for all spectra, or None to recognise it for each.
        extra: instruments that plugins brought, by name.
        stated: True where the user stated the resolving power of a generic instrument, so that nothing is assumed.
    """

    instrument: Instrument | None
    extra: Mapping[str, Instrument]
    stated: bool = False

    @classmethod
    def of(
        cls, instrument: str | Instrument | None, resolving_power: float | None, extra: Mapping[str, Instrument]
    ) -> InstrumentChoice:
        """From the user's arguments; UnknownNameError for an instrument that does not exist."""
        if instrument is None and resolving_power is not None:
            return cls(Instrument.generic_of(resolving_power), extra, True)
        if instrument is None:
            return cls(None, extra)
        chosen = get_instrument(instrument, extra)
        return cls(chosen, extra, chosen.generic and instrument != "generic")

    def for_spectrum(self, meta: Mapping[str, Any], low: float, high: float) -> Instrument:
        """The instrument of a spectrum with this meta that covers `low` to `high` angstrom."""
        if self.instrument is not None:
            return self.instrument
        if isinstance(meta.get(INSTRUMENT_KEY), Instrument):
            return meta[INSTRUMENT_KEY]
        return get_instrument(self._named(meta, low, high), self.extra)

    def _named(self, meta: Mapping[str, Any], low: float, high: float) -> str:
        if "band" in meta and DESI_KEYS & set(meta):
            return "desi"
        header = header_of(meta)
        telescope = str(header.get("TELESCOP", ""))
        # the APOGEE spectrographs stand at the same telescope, and work in the H band
        if not telescope.startswith("SDSS") or high > 11000.0:
            return "generic"
        plate = header.get("PLATEID")
        if isinstance(plate, int) and plate > 0:
            return "boss" if plate >= FIRST_BOSS_PLATE else "sdss"
        return "boss" if low < 3700.0 or high > 9500.0 or str(header.get("RUN2D", "")).startswith("v") else "sdss"


def check_overlap(wavelengths: Sequence[NDArray[np.float64]], instrument: Instrument, declared: float | None) -> None:
    """SpectrumError unless enough pixels lie where the instrument works.

    Args:
        wavelengths: [n_pix] of each arm, angstrom.
        instrument: the instrument.
        declared: angstroms in the unit of length that the spectral axis was in; None for a frequency or energy.
    """
    wave = np.concatenate(wavelengths)
    inside = float(np.mean((wave >= instrument.low) & (wave <= instrument.high)))
    if inside >= MIN_INSIDE_GENERIC or (inside > 0 and not instrument.generic):
        return
    low, high = float(wave.min()), float(wave.max())
    works = "galaxy models exist" if instrument.generic else f"instrument '{instrument.name}' works"
    fraction = "none" if inside == 0 else f"only {100 * inside:.0f} %"
    raise SpectrumError(
        f"the spectrum covers {low:.6g} to {high:.6g} angstrom, and {works} from {instrument.low:.6g} to "
        f"{instrument.high:.6g} angstrom: {fraction} of its pixels lie there. {_hint(low, high, instrument, declared)}"
    )


def _hint(low: float, high: float, instrument: Instrument, declared: float | None) -> str:
    """What a wrong wavelength unit would explain, if anything."""
    for unit, angstroms in LENGTHS.items():
        if declared is None or angstroms == declared:
            continue
        factor = angstroms / declared
        covered = min(high * factor, instrument.high) - max(low * factor, instrument.low)
        if covered >= 0.5 * (high - low) * factor:
            said = next((u for u, size in LENGTHS.items() if np.isclose(size, declared)), "another unit")
            return (
                f"The usual cause is a wrong wavelength unit: the numbers look like {unit} and were declared as {said}."
                f" Write spectral_axis=wavelength * u.{unit}."
            )
    return "A wrong wavelength unit or a wrong instrument= is the usual cause; instrument='generic:R' takes others."
