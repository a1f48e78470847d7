"""Speed and memory of the galaxy model, beside `bagpipes.model_galaxy(...).update` in the same process.

    python -m benchmarks.forward                        # batches of 1, 16, 64, 256, 1024 spectra
    python -m benchmarks.forward --batch 256 --bin 1    # one batch size, every MOONS pixel
    python -m benchmarks.forward --json forward.json

Both make noiseless spectra of the same galaxies on the same MOONS-like pixels: stars, nebular continuum, lines, dust,
velocity dispersion, redshift. The galaxy model also convolves with the line-spread function and scales to a magnitude;
bagpipes is not asked to. bagpipes runs with its default sampling of the spectrum (R_spec = 1000, 150 km/s: coarser than
these pixels) and with one as fine as the grid here (R_spec = 3000, 50 km/s). Without bagpipes only the galaxy model is
measured. Times are medians over repeats after a warm-up; run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import importlib.util
import io
import json
import os
import platform
import resource
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from galfit_ml.simulate.galaxies import Galaxies
from galfit_ml.simulate.galaxy import GalaxyModel, Pixels
from galfit_ml.simulate.prior import GalaxyPrior

BATCHES = (1, 16, 64, 256, 1024)
REDSHIFTS = (0.0, 5.0)
ARMS = ((6470.0, 9340.0, 0.697, 4200.0), (9340.0, 13500.0, 0.984, 4300.0), (14520.0, 18000.0, 0.899, 6700.0))
"""MOONS at low resolution: range (A), pixel (A), resolving power."""

R_SPEC = (1000.0, 3000.0)


@dataclass(frozen=True)
class Row:
    """One measured figure.

    Args:
        what: what was measured.
        batch: spectra per call.
        value, unit: the figure (a median where it is a time).
        best: the least value of the repeats.
        better: "lower" or "higher".
    """

    what: str
    batch: int
    value: float
    unit: str
    best: float
    better: str = "lower"


def moons_pixels(binning: int) -> Pixels:
    """The MOONS pixels, `binning` of them put together."""
    edges = [np.arange(low, high, step * binning) for low, high, step, _ in ARMS]
    centres = [0.5 * (e[1:] + e[:-1]) for e in edges]
    sigma = [c / arm[3] / 2.355 for c, arm in zip(centres, ARMS, strict=True)]
    return Pixels.from_arrays(np.concatenate(centres), edges, np.concatenate(sigma), (14520.0, 18000.0))


def galaxies(n: int) -> Galaxies:
    """n galaxies of the prior."""
    prior = GalaxyPrior(REDSHIFTS, (18.0, 25.5))
    return prior.transform(prior.draw(n, torch.Generator().manual_seed(0)))


def seconds(call: Callable[[int], object], repeats: int) -> tuple[float, float]:
    """Median and least time of `call(i)`, after two calls that do not count."""
    times = []
    for i in range(-2, repeats):
        start = time.perf_counter()
        call(i)
        times.append(time.perf_counter() - start)
    return float(np.median(times[2:])), min(times[2:])


def resident_mb() -> float:
    """Memory the process holds now, MB; its peak so far where the system does not say."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize() / 1e6
    return peak_mb()


def peak_mb() -> float:
    """Highest memory the process held since `reset_peak`, MB."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    found = [int(line.split()[1]) / 1e3 * 1.024 for line in lines if line.startswith("VmHWM")]
    return found[0] if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def reset_peak() -> None:
    """Give freed memory back and let the peak count from now on (Linux; elsewhere it counts from the start)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")


def measure_model(batches: list[int], pixels: Pixels, repeats: int) -> Iterator[Row]:
    """Time and peak memory of the galaxy model, by batch size, smallest first."""
    model = GalaxyModel()
    model.observe(galaxies(1), pixels)
    reset_peak()
    base = resident_mb()
    for batch in sorted(batches):
        drawn = galaxies(batch)
        reset_peak()
        model.observe(drawn, pixels)
        memory = peak_mb() - base
        enough = max(repeats, min(50, 256 * repeats // batch)) if batch < 256 else repeats
        median, best = seconds(lambda _, drawn=drawn: model.observe(drawn, pixels), enough)  # type: ignore[misc]
        yield Row("galaxy model", batch, 1e3 * median / batch, "ms / spectrum", 1e3 * best / batch)
        yield Row("galaxy model, peak memory above the loaded model", batch, memory, "MB", memory)


def measure_bagpipes(pixels: Pixels, repeats: int) -> Iterator[Row]:
    """Time of `model_galaxy.update` on the same pixels, for each sampling."""
    parts = [components(galaxies(32).take(slice(i, i + 1))) for i in range(32)]
    with quiet():
        import bagpipes

        bagpipes.config.max_redshift = REDSHIFTS[1]
        for sampling in R_SPEC:
            bagpipes.config.R_spec = sampling
            model = bagpipes.model_galaxy(parts[0], spec_wavs=pixels.wavelength.numpy())
            median, best = seconds(lambda i, model=model: model.update(parts[i % 32]), 3 * repeats)  # type: ignore[misc]
            yield Row(f"bagpipes, R_spec = {sampling:.0f}", 1, 1e3 * median, "ms / spectrum", 1e3 * best)


def components(galaxy: Galaxies) -> dict[str, Any]:
    """A galaxy of the prior as bagpipes takes it: the last 100 Myr, and a delayed exponential for the rest."""
    metallicity = 10 ** galaxy.log_metallicity.item()
    recent = {"age_min": 0.0, "age_max": 0.1, "massformed": 18.5 + galaxy.history.log_ssfr.item()}
    smooth = {"age": galaxy.history.formation_age.item() / 1e9 * 0.98, "tau": galaxy.history.tau.item() / 1e9}
    return {
        "redshift": galaxy.redshift.item(),
        "constant": {**recent, "metallicity": metallicity},
        "delayed": {**smooth, "massformed": 10.5, "metallicity": metallicity},
        "dust": {"type": "Calzetti", "Av": galaxy.dust_av.item(), "eta": galaxy.dust_eta.item()},
        "nebular": {"logU": galaxy.log_ionisation.item()},
        "t_bc": 0.01,
        "veldisp": galaxy.velocity_dispersion.item(),
    }


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what bagpipes prints and warns of when it is imported off the screen."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def ratios(rows: list[Row]) -> list[Row]:
    """How many times faster each batch size is than each bagpipes row."""
    mine = [row for row in rows if row.what == "galaxy model"]
    theirs = [row for row in rows if row.what.startswith("bagpipes")]
    return [
        Row(f"ratio to {other.what}", row.batch, other.value / row.value, "×", other.best / row.best, "higher")
        for row in mine
        for other in theirs
    ]


def measure(batches: list[int], binning: int, repeats: int, with_bagpipes: bool) -> list[Row]:
    """All rows: the model's, bagpipes' and their ratios."""
    pixels = moons_pixels(binning)
    with torch.inference_mode():
        rows = list(measure_model(batches, pixels, repeats))
    if with_bagpipes:
        rows += list(measure_bagpipes(pixels, repeats))
    return rows + ratios(rows)


def about(binning: int) -> dict[str, Any]:
    """Where and with what it was measured."""
    return {
        "pixels": len(moons_pixels(binning).wavelength),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "machine": platform.machine(),
        "torch": torch.__version__,
        "bagpipes": version("bagpipes") if importlib.util.find_spec("bagpipes") else None,
    }


def main(arguments: list[str] | None = None) -> None:
    """Measure, print a table, write JSON if asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--batch", type=int, nargs="+", default=list(BATCHES), help="spectra per call")
    parser.add_argument("--bin", type=int, default=2, help="MOONS pixels put together (1: all 12,217)")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    parser.add_argument("--alone", action="store_true", help="leave bagpipes out")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    found = importlib.util.find_spec("bagpipes") is not None
    facts = about(options.bin)
    print(", ".join(f"{key} {value}" for key, value in facts.items()))
    rows = measure(options.batch, options.bin, options.repeats, found and not options.alone)
    for row in rows:
        print(f"{row.what:52s} batch {row.batch:5d}  {row.value:9.3f} {row.unit:14s} best {row.best:9.3f}")
    if not found:
        print("bagpipes is not installed, so there is no ratio: pip install 'galfit-ml[bagpipes]'")
    if options.json is not None:
        options.json.write_text(json.dumps({"about": facts, "rows": [asdict(row) for row in rows]}, indent=1))


if __name__ == "__main__":
    main()
