"""Scores of answers to real spectra."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from benchmarks.network.tables import nmad
from galfit_ml.flags import Flag

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

WARNING = int(Flag.OUT_OF_DISTRIBUTION | Flag.AMBIGUOUS_REDSHIFT | Flag.LOW_SNR | Flag.EDGE_OF_RANGE | Flag.FAILED)
"""A spectrum with one of these flags is set aside by a careful user."""

SUN = 8.71
"""12 + log O/H at solar metallicity in the nebular grid."""

IMF_AND_H0 = -0.03 - 2 * np.log10(70.0 / 67.66)
"""Added to a log mass or SFR (Kroupa, H0 = 67.66) to compare it with catalogues of Chabrier and H0 = 70, dex."""

LINE_SNR = 5.0
"""Signal-to-noise of H-alpha from which a galaxy has emission lines."""


@dataclass(frozen=True)
class Quantity:
    """A property that a catalogue knows too.

    Args:
        label: for tables.
        column: of the catalogue.
        error: of the catalogue, dex: a floor from catalogues of the same galaxies.
        name: of the parameter.
    """

    label: str
    column: str
    error: float
    name: str


QUANTITIES = (
    Quantity("log stellar mass", "logM_any", 0.10, "log_stellar_mass"),
    Quantity("log SFR", "logSFR_any", 0.30, "log_sfr"),
    Quantity("12 + log O/H", "oh_O3N2_pp04", 0.10, "gas_metallicity"),
)


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927, JASA 22, 209)."""
    if n == 0:
        return 0.0, 1.0
    p, scale = hits / n, 1 + z**2 / n
    middle, half = (p + z**2 / (2 * n)) / scale, z / scale * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return max(float(middle - half), 0.0), min(float(middle + half), 1.0)


def narrow_galaxies(table: pd.DataFrame) -> Mask:
    """Rows the survey calls galaxies, without broad lines."""
    broad = table["subclass"].fillna("").str.contains("BROAD")
    return ((table["class"] == "GALAXY") & ~broad).to_numpy()


def warned(table: pd.DataFrame) -> Mask:
    """Rows with a warning."""
    return (table["flags"].to_numpy() & WARNING) != 0


def pull_width(error: Floats, sigma: Floats, own: Floats) -> float:
    """NMAD of errors over their expected size, the survey's own error `own` folded in."""
    return nmad(error / np.hypot(sigma, own))


def compared(table: pd.DataFrame, what: Quantity) -> tuple[Floats, Floats, Floats]:
    """Value, its error, and the catalogue's value of a property, [n] each; NaN where one is not known.

    Mass and SFR are those of the whole galaxy: the light in the fibre is scaled by total over synthetic r magnitude.
    """
    value, low, high = (table[what.name + end].to_numpy() for end in ("", "_low", "_high"))
    if what.name == "gas_metallicity":
        value, low, high = (SUN + np.log10(x) for x in (value, low, high))
    else:
        value = value + 0.4 * (table["r_synthetic"] - table["r_total"]).to_numpy() + IMF_AND_H0
    return value, 0.5 * (high - low), table[what.column].to_numpy()


def usable(table: pd.DataFrame, what: Quantity) -> Mask:
    """Galaxies with a value of a property on both sides; for SFR those with emission lines."""
    value, _, catalogue = compared(table, what)
    keep = narrow_galaxies(table) & np.isfinite(value) & np.isfinite(catalogue)
    if what.name == "log_sfr":
        keep &= (table["Halpha_flux"] / table["Halpha_err"] > LINE_SNR).to_numpy()
    return np.asarray(keep)


def rank_correlation(x: Floats, y: Floats) -> float:
    """Spearman's."""
    return float(spearmanr(x, y).statistic) if len(x) > 2 else np.nan
