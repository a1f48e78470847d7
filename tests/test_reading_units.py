"""Fluxes, axes, uncertainties and masks of every kind become the arrays of a batch."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import InverseVariance, StdDevUncertainty, VarianceUncertainty
from astropy.utils.masked import Masked
from spectrum_makers import (
    FLAM,
    LOG_WAVE,
    WAVE,
    flux_like,
    has,
    only_arm,
    only_batch,
    spectrum,
)
from specutils import Spectrum, SpectrumCollection

from galfit_ml.flags import Flag
from galfit_ml.grid import air_to_vacuum
from galfit_ml.reading.noise import estimate_ivar


@pytest.mark.parametrize(
    "unit",
    [
        "erg / (s cm2 Angstrom)",
        "W / (m2 um)",
        "mJy",
        "erg / (s cm2 Hz)",
        "ph / (s cm2 Angstrom)",
        "1e-17 erg / (s cm2 Angstrom)",
    ],
)
def test_any_flux_density_is_converted_with_its_errors(unit: str) -> None:
    flux, sigma = flux_like(WAVE), np.linspace(0.2, 0.9, len(WAVE))
    given = [(v * FLAM).to(unit, u.spectral_density(WAVE * u.AA)) for v in (flux, sigma)]
    arm = only_arm(Spectrum(flux=given[0], spectral_axis=WAVE * u.AA, uncertainty=StdDevUncertainty(given[1])))
    np.testing.assert_allclose(arm.flux[0], flux, rtol=1e-9)
    np.testing.assert_allclose(arm.ivar[0], sigma**-2, rtol=1e-9)


@pytest.mark.parametrize("per", ["pix", "spaxel"])
def test_a_flux_per_spaxel_is_the_flux_of_that_spaxel(per: str) -> None:
    spaxel = u.Unit(per, represents=u.pixel, parse_strict="silent") if per == "spaxel" else u.pix
    arm = only_arm(spectrum(flux=flux_like(WAVE) * FLAM / spaxel, uncertainty=None))
    np.testing.assert_allclose(arm.flux[0], flux_like(WAVE), rtol=1e-12)


@pytest.mark.parametrize(
    "unit", ["", "adu", "ct / s", "electron", "MJy / sr", "erg / (s cm2 Angstrom arcsec2)", "DN", "%"]
)
def test_a_relative_flux_is_normalised_and_flagged(unit: str) -> None:
    flux = flux_like(WAVE)
    given = Spectrum(
        flux=flux * 137.0 * u.Unit(unit), spectral_axis=WAVE * u.AA, uncertainty=StdDevUncertainty(0.1 * 137.0 * flux)
    )
    batch = only_batch(given)
    arm = batch.arms[0]
    assert batch.relative.all()
    assert np.median(np.abs(arm.flux)) == pytest.approx(1.0)
    np.testing.assert_allclose(arm.flux * np.sqrt(arm.ivar), 10.0, rtol=1e-9)


def test_the_arms_of_a_relative_spectrum_keep_their_proportion() -> None:
    blue, red = np.linspace(4000.0, 6000.0, 300), np.linspace(5900.0, 9000.0, 400)
    arms = only_batch(
        {
            "blue": spectrum(flux=np.full(300, 20.0) * u.adu, wave=blue),
            "red": spectrum(flux=np.full(400, 60.0) * u.adu, wave=red),
        }
    ).arms
    assert arms[1].flux.mean() / arms[0].flux.mean() == pytest.approx(3.0)


def test_an_absolute_flux_is_not_flagged_relative() -> None:
    assert not only_batch(spectrum()).relative.any()


@pytest.mark.parametrize("unit", ["AA", "nm", "um", "m", "GHz", "eV", "1 / cm"])
def test_any_spectral_axis_becomes_increasing_angstroms(unit: str) -> None:
    axis = (WAVE * u.AA).to(unit, u.spectral())
    given = spectrum(spectral_axis=axis, mask=np.arange(len(WAVE)) < 3)
    arm = only_arm(given)
    np.testing.assert_allclose(arm.grid.centres, WAVE, rtol=1e-12)
    np.testing.assert_allclose(arm.flux[0, 3:], flux_like(WAVE)[3:], rtol=1e-12)
    assert np.flatnonzero(arm.bad[0]).tolist() == [0, 1, 2]


def test_a_descending_axis_turns_everything_that_goes_with_it() -> None:
    sigma, mask = np.linspace(0.2, 0.9, len(WAVE)), np.arange(len(WAVE)) < 3
    meta = {"lsf_sigma": np.linspace(1.0, 2.0, len(WAVE))}
    up = only_arm(spectrum(uncertainty=StdDevUncertainty(sigma), mask=mask, meta=meta))
    down = only_arm(
        spectrum(
            flux=flux_like(WAVE)[::-1] * FLAM,
            spectral_axis=WAVE[::-1] * u.AA,
            uncertainty=StdDevUncertainty(sigma[::-1]),
            mask=mask[::-1],
            meta={"lsf_sigma": meta["lsf_sigma"][::-1]},
        )
    )
    for name in ("flux", "ivar", "bad", "lsf_sigma"):
        np.testing.assert_array_equal(getattr(down, name), getattr(up, name), err_msg=name)
    np.testing.assert_array_equal(down.grid.centres, up.grid.centres)


def test_air_wavelengths_become_vacuum_where_the_user_or_the_header_says_air() -> None:
    vacuum = air_to_vacuum(WAVE)
    for given, options in (
        (spectrum(), {"medium": "air"}),
        (spectrum(meta={"header": {"CTYPE1": "AWAV"}}), {}),
        (spectrum(meta={"header": {"AIRORVAC": "air"}}), {}),
    ):
        np.testing.assert_array_equal(only_arm(given, **options).grid.centres, vacuum)


def test_wavelengths_are_vacuum_unless_somebody_says_otherwise() -> None:
    header = {"CTYPE1": "AWAV"}
    np.testing.assert_array_equal(only_arm(spectrum()).grid.centres, WAVE)
    np.testing.assert_array_equal(only_arm(spectrum(meta={"header": header}), medium="vacuum").grid.centres, WAVE)


@pytest.mark.parametrize(
    ("kind", "power"), [(StdDevUncertainty, 1.0), (VarianceUncertainty, 2.0), (InverseVariance, -2.0)]
)
def test_all_kinds_of_uncertainty_say_the_same(kind: Any, power: float) -> None:
    sigma = np.linspace(0.2, 0.9, len(WAVE))
    np.testing.assert_allclose(only_arm(spectrum(uncertainty=kind(sigma**power))).ivar[0], sigma**-2, rtol=1e-12)


def test_an_uncertainty_in_another_unit_than_the_flux_is_converted() -> None:
    flux = (flux_like(WAVE) * FLAM).to("mJy", u.spectral_density(WAVE * u.AA))
    given = spectrum(flux=flux, uncertainty=StdDevUncertainty(np.full(len(WAVE), 0.01) * u.Jy))
    same = spectrum(flux=flux, uncertainty=StdDevUncertainty(np.full(len(WAVE), 10.0) * u.mJy))
    np.testing.assert_allclose(only_arm(given).ivar, only_arm(same).ivar, rtol=1e-12)


@pytest.mark.parametrize("kind", [StdDevUncertainty, VarianceUncertainty, InverseVariance])
@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, -3.0])
def test_a_pixel_whose_uncertainty_says_nothing_is_bad(kind: Any, value: float) -> None:
    values = np.ones(len(WAVE))
    values[11] = value
    arm = only_arm(spectrum(uncertainty=kind(values)))
    assert np.flatnonzero(arm.bad[0]).tolist() == [11]
    assert np.isfinite(arm.ivar).all()


def test_masks_and_values_that_are_not_finite_add_up() -> None:
    flux, mask = flux_like(WAVE), np.zeros(len(WAVE), int)
    flux[3], flux[4], mask[5] = np.nan, -np.inf, 64
    arm = only_arm(spectrum(flux=flux * FLAM, mask=mask))
    assert np.flatnonzero(arm.bad[0]).tolist() == [3, 4, 5]


@pytest.mark.parametrize("kind", [Spectrum, SpectrumCollection])
def test_a_masked_quantity_brings_its_mask(kind: Any) -> None:
    mask = np.arange(len(WAVE)) == 17
    rows = (None, slice(None)) if kind is SpectrumCollection else slice(None)
    flux = Masked(flux_like(WAVE) * FLAM, mask=mask)[rows]
    arm = only_arm(kind(flux=flux, spectral_axis=(WAVE * u.AA)[rows]))
    assert np.flatnonzero(arm.bad[0]).tolist() == [17]


def test_big_endian_data_become_native() -> None:
    ivar = InverseVariance(np.full(len(WAVE), 4.0, ">f4"))
    arm = only_arm(spectrum(flux=flux_like(WAVE).astype(">f4") * FLAM, uncertainty=ivar))
    for name in ("flux", "ivar", "lsf_sigma"):
        assert getattr(arm, name).dtype == np.dtype("=f8")
    assert arm.grid.centres.dtype.isnative
    np.testing.assert_allclose(arm.flux[0], flux_like(WAVE), rtol=1e-6)


def test_input_is_never_modified() -> None:
    flux = flux_like(WAVE)[::-1].copy()
    flux[7] = np.nan
    ivar = np.full(len(WAVE), 4.0)
    ivar[8:10] = 0.0, -1.0
    meta = {"lsf_sigma": np.full(len(WAVE), 1.2), "header": {"TELESCOP": "none"}}
    given = Spectrum(
        flux=flux * u.adu,
        spectral_axis=WAVE[::-1] * u.AA,
        uncertainty=InverseVariance(ivar),
        mask=np.arange(len(WAVE)) == 3,
        meta=meta,
    )
    before = [a.copy() for a in (given.flux.value, given.spectral_axis.value, given.uncertainty.array, given.mask)]
    meta_before = deepcopy(dict(given.meta))
    arm = only_arm(given, medium="air")
    after = [given.flux.value, given.spectral_axis.value, given.uncertainty.array, given.mask]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_equal(dict(given.meta), meta_before)
    arm.flux[:], arm.ivar[:], arm.lsf_sigma[:] = 1e9, 1e9, 1e9
    np.testing.assert_array_equal(given.flux.value, before[0])
    np.testing.assert_array_equal(given.meta["lsf_sigma"], meta["lsf_sigma"])


def test_without_uncertainty_the_noise_is_estimated_and_flagged() -> None:
    sigma = np.where(LOG_WAVE < 5500.0, 0.5, 2.0)
    flux = 50.0 + np.random.default_rng(3).normal(0.0, sigma)
    batch = only_batch(Spectrum(flux=flux * FLAM, spectral_axis=LOG_WAVE * u.AA))
    estimated = 1 / np.sqrt(batch.arms[0].ivar[0])
    assert batch.flags[0] & Flag.NOISE_ESTIMATED
    away = np.abs(LOG_WAVE - 5500.0) > 300.0
    # a chunk's median of 200 correlated differences scatters by 9 %
    np.testing.assert_allclose(estimated[away], sigma[away], rtol=0.35)
    assert not has(Flag.NOISE_ESTIMATED, spectrum())


def test_the_noise_estimate_is_unbiased_and_blind_to_bad_pixels() -> None:
    rng = np.random.default_rng(4)
    flux, bad = rng.normal(100.0, 3.0, (50, 3901)), rng.random((50, 3901)) < 0.1
    flux[bad] = 1e6
    sigma = 1 / np.sqrt(estimate_ivar(flux, bad))
    assert sigma.mean() == pytest.approx(3.0, rel=0.01)
    np.testing.assert_array_equal(estimate_ivar(np.where(bad, np.nan, flux), bad), estimate_ivar(flux, bad))


def test_a_gap_wider_than_a_chunk_takes_the_noise_of_its_neighbours() -> None:
    flux, bad = np.random.default_rng(5).normal(0.0, 1.0, (1, 2000)), np.zeros((1, 2000), bool)
    bad[0, 700:1300] = True
    ivar = estimate_ivar(flux, bad)
    assert np.all((ivar > 0.5) & (ivar < 2.0))
