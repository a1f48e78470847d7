"""One simulated spectrum fitted twice: by the emcee backend, and by bagpipes with its nautilus sampler.

    python -m benchmarks.against_bagpipes --instrument moons-lr --seed 3
    python -m benchmarks.against_bagpipes --seed 3 --max-seconds 1800 --stock

Needs the extra `bagpipes`. Both get the same pixels and the same narrow range of redshift around the truth, one thread
and a process of their own. bagpipes has the model nearest to ours (docs/bagpipes.md) with every parameter free that it
has, a calibration polynomial of the instrument's degree among them, and without its slow loops; `--stock` also times
one likelihood call of bagpipes exactly as it ships. What was measured lies in a folder, a file for each backend, and is
not measured again: a run that was stopped goes on with what is missing.

Seconds are those of the call a user makes, the setting up of either model and the start of bagpipes included; those the
processor worked for it, of which ratios are made, are the same on a busy machine. Effective samples are those each
sampler states: draws over their autocorrelation time for emcee, (sum w)^2 / sum w^2 of its weights for nautilus. Where
bagpipes stopped at --max-seconds its sampler had not converged: its time is a lower limit, marked >=, and its effective
samples are not those of the posterior.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.forward import peak_mb
from galfit_ml.backend import Backend, Request
from galfit_ml.flags import Flag
from galfit_ml.instruments import get_instrument
from galfit_ml.parameters import GALAXY
from galfit_ml.posterior import Posterior
from galfit_ml.redshift_prior import RedshiftPrior, RedshiftPriors
from galfit_ml.simulate.surveys import MockSurvey, survey
from galfit_ml_bagpipes.backend import BagpipesBackend
from galfit_ml_emcee.backend import EmceeBackend

STAR_FORMING = (-10.0, -8.5)
"""log10 of the specific star-formation rate, 1/yr, of the galaxy that is chosen."""

LARGEST_AV = 1.5

NOT_OF = {
    "emcee": {"out", "stock", "n_live", "n_eff", "max_calls", "max_seconds"},
    "bagpipes": {"out", "stock", "n_effective"},
}
"""Options that a backend's result does not depend on."""

N_CANDIDATES = 64
N_SAMPLES = 1000
STOCK_CALLS = 100

OWN_NOTE = "each has nuisances of its own that are integrated out and not counted here"


def mock(options: argparse.Namespace) -> MockSurvey:
    """The first star-forming galaxy without much dust of a survey near the magnitude and redshift asked for."""
    m, z = options.magnitude, options.redshift
    candidates = survey(
        options.instrument,
        N_CANDIDATES,
        "training",
        options.seed,
        exposure=options.exposure,
        tier=options.tier,
        magnitude=(m - 0.2, m + 0.2),
        redshift=(z - 0.05, z + 0.05),
    )
    rate, av = candidates.truth["log_ssfr"], candidates.truth["dust_av"]
    suitable = (rate > STAR_FORMING[0]) & (rate < STAR_FORMING[1]) & (av < LARGEST_AV)
    return candidates.take(np.flatnonzero(suitable)[:1])


def request(chosen: MockSurvey, options: argparse.Namespace) -> Request:
    """Draws wanted, and the range of redshift that both are given."""
    z = float(chosen.truth["redshift"][0])
    half = options.width * (1 + z)
    # Off centre, so that neither is helped by a truth in the middle of the range.
    return Request(N_SAMPLES, options.seed, RedshiftPriors((RedshiftPrior(z - 0.8 * half, z + 1.2 * half),)))


def backend(name: str, options: argparse.Namespace) -> Backend:
    if name == "emcee":
        return EmceeBackend(n_effective=options.n_effective)
    order = get_instrument(options.instrument).calibration_order
    if name == "stock":
        return BagpipesBackend(STOCK_CALLS, max_calls=STOCK_CALLS, calibration_order=order, stock=True)
    return BagpipesBackend(
        options.n_live,
        options.n_eff,
        options.max_calls,
        max_seconds=options.max_seconds,
        calibration_order=order,
    )


def measure(task: tuple[str, argparse.Namespace]) -> dict[str, Any]:
    """Fit the mock with one backend; runs in a process of its own."""
    import torch

    name, options = task
    torch.set_num_threads(1)
    chosen = mock(options)
    asked = request(chosen, options)
    calls = count_models()
    start, begun = time.perf_counter(), cpu_seconds()
    posterior = backend(name, options).infer(chosen.batch, asked)
    seconds, worked = time.perf_counter() - start, cpu_seconds() - begun
    if not posterior.ok[0]:
        raise SystemExit(f"{name} failed: {posterior.reasons[0]}")
    told = {key: float(value[0]) for key, value in posterior.diagnostics.items()}
    told.setdefault("likelihood_calls", float(calls[0] or np.nan))
    told.setdefault("free_parameters", float(free_parameters()))
    told["peak_memory_mb"] = max(told.get("peak_memory_mb", 0.0), peak_mb())
    return {
        "seconds": seconds,
        "cpu_seconds": worked,
        "flags": int(posterior.flags[0]),
        "told": told,
        "answer": quantiles(posterior),
    }


def cpu_seconds() -> float:
    """Seconds that this process and those it started, which have ended, have worked."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def count_models() -> list[int]:
    """A list whose one number counts the spectra that the galaxy model of this package makes from now on."""
    from galfit_ml.simulate.galaxy import GalaxyModel

    counted, observe = [0], GalaxyModel.observe

    def counting(model: GalaxyModel, galaxies: Any, *arguments: Any, **more: Any) -> Any:
        counted[0] += len(galaxies)
        return observe(model, galaxies, *arguments, **more)

    GalaxyModel.observe = counting  # type: ignore[method-assign]
    return counted


def free_parameters() -> int:
    """Of the emcee backend: the coordinates of the prior and the noise scale."""
    from galfit_ml.simulate.prior import COORDINATES

    return len(COORDINATES) + 1


def quantiles(posterior: Posterior) -> dict[str, list[float]]:
    return {p.name: posterior.quantile(p.name, [0.16, 0.5, 0.84])[0].tolist() for p in posterior.parameters}


def measured(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """What stands in the file of a backend, or is measured and written there."""
    without = NOT_OF["emcee" if name == "emcee" else "bagpipes"]
    settings = {key: str(value) for key, value in vars(options).items() if key not in without}
    file = options.out / f"{name}.json"
    if file.exists():
        kept = json.loads(file.read_text())
        if kept["settings"] == settings:
            return kept
        raise SystemExit(f"{file} was made with other settings. Give another folder with --out, or remove it.")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = {**pool.submit(measure, (name, options)).result(), "settings": settings}
    file.write_text(json.dumps(found, indent=1))
    return found


def report(results: dict[str, dict[str, Any]], truth: dict[str, float]) -> list[str]:
    """Lines of text."""
    ours, theirs = results["emcee"], results["bagpipes"]
    stopped = bool(theirs["flags"] & Flag.NOT_CONVERGED)
    limit = ">= " if stopped else ""
    rows = [f"{'':24s}{'emcee':>14s}{'bagpipes':>16s}"]
    for name, key in (("seconds", "seconds"), ("processor seconds", "cpu_seconds")):
        rows.append(line(name, ours[key], theirs[key], limit))
    for key in ("effective_samples", "likelihood_calls", "free_parameters", "peak_memory_mb"):
        rows.append(line(key.replace("_", " "), *(r["told"].get(key, np.nan) for r in (ours, theirs)), digits=0))
    rows.append(line("processor s / effective", per_sample(ours), per_sample(theirs), digits=4))
    rows.append(f"ratio of times {limit}{theirs['cpu_seconds'] / ours['cpu_seconds']:.1f}")
    if stopped:
        rows.append("bagpipes stopped at its cap before it converged: its effective samples are not the posterior's,")
        rows.append("and no ratio per effective sample is given")
    else:
        rows.append(f"ratio per effective sample {per_sample(theirs) / per_sample(ours):.1f}")
    rows += stock_lines(results, stopped)
    return [*rows, OWN_NOTE, "", *answers(ours, theirs, truth)]


def line(name: str, ours: float, theirs: float, limit: str = "", digits: int = 1) -> str:
    return f"{name:24s}{ours:14.{digits}f}{limit + format(theirs, f'.{digits}f'):>16s}"


def per_sample(result: dict[str, Any]) -> float:
    """Processor seconds for each effective sample."""
    return float(result["cpu_seconds"] / max(result["told"].get("effective_samples", np.nan), 1e-9))


def stock_lines(results: dict[str, dict[str, Any]], stopped: bool) -> list[str]:
    """How long a call takes as bagpipes ships, if that was measured, and the whole fit with calls of that length."""
    if "stock" not in results:
        return []
    ours, theirs = results["emcee"], results["bagpipes"]
    fast, stock = (r["told"]["sampling_seconds"] / r["told"]["likelihood_calls"] for r in (theirs, results["stock"]))
    # Both were timed by the clock: on a busy machine the share that it worked stands in for it.
    fast, stock = (f * r["cpu_seconds"] / r["seconds"] for f, r in ((fast, theirs), (stock, results["stock"])))
    rows = [
        f"bagpipes as it ships: {1e3 * stock:.0f} ms a call; here {1e3 * fast:.1f} ms, the sampler's own work included"
    ]
    slower = {**theirs, "cpu_seconds": theirs["cpu_seconds"] + (stock - fast) * theirs["told"]["likelihood_calls"]}
    whole = slower["cpu_seconds"]
    rows.append(
        f"with calls of that length it would have taken {whole:.0f} s: {whole / ours['cpu_seconds']:.0f} times emcee"
    )
    if not stopped:
        rows.append(f"and {per_sample(slower) / per_sample(ours):.0f} times as long per effective sample")
    return rows


def answers(ours: dict[str, Any], theirs: dict[str, Any], truth: dict[str, float]) -> list[str]:
    rows = [f"{'median -/+ 68 %':20s}{'truth':>10s}{'emcee':>28s}{'bagpipes':>28s}"]
    for p in GALAXY:
        cells = [interval(*r["answer"][p.name], digits=5 if p.name == "redshift" else 2) for r in (ours, theirs)]
        rows.append(f"{p.name:20s}{truth[p.name]:10.4g}{cells[0]:>28s}{cells[1]:>28s}")
    return rows


def interval(low: float, middle: float, high: float, digits: int) -> str:
    return f"{middle:.{digits}f} -{middle - low:.{digits}f} +{high - middle:.{digits}f}"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instrument", default="moons-lr")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--exposure", default="8h")
    parser.add_argument("--tier", type=int, default=2, choices=(0, 1, 2))
    parser.add_argument("--magnitude", type=float, default=21.0)
    parser.add_argument("--redshift", type=float, default=1.2)
    parser.add_argument("--width", type=float, default=0.01, help="half-width of the redshift range, in 1 + z")
    parser.add_argument("--n-effective", type=float, default=500.0, help="effective samples asked of emcee")
    parser.add_argument("--n-live", type=int, default=400)
    parser.add_argument("--n-eff", type=float, default=1000.0)
    parser.add_argument("--max-calls", type=int, default=1_000_000)
    parser.add_argument("--max-seconds", type=float, default=float("inf"), help="after which bagpipes' sampling stops")
    parser.add_argument("--stock", action="store_true", help="also time bagpipes exactly as it ships")
    parser.add_argument("--out", type=Path, default=Path("results/against_bagpipes"))
    return parser.parse_args()


def main() -> None:
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    chosen = mock(options)
    if len(chosen) == 0:
        raise SystemExit("No star-forming galaxy among the candidates: choose another --seed.")
    truth = {p.name: float(chosen.truth[p.name][0]) for p in GALAXY}
    print(f"{options.instrument}, S/N {float(chosen.truth['snr'][0]):.1f} per pixel, seed {options.seed}", flush=True)
    names = ["emcee", "bagpipes", *(["stock"] if options.stock else [])]
    print("\n".join(report({name: measured(name, options) for name in names}, truth)))


if __name__ == "__main__":
    main()
