"""Invented results of benchmarks, realistic enough to look at: what reports are tested with."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from galfit_ml.benchmark.report.data import ROW_COLUMNS, ReportData, Spectra
from galfit_ml.parameters import GALAXY

# Scatter of each parameter at S/N 3, and how much each backend understates its errors.
SCATTER = (3e-4, 0.12, 0.25, 0.3, 0.25, 0.25, 40.0, 0.25, 0.35)
SKILL = {"cnn": 1.0, "emcee": 0.85, "bagpipes": 1.3}
STATED = {"cnn": 1.02, "emcee": 0.8, "bagpipes": 1.25}
EDGES = {"snr": (0.5, 1, 2, 4, 8, 16), "magnitude": (20, 21, 22, 23, 24, 25)}
CLASSES = ("star-forming", "quiescent", "post-starburst")
LEVELS = (0.5, 0.68, 0.9, 0.95)


def fake_report(
    n: int = 10_000, backends: tuple[str, ...] = ("cnn", "emcee"), suites: tuple[str, ...] = ("moons-snr",)
) -> ReportData:
    """`n` spectra of every suite answered by every backend; spectra to look at for the first 300 of the first suite."""
    tables = [fake_points(n, backends, suite, seed) for seed, suite in enumerate(suites)]
    rows = [row for table in tables for row in (*fake_rows(table), *fake_ratios(table))]
    spectra = {suites[0]: fake_spectra(tables[0], min(n, 300))}
    about = {
        "machine": "AMD EPYC, 2 cores, Linux, Python 3.11",
        "galfit_ml": "0.1.0",
        "command": "galfit-ml benchmark run " + " ".join(suites),
        "date": "2026-11-26",
    }
    return ReportData(table_of(rows), pd.concat(tables, ignore_index=True), about, spectra)


def table_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(ROW_COLUMNS))


def fake_truth(n: int, rng: np.random.Generator) -> dict[str, Any]:
    kind = rng.choice(3, n, p=[0.65, 0.25, 0.1])
    magnitude = rng.uniform(20, 25, n)
    mass = 11.5 - 0.45 * (magnitude - 20) + rng.normal(0, 0.3, n)
    ssfr = np.array([-9.3, -11.8, -10.8])[kind] + rng.normal(0, 0.4, n)
    values = {"redshift": rng.uniform(0.4, 2.6, n), "log_stellar_mass": mass, "log_sfr": mass + ssfr}
    for parameter in list(GALAXY)[3:]:
        width = parameter.high - parameter.low
        values[parameter.name] = parameter.low + width * rng.beta(2.5, 2.5, n)
    truth = {f"true_{name}": value for name, value in values.items()}
    snr = 10 ** (0.95 - 0.32 * (magnitude - 20) + rng.normal(0, 0.12, n)) * 1.6
    names = np.array(CLASSES)[kind]
    return {"snr": snr, "magnitude": magnitude, "class": names, "log_ssfr": ssfr, "exposure_s": 28800.0, **truth}


def fake_points(n: int, backends: tuple[str, ...], suite: str = "moons-snr", seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    truth = fake_truth(n, rng)
    names = [f"MOONS_{suite}_{k:05d}" for k in range(n)]
    base = {"suite": suite, "spectrum": np.arange(n), "id": names, **truth}
    return pd.concat([fake_answers(base, backend, rng) for backend in backends], ignore_index=True)


def fake_answers(base: dict[str, Any], backend: str, rng: np.random.Generator) -> pd.DataFrame:
    table: dict[str, Any] = {"backend": backend, **base}
    snr, true = base["snr"], base["true_redshift"]
    n = len(snr)
    right = rng.random(n) < 1 / (1 + np.exp(-2.6 * (np.log(snr) + 0.1 + 0.3 * (backend == "emcee"))))
    for parameter, scatter in zip(GALAXY, SCATTER, strict=True):
        sigma, wide = scatter * SKILL.get(backend, 1.1) * (snr / 3) ** -0.7, np.where(right, 1, 2.5)
        error = rng.normal(0, 1, n) * sigma * wide
        if parameter.name == "redshift":
            error = np.where(right, error * (1 + true), rng.uniform(0.2, 3, n) - true)
            sigma = np.where(right, sigma * (1 + true), 0.7)
        middle = base[f"true_{parameter.name}"] + error
        half = sigma * STATED.get(backend, 1.0) * (1 if parameter.name == "redshift" else wide)
        level = np.clip(0.5 - 0.5 * np.tanh(0.8 * error / half), 0, 1)
        table |= {f"median_{parameter.name}": middle, f"low_{parameter.name}": middle - half}
        table |= {f"high_{parameter.name}": middle + half, f"level_{parameter.name}": level}
        table[f"crps_{parameter.name}"] = np.abs(error) * 0.6 + 0.1 * half
    table["best_redshift"] = table["median_redshift"]
    probability = np.clip(np.where(right, 1, 0.6) - rng.random(n) * 0.5 / snr, 0, 1)
    flags = np.where(snr < 1, 16, 0) | np.where(probability < 0.7, 128, 0)
    table |= {"redshift_probability": probability, "right": right, "flags": flags, "failed": False, "reason": ""}
    if backend == "cnn":
        table["latent_x"] = base["log_ssfr"] + 11 + 0.5 * true + rng.normal(0, 0.25, n)
        table["latent_y"] = 1.6 * true * np.cos(1.2 * base["log_ssfr"]) + np.log(snr) + rng.normal(0, 0.2, n)
    return pd.DataFrame(table)


def fake_rows(points: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for backend, own in points.groupby("backend", sort=False):
        blank = {"suite": own["suite"].iloc[0], "backend": backend, "version": "0.1.0", "machine": "AMD EPYC, 2 cores"}
        for axis, label, ends, part in _bins(own):
            place = {**blank, "axis": axis, "bin": label, "low": ends[0], "high": ends[1], "reason": ""}
            if len(part) > 20:
                yield from ({**place, **row} for row in _metrics(part))
        place = {**blank, "reason": ""}
        yield from ({**place, **row} for row in (*_pit(own), *_retention(own), *_speed(str(backend))))


def fake_ratios(points: pd.DataFrame, baseline: str = "emcee") -> Iterator[dict[str, Any]]:
    """CRPS of each backend over the baseline's, and redshift success less the baseline's."""
    others = [name for name in points["backend"].unique() if name != baseline]
    if baseline not in set(points["backend"]):
        return
    theirs = points[points["backend"] == baseline].reset_index(drop=True)
    for backend in others:
        own = points[points["backend"] == backend].reset_index(drop=True)
        blank = {"suite": own["suite"].iloc[0], "backend": backend, "version": "0.1.0", "machine": "", "reason": ""}
        for axis, label, ends, part in _bins(own):
            place = {**blank, "axis": axis, "bin": label, "low": ends[0], "high": ends[1]}
            for parameter in GALAXY if len(part) > 20 else ():
                name = f"crps_{parameter.name}"
                ratio = float(part[name].mean() / theirs.loc[part.index, name].mean())
                error = ratio * len(part) ** -0.5
                yield {**place, **_row(parameter.name, f"crps_over_{baseline}", ratio, error, "lower", len(part))}
            if len(part) > 20:
                more = float(part["right"].mean() - theirs.loc[part.index, "right"].mean())
                yield {**place, **_row("redshift", f"success_minus_{baseline}", more, 0.02, "higher", len(part))}


def _bins(own: pd.DataFrame) -> Iterator[tuple[str, str, tuple[float, float], pd.DataFrame]]:
    yield "all", "all", (np.nan, np.nan), own
    for axis, edges in EDGES.items():
        for low, high in itertools.pairwise(edges):
            yield axis, f"{low:g}-{high:g}", (low, high), own[(own[axis] >= low) & (own[axis] < high)]
    for name in CLASSES:
        yield "class", name, (np.nan, np.nan), own[own["class"] == name]


def _row(parameter: str, metric: str, value: float, error: float, direction: str, n: int) -> dict[str, Any]:
    unit = {"crps": "", "nmad": ""}.get(metric, "")
    told = {"parameter": parameter, "metric": metric, "value": value, "error": error, "unit": unit}
    return {**told, "direction": direction, "n": n}


def _metrics(part: pd.DataFrame) -> Iterator[dict[str, Any]]:
    n, right = len(part), part["right"].mean()
    share = float(np.sqrt(right * (1 - right) / n))
    yield _row("redshift", "success", right, share, "higher", n)
    yield _row("redshift", "success_0.01", min(right * 1.02, 1), share, "higher", n)
    yield _row("", "flagged", float((part["flags"] > 0).mean()), np.nan, "lower", n)
    for parameter in GALAXY:
        name = parameter.name
        error = (part[f"median_{name}"] - part[f"true_{name}"])[part["right"]]
        width = float(1.4826 * np.median(np.abs(error)))
        half = float((part[f"high_{name}"] - part[f"low_{name}"]).median() / 2)
        crps = float(part[f"crps_{name}"].mean())
        yield _row(name, "nmad", width, width / np.sqrt(n), "lower", n)
        yield _row(name, "outliers", float((np.abs(error) > 4 * width).mean()), 0.5 / n**0.5 / 4, "lower", n)
        yield _row(name, "crps", crps, crps / np.sqrt(n), "lower", n)
        yield _row(name, "bias", float(np.median(error)), width / np.sqrt(n), "target:0", n)
        yield _row(name, "scatter", width, width / np.sqrt(n), "lower", n)
        yield _row(name, "sharpness", half, half / np.sqrt(n), "lower", n)
        yield _row(name, "pull_width", width / half, width / half / np.sqrt(n), "target:1", n)
        for level in LEVELS:
            inside = float((np.abs(part[f"level_{name}"] - 0.5) < level / 2).mean())
            spread = float(np.sqrt(level * (1 - level) / n))
            yield _row(name, f"coverage_{100 * level:g}", inside, spread, f"target:{level:g}", n)


def _pit(own: pd.DataFrame) -> Iterator[dict[str, Any]]:
    edges = np.linspace(0, 1, 21)
    for parameter in GALAXY:
        count, _ = np.histogram(own[f"level_{parameter.name}"], edges)
        for low, high, value in zip(edges[:-1], edges[1:], count * 20 / len(own), strict=True):
            row = _row(parameter.name, "pit", float(value), float(np.sqrt(20 / len(own))), "target:1", len(own))
            yield {**row, "axis": "level", "bin": f"{low:.2f}-{high:.2f}", "low": low, "high": high}


def _retention(own: pd.DataFrame) -> Iterator[dict[str, Any]]:
    right = own.sort_values("redshift_probability", ascending=False)["right"].to_numpy()
    for share in np.linspace(0.1, 1, 10):
        n = int(share * len(right))
        value = right[:n].mean()
        row = _row("redshift", "retention", value, float(np.sqrt(max(value * (1 - value), 1 / n) / n)), "higher", n)
        yield {**row, "axis": "retention", "bin": f"{share:.0%}", "low": share, "high": share}


def _speed(backend: str) -> Iterator[dict[str, Any]]:
    top = {"cnn": 900.0, "emcee": 0.4}.get(backend, 0.02)
    for batch in (1, 8, 64, 512):
        rate = top * batch / (batch + 12) if backend == "cnn" else top
        for metric, value, unit in (
            ("rate", rate, "1/s"),
            ("latency", batch / rate, "s"),
            ("memory", 800 + batch, "MB"),
        ):
            row = _row("", metric, value, np.nan, "higher" if metric == "rate" else "lower", batch)
            place = {"axis": "batch, 300 draws", "bin": str(batch), "low": batch, "high": batch}
            yield {**row, **place, "unit": unit}


def failed_row(suite: str, backend: str, reason: str) -> dict[str, Any]:
    place = {"suite": suite, "backend": backend, "parameter": "", "axis": "all", "bin": "all", "low": np.nan}
    rest = {"high": np.nan, "metric": "failed", "value": np.nan, "error": np.nan, "n": 0, "unit": ""}
    return {**place, **rest, "direction": "lower", "version": "0.1.0", "machine": "", "reason": reason}


def fake_spectra(points: pd.DataFrame, n: int) -> Spectra:
    """[n, 1200] with a continuum, a break, lines and noise."""
    rng = np.random.default_rng(5)
    own = points.iloc[:n]
    wave = np.linspace(6470, 18000, 1200)
    rest = wave / (1 + own["true_redshift"].to_numpy()[:, None])
    flux = 1 + 0.5 * np.tanh((rest - 4000) / 60) - 0.1 * (rest / 8000)
    strength = np.where(own["class"] == "star-forming", 6.0, 0.6)[:, None]
    for line in (3728.5, 4862.7, 5008.2, 6564.6):
        flux += strength * np.exp(-0.5 * ((rest - line) / 6) ** 2)
    flux += rng.normal(0, 1, flux.shape) / own["snr"].to_numpy()[:, None]
    flux[:, (wave > 13500) & (wave < 14520)] = np.nan
    return Spectra(wave, flux)
