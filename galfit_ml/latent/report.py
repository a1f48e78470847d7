"""The numbers of a report: what labels can be read off the embedding, off log sSFR alone and off all medians."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.latent.checks import LatentError, counts
from galfit_ml.latent.comparison import Comparison, compare_classes, compare_values
from galfit_ml.latent.features import embedding_of, log_ssfr, medians
from galfit_ml.latent.matching import CALIPER, imbalance, matched_pairs
from galfit_ml.latent.probe import Folds

if TYPE_CHECKING:
    from galfit_ml.posterior import Posterior

Floats = NDArray[np.float64]

EMBEDDING = "embedding"

FEWEST_PAIRS = 10
"""Matched pairs below which nothing is said."""

BALANCED = 0.1
"""Standardised difference below which samples count as balanced (Austin 2009, Stat. Med. 28, 3083)."""


@dataclass(frozen=True)
class Line:
    """One score.

    Args:
        column: of the labels.
        classes: "E / Sp", or "" for a number.
        sample: "all", or "matched".
        features: name of the feature set.
        measure: "AUC" or "R2".
        n: spectra.
        value, error: score and bootstrap error.
        embedding_gain, embedding_gain_error: score of the embedding less this one, and its paired error.
    """

    column: str
    classes: str
    sample: str
    features: str
    measure: str
    n: int
    value: float
    error: float
    embedding_gain: float
    embedding_gain_error: float

    def cells(self) -> dict[str, Any]:
        """Field -> value."""
        return asdict(self)


@dataclass(frozen=True)
class Findings:
    """All scores, and remarks about what could not be asked."""

    lines: tuple[Line, ...]
    remarks: tuple[str, ...]


def feature_sets(posterior: Posterior) -> dict[str, Floats]:
    """Embedding, log sSFR alone and all medians, [n, k] each; the second is left out where no spectrum has it.

    Raises:
        LatentError: the posterior has no embedding.
    """
    sets: dict[str, Floats] = {EMBEDDING: embedding_of(posterior)}
    if {"log_sfr", "log_stellar_mass"} <= set(posterior.parameters.names):
        rate = log_ssfr(posterior)
        if np.isfinite(rate).any():
            sets["log sSFR alone"] = rate
    names, values = medians(posterior)
    sets[f"all {len(names)} medians"] = values
    return sets


def class_findings(
    sets: Mapping[str, Floats],
    labels: NDArray[np.str_],
    column: str,
    match: Mapping[str, Floats],
    folds: Folds | None = None,
    *,
    caliper: float = CALIPER,
) -> Findings:
    """AUC for each pair of classes with enough members, among all spectra and among pairs matched in `match`.

    Probes learn from all spectra of the two classes, out of fold; matching chooses those that are scored.

    Args:
        sets: name -> features [n, k].
        labels: [n] texts, "" where there is none.
        column: name of the labels.
        match: name -> covariate [n]; empty for no matching.
        folds: how the probes are tried.
        caliper: of the matching, see `matched_pairs`.
    """
    how = folds or Folds()
    names, numbers = np.unique(labels[labels != ""], return_counts=True)
    enough = [str(name) for name in names[numbers >= how.n]]
    lines: list[Line] = []
    remarks = []
    if len(enough) < len(names):
        remarks.append(f"{column}: classes of fewer than {how.n} spectra are left out ({counts(labels)}).")
    if len(enough) < 2:
        remarks.append(f"{column}: there are no two classes to compare ({counts(labels)}).")
    for pair in itertools.combinations(enough, 2):
        for sample, rows, remark in _samples(labels, pair, match, (caliper, how.seed)):
            scored = np.isin(np.arange(len(labels)), rows)
            try:
                found = compare_classes(sets, labels, pair, how, scored=scored)
            except LatentError as error:
                remarks.append(f"{column}, {pair[0]} / {pair[1]}, {sample}: {error}")
                continue
            lines += lines_of(found, column, f"{pair[0]} / {pair[1]}", sample)
            remarks += [remark] if remark else []
    return Findings(tuple(lines), tuple(remarks))


def _samples(
    labels: NDArray[np.str_], pair: tuple[str, str], match: Mapping[str, Floats], how: tuple[float, int]
) -> list[tuple[str, NDArray[np.intp], str]]:
    """Name, rows and a remark: all spectra of two classes, and those of pairs that are alike."""
    everything = np.flatnonzero(np.isin(labels, pair))
    out = [("all", everything, "")]
    if not match:
        return out
    covariates = np.stack(list(match.values()), axis=1)
    try:
        first, second = matched_pairs(covariates, labels, pair, caliper=how[0], seed=how[1])
    except LatentError as error:
        return [("all", everything, f"{pair[0]} / {pair[1]} could not be matched: {error}")]
    if len(first) < FEWEST_PAIRS:
        few = f"only {len(first)} pairs are alike in {', '.join(match)}; {FEWEST_PAIRS} are needed."
        return [("all", everything, f"{pair[0]} / {pair[1]}: {few}")]
    before = imbalance(covariates, *(np.flatnonzero(labels == name) for name in pair))
    after = imbalance(covariates, first, second)
    told = ", ".join(f"{k} {b:+.2f} → {a:+.2f}" for k, b, a in zip(match, before, after, strict=True))
    remark = f"{pair[0]} / {pair[1]}: {len(first)} pairs; standardised difference of the means before → after: {told}."
    if np.abs(after).max() > BALANCED:
        remark += f" Above {BALANCED:g} they still differ: narrow the caliper."
    return [*out, ("matched", np.concatenate([first, second]), remark)]


def value_findings(sets: Mapping[str, Floats], target: Floats, column: str, folds: Folds | None = None) -> Findings:
    """R^2 of a number [n] for each feature set."""
    try:
        found = compare_values(sets, target, folds)
    except LatentError as error:
        return Findings((), (f"{column}: {error}",))
    return Findings(tuple(lines_of(found, column, "", "all")), ())


def lines_of(found: Comparison, column: str, classes: str, sample: str) -> list[Line]:
    """A line for each feature set of a comparison, the gain being that of its first set."""
    first, out = found.names[0], []
    for name in found.names:
        own = column, classes, sample, name, found.measure, found.n
        out.append(Line(*own, *found[name], *found.gain(first, name)))
    return out


def joined(findings: Sequence[Findings]) -> Findings:
    """All lines and remarks, each remark once."""
    lines = tuple(line for one in findings for line in one.lines)
    return Findings(lines, tuple(dict.fromkeys(text for one in findings for text in one.remarks)))
