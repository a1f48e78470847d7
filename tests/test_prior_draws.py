"""What the prior draws for the instruments: flat where it says so, before and after the limits on mass."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy import stats

from benchmarks.prior_plots import Draws, draw, kept_by_redshift
from galfit_ml.instruments import get_instrument
from galfit_ml.simulate.galaxies import simple_galaxies
from galfit_ml.simulate.prior import COORDINATES, MASS_RANGE, GalaxyPrior

N = 20_000
LEVEL = 1e-3
"""Chance that a Kolmogorov-Smirnov test fails a correct density; seeds are fixed, so it fails always or never."""

ROUNDING = 4 / math.sqrt(N)
"""Four standard errors of a rank correlation."""


@pytest.fixture(scope="module")
def moons() -> Draws:
    """Draws of the MOONS prior with their masses."""
    return draw(get_instrument("moons-lr"), N)


def prior_of(name: str) -> GalaxyPrior:
    instrument = get_instrument(name)
    return GalaxyPrior(instrument.redshift_range, instrument.magnitude_range)


@pytest.mark.parametrize("name", ["moons-lr", "sdss", "boss", "desi"])
def test_redshift_magnitude_and_ssfr_are_flat(name: str) -> None:
    instrument, prior = get_instrument(name), prior_of(name)
    galaxies = prior.transform(prior.draw(N, torch.Generator().manual_seed(11)))
    one_z = torch.log1p(torch.tensor(instrument.redshift_range, dtype=torch.float64)).tolist()
    flat = {
        "redshift": (torch.log1p(galaxies.redshift), one_z),
        "magnitude": (galaxies.magnitude, instrument.magnitude_range),
        "log_ssfr": (galaxies.history.log_ssfr, (-13.0, -8.0)),
    }
    for key, (values, (low, high)) in flat.items():
        assert stats.kstest(values.double().numpy(), stats.uniform(low, high - low).cdf).pvalue > LEVEL, key


def test_moons_goes_one_magnitude_beyond_what_it_reports() -> None:
    assert get_instrument("moons-lr").magnitude_range == pytest.approx((17.0, 26.5))


def test_no_two_coordinates_that_should_be_independent_are_correlated(moons: Draws) -> None:
    """All pairs but those that the prior ties: ages to the age of the Universe, gas to stars, ionisation to gas."""
    tied = {
        frozenset(pair)
        for pair in (
            ("redshift", "formation_age"), ("redshift", "tau"), ("formation_age", "tau"),
            ("log_metallicity", "log_gas_metallicity"), ("log_gas_metallicity", "log_ionisation"),
            ("log_metallicity", "log_ionisation"),
        )
    }  # fmt: skip
    matrix = stats.spearmanr(np.stack([moons.values[name] for name in COORDINATES], axis=1)).statistic
    for i, one in enumerate(COORDINATES):
        for j in range(i):
            if frozenset((one, COORDINATES[j])) not in tied:
                assert abs(matrix[i, j]) < 1.2 * ROUNDING, (one, COORDINATES[j], matrix[i, j])
    assert matrix[COORDINATES.index("log_gas_metallicity"), COORDINATES.index("log_metallicity")] > 0.5


def test_draws_are_the_map_of_the_cube() -> None:
    """One function makes both: the map is deterministic, row by row, and `draw` only fills the cube evenly."""
    prior = prior_of("moons-lr")
    cube = prior.draw(N, torch.Generator().manual_seed(4))
    assert 0 < float(cube.min()) < float(cube.max()) < 1
    for i, name in enumerate(COORDINATES):
        assert stats.kstest(cube[:, i].numpy(), "uniform").pvalue > LEVEL, name
    together, alone = prior.transform(cube[:50]), prior.transform(cube[7:8])
    for field in dataclasses.fields(together):
        if field.name != "history":
            torch.testing.assert_close(
                getattr(together, field.name)[7:8], getattr(alone, field.name), rtol=0, atol=0, equal_nan=True
            )


def test_the_unseen_half_of_a_line_prior_does_not_matter() -> None:
    """Amplitudes are log-flat down to where they no longer matter: the median AGN, gas and sodium are weak."""
    prior = prior_of("moons-lr")
    galaxies = prior.transform(torch.full((1, prior.n_dim), 0.5, dtype=torch.float64))
    assert float(10**galaxies.log_agn) == pytest.approx(1.0)  # angstrom
    assert float(10**galaxies.log_ism_depth) < 0.1
    assert float(10**galaxies.log_sodium) < 0.05


def test_simple_galaxies_have_none_of_it() -> None:
    galaxies = simple_galaxies(2, 0.1)
    for name in ("log_agn", "log_lier", "log_ism_depth", "log_sodium"):
        assert bool((10 ** getattr(galaxies, name) == 0).all()), name
    assert bool(galaxies.log_density.isnan().all())


# The limits on mass.


def test_mass_limits_reject_bright_distant_galaxies(moons: Draws) -> None:
    """MOONS, m_H 17 - 26.5, z 0 - 5: 16 % are too heavy, nearly all of them beyond z = 1 and brighter than 23; 0.3 %
    are too light, all of them next door."""
    mass, z, m = (moons.values[k] for k in ("log_stellar_mass", "redshift", "magnitude"))
    np.testing.assert_array_equal(moons.kept, (mass > MASS_RANGE[0]) & (mass < MASS_RANGE[1]))
    assert 0.80 < moons.kept.mean() < 0.87
    heavy, light = mass >= MASS_RANGE[1], mass <= MASS_RANGE[0]
    assert 0.13 < heavy.mean() < 0.19
    assert light.mean() < 0.006
    assert (z[heavy] > 1).mean() > 0.95
    assert (m[heavy] < 23).mean() > 0.95
    assert z[light].max() < 0.1


def test_rejection_ties_magnitude_to_redshift_by_the_stated_amount(moons: Draws) -> None:
    """Independent as drawn; +0.22 after rejection over the whole range, nothing between z 0.1 and 0.9 where nothing is
    rejected."""
    assert abs(moons.correlation("redshift", "magnitude", False)) < ROUNDING
    assert moons.correlation("redshift", "magnitude", True) == pytest.approx(0.22, abs=0.04)
    near = (moons.values["redshift"] > 0.1) & (moons.values["redshift"] < 0.9)
    assert moons.kept[near].mean() > 0.99
    inside = Draws({k: v[near] for k, v in moons.values.items()}, moons.kept[near])
    assert abs(inside.correlation("redshift", "magnitude", True)) < 4 / math.sqrt(near.sum())


def test_rejection_leaves_other_coordinates_alone(moons: Draws) -> None:
    """Shapes set mass to light, so their marginals bend a little; line strengths and velocities must not."""
    for name in ("log_agn", "log_lier", "log_density", "ism_velocity", "log_sodium", "gas_velocity", "lya_escape"):
        drawn, kept = moons.values[name], moons.values[name][moons.kept]
        assert stats.ks_2samp(drawn, kept).statistic < 0.02, name
    assert stats.ks_2samp(moons.values["log_ssfr"], moons.values["log_ssfr"][moons.kept]).statistic < 0.1


def test_the_share_kept_falls_with_redshift(moons: Draws) -> None:
    share = kept_by_redshift(moons, np.array([0.1, 1.0, 2.0, 3.0, 5.0]))
    assert bool((np.diff(share) < 0).all())
    assert share[0] > 0.99
    assert 0.4 < share[-1] < 0.65
