"""Extinction of the Milky Way taken out when a spectrum is read, where its E(B-V) comes from; the velocity frame."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from spectrum_makers import (
    FLAM,
    WAVE,
    desi_arms,
    flux_like,
    has,
    only_arm,
    only_batch,
    positions,
    spectrum,
    with_header,
)
from specutils import Spectrum

from galfit_ml.errors import SpectrumError, UnknownNameError
from galfit_ml.flags import Flag
from galfit_ml.instruments import get_instrument
from galfit_ml.reading import read_spectra
from galfit_ml.reading.extinction import milky_way
from galfit_ml.spectra import SpectrumBatch
from galfit_ml.summary import flag_names

HERE = SkyCoord(150.2, 55.6, unit="deg")


def mag_per_degree(where: SkyCoord) -> Any:
    """A dust map that tells where it was asked: a thousandth of the declination in degrees."""
    return where.icrs.dec.deg / 1000.0


# the curve


def test_the_curve_in_the_bands_for_which_e_b_v_was_recalibrated() -> None:
    """Schlafly & Finkbeiner (2011, ApJ 737, 103), table 6, R_V = 3.1: A / E(B-V) of SDSS g, r and i.

    Effective wavelengths: Fukugita et al. (1996, AJ 111, 1748). The bands are broad; the table is per E(B-V) of SFD.
    """
    published = {4686.0: 3.303, 6165.0: 2.285, 7481.0: 1.698}
    for wavelength, value in published.items():
        assert float(milky_way(np.array(wavelength))) * 0.86 == pytest.approx(value, rel=0.03)
    b, v = milky_way(np.array([4405.0, 5495.0]))
    assert b - v == pytest.approx(1.0, abs=0.04)


def test_the_curve_equals_the_dust_extinction_package() -> None:
    averages = pytest.importorskip(
        "dust_extinction.parameter_averages", reason="dust_extinction is not installed (pip install dust_extinction)"
    )
    wave = np.geomspace(1160.0, 33000.0, 2000)
    expected = averages.F99(Rv=3.1)(1e4 / wave / u.micron) * 3.1
    # table 3 of the paper rounds what the package computes for any R_V
    np.testing.assert_allclose(milky_way(wave), expected, atol=6e-4)


def test_the_curve_ends_quietly() -> None:
    wave = np.geomspace(300.0, 1e7, 2000)
    curve = milky_way(wave)
    assert np.isfinite(curve).all()
    assert curve.min() >= 0
    assert curve[0] == milky_way(np.array([1150.0]))[0]
    assert curve[-1] < 1e-3


# numbers


def test_flux_and_inverse_variance_are_those_without_the_dust() -> None:
    """The spectrum behind 0.2 mag of dust, made here with Fitzpatrick's curve, comes out as it went in."""
    dimmed = 10 ** (-0.4 * 0.2 * milky_way(WAVE))
    given = spectrum(flux=flux_like(WAVE) * dimmed * FLAM)
    arm = only_arm(given, ebv=0.2)
    np.testing.assert_allclose(arm.flux[0], flux_like(WAVE), rtol=1e-12)
    np.testing.assert_allclose(arm.ivar[0], 4.0 * dimmed**2, rtol=1e-12)
    np.testing.assert_allclose(arm.flux * np.sqrt(arm.ivar), only_arm(given).flux * 2.0, rtol=1e-12)


def test_at_5470_angstrom_a_tenth_of_a_magnitude_is_what_the_table_says() -> None:
    wave = np.linspace(5000.0, 5940.0, 95)
    plain, corrected = only_arm(spectrum(wave=wave)), only_arm(spectrum(wave=wave), ebv=0.1)
    assert wave[47] == 5470.0
    assert corrected.flux[0, 47] / plain.flux[0, 47] == pytest.approx(10 ** (0.4 * 0.3055), rel=1e-6)


def test_nothing_is_done_where_nothing_is_said_and_where_it_is_zero() -> None:
    assert "ebv" not in only_batch(spectrum()).meta[0]
    np.testing.assert_array_equal(only_arm(spectrum(), ebv=0.0).flux, only_arm(spectrum()).flux)
    assert only_batch(spectrum(), ebv=0.0).meta[0]["ebv"] == 0.0


def test_the_curve_is_read_at_vacuum_wavelengths_in_any_order_and_unit() -> None:
    forward = only_arm(spectrum(), ebv=0.3)
    frequency = (WAVE[::-1] * u.AA).to(u.THz, u.spectral())
    nu = Spectrum(flux=flux_like(WAVE)[::-1] * FLAM, spectral_axis=frequency)
    backward = only_arm(nu, ebv=0.3)
    np.testing.assert_allclose(backward.flux, forward.flux, rtol=1e-9)


def test_each_spectrum_has_a_number_of_its_own_in_the_users_order() -> None:
    other = np.linspace(4100.0, 7000.0, 500)
    given = [spectrum(0), spectrum(1, other), spectrum(2)]
    read = read_spectra(given, ebv=[0.1, 0.2, 0.3])
    assert positions(read) == [[0, 2], [1]]
    assert [meta["ebv"] for meta in read.groups[0].batch.meta] == [0.1, 0.3]
    for k, ebv, group, row in ((0, 0.1, 0, 0), (1, 0.2, 1, 0), (2, 0.3, 0, 1)):
        alone = only_arm(given[k], ebv=ebv)
        np.testing.assert_array_equal(read.groups[group].batch.arms[0].flux[row], alone.flux[0])


def test_a_cube_takes_an_array_of_its_shape() -> None:
    cube = np.stack([flux_like(WAVE, i) for i in range(6)]).reshape(2, 3, -1)
    ebv = np.arange(6).reshape(2, 3) / 10
    batch = only_batch(Spectrum(flux=cube * FLAM, spectral_axis=WAVE * u.AA), ebv=ebv)
    assert [(meta["index"], meta["ebv"]) for meta in batch.meta] == [(index, ebv[index]) for index in np.ndindex(2, 3)]


def test_all_arms_of_a_galaxy_are_corrected() -> None:
    batch = only_batch(desi_arms(), ebv=[0.1, 0.2])
    plain = only_batch(desi_arms())
    for arm, before in zip(batch.arms, plain.arms, strict=True):
        expected = 10 ** (0.4 * np.array([[0.1], [0.2]]) * milky_way(arm.grid.centres))
        np.testing.assert_allclose(arm.flux / before.flux, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (np.nan, "E\\(B-V\\) of the Milky Way is nan: a value missing in a catalogue"),
        (np.inf, "E\\(B-V\\) of the Milky Way is inf"),
        (-99.0, "is -99 mag, and dust cannot brighten"),
        (3.5, "is 3.5 mag, beyond 3 mag.*A_V.*percentage.*ebv=0.03"),
    ],
)
def test_a_row_without_a_usable_number_fails_alone(missing: float, message: str) -> None:
    with pytest.raises(SpectrumError, match=message):
        read_spectra(spectrum(), ebv=missing)
    read = read_spectra([spectrum(0), spectrum(1), spectrum(2)], ebv=[0.1, missing, 0.1])
    assert positions(read) == [[0, 2]]
    assert list(read.failures) == [1]
    assert re.search(message, read.failures[1].reason)


def test_masked_and_missing_numbers_of_a_table_are_missing() -> None:
    given = [spectrum(0), spectrum(1)]
    for ebv in (np.ma.masked_array([0.1, 0.2], [False, True]), [0.1, None]):
        read = read_spectra(given, ebv=ebv)
        assert (positions(read), list(read.failures)) == ([[0]], [1])


def test_what_is_wrong_with_the_spectrum_itself_is_told_first(tmp_path: Path) -> None:
    read = read_spectra([tmp_path / "none.fits", spectrum()], ebv=[np.nan, 0.1])
    assert "There is no file" in read.failures[0].reason
    dead = spectrum(flux=np.full(len(WAVE), np.nan) * FLAM)
    assert "every pixel is masked" in read_spectra([dead, spectrum()], ebv=[np.nan, 0.1]).failures[0].reason


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ebv": [0.1, 0.2]}, "ebv= has 2 values for 3 spectra. Give one for all of them, or one for each"),
        ({"ebv": "much"}, "ebv='much' is not a number.*write ebv=0.03.*dust_map="),
        ({"ebv": 0.1, "dust_map": "sfd"}, "both say how much the Milky Way reddens"),
        ({"coordinates": HERE}, "there is none: add dust_map='sfd'"),
        ({"ebv": 0.1, "coordinates": HERE}, "there is none: add dust_map='sfd'"),
        ({"dust_map": 0.1}, "dust_map=0.1 cannot be asked.*a number goes to ebv="),
        ({"dust_map": mag_per_degree, "coordinates": (150.0, 2.0)}, "is a tuple.*SkyCoord\\(ra, dec, unit='deg'"),
        (
            {"dust_map": mag_per_degree, "coordinates": SkyCoord([1, 2], [1, 2], unit="deg")},
            "coordinates= has 2 values for 3 spectra",
        ),
        ({"dust_map": mag_per_degree}, "no header says it. Give coordinates=SkyCoord"),
        (
            {"dust_map": lambda where: np.ones((len(where), 5)), "coordinates": HERE},
            "answered with \\(3, 5\\) values for \\(3,\\) positions.*mode='median'",
        ),
    ],
)
def test_options_that_make_no_sense_are_errors_also_for_a_batch(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpectrumError, match=message):
        read_spectra([spectrum(0), spectrum(1), spectrum(2)], **options)


def test_a_dust_map_that_does_not_exist_is_told_with_those_that_do() -> None:
    with pytest.raises(UnknownNameError, match="No dust map 'sfg'. Did you mean 'sfd'.*SkyCoord -> E\\(B-V\\)"):
        read_spectra(spectrum(), dust_map="sfg")


@pytest.mark.parametrize("options", [{"ebv": 0.1}, {"dust_map": mag_per_degree, "coordinates": HERE}])
def test_a_batch_of_ones_own_is_not_corrected(options: dict[str, Any]) -> None:
    batch = SpectrumBatch.from_arrays(WAVE, flux_like(WAVE), np.ones(len(WAVE)), get_instrument("sdss"))
    with pytest.raises(SpectrumError, match="leave out"):
        read_spectra(batch, **options)


# the velocity frame


@pytest.mark.parametrize(
    ("header", "flagged"),
    [
        ({"SPECSYS": "TOPOCENT"}, True),
        ({"SPECSYS": "topocent "}, True),
        ({"SPECSYS": "GEOCENTR"}, True),
        ({"SPECSYS": "BARYCENT"}, False),
        ({"SPECSYS": "HELIOCEN"}, False),
        ({"TELESCOP": "SDSS 2.5-M"}, False),
        ({}, False),
    ],
)
def test_wavelengths_that_move_with_the_earth_are_flagged(header: dict[str, str], flagged: bool) -> None:
    assert has(Flag.TOPOCENTRIC, with_header(**header)) is flagged


def test_one_arm_is_enough_and_other_rows_are_not_touched() -> None:
    blue = spectrum(0, np.linspace(4000.0, 6000.0, 300))
    red = spectrum(1, np.linspace(5900.0, 9000.0, 400), meta={"header": {"SPECSYS": "TOPOCENT"}})
    assert has(Flag.TOPOCENTRIC, {"blue": blue, "red": red})
    batch = only_batch([with_header(0, SPECSYS="TOPOCENT"), with_header(1)])
    assert (batch.flags & Flag.TOPOCENTRIC != 0).tolist() == [True, False]


def test_the_flag_stands_in_words_in_tables() -> None:
    assert flag_names(int(Flag.TOPOCENTRIC | Flag.LOW_SNR)) == "LOW_SNR|TOPOCENTRIC"
    assert "30 km/s" in Flag.TOPOCENTRIC.meaning
