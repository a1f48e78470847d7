"""Tables of what the references reach."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.limits.mocks import Mocks
from benchmarks.limits.references import References
from benchmarks.limits.window import success
from galfit_ml.simulate.surveys.sample import band_name

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

STAR_FORMING, QUIESCENT = -10.5, -11.0


@dataclass(frozen=True, eq=False)
class Scores:
    """Mock spectra and the answers to them."""

    mocks: Mocks
    found: References

    @property
    def magnitude(self) -> Floats:
        """[n] of the delivered flux."""
        return np.asarray(self.mocks.truth[f"m_{band_name(self.mocks.instrument)}"], dtype=np.float64)

    @property
    def known(self) -> Mask:
        """[n] where the known template finds the redshift."""
        return success(self.found.known.redshift, self.mocks.redshift)

    @property
    def library(self) -> list[Mask]:
        """The same for the library, for each number of templates."""
        return [success(a.redshift, self.mocks.redshift) for a in self.found.library]

    def classes(self) -> dict[str, Mask]:
        """Name -> [n] which spectra."""
        log_ssfr = np.asarray(self.mocks.truth["log_ssfr"])
        everything = np.ones(len(log_ssfr), dtype=bool)
        return {"star-forming": log_ssfr > STAR_FORMING, "quiescent": log_ssfr < QUIESCENT, "all": everything}


def success_table(scores: Scores, width: float = 1.0) -> list[str]:
    """Success by class and magnitude, with the binomial error; lines of text."""
    lines = [f"{'class':13s} {'magnitude':12s} {'n':>5s} {'S/N':>6s} {'known':>15s} {'library':>15s} {'mean p':>7s}"]
    edges = np.arange(np.floor(scores.magnitude.min()), scores.magnitude.max() + width, width)
    for name, inside in scores.classes().items():
        for low in [*edges, None]:
            rows = inside if low is None else inside & (scores.magnitude >= low) & (scores.magnitude < low + width)
            label = "all" if low is None else f"{low:g} - {low + width:g}"
            if rows.any():
                lines.append(_row(scores, rows, f"{name:13s} {label:12s}"))
    return lines


def _row(scores: Scores, rows: Mask, label: str) -> str:
    snr = np.nanmedian(np.asarray(scores.mocks.truth["snr"])[rows])
    shares = [_share(hits[rows]) for hits in (scores.known, scores.library[-1])]
    mean = scores.found.library[-1].probability[rows].mean()
    return f"{label} {rows.sum():5d} {snr:6.2f} {shares[0]:>15s} {shares[1]:>15s} {mean:7.3f}"


def _share(hits: Mask) -> str:
    return "{:.3f} +- {:.3f}".format(*share_and_error(hits))


def share_and_error(hits: Mask) -> tuple[float, float]:
    """Share and its error, that of Jeffreys' posterior, which is not 0 where all or none are right."""
    n, middle = len(hits), (hits.sum() + 0.5) / (len(hits) + 1)
    return float(hits.mean()), float(np.sqrt(middle * (1 - middle) / (n + 2)))


def convergence_table(scores: Scores) -> list[str]:
    """Success for each number of templates and its change when they are doubled; lines of text."""
    lines = [f"{'templates':>9s} {'success':>8s} {'change, pp':>11s} {'answers changed':>16s}"]
    before: Mask | None = None
    for size, hits in zip(scores.found.sizes, scores.library, strict=True):
        change = "" if before is None else f"{100 * (hits.mean() - before.mean()):+.2f}"
        moved = "" if before is None else f"{int((hits != before).sum())}"
        lines.append(f"{size:9d} {hits.mean():8.3f} {change:>11s} {moved:>16s}")
        before = hits
    return lines


def reliability_table(probability: Floats, hits: Mask, n_bins: int = 5) -> list[str]:
    """Stated probability of the best window against how often it is right; lines of text."""
    lines = [f"{'stated p':>13s} {'n':>5s} {'mean p':>7s} {'right':>15s}"]
    edges = np.linspace(0.0, 1.0, n_bins + 1)
    for low, high in [*itertools.pairwise(edges), (0.0, 1.0)]:
        rows = (probability >= low) & ((probability < high) | (high == edges[-1]))
        if rows.any():
            mean = probability[rows].mean()
            lines.append(f"{low:5.2f} - {high:5.2f} {rows.sum():5d} {mean:7.3f} {_share(hits[rows]):>15s}")
    return lines


def write_csv(scores: Scores, path: Path) -> None:
    """One row per spectrum: truth, both answers, their probabilities, success."""
    truth, found = scores.mocks.truth, scores.found
    columns: dict[str, NDArray[np.generic]] = {
        "redshift": scores.mocks.redshift,
        "magnitude": scores.magnitude,
        **{name: np.asarray(truth[name]) for name in ("log_ssfr", "snr", "exposure_s")},
        "known_redshift": found.known.redshift,
        "known_probability": found.known.probability,
        "known_success": scores.known.astype(int),
    }
    for size, answer, hits in zip(found.sizes, found.library, scores.library, strict=True):
        columns[f"library{size}_redshift"] = answer.redshift
        columns[f"library{size}_probability"] = answer.probability
        columns[f"library{size}_success"] = hits.astype(int)
    columns["library_second_redshift"] = found.library[-1].second
    columns["library_second_probability"] = found.library[-1].second_probability
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    rows = zip(*columns.values(), strict=True)
    text = "\n".join([",".join(columns), *(",".join(f"{value:.8g}" for value in row) for row in rows)])
    part.write_text(text + "\n", encoding="utf-8")
    part.replace(path)
