"""What is asked of the latent space, and the feature sets that it is compared with: lines of Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.latent.spectra import components
from benchmarks.network.measure import Table, rows_where
from benchmarks.network.tables import header, row
from galfit_ml.latent import (
    Classified,
    Comparison,
    Folds,
    LatentError,
    classify,
    compare_classes,
    compare_values,
    imbalance,
    matched_pairs,
)
from galfit_ml.latent.scores import auc
from galfit_ml.parameters import GALAXY
from galfit_ml.simulate.cosmology import Cosmology

Floats = NDArray[np.float64]
Sets = dict[str, Floats]

EMBEDDING, RATE = "embedding", "own log sSFR"
SIX = ("redshift", "log_stellar_mass", "log_sfr", "log_metallicity", "velocity_dispersion", "log_age")
QUENCHED = 0.2
"""Quenched: sSFR below this over the age of the Universe (Pacifici et al. 2016, ApJ 832, 79)."""


CALIPERS = (0.05, 0.1)
"""Of matched pairs; with the first the samples are balanced (standardised differences below 0.1)."""

N_MATCHINGS = 20


@dataclass(frozen=True)
class Scored:
    """One comparison, for tables and figures."""

    title: str
    found: Comparison


def boosted(seed: int = 0) -> Callable[[Floats, Floats], Callable[[Floats], Floats]]:
    """Gradient-boosted trees, stopped early on a sixth of the training folds."""

    def learn(features: Floats, target: Floats) -> Callable[[Floats], Floats]:
        from sklearn.ensemble import HistGradientBoostingRegressor

        machine = HistGradientBoostingRegressor(
            learning_rate=0.05,
            max_iter=500,
            max_leaf_nodes=15,
            l2_regularization=1.0,
            early_stopping=True,
            validation_fraction=0.15,
            random_state=seed,
        )
        return machine.fit(features, target).predict

    return learn


def own_rate(table: Table) -> Floats:
    """[n] the network's log10 sSFR: difference of the medians."""
    return np.asarray(table["median_log_sfr"] - table["median_log_stellar_mass"])


def columns(table: Table, kind: str, names: tuple[str, ...] = GALAXY.names) -> Floats:
    """[n, k] true values or medians of parameters."""
    return np.stack([table[f"{kind}_{name}"] for name in names], axis=1)


def class_sets(table: Table, rest: str) -> Sets:
    """What tells classes apart; `rest` says at which redshift spectra and the untrained network are read."""
    n = table["embedding"].shape[1]
    return {
        EMBEDDING: table["embedding"],
        RATE: own_rate(table),
        f"own medians of {len(GALAXY)} parameters": columns(table, "median"),
        f"{n} PCs of the spectra, as observed": components(table["observed"], n),
        f"{n} PCs of the spectra at rest ({rest})": components(table["rest"], n),
        f"untrained network ({rest})": table["untrained"],
    }


def mocks(table: Table, folds: Folds) -> Iterator[str | Scored]:
    """Quenched against star-forming, and bulge-to-total ratios."""
    redshift = table["true_redshift"]
    quiescent = table["class"] == "quiescent"
    age = Cosmology.default().age_yr(torch.as_tensor(redshift)).numpy()
    below = table["log_ssfr"] < np.log10(QUENCHED / age)
    sets = class_sets(table, "true z")
    everything = np.ones(len(redshift), dtype=bool)
    yield "#### Quenched or star-forming"
    yield (
        f"{len(redshift)} galaxies, H < 22, 8 h, z 0.7-2.6, measured S/N {_range(table)}. *Class*: the class that the "
        f"galaxy was drawn from, quiescent ({quiescent.sum()}) or star-forming and starburst ({(~quiescent).sum()}). "
        f"*sSFR*: true sSFR below 0.2 over the age of the Universe at its redshift ({below.sum()}).\n"
    )
    for title, label, rows in (
        ("quenched by class", quiescent, everything),
        ("quenched by class, S/N < 1.5", quiescent, table["signal_to_noise"] < 1.5),
        ("quenched by sSFR", below, everything),
    ):
        own = {name: values[rows] for name, values in sets.items()}
        yield from _classes(own, np.where(label, "quenched", "forming")[rows], ("forming", "quenched"), title, folds)
    yield "\n#### Bulge-to-total ratio"
    yield (
        "The six: redshift, stellar mass, SFR, stellar metallicity, velocity dispersion, age. *True*: as they are, "
        "without any error. *Own*: the network's medians. Trees: gradient-boosted, instead of ridge regression. *Mass "
        "and class*: what these mocks draw the ratio of mass from, with a scatter of its own.\n"
    )
    bright = table["signal_to_noise"] > 4
    for name, text in (("bulge_to_total_light", "of H-band light"), ("bulge_to_total_mass", "of mass")):
        if name in table:
            yield from _bulges(table, name, text, folds)
            yield from _bulges(rows_where(table, bright), name, f"{text}, S/N > 4", folds)


def _range(table: Table) -> str:
    low, middle, high = np.quantile(table["signal_to_noise"], [0.05, 0.5, 0.95])
    return f"{low:.1f}-{high:.1f} (5-95 %), median {middle:.1f}"


def _bulges(table: Table, target: str, title: str, folds: Folds) -> Iterator[str | Scored]:
    latent, six, own = table["embedding"], columns(table, "true", SIX), columns(table, "median", SIX)
    both = np.concatenate([six, latent], axis=1)
    drawn_from = np.stack([table["true_log_stellar_mass"], table["class"] == "quiescent"], axis=1).astype(np.float64)
    sets: Sets = {
        EMBEDDING: latent,
        "embedding, trees": latent,
        "true six": six,
        "true six, trees": six,
        "true mass and class, trees": drawn_from,
        "own six": own,
        "own six, trees": own,
        "embedding + true six": both,
        "embedding + true six, trees": both,
        "untrained network (true z)": table["untrained"],
    }
    models = {name: boosted(folds.seed) for name in sets if name.endswith("trees")}
    found = compare_values(sets, table[target], folds, models)
    pairs = (
        (EMBEDDING, "true six"),
        (EMBEDDING, "true six, trees"),
        (EMBEDDING, "own six"),
        (EMBEDDING, "own six, trees"),
        ("embedding + true six", "true six"),
        ("embedding + true six, trees", "true six, trees"),
    )
    yield f"\n{found.n} galaxies, bulge-to-total ratio {title}.\n"
    yield from header("features", "R²")
    for name in sets:
        yield row(name, "{:.3f} ± {:.3f}".format(*found[name]))
    yield ""
    yield from header("gain", "in R²")
    for one, other in pairs:
        yield row(f"{one}, over {other}", "{:+.3f} ± {:.3f}".format(*found.gain(one, other)))
    yield Scored(f"B/T {title}", found)


def real(table: Table, folds: Folds) -> Iterator[str | Scored]:
    """Ellipticals, spirals and irregulars without broad lines."""
    own = rows_where(table, table["narrow"] & np.isin(table["class"], ["E", "Sp", "Irr"]) & table["ok"])
    numbers = ", ".join(f"{kind} {int((own['class'] == kind).sum())}" for kind in ("E", "Sp", "Irr"))
    right = np.abs(own["median_redshift"] - own["true_redshift"]) < 0.001 * (1 + own["true_redshift"])
    yield f"Galaxies without broad lines: {numbers}; redshift right within 0.001 (1 + z): {right.mean():.3f}.\n"
    sets = class_sets(own, "catalogue z")
    for pair in (("Sp", "E"), ("Sp", "Irr")):
        yield from _classes(sets, own["class"], pair, f"{pair[1]} against {pair[0]}", folds)
        yield from _matched(own, sets, pair, folds)
    yield "\n#### Other ways to match"
    yield (
        "Caliper: largest difference of ranks. Learnt from: all galaxies of the two types, with means over "
        f"{N_MATCHINGS} matchings in different order; or the pairs of the first matching alone. Balance: standardised "
        "differences of S/N and z after matching.\n"
    )
    yield from header("types", "caliper", "learnt from", "pairs", "balance: S/N", "z", EMBEDDING, RATE, "gain")
    for pair in (("Sp", "E"), ("Sp", "Irr")):
        for caliper in CALIPERS:
            yield from _ways(own, sets, pair, caliper, folds)


def _covariates(table: Table) -> Floats:
    return np.stack([table["signal_to_noise"], table["true_redshift"]], axis=1)


def _matched(own: Table, sets: Sets, pair: tuple[str, str], folds: Folds) -> Iterator[str | Scored]:
    """AUC in matched pairs of what was learnt, out of fold, from all galaxies of two types."""
    covariates, title = _covariates(own), f"{pair[1]} against {pair[0]}, matched in S/N and z"
    try:
        first, second = matched_pairs(covariates, own["class"], pair, caliper=CALIPERS[0])
    except LatentError as error:
        yield f"\n{title}: {error}\n"
        return
    scored = np.isin(np.arange(len(covariates)), np.concatenate([first, second]))
    yield from _classes(sets, own["class"], pair, title, folds, scored)
    before = imbalance(covariates, *(np.flatnonzero(own["class"] == name) for name in pair))
    after = imbalance(covariates, first, second)
    yield (
        f"\n{len(first)} pairs, caliper {CALIPERS[0]:g}; learnt from all of the two types, scored in the pairs. "
        f"Standardised differences of the means before and after matching: S/N {before[0]:+.2f}, {after[0]:+.2f}; "
        f"z {before[1]:+.2f}, {after[1]:+.2f}."
    )


def _ways(own: Table, sets: Sets, pair: tuple[str, str], caliper: float, folds: Folds) -> Iterator[str]:
    """Two lines of the table of other ways to match."""
    covariates, names = _covariates(own), f"{pair[1]} against {pair[0]}"
    both = {name: sets[name] for name in (EMBEDDING, RATE)}
    learnt = {name: classify(values, own["class"], pair, folds) for name, values in both.items()}
    found = [matched_pairs(covariates, own["class"], pair, caliper=caliper, seed=i) for i in range(N_MATCHINGS)]
    balance = np.mean([imbalance(covariates, *rows) for rows in found], axis=0)
    cells = [f"{np.mean([len(rows[0]) for rows in found]):.0f}", *(f"{value:+.2f}" for value in balance)]
    areas = {name: np.mean([_area(one, np.concatenate(rows)) for rows in found]) for name, one in learnt.items()}
    numbers = [f"{areas[name]:.4f}" for name in both] + [f"{areas[EMBEDDING] - areas[RATE]:+.4f}"]
    yield row(names, f"{caliper:g}", "all", *cells, *numbers)
    rows = np.concatenate(found[0])
    alone = compare_classes({k: v[rows] for k, v in both.items()}, own["class"][rows], pair, folds)
    numbers = ["{:.4f} ± {:.4f}".format(*alone[name]) for name in both]
    cells = [str(len(found[0][0])), *(f"{value:+.2f}" for value in imbalance(covariates, *found[0]))]
    yield row(names, f"{caliper:g}", "pairs", *cells, *numbers, "{:+.4f} ± {:.4f}".format(*alone.gain(EMBEDDING, RATE)))


def _area(learnt: Classified, rows: NDArray[np.intp]) -> float:
    return float(auc(learnt.score[rows], learnt.positive[rows])[0])


def _classes(
    sets: Mapping[str, Any],
    labels: NDArray[Any],
    classes: tuple[str, str],
    title: str,
    folds: Folds,
    scored: NDArray[np.bool_] | None = None,
) -> Iterator[str | Scored]:
    inside = np.ones(len(labels), dtype=bool) if scored is None else scored
    first, second = (int((labels[inside] == name).sum()) for name in classes)
    try:
        found = compare_classes(sets, labels, classes, folds, scored=inside)
    except LatentError as error:
        yield f"\n{title}: {error}\n"
        return
    yield f"\n**{title}** ({second} against {first})\n"
    yield from header("features", "AUC", "embedding less this")
    for name in sets:
        gain = "" if name == EMBEDDING else "{:+.4f} ± {:.4f}".format(*found.gain(EMBEDDING, name))
        yield row(name, "{:.4f} ± {:.4f}".format(*found[name]), gain)
    yield Scored(title, found)
