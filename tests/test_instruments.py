"""Instruments: what ships, what TOML may hold, what is said about a wrong one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from galfit_ml.errors import FileFormatError, UnknownNameError
from galfit_ml.instruments import FWHM_PER_SIGMA, Arm, Instrument, Resolution, get_instrument, shipped_instruments

TWO_ARMS = """
name = "twin"
summary = "two arms"
source = "made up"
redshift_range = [0.0, 2.0]

[[arms]]
name = "blue"
range = [4000.0, 6000.0]
sampling = "linear"
step = 1.0
resolution = { fwhm = 2.355 }

[[arms]]
name = "red"
range = [5900.0, 9000.0]
sampling = "log10"
step = 1e-4
resolution = { wavelength = [6000.0, 9000.0], R = [1000.0, 3000.0] }
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "twin.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("instrument", shipped_instruments().values(), ids=lambda i: i.name)
def test_every_shipped_instrument_is_complete(instrument: Instrument) -> None:
    assert instrument.source
    assert instrument.summary
    for arm in instrument.arms:
        sigma = arm.resolution.sigma(arm.grid.centres)
        assert np.all(sigma > 0)
        power = arm.grid.centres / (sigma * FWHM_PER_SIGMA)
        assert np.all((power > 100) & (power < 50000))


def test_sdss_and_boss_have_the_published_range_sampling_and_resolution() -> None:
    # Smee et al. (2013, AJ 146, 32)
    for name, low, high, powers in (("sdss", 3800, 9200, (1850, 2200)), ("boss", 3600, 10400, (1560, 2650))):
        instrument = get_instrument(name)
        assert (instrument.low, instrument.high) == (low, high)
        wave = instrument.arms[0].grid.centres
        np.testing.assert_allclose(np.diff(np.log10(wave)), 1e-4, rtol=1e-8)
        power = wave / (instrument.sigma(wave) * FWHM_PER_SIGMA)
        assert power.min() == pytest.approx(powers[0], rel=0.01)
        assert power.max() == pytest.approx(powers[1], rel=0.01)


def test_an_instrument_is_read_from_toml(tmp_path: Path) -> None:
    twin = Instrument.from_toml(written(tmp_path, TWO_ARMS))
    assert [arm.name for arm in twin.arms] == ["blue", "red"]
    assert (twin.low, twin.high, twin.redshift_range) == (4000.0, 9000.0, (0.0, 2.0))
    assert len(twin.arms[0].grid) == 2001


def test_the_line_spread_function_is_that_of_the_arm_at_hand(tmp_path: Path) -> None:
    twin = Instrument.from_toml(written(tmp_path, TWO_ARMS))
    blue = 2.355 / FWHM_PER_SIGMA
    np.testing.assert_allclose(twin.sigma([3000.0, 5000.0]), blue)
    np.testing.assert_allclose(twin.sigma([7500.0, 9500.0]), np.array([7500 / 2000, 9500 / 3000]) / FWHM_PER_SIGMA)


def test_generic_takes_its_resolving_power_from_the_name() -> None:
    instrument = get_instrument("generic:1800")
    assert instrument.generic
    assert instrument.sigma([5000.0])[0] == pytest.approx(5000 / 1800 / FWHM_PER_SIGMA)
    assert get_instrument("generic").sigma([5000.0])[0] == pytest.approx(5000 / 2000 / FWHM_PER_SIGMA)


@pytest.mark.parametrize("name", ["generic:abc", "generic:-5", "generic:0", "generic:nan"])
def test_a_resolving_power_that_is_none_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(UnknownNameError, match="for example generic:1800"):
        get_instrument(name)


def test_an_unknown_instrument_is_named_with_a_suggestion_and_a_way_out() -> None:
    with pytest.raises(UnknownNameError, match="No instrument 'sds'. Did you mean 'sdss'.*instrument='generic:R'"):
        get_instrument("sds")


def test_an_instrument_object_and_those_of_plugins_are_taken_as_they_are(tmp_path: Path) -> None:
    twin = Instrument.from_toml(written(tmp_path, TWO_ARMS))
    assert get_instrument(twin) is twin
    assert get_instrument("twin", {"twin": twin}) is twin


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('source = "made up"', "", "'source' is missing"),
        ("[4000.0, 6000.0]", "[6000.0, 4000.0]", "low < high"),
        ('"linear"', '"cubic"', "sampling must be one of"),
        ("fwhm = 2.355", "fwhm = -1.0", "positive"),
        ("[1000.0, 3000.0]", "[1000.0]", "as many positive values"),
        ("[0.0, 2.0]", "[2.0, 0.0]", "redshift_range needs low < high"),
        ("name =", "name", "cannot be read"),
        ('summary = "two arms"', 'summary = "two arms"\ncolour = "red"', "colour"),
    ],
)
def test_a_wrong_toml_file_is_named_with_what_is_wrong(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = written(tmp_path, TWO_ARMS.replace(old, new, 1))
    with pytest.raises(FileFormatError, match=message) as caught:
        Instrument.from_toml(path)
    assert str(path) in str(caught.value)


def test_a_missing_toml_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="nowhere.toml' cannot be read"):
        Instrument.from_toml(tmp_path / "nowhere.toml")


def test_an_instrument_without_arms_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one arm"):
        Instrument("x", "", "", ())


def test_an_arm_refuses_a_step_that_makes_no_pixels() -> None:
    with pytest.raises(ValueError, match="step > 0"):
        Arm("x", 4000.0, 5000.0, "linear", 0.0, Resolution((1.0,), (2000.0,), "R"))


def test_a_resolution_of_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="'R' or 'fwhm'"):
        Resolution((1.0,), (1.0,), "sigma")
