"""What is said of the quality of each answer: flags, ranked redshifts, and how much the network does not know."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from galfit_ml.flags import Flag
from galfit_ml.parameters import GALAXY
from galfit_ml.prepare import Prepared
from galfit_ml_cnn.calibrated import Calibrated
from galfit_ml_cnn.detector import LEAST_SNR, signs_of
from galfit_ml_cnn.layout import Layout
from galfit_ml_cnn.solutions import N_SOLUTIONS, WINDOW, solutions

Floats = NDArray[np.float64]

OTHERS = 0.1
"""Probability of all redshifts that are no shoulder of the first solution above which a row is flagged as ambiguous."""

EDGE = 0.05
"""Probability within three bins of an end of the redshift range above which a row is flagged."""

LITTLE = 0.5
"""Share of the network's pixels below which a row is flagged."""


@dataclass(frozen=True, eq=False)
class Quality:
    """Of n answers.

    Args:
        flags: [n] bits.
        diagnostics: name -> [n].
    """

    flags: NDArray[np.int64]
    diagnostics: dict[str, Floats]


@dataclass(frozen=True, eq=False)
class Answer:
    """What quality is judged by.

    Args:
        probability: [n, n_bins] of each redshift bin.
        draws: [n, n_draws, n_par]; two in succession share a dropout mask.
        embedding: [n, n_embedding].
        allowed: [n, n_bins] bins that the redshift prior allows; none where the redshift is known.
        calibrated: [n] whether probabilities are what the reliability was learnt of: calibrated draws, and no prior.
        summary: [n, n_summary] means over the spectrum.
        masks: 0 for point estimates, 1 where nothing is left out, 2 for dropout.
    """

    probability: Floats
    draws: Floats
    embedding: Floats
    summary: Floats
    allowed: NDArray[np.bool_]
    calibrated: NDArray[np.bool_]
    masks: int


def judge(answer: Answer, seen: Prepared, layout: Layout, calibrated: Calibrated | None) -> Quality:
    """Flags and diagnostics of n answers to the spectra `seen`."""
    redshift, share = solutions(answer.probability, layout)
    diagnostics = dict(_ranked(redshift, share))
    diagnostics["redshift_entropy"] = -(answer.probability * np.log(np.maximum(answer.probability, 1e-30))).sum(axis=1)
    diagnostics["signal_to_noise"] = seen.snr
    flags = _bit(_elsewhere(answer, redshift[:, 0], layout) > OTHERS, Flag.AMBIGUOUS_REDSHIFT) | _bit(
        seen.snr < 1.0, Flag.LOW_SNR
    )
    flags |= _bit(_at_edges(answer) > EDGE, Flag.EDGE_OF_RANGE)
    flags |= _bit(seen.good.mean(axis=1) < LITTLE, Flag.LITTLE_COVERAGE)
    if calibrated is not None:
        diagnostics["redshift_quality"] = np.where(answer.calibrated, calibrated.reliability(share[:, 0]), np.nan)
        diagnostics |= _familiar(answer, seen, calibrated)
        strange = diagnostics["out_of_distribution"] > 1.0
        if calibrated.detector is not None:
            clear = np.abs(seen.snr) > LEAST_SNR
            strange |= clear & (diagnostics["galaxy_probability"] < calibrated.detector.limit)
        flags |= _bit(strange, Flag.OUT_OF_DISTRIBUTION)
    diagnostics |= dict(_parts(answer))
    return Quality(flags.astype(np.int64), diagnostics)


def _familiar(answer: Answer, seen: Prepared, calibrated: Calibrated) -> dict[str, Floats]:
    """How like the simulations spectra are, and how probable it is that they are galaxies."""
    told = {"out_of_distribution": calibrated.cloud.score(answer.embedding)}
    if calibrated.detector is not None:
        signs = signs_of(answer.embedding, answer.summary, answer.probability, seen.snr)
        told["galaxy_probability"] = calibrated.detector.probability(signs)
    return told


def _elsewhere(answer: Answer, best: Floats, layout: Layout) -> Floats:
    """[n] probability farther than three windows from the best redshift [n]."""
    away = np.abs(layout.bins - np.log1p(best)[:, None]) > 3 * np.log1p(WINDOW)
    return np.asarray((answer.probability * away).sum(axis=1))


def _at_edges(answer: Answer) -> Floats:
    """[n] probability within the three outer bins at either end of what is allowed; 0 for a redshift that is known."""
    count = answer.allowed.cumsum(axis=1)
    total = count[:, -1:]
    outer = answer.allowed & ((count <= 3) | (count > total - 3))
    return np.asarray((answer.probability * outer).sum(axis=1))


def _bit(where: NDArray[np.bool_], flag: Flag) -> NDArray[np.int64]:
    return np.where(where, int(flag), 0)


def _ranked(redshift: Floats, share: Floats) -> Iterator[tuple[str, Floats]]:
    for k in range(N_SOLUTIONS):
        yield f"redshift_{k + 1}", redshift[:, k]
        yield f"redshift_probability_{k + 1}", share[:, k]


def _parts(answer: Answer) -> Iterator[tuple[str, Floats]]:
    """Aleatoric and epistemic standard deviation of each parameter, in its draws' unit.

    By the law of total variance the covariance of two draws of one mask is the variance of what masks say, which is
    epistemic; the rest is in the data. With n_draws / 2 pairs it is known to about 1 / sqrt(n_draws / 2) of the whole
    variance, and is 0 where it comes out negative.
    """
    n_pairs = answer.draws.shape[1] // 2
    if n_pairs < 2 or answer.masks == 0:
        return
    first, second = answer.draws[:, : 2 * n_pairs : 2], answer.draws[:, 1 : 2 * n_pairs : 2]
    mean = 0.5 * (first + second).mean(axis=1, keepdims=True)
    common = ((first - mean) * (second - mean)).sum(axis=1) / (n_pairs - 1)
    whole = 0.5 * ((first - mean) ** 2 + (second - mean) ** 2).sum(axis=1) / (n_pairs - 1)
    epistemic = np.zeros_like(common) if answer.masks == 1 else np.clip(common, 0.0, whole)
    for i, name in enumerate(GALAXY.names):
        yield f"{name}_aleatoric", np.sqrt(whole[:, i] - epistemic[:, i])
        yield f"{name}_epistemic", np.sqrt(epistemic[:, i])
