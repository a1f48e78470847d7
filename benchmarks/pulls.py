"""Deviations of simulated pixels in units of their stated error: mean, width and tails beside a normal distribution.

    python -m benchmarks.pulls                      # 20,480 MOONS spectra for each row: about two minutes
    python -m benchmarks.pulls --n 102400 --json pulls.json

White noise is independent from pixel to pixel, and 2,048 spectra say enough of it. The sky residual is coherent: an arm
of a spectrum is little more than one draw of it, and shares of rare deviations need many spectra. Errors come from
ten blocks of spectra. The unknown factor s of the reported errors is divided out.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from galfit_ml.instruments import get_instrument
from galfit_ml.simulate.conditions import Conditions
from galfit_ml.simulate.etc import flat_spectrum
from galfit_ml.simulate.spectrograph import Spectrograph

BATCH, BLOCKS = 256, 10
NORMAL = np.array([0.0, 1.0, 0.3173105, 0.0455003, 0.0026998])
"""Mean, width and shares beyond 1, 2 and 3 sigma."""


@dataclass(frozen=True)
class Row:
    """Pulls of one arm: mean, width, relative excess of the shares beyond 1, 2 and 3 sigma, and their errors."""

    what: str
    arm: str
    values: tuple[float, ...]
    errors: tuple[float, ...]


def flat(spectrograph: Spectrograph, generator: torch.Generator) -> torch.Tensor:
    """[BATCH, n_pix] constant f_nu of AB 18 to 25."""
    unit = torch.as_tensor(flat_spectrum(spectrograph.pixels.wavelength.numpy(), 20.0), dtype=torch.float32)
    return 10 ** (0.8 - 2.8 * torch.rand(BATCH, 1, generator=generator)) * unit


def moments(pulls: torch.Tensor) -> NDArray[np.float64]:
    """Number of pixels, sums of pulls and of squares, numbers beyond 1, 2 and 3 sigma."""
    size = pulls.abs()
    beyond = [float((size > k).sum()) for k in (1, 2, 3)]
    return np.array([len(pulls), float(pulls.double().sum()), float(pulls.double().square().sum()), *beyond])


def summary(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean, width, and shares beyond 1, 2, 3 sigma relative to those of a normal distribution, less 1."""
    mean = sums[1] / sums[0]
    width = np.sqrt(sums[2] / sums[0] - mean**2)
    return np.array([mean, width, *(sums[3:] / sums[0] / NORMAL[2:] - 1)])


def measure(spectrograph: Spectrograph, what: str, tier: int, exposure: str, n: int, seed: int = 1) -> list[Row]:
    """Pulls of n spectra: of the white inverse variance in tier 0, of the reported one in others."""
    generator = torch.Generator().manual_seed(seed)
    blocks = np.zeros((BLOCKS, len(spectrograph.arms), 6))
    for number in range(-(-n // BATCH)):
        flux = flat(spectrograph, generator)
        conditions = Conditions.nominal(spectrograph.instrument, BATCH, exposure)
        if tier == 2:
            conditions = Conditions.draw(spectrograph.instrument, BATCH, exposure, generator)
        seen = spectrograph.observe(flux, conditions, tier=tier, generator=generator)
        pull = (seen.flux - flux) * (seen.ivar / seen.noise_scale[:, None]).sqrt()
        for i, arm in enumerate(spectrograph.arms):
            blocks[number % BLOCKS, i] += moments(pull[:, arm][~seen.bad[:, arm]])
    rows = []
    for i, arm in enumerate(spectrograph.instrument.arms):
        parts = np.array([summary(block) for block in blocks[:, i]])
        error = parts.std(axis=0, ddof=1) / np.sqrt(BLOCKS)
        rows.append(Row(what, arm.name, tuple(summary(blocks[:, i].sum(axis=0))), tuple(error)))
    return rows


CASES = (
    ("tier 0, 1 h", 0, "1h"),
    ("tier 1, 1 h", 1, "1h"),
    ("tier 1, 8 h", 1, "8h"),
    ("tier 2, 1 h", 2, "1h"),
    ("tier 2, 8 h", 2, "8h"),
)


def markdown(rows: list[Row]) -> str:
    """A table."""
    lines = ["| | arm | mean | width | > 1σ, % | > 2σ, % | > 3σ, % |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        cells = [f"{row.values[0]:+.4f}", f"{row.values[1]:.4f}"]
        cells += [f"{100 * v:+.1f} ± {100 * e:.1f}" for v, e in zip(row.values[2:], row.errors[2:], strict=True)]
        lines.append(f"| {row.what} | {row.arm} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instrument", default="moons-lr")
    parser.add_argument("--n", type=int, default=20480, help="spectra of each row")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    # No inverse variance is meant to contain the error of the flux calibration.
    instrument = replace(get_instrument(options.instrument), calibration_rms=0.0, calibration_offset=0.0)
    spectrograph = Spectrograph(instrument)
    rows = [row for case in CASES for row in measure(spectrograph, *case, options.n)]
    print(markdown(rows))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


if __name__ == "__main__":
    main()
