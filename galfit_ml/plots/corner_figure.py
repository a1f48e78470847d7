"""Corner plot: one- and two-dimensional marginals of one spectrum's draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import SpectrumError
from galfit_ml.plots.canvas import (
    DATA,
    EDGE,
    FILL,
    axis_label,
    new_figure,
    one_row,
    own_style,
    plain_text,
    shortened,
    value_with_errors,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from galfit_ml.parameters import Parameter
    from galfit_ml.posterior import Posterior

Floats = NDArray[np.float64]

TWO_SIGMA, ONE_SIGMA = 1 - np.exp(-2.0), 1 - np.exp(-0.5)
"""Probability inside the 2- and 1-sigma ellipses of a Gaussian in two dimensions: 86 and 39 per cent."""


def corner(posterior: Posterior, index: int = 0, names: tuple[str, ...] | None = None) -> Figure:
    """One- and two-dimensional marginals of the draws of spectrum `index`.

    Contours hold 39 and 86 % of the draws (1 and 2 sigma in two dimensions); lines and titles are the 16, 50 and 84 %
    quantiles. Parameters that are fixed or could not be given are named at the side.

    Args:
        names: parameters to show, in order; None for all of them.

    Raises:
        UnknownNameError: a parameter of that name does not exist.
        SpectrumError: this spectrum has no result, or no parameter of it varies.
    """
    row = one_row(posterior, index)
    chosen = row.parameters.select(*dict.fromkeys(names)) if names else row.parameters
    shown = [p for p in chosen if np.isfinite(row[p.name]).all() and np.ptp(row[p.name]) > 0]
    if not shown:
        raise SpectrumError(f"{row.ids[0]}: no parameter has two different finite draws, so there is nothing to plot.")
    with own_style():
        return _corner_figure(row, shown, [p for p in chosen if p not in shown])


def _corner_figure(row: Posterior, shown: list[Parameter], left_out: list[Parameter]) -> Figure:
    n = len(shown)
    side = 1.75 * n + 0.9
    figure = new_figure(side, side)
    axes = figure.subplots(n, n, squeeze=False)
    edge = 0.75 / side
    figure.subplots_adjust(left=edge, bottom=edge, right=1 - 0.25 / side, top=1 - 0.45 / side, wspace=0.06, hspace=0.06)
    for i, vertical in enumerate(shown):
        for j, horizontal in enumerate(shown):
            if j < i:
                _draw_pair(axes[i, j], row[horizontal.name][0], row[vertical.name][0])
            elif j == i:
                _draw_marginal(axes[i, i], row[vertical.name][0])
            _dress(axes, (i, j), horizontal, vertical)
    _corner_notes(figure, row, left_out, n)
    return figure


def _range(draws: Floats) -> tuple[float, float]:
    low, high = np.percentile(draws, [0.15, 99.85])
    low, high = (low, high) if high > low else (draws.min(), draws.max())
    pad = 0.15 * (high - low)
    return float(low - pad), float(high + pad)


def _draw_marginal(axes: Axes, draws: Floats) -> None:
    bins = int(np.clip(np.sqrt(len(draws)), 8, 40))
    axes.hist(draws, bins=bins, range=_range(draws), histtype="stepfilled", color=FILL, edgecolor=EDGE, linewidth=1.0)
    quantiles = np.quantile(draws, [0.16, 0.5, 0.84])
    for value, style in zip(quantiles, ("--", "-", "--"), strict=True):
        axes.axvline(value, color=EDGE, linestyle=style, linewidth=0.9)
    axes.set_title(value_with_errors(*quantiles), fontsize=10, pad=5)
    axes.set_ylim(bottom=0)


def _draw_pair(axes: Axes, x: Floats, y: Floats) -> None:
    from scipy.ndimage import gaussian_filter

    bins = int(np.clip(len(x) ** 0.45, 8, 60))
    ranges = [_range(x), _range(y)]
    height, x_edges, y_edges = np.histogram2d(x, y, bins=bins, range=ranges)
    smooth = gaussian_filter(height.T, 1.2, mode="constant")
    levels = _levels(smooth)
    axes.plot(x, y, ".", color=EDGE, markersize=1.2, alpha=0.25, markeredgewidth=0, rasterized=True)
    if np.all(np.diff(levels) > 0):
        grid = 0.5 * (x_edges[1:] + x_edges[:-1]), 0.5 * (y_edges[1:] + y_edges[:-1]), smooth
        axes.contourf(*grid, levels=levels, colors=["#c9deec", FILL])
        axes.contour(*grid, levels=levels[:2], colors=[EDGE], linewidths=0.9)
    axes.set_ylim(ranges[1])


def _levels(density: Floats) -> Floats:
    """Heights whose superlevel sets hold 86 and 39 % of `density`, then just above its maximum."""
    ordered = np.sort(density.ravel())[::-1]
    inside = np.cumsum(ordered) / ordered.sum()
    two, one = (ordered[np.searchsorted(inside, p)] for p in (TWO_SIGMA, ONE_SIGMA))
    return np.array([two, one, ordered[0] * 1.001])


def _dress(axes: NDArray[Any], place: tuple[int, int], horizontal: Parameter, vertical: Parameter) -> None:
    """Limits, ticks and labels of one panel; labels only at the outside."""
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    (i, j), n = place, len(axes)
    panel = axes[i, j]
    if j > i:
        panel.set_visible(False)
        return
    if i > j:
        panel.sharex(axes[j, j])
    for axis, label, shown in ((panel.xaxis, horizontal, i == n - 1), (panel.yaxis, vertical, j == 0 and i > 0)):
        axis.set_major_locator(MaxNLocator(4, prune="both"))
        axis.set_major_formatter(ScalarFormatter(useOffset=False))
        axis.set_tick_params(direction="in", labelsize=7.5, labelrotation=40, labelleft=shown, labelbottom=shown)
        if shown:
            axis.set_label_text(axis_label(label), fontsize=10)
            axis.set_label_coords(*((0.5, -0.3) if axis is panel.xaxis else (-0.28, 0.5)))
    if i == j:
        panel.set_yticks([])


def _corner_notes(figure: Figure, row: Posterior, left_out: list[Parameter], n: int) -> None:
    """Name of the spectrum and what is not shown, in the empty corner (above a lone panel)."""
    lines = [f"{row.provenance.get('backend', 'posterior')}, {row.n_draws} draws"]
    for parameter in left_out:
        value = row[parameter.name][0]
        lines.append(f"{parameter.name}: " + (f"{value[0]:g}, fixed" if np.isfinite(value).all() else "not given"))
    plain_text(
        figure, 0.985, 0.985, shortened(row.ids[0], 20 + 10 * n), fontsize=10, weight="bold", ha="right", va="top"
    )
    if n > 1:
        top = 0.985 - 0.22 / figure.get_figheight()
        plain_text(figure, 0.985, top, "\n".join(lines), fontsize=9, ha="right", va="top", color=DATA, linespacing=1.4)
