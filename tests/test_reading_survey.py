"""Instruments, line-spread functions, flags, names, and files of surveys."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import StdDevUncertainty
from spectrum_makers import (
    FLAM,
    LOG_WAVE,
    WAVE,
    desi_arms,
    flux_like,
    has,
    only_arm,
    only_batch,
    positions,
    sdss_file,
    spectrum,
)
from specutils import Spectrum

from galfit_ml.errors import SpectrumError
from galfit_ml.flags import Flag
from galfit_ml.instruments import FWHM_PER_SIGMA, get_instrument
from galfit_ml.reading import READER_OPTIONS, ReaderOptions, read_spectra


@pytest.mark.parametrize(
    ("header", "wave", "name"),
    [
        ({"TELESCOP": "SDSS 2.5-M", "PLATEID": 352}, (3800.0, 9200.0), "sdss"),
        ({"TELESCOP": "SDSS 2.5-M", "PLATEID": 4055}, (3600.0, 10300.0), "boss"),
        ({"TELESCOP": "SDSS 2.5-M", "RUN2D": "v6_1_3"}, (3800.0, 9200.0), "boss"),
        ({"TELESCOP": "SDSS 2.5-M"}, (3590.0, 10300.0), "boss"),
        ({"TELESCOP": "SDSS 2.5-M"}, (3800.0, 9200.0), "sdss"),
        ({"TELESCOP": "SDSS 2.5-M"}, (15100.0, 17000.0), "generic"),
        ({"TELESCOP": "WHT"}, (3800.0, 9200.0), "generic"),
        ({}, (3800.0, 9200.0), "generic"),
    ],
)
def test_the_instrument_is_recognised_from_the_header(header: dict, wave: tuple[float, float], name: str) -> None:
    given = spectrum(wave=np.linspace(*wave, 800), meta={"header": header})
    assert only_batch(given).instrument.name == name


def test_what_the_user_says_of_the_instrument_goes_before_the_header() -> None:
    given = spectrum(meta={"header": {"TELESCOP": "SDSS 2.5-M", "PLATEID": 352}})
    assert only_batch(given, instrument="boss").instrument.name == "boss"


def test_spectra_of_different_instruments_are_separate_groups() -> None:
    sdss = spectrum(0, meta={"header": {"TELESCOP": "SDSS 2.5-M", "PLATEID": 352}})
    assert positions(read_spectra([sdss, spectrum(1), sdss])) == [[0, 2], [1]]


@pytest.mark.parametrize(
    ("meta", "options", "expected"),
    [
        ({}, {"resolving_power": 1500.0}, WAVE / 1500.0 / FWHM_PER_SIGMA),
        ({}, {"instrument": "generic:1500"}, WAVE / 1500.0 / FWHM_PER_SIGMA),
        ({"resolution": 1500.0}, {}, WAVE / 1500.0 / FWHM_PER_SIGMA),
        (
            {"resolution": np.linspace(1000, 2000, len(WAVE))},
            {},
            WAVE / np.linspace(1000, 2000, len(WAVE)) / FWHM_PER_SIGMA,
        ),
        ({"lsf_sigma": 1.3}, {}, np.full(len(WAVE), 1.3)),
        ({"lsf_sigma": 0.13 * u.nm}, {}, np.full(len(WAVE), 1.3)),
        ({"lsf_sigma": np.linspace(1.0, 2.0, len(WAVE))}, {"instrument": "sdss"}, np.linspace(1.0, 2.0, len(WAVE))),
        ({"lsf_sigma": 1.3}, {"resolving_power": 1500.0, "instrument": "sdss"}, WAVE / 1500.0 / FWHM_PER_SIGMA),
    ],
)
def test_a_known_line_spread_function_is_taken_and_not_flagged(meta: dict, options: dict, expected: np.ndarray) -> None:
    batch = only_batch(spectrum(meta=meta), **options)
    np.testing.assert_allclose(batch.arms[0].lsf_sigma[0], expected, rtol=1e-12)
    assert not batch.flags[0] & Flag.LSF_ASSUMED


@pytest.mark.parametrize("instrument", [None, "generic", "sdss"])
def test_an_unknown_line_spread_function_is_the_instruments_and_flagged(instrument: str | None) -> None:
    batch = only_batch(spectrum(), instrument=instrument)
    np.testing.assert_allclose(batch.arms[0].lsf_sigma[0], get_instrument(instrument or "generic").sigma(WAVE))
    assert batch.flags[0] & Flag.LSF_ASSUMED


def test_low_signal_to_noise_is_flagged() -> None:
    assert has(Flag.LOW_SNR, spectrum(uncertainty=StdDevUncertainty(np.full(len(WAVE), 11.0))))
    assert not has(Flag.LOW_SNR, spectrum(uncertainty=StdDevUncertainty(np.full(len(WAVE), 9.0))))


def test_many_bad_pixels_are_flagged_and_padding_is_not_counted() -> None:
    share = np.arange(len(WAVE)) / len(WAVE)
    assert has(Flag.MANY_BAD_PIXELS, spectrum(mask=share < 0.55))
    assert not has(Flag.MANY_BAD_PIXELS, spectrum(mask=share < 0.45))
    read = read_spectra([spectrum(0, LOG_WAVE), spectrum(1, LOG_WAVE[: len(LOG_WAVE) // 3])])
    assert not any(flag & Flag.MANY_BAD_PIXELS for group in read.groups for flag in group.batch.flags)


def test_little_coverage_of_the_instrument_is_flagged_but_means_nothing_for_generic() -> None:
    half = np.linspace(3800.0, 6000.0, 500)
    assert has(Flag.LITTLE_COVERAGE, spectrum(wave=half), instrument="sdss")
    assert not has(Flag.LITTLE_COVERAGE, spectrum(wave=half))
    full = np.linspace(3800.0, 9200.0, 1500)
    assert not has(Flag.LITTLE_COVERAGE, spectrum(wave=full), instrument="sdss")
    assert has(Flag.LITTLE_COVERAGE, spectrum(wave=full, mask=full > 6000.0), instrument="sdss")


def test_a_redshift_in_the_spectrum_is_kept_as_information_only() -> None:
    batch = only_batch([spectrum(redshift=0.31), spectrum()])
    assert batch.meta[0] == {"header_redshift": pytest.approx(0.31)}
    assert batch.meta[1] == {}
    np.testing.assert_allclose(batch.arms[0].grid.centres, WAVE)


def test_names_come_from_the_user_the_meta_the_header_or_the_position() -> None:
    sdss = {"TELESCOP": "SDSS 2.5-M", "PLATEID": 352, "MJD": 51694, "FIBERID": 87}
    metas: list[dict] = [{"id": "mine"}, {"header": sdss}, {"header": {"OBJECT": "NGC 1"}}, {}]
    spectra = [spectrum(i, meta=m) for i, m in enumerate(metas)]
    by_position = {p: n for g in read_spectra(spectra).groups for p, n in zip(g.positions, g.batch.ids, strict=True)}
    assert by_position == {0: "mine", 1: "spec-0352-51694-0087", 2: "NGC 1", 3: "spectrum-3"}
    assert only_batch(spectrum(), ids=["x"]).ids == only_batch(spectrum(), ids="x").ids == ("x",)


def test_the_spaxels_of_a_named_cube_carry_their_place() -> None:
    cube = Spectrum(flux=np.stack([flux_like(WAVE)] * 2) * FLAM, spectral_axis=WAVE * u.AA, meta={"id": "cube"})
    assert only_batch(cube).ids == ("cube[0]", "cube[1]")


def test_ids_of_another_number_are_refused() -> None:
    with pytest.raises(SpectrumError, match="3 names for 2 spectra"):
        read_spectra([spectrum(), spectrum()], ids=["a", "b", "c"])


DUST = {"ebv", "dust_map", "coordinates"}


def test_the_options_are_what_the_reader_takes() -> None:
    assert {"format", "medium", "resolving_power", "ids", "rows", *DUST} == READER_OPTIONS
    assert ReaderOptions() == ReaderOptions.of({})


def test_an_sdss_file_is_read_with_its_line_spread_function(tmp_path: Path) -> None:
    path = sdss_file(tmp_path / "spec-0352-51694-0007.fits")
    read = read_spectra(path)
    batch = read.groups[0].batch
    arm = batch.arms[0]
    assert (read.single, batch.instrument.name, batch.ids) == (True, "sdss", ("spec-0352-51694-0007",))
    assert batch.meta[0] == {"file": str(path)}
    assert np.flatnonzero(arm.bad[0]).tolist() == [*range(100, 110), 200]
    np.testing.assert_allclose(arm.lsf_sigma[0], 0.9 * 1e-4 * np.log(10) * arm.grid.centres, rtol=1e-6)
    assert batch.flags[0] == 0


def test_paths_may_be_text_and_come_in_lists_with_other_kinds(tmp_path: Path) -> None:
    first, second = sdss_file(tmp_path / "a.fits", 0), sdss_file(tmp_path / "b.fits", 1, first=35820)
    read = read_spectra([str(first), spectrum(), second])
    assert positions(read) == [[0, 2], [1]]
    assert read.groups[0].batch.ids == ("a", "b")
    assert not read.single
    assert read_spectra(str(first)).single


def test_a_later_plate_is_boss(tmp_path: Path) -> None:
    batch = only_batch(sdss_file(tmp_path / "a.fits", plate=4055, first=35563, n_pix=4600))
    assert batch.instrument.name == "boss"
    assert batch.flags[0] == 0


def test_a_spectrum_the_user_read_himself_has_the_same_values_but_an_assumed_line_spread_function(
    tmp_path: Path,
) -> None:
    path = sdss_file(tmp_path / "a.fits")
    by_hand, by_path = only_batch(Spectrum.read(path, format="SDSS-III/IV spec")), only_batch(path)
    for name in ("flux", "ivar", "bad"):
        np.testing.assert_array_equal(getattr(by_hand.arms[0], name), getattr(by_path.arms[0], name), err_msg=name)
    assert by_hand.flags[0] == Flag.LSF_ASSUMED


def test_other_files_go_through_the_loaders_of_specutils(tmp_path: Path) -> None:
    spectrum(uncertainty=StdDevUncertainty(np.full(len(WAVE), 0.5))).write(tmp_path / "x.fits", format="tabular-fits")
    for format in (None, "tabular-fits"):
        arm = only_arm(tmp_path / "x.fits", format=format)
        np.testing.assert_allclose(arm.flux[0], flux_like(WAVE), rtol=1e-6)
        np.testing.assert_allclose(arm.ivar, 4.0, rtol=1e-6)


def test_a_desi_file_gives_its_targets_with_three_arms(tmp_path: Path) -> None:
    hdus = [
        fits.PrimaryHDU(),
        fits.BinTableHDU.from_columns([fits.Column("TARGETID", "K", array=[11, 12])], name="FIBERMAP"),
    ]
    hdus[0].header["INFIL000"] = "x"
    for band, arm in zip("BRZ", desi_arms(), strict=True):
        for name, values, unit in (
            ("WAVELENGTH", arm.spectral_axis.value, "Angstrom"),
            ("FLUX", arm.flux.value, "10**-17 erg/(s cm2 Angstrom)"),
            ("IVAR", arm.uncertainty.array, "10**+34 (s2 cm4 Angstrom2) / erg2"),
            ("MASK", arm.meta["int_mask"].astype("i4"), ""),
            ("RESOLUTION", arm.meta["resolution_data"].astype("f4"), ""),
        ):
            hdus.append(fits.ImageHDU(values, name=f"{band}_{name}"))
            if unit:
                hdus[-1].header["BUNIT"] = unit
    hdus.append(fits.BinTableHDU.from_columns([fits.Column("TARGETID", "K", array=[11, 12])], name="SCORES"))
    fits.HDUList(hdus).writeto(tmp_path / "coadd-main-dark-1.fits")
    batch = only_batch(tmp_path / "coadd-main-dark-1.fits")
    assert [arm.name for arm in batch.arms] == ["b", "r", "z"]
    assert batch.ids == ("11", "12")
    np.testing.assert_allclose(batch.arms[2].flux, desi_arms()[2].flux.value, rtol=1e-6)


@pytest.mark.parametrize("batch_of", [1, 18])
def test_the_surveys_own_files_are_read_without_a_flag_they_do_not_deserve(real_data: Path, batch_of: int) -> None:
    files = sorted((real_data / "sdss_fits").glob("*.fits"))[:batch_of]
    batch = only_batch(files)
    arm = batch.arms[0]
    assert batch.instrument.name == "sdss"
    assert batch.ids == tuple(path.stem for path in files)
    for row, path in enumerate(files):
        with fits.open(path) as hdus:
            table = hdus[1].data
        columns = np.flatnonzero(~arm.bad[row])
        good = (table["and_mask"] == 0) & (table["ivar"] > 0)
        np.testing.assert_array_equal(arm.flux[row, columns], table["flux"][good])
        np.testing.assert_array_equal(arm.ivar[row, columns], table["ivar"][good])
        # 32-bit logarithms: 1.2e-3 of a pixel
        off = np.log10(arm.grid.centres[columns]) - table["loglam"][good]
        assert np.abs(off).max() < 1.3e-7
        sigma = table["wdisp"][good] * 1e-4 * np.log(10) * arm.grid.centres[columns]
        known = table["wdisp"][good] > 0
        np.testing.assert_allclose(arm.lsf_sigma[row, columns][known], sigma[known], rtol=1e-6)
    assert np.all(arm.lsf_sigma > 0)
    # half of that spectrum has the bits for a bad trace, a bad flat field and many bad columns
    poor = {"spec-2239-53726-0175": int(Flag.LITTLE_COVERAGE)}
    assert batch.flags.tolist() == [poor.get(path.stem, 0) for path in files]
