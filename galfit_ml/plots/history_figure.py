"""When a galaxy formed its stars: the star-formation rate and the mass formed, against lookback time."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import GalfitMLError, SpectrumError
from galfit_ml.plots.canvas import (
    BAND,
    DATA,
    EDGE,
    FILL,
    MASKED,
    MODEL,
    new_figure,
    one_row,
    own_style,
    row_title,
    titled_values,
    value_with_errors,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from galfit_ml.companions import StarFormationHistories
    from galfit_ml.posterior import Posterior

Floats = NDArray[np.float64]

GYR = 1e9
PROBABILITIES = [0.05, 0.16, 0.5, 0.84, 0.95]
"""Edges of the 90 and 68 per cent bands about the median."""

DEPTH = 3e3
"""The star-formation rate is shown down to its highest value over this."""

PALE = "#d3e3ee"


def history(posterior: Posterior, index: int = 0) -> Figure:
    """Star-formation rate and formed mass of spectrum `index` against lookback time.

    Lines are medians over the draws, bands hold 68 and 90 % of them; the second panel marks when half of all stars had
    formed (t50). Lookback times count from the galaxy's own time, at its redshift; a bin that begins at 0 is drawn from
    a third of its upper edge.

    Raises:
        GalfitMLError: the backend gave no histories.
        SpectrumError: this spectrum has no result, or no history.
    """
    row = one_row(posterior, index)
    if row.histories is None:
        backend = row.provenance.get("backend", "that made it")
        raise GalfitMLError(
            f"This posterior holds no star-formation histories: backend {backend} gives none, or an option left them "
            "out. Estimate with backend='emcee' for them: estimate(spectrum, backend='emcee').plot_history()."
        )
    if not row.histories.known[0]:
        raise SpectrumError(
            f"{row.ids[0]} has no star-formation history to plot: its flux is relative, so that its mass is not known "
            "(flag RELATIVE_FLUX). Give fluxes with a unit, such as erg / (s cm2 AA), and estimate again."
        )
    with own_style():
        return _history_figure(row, row.histories)


def _history_figure(row: Posterior, histories: StarFormationHistories) -> Figure:
    figure = new_figure(8.0, 6.4)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[1.35, 1])
    figure.subplots_adjust(left=0.1, right=0.975, bottom=0.095, top=0.885, hspace=0.05)
    age = _age_of_universe(float(np.median(row["redshift"][0]))) if "redshift" in row.parameters else np.nan
    edges = _drawn_edges(histories, age)
    _draw_rate(top, edges, histories.quantile(PROBABILITIES)[0])
    half = histories.time_of_fraction(0.5)[0] / GYR
    _draw_formed(bottom, edges, _formed_between(histories, edges * GYR))
    _mark_half(bottom, np.nanquantile(half, PROBABILITIES) if np.isfinite(half).any() else None)
    _dress(top, bottom, edges, age / GYR)
    names = ("redshift", "log_stellar_mass", "log_sfr")
    row_title(figure, row, titled_values(row, names), left=0.1)
    top.legend(fontsize=8.5, frameon=False, loc="upper left", ncols=3, columnspacing=1.4, handlelength=1.6)
    return figure


def _age_of_universe(redshift: float) -> float:
    """Years, from the table that the galaxy model uses (Planck 2018); NaN where it has no such redshift."""
    path = resources.files("galfit_ml") / "data" / "cosmology_planck18.npz"
    with path.open("rb") as file, np.load(file, allow_pickle=False) as table:
        nodes, ages = np.log1p(table["redshift"]), np.log(table["age"])
    return float(np.exp(np.interp(np.log1p(redshift), nodes, ages, left=np.nan, right=np.nan)))


def _drawn_edges(histories: StarFormationHistories, age: float) -> Floats:
    """Edges of the bins in Gyr for a logarithmic axis: none at 0, none older than the Universe."""
    edges = histories.lookback.copy()
    if edges[0] == 0:
        edges[0] = edges[1] / 3
    return np.minimum(edges, age if age > edges[0] else np.inf) / GYR


def _draw_rate(axes: Axes, edges: Floats, bands: Floats) -> None:
    """Quantiles [n_bin, 5] as steps; bins of no width or without a value are left out."""
    use = np.isfinite(bands).all(axis=1) & (np.diff(edges) > 0)
    high = float(np.max(bands[use], initial=1e-30))
    floor = max(float(np.min(bands[use][bands[use] > 0], initial=high)) / 2, high / DEPTH)
    shown = np.where(use[:, None], np.maximum(bands, floor / 10), np.nan)
    for low, up, colour, label in ((0, 4, PALE, "90 %"), (1, 3, FILL, "68 %")):
        axes.stairs(shown[:, up], edges, baseline=shown[:, low], fill=True, color=colour, linewidth=0, label=label)
    axes.stairs(shown[:, 2], edges, baseline=None, color=EDGE, linewidth=1.6, label="median")
    axes.set_yscale("log")
    axes.set_ylim(floor, high * 4)
    axes.set_ylabel(r"star-formation rate  [$\mathrm{M}_\odot\,\mathrm{yr}^{-1}$]")


def _formed_between(histories: StarFormationHistories, edges: Floats) -> tuple[Floats, Floats]:
    """Times [k], Gyr, and the quantiles [5, k] of the share of mass formed by then; straight in time within a bin."""
    last = edges[np.isfinite(histories.sfr[0]).any(axis=0).nonzero()[0][-1] + 1]
    times = np.geomspace(edges[0], last, 400)
    formed = histories.formed_fraction()[0]
    formed = formed[np.isfinite(formed[:, 0])]
    if not len(formed):
        return times / GYR, np.full((len(PROBABILITIES), len(times)), np.nan)
    bins = np.clip(np.searchsorted(histories.lookback, times, side="right") - 1, 0, len(histories.lookback) - 2)
    share = (times - histories.lookback[bins]) / np.diff(histories.lookback)[bins]
    between = formed[:, bins] * (1 - share) + formed[:, bins + 1] * share
    return times / GYR, np.quantile(between, PROBABILITIES, axis=0)


def _draw_formed(axes: Axes, edges: Floats, formed: tuple[Floats, Floats]) -> None:
    times, bands = formed
    for low, up, colour in ((0, 4, PALE), (1, 3, FILL)):
        axes.fill_between(times, bands[low], bands[up], color=colour, linewidth=0)
    axes.plot(times, bands[2], color=EDGE, linewidth=1.6)
    axes.set_ylim(0, 1.04)
    axes.set_xlim(edges[0], times[-1])
    axes.set_ylabel("share of all stars formed")
    axes.set_xlabel("lookback time from the galaxy  [Gyr]", loc="left")


def _mark_half(axes: Axes, quantiles: Floats | None) -> None:
    """t50 with its 68 % interval."""
    if quantiles is None:
        return
    low, middle, high = quantiles[1:4]
    error = [[middle - low], [high - middle]]
    style: dict[str, Any] = {"color": MODEL, "markersize": 5, "capsize": 3, "linewidth": 1.2}
    axes.axhline(0.5, color=BAND, linewidth=0.8, zorder=0)
    axes.errorbar([middle], [0.5], xerr=error, fmt="o", **style)
    axes.plot([middle, middle], [0, 0.5], color=MODEL, linewidth=0.9, linestyle=(0, (4, 3)))
    text = rf"$t_{{50}}$ = {value_with_errors(low, middle, high)} Gyr"
    left, right = axes.get_xlim()
    place, shift, side = (low, -8, "right") if low > np.sqrt(left * right) else (high, 8, "left")
    told: dict[str, Any] = {"textcoords": "offset points", "ha": side, "va": "top"}
    axes.annotate(text, (place, 0.5), (shift, -4), color=MODEL, fontsize=10, **told)


def _dress(top: Axes, bottom: Axes, edges: Floats, age: float) -> None:
    """Ticks, and what is older than the Universe."""
    from matplotlib.ticker import StrMethodFormatter

    bottom.set_xscale("log")
    known = np.isfinite(age)
    bottom.set_xlim(edges[0], 1.35 * age if known else bottom.get_xlim()[1])
    for axes in (top, bottom):
        axes.tick_params(which="both", direction="in", right=True, top=True, labelsize=9)
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        if known:
            axes.axvspan(age, 2 * age, color=MASKED, linewidth=0, zorder=0)
            axes.axvline(age, color=DATA, linewidth=0.9, linestyle=":")
    top.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    if known:
        place: dict[str, Any] = {"xycoords": top.get_xaxis_transform(), "textcoords": "offset points"}
        note = f"age of the Universe: {age:.1f} Gyr"
        top.annotate(note, (age, 0.975), (-6, 0), ha="right", va="top", fontsize=8.5, color=DATA, **place)
