"""Exposure times and observing conditions."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch

from galfit_ml.errors import GalfitMLError
from galfit_ml.instruments import get_instrument
from galfit_ml.observatory import Curve, NoiseCurve
from galfit_ml.simulate import conditions as module
from galfit_ml.simulate.conditions import Conditions, ConditionsError, exposure_seconds

MOONS = get_instrument("moons-lr")
FLAT = Curve((3000.0, 10000.0), (1.0, 1.0))
CURVED = replace(get_instrument("sdss"), noise_curve=NoiseCurve(2700.0, FLAT, FLAT, scatter=0.2))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1h", 3600.0),
        ("30m", 1800.0),
        ("30 min", 1800.0),
        ("2x600s", 1200.0),
        ("6 × 10min", 3600.0),
        ("1.5H", 5400.0),
        ("900", 900.0),
        ("1e3s", 1000.0),
        (".5h", 1800.0),
        (600, 600.0),
        (12.5, 12.5),
    ],
)
def test_exposures_are_read(text: str | float, seconds: float) -> None:
    assert exposure_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "one hour", "5 parsecs", "2x", "1h30m", "-1h", "1,5h"])
def test_a_text_that_is_no_exposure_is_named(text: str) -> None:
    with pytest.raises(ConditionsError, match="cannot be understood.*Type"):
        exposure_seconds(text)


@pytest.mark.parametrize("value", [0, -5, float("nan"), float("inf"), "0s", "0x600s"])
def test_an_exposure_must_be_positive(value: str | float) -> None:
    with pytest.raises(GalfitMLError, match="positive and finite"):
        exposure_seconds(value)


def test_nominal_conditions_are_those_of_the_instrument() -> None:
    found = Conditions.nominal(MOONS, 3, "1h", size=torch.tensor([0.0, 0.3, 0.5]))
    assert MOONS.observatory is not None
    assert len(found) == 3
    assert found.exposure.tolist() == [3600.0] * 3
    assert torch.allclose(found.seeing, torch.tensor(MOONS.observatory.seeing))
    assert torch.allclose(found.airmass, torch.tensor(MOONS.observatory.airmass))
    assert torch.allclose(found.size, torch.tensor([0.0, 0.3, 0.5]))
    assert found.noise_factor.shape == (3, 3)
    assert bool((found.noise_factor == 1).all())
    assert bool((found.oh == 1).all())


def test_each_spectrum_may_have_its_exposure() -> None:
    found = Conditions.nominal(MOONS, 2, torch.tensor([3600.0, 28800.0]))
    assert found.exposure.tolist() == [3600.0, 28800.0]


def draw(n: int, seed: int = 1) -> Conditions:
    return Conditions.draw(MOONS, n, "1h", torch.Generator().manual_seed(seed))


def test_drawn_conditions_have_the_distributions_they_state() -> None:
    found = draw(40_000)
    assert MOONS.observatory is not None
    for name, scatter in (("oh", module.OH_SCATTER), ("continuum", module.CONTINUUM_SCATTER)):
        value = getattr(found, name).log()
        assert float(value.std()) == pytest.approx(scatter, rel=0.02)
        assert float(value.mean()) == pytest.approx(0.0, abs=0.01)
    assert float(found.seeing.median()) == pytest.approx(MOONS.observatory.seeing, rel=0.01)
    assert float(found.size.median()) == pytest.approx(module.NOMINAL_SIZE, rel=0.02)
    assert float(found.airmass.min()) >= 1.0
    assert 1.54 < float(found.airmass.max()) < 1.556
    assert float(found.noise_factor.min()) >= 1.0
    assert float((found.noise_factor > 2.7).float().mean()) == pytest.approx(0.047, abs=0.004)
    assert abs(float(torch.corrcoef(found.noise_factor.T.log())[0, 1])) < 0.02


def test_the_same_seed_draws_the_same_conditions() -> None:
    one, same, other = draw(5), draw(5), draw(5, seed=2)
    for field in fields(Conditions):
        assert torch.equal(getattr(one, field.name), getattr(same, field.name))
    assert not torch.equal(one.seeing, other.seeing)


def test_a_noise_curve_varies_by_its_own_scatter() -> None:
    found = Conditions.draw(CURVED, 20_000, 5400.0, torch.Generator().manual_seed(3))
    assert found.noise_factor.shape == (20_000, 1)
    assert float(0.5 * found.noise_factor.log().std()) == pytest.approx(0.2, rel=0.03)
    assert bool((found.airmass == 1).all())


def test_rows_and_devices() -> None:
    found = draw(6)
    part = found.take(torch.tensor([4, 1])).to("cpu")
    assert torch.equal(part.oh, found.oh[[4, 1]])
    assert part.noise_factor.shape == (2, 3)
    assert len(found.take(slice(2, 5))) == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("exposure", 0.0),
        ("seeing", -0.8),
        ("airmass", 0.9),
        ("size", -0.1),
        ("oh", float("nan")),
        ("continuum", -1.0),
        ("noise_factor", float("inf")),
    ],
)
def test_conditions_that_make_no_sense_are_named(name: str, value: float) -> None:
    found = draw(4)
    wrong = getattr(found, name).clone()
    wrong[2] = value
    with pytest.raises(ConditionsError, match=name):
        replace(found, **{name: wrong}).check()


def test_a_bad_size_or_exposure_is_refused_at_once() -> None:
    with pytest.raises(ConditionsError, match="size"):
        Conditions.nominal(MOONS, 2, "1h", size=-1.0)
    with pytest.raises(ConditionsError, match="exposure"):
        Conditions.nominal(MOONS, 2, torch.tensor([3600.0, -1.0]))


def test_fields_must_have_the_same_rows() -> None:
    with pytest.raises(ValueError, match="4 rows"):
        replace(draw(4), seeing=torch.ones(3))
