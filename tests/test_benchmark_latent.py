"""Probes of a latent space as rows: what is in the features is found, what is not is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from galfit_ml.benchmark import get_suite
from galfit_ml.benchmark.answers import Answers
from galfit_ml.benchmark.latent import latent_rows, with_projection
from galfit_ml.flags import Flag

N = 300


def made(seed: int = 0) -> tuple[pd.DataFrame, Any]:
    """Star formation stands in the features; morphology does not."""
    rng = np.random.default_rng(seed)
    ssfr = np.where(rng.random(N) < 0.5, -9.5, -12.5)
    bulge = rng.random(N)
    features = rng.standard_normal((N, 8))
    features[:, 3] += 2.5 * (ssfr < -11)
    points = pd.DataFrame({"log_ssfr": ssfr, "bulge_to_total_light": bulge})
    zero = np.zeros(N)
    answers = Answers(
        ("redshift",), np.zeros((N, 2, 1), np.float32), zero.astype(int), zero.astype(int),
        zero.astype(str), zero.astype(str), {}, {}, features.astype(np.float32), zero,
    )  # fmt: skip
    return points, answers


def test_what_the_features_know_is_found() -> None:
    pytest.importorskip("sklearn", reason="scikit-learn (extra `latent`) is not installed")
    rows = {r.parameter: r for r in latent_rows(get_suite("latent"), "cnn", *made())}
    assert rows["quenched"].value > 0.9
    assert 0 < rows["quenched"].error < 0.05
    assert rows["quenched"].n == N
    for name in ("bulge-dominated", "bulge-dominated, star-forming alone"):
        assert abs(rows[name].value - 0.5) < 0.15


def test_other_suites_and_backends_without_a_latent_space_have_no_such_rows() -> None:
    points, answers = made()
    assert not list(latent_rows(get_suite("moonrise"), "cnn", points, answers))
    object.__setattr__(answers, "embedding", np.zeros((N, 0), np.float32))
    assert not list(latent_rows(get_suite("latent"), "emcee", points, answers))
    assert "latent_x" not in with_projection(points, answers)


def test_the_projection_is_beside_the_points() -> None:
    points, answers = made()
    found = with_projection(points, answers)
    assert np.isfinite(found[["latent_x", "latent_y"]]).all(axis=None)


def test_a_label_that_all_galaxies_have_is_a_row_that_says_so() -> None:
    points, answers = made()
    rows = list(latent_rows(get_suite("latent"), "cnn", points.assign(log_ssfr=-9.0), answers))
    failed = [r for r in rows if r.metric == "failed"]
    assert [r.parameter for r in failed] == ["quenched"]
    assert failed[0].reason


def test_features_of_failed_spectra_are_left_out() -> None:
    pytest.importorskip("sklearn", reason="scikit-learn (extra `latent`) is not installed")
    points, answers = made()
    answers.embedding[:20] = 1e6
    answers.flags[:20] = int(Flag.FAILED)
    found = with_projection(points, answers)
    assert found.latent_x[:20].isna().all()
    assert np.isfinite(found.latent_x[20:]).all()
    rows = {r.parameter: r for r in latent_rows(get_suite("latent"), "cnn", points, answers)}
    assert rows["quenched"].n == N - 20
    assert not list(latent_rows(get_suite("latent"), "cnn", points.drop(columns="log_ssfr"), answers))
