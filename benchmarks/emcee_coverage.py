"""Coverage of the emcee backend's intervals on simulated galaxies of its own prior, white noise, generic instrument.

    python -m benchmarks.emcee_coverage --n 30 --snr 8 --workers 2 --out results/coverage

One file per spectrum; goes on where it was stopped. Prints, for each parameter and level, how many truths lie in the
equal-tailed interval beside the number expected and its binomial error.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

LEVELS = (0.5, 0.68, 0.9)


def measure_one(task: tuple[int, int, float, Path]) -> None:
    """Fit mock `index` of a set and write the rank of each truth among the draws; nothing if it is there."""
    index, n, snr, out = task
    target = out / f"{index:04d}.json"
    if target.exists():
        return
    from galfit_ml.backend import Request
    from galfit_ml.redshift_prior import RedshiftPriors
    from galfit_ml.testing import default_instrument, simulated_batch
    from galfit_ml_emcee.backend import EmceeBackend

    batch, truth = simulated_batch(default_instrument(redshift_range=(0.02, 0.5)), n, snr, 2026)
    posterior = EmceeBackend().infer(batch.take([index]), Request(1000, 1, RedshiftPriors.free(1)))
    ranks = {p.name: float((posterior[p.name][0] < truth[p.name][index]).mean()) for p in posterior.parameters}
    right = abs(posterior.median()["redshift"][0] - truth["redshift"][index]) < 0.0033 * (1 + truth["redshift"][index])
    target.write_text(json.dumps({"ranks": ranks, "flags": int(posterior.flags[0]), "redshift_right": bool(right)}))


def report(out: Path) -> list[str]:
    """Lines of text: counts inside each interval."""
    rows = [json.loads(path.read_text()) for path in sorted(out.glob("[0-9]*.json"))]
    right = [row for row in rows if row["redshift_right"]]
    lines = [f"{len(rows)} spectra, {len(right)} with the redshift right; counted on the latter"]
    for name in right[0]["ranks"]:
        ranks = np.array([row["ranks"][name] for row in right])
        counts = []
        for level in LEVELS:
            inside = int((np.abs(ranks - 0.5) <= level / 2).sum())
            error = np.sqrt(len(right) * level * (1 - level))
            counts.append(f"{level:.0%}: {inside} (expected {len(right) * level:.1f} ± {error:.1f})")
        lines.append(f"{name:22s} " + "   ".join(counts))
    return lines


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=30)
    parser.add_argument("--snr", type=float, default=8.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("results/coverage"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    tasks = [(i, options.n, options.snr, options.out) for i in range(options.n)]
    with ProcessPoolExecutor(options.workers) as pool:
        for done, _ in enumerate(pool.map(measure_one, tasks), start=1):
            print(f"{done}/{len(tasks)}", flush=True)
    print("\n".join(report(options.out)))


if __name__ == "__main__":
    main()
