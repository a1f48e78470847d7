"""Command line of the comparison; see `benchmarks.sdss_mocks`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

import benchmarks.sdss_mocks as package
from benchmarks.sdss_mocks import figures, noise
from benchmarks.sdss_mocks.compare import bad_share, deviations, noise_table, pull_samples, stacks_of
from benchmarks.sdss_mocks.match import TYPES, Match, catalogue_ivar, match, sample
from benchmarks.sdss_mocks.mocks import Mocks, observe
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.spectrograph import Spectrograph

SHOWN = (("E", 0.5), ("Sp", 0.5), ("Sp", 0.1), ("Irr", 0.5))
"""Types of the single spectra, and the share of galaxies of the type with a lower signal-to-noise."""


def main() -> None:
    """Match, observe, compare, draw."""
    parser = argparse.ArgumentParser(description=package.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("results/sdss_mocks"))
    parser.add_argument("--images", type=Path, default=Path("docs/images"))
    parser.add_argument("--per-type", type=int, default=66)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    with torch.no_grad():
        run(options)


def run(options: argparse.Namespace) -> None:
    """The whole comparison; figures to `images`, numbers to `out`/summary.json and to the terminal."""
    model, spectrograph = GalaxyModel(), Spectrograph("sdss")
    matches: dict[str, list[Match]] = {}
    for kind, rows in sample(options.data, options.per_type, options.seed).items():
        matches[kind] = [match(options.data, int(row), options.out, model) for row in rows]
        print(f"{TYPES[kind]}: {len(rows)} matched", flush=True)
    alike = {k: observe(found, model, spectrograph, same_noise=True, seed=options.seed) for k, found in matches.items()}
    everything = [m for found in matches.values() for m in found]
    nominal = observe(everything, model, spectrograph, same_noise=False, seed=options.seed + 1)
    stacks = {kind: stacks_of(matches[kind], alike[kind]) for kind in matches}
    table, pulls = noise_table(everything, nominal), pull_samples(matches, alike)
    options.images.mkdir(parents=True, exist_ok=True)
    figures.stacks_figure(stacks, options.images / "sdss_mocks_stacks.png")
    figures.lines_figure(stacks, options.images / "sdss_mocks_lines.png")
    figures.noise_figure(table, pulls, options.images / "sdss_mocks_noise.png")
    answers = figures.singles_figure(pairs(matches, alike), options.seed, options.images / "sdss_mocks_singles.png")
    summary = {
        "deviations": deviations(matches, stacks),
        "signal_to_noise": noise.by_magnitude(table),
        "pulls": {name: [noise.spread(real), noise.spread(mock)] for name, (real, mock) in pulls.items()},
        "chi2_per_pixel": {k: float(np.median([m.chi2_per_pixel for m in found])) for k, found in matches.items()},
        "bad_pixels": [bad_share(ivar) for ivar in (catalogue_ivar(options.data), nominal.ivar)],
        "real_is": answers,
    }
    (options.out / "summary.json").write_text(json.dumps(summary, indent=1))
    print(json.dumps(summary, indent=1))


def pairs(matches: dict[str, list[Match]], alike: dict[str, Mocks]) -> list[tuple[str, Match, Mocks, int]]:
    """The galaxies of `SHOWN`."""
    chosen = []
    for kind, share in SHOWN:
        found = matches[kind]
        order = np.argsort([noise.signal_to_noise(m.wavelength, m.flux, m.ivar) for m in found])
        row = int(order[int(share * len(order))])
        chosen.append((kind, found[row], alike[kind], row))
    return chosen


if __name__ == "__main__":
    main()
