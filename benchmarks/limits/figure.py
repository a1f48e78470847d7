"""One figure of both references: success against magnitude, and whether stated probabilities are true."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from benchmarks.limits.tables import Scores, share_and_error
from galfit_ml.simulate.surveys.sample import band_name

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

COLOURS = {"known template": "black", "library": "#2a6fb0"}
WIDTH, HEIGHT, DPI = 9.6, 3.6, 100
LEAST = 8
"""Spectra without which a bin has no point."""


def draw(scores: Scores, path: Path, width: float = 0.5) -> None:
    """Write the figure.

    Args:
        scores: of one mock set.
        path: of the figure; the ending says which format.
        width: of the bins, mag.
    """
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = figure.subplots(1, 3)
    for axis, name in zip(axes, ("star-forming", "quiescent"), strict=False):
        _success(axis, scores, scores.classes()[name], width)
        axis.set_title(name)
    _reliability(axes[2], scores)
    marks = [Line2D([], [], color=colour, marker="o", ms=4, label=label) for label, colour in COLOURS.items()]
    axes[0].legend(handles=marks, frameon=False, loc="lower left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI)


def _success(axis: Axes, scores: Scores, inside: Mask, width: float) -> None:
    edges = np.arange(np.floor(scores.magnitude.min()), scores.magnitude.max() + width, width)
    for hits, colour in zip((scores.known, scores.library[-1]), COLOURS.values(), strict=True):
        points = [
            (0.5 * (low + high), *share_and_error(hits[rows]))
            for low, high in itertools.pairwise(edges)
            if (rows := inside & (scores.magnitude >= low) & (scores.magnitude < high)).sum() >= LEAST
        ]
        if points:
            x, y, error = np.transpose(points)
            axis.errorbar(x, y, error, color=colour, marker="o", ms=4, lw=1.2)
    axis.set(
        xlabel=f"magnitude in {band_name(scores.mocks.instrument)} [AB]",
        ylabel="share of right redshifts",
        ylim=(0, 1.05),
    )


def _reliability(axis: Axes, scores: Scores, n_bins: int = 5) -> None:
    axis.plot([0, 1], [0, 1], color="0.7", lw=1)
    edges = np.linspace(0.0, 1.0 + 1e-9, n_bins + 1)
    found = ((scores.found.known, scores.known), (scores.found.library[-1], scores.library[-1]))
    for (answer, hits), colour in zip(found, COLOURS.values(), strict=True):
        stated = answer.probability
        points = [
            (stated[rows].mean(), *share_and_error(hits[rows]))
            for low, high in itertools.pairwise(edges)
            if (rows := (stated >= low) & (stated < high)).sum() >= LEAST
        ]
        if points:
            x, y, error = np.transpose(points)
            axis.errorbar(x, y, error, color=colour, marker="o", ms=4, ls="none")
    axis.set(xlabel="stated probability", ylabel="share of right redshifts", xlim=(0, 1.02), ylim=(0, 1.05))
    axis.set_title("reliability")
