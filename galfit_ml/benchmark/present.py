"""What a report shows of a folder of results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galfit_ml import __version__
from galfit_ml.benchmark.answers import ABOUT, read_about
from galfit_ml.benchmark.report import ReportData, Spectra
from galfit_ml.benchmark.results import read_results
from galfit_ml.benchmark.spectra import shards
from galfit_ml.benchmark.suite import Suite, get_suite
from galfit_ml.benchmark.table import machine
from galfit_ml.errors import GalfitMLError
from galfit_ml.spectra import SpectrumBatch

MOST_SPECTRA = 300
"""Spectra of a suite that a report shows: 0.6 MB."""

SHOWN_PIXELS = 500


def report_data(folder: Path) -> ReportData:
    """Rows, points and some spectra of a folder; BenchmarkError where there are none."""
    rows, points = read_results(folder)
    machines = sorted({m for m in rows["machine"].astype(str) if m and m != "nan"})
    about = {"machine": "; ".join(machines) or machine(), "galfit_ml": __version__, **_commands(folder)}
    return ReportData(rows=rows, points=points, about=about, spectra=_spectra(folder, points))


def _commands(folder: Path) -> dict[str, str]:
    """Options of each backend other than the usual ones, and of how many states of the code its answers are."""
    out = {}
    for path in sorted(folder.glob(f"**/{ABOUT}")):
        known = read_about(path.parent)
        told = [f"{k}={v}" for k, v in (known.get("options") or {}).items()]
        states = len(known.get("code") or ())
        told += [f"answers of {states} states of the code"] if states > 1 else []
        if told:
            out[f"{known['suite']}, {known['backend']}"] = ", ".join(told)
    return out


def _spectra(folder: Path, points: pd.DataFrame) -> dict[str, Spectra]:
    """Of each suite of mocks, those of its first spectra: made again, for they are not kept.

    Left out where a suite of that name is not known here, or has other spectra.
    """
    answered = [read_about(path.parent) for path in sorted(folder.glob(f"**/{ABOUT}"))]
    found = {}
    for name in points["suite"].unique() if len(points) else ():
        n = int(points.loc[points["suite"] == name, "spectrum"].max()) + 1
        try:
            suite = get_suite(str(name))
        except GalfitMLError:
            continue
        same = all(about["spectra"] == suite.digest(n) for about in answered if about["suite"] == name)
        if same and suite.kind == "mocks" and len({part.rebin for part in suite.parts}) == 1:
            found[str(name)] = _first(suite, n)
    return found


def _first(suite: Suite, n: int) -> Spectra:
    wave, out = np.zeros(0), np.zeros((0, 0), dtype=np.float32)
    for shard in shards(suite, n):
        if shard.first >= MOST_SPECTRA:
            break
        wave, flux = binned(shard.batch, SHOWN_PIXELS)
        whole = np.full((shard.first + len(shard), len(wave)), np.nan, dtype=np.float32)
        if len(out):
            whole[: len(out)] = out
        whole[shard.first :] = flux
        out = whole
    return Spectra(wave, out[:MOST_SPECTRA])


def binned(batch: SpectrumBatch, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wavelengths [n'] and inverse-variance weighted flux [n_spectrum, n'] in at most n bins over all arms."""
    wave = np.concatenate([arm.grid.centres for arm in batch.arms])
    flux, ivar = (np.concatenate([getattr(arm, k) for arm in batch.arms], axis=1) for k in ("flux", "ivar"))
    order = np.argsort(wave)
    starts = np.unique(np.linspace(0, len(wave), n + 1)[:-1].astype(int))
    total = np.add.reduceat(ivar[:, order], starts, axis=1)
    mean = np.add.reduceat((flux * ivar)[:, order], starts, axis=1) / np.where(total > 0, total, 1.0)
    counts = np.diff(np.append(starts, len(wave)))
    return np.add.reduceat(wave[order], starts) / counts, np.where(total > 0, mean, np.nan)
