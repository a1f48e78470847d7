"""Scores of the likelihood at the truth, of mocks with its own noise and with another."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from benchmarks.emcee.calibration import EXPOSURES
from benchmarks.emcee.matched import MatchedMocks, Mock
from benchmarks.emcee.scores import Judged, judged, shift_table, table
from galfit_ml.instruments import get_instrument
from galfit_ml.simulate.galaxy import GalaxyModel

N = 24


@pytest.fixture(scope="module")
def mocks() -> MatchedMocks:
    return MatchedMocks(get_instrument("sdss"), EXPOSURES["sdss"], 3, (16.0, 19.0))


@pytest.fixture(scope="module")
def some(mocks: MatchedMocks) -> list[Mock]:
    return list(islice(mocks.drawn(), N))


def all_judged(mocks: MatchedMocks, some: list[Mock]) -> list[Judged]:
    model = GalaxyModel()
    with torch.no_grad():
        return [judged(model, mock, mocks.prior) for mock in some]


def all_scores(mocks: MatchedMocks, some: list[Mock]) -> np.ndarray:
    return np.stack([one.score for one in all_judged(mocks, some)])


def test_tight_posteriors_lie_about_the_truth_as_far_as_their_widths_say(mocks: MatchedMocks, some: list[Mock]) -> None:
    found = all_judged(mocks, some)
    width, shift = (np.stack([getattr(one, name) for one in found]) for name in ("width", "shift"))
    tight = shift[width < 0.2]
    assert len(tight) > 50
    assert tight.std() == pytest.approx(1.0, abs=0.15)
    assert (np.abs(tight) < 1).mean() == pytest.approx(0.683, abs=0.1)


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


def test_the_tables_have_a_line_for_each_coordinate_and_say_what_is_not_known() -> None:
    rng = np.random.default_rng(1)
    score = rng.standard_normal((60, 28))
    score[:, 3] = np.nan
    width = np.full((60, 28), 0.1)
    width[:55, 5] = 0.9
    found, activity = Judged(score, 2 * rng.standard_normal((60, 28)), width), np.where(np.arange(60) < 30, -9.0, -12.0)
    lines = table(found, activity)
    assert len(lines) == 2 + 28
    assert lines[2].startswith("| redshift | ")
    assert lines[5].endswith("| - | - | - | - |")
    shifts = shift_table(found, activity)
    assert shifts[7].endswith("| 0 | - | - | 5 | - | - |")
    spreads = [float(line.split("|")[3].split()[0]) for line in shifts[2:] if " 30 |" in line]
    assert np.mean(spreads) == pytest.approx(2.0, abs=0.2)
