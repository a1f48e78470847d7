"""Simulation-based calibration of the emcee backend: ranks and coverage of all parameters in bins of S/N.

    python -m benchmarks.emcee.calibration --instrument sdss --snr 2:5 5:12 12:40 --n 100 --workers 2 --out FOLDER
    python -m benchmarks.emcee.calibration --instrument sdss --report --out FOLDER

`--tier matched` (default) makes mocks whose noise is that of the likelihood; `--tier 1` and `--tier 2` those of the
simulator, with what the likelihood does not know. Spectra are sorted into bins by their measured S/N, which selects
nothing that the posterior does not know. One file per spectrum; a run that was stopped goes on.
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
from scipy.stats import binom, kstest

from benchmarks.emcee.matched import MatchedMocks, median_snr, renamed
from galfit_ml.backend import Request
from galfit_ml.instruments import get_instrument
from galfit_ml.redshift_prior import RedshiftPriors
from galfit_ml.spectra import SpectrumBatch
from galfit_ml.workers import News, run_tasks

LEVELS = (0.5, 0.68, 0.9)
TAIL = 0.005
N_DRAWS = 1000

MAGNITUDES = {"sdss": (15.0, 20.5), "moons-lr": (19.0, 25.5)}
"""Wide enough for all bins of S/N."""

EXPOSURES = {"sdss": "45m", "moons-lr": "8h"}
SUCCESS = 0.0033

Task = tuple[SpectrumBatch, dict[str, float], Path]


def mocks(instrument: str, tier: str, seed: int) -> Iterator[tuple[SpectrumBatch, dict[str, float]]]:
    """Endless spectra with truths."""
    if tier == "matched":
        yield from MatchedMocks(get_instrument(instrument), EXPOSURES[instrument], seed, MAGNITUDES[instrument])
        return
    from galfit_ml.parameters import GALAXY
    from galfit_ml.simulate import survey

    number = 0
    while True:
        own = survey(
            instrument,
            64,
            "training",
            seed * 1000 + number,
            tier=int(tier),
            exposure=EXPOSURES[instrument],
            magnitude=MAGNITUDES[instrument],
        )
        for i in range(len(own.batch)):
            names = [*GALAXY.names, "magnitude", "log_ssfr"]
            yield own.batch.take([i]), {k: float(own.truth[k][i]) for k in names if k in own.truth}
        number += 1


def tasks(options: argparse.Namespace) -> list[Task]:
    """The spectra of all bins that are not done yet."""
    bins = [tuple(float(v) for v in text.split(":")) for text in options.snr]
    counts, out = [0] * len(bins), []
    for batch, truth in mocks(options.instrument, options.tier, options.seed):
        snr = median_snr(batch)
        for k, (low, high) in enumerate(bins):
            if low <= snr < high and counts[k] < options.n:
                path = options.out / f"{options.instrument}-{options.tier}-{low:g}-{high:g}-{counts[k]:04d}.json"
                counts[k] += 1
                if not path.exists():
                    out.append((renamed(batch, path.stem), truth | {"snr": snr}, path))
        if all(c >= options.n for c in counts):
            # The bins take turns, so that a run that is stopped has something of each.
            return sorted(out, key=lambda task: int(task[2].stem.rsplit("-", 1)[1]))
    raise AssertionError("mocks never end")


def measure(task: Task, news: News, n_effective: float = 500.0) -> None:
    """Fit one mock and write the rank of each truth among the draws."""
    from galfit_ml_emcee.backend import EmceeBackend

    batch, truth, path = task
    if path.exists():
        return
    start = time.process_time()
    backend = _cached(EmceeBackend, n_effective)
    posterior = backend.infer(batch, Request(N_DRAWS, 1, RedshiftPriors.free(1), news and (lambda *_: None)))
    if not posterior.ok[0]:
        path.write_text(json.dumps({"failed": posterior.reasons[0], "truth": truth}))
        return
    row: dict[str, Any] = {"seconds": time.process_time() - start, "flags": int(posterior.flags[0]), "truth": truth}
    row["ranks"] = {p.name: float((posterior[p.name][0] < truth[p.name]).mean()) for p in posterior.parameters}
    row["quantiles"] = {p.name: posterior.quantile(p.name, [0.16, 0.5, 0.84])[0].tolist() for p in posterior.parameters}
    row["diagnostics"] = {k: float(v[0]) for k, v in posterior.diagnostics.items()}
    path.write_text(json.dumps(row))


_BACKENDS: dict[float, Any] = {}


def _cached(kind: Any, n_effective: float) -> Any:
    """The backend of this process: templates and models are made once."""
    if n_effective not in _BACKENDS:
        _BACKENDS[n_effective] = kind(n_effective=n_effective)
    return _BACKENDS[n_effective]


def report(folder: Path, prefix: str) -> list[str]:
    """A Markdown table for each bin, and one of all: shares of truths inside intervals, whether ranks are uniform.

    The last column counts ranks in the outermost 1 %, with how many calibrated chains of as many effective samples have
    there: 50 to 90 % intervals are blind to tails.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob(f"{prefix}*.json")):
        groups.setdefault(path.stem.rsplit("-", 1)[0], []).append(json.loads(path.read_text()))
    if len(groups) > 1:
        groups["all"] = [row for rows in groups.values() for row in rows]
    lines: list[str] = []
    for name, rows in groups.items():
        lines += ["", f"**{name}**: {_summary(rows)}", "", *_table([r for r in rows if "ranks" in r])]
    return lines


def _summary(rows: list[dict[str, Any]]) -> str:
    good = [r for r in rows if "ranks" in r]
    z = np.array([r["quantiles"]["redshift"][1] for r in good])
    true = np.array([r["truth"]["redshift"] for r in good])
    right = np.abs(z - true) < SUCCESS * (1 + true)
    seconds = np.median([r["seconds"] for r in good])
    snr = np.median([r["truth"]["snr"] for r in good])
    late = np.mean([bool(r["flags"] & (1 << 16)) for r in good])
    ess = np.median([r["diagnostics"]["effective_samples"] for r in good])
    return (
        f"{len(good)} spectra ({len(rows) - len(good)} failed), median S/N {snr:.1f}, "
        f"redshift right {right.mean():.2f}, not converged {late:.2f}, "
        f"median of the least effective samples {ess:.0f}, {seconds:.0f} core-seconds"
    )


def _table(rows: list[dict[str, Any]]) -> list[str]:
    n = len(rows)
    head = [f"{level:.0%} (allowed)" for level in LEVELS]
    head += ["mean rank", "p (uniform ranks)", "tails (expected)"]
    lines = ["| parameter | " + " | ".join(head) + " |", "|---|" + "--:|" * len(head)]
    for name in rows[0]["ranks"]:
        ranks = np.array([r["ranks"][name] for r in rows])
        cells = []
        for level in LEVELS:
            inside = int((np.abs(ranks - 0.5) <= level / 2).sum())
            low, high = binom.ppf([0.025, 0.975], n, level) / n
            cells.append(f"{inside / n:.2f} ({low:.2f}–{high:.2f})")
        p = kstest(ranks, "uniform").pvalue
        beyond = int((np.abs(ranks - 0.5) >= 0.5 - TAIL).sum())
        cells += [f"{ranks.mean():.3f}", f"{p:.3f}", f"{beyond} ({tails(rows, name):.1f})"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def tails(rows: list[dict[str, Any]], name: str) -> float:
    """Ranks within `TAIL` of 0 or 1 to be expected of calibrated chains: a truth falls with equal probability between
    any two of as many independent samples as each chain is worth."""
    effective = np.array([r["diagnostics"][f"effective_{name}"] for r in rows])
    n = np.minimum(np.nan_to_num(effective, nan=N_DRAWS), N_DRAWS)
    return float((2 * (np.floor(TAIL * n) + 1) / (n + 1)).sum())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instrument", default="sdss", choices=sorted(MAGNITUDES))
    parser.add_argument("--snr", nargs="+", default=["2:5", "5:12", "12:40"], metavar="LOW:HIGH")
    parser.add_argument("--tier", default="matched", choices=("matched", "1", "2"))
    parser.add_argument("--n", type=int, default=100, help="spectra per bin")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--n-effective", type=float, default=500.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("results/calibration"))
    parser.add_argument("--report", action="store_true", help="only the tables, of all that is in the folder")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.report:
        waiting, start = tasks(options), time.monotonic()

        def told(index: int, done: int, total: int) -> None:
            left = (time.monotonic() - start) / done * (total - done)
            print(f"{done}/{total}, {left / 60:.0f} min left", flush=True)

        outcomes = run_tasks(partial(measure, n_effective=options.n_effective), waiting, options.workers, on_done=told)
        print("\n".join(o.error for o in outcomes if not o.ok))
    print("\n".join(report(options.out, "" if options.report else f"{options.instrument}-{options.tier}-")))


if __name__ == "__main__":
    main()
