"""What is measured, suite by suite: each makes its mocks, measures, and returns lines of Markdown."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from benchmarks.limits.tables import STAR_FORMING
from benchmarks.network import tables
from benchmarks.network.measure import Plan, Report, Table, measure, rows_where
from galfit_ml.benchmark.changes import CHANGES
from galfit_ml.benchmark.metrics import half_width
from galfit_ml.flags import Flag
from galfit_ml_cnn.weights import shipped

PLAIN = (("calibrated", False),)
MOONZ_MAGNITUDES = (21.5, 22.0, 22.5, 23.0, 23.5, 24.0, 24.5, 25.0)
MOONZ: dict[str, dict[str, tuple[float, ...]]] = {
    "1h": {
        "early": (0.99, 0.81, 0.53, 0.23, 0.05, 0.02, 0.01, 0.00),
        "spiral": (1.00, 0.97, 0.78, 0.45, 0.20, 0.06, 0.02, 0.02),
        "starburst": (0.99, 0.95, 0.84, 0.69, 0.52, 0.36, 0.22, 0.11),
    },
    "2h": {
        "early": (1.00, 0.95, 0.75, 0.40, 0.17, 0.05, 0.04, 0.03),
        "spiral": (1.00, 1.00, 0.96, 0.74, 0.37, 0.18, 0.06, 0.03),
        "starburst": (0.99, 0.98, 0.94, 0.84, 0.66, 0.50, 0.31, 0.15),
    },
    "8h": {
        "early": (1.00, 1.00, 0.99, 0.88, 0.59, 0.26, 0.11, 0.03),
        "spiral": (1.00, 1.00, 1.00, 0.99, 0.86, 0.49, 0.23, 0.09),
        "starburst": (0.99, 0.99, 0.99, 0.96, 0.88, 0.74, 0.59, 0.41),
    },
}
"""Redshifts that moonz recovers (github.com/ACCarnall/moons_redshifting), |dz| < 0.01 (1 + z), z 0.7-3.15 on multiples
of 0.05, searched over 0-5, by exposure, type and H magnitude (`MOONZ_MAGNITUDES`)."""


@dataclass(frozen=True)
class Run:
    """How a suite is run.

    Args:
        instrument: of the mocks.
        n: spectra; None for the suite's own number.
        backend: name.
        options: of the backend.
        processes: at once.
        folder: where tables of numbers are kept (and taken from, where they are there).
        report: progress.
        mismatch: amount of errors of the model in the mocks.
    """

    instrument: str
    n: int | None
    backend: str
    options: tuple[tuple[str, Any], ...]
    processes: int
    folder: Path
    report: Report
    mismatch: float = 0.0

    def numbers(self, name: str, plan: Plan) -> Table:
        """Measured, or read where a run before has kept them for the same plan and weights.

        Raises:
            ValueError: what is kept under this name is of another plan or of other weights.
        """
        path, made_of = self.folder / f"{name}.npz", f"{plan} {self.checksum}"
        if path.is_file():
            with np.load(path) as kept:
                if str(kept["made_of"]) != made_of:
                    raise ValueError(f"'{path}' was made for another plan or with other weights; name another --out.")
                return {key: kept[key] for key in kept.files if key != "made_of"}
        found = measure(plan, self.processes, self.report)
        self.folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, made_of=np.array(made_of), **{key: _small(value) for key, value in found.items()})
        return found

    @property
    def checksum(self) -> str:
        """Of the weights that answers without a redshift prior depend on, "" for a backend without."""
        if self.backend != "cnn":
            return ""
        given = dict(self.options).get("weights")
        return checksum_of(Path(given) if given else shipped(self.instrument))

    def plan(self, n: int, population: str = "training", **more: Any) -> Plan:
        """A plan with this run's backend."""
        more["options"] = (*self.options, *more.get("options", ()))
        own = {"backend": self.backend, "mismatch": self.mismatch}
        return Plan.of(self.instrument, self.n or n, population, **own, **more)


def checksum_of(weights: Path, *, flags: bool = True) -> str:
    """Of all arrays but the maps for known redshifts, which no suite uses; `flags`: the detector's, too."""
    without = ("calibration.known.", *(() if flags else ("calibration.detector.",)))
    digest = hashlib.sha256()
    with safe_open(weights, framework="np") as file:
        for name in sorted(file.keys()):
            if not name.startswith(without):
                digest.update(name.encode() + file.get_tensor(name).tobytes())
    return digest.hexdigest()[:16]


def _small(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(np.float32) if values.dtype == np.float64 and values.ndim > 1 else values


def accuracy(run: Run) -> Iterator[str]:
    """Redshift, properties, coverage and PIT over the training prior; plain dropout beside it."""
    table = run.numbers("accuracy", run.plan(20480, seed=501, n_draws=200))
    plain = run.numbers("plain", run.plan(5120, seed=501, n_draws=200, options=PLAIN))
    both = rows_where(table, np.arange(len(plain["flags"])))
    if not np.array_equal(both["true_redshift"], plain["true_redshift"]):
        raise ValueError("Plain and calibrated answers are of different mocks.")
    yield "## Redshift"
    yield from tables.redshift_table(table)
    for name in ("log_stellar_mass", "log_sfr", "log_metallicity", "gas_metallicity", "dust_av", "log_age"):
        yield f"\n## {name}"
        yield from tables.property_table(table, name)
    yield "\n## Coverage, training prior"
    yield from tables.coverage_table(table)
    for kind, choose in tables.CLASSES.items():
        yield f"\n## Coverage, {kind}"
        yield "Chosen by the truth, where even a perfect posterior need not have the stated coverage.\n"
        yield from tables.coverage_table(table, choose(table))
    yield "\n## Coverage, plain Monte Carlo dropout"
    yield from tables.coverage_table(plain)
    yield "\n## PIT, CRPS, TARP"
    yield f"The same {len(plain['flags'])} mocks; the largest deviation that chance makes in 1 of 20 is "
    yield f"{1.36 / np.sqrt(len(plain['flags'])):.4f}.\n"
    yield from tables.pit_table(both, plain)
    yield "\n## Upper limits of star formation"
    yield "Galaxies whose medians say log sSFR < -11.5.\n"
    yield from upper_limits(table)


def upper_limits(table: Table) -> Iterator[str]:
    """How often the true rate of quenched galaxies lies below the 90, 95 and 99 % quantile, by signal-to-noise."""
    quenched = table["median_log_sfr"] - table["median_log_stellar_mass"] < -11.5
    yield from tables.header("S/N", "n", "below 90 %", "below 95 %", "below 99 %")
    for label, inside in tables.by_snr(table):
        level = table["level_log_sfr"][inside & quenched]
        yield tables.row(label, len(level), *(tables.share(level < p) for p in (0.90, 0.95, 0.99)))


def library(run: Run, reference: Path) -> Iterator[str]:
    """Redshift success on the mocks of `python -m benchmarks.limits --n N --magnitude 22:24 --seed 31`, beside it."""
    with reference.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    known = {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
    (best,) = sorted((n for n in known if n.startswith("library") and n.endswith("_success")), key=_size)[-1:]
    plan = run.plan(5200, seed=31, n_draws=32, exposure="8h", magnitude=(22.0, 24.0))
    table = rows_where(run.numbers("library", plan), np.arange(len(rows)))
    same = [(table[a], known[b]) for a, b in (("true_redshift", "redshift"), ("magnitude", "magnitude"))]
    if not all(np.allclose(a, b, rtol=1e-5) for a, b in (*same, (table["exposure_s"], known["exposure_s"]))):
        raise ValueError(f"'{reference}' holds other mocks than these.")
    hits = tables.right(table)
    yield from tables.header(
        "class", "H (AB)", "n", "network", "library", "known template", "network / library", "95 %"
    )
    for kind, choose in tables.CLASSES.items():
        for low, high in ((22.0, 23.0), (23.0, 24.0), (22.0, 24.0)):
            inside = choose(table) & (table["magnitude"] >= low) & (table["magnitude"] < high)
            own, other = hits[inside], known[best][inside] > 0.5
            ratio, interval = paired_ratio(own, other)
            cells = tables.share(own), tables.share(other), tables.share(known["known_success"][inside] > 0.5)
            yield tables.row(kind, f"{low:g}-{high:g}", inside.sum(), *cells, f"{ratio:.3f}", interval)


def _size(name: str) -> int:
    return int(name.removeprefix("library").removesuffix("_success"))


def paired_ratio(own: NDArray[np.bool_], other: NDArray[np.bool_], seed: int = 0) -> tuple[float, str]:
    """Ratio of two successes on the same spectra, and its 95 % interval by a paired bootstrap."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(len(own), size=(2000, len(own)))
    ratios = own[rows].mean(axis=1) / np.maximum(other[rows].mean(axis=1), 1e-9)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(own.mean() / max(other.mean(), 1e-9)), f"{low:.3f}-{high:.3f}"


def moonz(run: Run) -> Iterator[str]:
    """Success on `moonz-grid`, in moonz's own terms, beside moonz."""
    plan = run.plan(8400, "moonz-grid", seed=0, n_draws=32, magnitude=(21.5, 25.0))
    table = run.numbers("moonz", plan)
    hits = tables.right(table, 0.01)
    yield from tables.header("exposure", "type", *(f"H {m:g}" for m in MOONZ_MAGNITUDES))
    for exposure, kinds in MOONZ.items():
        seconds = 3600.0 * float(exposure.removesuffix("h"))
        for kind, theirs in kinds.items():
            yield tables.row(exposure, kind, *_moonz_cells(table, hits, seconds, kind, theirs))


def _moonz_cells(
    table: Table, hits: NDArray[np.bool_], seconds: float, kind: str, theirs: tuple[float, ...]
) -> Iterator[str]:
    """Ours, theirs, and the difference in standard errors, for each magnitude."""
    for magnitude, other in zip(MOONZ_MAGNITUDES, theirs, strict=True):
        here = (table["class"] == kind) & (np.abs(table["exposure_s"] - seconds) < 1)
        inside = here & (np.abs(table["magnitude"] - magnitude) < 0.1)
        own = hits[inside]
        if not len(own):
            yield "-"
            continue
        error = np.sqrt(max(own.mean() * (1 - own.mean()), 0.5 / len(own)) / len(own) + other * (1 - other) / len(own))
        yield f"{own.mean():.2f} ({other:.2f}; {(own.mean() - other) / error:+.1f}σ)"


def retention(run: Run) -> Iterator[str]:
    """M-TOPnet's claim on `moonrise`: a threshold on the quality fixed on one set of mocks, tried on another."""
    fixed, tried = (
        run.numbers(name, run.plan(4096, "moonrise", seed=seed, n_draws=32, exposure="8h", magnitude=(20.0, 24.0)))
        for name, seed in (("moonrise-threshold", 601), ("moonrise", 602))
    )
    threshold = least_threshold(fixed)
    kept = tried["redshift_quality"] >= threshold
    good = np.abs(offset_plain(tried)) < 0.01
    yield f"threshold on the quality: {threshold:.3f}"
    yield from tables.header("", "n", "abs(Δz) < 0.01", "kept")
    yield tables.row("all", len(good), tables.share(good), "1")
    yield tables.row("kept", kept.sum(), tables.share(good[kept]), tables.share(kept))
    yield "\nRetention curve:\n"
    yield from tables.header("kept", "quality from", "abs(Δz) < 0.01")
    for level in (0.0, 0.2, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99):
        rows = tried["redshift_quality"] >= level
        yield tables.row(tables.share(rows), f"{level:g}", tables.share(good[rows]))
    yield "\n## Coverage on moonrise"
    yield from tables.coverage_table(tried)


def offset_plain(table: Table) -> NDArray[np.float64]:
    """[n] z - z_true: M-TOPnet's measure."""
    return np.asarray(table["redshift_1"] - table["true_redshift"])


def least_threshold(table: Table, wanted: float = 0.995) -> float:
    """Least quality from which on the wanted share of redshifts is right; ValueError where none does."""
    good, quality = np.abs(offset_plain(table)) < 0.01, table["redshift_quality"]
    enough = [q for q in np.unique(quality) if good[quality >= q].mean() >= wanted]
    if not enough:
        raise ValueError(f"No threshold on the quality keeps {wanted:g} of the redshifts right.")
    return float(min(enough))


def robustness(run: Run) -> Iterator[str]:
    """How success, properties and coverage move under what the network was not trained for."""
    plans = {
        name: run.plan(1536, seed=701, n_draws=100, exposure="8h", magnitude=(19.0, 24.0), change=name)
        for name in CHANGES
    }
    yield from tables.header(
        "change", "right", "mass: bias", "scatter", "SFR: bias", "scatter", "Z: bias", "scatter", "coverage 68 %: z",
        "mass", "SFR", "Z", "flagged unlike",
    )  # fmt: skip
    for name, plan in plans.items():
        yield _robust_row(name, run.numbers(re.sub(r"\W+", "-", f"robust {name}"), plan))


def _robust_row(name: str, table: Table) -> str:
    hits = tables.right(table)
    forming = hits & (table["log_ssfr"] > STAR_FORMING)
    cells = []
    for column, rows in (("log_stellar_mass", hits), ("log_sfr", forming), ("log_metallicity", hits)):
        dx = (table[f"median_{column}"] - table[f"true_{column}"])[rows]
        cells += [f"{np.median(dx):+.3f}", f"{half_width(dx):.3f}"]
    for column in ("redshift", "log_stellar_mass", "log_sfr", "log_metallicity"):
        level = table[f"level_{column}"]
        cells.append(f"{tables.covered(level[np.isfinite(level)], 0.68).mean():.3f}")
    unlike = (table["flags"] & int(Flag.OUT_OF_DISTRIBUTION)) != 0
    return tables.row(name, tables.share(hits), *cells, f"{unlike.mean():.3f}")


SUITES: dict[str, Callable[[Run], Iterator[str]]] = {
    "accuracy": accuracy,
    "moonz": moonz,
    "retention": retention,
    "robustness": robustness,
}
