"""Tables of answers to real spectra, as lines of Markdown."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from benchmarks.network.tables import header, row
from benchmarks.real.scores import (
    QUANTITIES,
    ZERO_POINT,
    compared,
    missing,
    narrow_galaxies,
    pull_width,
    rank_correlation,
    usable,
    warned,
    wilson,
    with_halpha,
)
from galfit_ml.benchmark.metrics import nmad
from galfit_ml.grid import SPEED_OF_LIGHT_KMS
from galfit_ml.summary import flag_names

LIMITS = {"sdss_cosmicds": 0.001}
"""|z - z_true| / (1 + z_true) within which a redshift is right; 0.003 for sets that are not named."""


def limit_of(name: str) -> float:
    """See `LIMITS`."""
    return LIMITS.get(name, 0.003)


def redshifts(table: pd.DataFrame) -> list[str]:
    """Redshifts of galaxies, by set."""
    lines = header(
        "galaxies without broad lines", "n", "limit", "within", "95 %", "misses", "NMAD", "bias, km/s", "pull"
    )
    for name, own in table.groupby("set", sort=False):
        for label, keep in (("all", own["z"] > -1), ("ZWARNING 0", own["zwarn"] == 0)):
            rows = own[narrow_galaxies(own) & keep.to_numpy()]
            if len(rows):
                lines.append(row(f"{name}, {label}", *_redshift_cells(rows, limit_of(str(name)))))
    return lines


def _redshift_cells(rows: pd.DataFrame, limit: float) -> Iterator[str]:
    error = rows["z_error"].to_numpy()
    inside = np.abs(error) < limit
    low, high = wilson(int(inside.sum()), len(rows))
    own = np.hypot(rows["zerr"].to_numpy() / (1 + rows["z"].to_numpy()), ZERO_POINT)
    yield from (str(len(rows)), f"{limit:g}", f"{100 * inside.mean():.2f} %", f"{100 * low:.1f}-{100 * high:.1f} %")
    known = error[np.isfinite(error)]
    yield from (str(int((~inside).sum())), f"{nmad(known):.1e}", f"{SPEED_OF_LIGHT_KMS * np.median(known):+.1f}")
    yield f"{pull_width(error[inside], rows['z_sigma'].to_numpy()[inside], own[inside]):.2f}"


def misses(table: pd.DataFrame) -> list[str]:
    """Every redshift of a galaxy beyond its limit."""
    lines = header("spectrum", "set", "z", "found", "probability", "S/N", "ZWARNING", "flags")
    beyond = ~(np.abs(table["z_error"]) < table["set"].map(limit_of))
    for _, one in table[narrow_galaxies(table) & beyond.to_numpy()].iterrows():
        found = f"{one['redshift_1']:.4f}"
        told = (f"{one['redshift_probability_1']:.2f}", f"{one['signal_to_noise']:.1f}", one["zwarn"])
        lines.append(
            row(one["id"], one["set"], f"{one['z']:.4f}", found, *told, flag_names(one["flags"]).replace("|", ", "))
        )
    return lines


def flagged(table: pd.DataFrame) -> list[str]:
    """Shares with a warning, by what the survey says they are."""
    lines = header("set", "class", "n", "with a warning", "95 %", "OUT_OF_DISTRIBUTION")
    for name, own in table.groupby("set", sort=False):
        kinds = {f"{kind.lower()}": own["class"] == kind for kind in own["class"].unique()}
        kinds["galaxy, ZWARNING 0"] = (own["class"] == "GALAXY") & (own["zwarn"] == 0)
        if "star" in kinds:
            kinds["stars and quasars"] = own["class"].isin(["STAR", "QSO"])
        lines += [row(name, kind, *_flag_cells(own[keep])) for kind, keep in kinds.items()]
    return lines


def _flag_cells(rows: pd.DataFrame) -> Iterator[str]:
    hits = warned(rows)
    low, high = wilson(int(hits.sum()), len(rows))
    yield from (str(len(rows)), f"{int(hits.sum())} = {100 * hits.mean():.1f} %", f"{100 * low:.1f}-{100 * high:.1f} %")
    yield str(sum("OUT_OF_DISTRIBUTION" in flag_names(bits) for bits in rows["flags"]))


def properties(table: pd.DataFrame) -> list[str]:
    """Properties beside catalogues."""
    lines = header("", "galaxies", "n", "bias", "NMAD", "rank correlation", "own error", "pull", "in 68 %", "in 95 %")
    table = with_halpha(table)
    for what in QUANTITIES:
        lacking = missing(table, what)
        if lacking:
            lines.append(row(what.label, f"no column {', '.join(lacking)}", *[""] * 8))
            continue
        good = table[usable(table, what)]
        kinds = {"all": good["z"] > -1, **{kind: good["type"] == kind for kind in ("E", "Sp", "Irr") if "type" in good}}
        for label, keep in kinds.items():
            if keep.sum() >= 5:
                value, sigma, catalogue = (x[keep.to_numpy()] for x in compared(good, what))
                error = value - catalogue
                expected = np.hypot(sigma, what.error)
                inside = [f"{100 * np.mean(np.abs(error) < k * expected):.0f} %" for k in (1.0, 1.96)]
                cells = f"{np.median(error):+.3f}", f"{nmad(error):.3f}", f"{rank_correlation(value, catalogue):.2f}"
                pull = f"{nmad(error / expected):.2f}"
                lines.append(row(what.label, label, len(error), *cells, f"{np.median(sigma):.3f}", pull, *inside))
    return lines
