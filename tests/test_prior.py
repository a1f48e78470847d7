"""The prior: the densities it promises, and a smooth monotone map from the unit cube to galaxies."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from galfit_ml.errors import UnknownNameError
from galfit_ml.simulate.cosmology import Cosmology
from galfit_ml.simulate.galaxies import Galaxies
from galfit_ml.simulate.history import BURST_HALF_WIDTH, RECENT_YR, StarFormation
from galfit_ml.simulate.prior import (
    COORDINATES,
    LOG_DENSITY_RANGE,
    LOG_GAS_RANGE,
    LOG_U_RANGE,
    MASS_RANGE,
    GalaxyPrior,
    coordinate,
    log_mass_density,
)

PRIOR = GalaxyPrior((0.0, 5.0), (18.0, 25.5))
N = 20_000
LEVEL = 1e-3
"""Chance that a Kolmogorov-Smirnov test fails a correct density; the seed is fixed, so it fails always or never."""


def columns(galaxies: Galaxies) -> dict[str, torch.Tensor]:
    """Every parameter by its name, history included."""
    plain = {f.name: getattr(galaxies, f.name) for f in fields(Galaxies) if f.name != "history"}
    return plain | {f.name: getattr(galaxies.history, f.name) for f in fields(StarFormation)}


@pytest.fixture(scope="module")
def cube() -> torch.Tensor:
    return PRIOR.draw(N, torch.Generator().manual_seed(5))


@pytest.fixture(scope="module")
def draws(cube: torch.Tensor) -> dict[str, NDArray[np.float64]]:
    galaxies = PRIOR.transform(cube)
    return {name: values.double().numpy() for name, values in columns(galaxies).items()}


def flat(low: float, high: float) -> stats.rv_continuous:
    return stats.uniform(low, high - low)


DENSITIES = {
    "ln(1 + redshift)": (lambda d: np.log1p(d["redshift"]), flat(0, math.log(6))),
    "magnitude": (lambda d: d["magnitude"], flat(18.0, 25.5)),
    "log_ssfr": (lambda d: d["log_ssfr"], flat(-13, -8)),
    "log_burst_fraction": (lambda d: d["log_burst_fraction"], flat(-4, math.log10(0.9))),
    "log_metallicity": (lambda d: d["log_metallicity"], flat(-2, 0.39)),
    "dust_av": (lambda d: d["dust_av"], flat(0, 3)),
    "dust_eta": (lambda d: d["dust_eta"], flat(1, 3)),
    "dust_slope": (lambda d: d["dust_slope"], flat(-0.7, 0.3)),
    "ebv": (lambda d: d["ebv"], flat(0, 0.05)),
    "ln velocity_dispersion": (lambda d: np.log(d["velocity_dispersion"]), flat(math.log(40), math.log(400))),
    "ln gas_dispersion": (lambda d: np.log(d["gas_dispersion"]), flat(math.log(30), math.log(250))),
    "gas_velocity": (lambda d: d["gas_velocity"], stats.norm(0, 20)),
    "zero_point": (lambda d: d["zero_point"], stats.norm(0, 3)),
    "log10 lya_escape": (lambda d: np.log10(d["lya_escape"]), flat(math.log10(0.003), 0)),
    "log_agn": (lambda d: d["log_agn"], flat(-2, 2)),
    "agn_hardness": (lambda d: d["agn_hardness"], stats.norm()),
    "log_lier": (lambda d: d["log_lier"], stats.truncnorm(-1.5 / 0.35, 0.5 / 0.35, 0, 0.35)),
    "log_density": (lambda d: d["log_density"], stats.truncnorm(-3, 4, 2, 0.5)),
    "log_ism_depth": (lambda d: d["log_ism_depth"], flat(-2, math.log10(0.9))),
    "ism_velocity": (lambda d: d["ism_velocity"], flat(-300, 0)),
    "log_sodium": (lambda d: d["log_sodium"], flat(math.log10(0.003), math.log10(0.5))),
    "log_burstiness": (lambda d: d["log_burstiness"], stats.truncnorm(-2 / 0.3, 0.97 / 0.3, 0, 0.3)),
}


@pytest.mark.parametrize("name", DENSITIES)
def test_densities_are_the_ones_promised(name: str, draws: dict[str, NDArray[np.float64]]) -> None:
    value, density = DENSITIES[name]
    assert stats.kstest(value(draws), density.cdf).pvalue > LEVEL


def test_a_wrong_density_would_be_noticed(draws: dict[str, NDArray[np.float64]]) -> None:
    assert stats.kstest(draws["redshift"], flat(0, 5).cdf).pvalue < LEVEL


def test_gas_follows_the_stars_and_ionisation_the_gas(
    draws: dict[str, NDArray[np.float64]], cube: torch.Tensor
) -> None:
    """As truncated normals given what they follow: their quantiles are the coordinates of the cube."""

    def quantile(
        value: NDArray[np.float64], mean: NDArray[np.float64], sigma: float, ends: tuple[float, float]
    ) -> NDArray[np.float64]:
        low, high, found = (stats.norm.cdf((x - mean) / sigma) for x in (*ends, value))
        return (found - low) / (high - low)

    gas = quantile(draws["log_gas_metallicity"], draws["log_metallicity"] + 0.25, 0.3, LOG_GAS_RANGE)
    ionisation = quantile(draws["log_ionisation"], -3 - 0.5 * draws["log_gas_metallicity"], 0.4, LOG_U_RANGE)
    np.testing.assert_allclose(gas, cube[:, coordinate("log_gas_metallicity")], atol=1e-4)
    np.testing.assert_allclose(ionisation, cube[:, coordinate("log_ionisation")], atol=1e-4)


def test_ages_fill_the_age_of_the_universe(draws: dict[str, NDArray[np.float64]], cube: torch.Tensor) -> None:
    age = Cosmology.default().age_yr(torch.tensor(draws["redshift"])).numpy()
    oldest, first = 1.2e8, RECENT_YR / (1 - BURST_HALF_WIDTH)
    last = np.minimum(age, 1e9) / (1 + BURST_HALF_WIDTH)
    shares = {
        "formation_age": (draws["formation_age"] - oldest) / (age - oldest),
        "burst_age": np.log(draws["burst_age"] / first) / np.log(last / first),
        "tau": np.log(draws["tau"] / age / 0.02) / np.log(100),
    }
    for name, share in shares.items():
        np.testing.assert_allclose(share, cube[:, coordinate(name)], atol=1e-4)


@pytest.mark.parametrize("other", ["redshift", "log_ssfr", "dust_av", "log_metallicity", "formation_age"])
def test_magnitude_is_independent_of_the_rest(other: str, draws: dict[str, NDArray[np.float64]]) -> None:
    assert abs(stats.spearmanr(draws["magnitude"], draws[other]).statistic) < 4 / math.sqrt(N)


def test_all_draws_are_finite_and_in_range(draws: dict[str, NDArray[np.float64]]) -> None:
    ranges = {
        "redshift": (0, 5), "magnitude": (18, 25.5), "log_ssfr": (-13, -8), "log_metallicity": (-2, 0.39),
        "log_gas_metallicity": LOG_GAS_RANGE, "log_ionisation": LOG_U_RANGE, "dust_av": (0, 3), "dust_eta": (1, 3),
        "dust_slope": (-0.7, 0.3), "velocity_dispersion": (40, 400), "gas_dispersion": (30, 250), "ebv": (0, 0.05),
        "lya_escape": (0.003, 1), "log_agn": (-2, 2), "log_lier": (-1.5, 0.5), "log_density": LOG_DENSITY_RANGE,
        "log_ism_depth": (-2, 0), "ism_velocity": (-300, 0), "log_sodium": (math.log10(0.003), math.log10(0.5)),
        "agn_hardness": (-6, 6), "log_burstiness": (-2, 0.97), "log_burst_fraction": (-4, math.log10(0.9)),
    }  # fmt: skip
    for name, (low, high) in ranges.items():
        values = draws[name]
        tolerance = 1e-5 * max(abs(low), abs(high))
        assert np.isfinite(values).all(), name
        assert low - tolerance <= values.min() <= values.max() <= high + tolerance, name
    assert np.isnan(draws["log_formed_mass"]).all()  # mass follows from the magnitude
    age = Cosmology.default().age_yr(torch.tensor(draws["redshift"])).numpy()
    assert (draws["formation_age"] <= age * (1 + 1e-6)).all()
    assert (draws["formation_age"] > RECENT_YR).all()
    assert (draws["burst_age"] * (1 + BURST_HALF_WIDTH) <= np.minimum(age, 1e9) * (1 + 1e-6)).all()
    assert (draws["burst_age"] * (1 - BURST_HALF_WIDTH) >= RECENT_YR * (1 - 1e-6)).all()


@pytest.mark.parametrize("corner", [0.0, 1.0])
def test_the_faces_of_the_cube_are_finite(corner: float) -> None:
    cube = torch.rand(len(COORDINATES), len(COORDINATES), generator=torch.Generator().manual_seed(9))
    cube.fill_diagonal_(corner)
    for points in (cube, torch.full((1, len(COORDINATES)), corner)):
        for name, values in columns(PRIOR.transform(points)).items():
            assert name == "log_formed_mass" or bool(torch.isfinite(values).all()), name


def sweep(name: str, n: int, seed: int) -> dict[str, torch.Tensor]:
    """All parameters while one coordinate runs over the cube and the others stay."""
    cube = torch.rand(1, len(COORDINATES), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    cube = cube.repeat(n, 1)
    cube[:, coordinate(name)] = torch.linspace(0.002, 0.998, n, dtype=torch.float64)
    return {key: values.double() for key, values in columns(PRIOR.transform(cube)).items()}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", COORDINATES)
def test_each_coordinate_is_continuous_and_monotone(name: str, seed: int) -> None:
    coarse, fine = sweep(name, 501, seed), sweep(name, 2001, seed)
    own = fine[name].diff()
    assert bool((own > 0).all())
    for key in set(fine) - {"log_formed_mass"}:
        # A step would stay as high on the finer sweep; a slope falls to a quarter.
        rounding = 1e-6 * float(fine[key].abs().max())
        assert float(fine[key].diff().abs().max()) < 0.5 * float(coarse[key].diff().abs().max()) + rounding, key


def test_a_fixed_redshift_stays() -> None:
    prior = GalaxyPrior((0.7, 0.7), (18.0, 25.5))
    galaxies = prior.transform(prior.draw(50, torch.Generator().manual_seed(1)))
    torch.testing.assert_close(galaxies.redshift, torch.full((50,), 0.7, dtype=torch.float64))


def test_draws_repeat_with_their_generator() -> None:
    first, second, other = (PRIOR.draw(5, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert bool((first == second).all())
    assert not bool((first == other).any())
    assert first.shape == (5, PRIOR.n_dim)
    assert first.dtype == torch.float64


def test_mass_outside_its_range_is_impossible() -> None:
    low, high = MASS_RANGE
    mass = torch.tensor([low - 0.01, low + 0.01, 9.0, high - 0.01, high + 0.01, math.nan])
    assert log_mass_density(mass).tolist() == [-math.inf, 0.0, 0.0, 0.0, -math.inf, -math.inf]


def test_an_empty_range_is_refused() -> None:
    with pytest.raises(ValueError, match="dust_av"):
        GalaxyPrior((0.0, 1.0), (18.0, 22.0), dust_av=(2.0, 1.0))


def test_a_misspelt_coordinate_gets_a_suggestion() -> None:
    assert coordinate("tau") == COORDINATES.index("tau")
    with pytest.raises(UnknownNameError, match="redshift"):
        coordinate("reshift")
