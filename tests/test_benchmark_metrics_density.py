"""Highest-density levels of redshifts: uniform where calibrated, with two peaks too, and else not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from galfit_ml.benchmark.metrics import coverage, hpd_level, ks_distance, pit_level
from galfit_ml.benchmark.metrics import density as own
from galfit_ml.benchmark.metrics.density import neighbour_distance

RNG = np.random.default_rng
N = 4000
Floats = NDArray[np.float64]


def two_peaks(rng: np.random.Generator, n: int, s: int, weight: float = 0.7, width: float = 1.0) -> Floats:
    """[n, s] redshifts: `weight` in a peak near 1, the rest in one near 2.5 that is half as wide in ln(1 + z)."""
    first = rng.random((n, s)) < weight
    scale = np.where(first, 2e-3, 1e-3) * width
    return np.expm1(np.where(first, np.log(2.0), np.log(3.5)) + scale * rng.standard_normal((n, s)))


def exact_level(z: Floats, weight: float = 0.7) -> Floats:
    """Probability at higher density (per unit of ln(1 + z)) than at z, for the mixture of `two_peaks`."""

    def density(of: Floats) -> Floats:
        parts = ((weight, 2.0, 2e-3), (1 - weight, 3.5, 1e-3))
        return sum(w * stats.norm.pdf(np.log1p(of), np.log(m), sigma) for w, m, sigma in parts)

    sample = np.sort(density(two_peaks(RNG(99), 1, 200_000, weight)[0]))
    return 1 - np.searchsorted(sample, density(z)) / len(sample)


@pytest.mark.parametrize("s", [1, 4, 30, 300])
@pytest.mark.parametrize("neighbours", [None, 1])
def test_levels_of_two_calibrated_peaks_are_uniform(s: int, neighbours: int | None) -> None:
    z = two_peaks(RNG(1), N, s + 1)
    levels = hpd_level(z[:, 1:], z[:, 0], RNG(2), neighbours=neighbours)
    assert stats.kstest(levels, "uniform").pvalue > 1e-3
    found = coverage(levels, 0.68, kind="highest-density")
    assert found.value == pytest.approx(0.68, abs=4 * found.error)


def test_levels_are_uniform_on_a_coarse_grid_of_redshifts() -> None:
    z = np.round(two_peaks(RNG(3), N, 101), 2)
    assert len(np.unique(z)) < 20
    assert stats.kstest(hpd_level(z[:, 1:], z[:, 0], RNG(4)), "uniform").pvalue > 1e-3


def test_levels_are_the_exact_ones_of_the_mixture_but_for_noise() -> None:
    z = two_peaks(RNG(5), 300, 2001)
    wanted = exact_level(z[:, 0])
    for neighbours, noise in ((None, 0.09), (200, 0.05)):
        away = hpd_level(z[:, 1:], z[:, 0], RNG(6), neighbours=neighbours) - wanted
        assert abs(np.median(away)) < 0.02
        assert np.median(np.abs(away)) < noise


def test_a_truth_between_the_peaks_is_outside_whatever_its_rank() -> None:
    draws = two_peaks(RNG(7), 50, 300)
    truth = np.full(50, 1.7)
    assert (hpd_level(draws, truth, RNG(8)) > 0.99).all()
    rank = pit_level(draws, truth, RNG(8))
    assert ((rank > 0.5) & (rank < 0.9)).all()


@pytest.mark.parametrize(("width", "higher"), [(0.5, True), (2.0, False)])
def test_wrong_widths_of_the_peaks_are_seen_on_the_right_side(width: float, higher: bool) -> None:
    truth, draws = two_peaks(RNG(9), N, 1)[:, 0], two_peaks(RNG(10), N, 300, width=width)
    levels = hpd_level(draws, truth, RNG(11))
    assert ks_distance(levels) > 0.1
    assert (levels.mean() > 0.55) == higher
    assert (levels.mean() < 0.45) == (not higher)


def test_wrong_probabilities_of_the_peaks_are_seen() -> None:
    truth, draws = two_peaks(RNG(12), N, 1, weight=0.3)[:, 0], two_peaks(RNG(13), N, 300, weight=0.9)
    levels = hpd_level(draws, truth, RNG(14))
    assert coverage(levels, 0.9, kind="highest-density").value < 0.6


@pytest.mark.parametrize("scale", [1e-6, 1.0])
def test_peaks_of_any_width_are_judged_alike(scale: float) -> None:
    """A bin of fixed width would take all draws of a narrow peak for equal."""
    truth, draws = RNG(15).standard_normal(N), 0.5 * RNG(16).standard_normal((N, 100))
    levels = hpd_level(np.expm1(0.8 + 0.1 * scale * draws), np.expm1(0.8 + 0.1 * scale * truth), RNG(17))
    wanted = 2 * stats.norm.cdf(0.5 * stats.norm.ppf(0.84)) - 1
    assert coverage(levels, 0.68, kind="highest-density").value == pytest.approx(wanted, abs=0.05)


@pytest.mark.parametrize("k", [1, 3, 11])
def test_the_distance_is_that_of_the_kth_neighbour(k: int) -> None:
    points = np.sort(RNG(18).poisson(4.0, (6, 12)) + RNG(19).choice([0.0, 0.25], (6, 12)), axis=1)
    all_pairs = np.abs(points[:, :, None] - points[:, None, :])
    np.testing.assert_array_equal(neighbour_distance(points, k), np.sort(all_pairs, axis=2)[:, :, k])


def test_parts_of_the_rows_are_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    z = two_peaks(RNG(20), 25, 51)
    whole = hpd_level(z[:, 1:], z[:, 0], RNG(21))
    monkeypatch.setattr(own, "NUMBERS_AT_ONCE", 200)
    np.testing.assert_array_equal(hpd_level(z[:, 1:], z[:, 0], RNG(21)), whole)


def test_a_row_that_lacks_a_number_has_no_level_and_changes_no_other() -> None:
    z = two_peaks(RNG(22), 4, 31)
    whole = hpd_level(z[:, 1:], z[:, 0], RNG(23))
    z[0, 0], z[2, 7] = np.nan, np.nan
    found = hpd_level(z[:, 1:], z[:, 0], RNG(23))
    np.testing.assert_array_equal(found, np.where([False, True, False, True], whole, np.nan))
    assert hpd_level(np.empty((0, 5)), np.empty(0), RNG(24)).shape == (0,)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="A redshift is above -1"):
        hpd_level([[0.1, -1.0]], [0.2], RNG(0))
    with pytest.raises(ValueError, match="neighbours 1 to s"):
        hpd_level([[0.1, 0.2]], [0.2], RNG(0), neighbours=3)
    with pytest.raises(ValueError, match=r"must be \[n, s\]"):
        hpd_level([0.1, 0.2], 0.2, RNG(0))
