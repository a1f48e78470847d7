"""Shares, their errors and intervals, and coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from galfit_ml.benchmark.metrics import Share, coverage

RNG = np.random.default_rng


@pytest.mark.parametrize(("hits", "n"), [(3, 10), (1, 400), (199, 300)])
def test_intervals_are_jeffreys(hits: int, n: int) -> None:
    found = Share.of_count(hits, n, confidence=0.9)
    posterior = stats.beta(hits + 0.5, n - hits + 0.5)
    assert found.value == hits / n
    assert found.error == pytest.approx(posterior.std())
    assert (found.low, found.high) == pytest.approx(posterior.interval(0.9))


def test_the_error_is_binomial_and_not_0_at_the_ends() -> None:
    assert Share.of_count(680, 1000).error == pytest.approx(np.sqrt(0.68 * 0.32 / 1000), rel=0.01)
    none, every = Share.of_count(0, 50), Share.of_count(50, 50)
    assert none.low == 0.0 < none.error < none.high
    assert every.high == 1.0 > every.low
    assert none.error == pytest.approx(every.error)


def test_intervals_hold_the_share_as_often_as_they_say() -> None:
    counts = RNG(1).binomial(300, 0.9, 2000)
    held = [one.low <= 0.9 <= one.high for one in (Share.of_count(int(k), 300) for k in counts)]
    assert np.mean(held) == pytest.approx(0.95, abs=0.02)


def test_missing_hits_are_left_out_and_counted() -> None:
    found = Share.of([1.0, 0.0, np.nan, 1.0])
    assert (found.value, found.n, found.left_out) == (2 / 3, 3, 1)
    assert Share.of(np.array([True, False])).value == 0.5
    empty = Share.of([np.nan, np.nan])
    assert np.isnan([empty.value, empty.error, empty.low, empty.high]).all()
    assert (empty.n, empty.left_out) == (0, 2)


@pytest.mark.parametrize("wanted", [0.5, 0.68, 0.9, 0.95])
@pytest.mark.parametrize("kind", ["equal-tailed", "highest-density"])
def test_uniform_levels_are_covered_as_often_as_wanted(wanted: float, kind: str) -> None:
    found = coverage(RNG(2).random(20_000), wanted, kind=kind)
    assert found.value == pytest.approx(wanted, abs=4 * found.error)
    assert found.error == pytest.approx(np.sqrt(wanted * (1 - wanted) / 20_000), rel=0.05)


def test_which_levels_each_kind_of_region_holds() -> None:
    levels = [0.05, 0.2, 0.5, 0.8, 0.97]
    assert coverage(levels, 0.68).value == 3 / 5
    assert coverage(levels, 0.68, kind="highest-density").value == 3 / 5
    assert coverage([0.05], 0.68).value == 0
    assert coverage([0.05], 0.68, kind="highest-density").value == 1


def test_missing_levels_are_left_out_and_counted() -> None:
    found = coverage([0.5, np.nan, 0.99], 0.9)
    assert (found.value, found.n, found.left_out) == (0.5, 2, 1)
    assert np.isnan(coverage([], 0.9).value)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="pass what pit_level gives"):
        coverage([1.5], 0.9)
    for wanted, kind in ((90, "equal-tailed"), (0.9, "widest")):
        with pytest.raises(ValueError, match="Needs 0 < wanted < 1"):
            coverage([0.5], wanted, kind=kind)
    with pytest.raises(ValueError, match="0 <= hits <= n"):
        Share.of_count(5, 4)
    with pytest.raises(ValueError, match="True, False or NaN"):
        Share.of([0.0, 2.0])
