"""Scores of the likelihood at the truth, of mocks with its own noise and with another."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from benchmarks.emcee.calibration import EXPOSURES
from benchmarks.emcee.matched import MatchedMocks, Mock
from benchmarks.emcee.scores import scores, table
from galfit_ml.instruments import get_instrument
from galfit_ml.simulate.galaxy import GalaxyModel

N = 24


@pytest.fixture(scope="module")
def mocks() -> MatchedMocks:
    return MatchedMocks(get_instrument("sdss"), EXPOSURES["sdss"], 3, (16.0, 19.0))


@pytest.fixture(scope="module")
def some(mocks: MatchedMocks) -> list[Mock]:
    return list(islice(mocks.drawn(), N))


def all_scores(mocks: MatchedMocks, some: list[Mock]) -> np.ndarray:
    model = GalaxyModel()
    with torch.no_grad():
        return np.stack([scores(model, mock, mocks.prior) for mock in some])


def test_scores_of_its_own_noise_have_mean_0_and_spread_1(mocks: MatchedMocks, some: list[Mock]) -> None:
    found = all_scores(mocks, some)
    assert np.nanmean(found) == pytest.approx(0.0, abs=0.12)
    assert np.nanstd(found) == pytest.approx(1.0, abs=0.12)


def test_noise_that_the_likelihood_does_not_know_shows(mocks: MatchedMocks, some: list[Mock]) -> None:
    """Reported variances four times too small; the noise scale is held at what it would be, were they right."""
    wrong = []
    for mock in some:
        arms = tuple(replace(arm, ivar=4 * arm.ivar) for arm in mock.batch.arms)
        wrong.append(replace(mock, batch=replace(mock.batch, arms=arms)))
    assert np.nanstd(all_scores(mocks, wrong)) > 1.4


def test_mocks_know_where_they_lie_in_the_coordinates_of_the_likelihood(mocks: MatchedMocks, some: list[Mock]) -> None:
    mock = some[0]
    again = mocks.prior.transform(torch.special.ndtr(mock.x[:, :-1]))
    assert float(again.redshift[0]) == pytest.approx(mock.truth["redshift"], abs=1e-9)
    assert float(again.velocity_dispersion[0]) == pytest.approx(mock.truth["velocity_dispersion"], rel=1e-5)
    assert mock.truth == next(iter(mocks))[1]


def test_the_table_has_a_line_for_each_coordinate_and_says_what_is_not_known() -> None:
    rng = np.random.default_rng(1)
    found = rng.standard_normal((60, 28))
    found[:, 3] = np.nan
    lines = table(found, np.where(np.arange(60) < 30, -9.0, -12.0))
    assert len(lines) == 2 + 28
    assert lines[2].startswith("| redshift | ")
    assert lines[5].endswith("| - | - | - | - |")
