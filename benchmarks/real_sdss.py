"""Real galaxies with known answers: the redshift scan on all of them, emcee on those with a catalogue mass.

    python -m benchmarks.real_sdss scan --data FOLDER
    python -m benchmarks.real_sdss emcee --data FOLDER --out results/ [--rows 150] [--workers 2]

The data folder is described in docs/real_data.md; nothing of it is in the repository.
`emcee` writes one file per galaxy and goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.real.scores import colour_gradient
from galfit_ml.benchmark.metrics import nmad
from galfit_ml.benchmark.real_folder import batch_of, synthetic_r
from galfit_ml.grid import SPEED_OF_LIGHT_KMS
from galfit_ml.spectra import SpectrumBatch
from galfit_ml.workers import News, run_tasks

WITHIN_KMS = 15.0
SETS = {"sdss_cosmicds": ("sdss", 0.001), "eboss_ebossdap": ("boss", 0.003)}


def read_set(folder: Path, name: str, rows: NDArray[np.intp] | None = None) -> tuple[SpectrumBatch, Any]:
    """Spectra and catalogue rows of one set of the data folder."""
    with np.load(folder / f"{name}.npz") as data:
        arrays = {key: data[key] for key in data.files}
    pick = np.arange(len(arrays["meta"])) if rows is None else rows
    meta = arrays["meta"][pick]
    return batch_of(arrays, pick, SETS.get(name, ("boss", 0.003))[0], meta["file"]), meta


def galaxies(meta: Any) -> NDArray[np.bool_]:
    """Rows the survey calls galaxies, without broad lines."""
    return (meta["class"] == "GALAXY") & ~np.array(["BROAD" in s for s in meta["subclass"]])


def scan(folder: Path) -> list[dict[str, float | str]]:
    """Redshift success, bias, scatter and speed of the scan on each set."""
    from galfit_ml.simulate.threads import one_thread
    from galfit_ml_emcee.fit_one import Machine
    from galfit_ml_emcee.options import Options
    from galfit_ml_emcee.trim import Native

    out: list[dict[str, float | str]] = []
    for name, (_, limit) in SETS.items():
        batch, meta = read_set(folder, name)
        with one_thread():
            machine, native = Machine(Options()), Native.of(batch)
            machine.solutions(native.take(np.arange(1)))  # makes the templates
            start = time.perf_counter()
            found = np.array([s.peaks[0].redshift for s in machine.solutions(native)])
            seconds = time.perf_counter() - start
        error = (found - meta["z"]) / (1 + meta["z"])
        speed = len(batch) / seconds
        for kind, keep in (("no broad lines", galaxies(meta)), ("all", np.ones(len(meta), dtype=bool))):
            out.append({"set": name, "kind": kind, **success(error[keep], limit), "spectra_per_s": speed})
    return out


def success(error: NDArray[np.float64], limit: float) -> dict[str, float]:
    """Figures of redshift errors (z - z_true) / (1 + z_true), [n]: share within `limit`, bias, scatter."""
    inside = np.abs(error) < limit
    return {
        "n": len(error),
        "limit": limit,
        "success": float(inside.mean()),
        "misses": int((~inside).sum()),
        "bias_kms": float(np.median(error) * SPEED_OF_LIGHT_KMS),
        "nmad_kms": nmad(error) * SPEED_OF_LIGHT_KMS,
    }


def catalogue_rows(folder: Path, n: int) -> NDArray[np.intp]:
    """The first `n` rows that have both a catalogue mass and an aperture factor."""
    truth = pd.read_csv(folder / "sdss_cosmicds_truth.csv")
    return np.flatnonzero(truth["logM_any"].notna() & truth["aper_corr_dex"].notna())[:n]


def fit_one(task: tuple[Path, int, Path, int], news: News, n_effective: float) -> None:
    """Fit one galaxy with emcee and write its summary; nothing if it is there."""
    folder, row, out, seed = task
    target = out / f"{row:05d}.json"
    if target.exists():
        return
    from galfit_ml.backend import Request
    from galfit_ml.redshift_prior import RedshiftPriors
    from galfit_ml_emcee.backend import EmceeBackend

    batch, _ = read_set(folder, "sdss_cosmicds", np.array([row]))
    start = time.perf_counter()
    posterior = EmceeBackend(n_effective=n_effective).infer(batch, Request(1000, seed, RedshiftPriors.free(1)))
    summary: dict[str, Any] = {"row": row, "seconds": time.perf_counter() - start, "flags": int(posterior.flags[0])}
    for parameter in posterior.parameters:
        summary[parameter.name] = posterior.quantile(parameter.name, [0.16, 0.5, 0.84])[0].tolist()
    summary |= {k: float(v[0]) for k, v in posterior.diagnostics.items()}
    if posterior.best_fit is None:
        raise RuntimeError(f"row {row}: {posterior.reasons[0]}")
    summary["chi2_per_pixel"] = float(posterior.best_fit.chi2[0] / posterior.best_fit.n_good[0])
    summary["r_synthetic"] = float(synthetic_r(batch)[0])
    target.write_text(json.dumps(summary))


def compare(folder: Path, out: Path) -> pd.DataFrame:
    """Fits beside the catalogue: one row per galaxy."""
    rows = [json.loads(p.read_text()) for p in sorted(out.glob("[0-9]*.json"))]
    truth = pd.read_csv(folder / "sdss_cosmicds_truth.csv")
    table = pd.DataFrame(list(_flat(rows))).set_index("row")
    joined = table.join(
        truth[["z", "type", "logM_any", "logSFR_any", "oh_O3N2_pp04", "aper_corr_dex", "r_total", "vdisp"]]
    )
    joined["mass_error"] = joined.log_stellar_mass + joined.aper_corr_dex - joined.logM_any
    joined["mass_error_synthetic"] = (
        joined.log_stellar_mass - 0.4 * (joined.r_total - joined.r_synthetic) - joined.logM_any
    )
    gradient = pd.Series(colour_gradient(truth), index=truth.index).loc[joined.index]
    joined["mass_error_colour"] = joined.mass_error - gradient
    joined["sfr_error"] = joined.log_sfr + joined.aper_corr_dex - joined.logSFR_any
    joined["oh_error"] = np.log10(joined.gas_metallicity) + 8.71 - joined.oh_O3N2_pp04
    joined["z_error_kms"] = (joined.redshift - joined.z) / (1 + joined.z) * SPEED_OF_LIGHT_KMS
    return joined


def _flat(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        flat = {k: v[1] if isinstance(v, list) else v for k, v in row.items()}
        flat |= {f"{k}_error": 0.5 * (v[2] - v[0]) for k, v in row.items() if isinstance(v, list)}
        yield flat


def summarise(joined: pd.DataFrame) -> list[str]:
    """Lines of text with the figures."""
    lines = [f"{len(joined)} galaxies, {joined.seconds.median():.1f} s each (longest {joined.seconds.max():.1f})"]
    unfinished = int(((joined["flags"] & (1 << 16)) != 0).sum())
    lines.append(f"not converged: {unfinished}; median chi2 per pixel {joined.chi2_per_pixel.median():.2f}")
    for name in ("mass_error", "mass_error_synthetic", "mass_error_colour", "sfr_error", "oh_error", "z_error_kms"):
        value = joined[name].dropna().to_numpy()
        lines.append(f"{name:22s} n {len(value):3d}  median {np.median(value):+.3f}  NMAD {nmad(value):.3f}")
    inside = int((joined.z_error_kms.abs() < WITHIN_KMS).sum())
    lines.append(f"redshift within {WITHIN_KMS:g} km/s: {inside} of {len(joined)}")
    return lines


def plot(joined: pd.DataFrame, path: Path) -> None:
    """Fits against catalogue: mass, star-formation rate, gas metallicity."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    panels = (
        (
            "logM_any",
            joined.log_stellar_mass - 0.4 * (joined.r_total - joined.r_synthetic),
            joined.log_stellar_mass_error,
            "log stellar mass [M$_\\odot$]",
        ),
        ("logSFR_any", joined.log_sfr + joined.aper_corr_dex, joined.log_sfr_error, "log SFR [M$_\\odot$/yr]"),
        (
            "oh_O3N2_pp04",
            np.log10(joined.gas_metallicity) + 8.71,
            joined.gas_metallicity_error / joined.gas_metallicity / np.log(10),
            "12 + log O/H",
        ),
    )
    colours = {"E": "#b2182b", "Sp": "#2166ac", "Irr": "#1b7837"}
    for axis, (column, value, error, label) in zip(figure.subplots(1, 3), panels, strict=True):
        for kind, colour in colours.items():
            use = (joined.type == kind) & joined[column].notna()
            axis.errorbar(
                joined[column][use],
                value[use],
                error[use],
                fmt="o",
                ms=4,
                lw=0.8,
                color=colour,
                label=f"{kind} ({use.sum()})",
            )
        known = joined[column].dropna()
        span = [known.min() - 0.3, known.max() + 0.3]
        axis.plot(span, span, color="0.4", lw=1)
        axis.set(xlabel=f"catalogue {label}", ylabel=f"galfit_ml {label}", xlim=span)
        axis.legend(frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["scan", "emcee"])
    parser.add_argument("--data", type=Path, required=True, help="see docs/real_data.md")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--n-effective", type=float, default=500.0)
    options = parser.parse_args()
    if options.what == "scan":
        for row in scan(options.data):
            print("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))
        return
    options.out.mkdir(parents=True, exist_ok=True)
    tasks = [(options.data, int(r), options.out, options.seed) for r in catalogue_rows(options.data, options.rows)]
    function = partial(fit_one, n_effective=options.n_effective)
    told = lambda index, done, total: print(f"{done}/{total}", flush=True)  # noqa: E731
    for outcome in run_tasks(function, tasks, options.workers, on_done=told):
        outcome.unwrap()
    joined = compare(options.data, options.out)
    joined.to_csv(options.out / "sdss_emcee.csv")
    plot(joined, options.out / "sdss_emcee.png")
    print("\n".join(summarise(joined)))


if __name__ == "__main__":
    main()
