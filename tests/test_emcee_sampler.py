"""How long the sampler runs, and what it is told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from galfit_ml.parameters import GALAXY
from galfit_ml_emcee import sampler
from galfit_ml_emcee.ensemble import Plan
from galfit_ml_emcee.likelihood import N_DIM
from galfit_ml_emcee.moves import Modes
from galfit_ml_emcee.optimise import Start
from galfit_ml_emcee.options import Options
from galfit_ml_emcee.sampler import Chain, sample
from galfit_ml_emcee.settings import SamplerSettings
from galfit_ml_emcee.target import Target

Floats = NDArray[np.float64]

FREE = [0, 1, 2, N_DIM - 1]
D = len(FREE)
QUICK = SamplerSettings(learn=60, asked=100, n_trial=1, trial=2, walk=20, block=5, max_steps=10)


@dataclass(frozen=True)
class Stub:
    unseen: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Gaussian(Target):
    """A unit Gaussian; of its reported parameters the last does not depend on anything."""

    width: float = 1.0

    def __call__(self, points: Floats) -> Floats:
        values = np.full((len(points), len(GALAXY)), 0.5)
        values[:, :-1] = points @ np.random.default_rng(1).standard_normal((D, len(GALAXY) - 1))
        return np.column_stack([-0.5 * ((points / self.width) ** 2).sum(axis=1), values])


class Constant:
    """A surrogate that says nothing: steps about the modes are then accepted by the true density."""

    def __call__(self, points: Floats) -> Floats:
        return np.asarray(-0.5 * (points**2).sum(axis=1))


def run(monkeypatch: pytest.MonkeyPatch, settings: SamplerSettings, ticks: list[float], width: float = 1.0) -> Chain:
    rng = np.random.default_rng(5)
    points = width * rng.standard_normal((settings.n_walkers, D))
    surrogate: Any = Constant()
    modes = Modes.of(np.zeros((1, D)), np.eye(D)[None], np.ones(1))
    plan = Plan(modes, surrogate, rng.standard_normal((100, D)), points, 0.0)
    monkeypatch.setattr(sampler, "make_plan", lambda *_: plan)
    target = Gaussian(Stub(), np.zeros(N_DIM), FREE, width)  # type: ignore[arg-type]
    start = Start(torch.zeros(1, N_DIM), torch.zeros(1), torch.eye(N_DIM)[None])
    return sample(target, start, np.random.default_rng(2), settings, tick=ticks.append)


def test_a_chain_ends_when_it_is_worth_what_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks: list[float] = []
    settings = replace(QUICK, max_steps=400, n_effective=400.0, n_effective_others=200.0)
    chain = run(monkeypatch, settings, ticks)
    assert chain.converged
    assert len(chain.x) < 100
    assert len(chain.x) % settings.block == 0
    assert chain.quality.effective[:2].min() >= 400
    assert chain.quality.effective[2:-1].min() >= 200
    assert np.isnan(chain.quality.effective[-1])
    assert len(chain.x) >= settings.n_autocorr * chain.quality.autocorrelation[:-1].max()
    assert len(ticks) == len(chain.x) / settings.block
    assert ticks[-1] == 1.0
    assert chain.values.shape == (*chain.x.shape[:2], len(GALAXY))
    assert chain.x.shape[2] == N_DIM
    flat = chain.x[..., FREE].reshape(-1, D)
    np.testing.assert_allclose(np.cov(flat.T), np.eye(D), atol=0.25)
    again = run(monkeypatch, settings, ticks)
    np.testing.assert_array_equal(again.x, chain.x)


def test_more_samples_need_a_longer_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    short, long = (replace(QUICK, max_steps=400, n_effective=n, n_effective_others=50.0) for n in (50.0, 3000.0))
    assert len(run(monkeypatch, long, []).x) > 2 * len(run(monkeypatch, short, []).x)


def test_a_chain_is_not_believed_before_some_autocorrelation_times(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = (
        replace(QUICK, max_steps=400, n_effective=10.0, n_effective_others=10.0, n_autocorr=n) for n in (2, 40)
    )
    assert len(run(monkeypatch, many, []).x) > 5 * len(run(monkeypatch, few, []).x)


def test_a_chain_at_its_cap_has_not_converged(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks: list[float] = []
    chain = run(monkeypatch, replace(QUICK, max_steps=12, n_effective=1e6), ticks)
    assert len(chain.x) == 12
    assert not chain.converged
    np.testing.assert_allclose(ticks, [5 / 12, 10 / 12, 1.0])


@pytest.mark.parametrize("max_steps", [1, 3])
def test_a_chain_too_short_to_judge_has_not_converged(monkeypatch: pytest.MonkeyPatch, max_steps: int) -> None:
    assert not run(
        monkeypatch, replace(QUICK, max_steps=max_steps, n_effective=1.0, n_effective_others=1.0), []
    ).converged


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"n_walkers": 57}, "n_walkers must be even"),
        ({"n_walkers": 2 * N_DIM - 2}, f"at least {2 * N_DIM}"),
        ({"max_steps": 0}, "max_steps must be a whole number"),
        ({"block": 2.5}, "block must be a whole number"),
        ({"learn": 39}, "learn must be at least 40"),
        ({"asked": 1}, "asked must be at least 2"),
        ({"n_trial": -1}, "n_trial must be at least 0"),
        ({"n_autocorr": 0.0}, "n_autocorr must be a positive number"),
        ({"n_effective": float("inf")}, "n_effective must be a positive number"),
        ({"n_effective_others": float("nan")}, "n_effective_others must be a positive number"),
    ],
)
def test_settings_refuse_nonsense(bad: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SamplerSettings(**bad)


@pytest.mark.parametrize(("share", "part"), [(1.0, 1.0), (0.6, 0.6), (0.02, 0.25)])
def test_a_lesser_mode_gets_fewer_samples(share: float, part: float) -> None:
    scaled = SamplerSettings().scaled(share)
    assert scaled.n_effective == pytest.approx(part * SamplerSettings().n_effective)
    assert scaled.n_effective_others == pytest.approx(part * SamplerSettings().n_effective_others)
    assert replace(scaled, n_effective=500.0, n_effective_others=200.0) == SamplerSettings()


def test_less_effort_is_less_work_before_the_chain_and_never_too_little() -> None:
    whole = SamplerSettings()
    half, least = whole.eased(0.5), whole.eased(1e-6)
    assert (half.learn, half.asked, half.walk) == (whole.learn // 2, whole.asked // 2, whole.walk // 2)
    assert (half.n_effective, half.max_steps, half.block) == (whole.n_effective, whole.max_steps, whole.block)
    assert least.learn >= 40
    assert min(least.asked, least.walk) >= 2
    assert whole.eased(1.0) == whole
    for bad in (0.0, -1.0, float("nan"), 11.0):
        with pytest.raises(ValueError, match="effort must be"):
            whole.eased(bad)


@pytest.mark.parametrize("bad", [-0.1, 1.0, float("nan")])
def test_options_refuse_a_line_error_that_is_none(bad: float) -> None:
    with pytest.raises(ValueError, match="line_error is a relative error"):
        Options(line_error=bad)
