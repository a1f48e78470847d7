"""Which wavelengths matter to the network: stacked by class on real galaxies, and what masking them costs on mocks.

python -m benchmarks.saliency real --data FOLDER --tables docs/saliency [--each 25]
python -m benchmarks.saliency masking --tables docs/saliency [--n 3000]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.limits.tables import QUIESCENT, STAR_FORMING
from benchmarks.network.tables import header, row, share
from benchmarks.real.scores import narrow_galaxies
from galfit_ml.backend import Request
from galfit_ml.benchmark.real_folder import read_real
from galfit_ml.features import BREAKS
from galfit_ml.plots import stacked_saliency
from galfit_ml.redshift_prior import RedshiftPriors
from galfit_ml.saliency import NEAR_KMS, Saliency, named_places
from galfit_ml.simulate import survey
from galfit_ml.spectra import ArmSpectra, SpectrumBatch
from galfit_ml_cnn.backend import CnnBackend
from galfit_ml_cnn.solutions import WINDOW

Mask = NDArray[np.bool_]

TYPES = {"E": "ellipticals", "Sp": "spirals", "Irr": "irregulars"}
PARAMETERS = ("redshift", "log_stellar_mass", "log_sfr", "gas_metallicity")
LISTED = 7
"""Named places of a table, at most."""

SHIFTS = np.concatenate([np.arange(-0.09, -0.015, 0.003), np.arange(0.018, 0.09, 0.003)])
"""ln(wavelength) by which the pattern of named places is moved to mask as much of anything else."""


def real(folder: Path, backend: CnnBackend, each: int) -> dict[str, dict[str, Saliency]]:
    """Saliency of galaxies of each type: parameter -> type -> `each` spectra."""
    found = read_real(folder, "sdss_cosmicds")
    rows, batch = found.batches["sdss"]
    known = found.known.iloc[rows]
    rng = np.random.default_rng(5)
    out: dict[str, dict[str, Saliency]] = {name: {} for name in PARAMETERS}
    for kind, label in TYPES.items():
        candidates = np.flatnonzero(narrow_galaxies(known) & (known["type"] == kind).to_numpy())
        chosen = np.sort(rng.permutation(candidates)[:each])
        for name in PARAMETERS:
            out[name][label] = backend.saliency(batch.take(chosen), name)
            sys.stderr.write(f"{label}: {name}\n")
    return out


def share_table(found: dict[str, dict[str, Saliency]]) -> list[str]:
    """The places that carry most, by parameter and type."""
    lines = header("parameter", "galaxies", "n", "named", "most of it lies at")
    for name, kinds in found.items():
        for label, own in kinds.items():
            means = {place: float(np.mean(value)) for place, value in own.shares().items()}
            named = 1 - means.pop("elsewhere")
            ranked = sorted(means.items(), key=lambda item: -item[1])[:LISTED]
            places = ", ".join(f"{place} {100 * value:.0f} %" for place, value in ranked if value >= 0.02)
            covered = f"{100 * named:.0f} % (of {100 * _named_share(own):.0f} % of the pixels)"
            lines.append(row(name, label, len(own), covered, places))
    return lines


def _named_share(own: Saliency) -> float:
    """Share of the places that count as named."""
    inside = np.any([mask for _, mask in named_places(own.rest_wavelength, NEAR_KMS + 0.5 * own.width_kms)], axis=0)
    return float(inside[np.isfinite(own.importance)].mean())


def masking(backend: CnnBackend, n: int) -> list[str]:
    """Redshift success on faint mocks: whole, without named places, without as many pixels elsewhere."""
    made = survey("sdss", n, seed=77, magnitude=(18.5, 21.5), exposure="55m")
    truth = np.asarray(made.truth["redshift"])
    log_ssfr = np.asarray(made.truth["log_sfr"]) - np.asarray(made.truth["log_stellar_mass"])
    lines = header("mocks", "n", "whole", "without lines and breaks", "pixels lost", "as many elsewhere", "pixels lost")
    versions = dict(_versions(made.batch, truth))
    results = {label: _success(backend, batch, truth) for label, batch in versions.items()}
    lost = {label: _lost(made.batch, batch) for label, batch in versions.items()}
    for label, keep in (("star-forming", log_ssfr > STAR_FORMING), ("quiescent", log_ssfr < QUIESCENT)):
        cells = [share(results["whole"][keep])]
        for version in ("named", "elsewhere"):
            cells += [share(results[version][keep]), f"{100 * lost[version][keep].mean():.0f} %"]
        lines.append(row(label, int(keep.sum()), *cells))
    return lines


def _versions(batch: SpectrumBatch, truth: NDArray[np.float64]) -> Iterator[tuple[str, SpectrumBatch]]:
    named = named_pixels(batch.arms[0].grid.centres, truth)
    yield "whole", batch
    yield "named", _masked(batch, named)
    yield "elsewhere", _masked(batch, elsewhere(batch.arms[0].grid.centres, truth, named))


def named_pixels(wavelength: NDArray[np.float64], redshift: NDArray[np.float64]) -> Mask:
    """[n, n_pix] pixels at named lines, and the steps of the continuum themselves."""
    rest = wavelength / (1 + redshift[:, None])
    lines = [mask for label, mask in named_places(rest, NEAR_KMS) if label not in {step.label for step in BREAKS}]
    steps = [np.abs(np.log(rest / middle)) < 0.01 for middle in (3646.0, 4000.0)]
    return np.any([*lines, *steps], axis=0)


def elsewhere(wavelength: NDArray[np.float64], redshift: NDArray[np.float64], named: Mask) -> Mask:
    """[n, n_pix] the same pattern moved to where it covers the least of itself, about as many pixels."""
    step = np.log(wavelength[1] / wavelength[0])
    out = np.zeros_like(named)
    for number, own in enumerate(named):
        moved = [_moved(own, round(shift / step)) for shift in SHIFTS]
        overlap = [(other & own).sum() + abs(int(other.sum()) - int(own.sum())) for other in moved]
        out[number] = moved[int(np.argmin(overlap))] & ~own
    return out


def _moved(mask: Mask, pixels: int) -> Mask:
    out = np.zeros_like(mask)
    if pixels > 0:
        out[pixels:] = mask[:-pixels]
    else:
        out[:pixels] = mask[-pixels:]
    return out


def _masked(batch: SpectrumBatch, mask: Mask) -> SpectrumBatch:
    arm = batch.arms[0]
    fewer = ArmSpectra(arm.name, arm.grid, arm.flux, arm.ivar, arm.bad | mask, arm.lsf_sigma)
    return replace(batch, arms=(fewer,))


def _lost(whole: SpectrumBatch, masked: SpectrumBatch) -> NDArray[np.float64]:
    good = (~whole.arms[0].bad).sum(axis=1)
    return np.asarray(1 - (~masked.arms[0].bad).sum(axis=1) / good)


def _success(backend: CnnBackend, batch: SpectrumBatch, truth: NDArray[np.float64]) -> Mask:
    found = backend.infer(batch, Request(1, 1, RedshiftPriors.free(len(batch)))).diagnostics["redshift_1"]
    return np.asarray(np.abs(found - truth) < WINDOW * (1 + truth))


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser("python -m benchmarks.saliency", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("real", "masking"))
    parser.add_argument("--data", type=Path, help="folder of real spectra, see docs/real_data.md")
    parser.add_argument("--tables", type=Path, required=True, help="folder for tables and pictures")
    parser.add_argument("--weights", type=Path, help="by default those that come with the package")
    parser.add_argument("--each", type=int, default=25, help="real galaxies of each type (default: 25)")
    parser.add_argument("--n", type=int, default=3000, help="mocks (default: 3000)")
    options = parser.parse_args(arguments)
    options.tables.mkdir(parents=True, exist_ok=True)
    extra: dict[str, Any] = {} if options.weights is None else {"weights": options.weights}
    if options.what == "masking":
        _write(options.tables / "masking.md", masking(CnnBackend(point=True, **extra), options.n))
        return 0
    if options.data is None:
        parser.error("real needs --data, the folder of real spectra")
    found = real(options.data, CnnBackend(**extra), options.each)
    _write(options.tables / "shares.md", share_table(found))
    for name, kinds in found.items():
        stacks = {label: own.stack(np.arange(len(own))) for label, own in kinds.items()}
        figure = stacked_saliency(stacks, f"where the importance for {name} lies: per cent in each 500 km/s")
        figure.savefig(options.tables / f"{name}.png", dpi=110)
    return 0


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
