"""Linear probes: what can be read off features by a weighted sum, always out of fold.

Errors are standard deviations over bootstrap samples of the galaxies (Efron & Tibshirani 1993, ch. 6), the out-of-fold
answers held: they are those of a finite sample of galaxies, not those of training again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galfit_ml.latent.checks import LatentError, as_features, in_classes, known_rows, same_length
from galfit_ml.latent.optional import needed
from galfit_ml.latent.scores import auc, bootstrap_auc, bootstrap_r2, r2

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Model = Callable[[Floats, Floats], Callable[[Floats], Floats]]
"""Learns from features [n, k] and targets [n]; what it returns predicts [m] from features [m, k]."""

STRENGTHS = np.logspace(-4, 2, 7)
"""Inverse strengths C of the L2 penalty that a logistic regression chooses among."""

ALPHAS = np.logspace(-2, 5, 15)
"""Strengths of a ridge regression."""

INNER_FOLDS = 3


@dataclass(frozen=True)
class Folds:
    """How a probe is tried.

    Args:
        n: folds; each is predicted by what was learnt from the others.
        seed: of the folds and of the bootstrap.
        n_bootstrap: bootstrap samples for errors.
    """

    n: int = 5
    seed: int = 0
    n_bootstrap: int = 1000

    def __post_init__(self) -> None:
        if self.n < 2 or self.n_bootstrap < 2:
            raise LatentError(f"At least 2 folds and 2 bootstrap samples are needed, not {self.n}, {self.n_bootstrap}.")


@dataclass(frozen=True, eq=False)
class Classified:
    """Two classes told apart.

    Args:
        score: [n] out-of-fold log odds of the second class; NaN for what is of neither class or has no features.
        positive: [n] whether a spectrum is of the second class.
        rows: [n] which are scored: of either class, without NaN among the features.
        auc: area under the ROC curve.
        error: its bootstrap error.
        samples: [n_bootstrap] areas of the bootstrap samples.
    """

    score: Floats
    positive: Bools
    rows: Bools
    auc: float
    error: float
    samples: Floats


@dataclass(frozen=True, eq=False)
class Regressed:
    """A number predicted.

    Args:
        prediction: [n] out of fold; NaN outside `rows`.
        rows: [n] which took part: without NaN in features and target.
        r2: coefficient of determination, 1 - residual over total sum of squares; negative if worse than the mean.
        error: its bootstrap error.
        samples: [n_bootstrap] coefficients of the bootstrap samples.
    """

    prediction: Floats
    rows: Bools
    r2: float
    error: float
    samples: Floats


def classify(
    features: ArrayLike,
    labels: ArrayLike,
    classes: tuple[Any, Any],
    folds: Folds | None = None,
    *,
    scored: ArrayLike | None = None,
) -> Classified:
    """Tell two classes apart by an L2-regularised logistic regression of standardised features.

    Folds are stratified; the strength is chosen within the training folds by log loss.

    Args:
        features: [n, k] or [n]; rows with NaN take no part.
        labels: [n]; rows with other labels take no part.
        classes: the two labels; scores are high for the second.
        folds: how it is tried.
        scored: [n] the rows whose area is told, such as a matched sample; None for all. All of them are learnt from.

    Raises:
        LatentError: a class is missing or has fewer members than there are folds, or lengths differ.
        MissingPackageError: scikit-learn is not installed.
    """
    how = folds or Folds()
    array = as_features(features)
    same_length(len(array), labels=np.asarray(labels))
    first, second = in_classes(labels, classes, known_rows(array), how.n)
    rows = first | second
    made = needed("sklearn.model_selection", "scikit-learn").StratifiedKFold(how.n, shuffle=True, random_state=how.seed)
    target = second[rows].astype(np.float64)
    score = np.full(len(array), np.nan)
    score[rows] = out_of_fold(logistic(how.seed), array[rows], target, list(made.split(array[rows], target)))
    told = rows if scored is None else rows & _chosen(scored, len(array))
    in_classes(labels, classes, told, 1)
    samples = bootstrap_auc(score[told], second[told], how.n_bootstrap, how.seed)
    return Classified(score, second, told, float(auc(score[told], second[told])[0]), float(samples.std()), samples)


def _chosen(scored: ArrayLike, n: int) -> Bools:
    chosen = np.asarray(scored)
    if chosen.shape != (n,) or chosen.dtype != bool:
        raise LatentError(f"The rows to be scored are {n} times True or False, not {chosen.dtype} {chosen.shape}.")
    return chosen


def regress(
    features: ArrayLike, target: ArrayLike, folds: Folds | None = None, model: Model | None = None
) -> Regressed:
    """Predict a number by ridge regression of standardised features, strength by leave-one-out error.

    Args:
        features: [n, k] or [n]; rows with NaN take no part.
        target: [n]; NaN where it is not known.
        folds: how it is tried.
        model: another regression than the ridge.

    Raises:
        LatentError: fewer rows than twice the folds, a target that does not vary, or lengths differ.
        MissingPackageError: scikit-learn is not installed.
    """
    how = folds or Folds()
    array, truth = as_features(features), np.asarray(target, dtype=np.float64)
    same_length(len(array), targets=truth)
    rows = known_rows(array) & np.isfinite(truth)
    if rows.sum() < 2 * how.n:
        raise LatentError(
            f"{rows.sum()} of {len(rows)} rows have both features and a target; {how.n} folds need {2 * how.n}."
        )
    if np.ptp(truth[rows]) == 0:
        raise LatentError(f"The target is {truth[rows][0]:g} in every row: there is nothing to predict.")
    made = needed("sklearn.model_selection", "scikit-learn").KFold(how.n, shuffle=True, random_state=how.seed)
    prediction = np.full(len(array), np.nan)
    prediction[rows] = out_of_fold(model or ridge(), array[rows], truth[rows], list(made.split(array[rows])))
    samples = bootstrap_r2(prediction[rows], truth[rows], how.n_bootstrap, how.seed)
    return Regressed(prediction, rows, float(r2(prediction[rows], truth[rows])[0]), float(samples.std()), samples)


def out_of_fold(model: Model, features: Floats, target: Floats, splits: list[tuple[Any, Any]]) -> Floats:
    """[n] what a model says of each fold that learnt from the others; `splits` are training and test rows."""
    out = np.full(len(target), np.nan)
    for training, test in splits:
        out[test] = model(features[training], target[training])(features[test])
    return out


def logistic(seed: int) -> Model:
    """L2-regularised logistic regression; its strength is chosen among `STRENGTHS` by log loss in inner folds."""

    def learn(features: Floats, target: Floats) -> Callable[[Floats], Floats]:
        selection = needed("sklearn.model_selection", "scikit-learn")
        inner = min(INNER_FOLDS, int(min(target.sum(), (1 - target).sum())))
        best = float(STRENGTHS[len(STRENGTHS) // 2])
        if inner > 1:
            made = selection.StratifiedKFold(inner, shuffle=True, random_state=seed)
            splits = list(made.split(features, target))
            losses = [_log_loss(out_of_fold(_logistic(c), features, target, splits), target) for c in STRENGTHS]
            best = float(STRENGTHS[int(np.argmin(losses))])
        return _logistic(best)(features, target)

    return learn


def _logistic(inverse_strength: float) -> Model:
    def learn(features: Floats, target: Floats) -> Callable[[Floats], Floats]:
        linear = needed("sklearn.linear_model", "scikit-learn")
        # C multiplies a sum over spectra: divided by their number, one grid serves samples of any size.
        solver = linear.LogisticRegression(
            C=inverse_strength * 1000.0 / len(target), solver="newton-cholesky", max_iter=500
        )
        machine = _scaled(solver).fit(features, target)
        return lambda more: np.asarray(machine.decision_function(more))

    return learn


def _log_loss(log_odds: Floats, target: Floats) -> float:
    return float(np.mean(np.logaddexp(0.0, np.where(target > 0.5, -log_odds, log_odds))))


def ridge() -> Model:
    """Ridge regression; its strength is chosen among `ALPHAS` by the leave-one-out error, which has a closed form."""

    def learn(features: Floats, target: Floats) -> Callable[[Floats], Floats]:
        linear = needed("sklearn.linear_model", "scikit-learn")
        machine = _scaled(linear.RidgeCV(alphas=ALPHAS)).fit(features, target)
        return lambda more: np.asarray(machine.predict(more))

    return learn


def _scaled(estimator: Any) -> Any:
    pipeline, preprocessing = (needed(f"sklearn.{part}", "scikit-learn") for part in ("pipeline", "preprocessing"))
    return pipeline.make_pipeline(preprocessing.StandardScaler(), estimator)
