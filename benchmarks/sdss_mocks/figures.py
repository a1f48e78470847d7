"""Figures of the comparison."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.sdss_mocks.match import TYPES, Match
from benchmarks.sdss_mocks.mocks import Mocks
from benchmarks.sdss_mocks.stacks import ABSORPTION, EMISSION, REST, Stack, rest_range

Floats = NDArray[np.float64]

REAL, MOCK = "black", "#c2410c"
WINDOWS = ((3700.0, 4020.0), (4060.0, 4400.0), (4820.0, 5300.0), (5830.0, 6330.0), (6480.0, 6780.0))
"""Rest ranges of the figure of lines, angstrom."""


def stacks_figure(stacks: dict[str, Stack], path: Path) -> None:
    """Median spectra of each type, real and simulated, and their ratio."""
    figure = Figure(figsize=(13, 4.2 * len(stacks)), layout="constrained")
    axes = figure.subplots(2 * len(stacks), 1, sharex=True, height_ratios=[3, 1.2] * len(stacks))
    for (kind, stack), top, low in zip(stacks.items(), axes[::2], axes[1::2], strict=True):
        top.plot(REST, stack.real, color=REAL, lw=0.7, label=f"{stack.n} SDSS {TYPES[kind]}")
        top.plot(REST, stack.mock, color=MOCK, lw=0.7, label="their mocks")
        ceiling = 1.35 * np.nanpercentile(stack.real, 98)
        top.set(ylim=(0, ceiling), ylabel="median flux, 1 at 5500 Å")
        top.legend(frameon=False, loc="lower right")
        low.axhspan(0.95, 1.05, color="0.9")
        low.axhline(1, color="0.5", lw=0.6)
        low.plot(REST, stack.ratio, color="#1d4ed8", lw=0.6)
        low.set(ylim=(0.82, 1.18), ylabel="real / mock")
        _mark(top, 0.97 * ceiling)
    axes[-1].set(xlabel="rest wavelength [Å]", xlim=_reach(stacks))
    figure.savefig(path, dpi=110)


def _reach(stacks: dict[str, Stack]) -> tuple[float, float]:
    seen = np.any([np.isfinite(s.real) for s in stacks.values()], axis=0)
    return float(REST[seen].min()), float(REST[seen].max())


def _mark(axis: Axes, height: float) -> None:
    """Names of the features, those of gas in red."""
    for features, colour in ((EMISSION, "#b91c1c"), (ABSORPTION, "0.35")):
        for name, at in features.items():
            axis.axvline(at, color=colour, lw=0.3, alpha=0.5)
            if not name.endswith(" "):
                axis.text(at, height, name, rotation=90, fontsize=6, color=colour, ha="right", va="top")


def lines_figure(stacks: dict[str, Stack], path: Path) -> None:
    """The stacks around lines."""
    figure = Figure(figsize=(15, 3.0 * len(stacks)), layout="constrained")
    axes = figure.subplots(len(stacks), len(WINDOWS), squeeze=False)
    for (kind, stack), row in zip(stacks.items(), axes, strict=True):
        for (low, high), axis in zip(WINDOWS, row, strict=True):
            inside = rest_range(low, high)
            axis.plot(REST[inside], stack.real[inside], color=REAL, lw=0.9, label="real")
            axis.plot(REST[inside], stack.mock[inside], color=MOCK, lw=0.9, label="mock")
            for at in (*EMISSION.values(), *ABSORPTION.values()):
                if low < at < high:
                    axis.axvline(at, color="0.6", lw=0.3)
        row[0].set_ylabel(TYPES[kind])
    axes[0, 0].legend(frameon=False)
    for axis in axes[-1]:
        axis.set_xlabel("rest wavelength [Å]")
    figure.savefig(path, dpi=110)


def singles_figure(pairs: list[tuple[str, Match, Mocks, int]], seed: int, path: Path) -> list[str]:
    """One real galaxy and its mock a row, in random order and drawn alike; which is real is returned, row by row.

    Args:
        pairs: type, match, mocks and the row of the mock.
        seed: of the order.
        path: of the figure.
    """
    rng = np.random.default_rng(seed)
    figure = Figure(figsize=(16, 2.6 * len(pairs)), layout="constrained")
    axes = figure.subplots(len(pairs), 2, sharey="row", sharex=True, squeeze=False)
    answers = []
    for (kind, match, mocks, row), places in zip(pairs, axes, strict=True):
        spectra = [(match.wavelength, match.flux, match.ivar), (mocks.wavelength, mocks.flux[row], mocks.ivar[row])]
        order = rng.permutation(2)
        for axis, which in zip(places, order, strict=True):
            wave, flux, ivar = spectra[which]
            axis.plot(wave, np.where(ivar > 0, flux, np.nan), color="black", lw=0.45)
        visible = match.flux[(match.ivar > 0) & (match.wavelength > 3900)]
        places[0].set(ylim=(0, 1.25 * np.percentile(visible, 99.7)), ylabel=f"{kind}, z = {match.redshift:.3f}")
        answers.append("left" if order[0] == 0 else "right")
    for axis in axes[-1]:
        axis.set(xlabel="observed wavelength [Å]", xlim=(3800, 9200))
    figure.savefig(path, dpi=110)
    return answers


def noise_figure(table: dict[str, Floats], pulls: dict[str, tuple[Floats, Floats]], path: Path) -> None:
    """S/N against magnitude, and the distributions of what varies from pixel to pixel.

    Args:
        table: `magnitude`, `real` and `mock` (S/N), [n] each.
        pulls: range -> pulls of real and simulated pixels.
        path: of the figure.
    """
    figure = Figure(figsize=(5 + 4 * len(pulls), 4), layout="constrained")
    first, *others = figure.subplots(1, 1 + len(pulls))
    first.semilogy(table["magnitude"], table["real"], ".", color=REAL, ms=4, label="real")
    first.semilogy(table["magnitude"], table["mock"], ".", color=MOCK, ms=4, label="mock")
    first.set(xlabel="r in the fibre, synthetic [AB mag]", ylabel="S/N per pixel, 5600-6900 Å")
    first.legend(frameon=False)
    edges = np.linspace(-4, 4, 81)
    for axis, (name, (real, mock)) in zip(others, pulls.items(), strict=True):
        axis.hist(real, edges, density=True, histtype="step", color=REAL)
        axis.hist(mock, edges, density=True, histtype="step", color=MOCK)
        axis.set(xlabel="fourth difference / reported error", title=f"{name} Å", yscale="log", ylim=(1e-4, 2))
    figure.savefig(path, dpi=110)
