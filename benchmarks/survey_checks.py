"""The survey `moonrise` beside what is published about galaxies, in plots.

Mass function, main sequence, quenched fraction, mass-metallicity relations, D4000 and H-delta, BPT diagram, and what
the survey consists of.

    python -m benchmarks.survey_checks [--n 8000] [--seed 1] [--images docs/images] [--cache FOLDER]

The truth of `survey("moons-lr", n, "moonrise")` is kept in the folder given with --cache, so that plots can be made
again.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot as plt
from numpy.typing import NDArray

from galfit_ml.simulate.cosmology import Cosmology
from galfit_ml.simulate.surveys import make_chunks, make_settings
from galfit_ml.simulate.surveys import mass_function as masses
from galfit_ml.simulate.surveys import scaling_relations as relations

Truth = dict[str, NDArray[Any]]

MUZZIN = {
    "star-forming": [(10.78, 12.71, -1.26), (10.76, 8.87, -1.21), (10.85, 5.68, -1.16), (10.80, 3.72, -0.53)],
    "quiescent": [(10.84, 14.55, -0.36), (10.73, 8.81, -0.17), (10.67, 4.15, 0.03), (10.87, 1.02, -0.71)],
}
"""Muzzin et al. (2013, ApJ 777, 18, table 1), Kroupa, 0.5 < z < 1, 1 - 1.5, 1.5 - 2, 2 - 2.5: log M*, phi*
(1e-4 Mpc^-3) and alpha of single Schechter functions."""

Z_BINS = [(0.7, 1.0), (1.0, 1.5), (1.5, 2.0), (2.0, 2.5)]
MASS_LABEL = r"$\log_{10} M_\star/M_\odot$"
COLOURS = {"star-forming": "#1f6fb4", "quiescent": "#c23b22", "starburst": "#7b3fa0"}

BREAK_LOCUS = np.array([1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9])
HDELTA_LOCUS = np.array([6.8, 5.9, 4.7, 3.3, 2.0, 0.9, -0.1, -1.0, -1.7])
"""Continuous histories of Kauffmann et al. (2003, MNRAS 341, 33, fig. 3, read off), within about 1 A; bursts lie
above."""


def schechter(log_mass: NDArray[Any], knee: float, phi: float, alpha: float) -> NDArray[np.float64]:
    """Mpc^-3 dex^-1; phi in 1e-4 Mpc^-3."""
    x = 10 ** (log_mass - knee)
    return np.asarray(np.log(10) * phi * 1e-4 * x ** (alpha + 1) * np.exp(-x))


def make_truth(n: int, seed: int, cache: Path | None) -> Truth:
    """Truth of a moonrise survey of n galaxies in one exposure of 8 h."""
    path = None if cache is None else cache / f"moonrise_{n}_{seed}.npz"
    if path is not None and path.is_file():
        with np.load(path) as file:
            return dict(file)
    chunks = [chunk.truth for chunk in make_chunks(make_settings("moons-lr", n, "moonrise", seed))]
    truth = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **truth)
    return truth


def whole_mass(truth: Truth) -> NDArray[np.float64]:
    """log10 mass of the whole galaxy, without the scatter of the fibre loss."""
    return np.asarray(truth["log_stellar_mass"] - np.log10(truth["aperture_factor"]))


def is_quiescent(truth: Truth) -> NDArray[np.bool_]:
    return np.asarray(truth["class"] == "quiescent")


def complete(truth: Truth, low: float, high: float, quiescent: bool, edges: NDArray[Any]) -> NDArray[np.bool_]:
    """Bins of log10 mass of which the limits in magnitude, 20 and 24.5, take hardly anything.

    At least 90 % of a bin's galaxies lie 0.3 mag within the faint limit, and 90 % within the bright one by 0.15 mag.
    """
    rows = (truth["redshift"] > low) & (truth["redshift"] < high) & (is_quiescent(truth) == quiescent)
    mass, magnitude = whole_mass(truth)[rows], truth["m_h_total"][rows]
    out = []
    for left, right in pairwise(edges.tolist()):
        own = magnitude[(mass >= left) & (mass < right)]
        enough = len(own) >= 5
        out.append(enough and np.percentile(own, 90) < 24.2 and np.percentile(own, 10) > 20.15)
    return np.array(out)


def density(truth: Truth, low: float, high: float, quiescent: bool, edges: NDArray[Any]) -> tuple[Any, Any]:
    """Counts per volume and dex, relative, in bins of mass, and their Poisson error."""
    rows = (truth["redshift"] > low) & (truth["redshift"] < high) & (is_quiescent(truth) == quiescent)
    counts = np.histogram(whole_mass(truth)[rows], edges)[0].astype(float)
    volume = np.diff(masses.comoving_volume(np.array([low, high])))[0]
    scale = 1.0 / (volume * np.diff(edges))
    return counts * scale, np.sqrt(np.maximum(counts, 1.0)) * scale


def sky_fraction(truth: Truth) -> float:
    """Share of the sky that holds as many galaxies: one number that puts counts on the scale of densities."""
    edges = np.arange(9.0, 12.01, 0.25)
    middle = 0.5 * (edges[1:] + edges[:-1])
    seen = expected = 0.0
    for low, high in Z_BINS:
        volume = np.diff(masses.comoving_volume(np.array([low, high])))[0]
        for quiescent, function in ((False, masses.STAR_FORMING), (True, masses.QUIESCENT)):
            use = complete(truth, low, high, quiescent, edges)
            counts, _ = density(truth, low, high, quiescent, edges)
            seen += float((counts * np.diff(edges) * volume)[use].sum())
            expected += float((function.density(middle, 0.5 * (low + high)) * np.diff(edges) * volume)[use].sum())
    return seen / expected


def plot_mass_function(truth: Truth, path: Path) -> None:
    edges = np.arange(9.0, 12.01, 0.25)
    middle, fine = 0.5 * (edges[1:] + edges[:-1]), np.linspace(8.8, 12.0, 200)
    fraction = sky_fraction(truth)
    figure, axes = plt.subplots(1, 4, figsize=(11, 3.4), sharey=True)
    for axis, (low, high), i in zip(axes, Z_BINS, range(4), strict=True):
        for kind, function in (("star-forming", masses.STAR_FORMING), ("quiescent", masses.QUIESCENT)):
            quiescent = kind == "quiescent"
            axis.plot(
                fine, function.density(fine, 0.5 * (low + high)), color=COLOURS[kind], label=f"{kind}: Tomczak+14"
            )
            axis.plot(fine, schechter(fine, *MUZZIN[kind][i]), "--", color=COLOURS[kind], lw=1, label="Muzzin+13")
            value, error = density(truth, low, high, quiescent, edges)
            use = complete(truth, low, high, quiescent, edges)
            axis.errorbar(
                middle[use],
                value[use] / fraction,
                error[use] / fraction,
                fmt="o",
                ms=4,
                color=COLOURS[kind],
                label=f"{kind}: mocks",
            )
        axis.set(
            yscale="log",
            ylim=(1e-6, 2e-2),
            xlim=(8.8, 12),
            xticks=(9, 10, 11),
            title=f"{low} < z < {high}",
            xlabel=MASS_LABEL,
        )
    axes[0].set_ylabel(r"$\Phi$ [Mpc$^{-3}$ dex$^{-1}$]")
    axes[0].legend(fontsize=7)
    _save(figure, path)


def plot_quenched(truth: Truth, path: Path) -> None:
    figure, axes = plt.subplots(1, 4, figsize=(11, 3.2), sharey=True)
    edges, fine = np.arange(9.0, 12.01, 0.25), np.linspace(8.8, 12, 200)
    for axis, (low, high), i in zip(axes, Z_BINS, range(4), strict=True):
        axis.plot(fine, masses.quenched_fraction(fine, 0.5 * (low + high)), "k", label="Tomczak+14")
        red, blue = (schechter(fine, *MUZZIN[kind][i]) for kind in ("quiescent", "star-forming"))
        axis.plot(fine, red / (red + blue), "k--", lw=1, label="Muzzin+13")
        middle, value, error = quenched(truth, low, high, edges)
        axis.errorbar(middle, value, error, fmt="o", color=COLOURS["quiescent"], label="mocks, complete masses")
        axis.set(title=f"{low} < z < {high}", xlabel=MASS_LABEL, ylim=(0, 1), xticks=(9, 10, 11, 12))
    axes[0].set_ylabel("quiescent fraction")
    axes[0].legend(fontsize=8)
    _save(figure, path)


def quenched(truth: Truth, low: float, high: float, edges: NDArray[Any]) -> tuple[Any, Any, Any]:
    """Mass, quiescent fraction and its error in bins in which both classes are complete and ten galaxies lie."""
    both = complete(truth, low, high, False, edges) & complete(truth, low, high, True, edges)
    rows = (truth["redshift"] > low) & (truth["redshift"] < high)
    mass = whole_mass(truth)[rows]
    every = np.histogram(mass, edges)[0]
    red = np.histogram(mass[is_quiescent(truth)[rows]], edges)[0]
    use = both & (every >= 10)
    share = red[use] / every[use]
    # Wilson's width keeps bins of 0 and 1 from having no error.
    error = np.sqrt(share * (1 - share) / every[use] + 0.25 / every[use] ** 2)
    return 0.5 * (edges[1:] + edges[:-1])[use], share, error


def age_gyr(redshift: NDArray[Any]) -> NDArray[np.float64]:
    import torch

    return np.asarray(Cosmology.default().age_yr(torch.as_tensor(redshift, dtype=torch.float64)).numpy() / 1e9)


def plot_main_sequence(truth: Truth, path: Path) -> None:
    figure, axes = plt.subplots(1, 4, figsize=(11, 3.4), sharey=True)
    fine = np.linspace(8.5, 12, 100)
    for axis, (low, high) in zip(axes, Z_BINS, strict=True):
        rows = (truth["redshift"] > low) & (truth["redshift"] < high)
        for kind, colour in COLOURS.items():
            own = rows & (truth["class"] == kind)
            axis.plot(truth["log_stellar_mass"][own], truth["log_sfr"][own], ".", ms=2, color=colour, label=kind)
        time = age_gyr(np.full(len(fine), 0.5 * (low + high)))
        axis.plot(fine, relations.main_sequence(fine, time), "k", label="Popesso+23")
        axis.plot(fine, relations.main_sequence_speagle(fine, time), "k--", lw=1, label="Speagle+14")
        axis.set(title=f"{low} < z < {high}", xlabel=MASS_LABEL, xlim=(8.4, 12), ylim=(-3, 3.3), xticks=(9, 10, 11))
    axes[0].set_ylabel(r"$\log$ SFR [$M_\odot$/yr]")
    axes[0].legend(fontsize=7, markerscale=4)
    _save(figure, path)


def plot_metallicity(truth: Truth, path: Path) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2))
    fine = np.linspace(8.5, 11.8, 100)
    active = ~is_quiescent(truth)
    shown = axes[0].scatter(
        truth["log_stellar_mass"][active], oxygen(truth)[active], c=truth["redshift"][active], s=3, cmap="viridis"
    )
    figure.colorbar(shown, ax=axes[0], label="z")
    for z, style in ((0.8, ":"), (1.5, "-."), (2.3, "-")):
        axes[0].plot(fine, relations.gas_metallicity(fine, z), "k", ls=style, label=f"z = {z}")
    axes[0].plot(fine, 8.51 + 0.30 * (fine - 10), "r", lw=2, label="Sanders+21, z = 2.3")
    axes[0].plot(fine, _zahid(fine, 0.8), color="orange", label="Zahid+14 - 0.3 dex, z = 0.8")
    axes[0].set(ylim=(7.7, 9.2), xlabel=MASS_LABEL, ylabel="12 + log O/H (gas, star-forming)")
    axes[0].legend(fontsize=8)
    for kind, colour in COLOURS.items():
        own = truth["class"] == kind
        axes[1].plot(truth["log_stellar_mass"][own], truth["log_metallicity"][own], ".", ms=2, color=colour, label=kind)
    axes[1].plot(fine, relations.stellar_metallicity(fine, 0.0, True), "k", label="Gallazzi+05, z = 0.1")
    axes[1].plot(fine, -0.81 + 0.32 * (fine - 10), "k--", label="Kashino+22, z = 1.6-3")
    axes[1].set(xlabel=MASS_LABEL, ylabel=r"$\log Z_\star/Z_\odot$", ylim=(-1.8, 0.5))
    axes[1].legend(fontsize=8, markerscale=4)
    _save(figure, path)


def _zahid(log_mass: NDArray[Any], redshift: float) -> NDArray[np.float64]:
    """Zahid et al. (2014, eqs. 5-6), lowered by 0.3 dex from the scale of Kobulnicky & Kewley to a direct one."""
    knee = 9.138 + 2.64 * np.log10(1 + redshift)
    return np.asarray(9.102 - 0.3 + np.log10(1 - np.exp(-(10 ** (0.513 * (log_mass - knee))))))


def oxygen(truth: Truth) -> NDArray[np.float64]:
    return np.asarray(8.71 + np.log10(truth["gas_metallicity"]))


def plot_break(truth: Truth, path: Path) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, sharex=True)
    for axis, (low, high) in zip(axes, ((0.7, 1.2), (1.2, 2.6)), strict=True):
        rows = (truth["redshift"] > low) & (truth["redshift"] < high)
        for kind, colour in COLOURS.items():
            own = rows & (truth["class"] == kind)
            axis.plot(truth["D4000n"][own], truth["HdA"][own], ".", ms=3, color=colour, label=kind)
        axis.plot(BREAK_LOCUS, HDELTA_LOCUS, "k", label="Kauffmann+03, continuous histories")
        axis.fill_between(BREAK_LOCUS, HDELTA_LOCUS - 1, HDELTA_LOCUS + 1, color="k", alpha=0.1)
        axis.axvline(1.55, color="grey", lw=0.8, ls=":", label="usual division, 1.55")
        axis.set(title=f"{low} < z < {high}", xlabel=r"$D_n4000$", xlim=(0.95, 2.0), ylim=(-4, 11))
    axes[0].set_ylabel(r"H$\delta_A$ [$\AA$]")
    axes[0].legend(fontsize=8, markerscale=3)
    _save(figure, path)


def bpt(truth: Truth) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """log [N II]/H-alpha and log [O III]/H-beta."""
    return (
        np.log10(truth["flux_NII6585"] / truth["flux_Halpha"]),
        np.log10(truth["flux_OIII5008"] / truth["flux_Hbeta"]),
    )


def kewley_maximum(x: NDArray[Any]) -> NDArray[np.float64]:
    """Maximum starburst line (Kewley et al. 2001, ApJ 556, 121, eq. 5); -inf right of its pole."""
    return np.asarray(np.where(x < 0.47, 0.61 / np.minimum(x - 0.47, -1e-6) + 1.19, -np.inf))


def local_sequence(x: NDArray[Any]) -> NDArray[np.float64]:
    """Star-forming galaxies at z ~ 0 (Kewley et al. 2013, ApJ 774, L10, eq. 3)."""
    return np.asarray(np.where(x < -0.08, 0.61 / np.minimum(x + 0.08, -1e-6) + 1.1, -np.inf))


def distant_sequence(x: NDArray[Any]) -> NDArray[np.float64]:
    """Star-forming galaxies at z ~ 2.3 (Steidel et al. 2014, ApJ 795, 165, eq. 9)."""
    return np.asarray(np.where(x < 0.33, 0.67 / np.minimum(x - 0.33, -1e-6) + 1.13, -np.inf))


def plot_bpt(truth: Truth, path: Path) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.4), sharey=True, sharex=True)
    x, y = bpt(truth)
    fine = np.linspace(-2.2, 0.45, 300)
    for axis, (low, high) in zip(axes, ((0.7, 1.2), (1.9, 2.6)), strict=True):
        rows = (truth["redshift"] > low) & (truth["redshift"] < high)
        for kind, colour in COLOURS.items():
            own = rows & (truth["class"] == kind)
            axis.plot(x[own], y[own], ".", ms=3, color=colour, label=kind)
        for curve, style, label in (
            (kewley_maximum, "k-", "Kewley+01 maximum starburst"),
            (local_sequence, "k--", "Kewley+13, z = 0"),
            (distant_sequence, "k:", "Steidel+14, z = 2.3"),
        ):
            axis.plot(fine, curve(fine), style, label=label)
        axis.set(title=f"{low} < z < {high}", xlabel=r"$\log$ [N II] / H$\alpha$", xlim=(-2.2, 0.7), ylim=(-1.3, 1.4))
    axes[0].set_ylabel(r"$\log$ [O III] / H$\beta$")
    axes[0].legend(fontsize=7, markerscale=3)
    _save(figure, path)


NUMBERS = {
    "redshift": ("redshift", 40, False),
    "m_h_total": ("H, total [AB mag]", 40, False),
    "size_arcsec": ("half-light radius [arcsec]", np.geomspace(0.02, 3, 40), True),
    "bulge_to_total_mass": ("bulge / total, mass", 40, False),
    "velocity_dispersion": ("velocity dispersion of the stars [km/s]", 40, False),
    "snr": ("S/N per pixel, all arms, 8 h", np.geomspace(0.05, 30, 40), True),
}
"""Column -> label, bins, whether the axis is logarithmic."""


def plot_numbers(truth: Truth, path: Path) -> None:
    """Redshifts, magnitudes, sizes, bulges and signal-to-noise, as shares of each class."""
    figure, axes = plt.subplots(2, 3, figsize=(11, 5.6))
    for axis, (name, (label, bins, logarithmic)) in zip(axes.ravel(), NUMBERS.items(), strict=True):
        edges = np.histogram_bin_edges(truth[name], bins)
        for kind, colour in COLOURS.items():
            own = truth["class"] == kind
            share = np.full(own.sum(), 1.0 / own.sum())
            axis.hist(
                truth[name][own], edges, weights=share, histtype="step", color=colour, label=f"{kind}: {own.sum()}"
            )
        axis.set(xlabel=label, ylabel="share of the class", xscale="log" if logarithmic else "linear")
    axes[0, 0].legend(fontsize=7)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)
    print(path)


PLOTS = {
    "mass_function": plot_mass_function,
    "quenched": plot_quenched,
    "main_sequence": plot_main_sequence,
    "metallicity": plot_metallicity,
    "break": plot_break,
    "bpt": plot_bpt,
    "numbers": plot_numbers,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--images", type=Path, default=Path("docs/images"))
    parser.add_argument("--cache", type=Path)
    chosen = parser.parse_args()
    truth = make_truth(chosen.n, chosen.seed, chosen.cache)
    for name, plot in PLOTS.items():
        plot(truth, chosen.images / f"survey_{name}.png")


if __name__ == "__main__":
    main()
