"""Modes of the sky residual: the covariance over nights, and nothing of a night's residual beside them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from galfit_ml.instruments import get_instrument
from galfit_ml.simulate.conditions import Conditions
from galfit_ml.simulate.spectrograph import Spectrograph
from galfit_ml.testing import default_instrument, simulated_batch
from galfit_ml_emcee.sky import EXPOSURE_S, LEAST, modes_of, principal, sky_modes

Floats = NDArray[np.float64]


def nights(name: str, n: int, seed: int) -> list[tuple[str, Floats, Floats]]:
    """Of each arm its name, modes [n, n_mode, n_pix] of nights that no mode was made from, and the noise [n_pix]."""
    instrument = get_instrument(name)
    spectrograph = Spectrograph(instrument)
    drawn = spectrograph.exposed(Conditions.draw(instrument, n, EXPOSURE_S, torch.Generator().manual_seed(seed)))
    nominal = spectrograph.exposed(Conditions.nominal(instrument, 1, EXPOSURE_S))
    return [
        (
            arm.name,
            many.residual_modes().double().numpy(),
            one.white_variance(torch.zeros(1, len(arm.grid)))[0].double().numpy(),
        )
        for arm, many, one in zip(instrument.arms, drawn, nominal, strict=True)
    ]


def test_residuals_of_other_nights_are_draws_of_the_modes() -> None:
    """Outside of the modes nothing is left that noise would not hide; along them the variance is that over nights."""
    known = modes_of(get_instrument("moons-lr"))
    rng = np.random.default_rng(5)
    for name, modes, variance in nights("moons-lr", 200, 11):
        residual = np.einsum("nk,nkp->np", rng.standard_normal(modes.shape[:2]), modes) / np.sqrt(variance)
        own = known[name][1] / np.sqrt(variance)
        coefficients = np.linalg.lstsq(own.T, residual.T, rcond=None)[0]
        left = residual - coefficients.T @ own
        assert np.sqrt(np.mean((left**2).sum(axis=1))) < 3 * LEAST
        assert np.mean(coefficients**2) == pytest.approx(1.0, abs=0.35)
        assert np.sqrt(np.mean((residual**2).sum(axis=1))) > 30  # what the modes explain


def test_nominal_conditions_explain_less() -> None:
    """With modes of one night's sky a residual of MOONS in H keeps eight standard deviations that nothing explains."""
    instrument = get_instrument("moons-lr")
    one = Spectrograph(instrument).exposed(Conditions.nominal(instrument, 1, EXPOSURE_S))[2]
    _, modes, variance = nights("moons-lr", 100, 12)[2]
    rng = np.random.default_rng(6)
    residual = np.einsum("nk,nkp->np", rng.standard_normal(modes.shape[:2]), modes) / np.sqrt(variance)

    def left(own: Floats) -> float:
        white = own / np.sqrt(variance)
        beside = residual - np.linalg.lstsq(white.T, residual.T, rcond=None)[0].T @ white
        return float(np.sqrt(np.mean((beside**2).sum(axis=1))))

    assert left(one.residual_modes()[0].double().numpy()) > 8.0
    assert left(modes_of(instrument)["H"][1]) < 3.0


def test_variance_of_each_pixel_is_that_of_the_nights() -> None:
    known = modes_of(get_instrument("moons-lr"))
    for name, modes, _ in nights("moons-lr", 400, 13):
        expected = (modes**2).sum(axis=1).mean(axis=0)
        ratio = (known[name][1] ** 2).sum(axis=0) / expected
        assert np.median(ratio) == pytest.approx(1.0, abs=0.2)


def test_a_noise_curve_knows_no_nights() -> None:
    """The sky of SDSS is that of a table: its modes span what nominal conditions have."""
    instrument = get_instrument("sdss")
    ((centres, modes),) = modes_of(instrument).values()
    one = Spectrograph(instrument).exposed(Conditions.nominal(instrument, 1, EXPOSURE_S))[0]
    nominal = one.residual_modes()[0].double().numpy()
    assert len(centres) == modes.shape[1]
    inside = np.linalg.lstsq(nominal.T, modes.T, rcond=None)[0].T @ nominal
    np.testing.assert_allclose(inside, modes, atol=1e-6 * np.abs(modes).max())


def test_principal_modes_keep_the_covariance() -> None:
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((40, 5)) @ (10 * rng.standard_normal((5, 80)))
    variance = rng.uniform(0.5, 2.0, 80)
    kept = principal(rows, variance)
    assert kept.shape == (5, 80)
    np.testing.assert_allclose(kept.T @ kept, rows.T @ rows, atol=1e-6 * (rows**2).sum())
    size = ((kept**2) / variance).sum(axis=1)
    assert (np.diff(size) <= 0).all()
    assert principal(1e-3 * rows, 1e6 * variance).shape == (0, 80)


def test_arms_without_a_prediction_have_none() -> None:
    generic, _ = simulated_batch(default_instrument(300.0, (0.05, 0.3)), 1, 10.0, 3)
    assert [m.shape[0] for m in sky_modes(generic)] == [0]
    other = replace(generic, instrument=get_instrument("desi"))
    assert all(len(m) == 0 for m in sky_modes(other))
