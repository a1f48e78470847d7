"""The spectra of the contract: lines where the truth says, the noise that is stated, the prior that is promised."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from galfit_ml.flags import Flag
from galfit_ml.instruments import Instrument
from galfit_ml.parameters import GALAXY
from galfit_ml.simulate.prior import MASS_RANGE
from galfit_ml.testing import Simulator, default_instrument, simulated_batch, toy_batch
from galfit_ml.testing.galaxies import calibration_error
from galfit_ml.testing.mocks import TOY_LINES, pixel_grids, toy_flux, with_masked

SIMULATORS = pytest.mark.parametrize("simulator", [toy_batch, simulated_batch])
SMALL = default_instrument(resolving_power=400.0)
STRONG_LINES = np.array([3727.09, 3729.88, 4862.69, 4960.30, 5008.24, 6564.61, 6585.27])


def two_arms() -> Instrument:
    blue, red = (replace(SMALL.arms[0], name=n, low=a, high=b) for n, a, b in (("b", 4000, 5500), ("r", 5400, 7000)))
    return replace(SMALL, arms=(blue, red), generic=False)


@SIMULATORS
def test_spectra_have_the_stated_noise_and_masks(simulator: Simulator) -> None:
    noisy, _ = simulator(SMALL, 20, 5.0, 3)
    clean, _ = simulator(SMALL, 20, 1e9, 3)
    (arm,), (exact,) = noisy.arms, clean.arms
    pulls = ((arm.flux - exact.flux) * np.sqrt(arm.ivar))[~arm.bad & ~exact.bad]
    assert abs(pulls.mean()) < 5 / np.sqrt(pulls.size)
    assert pulls.std() == pytest.approx(1.0, abs=5 / np.sqrt(2 * pulls.size))
    signal = np.array([np.median(row[~bad]) for row, bad in zip(exact.flux, exact.bad, strict=True)])
    noise = np.array([row[row > 0][0] ** -0.5 for row in arm.ivar])
    assert np.median(signal / noise) == pytest.approx(5.0, rel=0.02)
    np.testing.assert_allclose(signal / noise, 5.0, rtol=0.15)
    assert arm.bad.mean() == pytest.approx(0.03, abs=5 * np.sqrt(0.03 / arm.bad.size))


@SIMULATORS
def test_the_seed_decides(simulator: Simulator) -> None:
    one, two, other = (simulator(SMALL, 2, 5.0, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one[0].arms[0].flux, two[0].arms[0].flux)
    assert not np.array_equal(one[0].arms[0].flux, other[0].arms[0].flux)


@SIMULATORS
def test_global_generators_are_left_alone(simulator: Simulator) -> None:
    import torch

    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002 - not used
    simulator(SMALL, 2, 5.0, 1)
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002 - not used
    assert before[2] == random.getstate()


@SIMULATORS
def test_every_arm_gets_its_part_of_the_same_galaxy(simulator: Simulator) -> None:
    batch, _ = simulator(two_arms(), 3, 1e9, 4)
    blue, red = batch.arms
    assert [arm.name for arm in batch.arms] == ["b", "r"]
    assert [len(arm.grid) for arm in batch.arms] == [len(arm.grid) for arm in batch.instrument.arms]
    shared = red.grid.centres[red.grid.centres < 5490]
    for row in range(3):
        keep = ~blue.bad[row]
        seen = np.interp(shared, blue.grid.centres[keep], blue.flux[row, keep])
        good = ~red.bad[row, : len(shared)]
        np.testing.assert_allclose(seen[good], red.flux[row, : len(shared)][good], rtol=0.02)


def test_toy_lines_keep_their_equivalent_width_at_any_resolution() -> None:
    centre, width = TOY_LINES[9]
    assert centre == 6549.86
    for resolving_power in (500.0, 4000.0):
        wavelength = np.linspace(5000.0, 9000.0, 40001)
        sigma = wavelength / resolving_power / 2.355
        flux = toy_flux(wavelength[None], np.array([0.1]), sigma[None])[0]
        far = np.sqrt(5500.0 * 1.1 / wavelength) * (1 + 0.4 * np.tanh((wavelength / 1.1 - 4000) / 120))
        near = np.abs(wavelength / 1.1 - 6570) < 100
        found = np.sum((flux / far - 1)[near]) * (wavelength[1] - wavelength[0]) / 1.1
        assert found == pytest.approx(width + TOY_LINES[10][1] + TOY_LINES[11][1], rel=1e-3)


def test_simulated_lines_stand_at_the_true_redshift_in_vacuum() -> None:
    batch, truth = simulated_batch(default_instrument(), 40, 1e6, 2)
    (arm,) = batch.arms
    young = truth["log_sfr"] - truth["log_stellar_mass"] > -9.0
    excess = arm.flux - np.median(arm.flux, axis=1, keepdims=True)
    rest = arm.grid.centres[np.argmax(excess, axis=1)] / (1 + truth["redshift"])
    gap = np.abs(rest[:, None] - STRONG_LINES).min(axis=1) / rest
    assert young.sum() >= 5
    assert gap[young].max() < 0.7 / 1000, "half a resolution element and 20 km/s of the gas"


def test_truth_has_known_names_and_follows_the_prior() -> None:
    from scipy.stats import kstest

    _, truth = simulated_batch(SMALL, 100, 5.0, 6)
    assert set(truth) == set(GALAXY.names)
    for name, values in truth.items():
        assert values.shape == (100,)
        assert np.isfinite(values).all()
        if name != "log_sfr":
            assert values.min() >= GALAXY[name].low - 1e-5
            assert values.max() <= GALAXY[name].high + 1e-5
    assert truth["log_stellar_mass"].min() > MASS_RANGE[0]
    assert truth["log_stellar_mass"].max() < MASS_RANGE[1]
    low, high = np.log1p(SMALL.redshift_range)
    assert kstest((np.log1p(truth["redshift"]) - low) / (high - low), "uniform").pvalue > 1e-3
    assert kstest((truth["log_metallicity"] + 2.0) / 2.39, "uniform").pvalue > 1e-3
    assert kstest(truth["dust_av"] / 3.0, "uniform").pvalue > 1e-3


def test_calibration_errors_have_the_stated_size() -> None:
    rough = replace(SMALL, calibration_rms=0.03, calibration_offset=0.02, calibration_order=5)
    factor = calibration_error(rough, 500, 4000, np.random.default_rng(1))
    assert factor.mean() == pytest.approx(1.0, abs=0.002)
    assert factor.mean(axis=1).std() == pytest.approx(0.02, abs=0.008)
    shape = factor / factor.mean(axis=1, keepdims=True)
    assert np.sqrt(np.mean((shape - 1) ** 2)) == pytest.approx(0.03, rel=0.1)


def test_generic_pixels_sample_the_resolution() -> None:
    (grid,) = pixel_grids(SMALL)
    fwhm = SMALL.sigma(grid.centres) * 2.3548
    np.testing.assert_allclose(fwhm / grid.widths, 2.2, rtol=0.01)
    assert grid.centres[0] == pytest.approx(3700.0)
    assert 9290.0 < grid.centres[-1] <= 9300.0 + grid.widths[-1]


def test_masking_everything_makes_a_failed_row() -> None:
    batch, _ = toy_batch(SMALL, 2, 5.0, 1)
    bad = np.zeros((2, len(batch.arms[0].grid)), dtype=bool)
    bad[1] = True
    masked = with_masked(batch, [bad])
    assert masked.flags.tolist() == [0, int(Flag.FAILED)]
    assert masked.reasons == ("", "every pixel is masked")
    assert not batch.arms[0].bad[1].all(), "the batch given stays as it is"
