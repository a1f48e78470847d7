"""What mattered: a spectrum at rest, coloured by how much each stretch of it counted, with the lines named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.features import BREAKS, FEATURES
from galfit_ml.parameters import GALAXY
from galfit_ml.plots.canvas import (
    ABSORPTION,
    DATA,
    EDGE,
    EMISSION,
    FAINT,
    FILL,
    new_figure,
    own_style,
    plain_text,
    shortened,
)
from galfit_ml.plots.line_marks import mark_features
from galfit_ml.saliency import Saliency

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from galfit_ml.posterior import Posterior

Floats = NDArray[np.float64]

NAMED = 6
"""Places of importance that the title names, at most."""


def saliency(posterior: Posterior, name: str = "redshift", index: int = 0) -> Figure:
    """Figure of one spectrum; see `Posterior.plot_saliency`."""
    found = posterior.saliency(name, index)
    row = posterior[int(index)]
    with own_style():
        return _figure(found, row.ids[0])


def stacked_saliency(stacks: dict[str, tuple[Floats, Floats]], title: str) -> Figure:
    """Mean importance in the rest frame of several classes: label -> wavelength [k] and share [k]."""
    with own_style():
        figure = new_figure(10.0, 1.2 + 1.7 * len(stacks))
        panels = figure.subplots(len(stacks), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (label, (wavelength, share)) in zip(panels, stacks.items(), strict=True):
            axes.fill_between(wavelength, 0, 100 * share, step="mid", color=FILL, edgecolor=EDGE, linewidth=0.6)
            axes.set_ylabel("per cent")
            top = 100 * float(np.nanmax(share))
            axes.set_ylim(*((-0.5 * top, 1.7 * top) if axes is panels[0] else (0, 1.2 * top)))
            axes.text(0.99, 0.93, label, transform=axes.transAxes, ha="right", va="top", fontsize=9, weight="bold")
            axes.set_xlim(float(np.nanmin(wavelength)), float(np.nanmax(wavelength)))
            _guides(axes)
        mark_features(panels[0], 0.0)
        panels[-1].set_xlabel(r"rest-frame wavelength, vacuum  [$\mathrm{\AA}$]")
        figure.suptitle(title, fontsize=10)
        figure.subplots_adjust(left=0.07, right=0.985, top=0.9, bottom=0.1, hspace=0.06)
        return figure


def _figure(found: Saliency, label: str) -> Figure:
    figure = new_figure(10.0, 5.2)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[1.6, 1])
    figure.subplots_adjust(left=0.08, right=0.985, bottom=0.1, top=0.86, hspace=0.05)
    rest = found.rest_wavelength[0]
    _draw_spectrum(top, rest, found)
    _draw_importance(bottom, rest, found)
    bottom.set_xlabel(r"rest-frame wavelength, vacuum  [$\mathrm{\AA}$]", loc="left")
    bottom.set_xlim(*_range(rest, found))
    _guides(top)
    _guides(bottom)
    mark_features(top, 0.0)
    parameter = GALAXY[found.name].label if found.name in GALAXY.names else found.name
    plain_text(figure, 0.08, 0.985, shortened(label, 70), fontsize=11, weight="bold", va="top")
    figure.text(0.08, 0.94, f"what mattered for {parameter}:  {_summary(found)}", fontsize=9, va="top")
    return figure


def _draw_spectrum(axes: Axes, rest: Floats, found: Saliency) -> None:
    """The spectrum as a line, darker where it mattered more."""
    from matplotlib.collections import LineCollection

    flux, size = found.flux[0], np.abs(np.nan_to_num(found.importance[0]))
    segments = np.stack([np.stack([rest[:-1], rest[1:]], 1), np.stack([flux[:-1], flux[1:]], 1)], axis=2)
    strength = np.maximum(size[:-1], size[1:]) / max(float(np.percentile(size, 99.5)), 1e-30)
    known = np.isfinite(segments).all(axis=(1, 2))
    axes.plot(rest, flux, color=FAINT, linewidth=0.8)
    lines: Any = LineCollection(list(segments[known]), cmap="inferno_r", linewidths=1.6)
    lines.set_array(np.clip(strength[known], 0, 1))
    lines.set_clim(0, 1)
    axes.add_collection(lines)
    finite = flux[np.isfinite(flux)]
    low, high = np.percentile(finite, [0.5, 99.7]) if finite.size else (0.0, 1.0)
    axes.set_ylim(min(low, 0.0) - 0.3 * (high - low), high + 0.45 * (high - low))
    axes.set_ylabel(r"$f_\lambda$  [$10^{-17}$ cgs]")


def _draw_importance(axes: Axes, rest: Floats, found: Saliency) -> None:
    values = found.importance[0]
    axes.fill_between(rest, 0, np.nan_to_num(values), step="mid", color=FILL, edgecolor=EDGE, linewidth=0.6)
    axes.axhline(0, color=DATA, linewidth=0.5)
    unit = "dex" if found.unit.startswith("dex") else found.unit or "in its unit"
    axes.set_ylabel(f"loss of ln odds  [{unit}]" if found.name == "redshift" else f"pull on the value  [{unit}]")


def _guides(axes: Axes) -> None:
    """Thin lines at named lines, and shaded breaks."""
    for feature in FEATURES:
        for wave in feature.wavelengths:
            colour = EMISSION if feature.emission else ABSORPTION
            axes.axvline(wave, color=colour, linewidth=0.5, alpha=0.3, zorder=0.5)
    for step in BREAKS:
        axes.axvspan(step.low, step.high, color="0.94", linewidth=0, zorder=0)


def _range(rest: Floats, found: Saliency) -> tuple[float, float]:
    known = rest[np.isfinite(found.flux[0])]
    return (float(known.min()), float(known.max())) if known.size else (float(rest.min()), float(rest.max()))


def _summary(found: Saliency) -> str:
    shares = {label: float(share[0]) for label, share in found.shares().items()}
    elsewhere = shares.pop("elsewhere")
    ranked = sorted(shares.items(), key=lambda item: -item[1])[:NAMED]
    parts = [f"{label} {100 * share:.0f} %" for label, share in ranked if share >= 0.02]
    return ",  ".join([*parts, f"elsewhere {100 * elsewhere:.0f} %"])
