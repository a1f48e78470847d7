"""Star-formation histories against numerical quadrature and against their own definitions."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.integrate import quad

from galfit_ml.simulate.galaxies import simple_galaxies
from galfit_ml.simulate.history import (
    BIRTH_CLOUD_YR,
    BURST_HALF_WIDTH,
    RECENT_YR,
    FormedMass,
    StarFormation,
    constant,
    delayed,
    formed_mass,
)
from galfit_ml.simulate.populations import default_populations

EDGES = default_populations().age_edges
SURVIVING = (default_populations().living_fraction + default_populations().remnant_fraction)[4]
LIVING = default_populations().living_fraction[4]


def history(n: int = 1, **values: float | torch.Tensor) -> StarFormation:
    return simple_galaxies(n, 0.1, **values).history


def made(sfh: StarFormation) -> FormedMass:
    n = len(sfh.tau)
    return formed_mass(sfh, EDGES, SURVIVING.expand(n, -1), LIVING.expand(n, -1))


def quadrature(age: float, tau: float, stop: float) -> NDArray[np.float64]:
    """Mass fractions of the delayed exponential in the bins, by adaptive integration over lookback time."""

    def rate(lookback: float) -> float:
        return (age - lookback) / tau * np.exp(-(age - lookback) / tau)

    def mass(start: float, end: float) -> float:
        return float(quad(rate, start, end, epsabs=0, epsrel=1e-10)[0]) if end > start else 0.0

    edges = EDGES.double().numpy().clip(stop, age)
    bins = np.array([mass(a, b) for a, b in itertools.pairwise(edges)])
    return bins / bins.sum()


SHAPES = [
    (8e9, 5e8, 0.0),
    (8e9, 5e8, 1e8),
    (1.3e10, 2.6e8, 1e8),  # old and short: exp(-50)
    (1.3e10, 2.6e10, 1e8),  # rising all its life
    (1.2e8, 2e10, 1e8),  # (age - stop) / tau = 1e-3: differences of nearly equal numbers
    (4e8, 2e9, 1e8),
]


@pytest.mark.parametrize(("age", "tau", "stop"), SHAPES)
def test_delayed_equals_quadrature(age: float, tau: float, stop: float) -> None:
    found = delayed(EDGES, torch.tensor([age]), torch.tensor([tau]), stop)[0].double().numpy()
    expected = quadrature(age, tau, stop)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("start", "stop"), [(0.0, 1e7), (1e7, 1e8), (8.91e6, 1.12e7), (2.58e9, 3.42e9), (3e5, 4e5)])
def test_constant_puts_into_each_bin_its_overlap(start: float, stop: float) -> None:
    found = constant(EDGES, torch.tensor([start]), torch.tensor([stop]))[0].double().numpy()
    edges = EDGES.double().numpy()
    overlap = [max(min(b, stop) - max(a, start), 0.0) for a, b in itertools.pairwise(edges)]
    np.testing.assert_allclose(found, np.array(overlap) / (stop - start), rtol=1e-5, atol=1e-7)
    assert found.sum() == pytest.approx(1.0, abs=1e-6)


def test_exponential_of_one_bin_lies_in_that_bin() -> None:
    found = delayed(EDGES, EDGES[-4:-3], torch.tensor([1e9]), stop=float(EDGES[-5]))[0]
    assert found[-4].item() == pytest.approx(1.0, abs=1e-6)
    assert int((found != 0).sum()) == 1


histories = st.fixed_dictionaries(
    {
        "log_ssfr": st.floats(-13, -8),
        "log_burstiness": st.floats(-2, 0.97),
        "burst_age": st.floats(RECENT_YR / (1 - BURST_HALF_WIDTH), 8.7e8),
        "log_burst_fraction": st.floats(-4, 0),
        "formation_age": st.floats(1.2e8, 1.37e10),
        "tau": st.floats(2e7, 2.7e10),
    }
)


@settings(max_examples=60)
@given(histories)
def test_masses_are_shares_of_one_whose_definitions_hold(values: dict[str, float]) -> None:
    sfh = history(**values)
    mass = made(sfh)
    assert mass.total.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert bool((mass.total >= 0).all())
    assert bool((mass.cloud >= 0).all())
    assert bool((mass.cloud <= mass.total).all())
    rate = mass.recent_fraction.double() / RECENT_YR
    found = torch.log10(rate / mass.surviving.double()).item()
    assert found == pytest.approx(values["log_ssfr"], abs=1e-3)
    youngest = mass.cloud.sum().item() / BIRTH_CLOUD_YR
    assert np.log10(youngest / rate.item()) == pytest.approx(min(values["log_burstiness"], np.log10(9.5)), abs=1e-3)


def test_surviving_and_living_mass_are_sums_over_the_bins() -> None:
    mass = made(history(log_ssfr=-9.0))
    total = mass.total.double()
    assert mass.surviving.item() == pytest.approx(float((total * SURVIVING).sum()), rel=1e-6)
    assert mass.living.item() == pytest.approx(float((total * LIVING).sum()), rel=1e-6)
    assert mass.living.item() < mass.surviving.item() < 1.0


def test_everything_older_than_the_recent_past_forms_before_it() -> None:
    # This burst would begin 86 Myr ago.
    older = history(burst_age=1.0e8, log_burst_fraction=-0.1, formation_age=5e9, tau=2e10).older(EDGES)[0]
    assert older.sum().item() == pytest.approx(1.0, abs=1e-6)
    assert not bool(older[EDGES[1:] <= RECENT_YR].any())


def test_recent_past_forms_nothing_older() -> None:
    recent, cloud = history(log_burstiness=0.4).recent(EDGES)
    assert recent.sum().item() == pytest.approx(1.0, abs=1e-6)
    assert not bool(recent[0, EDGES[:-1] >= RECENT_YR].any())
    assert not bool(cloud[0, EDGES[:-1] >= BIRTH_CLOUD_YR].any())


def test_the_burst_lies_within_its_ages() -> None:
    age = 5e8
    burst = history(burst_age=age, log_burst_fraction=0.0).older(EDGES)[0]
    inside = (EDGES[1:] > age * (1 - BURST_HALF_WIDTH)) & (EDGES[:-1] < age * (1 + BURST_HALF_WIDTH))
    assert bool((burst[inside] > 0).all())
    assert not bool(burst[~inside].any())


def test_burst_share_is_of_the_older_mass() -> None:
    sfh = history(burst_age=5e8, log_burst_fraction=-1.0, formation_age=1e10, tau=1e8)
    assert sfh.older(EDGES)[0, EDGES[:-1] < 1e9].sum().item() == pytest.approx(0.1, abs=1e-6)


def test_galaxies_do_not_depend_on_each_other() -> None:
    generator = torch.Generator().manual_seed(3)
    ages = 10 ** (8.2 + 1.9 * torch.rand(7, generator=generator))
    both = history(7, formation_age=ages, log_ssfr=torch.linspace(-13, -8, 7))
    together = made(both)
    for row in range(7):
        fields = {name: getattr(both, name)[row : row + 1] for name in both.__dataclass_fields__}
        torch.testing.assert_close(made(replace(both, **fields)).total[0], together.total[row])
