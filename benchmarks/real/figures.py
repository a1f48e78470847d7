"""Pictures of answers to real spectra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.real.scores import QUANTITIES, ZERO_POINT, compared, missing, narrow_galaxies, usable, with_halpha
from galfit_ml.grid import SPEED_OF_LIGHT_KMS

ACROSS = 3
"""Panels in a row."""

COLOURS = {"E": "#b2182b", "Sp": "#2166ac", "Irr": "#1b7837"}


def new_figure(width: float, height: float) -> Any:
    """An empty figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def redshift_figure(table: pd.DataFrame, path: Path) -> None:
    """Redshift errors against signal-to-noise, and their distribution over the stated error."""
    figure = new_figure(10.0, 3.6)
    left, right = figure.subplots(1, 2)
    rows = table[narrow_galaxies(table)]
    for number, (name, own) in enumerate(rows.groupby("set", sort=False)):
        error = SPEED_OF_LIGHT_KMS * own["z_error"].to_numpy()
        left.plot(
            own["signal_to_noise"].clip(lower=0.1), error.clip(-300, 300), ".", ms=3, label=name, color=f"C{number}"
        )
        survey = np.hypot(own["zerr"] / (1 + own["z"]), ZERO_POINT)
        pull = own["z_error"] / np.hypot(own["z_sigma"], survey)
        right.hist(pull.clip(-6, 6), bins=np.linspace(-6, 6, 49), histtype="step", density=True, color=f"C{number}")
    x = np.linspace(-6, 6, 200)
    right.plot(x, np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi), color="0.6")
    left.set(xscale="log", xlabel="signal-to-noise per pixel", ylabel="c (z - z$_{survey}$) / (1 + z)  [km/s]")
    left.axhline(0, color="0.6", lw=0.8)
    left.legend(fontsize=7, frameon=False)
    right.set(xlabel="error / stated error (the survey's folded in)", ylabel="density")
    figure.savefig(path, dpi=130)


def property_figure(table: pd.DataFrame, path: Path) -> None:
    """Properties against those of catalogues."""
    table = with_halpha(table)
    known = [what for what in QUANTITIES if not missing(table, what) and not what.name.startswith("halpha")]
    if not known:
        return
    n_rows = -(-len(known) // ACROSS)
    figure = new_figure(10.0, 3.3 * n_rows)
    panels = figure.subplots(n_rows, min(ACROSS, len(known)), squeeze=False).ravel()
    for axes in panels[len(known) :]:
        axes.set_visible(False)
    for axes, what in zip(panels, known, strict=False):
        good = table[usable(table, what)]
        value, sigma, catalogue = compared(good, what)
        kinds = good["type"].to_numpy() if "type" in good else np.full(len(good), "E")
        for kind, colour in COLOURS.items():
            own = kinds == kind
            style: dict[str, Any] = {"fmt": ".", "ms": 4, "lw": 0.5, "color": colour, "alpha": 0.7, "label": kind}
            axes.errorbar(catalogue[own], value[own], sigma[own], **style)
        low, high = np.percentile(catalogue, [0, 100])
        axes.plot([low, high], [low, high], color="0.5", lw=0.8)
        axes.set_title(what.label, fontsize=9)
        axes.set(xlabel="Hα" if what.column.startswith("halpha") else "catalogue", ylabel="network")
    panels[0].legend(fontsize=7, frameon=False)
    figure.savefig(path, dpi=130)
