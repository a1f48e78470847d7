"""The tables, figures and report of docs/benchmark.md, from a folder of results of `galfit-ml benchmark run`.

python -m benchmarks.backends results/ --docs docs/benchmark

`--snr 0 0.5 2 100` scores the answers anew in coarser bins, for few spectra.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.network.tables import header, row
from galfit_ml.benchmark import Suite, read_results, score, suites, write_results
from galfit_ml.benchmark.answers import ABOUT, read_about
from galfit_ml.benchmark.present import report_data
from galfit_ml.benchmark.report import write_figures, write_report
from galfit_ml.writing import write_whole

SHOWN = (
    ("redshift", "success", "redshift right"),
    ("redshift", "crps", "redshift"),
    ("log_stellar_mass", "crps", "mass"),
    ("log_sfr", "crps", "SFR"),
    ("log_metallicity", "crps", "metallicity"),
    ("dust_av", "crps", "A_V"),
    ("log_age", "crps", "age"),
)
COVERED = ("redshift", "log_stellar_mass", "log_sfr", "log_metallicity", "dust_av", "log_age")
RATIOS = {
    **{name: what for name, metric, what in SHOWN if metric == "crps"},
    "gas_metallicity": "gas metallicity",
    "velocity_dispersion": "dispersion",
    "log_ionisation": "ionisation",
}
OPEN = 100.0
REPORTED = "moons-snr"


def cell(rows: pd.DataFrame, parameter: str, metric: str, digits: int = 3) -> str:
    """Value and error of the only such row, "-" where there is none."""
    own = rows[(rows["parameter"] == parameter) & (rows["metric"] == metric)]
    if len(own) != 1 or not np.isfinite(own["value"].iloc[0]):
        return "-"
    value, error = own["value"].iloc[0], own["error"].iloc[0]
    if abs(value) < 0.01 and metric == "crps":
        return f"{value:.2g} ± {error:.1g}"
    return f"{value:.{digits}f}" + (f" ± {error:.{digits}f}" if np.isfinite(error) else "")


def bins(rows: pd.DataFrame, axis: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """Everything, then the bins of an axis in order."""
    yield "all", rows[rows["axis"] == "all"]
    inside = rows[rows["axis"] == axis]
    for label in inside.sort_values("low")["bin"].unique():
        own = inside[inside["bin"] == label]
        yield _called(str(label), float(own["low"].iloc[0]), float(own["high"].iloc[0])), own


def _called(label: str, low: float, high: float) -> str:
    """What a bin is called: one that begins below 0, or ends at 100 or beyond, is open there."""
    if low < 0:
        return f"below {high:g}"
    return f"above {low:g}" if high >= OPEN else label


def accuracy(rows: pd.DataFrame, axis: str = "snr") -> Iterator[str]:
    """Redshifts and CRPS of every backend in the bins of an axis."""
    yield from header(axis, "backend", "n", *(f"{what}, CRPS" if m == "crps" else what for _, m, what in SHOWN))
    for label, inside in bins(rows, axis):
        for backend in sorted(inside["backend"].unique()):
            own = inside[inside["backend"] == backend]
            n = own.loc[own["metric"] == "success", "n"]
            if len(n):
                yield row(label, backend, int(n.iloc[0]), *(cell(own, p, m) for p, m, _ in SHOWN))
    yield from outside(rows, axis)


def outside(rows: pd.DataFrame, axis: str) -> Iterator[str]:
    """Of each backend, how many spectra stand in no bin of an axis: beyond its ends, or with too few others."""
    counted = rows[(rows["metric"] == "answered") & rows["axis"].isin(["all", axis])]
    for backend, own in counted.groupby("backend", sort=True):
        whole = own["axis"] == "all"
        left = int(own.loc[whole, "n"].sum() - own.loc[~whole, "n"].sum())
        if left > 0 and not whole.all():
            yield row("in no bin", backend, left, *("-" for _ in SHOWN))


def coverage(rows: pd.DataFrame, axis: str = "snr") -> Iterator[str]:
    """Coverage of 68 % intervals, and TARP: its parameters in number, and what chance gives."""
    yield from header(axis, "backend", *COVERED, "TARP")
    for label, inside in bins(rows, axis):
        for backend in sorted(inside["backend"].unique()):
            own = inside[inside["backend"] == backend]
            cells = [cell(own, p, "coverage_68", 2) for p in COVERED]
            if set(cells) != {"-"}:
                yield row(label, backend, *cells, joint(own))


def joint(own: pd.DataFrame) -> str:
    """The deviation of TARP, of how many parameters, and by chance."""
    told = own.loc[(own["parameter"] == "all") & (own["metric"] == "tarp_ks"), "reason"]
    if len(told) != 1:
        return "-"
    chance = cell(own, "all", "tarp_ks_chance").partition(" ")[0]
    return f"{cell(own, 'all', 'tarp_ks')} ({str(told.iloc[0]).partition(':')[0]}; {chance} by chance)"


def ratios(rows: pd.DataFrame, axis: str = "snr", baseline: str = "emcee") -> Iterator[str]:
    """Redshift success less the baseline's and CRPS over it, with errors of the pairs; n is the smallest of those."""
    yield from header(axis, "backend", "n", f"right, less {baseline}'s", *(f"CRPS: {what}" for what in RATIOS.values()))
    ratio, difference = f"crps_over_{baseline}", f"success_minus_{baseline}"
    for label, inside in bins(rows[rows["metric"].isin([ratio, difference])], axis):
        for backend in sorted(inside["backend"].unique()):
            own = inside[inside["backend"] == backend]
            cells = (cell(own, p, ratio, 2) for p in RATIOS)
            yield row(label, backend, int(own["n"].min()), cell(own, "redshift", difference), *cells)


def speed(rows: pd.DataFrame) -> Iterator[str]:
    """Spectra per second, latency and memory."""
    yield from header("backend", "draws", "batch", "spectra/s", "seconds a call", "MB")
    own = rows[rows["axis"].str.startswith("batch")]
    for (backend, axis, low), part in own.groupby(["backend", "axis", "low"], sort=True):
        values = part.set_index("metric")["value"]
        cells = f"{values['rate']:.3g}", f"{values['latency']:.3g}", f"{values['memory']:.0f}"
        yield row(backend, axis.removeprefix("batch, ").removesuffix(" draws"), f"{low:g}", *cells)


def published(rows: pd.DataFrame) -> Iterator[str]:
    """Ours beside what others have published, bin by bin."""
    other = rows[rows["backend"].str.endswith("(published)")]
    names = sorted(set(rows["backend"]) - set(other["backend"]))
    who = ", ".join(sorted(set(other["backend"])))
    yield from header("", "magnitude", *names, who)
    for (axis, low, high), part in other.groupby(["axis", "low", "high"], sort=False):
        metric = part["metric"].iloc[0]
        same = rows[(rows["axis"] == axis) & (rows["low"] == low) & (rows["metric"] == metric)]
        cells = [cell(same[same["backend"] == name], "redshift", metric, 2) for name in names]
        yield row(axis.partition(": ")[2], f"{low:g}-{high:g}", *cells, f"{part['value'].iloc[0]:.2f}")


def parts(rows: pd.DataFrame) -> Iterator[str]:
    """What each change of the spectra does, and the same spectra without one."""
    yield from header("change", "backend", "n", *(f"{w}, CRPS" if m == "crps" else w for _, m, w in SHOWN[:5]), "68 %")
    inside = rows[rows["axis"] == "part"]
    for label in inside["bin"].unique():
        for backend in sorted(inside["backend"].unique()):
            own = inside[(inside["bin"] == label) & (inside["backend"] == backend)]
            n = own.loc[own["metric"] == "success", "n"]
            if not len(n):
                continue
            cells = [cell(own, p, m) for p, m, _ in SHOWN[:5]]
            yield row(label, backend, int(n.iloc[0]), *cells, cell(own, "log_stellar_mass", "coverage_68", 2))


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser("python -m benchmarks.backends", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--docs", type=Path, default=Path("docs/benchmark"))
    parser.add_argument("--snr", type=float, nargs="+", metavar="EDGE", help="edges of other bins of signal-to-noise")
    options = parser.parse_args(arguments)
    if options.snr:
        rebin(options.results, tuple(options.snr))
    rows, _ = read_results(options.results)
    options.docs.mkdir(parents=True, exist_ok=True)
    for suite in rows["suite"].unique():
        own = rows[rows["suite"] == suite]
        for name, lines in tables(own).items():
            write_whole(options.docs / f"{suite}-{name}.md", ("\n".join(lines) + "\n").encode())
    data = report_data(options.results)
    suite = REPORTED if REPORTED in data.suites else data.suites[0]
    points = data.points[data.points["suite"] == suite] if len(data.points) else data.points
    shown = replace(data, rows=data.rows[data.rows["suite"] == suite], points=points)
    write_report(shown, options.docs / "report.html")
    write_figures(shown, options.docs, formats=("png",))
    return 0


def rebin(results: Path, edges: tuple[float, ...]) -> None:
    """Score the suites of a folder anew that have bins of signal-to-noise, with these edges.

    Suites that are files are left as they are: where the file lies is not known here.
    """
    known = suites()
    for folder in sorted({path.parent for path in results.glob("*/rows.*")}):
        suite = known.get(folder.name)
        if suite is None or "snr" not in suite.bins or not shipped(suite, folder):
            continue
        write_results(folder, *score(replace(suite, bins={**suite.bins, "snr": edges}), folder), ".csv")


def shipped(suite: Suite, folder: Path) -> bool:
    """Whether the answers in a folder are to a suite, and not to a file that has its name."""
    noted = [read_about(path.parent) for path in folder.glob(f"*/{ABOUT}")]
    return not suite.same_for_any_n or all(about.get("spectra") == suite.digest(1) for about in noted)


def tables(own: pd.DataFrame) -> dict[str, list[str]]:
    """Tables of one suite that have lines, by name."""
    made = {"accuracy": accuracy(own), "coverage": coverage(own), "ratios": ratios(own), "speed": speed(own)}
    if own["backend"].str.endswith("(published)").any():
        made["published"] = published(own)
    if (own["axis"] == "part").any():
        made["parts"] = parts(own)
    found = {name: list(lines) for name, lines in made.items()}
    return {name: lines for name, lines in found.items() if len(lines) > 2}


if __name__ == "__main__":
    sys.exit(main())
