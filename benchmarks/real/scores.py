"""Scores of answers to real spectra."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from galfit_ml.benchmark.metrics import nmad
from galfit_ml.benchmark.real_folder import narrow_galaxies
from galfit_ml.flags import Flag
from galfit_ml.grid import SPEED_OF_LIGHT_KMS
from galfit_ml.simulate.cosmology import Cosmology

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

WARNING = int(Flag.OUT_OF_DISTRIBUTION | Flag.AMBIGUOUS_REDSHIFT | Flag.LOW_SNR | Flag.EDGE_OF_RANGE | Flag.FAILED)
"""A spectrum with one of these flags is set aside by a careful user."""

SUN = 8.71
"""12 + log O/H at solar metallicity in the nebular grid."""

IMF_AND_H0 = -0.03 - 2 * np.log10(70.0 / 67.66)
"""Added to a log mass or SFR (Kroupa, H0 = 67.66) to compare it with catalogues of Chabrier and H0 = 70, dex."""

DISPERSIONS = (90.0, 400.0)
"""km/s: what the survey measures above its resolution."""

ZERO_POINT = 2.0 / SPEED_OF_LIGHT_KMS
"""Error of the survey's wavelength scale (Abazajian et al. 2009, sec. 3: 2 km/s)."""

ABSORPTION = 1.0
"""Equivalent width of the stellar absorption under Balmer lines, angstrom."""

HALPHA_COLUMNS = {"bpt_sf", *(f"{line}_{what}" for line in ("Halpha", "Hbeta") for what in ("flux", "err", "ew"))}
LINE_SNR = 5.0
"""Signal-to-noise of H-alpha from which a galaxy has emission lines."""


FLUXES = (("nsa_nmgy", ""), ("fibspec_flux", "_nmgy"))
"""Beginning and end of the names of columns with fluxes of the whole galaxy and of the fibre."""


@dataclass(frozen=True)
class Quantity:
    """A property that a catalogue knows too.

    Args:
        label: for tables.
        column: of the catalogue.
        error: of the catalogue, dex: a floor from catalogues of the same galaxies.
        name: of the parameter.
        scaled: "light" from the fibre to the galaxy by total over synthetic r magnitude, "colour" also by the
            difference of mass-to-light ratio that the colours of fibre and galaxy say; "" as it is.
    """

    label: str
    column: str
    error: float
    name: str
    scaled: str = ""


QUANTITIES = (
    Quantity("log stellar mass", "logM_any", 0.10, "log_stellar_mass", "light"),
    Quantity("log stellar mass, M/L gradient removed", "logM_any", 0.10, "log_stellar_mass", "colour"),
    Quantity("log SFR", "logSFR_any", 0.30, "log_sfr", "light"),
    Quantity("log SFR in the fibre, against Hα", "halpha_log_sfr", 0.20, "log_sfr"),
    Quantity("Hα instead of the network, against the catalogue", "logSFR_any", 0.30, "halpha_log_sfr", "light"),
    Quantity("12 + log O/H", "oh_O3N2_pp04", 0.10, "gas_metallicity"),
    Quantity("log velocity dispersion, above 90 km/s", "vdisp", 0.02, "velocity_dispersion"),
)


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927, JASA 22, 209)."""
    if n == 0:
        return 0.0, 1.0
    p, scale = hits / n, 1 + z**2 / n
    middle, half = (p + z**2 / (2 * n)) / scale, z / scale * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return max(float(middle - half), 0.0), min(float(middle + half), 1.0)


def warned(table: pd.DataFrame) -> Mask:
    """Rows with a warning."""
    return (table["flags"].to_numpy() & WARNING) != 0


def pull_width(error: Floats, sigma: Floats, own: Floats) -> float:
    """NMAD of errors over their expected size, the survey's own error `own` folded in."""
    return nmad(error / np.hypot(sigma, own))


def compared(table: pd.DataFrame, what: Quantity) -> tuple[Floats, Floats, Floats]:
    """Value, its error, and the catalogue's value of a property, [n] each; NaN where one is not known."""
    value, low, high = (table[what.name + end].to_numpy() for end in ("", "_low", "_high"))
    if what.name == "gas_metallicity":
        value, low, high = (SUN + np.log10(x) for x in (value, low, high))
    catalogue = table[what.column].to_numpy()
    if what.name == "velocity_dispersion":
        value, low, high, catalogue = (np.log10(np.maximum(x, 1.0)) for x in (value, low, high, catalogue))
    if what.scaled:
        value = value + 0.4 * (table["r_synthetic"] - table["r_total"]).to_numpy() + IMF_AND_H0
    if what.scaled == "colour":
        value = value - colour_gradient(table)
    return value, 0.5 * (high - low), catalogue


def colour_gradient(table: pd.DataFrame) -> Floats:
    """[n] log M/L_r of the fibre less that of the galaxy, from g - r (Bell et al. 2003, ApJS 149, 289, table 7)."""
    total = (column(table, "reco_gmag") - column(table, "reco_rmag")).to_numpy()
    from_flux = [
        -2.5 * np.log10(column(table, f"{source}_g{end}") / column(table, f"{source}_r{end}")).to_numpy()
        for source, end in FLUXES
    ]
    total = np.where(np.isfinite(total), total, from_flux[0])
    return np.asarray(1.097 * (from_flux[1] - total))


def column(table: pd.DataFrame, name: str) -> pd.Series:
    """A column, NaN where the table has none of that name."""
    return table[name] if name in table else pd.Series(np.nan, index=table.index)


def with_halpha(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the SFR in the fibre that H-alpha says, where both Balmer lines are well measured.

    log SFR = log L - 41.27 (Kennicutt & Evans 2012, ARA&A 50, 531, table 1), dust from H-alpha / H-beta = 2.86 with the
    Milky Way's curve; galaxies that are star-forming in the BPT diagram. The catalogue's lines are not corrected for
    stellar absorption: their ratio falls with the equivalent width of H-beta. Both get `ABSORPTION` (Hopkins et al.
    2003, ApJ 599, 971, take 1.3 angstrom for H-alpha, others 1 to 2).
    """
    if not set(table) >= HALPHA_COLUMNS:
        return table
    sound = (table["Halpha_flux"] / table["Halpha_err"] > LINE_SNR) & (
        table["Hbeta_flux"] / table["Hbeta_err"] > LINE_SNR
    )
    sound &= table["bpt_sf"] == True  # noqa: E712 (the column has gaps)
    halpha, hbeta = (table[f"{line}_flux"] * (1 + ABSORPTION / table[f"{line}_ew"]) for line in ("Halpha", "Hbeta"))
    ratio = (halpha / hbeta).where(sound)
    ebv = np.clip(2.5 / (3.61 - 2.53) * np.log10(ratio / 2.86), 0.0, None)
    redshift = torch.as_tensor(table["z"].clip(lower=1e-4).to_numpy(copy=True))
    distance = Cosmology.default().luminosity_distance_cm(redshift).numpy()
    flux = np.log10(halpha.where(sound) * 1e-17)
    light = flux + np.log10(4 * np.pi) + 2 * np.log10(distance) + 0.4 * 2.53 * ebv
    rate = light - 41.27
    return table.copy().assign(halpha_log_sfr=rate, halpha_log_sfr_low=rate - 0.2, halpha_log_sfr_high=rate + 0.2)


def missing(table: pd.DataFrame, what: Quantity) -> list[str]:
    """Columns that a comparison needs and the table has not."""
    needed = [what.column, what.name]
    needed += ["r_total"] if what.scaled else []
    needed += ["Halpha_flux", "Halpha_err"] if what.name == "log_sfr" else []
    if what.scaled == "colour":
        needed += ["fibspec_flux_g_nmgy", "fibspec_flux_r_nmgy"]
        pairs = ("reco_gmag", "reco_rmag"), ("nsa_nmgy_g", "nsa_nmgy_r")
        needed += [] if any(set(pair) <= set(table) for pair in pairs) else ["reco_gmag or nsa_nmgy_g"]
    return [column for column in needed if column not in table]


def usable(table: pd.DataFrame, what: Quantity) -> Mask:
    """Galaxies with a value of a property on both sides; for SFR those with emission lines."""
    value, _, catalogue = compared(table, what)
    keep = narrow_galaxies(table) & np.isfinite(value) & np.isfinite(catalogue)
    if what.name == "log_sfr":
        keep &= (table["Halpha_flux"] / table["Halpha_err"] > LINE_SNR).to_numpy()
    if what.name == "velocity_dispersion":
        keep &= table[what.column].between(*DISPERSIONS).to_numpy()
    return np.asarray(keep)


def rank_correlation(x: Floats, y: Floats) -> float:
    """Spearman's."""
    return float(spearmanr(x, y).statistic) if len(x) > 2 else np.nan
