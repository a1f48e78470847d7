"""Tables of what was measured, as lines of Markdown; every share with its error."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from benchmarks.limits.tables import QUIESCENT, STAR_FORMING, share_and_error
from galfit_ml.benchmark.metrics import half_width, ks_distance, nmad
from galfit_ml.parameters import GALAXY

Table = Mapping[str, NDArray[Any]]
Mask = NDArray[np.bool_]

LEVELS = (0.68, 0.90, 0.95)
SNR_EDGES = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 1e9)
CLASSES = {"star-forming": lambda t: t["log_ssfr"] > STAR_FORMING, "quiescent": lambda t: t["log_ssfr"] < QUIESCENT}


def offset(table: Table) -> NDArray[np.float64]:
    """[n] (z - z_true) / (1 + z_true) of the best redshift solution."""
    truth = np.asarray(table["true_redshift"])
    return np.asarray((table["redshift_1"] - truth) / (1 + truth))


def right(table: Table, tolerance: float = 0.0033) -> Mask:
    """[n] whether the best redshift is right within tolerance (1 + z)."""
    return np.asarray(np.abs(offset(table)) < tolerance)


def share(hits: Mask) -> str:
    """Share and its error, that of Jeffreys' posterior."""
    return "{:.3f} ± {:.3f}".format(*share_and_error(hits)) if len(hits) else "-"


def header(*names: str) -> list[str]:
    """The first two lines of a table, all columns but the first to the right."""
    return [f"| {' | '.join(names)} |", f"|---|{'--:|' * (len(names) - 1)}"]


def row(*cells: Any) -> str:
    """A line of a table."""
    return f"| {' | '.join(str(c) for c in cells)} |"


def by_snr(table: Table, edges: Sequence[float] = SNR_EDGES) -> Iterator[tuple[str, Mask]]:
    """Bins of measured signal-to-noise that hold anything."""
    snr = table["signal_to_noise"]
    for low, high in itertools.pairwise(edges):
        inside = (snr >= low if low > 0 else snr < high) & (snr < high)
        if inside.any():
            yield (f"< {high:g}" if low <= 0 else f"> {low:g}" if high > 1e6 else f"{low:g}-{high:g}"), inside


def redshift_table(table: Table) -> list[str]:
    """Success, scatter, bias and pull width of the redshift by signal-to-noise and class.

    The pull is the normal quantile of the level of the truth, of redshifts that are right and have no other solution.
    """
    lines = header("class", "S/N", "n", "right", "NMAD", "bias", "pull width", "mean quality")
    for kind, choose in CLASSES.items():
        for label, inside in by_snr(table):
            rows = inside & choose(table)
            good = rows & right(table)
            if rows.sum() < 20:
                continue
            dz = offset(table)[good]
            level = table["level_redshift"][good & (table["redshift_probability_1"] > 0.99)]
            pull = ndtri(np.clip(level, 1e-4, 1 - 1e-4))
            told = table["redshift_quality"][rows].mean() if "redshift_quality" in table else np.nan
            cells = f"{nmad(dz):.1e}", f"{np.median(dz):+.1e}", f"{half_width(pull):.2f}", f"{told:.3f}"
            lines.append(row(kind, label, rows.sum(), share(right(table)[rows]), *cells))
    return lines


def property_table(table: Table, name: str) -> list[str]:
    """Bias and scatter of the median of one property where the redshift is right, its claimed error, and its CRPS."""
    lines = header("class", "S/N", "n", "bias", "scatter", "median claimed error", "CRPS")
    for kind, choose in CLASSES.items():
        for label, inside in by_snr(table):
            rows = inside & choose(table) & right(table)
            if rows.sum() < 20:
                continue
            dx = table[f"median_{name}"][rows] - table[f"true_{name}"][rows]
            claimed, score = np.median(table[f"sigma_{name}"][rows]), table[f"crps_{name}"][rows].mean()
            cells = f"{np.median(dx):+.3f}", f"{half_width(dx):.3f}", f"{claimed:.3f}", f"{score:.3f}"
            lines.append(row(kind, label, rows.sum(), *cells))
    return lines


def covered(level: NDArray[np.float64], wanted: float) -> NDArray[np.bool_]:
    """[n] whether equal-tailed intervals of a level hold the truth."""
    return np.asarray(np.abs(level - 0.5) < 0.5 * wanted)


def coverage_cells(level: NDArray[np.float64]) -> list[str]:
    """Coverage at each of `LEVELS`, in per cent."""
    known = level[np.isfinite(level)]
    n = max(len(known), 1)
    return [f"{100 * covered(known, p).mean():.1f} ± {100 * np.sqrt(p * (1 - p) / n):.1f}" for p in LEVELS]


def coverage_table(table: Table, rows: Mask | None = None) -> list[str]:
    """Coverage of every parameter, pooled, with the least and largest in bins of signal-to-noise (n >= 300)."""
    inside = np.ones(len(table["flags"]), dtype=bool) if rows is None else rows
    lines = header("parameter", "n", *(f"{100 * p:g} %" for p in LEVELS), "worst S/N bin: off by", "of error")
    for name in GALAXY.names:
        level = table[f"level_{name}"]
        worst, error = worst_bin(table, level, inside)
        lines.append(row(name, inside.sum(), *coverage_cells(level[inside]), f"{worst:+.1f}", f"{error:.1f}"))
    return lines


def worst_bin(table: Table, level: NDArray[np.float64], inside: Mask) -> tuple[float, float]:
    """Largest deviation beyond twice its error, over bins and levels, in per cent, and that error."""
    found = [(0.0, 1.0)]
    for _, rows in by_snr(table):
        own = level[rows & inside]
        if len(own) >= 300:
            found += [(100 * (covered(own, p).mean() - p), 100 * np.sqrt(p * (1 - p) / len(own))) for p in LEVELS]
    return max(found, key=lambda one: abs(one[0]) - 2 * one[1])


def pit_table(table: Table, plain: Table | None) -> list[str]:
    """Distance of the levels from uniform and mean CRPS, beside those of plain Monte Carlo dropout."""
    lines = header("parameter", "PIT: largest deviation", "CRPS", "plain: PIT", "plain: CRPS")
    for name in GALAXY.names:
        cells = []
        for one in (table, plain):
            if one is None:
                cells += ["-", "-"]
                continue
            cells += [f"{ks_distance(one[f'level_{name}']):.4f}", f"{np.nanmean(one[f'crps_{name}']):.4g}"]
        lines.append(row(name, *cells))
    levels = [f"{ks_distance(one['tarp']):.4f}" if one is not None else "-" for one in (table, plain)]
    lines.append(row("all together (TARP)", levels[0], "", levels[1], ""))
    return lines
