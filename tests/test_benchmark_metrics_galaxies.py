"""Several spectra of a galaxy: errors are those of galaxies."""

from __future__ import annotations

import numpy as np
import pytest

from galfit_ml.benchmark.metrics import Galaxies, Share, bootstrap, design_effect

RNG = np.random.default_rng
REPEATS = 400


def hits_of(rng: np.random.Generator, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hits whose probability differs from galaxy to galaxy, and the galaxy of each."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return rng.random(len(labels)) < rng.beta(1.4, 0.6, len(sizes))[labels], labels


@pytest.mark.parametrize("sizes", [np.full(120, 4), np.tile([1, 2, 6], 60)], ids=["equal", "unequal"])
def test_errors_of_shares_are_the_spread_of_shares(sizes: np.ndarray) -> None:
    rng = RNG(4)
    found = [hits_of(rng, sizes) for _ in range(REPEATS)]
    spread = np.std([hits.mean() for hits, _ in found])
    told = np.mean([Share.of(hits).thinned(design_effect(hits, labels)).error for hits, labels in found])
    assert told == pytest.approx(spread, rel=5 / np.sqrt(2 * REPEATS))
    naive = np.mean([Share.of(hits).error for hits, _ in found])
    assert naive < 0.8 * spread


def test_bootstrap_errors_are_the_spread_of_the_statistic() -> None:
    rng = RNG(5)
    labels = np.repeat(np.arange(100), 5)
    sets = [rng.standard_normal(100)[labels] + 0.5 * rng.standard_normal(500) for _ in range(100)]
    spread = np.sqrt(1 / 100 + 0.25 / 500)
    told = np.mean([bootstrap(np.mean, (values,), 100, rng, galaxies=labels) for values in sets])
    assert told == pytest.approx(spread, rel=0.05)
    assert np.mean([bootstrap(np.mean, (values,), 100, rng) for values in sets]) < 0.6 * spread


def test_copies_of_all_spectra_make_no_error_smaller() -> None:
    values, hits = RNG(6).standard_normal(80), RNG(7).random(80) < 0.7
    labels = np.tile(np.arange(80), 12)
    once = bootstrap(np.median, (values,), 50, RNG(1))
    assert bootstrap(np.median, (np.tile(values, 12),), 50, RNG(1), galaxies=labels) == pytest.approx(once, rel=0.1)
    assert bootstrap(np.mean, (np.tile(values, 12),), 50, RNG(1), galaxies=labels) == pytest.approx(
        bootstrap(np.mean, (values,), 50, RNG(1))
    )
    assert Share.of(np.tile(hits, 12)).thinned(12).error == pytest.approx(Share.of(hits).error)
    assert design_effect(np.tile(hits, 12), labels) == 12


def test_a_spectrum_of_each_galaxy_changes_nothing() -> None:
    values, labels = RNG(8).standard_normal(50), RNG(9).permutation(50)
    assert bootstrap(np.mean, (values,), 40, RNG(2), galaxies=labels) == bootstrap(np.mean, (values,), 40, RNG(2))
    assert design_effect(values > 0, labels) == 1
    share = Share.of(values > 0)
    assert share.thinned(1.0) is share


def test_the_design_effect_is_held_between_one_and_that_of_copies() -> None:
    labels = np.repeat(np.arange(10), 3)
    assert design_effect(np.tile([1, 0, 0], 10), labels) == 1  # the share is the same in each galaxy
    assert design_effect(np.repeat([1, 0], 15), np.repeat([0, 1], 15)) == 15
    assert design_effect(np.ones(30), labels) == 3  # nothing is known of it
    assert design_effect([1, 0, 1], [7, 7, 7]) == 3
    every = Share.of(np.ones(30)).thinned(3.0)
    assert (every.value, every.n, every.high) == (1.0, 30, 1.0)
    assert every.error == pytest.approx(Share.of_count(10, 10).error)


def test_a_sample_holds_all_spectra_of_the_galaxies_drawn() -> None:
    labels = np.array([3, 1, 3, 2, 2, 2])
    galaxies = Galaxies.of(labels)
    for seed in range(20):
        drawn = labels[galaxies.sample(RNG(seed))]
        times = {k: (drawn == k).sum() / (labels == k).sum() for k in (1, 2, 3)}
        assert sum(times.values()) == 3
        assert all(number == int(number) for number in times.values())


def test_labels_of_another_number_are_refused() -> None:
    with pytest.raises(ValueError, match="same number of rows"):
        bootstrap(np.mean, (np.zeros(4),), 10, RNG(0), galaxies=np.zeros(3))
