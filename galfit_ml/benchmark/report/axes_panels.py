"""Single panels of the figures for papers, drawn on axes that are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.benchmark.report.colours import MATPLOTLIB, Look
from galfit_ml.benchmark.report.curves import Curve, overall
from galfit_ml.benchmark.report.wording import axis_label, metric, parameter_word
from galfit_ml.plots.canvas import DATA, FAINT

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Looks = Mapping[str, Look]
LEVELS = (50, 68, 90, 95)
RATIO_TICKS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0)
DECADES = (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5)


def _style(look: Look) -> dict[str, Any]:
    return {
        "color": look.colour,
        "marker": MATPLOTLIB[look.marker],
        "linestyle": MATPLOTLIB[look.dash],
        "label": look.name,
        "linewidth": 1.3,
        "markersize": 4.5,
    }


def _dress(axes: Axes, x: str, y: str, title: str = "") -> None:
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.set_title(title, fontsize=10, parse_math=False)
    axes.tick_params(which="both", direction="in", labelsize=8, color=DATA)
    axes.grid(True, axis="y", color=FAINT, alpha=0.4, linewidth=0.5)
    axes.set_axisbelow(True)


def _error(curve: Curve) -> NDArray[np.float64]:
    return np.nan_to_num(curve.error)


def binned_panel(axes: Axes, own: Sequence[Curve], looks: Looks, axis: str, what: tuple[str, str]) -> None:
    """A metric against the bins of an axis, the backends beside each other; `what` is metric and parameter."""
    described = metric(what[0])
    ends = {(low, high, text) for c in own for low, high, text in zip(c.low, c.high, c.labels, strict=True)}
    labels = [text for _, _, text in sorted(ends)] if np.isfinite(own[0].low).all() else list(own[0].labels)
    for k, curve in enumerate(own):
        x = np.array([labels.index(text) for text in curve.labels if text in labels], dtype=np.float64)
        shown = np.isin(curve.labels, labels)
        x += (k - (len(own) - 1) / 2) * 0.09
        axes.errorbar(x, curve.value[shown], _error(curve)[shown], **_style(looks[curve.backend]))
    axes.set_xticks(range(len(labels)), labels)
    if described.log:
        axes.set_yscale("log")
    elif what[0] in {"success", "outliers"}:
        axes.set_ylim(bottom=0)
    _dress(axes, axis_label(axis), f"{described.title}, {parameter_word(what[1])}")


def ratio_panel(axes: Axes, own: Sequence[Curve], looks: Looks, axis: str, title: str) -> None:
    """A score over the baseline's against the bins of an axis, on a logarithmic scale; below the line it is better."""
    binned_panel(axes, own, looks, axis, ("", ""))
    axes.axhline(1, color=DATA, linewidth=0.8)
    ends = np.array([edge for c in own for edge in (*(c.value - _error(c)), *(c.value + _error(c)))])
    low, high = (float(np.nanmin(ends[ends > 0])), float(np.nanmax(ends))) if (ends > 0).any() else (1.0, 1.0)
    axes.set_yscale("log")
    axes.set_ylim(min(0.9 * low, 0.8), max(1.1 * high, 1.25))
    bottom, top = axes.get_ylim()
    many = top > 30 * bottom
    ticks = [tick for tick in (DECADES if many else RATIO_TICKS) if bottom <= tick <= top]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([], minor=True)
    _dress(axes, axis_label(axis), "", title)


def coverage_panel(axes: Axes, rows: pd.DataFrame, looks: Looks, parameter: str) -> None:
    """Coverage less its level, in percentage points, at every level."""
    found: dict[str, list[tuple[int, float, float]]] = {}
    for level in LEVELS:
        for v in overall(rows, f"coverage_{level}", parameter):
            found.setdefault(v.backend, []).append((level, 100 * v.value - level, 100 * v.error))
    for k, (name, triples) in enumerate(found.items()):
        level, away, error = np.array(triples, dtype=np.float64).T
        x = np.searchsorted(LEVELS, level) + (k - (len(found) - 1) / 2) * 0.09
        axes.errorbar(x, away, np.nan_to_num(error), **_style(looks[name]))
    axes.axhline(0, color=DATA, linewidth=0.8)
    axes.set_xticks(range(len(LEVELS)), [f"{level} %" for level in LEVELS])
    _dress(axes, "stated interval", "coverage − level, points", parameter_word(parameter))


def pit_panel(axes: Axes, own: Sequence[Curve], looks: Looks, parameter: str) -> None:
    """Histogram of the PIT; the grey band is the standard error of a bin of a calibrated backend."""
    for curve in own:
        look = looks[curve.backend]
        edges = np.append(curve.low, curve.high[-1])
        axes.stairs(curve.value, edges, color=look.colour, linestyle=MATPLOTLIB[look.dash], label=look.name, lw=1.3)
    if own:
        spread = float(np.nanmax([np.nanmean(_error(curve)) for curve in own]))
        axes.axhspan(1 - spread, 1 + spread, color=FAINT, alpha=0.5, lw=0)
    axes.axhline(1, color=DATA, linewidth=0.8)
    axes.set_ylim(bottom=0)
    _dress(axes, "PIT", "density", parameter_word(parameter))


def retention_panel(axes: Axes, own: Sequence[Curve], looks: Looks) -> None:
    """Success against the share that is kept."""
    for curve in own:
        look = looks[curve.backend]
        axes.plot(curve.low, curve.value, **_style(look))
        axes.fill_between(
            curve.low, curve.value - _error(curve), curve.value + _error(curve), color=look.colour, alpha=0.18, lw=0
        )
    _dress(axes, "share kept, the most certain first", "redshift success")


def speed_panel(axes: Axes, own: Sequence[Curve], looks: Looks) -> None:
    """Spectra per second against the batch."""
    for curve in own:
        axes.errorbar(curve.low, curve.value, _error(curve), **_style(looks[curve.backend]))
    axes.set_xscale("log")
    axes.set_yscale("log")
    _dress(axes, axis_label("batch"), "spectra per second")


def estimate_panel(
    axes: Axes,
    pair: tuple[NDArray[np.float64], NDArray[np.float64]],
    ends: NDArray[np.float64],
    label: tuple[str, Look],
) -> None:
    """True against estimated values [n], between the ends (low, high); `label` is the parameter and the backend."""
    name, look = label
    pad = 0.03 * (ends[1] - ends[0]) or 0.1
    axes.scatter(*pair, s=3, color=look.colour, alpha=0.35, linewidths=0, rasterized=True)
    axes.axline((ends[0], ends[0]), slope=1, color=DATA, linewidth=0.8)
    axes.set_xlim(ends[0] - pad, ends[1] + pad)
    axes.set_ylim(ends[0] - pad, ends[1] + pad)
    _dress(axes, f"true {name}", f"estimated {name}", look.name)
