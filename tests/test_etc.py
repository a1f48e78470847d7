"""The exposure-time calculator."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from noise_makers import MOONS, curved_instrument, flat, seeded

from benchmarks.moons1d_faults import Faults, instrument
from galfit_ml.errors import UnknownNameError
from galfit_ml.grid import SPEED_OF_LIGHT_KMS
from galfit_ml.instruments import FWHM_PER_SIGMA
from galfit_ml.simulate.conditions import Conditions, ConditionsError
from galfit_ml.simulate.etc import Depth, flat_spectrum, signal_to_noise
from galfit_ml.simulate.line_limit import line_error
from galfit_ml.simulate.lines import add_lines
from galfit_ml.simulate.pixels import Pixels
from galfit_ml.simulate.spectrograph import Spectrograph

SETTINGS: dict[str, Any] = {"magnitude": 22.0, "exposure": "1h"}


def depth(**settings: Any) -> Depth:
    return signal_to_noise(MOONS, **{**SETTINGS, **settings})


def medians(found: Depth) -> np.ndarray:
    return np.array([arm.snr for arm in found.arms])


def test_white_noise_averages_down_and_the_sky_residual_does_not() -> None:
    """sqrt(8) in tier 0; less in tier 1, in every arm, and least in H."""
    gain = medians(depth(exposure="8h", tier=0)) / medians(depth(tier=0))
    np.testing.assert_allclose(gain, np.sqrt(8.0), rtol=1e-3)
    slower = medians(depth(exposure="8h", tier=1)) / medians(depth(tier=1))
    assert (slower[:3] < 0.98 * np.sqrt(8.0)).all()
    assert slower[2] < slower[1] < slower[0]
    assert (slower > 1.5).all()


@pytest.mark.parametrize("tier", [0, 1])
def test_it_predicts_the_spectra_the_simulator_makes(tier: int) -> None:
    """Mean over 200 spectra of the median signal-to-noise of each arm.

    The median of noisy ratios lies below that of the expected ones, because bright sky lines make the distribution
    skewed: noise is put on the expected ratios too.
    """
    spectrograph = Spectrograph(MOONS)
    flux = flat(spectrograph, torch.full((200,), 21.0))
    seen = spectrograph.observe(flux, Conditions.nominal(MOONS, 200, "1h"), tier=tier, generator=seeded(2))
    found = depth(magnitude=21.0, tier=tier)
    noisy = found.snr + np.random.default_rng(1).standard_normal((50, spectrograph.n_pix))
    pixels = [np.arange(spectrograph.n_pix)[arm] for arm in (*spectrograph.arms, slice(None))]
    expected = [np.median(noisy[:, index[found.good[index]]], axis=1).mean() for index in pixels]
    np.testing.assert_allclose(seen.snr().mean(dim=0).numpy(), expected, rtol=0.02)
    assert expected[2] < 0.95 * medians(found)[2]


def test_the_magnitude_is_total_and_the_fibre_loss_applied() -> None:
    """At the sky limit the ratio follows the fibre fraction: in H 0.72 of a galaxy of 0.3 arcsec, 0.94 of a star."""
    faint = {size: medians(depth(magnitude=25.0, size=size, tier=0))[2] for size in (0.0, 0.3, 0.5)}
    assert faint[0.3] / faint[0.0] == pytest.approx(0.72 / 0.94, rel=0.02)
    assert faint[0.5] / faint[0.0] == pytest.approx(0.48 / 0.94, rel=0.02)
    assert depth().flux[-1] == pytest.approx(flat_spectrum(depth().wavelength[-1:], 22.0)[0], rel=1e-6)


def test_an_ab_magnitude_is_what_it_is() -> None:
    """AB 0 is 3631 Jy."""
    wavelength = np.array([5000.0, 16000.0])
    expected = 3631e-23 * 2.99792458e18 / wavelength**2 / 1e-17
    np.testing.assert_allclose(flat_spectrum(wavelength, 0.0), expected, rtol=1e-3)


def test_brighter_longer_calmer_and_lower_are_deeper() -> None:
    base = medians(depth())
    assert (medians(depth(magnitude=21.0)) > 2.0 * base).all()
    assert (medians(depth(exposure="2h")) > base).all()
    assert (medians(depth(seeing=0.6)) > base).all()
    assert (medians(depth(airmass=1.0)) > base).all()
    assert (medians(depth(tier=0)) > base).all()
    assert (medians(depth(mode="stare")) > base).all()
    assert (medians(depth(mode="nod")) < base).all()


def test_a_spectrum_of_ones_own_is_scaled_to_the_magnitude() -> None:
    base = depth()
    same = depth(spectrum=7.0 * flat_spectrum(base.wavelength, 25.0))
    np.testing.assert_allclose(same.snr, base.snr, rtol=2e-3)
    as_it_is = signal_to_noise(MOONS, magnitude=None, exposure="1h", spectrum=flat_spectrum(base.wavelength, 22.0))
    np.testing.assert_allclose(as_it_is.snr, base.snr, rtol=1e-5)


def test_electrons_and_shapes() -> None:
    found = depth()
    assert found.instrument == "moons-lr"
    assert found.mode == "xswitch"
    assert found.exposure == 3600.0
    assert [arm.name for arm in found.arms] == ["RI", "YJ", "H", "all"]
    for name in ("flux", "snr", "line_limit", "good", "object_electrons", "sky_electrons", "detector_electrons"):
        assert getattr(found, name).shape == found.wavelength.shape
    white = depth(tier=0)
    variance = white.object_electrons + 2 * (white.sky_electrons + white.detector_electrons)
    np.testing.assert_allclose(white.snr, white.object_electrons / np.sqrt(variance), rtol=1e-4)


def test_sky_electrons_are_those_of_the_design() -> None:
    """Per pixel in 600 s: 10, 50, 90 and 99 % of the pixels of each arm.

    In the design the pixels widen the line-spread function; here it contains them, and lines are narrower: with wider
    ones the 90 % of H, where the wings of lines begin, is 16,600 instead of 15,800.
    """
    found = signal_to_noise(instrument(Faults(one_pixel=False, cold=False)), magnitude=22.0, exposure=600)
    expected = {0: (147, 179, 499, 2700), 1: (194, 395, 6400, 37000), 2: (229, 529, 17000, 234000)}
    for arm, pixels in enumerate(Spectrograph(MOONS).arms):
        percentiles = np.percentile(found.sky_electrons[pixels], [10, 50, 90, 99])
        np.testing.assert_allclose(percentiles, expected[arm], rtol=0.05)


def test_a_noise_curve_has_no_electrons() -> None:
    found = signal_to_noise(curved_instrument(), magnitude=20.0, exposure="45m")
    assert found.mode == ""
    assert np.isnan(found.sky_electrons).all()
    assert np.isfinite(found.snr).all()
    longer = signal_to_noise(curved_instrument(), magnitude=20.0, exposure="3h", tier=0)
    shorter = signal_to_noise(curved_instrument(), magnitude=20.0, exposure="45m", tier=0)
    np.testing.assert_allclose(longer.snr, 2.0 * shorter.snr, rtol=1e-4)


def test_line_limits_are_found_at_five_sigma() -> None:
    """Lines of the limiting flux, drawn by the galaxy model and fitted in noise, stand out by 5 sigma."""
    spectrograph = Spectrograph(MOONS)
    found = depth(tier=0)
    arm, edges = spectrograph.arms[1], spectrograph.pixels.edges[1]
    pixel = 1800
    centre = spectrograph.pixels.wavelength[arm][pixel]
    sigma = spectrograph.pixels.lsf_sigma[arm][pixel].double()
    width = edges[pixel + 1] - edges[pixel]
    doppler = centre * 200.0 / (SPEED_OF_LIGHT_KMS * FWHM_PER_SIGMA)
    total = torch.sqrt(doppler**2 + sigma**2 - width**2 / 12)
    profile = torch.zeros(1, len(edges) - 1)
    add_lines(profile, edges, centre.reshape(1, 1), total.reshape(1, 1).float(), torch.ones(1, 1), 0)
    variance = spectrograph.white_variance(torch.zeros(1, spectrograph.n_pix), Conditions.nominal(MOONS, 1, "1h"))
    error = 1 / torch.sqrt((profile**2 / variance[:, arm]).sum())
    assert found.line_limit[arm][pixel] == pytest.approx(5e-17 * float(error), rel=2e-3)


def test_the_error_of_a_line_in_equal_pixels() -> None:
    """Narrow pixels of equal noise: error^2 = 2 sqrt(pi) sigma * variance * width; masked pixels carry nothing."""
    edges = np.arange(5000.0, 5100.0, 0.05)
    centres = 0.5 * (edges[1:] + edges[:-1])
    n_pix = len(centres)
    pixels = Pixels.from_arrays(centres, [edges], np.full(n_pix, 1.5), (5000.0, 5100.0))
    variance, good = np.full(n_pix, 0.04), np.ones(n_pix, dtype=bool)
    sigma = np.hypot(1.5, 5050.0 * 200.0 / SPEED_OF_LIGHT_KMS / FWHM_PER_SIGMA)
    error = line_error(pixels, variance, good, 200.0)
    assert error[n_pix // 2] == pytest.approx(np.sqrt(2 * np.sqrt(np.pi) * sigma * 0.04 * 0.05), rel=2e-3)
    half = good & (centres < 5050.0)
    assert line_error(pixels, variance, half, 200.0)[n_pix // 2] == pytest.approx(
        np.sqrt(2.0) * error[n_pix // 2], rel=0.02
    )
    assert np.isinf(line_error(pixels, variance, ~good, 200.0)).all()


def test_wider_lines_are_harder() -> None:
    narrow, wide = depth(line_width=100.0), depth(line_width=400.0)
    assert all(a.line_limit < b.line_limit for a, b in zip(narrow.arms, wide.arms, strict=True))


@pytest.mark.parametrize("magnitude", [0.0, -3.0, float("nan"), float("inf"), "bright"])
def test_a_magnitude_must_make_sense(magnitude: Any) -> None:
    with pytest.raises(ConditionsError, match="magnitude must be a positive, finite number"):
        depth(magnitude=magnitude)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"exposure": 0}, "exposure time must be positive"),
        ({"exposure": "long"}, "cannot be understood"),
        ({"size": -0.1}, "half-light radius"),
        ({"size": float("nan")}, "half-light radius"),
        ({"seeing": 0.0}, "seeing must be"),
        ({"airmass": 0.99}, "airmass must be at least 1"),
        ({"airmass": float("inf")}, "airmass must be at least 1"),
        ({"tier": 2}, "tiers 0"),
        ({"line_width": 0.0}, "line width"),
        ({"spectrum": "spiral"}, "'spiral'"),
        ({"spectrum": np.ones(5)}, "one per pixel"),
        ({"magnitude": None}, "is not known"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConditionsError, match=message):
        depth(**settings)


def test_a_spectrum_without_light_in_the_band_cannot_be_scaled() -> None:
    shape = np.where(depth().wavelength < 10_000.0, 1.0, 0.0)
    with pytest.raises(ConditionsError, match="no light in the magnitude band"):
        depth(spectrum=shape)


def test_unknown_instruments_and_modes_are_suggested() -> None:
    with pytest.raises(UnknownNameError, match="moons-lr"):
        signal_to_noise("mons-lr", **SETTINGS)
    with pytest.raises(UnknownNameError, match="xswitch"):
        depth(mode="xswich")


def test_masked_arms_have_no_median() -> None:
    """A star that fills every pixel leaves nothing to take a median of."""
    found = depth(magnitude=1.0)
    assert np.isnan(found.arms[2].snr)
    assert found.arms[2].good == 0.0
    assert replace(found.arms[2], good=1.0).name == "H"


def test_what_cannot_act_on_a_noise_curve_is_refused() -> None:
    assert signal_to_noise("sdss", magnitude=18.0, exposure="45m").arms[-1].snr > 5
    for name, value in {"size": 3.0, "seeing": 0.5, "airmass": 1.5}.items():
        with pytest.raises(ConditionsError, match=f"measured curve, on which {name} cannot act"):
            signal_to_noise("sdss", magnitude=18.0, exposure="45m", **{name: value})
