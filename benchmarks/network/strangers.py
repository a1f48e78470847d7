"""What is flagged as no galaxy: galaxies, stars, quasars and spectra upside down, by signal-to-noise.

python -m benchmarks.network.strangers --instrument sdss --tables docs/real
"""

from __future__ import annotations

import argparse
import itertools
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.network.speed import OBSERVED
from benchmarks.network.tables import header, row, share
from galfit_ml.backend import Request
from galfit_ml.flags import Flag
from galfit_ml.redshift_prior import RedshiftPriors
from galfit_ml.simulate import survey
from galfit_ml.spectra import SpectrumBatch
from galfit_ml_cnn.backend import CnnBackend

EDGES = (-np.inf, 1.0, 2.0, 5.0, 10.0, np.inf)
SHARES = {"star": 0.25, "quasar": 0.25}
MAGNITUDES = {"moons-lr": (18.0, 25.0), "sdss": (15.0, 21.5), "boss": (17.0, 23.0)}
SEED = 7007


def upside_down(batch: SpectrumBatch) -> SpectrumBatch:
    """The spectra with their flux negative."""
    return replace(batch, arms=tuple(replace(arm, flux=-arm.flux) for arm in batch.arms))


def flagged(backend: CnnBackend, batch: SpectrumBatch) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """[n] whether OUT_OF_DISTRIBUTION is set, and measured signal-to-noise."""
    found = backend.infer(batch, Request(50, 1, RedshiftPriors.free(len(batch))))
    return (found.flags & int(Flag.OUT_OF_DISTRIBUTION)) != 0, found.diagnostics["signal_to_noise"]


def table(instrument: str, n: int, backend: CnnBackend) -> list[str]:
    """Share that is flagged, by kind and signal-to-noise (that of the spectrum before it is turned, for the last)."""
    exposure = OBSERVED[instrument]["exposure"]
    made = survey(instrument, n, seed=SEED, exposure=exposure, magnitude=MAGNITUDES[instrument], contaminants=SHARES)
    kinds = np.asarray(made.truth["class"])
    hit, snr = flagged(backend, made.batch)
    galaxy = ~np.isin(kinds, list(SHARES))
    rows = np.flatnonzero(galaxy)[: n // 4]
    turned, _ = flagged(backend, upside_down(made.batch.take(rows)))
    lines = header("S/N", "galaxies", "stars", "quasars", "galaxies, negative")
    for low, high in itertools.pairwise(EDGES):
        inside = (snr >= low) & (snr < high)
        chosen = [hit[inside & galaxy], *(hit[inside & (kinds == kind)] for kind in SHARES), turned[inside[rows]]]
        label = f"below {high:g}" if low < 0 else f"above {low:g}" if high > 1e9 else f"{low:g}-{high:g}"
        lines.append(row(label, *(f"{share(one)} ({len(one)})" for one in chosen)))
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.network.strangers", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--instrument", default="moons-lr", choices=tuple(MAGNITUDES))
    parser.add_argument("--n", type=int, default=3000, help="mocks (default: 3000)")
    parser.add_argument("--weights", type=Path, help="by default those that come with the package")
    parser.add_argument("--tables", type=Path, required=True, help="folder of the table")
    options = parser.parse_args(arguments)
    lines = table(options.instrument, options.n, CnnBackend(options.weights))
    options.tables.mkdir(parents=True, exist_ok=True)
    (options.tables / "strangers.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
