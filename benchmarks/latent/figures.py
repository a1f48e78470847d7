"""Pictures of the benchmark: the latent space, and the scores."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.latent.questions import EMBEDDING, Scored, own_rate
from benchmarks.network.measure import Table
from galfit_ml.latent import Projection
from galfit_ml.plots.canvas import DATA, FAINT, new_figure, own_style
from galfit_ml.plots.embedding_figure import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOG_SSFR = r"$\log_{10}(\mathrm{sSFR}/\mathrm{yr}^{-1})$"


def panels(table: Table) -> list[tuple[str, NDArray[Any]]]:
    """Titles and what the points are coloured by."""
    known: dict[str, Any] = {
        "class": table["class"],
        "network's median " + LOG_SSFR: own_rate(table),
        r"redshift": table["true_redshift"],
        r"network's median $\log_{10}(M_\star/\mathrm{M}_\odot)$": table["median_log_stellar_mass"],
        r"network's median $\log_{10}(t_\star/\mathrm{yr})$": table["median_log_age"],
        "signal-to-noise per pixel, log10": np.log10(np.clip(table["signal_to_noise"], 0.1, None)),
    }
    if "bulge_to_total_light" in table:
        known["bulge-to-total ratio of light"] = table["bulge_to_total_light"]
        known["network's median metallicity of the stars"] = table["median_log_metallicity"]
    return list(known.items())


def latent_figure(table: Table, projection: Projection) -> Figure:
    """The projection, a panel for each quantity."""
    shown = panels(table)
    wide = 3 if len(shown) <= 6 else 4
    with own_style():
        figure = new_figure(3.7 * wide, 3.25 * -(-len(shown) // wide))
        axes = figure.subplots(-(-len(shown) // wide), wide, squeeze=False, sharex=True, sharey=True)
        figure.set_layout_engine("constrained")
        for panel, (title, values) in zip(axes.flat, shown, strict=True):
            _panel(figure, panel, projection.coordinates, (title, values))
        for panel in axes[-1]:
            panel.set_xlabel(projection.names[0], fontsize=9)
        for panel in axes[:, 0]:
            panel.set_ylabel(projection.names[1], fontsize=9)
    return figure


def _panel(figure: Figure, axes: Axes, place: NDArray[np.float64], what: tuple[str, NDArray[Any]]) -> None:
    title, values = what
    order = np.random.default_rng(0).permutation(len(place))
    style: dict[str, Any] = {"s": float(np.clip(9000 / len(place), 2, 12)), "linewidths": 0, "rasterized": True}
    axes.set_title(title, fontsize=9.5)
    axes.tick_params(direction="in", labelsize=8)
    axes.grid(True, color=FAINT, alpha=0.35, linewidth=0.5)
    axes.set_axisbelow(True)
    if values.dtype.kind == "U":
        names, numbers = np.unique(values, return_counts=True)
        for name, shade in zip(names[np.argsort(-numbers)], PALETTE, strict=False):
            rows = values == name
            axes.scatter(
                place[rows, 0], place[rows, 1], color=shade, label=f"{name} ({rows.sum()})", alpha=0.6, **style
            )
        for handle in axes.legend(fontsize=7.5, frameon=False, loc="best").legend_handles:
            handle.set_sizes([18.0])  # type: ignore[union-attr]
        return
    low, high = np.nanpercentile(values, [2, 98])
    drawn = axes.scatter(place[order, 0], place[order, 1], c=values[order], vmin=low, vmax=high, **style)
    figure.colorbar(drawn, ax=axes, pad=0.01, fraction=0.05, extend="both").ax.tick_params(labelsize=7.5)


def score_figure(scored: Sequence[Scored]) -> Figure:
    """Scores with their errors, a panel for each comparison in two columns; the embedding's is marked throughout."""
    n_rows = -(-len(scored) // 2)
    tallest = [max(len(one.found.names) for one in scored[2 * i : 2 * i + 2]) for i in range(n_rows)]
    with own_style():
        figure = new_figure(11.0, sum(0.8 + 0.22 * n for n in tallest))
        figure.set_layout_engine("constrained")
        axes = figure.subplots(n_rows, 2, squeeze=False, gridspec_kw={"height_ratios": tallest})
        for panel, one in itertools.zip_longest(axes.flat, scored):
            if one is None:
                panel.set_visible(False)
            else:
                _scores(panel, one)
    return figure


def _scores(axes: Axes, one: Scored) -> None:
    """AUC as 1 - AUC, the share of pairs in the wrong order, on a logarithmic axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    found = one.found
    wrong = found.measure == "AUC"
    rows = np.arange(len(found.names))[::-1]
    axes.axvline(_shown(found[EMBEDDING][0], wrong), color=FAINT, linewidth=1.0, zorder=0)
    for place, name in zip(rows, found.names, strict=True):
        value, error = found[name]
        shade = PALETTE[0] if name == EMBEDDING else DATA
        own = _shown(value, wrong)
        reach = [[min(error, 0.9 * own) if wrong else error], [error]]
        axes.errorbar(own, place, xerr=reach, fmt="o", color=shade, markersize=5, capsize=2.5, linewidth=1.2)
    if wrong:
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        axes.xaxis.set_major_locator(LogLocator(10.0, subs=(1.0,) if high > 50 * low else (1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(rows, found.names, fontsize=8.5)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.tick_params(axis="x", which="both", direction="in", labelsize=8.5)
    axes.set_xlabel("1 − AUC" if wrong else "R²", fontsize=9)
    axes.set_title(one.title, fontsize=9.5)


def _shown(value: float, wrong: bool) -> float:
    return max(1.0 - value, 1e-6) if wrong else value
