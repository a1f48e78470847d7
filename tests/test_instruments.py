"""Instruments: what ships, what TOML may hold, what is said about a wrong one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from spectrum_makers import desi_arms, spectrum

from galfit_ml.errors import FileFormatError, UnknownNameError
from galfit_ml.instruments import FWHM_PER_SIGMA, Arm, Instrument, Resolution, get_instrument, shipped_instruments
from galfit_ml.observatory import Curve, Detector
from galfit_ml.reading import read_spectra

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


OBSERVED = """
name = "one"
summary = "one arm, photons counted"
source = "made up"

[[arms]]
name = "red"
range = [8000.0, 9000.0]
sampling = "linear"
step = 1.0
resolution = { R = 3000.0 }
throughput = { wavelength = [8000.0, 9000.0], value = [0.2, 0.3] }
detector = { read_noise = 3.0, dark = 2.0 }

[observatory]
area = 10.0
fibre = 1.2
sky = "paranal"
dit = 900.0
seeing = 0.8
airmass = 1.2
image_quality = { wavelength = [8000.0, 9000.0], value = [0.8, 0.7] }

[[observatory.modes]]
name = "stare"
background = 1.0
on_target = 1.0
"""

CURVE = """
name = "curve"
summary = "a measured noise curve"
source = "made up"

[[arms]]
name = "all"
range = [4000.0, 9000.0]
sampling = "log10"
step = 1e-4
resolution = { R = 2000.0 }

[noise_curve]
file = "noise.csv"
exposure = 2700.0
source = "made up"
"""

NOISE = "# made up\nwavelength,sky,object\n4000,1.0,0.05\n9000,2.0,0.03\n"


def test_what_simulating_needs_is_read_from_toml(tmp_path: Path) -> None:
    one = Instrument.from_toml(written(tmp_path, OBSERVED))
    assert one.observatory is not None
    assert (one.observatory.area, one.observatory.dit, one.observatory.residual) == (10.0, 900.0, 0.006)
    assert [mode.name for mode in one.observatory.modes] == ["stare"]
    assert one.observatory.image_quality(8500.0) == pytest.approx(0.75)
    assert one.arms[0].throughput == Curve((8000.0, 9000.0), (0.2, 0.3))
    assert one.arms[0].detector == Detector(read_noise=3.0, dark=2.0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("area = 10.0\n", "", "observatory.*'area' is missing"),
        ("seeing = 0.8", 'seeing = "good"', "key 'seeing': expected a number, not 'good'"),
        ("seeing = 0.8", "seing = 0.8", "'seing' is unknown. Did you mean 'seeing'"),
        ("dark = 2.0", "drak = 2.0", "detector.*'drak' is unknown. Did you mean 'dark'"),
        ("read_noise = 3.0, ", "", "detector.*'read_noise' is missing"),
        ("value = [0.2, 0.3]", "value = [0.2]", "throughput.*as many values as wavelengths"),
        ("value = [0.8, 0.7]", "value = 3", "image_quality.*as many values as wavelengths"),
        ("wavelength = [8000.0, 9000.0], value = [0.2", "wavelength = [9000.0, 8000.0], value = [0.2", "must increase"),
        ("background = 1.0", 'background = "one"', "modes.*'background': expected a number"),
        ("on_target = 1.0", "", "modes.*'on_target' is missing"),
        ("[observatory]", "[observatry]", "'observatry' is unknown. Did you mean 'observatory'"),
        ("range = [8000.0, 9000.0]", "range = [8000.0]", "number 1: key 'range': expected two numbers"),
        ("area = 10.0", "area = -10.0", "observatory.*area = -10 makes no sense: it must be above 0"),
        ("airmass = 1.2", "airmass = 0.9", "observatory.*airmass = 0.9 makes no sense: it must be at least 1"),
        ("on_target = 1.0", "on_target = 5.0", "on_target = 5 makes no sense: it must be above 0 and at most 1"),
        ("background = 1.0", "background = 0.0", "background = 0 makes no sense: it must be at least 1"),
        ("dark = 2.0", "dark = -2.0", "detector.*dark = -2 makes no sense: it must be at least 0"),
        ("value = [0.2, 0.3]", "value = [21.0, 18.0]", "a throughput is a fraction, 0 to 1"),
        ("value = [0.8, 0.7]", "value = [0.8, 0.0]", "image_quality must be positive everywhere"),
    ],
)
def test_a_wrong_observatory_is_named_with_the_key_and_what_was_expected(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in OBSERVED
    path = written(tmp_path, OBSERVED.replace(old, new, 1))
    with pytest.raises(FileFormatError, match=message) as caught:
        Instrument.from_toml(path)
    assert str(path) in str(caught.value)


def test_a_noise_curve_is_read_from_the_file_beside(tmp_path: Path) -> None:
    (tmp_path / "noise.csv").write_text(NOISE)
    curve = Instrument.from_toml(written(tmp_path, CURVE)).noise_curve
    assert curve is not None
    assert (curve.exposure, curve.scatter) == (2700.0, 0.0)
    assert curve.sky(6500.0) == pytest.approx(1.5)
    assert curve.object(6500.0) == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        (None, "no file 'noise.csv'"),
        ("", "first line"),
        ("wave,sky,object\n4000,1,1\n", "first line of 'noise.csv' must be wavelength,sky,object"),
        ("wavelength,sky,object\n4000,1\n", "three numbers"),
        ("wavelength,sky,object\n4000,1,x\n", "noise.csv.*could not convert"),
        ("wavelength,sky,object\n9000,1,1\n4000,1,1\n", "must increase"),
    ],
)
def test_a_wrong_noise_curve_is_named(tmp_path: Path, noise: str | None, message: str) -> None:
    if noise is not None:
        (tmp_path / "noise.csv").write_text(noise)
    path = written(tmp_path, CURVE)
    with pytest.raises(FileFormatError, match=message) as caught:
        Instrument.from_toml(path)
    assert str(path) in str(caught.value)


def test_pixels_that_follow_the_resolution_are_as_many_to_every_width() -> None:
    resolution = Resolution((4000.0, 9000.0), (2000.0, 4000.0), "R")
    arm = Arm("x", 4000.0, 9000.0, "resolution", 2.5, resolution)
    fwhm = resolution.sigma(arm.grid.centres) * FWHM_PER_SIGMA
    np.testing.assert_allclose(arm.grid.widths, fwhm / 2.5, rtol=2e-3)
    assert arm.grid.edges[0] == 4000.0
    assert 9000.0 - arm.grid.widths[-1] < arm.grid.edges[-1] <= 9000.0


MOONS_ARMS = {
    # range, R in the middle, throughput in the mean of the tables (moons1d 1.0.3)
    "moons-lr": {
        "RI": (6470, 9340, 4200, 0.1541),
        "YJ": (9340, 13500, 4300, 0.2086),
        "H": (14520, 18000, 6700, 0.2113),
    },
    "moons-hr": {
        "RI": (7650, 8980, 9200, 0.1193),
        "YJ": (9340, 13500, 4300, 0.2086),
        "H": (15210, 16410, 19700, 0.1886),
    },
}


@pytest.mark.parametrize("name", MOONS_ARMS)
def test_moons_has_the_arms_of_the_consortiums_simulator(name: str) -> None:
    moons = get_instrument(name)
    assert [arm.name for arm in moons.arms] == ["RI", "YJ", "H"]
    for arm in moons.arms:
        low, high, power, throughput = MOONS_ARMS[name][arm.name]
        assert (arm.low, arm.high) == (low, high)
        fwhm = arm.resolution.sigma(arm.grid.centres) * FWHM_PER_SIGMA
        np.testing.assert_allclose(fwhm, 0.5 * (low + high) / power, rtol=1e-5)
        np.testing.assert_allclose(fwhm / arm.grid.widths, 2.7, rtol=1e-4)
        assert arm.throughput is not None
        assert arm.throughput(np.linspace(low, high, 2001)).mean() == pytest.approx(throughput, rel=2e-3)
        assert arm.detector is not None
        assert arm.detector.read_noise == (5.0 if arm.name == "RI" else 6.0)


def test_the_image_of_moons_is_as_sharp_as_the_eso_calculators_say() -> None:
    # 0.8 arcsec at 5000 A, airmass 1.2; the design's 0.68, 0.60, 0.55 arcsec in RI, YJ, H
    observatory = get_instrument("moons-lr").observatory
    assert observatory is not None
    fwhm = observatory.image_quality([7905.0, 11420.0, 16260.0]) * observatory.seeing * observatory.airmass**0.6
    np.testing.assert_allclose(fwhm, [0.679, 0.607, 0.540], atol=0.001)


def test_desi_has_the_published_arms() -> None:
    # DESI Collaboration (2022, AJ 164, 207)
    desi = get_instrument("desi")
    ends = {arm.name: arm.resolution.value for arm in desi.arms}
    assert ends == {"b": (2000.0, 3200.0), "r": (3200.0, 4100.0), "z": (4100.0, 5000.0)}
    assert (desi.low, desi.high) == (3569.0, 9834.0)
    for arm in desi.arms:
        np.testing.assert_allclose(arm.grid.widths, 0.8, rtol=1e-9)


def test_a_desi_file_is_recognised_and_a_band_in_the_meta_alone_is_not_desi() -> None:
    assert read_spectra(desi_arms()).groups[0].batch.instrument.name == "desi"
    assert read_spectra(spectrum(0, meta={"band": "r"})).groups[0].batch.instrument.name == "generic"


def test_an_arm_that_cannot_be_counted_has_neither_throughput_nor_detector() -> None:
    desi = get_instrument("desi")
    assert desi.observatory is None
    assert all(arm.throughput is None and arm.detector is None for arm in desi.arms)
