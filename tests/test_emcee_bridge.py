"""Bridge sampling against ratios that are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

from galfit_ml_emcee.bridge import Ratio, bridge


def gaussians(offset: float, width: float, seed: int, n: int = 4000) -> Ratio:
    """Bridge from N(0, 1) to 7 N(offset, width), 40 walkers."""
    rng = np.random.default_rng(seed)

    def log_ratio(x: np.ndarray) -> np.ndarray:
        return np.asarray(np.log(7.0) + norm.logpdf(x, offset, width) - norm.logpdf(x))

    first = offset + width * rng.standard_normal((n // 40, 40))
    return bridge(log_ratio(first), log_ratio(rng.standard_normal((n // 40, 40))))


@pytest.mark.parametrize(("offset", "width"), [(0.0, 1.0), (0.5, 0.7), (2.0, 1.0), (0.0, 3.0), (4.0, 0.5)])
def test_ratio_of_gaussians_and_its_error(offset: float, width: float) -> None:
    found = [gaussians(offset, width, seed) for seed in range(60)]
    pulls = np.array([(r.log - np.log(7.0)) / max(r.error, 1e-12) for r in found])
    spread = np.std([r.log for r in found])
    if (offset, width) == (0.0, 1.0):
        assert spread < 1e-6
        return
    assert abs(np.mean(pulls)) < 0.5
    assert 0.7 < np.std(pulls) < 1.4
    assert np.mean([r.error for r in found]) == pytest.approx(spread, rel=0.3)


def test_where_the_tails_are_wrong_it_does_better_than_weights() -> None:
    """Draws of a density half as wide: importance weights have no variance, the bridge does not mind."""
    bridged, weighted = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        x = 0.4 * rng.standard_normal(1000)
        ratio = norm.logpdf(x) - norm.logpdf(x, 0, 0.4)
        own = rng.standard_normal(1000)
        bridged.append(bridge((norm.logpdf(own) - norm.logpdf(own, 0, 0.4))[None], ratio[None]).log)
        weighted.append(logsumexp(ratio) - np.log(1000))
    assert np.sqrt(np.mean(np.square(bridged))) < 0.5 * np.sqrt(np.mean(np.square(weighted)))


def test_samples_that_resemble_each_other_do_not_hide_the_error() -> None:
    """Walkers that do not move: the error is that of as many samples as there are walkers."""
    rng = np.random.default_rng(1)

    def log_ratio(x: np.ndarray) -> np.ndarray:
        return np.asarray(norm.logpdf(x, 1.0, 1.0) - norm.logpdf(x))

    still = np.tile(1.0 + rng.standard_normal(40), (100, 1))
    moving = 1.0 + rng.standard_normal((100, 40))
    other = log_ratio(rng.standard_normal((1, 100_000)))
    assert bridge(log_ratio(still), other).error > 5 * bridge(log_ratio(moving), other).error


@pytest.mark.parametrize("where", ["first", "second", "both"])
def test_densities_that_do_not_overlap_have_no_ratio(where: str) -> None:
    values = {name: np.zeros((5, 8)) for name in ("first", "second")}
    for name in values:
        if where in (name, "both"):
            values[name] = np.full((5, 8), -np.inf if name == "second" else np.inf)
    found = bridge(values["first"], values["second"])
    assert found.error == np.inf
    assert np.isinf(found.log)


def test_samples_where_the_other_has_no_density_count() -> None:
    """Half of density 2 lies where density 1 vanishes: 1 is uniform on [0, 1], 2 on [0, 2], both of height 1."""
    rng = np.random.default_rng(2)
    second = np.where(rng.random((50, 40)) < 0.5, 0.0, -np.inf)
    found = bridge(np.zeros((50, 40)), second)
    assert found.log == pytest.approx(np.log(0.5), abs=4 * found.error)
    assert 0 < found.error < 0.1
