"""From the unit cube to the dictionary bagpipes takes: prior, cosmology, components, resampling. No bagpipes needed."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch
from astropy.cosmology import FlatLambdaCDM
from scipy import stats

from galfit_ml.errors import PriorError
from galfit_ml.grid import WavelengthGrid, rebin_matrix
from galfit_ml.redshift_prior import RedshiftPrior, redshift_range
from galfit_ml.simulate.prior import COORDINATES as OURS
from galfit_ml.simulate.prior import GalaxyPrior
from galfit_ml.testing import default_instrument
from galfit_ml_bagpipes.backend import make_prior
from galfit_ml_bagpipes.components import CLOUD_GYR, RECENT_GYR, components
from galfit_ml_bagpipes.coordinates import COORDINATES, RANGES
from galfit_ml_bagpipes.cosmology import age_gyr, log_mass_shift
from galfit_ml_bagpipes.prior import Prior, RedshiftDensity
from galfit_ml_bagpipes.resample import resample
from galfit_ml_bagpipes.settings import Settings

INSTRUMENT = default_instrument(300.0, (0.05, 0.3))


def density(prior: RedshiftPrior, low: float = 0.1, high: float = 1.0) -> RedshiftDensity:
    return RedshiftDensity.of(prior, low, high)


def test_redshift_is_flat_in_ln_1_plus_z() -> None:
    u = np.linspace(0, 1, 11)
    expected = np.expm1(np.log(1.1) + u * np.log(2.0 / 1.1))
    np.testing.assert_allclose(density(RedshiftPrior()).quantile(u), expected, rtol=1e-6)


def test_a_distribution_multiplies_that_density() -> None:
    z = density(RedshiftPrior(distribution=stats.norm(0.5, 0.1))).quantile(np.linspace(0, 1, 20001))
    grid = np.linspace(0.1, 1.0, 20001)
    weight = stats.norm(0.5, 0.1).pdf(grid) / (1 + grid)
    assert z.mean() == pytest.approx(np.average(grid, weights=weight), abs=2e-5)


def test_a_fixed_redshift_is_no_axis() -> None:
    prior = Prior(density(RedshiftPrior(0.3, 0.3), 0.3, 0.3))
    assert "redshift" not in prior.free
    assert np.all(prior.transform(np.full((4, len(prior.free)), 0.3))["redshift"] == 0.3)


def test_a_distribution_without_probability_in_the_range_is_refused() -> None:
    with pytest.raises(PriorError, match="no probability between"):
        density(RedshiftPrior(distribution=stats.uniform(2.0, 1.0)))


@pytest.mark.parametrize(
    ("prior", "expected"),
    [
        (RedshiftPrior(), (0.05, 0.3)),
        (RedshiftPrior(0.5, 1.2), (0.5, 1.2)),
        (RedshiftPrior(0.7, 0.7), (0.7, 0.7)),
        (RedshiftPrior(0.0, 0.2), (1e-4, 0.2)),
    ],
)
def test_range_of_redshift(prior: RedshiftPrior, expected: tuple[float, float]) -> None:
    assert redshift_range(prior, INSTRUMENT) == expected


def test_a_redshift_beyond_the_model_is_refused() -> None:
    with pytest.raises(PriorError, match="outside what the galaxy model covers"):
        redshift_range(RedshiftPrior(7.0, 8.0), INSTRUMENT)
    with pytest.raises(PriorError, match="no distance from their redshift"):
        redshift_range(RedshiftPrior(0.0, 0.0), INSTRUMENT)


SHARED = [
    "redshift",
    "log_burstiness",
    "burst_age",
    "log_burst_fraction",
    "log_metallicity",
    "log_gas_metallicity",
    "log_ionisation",
    "dust_av",
    "dust_eta",
    "dust_slope",
    "velocity_dispersion",
]


def test_the_prior_is_that_of_the_simulator_where_both_have_a_coordinate() -> None:
    rng = np.random.default_rng(1)
    cube = {name: rng.random(200) for name in {*OURS, *COORDINATES}}
    galaxies = GalaxyPrior((0.1, 1.0), (18.0, 25.0)).transform(torch.tensor(np.stack([cube[n] for n in OURS], axis=1)))
    prior = Prior(density(RedshiftPrior()))
    mine = prior.transform(np.stack([cube[n] for n in prior.free], axis=1))
    for name in SHARED:
        expected = getattr(galaxies.history if "burst" in name else galaxies, name).double().numpy()
        yr = 1e9 if name == "burst_age" else 1.0
        np.testing.assert_allclose(yr * mine[name], expected, rtol=3e-5, atol=3e-6, err_msg=name)


def test_all_coordinates_stay_in_their_ranges() -> None:
    prior = Prior(density(RedshiftPrior()), (0.02, 0.03))
    for cube in (np.zeros((1, 18)), np.ones((1, 18)), np.random.default_rng(0).random((500, 18))):
        drawn = prior.transform(cube)
        age = age_gyr(drawn["redshift"])
        for name, (low, high) in RANGES.items():
            value = drawn[name] / age if name == "tau" else drawn[name]
            if name != "formation_age":
                assert np.all((value >= low - 1e-9) & (value <= high + 1e-9)), name
        assert np.all((drawn["formation_age"] >= 0.12 - 1e-9) & (drawn["formation_age"] <= age))
        assert np.all((drawn["burst_age"] * 1.14 <= age + 1e-9) & (drawn["burst_age"] * 0.86 >= 0.1 - 1e-9))


def test_fixed_coordinates_keep_their_values_and_calibration_its_width() -> None:
    prior = Prior(density(RedshiftPrior()), (0.02, 0.03), {"dust_slope": 0.0, "tau": 0.3})
    drawn = prior.transform(np.random.default_rng(0).random((4000, len(prior.free))))
    assert np.all(drawn["dust_slope"] == 0.0)
    np.testing.assert_allclose(drawn["tau"], 0.3 * age_gyr(drawn["redshift"]))
    assert drawn["calibration_1"].std() == pytest.approx(0.03, rel=0.05)
    assert len(prior.free) == len(COORDINATES)


def test_calibration_has_the_widths_of_the_instrument() -> None:
    instrument = replace(INSTRUMENT, calibration_rms=0.03, calibration_offset=0.02)
    prior = make_prior(Settings(calibration_order=2), instrument, RedshiftPrior())
    assert prior.calibration_sigma == pytest.approx((0.02, 0.03, 0.03))
    assert make_prior(Settings(calibration_order=None), instrument, RedshiftPrior()).calibration_sigma == ()


def test_the_cosmology_is_the_one_in_bagpipes() -> None:
    redshift = np.array([0.05, 1.0, 5.0])
    theirs = FlatLambdaCDM(H0=70, Om0=0.3)
    np.testing.assert_allclose(age_gyr(redshift), theirs.age(redshift).value, rtol=1e-5)
    shift = log_mass_shift(redshift)
    assert np.all((shift > 0.0) & (shift < 0.04))  # Planck 2018 has larger distances


def galaxy(**changes: float) -> dict[str, float]:
    prior = Prior(density(RedshiftPrior()), (0.02, 0.03))
    values = {n: float(v) for n, v in prior.transform(np.full(len(prior.free), 0.4)).items()}
    return values | changes


def test_components_form_the_mass_that_was_asked_for() -> None:
    model = components(galaxy(log_formed_mass=10.0, log_recent_fraction=-1.0, log_burstiness=0.3))
    parts = {name: part for name, part in model.items() if isinstance(part, dict) and "massformed" in part}
    assert sum(10 ** part["massformed"] for part in parts.values()) == pytest.approx(1e10)
    recent = [10 ** parts[name]["massformed"] for name in ("constant1", "constant2")]
    assert sum(recent) == pytest.approx(1e9)
    assert (recent[0] / CLOUD_GYR) / (sum(recent) / RECENT_GYR) == pytest.approx(10**0.3)


def test_the_delayed_component_ends_100_myr_ago() -> None:
    values = galaxy(formation_age=4.0, tau=1.0)
    history = components(values)["custom"]["history"]
    assert history[0, 0] == pytest.approx(1e8)
    assert history[-1] == pytest.approx([4e9, 0.0])
    peak = history[np.argmax(history[:, 1]), 0]
    assert peak == pytest.approx(3e9, rel=0.02)


def test_the_calibration_polynomial_is_one_plus_its_coefficients() -> None:
    model = components(galaxy(calibration_0=0.01, calibration_1=-0.02))
    assert model["calib"] == {"type": "polynomial_bayesian", "0": 1.01, "1": -0.02}


def test_resampling_conserves_flux_as_the_core_does() -> None:
    rng = np.random.default_rng(3)
    old, new = np.exp(np.linspace(8.0, 9.0, 700)), np.exp(np.linspace(8.1, 8.9, 333))
    flux = rng.random(700)
    expected = rebin_matrix(WavelengthGrid.from_centres(old), WavelengthGrid.from_centres(new)) @ flux
    np.testing.assert_allclose(resample(new, old, flux), expected, rtol=1e-9)
    assert resample(new - 2000, old, flux)[0] == 0.0


@pytest.mark.skipif(importlib.util.find_spec("spectres") is None, reason="spectres comes with bagpipes")
def test_resampling_is_that_of_spectres() -> None:
    import spectres

    old, new = np.exp(np.linspace(8.0, 9.0, 700)), np.exp(np.linspace(8.1, 8.9, 333))
    flux = np.random.default_rng(3).random(700)
    np.testing.assert_allclose(resample(new, old, flux), spectres.spectres(new, old, flux, fill=0), rtol=1e-9)
