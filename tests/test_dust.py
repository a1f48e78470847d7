"""Dust curves against published numbers and, where installed, against the astropy-affiliated package."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from astropy import units

from galfit_ml.simulate.dust import V_BAND, calzetti, milky_way

R_V_CALZETTI = 4.05


def at(curve: object, *wavelength: float) -> list[float]:
    return curve(torch.tensor(wavelength, dtype=torch.float64)).tolist()  # type: ignore[operator, no-any-return]


def test_calzetti_at_wavelengths_in_the_literature() -> None:
    """k(Halpha) and k(Hbeta): Dominguez et al. (2013, ApJ 763, 145); k(1600 A): Calzetti et al. (2000), section 4."""
    k_alpha, k_beta, k_uv = (R_V_CALZETTI * value for value in at(calzetti, 6563.0, 4861.0, 1600.0))
    assert k_alpha == pytest.approx(3.33, abs=0.01)
    assert k_beta == pytest.approx(4.60, abs=0.01)
    assert k_uv == pytest.approx(9.97, abs=0.01)


def test_calzetti_is_one_at_the_v_band() -> None:
    assert at(calzetti, V_BAND)[0] == pytest.approx(1.0, abs=1e-3)


def test_calzetti_balmer_decrement_per_magnitude() -> None:
    """Halpha / Hbeta of a galaxy with A_V = 1 mag: 2.86 x 10^(0.4 (4.60 - 3.33) / 4.05)."""
    alpha, beta = at(calzetti, 6563.0, 4861.0)
    assert 2.86 * 10 ** (0.4 * (beta - alpha)) == pytest.approx(3.82, abs=0.01)


def test_calzetti_falls_to_zero_without_steps_but_its_own() -> None:
    wave = torch.logspace(np.log10(905.0), np.log10(40000.0), 20000, dtype=torch.float64)
    curve = calzetti(wave)
    step = curve.diff()
    # The two halves of the published law differ by 0.6 % of A_V where they meet.
    at_joint = (wave[:-1] < 6300) & (wave[1:] >= 6300)
    assert float(step[at_joint]) == pytest.approx(0.0062, abs=3e-4)
    assert bool((step[~at_joint] <= 1e-12).all())
    assert float(step[~at_joint].min()) > -2e-3
    assert curve[-1].item() == 0.0


def test_calzetti_below_its_range_keeps_the_slope_measured_to_the_lyman_limit() -> None:
    """Leitherer et al. (2002, ApJS 140, 303), eq. 14 (970-1800 A), scaled where Calzetti et al. (2000) ends."""

    def leitherer(wavelength: float) -> float:
        x = 1e4 / wavelength
        return 5.472 + 0.671e-3 * x - 9.218e-3 * x**2 + 2.620e-3 * x**3

    for wavelength in (970.0, 1050.0, 1150.0):
        ratio = at(calzetti, wavelength)[0] / at(calzetti, 1200.0)[0]
        assert ratio == pytest.approx(leitherer(wavelength) / leitherer(1200.0), rel=0.02)


def test_milky_way_in_the_bands_of_its_paper() -> None:
    """Cardelli, Clayton & Mathis (1989), table 3: A(lambda) / A(V) of U to L with R_V = 3.1."""
    per_micron = {"U": 2.78, "B": 2.27, "V": 1.82, "R": 1.43, "I": 1.11, "J": 0.80, "H": 0.63, "K": 0.46}
    published = {"U": 1.569, "B": 1.337, "V": 1.000, "R": 0.751, "I": 0.479, "J": 0.282, "H": 0.190, "K": 0.114}
    found = {band: at(milky_way, 1e4 / x)[0] / 3.1 for band, x in per_micron.items()}
    # The paper rounds; its own formulas give 1.323 at B.
    assert found == pytest.approx(published, rel=0.02)


def test_milky_way_has_the_bump_at_2175() -> None:
    bump, blue, red = at(milky_way, 2175.0, 1800.0, 2600.0)
    assert bump > 1.15 * blue
    assert bump > 1.15 * red


def test_milky_way_equals_the_dust_extinction_package() -> None:
    averages = pytest.importorskip(
        "dust_extinction.parameter_averages", reason="dust_extinction is not installed (pip install dust_extinction)"
    )
    wave = np.concatenate([np.linspace(1260.0, 9000.0, 400), np.linspace(9100.0, 33000.0, 200)])
    expected = averages.CCM89(Rv=3.1)(1e4 / wave / units.micron) * 3.1
    np.testing.assert_allclose(at(milky_way, *wave), expected, rtol=1e-5)


@pytest.mark.parametrize("curve", [calzetti, milky_way])
def test_any_shape_and_precision(curve: object) -> None:
    wave = torch.linspace(1000.0, 18000.0, 24, dtype=torch.float64)
    expected = curve(wave)  # type: ignore[operator]
    torch.testing.assert_close(curve(wave.reshape(2, 3, 4)).reshape(-1), expected)  # type: ignore[operator]
    single = curve(wave.float())  # type: ignore[operator]
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), expected, rtol=1e-5, atol=1e-6)
