"""The prior as it is drawn: marginals before and after the limits on mass, and what these limits do to m against z.

    python -m benchmarks.prior_plots                        # MOONS, 20,000 draws, docs/images/prior.png
    python -m benchmarks.prior_plots --instrument sdss --n 5000 --out prior_sdss.png

Mass follows from magnitude and shape, and galaxies outside the mass range are rejected: bright ones at high redshift
and faint ones next door. The rest of the density stays as it was drawn.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from galfit_ml.instruments import Instrument, get_instrument
from galfit_ml.simulate.galaxies import Galaxies
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.pixels import Pixels
from galfit_ml.simulate.prior import COORDINATES, GalaxyPrior, log_mass_density

Floats = NDArray[np.float64]

HISTORY = ("log_ssfr", "log_burstiness", "burst_age", "log_burst_fraction", "formation_age", "tau")
COLUMNS = 6
BAND_PIXEL = 30.0
"""Angstrom: coarse pixels suffice for a magnitude."""


@dataclass(frozen=True)
class Draws:
    """Draws of a prior.

    Args:
        values: name of each coordinate and derived quantity -> [n].
        kept: [n] True where the mass is within its range.
    """

    values: dict[str, Floats]
    kept: NDArray[np.bool_]

    def correlation(self, one: str, other: str, kept: bool) -> float:
        """Spearman's coefficient, of all draws or of those that are kept."""
        rows = self.kept if kept else np.ones(len(self.kept), dtype=bool)
        return float(spearmanr(self.values[one][rows], self.values[other][rows]).statistic)


def band_pixels(instrument: Instrument) -> Pixels:
    """Coarse pixels over the instrument's magnitude band."""
    low, high = instrument.magnitude_band
    edges = np.linspace(low, high, max(round((high - low) / BAND_PIXEL), 2) + 1)
    centres = 0.5 * (edges[1:] + edges[:-1])
    return Pixels.from_arrays(centres, [edges], centres / 1e4, (low, high))


def masses(galaxies: Galaxies, pixels: Pixels, batch: int = 1000) -> Floats:
    """log10 stellar mass that gives each galaxy its magnitude, [n]."""
    model = GalaxyModel()
    starts = range(0, len(galaxies), batch)
    with torch.inference_mode():
        parts = [model.observe(galaxies.take(slice(i, i + batch)), pixels).log_stellar_mass for i in starts]
    return torch.cat(parts).double().numpy()


def draw(instrument: Instrument, n: int, seed: int = 5) -> Draws:
    """n draws of the instrument's prior, and which of them have a mass within the range."""
    prior = GalaxyPrior(instrument.redshift_range, instrument.magnitude_range)
    galaxies = prior.transform(prior.draw(n, torch.Generator().manual_seed(seed)))
    columns = {k: getattr(galaxies.history if k in HISTORY else galaxies, k).double().numpy() for k in COORDINATES}
    mass = masses(galaxies, band_pixels(instrument))
    columns |= {"ln(1 + z)": np.log1p(columns["redshift"]), "log_stellar_mass": mass}
    columns["log_sfr"] = mass + columns["log_ssfr"]
    return Draws(columns, np.isfinite(log_mass_density(torch.as_tensor(mass)).numpy()))


def kept_by_redshift(draws: Draws, edges: Floats) -> Floats:
    """Share of draws kept in bins of redshift, [n_bin]; NaN in an empty one."""
    redshift = draws.values["redshift"]
    total = np.histogram(redshift, edges)[0]
    kept = np.histogram(redshift[draws.kept], edges)[0]
    return np.where(total > 0, kept / np.maximum(total, 1), np.nan)


def plot(draws: Draws, title: str, path: Path) -> None:
    """Marginals of all coordinates before and after rejection, and magnitude against redshift."""
    from matplotlib.figure import Figure

    names = ["ln(1 + z)", *COORDINATES[1:], "log_stellar_mass", "log_sfr"]
    n_rows = math.ceil((len(names) + 1) / COLUMNS)
    figure = Figure(figsize=(2.3 * COLUMNS, 2.2 * n_rows), layout="constrained")
    panels = figure.subplots(n_rows, COLUMNS).ravel()
    for axis, name in zip(panels, names, strict=False):
        values = _on_axis(name, draws.values[name])
        bins = list(np.linspace(*np.quantile(values, [0.001, 0.999]), 31))
        axis.hist(values, bins, histtype="step", color="0.5", label="drawn")
        axis.hist(values[draws.kept], bins, alpha=0.5, color="#2166ac", label="kept")
        axis.set_yticks([])
        axis.set_title(_label(name), fontsize=9)
    panels[0].legend(fontsize=7, frameon=False, loc="lower left")
    _plane(panels[len(names)], draws)
    for axis in panels[len(names) + 1 :]:
        axis.set_visible(False)
    figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)


def _plane(axis: object, draws: Draws) -> None:
    """Magnitude against redshift, what is rejected in red."""
    z, m = draws.values["ln(1 + z)"], draws.values["magnitude"]
    for rows, colour in ((draws.kept, "#2166ac"), (~draws.kept, "#b2182b")):
        axis.plot(z[rows], m[rows], ",", color=colour, alpha=0.5)  # type: ignore[attr-defined]
    axis.set_title("magnitude, ln(1 + z); red: rejected", fontsize=9)  # type: ignore[attr-defined]


LOGARITHMIC = ("burst_age", "formation_age", "tau", "velocity_dispersion", "gas_dispersion", "lya_escape")


def _on_axis(name: str, values: Floats) -> Floats:
    return np.log10(values) if name in LOGARITHMIC else values


def _label(name: str) -> str:
    return f"log10 {name}" if name in LOGARITHMIC else name


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--instrument", default="moons-lr")
    parser.add_argument("--n", type=int, default=20000)
    parser.add_argument("--out", type=Path, default=Path("docs/images/prior.png"))
    options = parser.parse_args()
    draws = draw(get_instrument(options.instrument), options.n)
    share = draws.kept.mean()
    before, after = (draws.correlation("redshift", "magnitude", kept) for kept in (False, True))
    print(f"{options.instrument}: {len(draws.kept)} draws, {share:.1%} kept")
    print(f"rank correlation of magnitude and redshift: {before:+.3f} drawn, {after:+.3f} kept")
    edges = np.array([0, 0.1, 0.5, 1, 2, 3, 5])
    for low, high, kept in zip(edges[:-1], edges[1:], kept_by_redshift(draws, edges), strict=True):
        print(f"z {low:g}-{high:g}: {kept:.1%} kept")
    plot(
        draws,
        f"{options.instrument}: {len(draws.kept)} draws of the prior, {share:.0%} within the mass range",
        options.out,
    )


if __name__ == "__main__":
    main()
