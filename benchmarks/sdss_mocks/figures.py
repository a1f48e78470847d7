"""Figures of the comparison."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.sdss_mocks.match import TYPES, Match
from benchmarks.sdss_mocks.mocks import Mocks
from benchmarks.sdss_mocks.stacks import ABSORPTION, EMISSION, REST, Stack, block_means, line_mask, rest_range

Floats = NDArray[np.float64]

REAL, MOCK = "black", "#d1440c"
DPI = 100
WIDTH = 9.6
"""Inches: figures are as wide as a page of the documentation shows them."""

COLOURS = 96
"""Of the palette: few enough that a figure of thousands of pixels stays below 200 kB."""

WINDOWS = ((3700.0, 4020.0), (4820.0, 5300.0), (5830.0, 6330.0), (6480.0, 6780.0))
"""Rest ranges of the figure of lines, angstrom."""

UNIT = "10⁻¹⁷ erg s⁻¹ cm⁻² Å⁻¹"


def stacks_figure(stacks: dict[str, Stack], path: Path) -> None:
    """Median spectra of each type, real and simulated, and their ratio."""
    figure = Figure(figsize=(WIDTH, 3.4 * len(stacks)), layout="constrained")
    axes = figure.subplots(2 * len(stacks), 1, sharex=True, height_ratios=[3, 1.4] * len(stacks))
    for (kind, stack), top, low in zip(stacks.items(), axes[::2], axes[1::2], strict=True):
        _draw_stack(top, stack, kind)
        _draw_ratio(low, stack)
    axes[-1].set(xlabel="rest wavelength [Å]", xlim=_reach(stacks))
    _save(figure, path)


def _draw_stack(axis: Axes, stack: Stack, kind: str) -> None:
    axis.plot(REST, stack.real, color=REAL, lw=0.9, label=f"median of {stack.n} SDSS {TYPES[kind]}")
    axis.plot(REST, stack.mock, color=MOCK, lw=0.6, label="median of their mocks")
    ceiling = 1.35 * float(np.nanpercentile(stack.real, 98))
    axis.set(ylim=(0, ceiling), ylabel="flux (5500 Å: 1)")
    axis.legend(frameon=False, loc="lower center", ncols=2)
    _mark(axis, EMISSION, 0.98 * ceiling, "#b91c1c")


def _draw_ratio(axis: Axes, stack: Stack) -> None:
    axis.axhspan(0.95, 1.05, color="0.9")
    axis.axhline(1, color="0.5", lw=0.6)
    off = np.where(line_mask(), np.nan, stack.ratio)
    axis.plot(REST, off, color="#93c5fd", lw=0.5)
    means, at = block_means(off)
    axis.plot(at, means, color="#1d4ed8", lw=1.2)
    axis.set(ylim=(0.85, 1.15), ylabel="real / mock")
    _mark(axis, ABSORPTION, 1.145, "0.35")


def _reach(stacks: dict[str, Stack]) -> tuple[float, float]:
    seen = np.any([np.isfinite(s.real) for s in stacks.values()], axis=0)
    return float(REST[seen].min()), float(REST[seen].max())


def _mark(axis: Axes, features: dict[str, float], height: float, colour: str) -> None:
    """Names of features at `height`; a name that ends in a blank is left out."""
    for name, at in features.items():
        axis.axvline(at, color=colour, lw=0.3, alpha=0.5)
        if not name.endswith(" "):
            axis.text(at, height, name, rotation=90, fontsize=7, color=colour, ha="left", va="top")


def lines_figure(stacks: dict[str, Stack], path: Path) -> None:
    """The stacks around lines."""
    figure = Figure(figsize=(WIDTH, 2.3 * len(stacks)), layout="constrained")
    axes = figure.subplots(len(stacks), len(WINDOWS), squeeze=False, sharex="col")
    for (kind, stack), row in zip(stacks.items(), axes, strict=True):
        for (low, high), axis in zip(WINDOWS, row, strict=True):
            inside = rest_range(low, high)
            axis.plot(REST[inside], stack.real[inside], color=REAL, lw=1.0, label="real")
            axis.plot(REST[inside], stack.mock[inside], color=MOCK, lw=0.8, label="mock")
            axis.tick_params(labelsize=7)
            for at in (*EMISSION.values(), *ABSORPTION.values()):
                if low < at < high:
                    axis.axvline(at, color="0.6", lw=0.3)
        row[0].set_ylabel(f"{TYPES[kind]}\nflux (5500 Å: 1)")
    axes[0, 0].legend(frameon=False, fontsize=8)
    titles = ("[O II], Ca H and K", "Hβ, [O III], Mg b, Fe", "Na D, TiO, [O I]", "Hα, [N II], [S II]")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=9)
    figure.supxlabel("rest wavelength [Å]", fontsize=9)
    _save(figure, path)


def singles_figure(pairs: list[tuple[str, Match, Mocks, int]], seed: int, path: Path) -> list[str]:
    """A real galaxy and its mock one below the other, in random order and drawn alike; which is real is returned.

    Args:
        pairs: type, match, mocks and the row of the mock.
        seed: of the order.
        path: of the figure.
    """
    rng = np.random.default_rng(seed)
    figure = Figure(figsize=(WIDTH, 3.0 * len(pairs)), layout="constrained")
    axes = figure.subplots(2 * len(pairs), 1, sharex=True).reshape(-1, 2)
    answers = []
    for number, ((kind, match, mocks, row), places) in enumerate(zip(pairs, axes, strict=True), start=1):
        spectra = [(match.wavelength, match.flux, match.ivar), (mocks.wavelength, mocks.flux[row], mocks.ivar[row])]
        order = rng.permutation(2)
        visible = match.flux[(match.ivar > 0) & (match.wavelength > 3900)]
        ceiling = 1.25 * float(np.percentile(visible, 99.7))
        for letter, axis, which in zip("AB", places, order, strict=True):
            wave, flux, ivar = spectra[which]
            axis.plot(wave, np.where(ivar > 0, flux, np.nan), color="black", lw=0.5)
            axis.set_ylim(0, ceiling)
            axis.text(0.01, 0.9, f"{number}{letter}", transform=axis.transAxes, va="top", weight="bold")
        places[0].set_title(
            f"{number}: {TYPES[kind].removesuffix('s')}, z = {match.redshift:.3f}", fontsize=9, loc="left"
        )
        answers.append(f"{number}{'AB'[int(np.flatnonzero(order == 0)[0])]}")
    axes[-1, -1].set(xlabel="observed wavelength [Å]", xlim=(3800, 9200))
    figure.supylabel(f"flux [{UNIT}]", fontsize=9)
    _save(figure, path)
    return answers


def noise_figure(table: dict[str, Floats], pulls: dict[str, tuple[Floats, Floats]], path: Path) -> None:
    """S/N against magnitude, and the distributions of what varies from pixel to pixel.

    Args:
        table: `magnitude`, `real` and `mock` (S/N), [n] each.
        pulls: range -> pulls of real and simulated pixels.
        path: of the figure.
    """
    figure = Figure(figsize=(WIDTH, 6.4), layout="constrained")
    first, *others = figure.subplots(2, 2).ravel()
    first.set_yscale("log", base=10)
    first.set_yticks([10, 20, 40, 80], ["10", "20", "40", "80"], minor=False)
    first.minorticks_off()
    first.plot(table["magnitude"], table["real"], ".", color=REAL, ms=5, label="SDSS")
    first.plot(table["magnitude"], table["mock"], ".", color=MOCK, ms=5, label="mocks")
    first.set(xlabel="r in the fibre, from the spectrum [AB mag]", ylabel="reported S/N per pixel, 5600-6900 Å")
    first.legend(frameon=False)
    edges = np.linspace(-5, 5, 81)
    for axis, (name, (real, mock)) in zip(others, pulls.items(), strict=False):
        axis.hist(real, edges, density=True, histtype="step", color=REAL)
        axis.hist(mock, edges, density=True, histtype="step", color=MOCK)
        axis.set(xlabel="fourth difference / reported error", yscale="log", ylim=(1e-4, 2), ylabel="density")
        axis.set_title(f"{name} Å, observed", fontsize=9)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    """A PNG file of few colours, which is a third as large."""
    from PIL import Image

    figure.savefig(path, dpi=DPI)
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(COLOURS)
    small.save(path, optimize=True)
