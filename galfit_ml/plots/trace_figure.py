"""The sampler's trace: every step of the walkers for one spectrum, with what tells whether they have settled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import GalfitMLError, SpectrumError
from galfit_ml.plots.canvas import DATA, EDGE, FILL, MODEL, axis_label, new_figure, one_row, own_style, row_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from galfit_ml.companions import Trace
    from galfit_ml.posterior import Posterior

Floats = NDArray[Any]

DIAGNOSTICS = {
    "acceptance": "acceptance {:.2f}",
    "autocorrelation": "autocorrelation {:.0f} steps",
    "effective_samples": "effective samples {:.0f}",
    "split_rhat": r"split $\hat{{R}}$ {:.3f}",
}
"""What the title gives of `Posterior.diagnostics`, where it is there."""

ROW_HEIGHT = 0.95

PALE = "#f0c4bd"
"""Fills the histogram of the ln density."""


@dataclass(frozen=True, eq=False)
class _Panel:
    """What one row of the figure shows: `label` and [n_steps, n_walkers] values."""

    label: str
    values: Floats
    colour: str = EDGE


def trace(posterior: Posterior, index: int = 0, names: tuple[str, ...] | None = None) -> Figure:
    """Steps of the sampler's walkers for spectrum `index`: parameters and, at the bottom, the ln density.

    Thin lines are walkers, the dark line is the median over them at each step. At the right stand all steps (filled)
    and the first and second half of them (lines): where the two differ, the walkers had not settled.

    Args:
        names: parameters to show, in order; None for all of them.

    Raises:
        GalfitMLError: the backend gave no trace.
        UnknownNameError: a parameter of that name does not exist.
        SpectrumError: this spectrum has no result, or no trace.
    """
    row = one_row(posterior, index)
    if row.trace is None:
        backend = row.provenance.get("backend", "that made it")
        raise GalfitMLError(
            f"This posterior holds no trace of a sampler: backend {backend} gives none, or an option left it out. "
            "Estimate with backend='emcee' for it: estimate(spectrum, backend='emcee').plot_trace()."
        )
    chosen = row.parameters.select(*dict.fromkeys(names)).names if names else row.parameters.names
    panels, left_out = _panels(row, row.trace, chosen)
    with own_style():
        return _trace_figure(row, panels, left_out)


def _panels(row: Posterior, trace: Trace, names: tuple[str, ...]) -> tuple[list[_Panel], list[str]]:
    """What is shown, the ln density last, and the names of what does not vary or is not given."""
    density = trace.log_density[0]
    ran = np.isfinite(density)
    steps, walkers = ran.any(axis=1), ran.any(axis=0)
    if not steps.any():
        raise SpectrumError(f"{row.ids[0]} has no trace to plot: the sampler took no step that was kept.")
    panels, left_out = [], []
    for name in names:
        every = getattr(trace, "values")[0, :, :, row.parameters.index(name)][steps][:, walkers]  # noqa: B009
        finite = every[np.isfinite(every)]
        if finite.size and np.ptp(finite) > 0:
            panels.append(_Panel(axis_label(row.parameters[name]), every))
        else:
            left_out.append(f"{name} {'fixed' if finite.size else 'not given'}")
    return [*panels, _Panel("ln density", density[steps][:, walkers], MODEL)], left_out


def _trace_figure(row: Posterior, panels: list[_Panel], left_out: list[str]) -> Figure:
    n = len(panels)
    height = ROW_HEIGHT * n + 1.25
    figure = new_figure(10.0, height)
    axes = figure.subplots(n, 2, squeeze=False, width_ratios=[6.2, 1], sharey="row")
    edges: dict[str, float] = {"left": 0.068, "right": 0.985, "bottom": 0.5 / height, "top": 1 - 0.72 / height}
    figure.subplots_adjust(**edges, hspace=0.09, wspace=0.02)
    for k, panel in enumerate(panels):
        _draw_walkers(axes[k, 0], panel)
        _draw_marginal(axes[k, 1], panel)
        _dress(axes[k], panel, last=k == n - 1)
    told = _told(row)
    row_title(figure, row, told, left=0.068)
    axes[0, 1].set_title("half: 1st – –  2nd —", fontsize=7.5, color=DATA, pad=3)
    if left_out:
        figure.text(0.985, 0.1 / height, ", ".join(left_out), fontsize=8, color=DATA, ha="right", va="bottom")
    return figure


def _told(row: Posterior) -> list[str]:
    """The diagnostics that are known, and the count of steps and walkers."""
    assert row.trace is not None
    ran = np.isfinite(row.trace.log_density[0])
    known = {name: float(row.diagnostics[name][0]) for name in DIAGNOSTICS if name in row.diagnostics}
    told = [DIAGNOSTICS[name].format(value) for name, value in known.items() if np.isfinite(value)]
    return [f"{ran.any(axis=1).sum()} steps of {ran.any(axis=0).sum()} walkers shown", *told]


def _draw_walkers(axes: Axes, panel: _Panel) -> None:
    steps = np.arange(1, len(panel.values) + 1)
    faint = float(np.clip(8.0 / panel.values.shape[1], 0.08, 0.5))
    axes.plot(steps, panel.values, color=panel.colour, linewidth=0.4, alpha=faint, rasterized=True)
    axes.plot(steps, np.nanmedian(panel.values, axis=1), color=DATA, linewidth=0.9)
    axes.set_xlim(1, max(2, len(steps)))
    axes.set_ylim(*_range(panel.values))


def _range(values: Floats) -> tuple[float, float]:
    """Limits that hold nearly all steps: of walkers that start far off only the way in is cut."""
    finite = values[np.isfinite(values)]
    settled = values[len(values) // 4 :]
    low, high = np.percentile(settled[np.isfinite(settled)] if np.isfinite(settled).any() else finite, [0.1, 99.9])
    pad = 0.22 * (high - low) or 1.0
    return float(low - pad), float(high + pad)


def _draw_marginal(axes: Axes, panel: _Panel) -> None:
    low, high = _range(panel.values)
    half = len(panel.values) // 2
    filled = {"color": FILL if panel.colour == EDGE else PALE}
    outline = {"histtype": "step", "color": panel.colour, "linewidth": 0.8}
    first, second = {**outline, "linestyle": (0, (3, 2))}, outline
    bars = int(np.clip(np.sqrt(panel.values.size) / 2, 8, 36))
    parts = ((panel.values, filled), (panel.values[:half], first), (panel.values[half:], second))
    for values, style in parts:
        inside = values[(values >= low) & (values <= high)]
        if inside.size:
            axes.hist(inside, bins=bars, range=(low, high), orientation="horizontal", density=True, **style)


def _dress(pair: NDArray[Any], panel: _Panel, last: bool) -> None:
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    steps, marginal = pair
    steps.yaxis.set_major_locator(MaxNLocator(3, prune="both"))
    steps.yaxis.set_major_formatter(ScalarFormatter(useOffset=False))
    steps.tick_params(direction="in", labelsize=8, labelbottom=last, right=True)
    box: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
    steps.text(0.007, 0.93, panel.label, transform=steps.transAxes, fontsize=9, va="top", bbox=box)
    marginal.tick_params(direction="in", left=False, labelleft=False, bottom=False, labelbottom=False)
    if last:
        steps.set_xlabel("step", loc="left")
