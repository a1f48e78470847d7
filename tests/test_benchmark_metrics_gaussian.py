"""Backends with known errors: every metric must rank them as they must be, and find the size of the error."""

from __future__ import annotations

import numpy as np
import pytest
from gaussian_posteriors import BIASED, OVERCONFIDENT, PERFECT, UNDERCONFIDENT, GaussianBackend
from scipy import stats

from galfit_ml.benchmark.metrics import (
    bias,
    coverage,
    crps,
    hpd_level,
    interval_half_width,
    ks_distance,
    paired_bootstrap,
    pit_level,
    pull_width,
    tarp,
)

N, S = 3000, 300
BACKENDS = {"perfect": PERFECT, "overconfident": OVERCONFIDENT, "underconfident": UNDERCONFIDENT, "biased": BIASED}
WRONG = ("overconfident", "underconfident", "biased")


class Seen:
    """What the metrics say of a backend."""

    def __init__(self, backend: GaussianBackend) -> None:
        self.backend = backend
        draws, truth = backend.answer(N, S, 1, seed=1)
        self.draws, self.truth = draws[..., 0], truth[:, 0]
        self.crps = crps(self.draws, self.truth)
        self.level = pit_level(self.draws, self.truth, np.random.default_rng(2))
        z, z_true = np.expm1(1 + self.draws / 100), np.expm1(1 + self.truth / 100)
        self.hpd = hpd_level(z, z_true, np.random.default_rng(3))
        self.tarp = tarp(*backend.answer(N, S, 3, seed=4), np.random.default_rng(5))

    def chance(self, wanted: float) -> float:
        """Exact coverage of the interval of an infinite ensemble: the error is N(shift, 1), the half width known."""
        half = self.backend.width * stats.norm.ppf(0.5 + wanted / 2)
        return float(np.diff(stats.norm.cdf([-half, half], self.backend.shift))[0])

    def mean_crps(self) -> float:
        """Exact mean: E|N(b, 1 + w^2)| - w / sqrt(pi) of the width w and the shift b."""
        b, sigma = self.backend.shift, np.hypot(1, self.backend.width)
        return float(stats.foldnorm.mean(abs(b) / sigma, scale=sigma) - self.backend.width / np.sqrt(np.pi))


@pytest.fixture(scope="module")
def seen() -> dict[str, Seen]:
    return {name: Seen(backend) for name, backend in BACKENDS.items()}


@pytest.mark.parametrize("name", BACKENDS)
def test_crps_has_its_exact_mean(seen: dict[str, Seen], name: str) -> None:
    own = seen[name]
    assert own.crps.mean() == pytest.approx(own.mean_crps(), abs=4 * own.crps.std() / np.sqrt(N))


@pytest.mark.parametrize("name", WRONG)
def test_crps_ranks_the_perfect_one_first_beyond_doubt(seen: dict[str, Seen], name: str) -> None:
    found = paired_bootstrap(np.mean, [seen[name].crps], [seen["perfect"].crps], np.random.default_rng(6), n=300)
    assert found.low > 0
    assert found.p_value < 0.01


@pytest.mark.parametrize("wanted", [0.5, 0.68, 0.9, 0.95])
@pytest.mark.parametrize("name", BACKENDS)
def test_coverage_is_the_exact_one(seen: dict[str, Seen], name: str, wanted: float) -> None:
    for level, kind in ((seen[name].level, "equal-tailed"), (seen[name].hpd, "highest-density")):
        found = coverage(level, wanted, kind=kind)
        finite = 0.0 if name == "perfect" else 0.05 if kind == "highest-density" else 0.01
        assert found.value == pytest.approx(seen[name].chance(wanted), abs=4 * found.error + finite)


def test_coverage_is_off_on_the_right_side(seen: dict[str, Seen]) -> None:
    for level, kind in (("level", "equal-tailed"), ("hpd", "highest-density")):
        told = {name: coverage(getattr(own, level), 0.68, kind=kind) for name, own in seen.items()}
        assert told["perfect"].low < 0.68 < told["perfect"].high
        assert told["overconfident"].high < 0.68
        assert told["biased"].high < 0.68
        assert told["underconfident"].low > 0.68


@pytest.mark.parametrize("what", ["level", "hpd", "tarp"])
def test_only_the_perfect_one_has_uniform_levels(seen: dict[str, Seen], what: str) -> None:
    levels = {name: getattr(own, what) for name, own in seen.items()}
    assert stats.kstest(levels["perfect"], "uniform").pvalue > 1e-3
    for name in WRONG:
        assert stats.kstest(levels[name], "uniform").pvalue < 1e-6
        assert ks_distance(levels[name]) > 2 * ks_distance(levels["perfect"])


@pytest.mark.parametrize("what", ["level", "tarp"])
def test_levels_pile_up_at_the_ends_or_in_the_middle(seen: dict[str, Seen], what: str) -> None:
    variance = {name: 12 * np.mean((getattr(own, what) - 0.5) ** 2) for name, own in seen.items()}
    assert variance["underconfident"] < 0.8 < 0.9 < variance["perfect"] < 1.1 < 1.2 < variance["overconfident"]
    assert variance["biased"] > 1.2


def test_ranks_tell_the_sign_of_a_bias(seen: dict[str, Seen]) -> None:
    """Posteriors that lie too high have the truth among their lowest draws; their median level is Phi(-1)."""
    assert np.median(seen["biased"].level) == pytest.approx(stats.norm.cdf(-1), abs=0.02)
    for name in ("perfect", "overconfident", "underconfident"):
        assert np.median(seen[name].level) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize(
    ("name", "width", "shift"),
    [("perfect", 1, 0), ("overconfident", 2, 0), ("underconfident", 0.5, 0), ("biased", 1, 1)],
)
def test_widths_and_biases_have_their_size(seen: dict[str, Seen], name: str, width: float, shift: float) -> None:
    own = seen[name]
    assert pull_width(own.level) == pytest.approx(width, rel=0.08)
    assert bias(np.median(own.draws, axis=1) - own.truth) == pytest.approx(shift, abs=0.08)
    assert np.median(interval_half_width(own.draws)) == pytest.approx(0.9945 * own.backend.width, rel=0.02)
