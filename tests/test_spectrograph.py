"""`Spectrograph`: its white variance against the recipe written out, its inputs and outputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from noise_makers import MOONS, curved_instrument, flat, seeded

from galfit_ml.errors import UnknownNameError
from galfit_ml.flags import Flag
from galfit_ml.instruments import Arm, get_instrument
from galfit_ml.observatory import Curve, Observatory, SkyMode
from galfit_ml.simulate.conditions import Conditions, ConditionsError
from galfit_ml.simulate.fibre import effective_fwhm, fibre_fraction
from galfit_ml.simulate.galaxies import simple_galaxies
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.masks import UNUSABLE
from galfit_ml.simulate.photon_noise import PhotonExposure
from galfit_ml.simulate.sky import SkyOnPixels, SkyTable, airglow_path
from galfit_ml.simulate.spectrograph import Spectrograph

H_C = 6.62607015e-27 * 2.99792458e10
"""erg cm."""


@pytest.fixture(scope="module")
def moons() -> Spectrograph:
    return Spectrograph("moons-lr")


def uneven() -> Conditions:
    """Three observations far from the nominal one."""
    return Conditions(
        exposure=torch.tensor([3600.0, 28800.0, 500.0]),
        seeing=torch.tensor([0.8, 1.1, 0.5]),
        airmass=torch.tensor([1.2, 1.5, 1.0]),
        size=torch.tensor([0.3, 0.0, 0.7]),
        oh=torch.tensor([1.0, 1.6, 0.5]),
        continuum=torch.tensor([1.0, 0.6, 1.4]),
        noise_factor=torch.tensor([[1.0, 1.0, 1.0], [1.3, 1.0, 2.7], [1.0, 2.0, 1.0]]),
    )


def recipe(row: int, arm: Arm, flux: np.ndarray, c: Conditions, mode: SkyMode) -> np.ndarray:
    """White variance of one spectrum and arm, electrons and formulas as the design states them, in double precision."""
    site = MOONS.observatory
    assert site is not None
    assert arm.throughput is not None
    assert arm.detector is not None
    grid = arm.grid
    table = SkyTable.load(site.sky)
    sky = SkyOnPixels.of(table, grid, arm.resolution.sigma(grid.centres), site)
    t, seeing, airmass, size = (float(getattr(c, key)[row]) for key in ("exposure", "seeing", "airmass", "size"))
    t *= mode.on_target
    n_dit = np.ceil(t / site.dit)
    eta = arm.throughput(grid.centres)
    fwhm = site.image_quality(grid.centres) * seeing * airmass**0.6
    fraction = 1 - np.exp(-((site.fibre / 2) ** 2) / (2 * ((fwhm / 2.35482) ** 2 + (size / 1.17741) ** 2)))
    transmission = sky.transmission ** (airmass / table.airmass)
    photons = grid.centres * 1e-8 / H_C * 1e-17
    k = photons * transmission * site.area * 1e4 * eta * fraction * grid.widths * t
    growth = airglow_path(airmass) / airglow_path(table.airmass)
    emission = float(c.oh[row]) * growth * sky.lines + float(c.continuum[row]) * growth**0.9 * sky.continuum
    emission += sky.thermal
    collected = emission * site.area * np.pi / 4 * site.fibre**2 * eta * grid.widths * t
    d = arm.detector
    detector = d.spatial_pixels * (d.dark / 3600 * t + n_dit * d.read_noise**2) + d.stray * collected.mean()
    index = MOONS.arms.index(arm)
    return float(c.noise_factor[row, index]) * (flux * k + mode.background * (collected + detector)) / k**2


@pytest.mark.parametrize("mode", ["xswitch", "stare", "nod"])
def test_white_variance_is_the_recipe(mode: str) -> None:
    spectrograph = Spectrograph("moons-lr", mode=mode)
    assert spectrograph.mode is not None
    conditions = uneven()
    flux = flat(spectrograph, torch.tensor([20.0, 23.0, 18.0]))
    found = spectrograph.white_variance(flux, conditions).double().numpy()
    clear = ((spectrograph.static_mask & UNUSABLE) == 0).numpy()
    for row in range(3):
        for arm, pixels in zip(MOONS.arms, spectrograph.arms, strict=True):
            expected = recipe(row, arm, flux[row, pixels].double().numpy(), conditions, spectrograph.mode)
            ratio = found[row, pixels] / expected
            np.testing.assert_allclose(ratio[clear[pixels]], 1.0, rtol=2e-3)


def test_electrons_are_flux_over_gain(moons: Spectrograph) -> None:
    """A line of known flux gives the electrons that energy, area and throughput say."""
    exposure = moons.exposed(Conditions.nominal(MOONS, 1, 1000.0, size=0.0))[2]
    assert isinstance(exposure, PhotonExposure)
    assert MOONS.observatory is not None
    arm, pixel = MOONS.arms[2], 2000
    wavelength = arm.grid.centres[pixel]
    width, area = arm.grid.widths[pixel], MOONS.observatory.area
    photons = 1e-16 * wavelength * 1e-8 / H_C * area * 1e4 * 1000.0
    assert arm.throughput is not None
    transmission = moons.noise[2].curves.transmission[pixel]  # type: ignore[union-attr]
    fwhm = float(MOONS.observatory.image_quality(wavelength)) * 0.8 * 1.2**0.6
    fraction = 1 - np.exp(-(0.55**2) / (2 * (fwhm / 2.35482) ** 2))
    expected = photons * float(arm.throughput(wavelength)) * transmission * fraction
    assert float((1e-16 / 1e-17) / width / exposure.gain[0, pixel]) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("fwhm", "fractions"), [(0.68, (0.84, 0.64, 0.44)), (0.60, (0.90, 0.68, 0.46)), (0.55, (0.94, 0.72, 0.48))]
)
def test_fibre_fractions_of_the_design(fwhm: float, fractions: tuple[float, ...]) -> None:
    """Both are stated to two digits: half a unit of the FWHM is 0.004."""
    found = fibre_fraction(1.1, torch.tensor(fwhm), torch.tensor([0.0, 0.3, 0.5]))
    assert found.tolist() == pytest.approx(fractions, abs=0.005 + 0.004)


def test_the_fibre_fraction_is_that_of_a_gaussian_through_a_hole() -> None:
    """By adding up a two-dimensional Gaussian."""
    sigma = np.hypot(0.6 / 2.35482, 0.3 / 1.17741)
    axis = np.arange(-3.0, 3.0, 0.005)
    x, y = np.meshgrid(axis, axis)
    light = np.exp(-0.5 * (x**2 + y**2) / sigma**2)
    expected = light[np.hypot(x, y) < 0.55].sum() / light.sum()
    assert float(fibre_fraction(1.1, torch.tensor(0.6), torch.tensor(0.3))) == pytest.approx(expected, rel=1e-3)


def test_effective_fwhm_of_the_design() -> None:
    """0.68, 0.60 and 0.55 arcsec in RI, YJ and H for 0.8 arcsec of seeing at airmass 1.2."""
    assert MOONS.observatory is not None
    middle = [0.5 * (arm.low + arm.high) for arm in MOONS.arms]
    quality = torch.as_tensor(MOONS.observatory.image_quality(middle))
    fwhm = effective_fwhm(quality, torch.tensor([0.8]), torch.tensor([1.2]))
    assert fwhm[0].tolist() == pytest.approx([0.68, 0.60, 0.55], abs=0.012)


def test_pixels_serve_the_galaxy_model(moons: Spectrograph) -> None:
    made = GalaxyModel().observe(simple_galaxies(3, 1.0, magnitude=21.0, log_ssfr=-9.0), moons.pixels)
    observed = moons.observe(made.flux, Conditions.nominal(MOONS, 3, "1h"), tier=1, generator=seeded())
    assert observed.flux.shape == (3, moons.n_pix) == made.flux.shape
    assert [s.stop - s.start for s in moons.arms] == [len(arm.grid) for arm in MOONS.arms]
    assert bool(torch.isfinite(observed.flux).all())
    assert bool(torch.isfinite(observed.ivar).all())
    assert observed.snr()[:, 1].min() > 1.0


def test_signal_to_noise_is_the_median_of_good_pixels(moons: Spectrograph) -> None:
    observed = moons.observe(
        flat(moons, torch.tensor([20.0, 22.0])), Conditions.nominal(MOONS, 2, "1h"), tier=1, generator=seeded(4)
    )
    ratio = (observed.flux * observed.ivar.sqrt()).numpy()
    for row in range(2):
        for column, arm in enumerate((*moons.arms, slice(None))):
            good = ~observed.bad[row, arm].numpy()
            expected = np.median(ratio[row, arm][good])
            assert float(observed.snr()[row, column]) == pytest.approx(expected, rel=1e-6)


def test_no_good_pixel_has_no_signal_to_noise(moons: Spectrograph) -> None:
    observed = moons.observe(
        flat(moons, torch.tensor([20.0])), Conditions.nominal(MOONS, 1, "1h"), tier=1, generator=seeded()
    )
    observed.mask[:, moons.arms[1]] = UNUSABLE
    assert torch.isnan(observed.snr()[0]).tolist() == [False, True, False, False]


def test_batch_is_what_a_backend_takes(moons: Spectrograph) -> None:
    observed = moons.observe(
        flat(moons, torch.tensor([20.0, 21.0])), Conditions.nominal(MOONS, 2, "1h"), tier=2, generator=seeded()
    )
    observed.mask[1] |= UNUSABLE
    batch = observed.batch(MOONS, ["a", "b"], [{"magnitude": 20.0}, {}])
    assert [arm.name for arm in batch.arms] == ["RI", "YJ", "H"]
    assert batch.ids == ("a", "b")
    assert batch.meta[0] == {"magnitude": 20.0}
    assert batch.flags.tolist() == [0, int(Flag.FAILED)]
    assert batch.reasons[1] == "every pixel is masked"
    for arm, pixels in zip(batch.arms, moons.arms, strict=True):
        assert np.array_equal(arm.bad[0], observed.bad[0, pixels].numpy())
        np.testing.assert_allclose(arm.flux[0], observed.flux[0, pixels].numpy())
        np.testing.assert_allclose(arm.ivar[0], observed.ivar[0, pixels].numpy())
    for arm, given in zip(batch.arms, MOONS.arms, strict=True):
        np.testing.assert_allclose(arm.lsf_sigma[1], given.resolution.sigma(given.grid.centres))


def test_modes_are_found_whatever_their_case_and_suggested() -> None:
    assert Spectrograph(MOONS, mode="XSWITCH").mode == Spectrograph(MOONS).mode
    with pytest.raises(UnknownNameError, match="Did you mean 'stare'"):
        Spectrograph(MOONS, mode="star")
    with pytest.raises(UnknownNameError, match="moons-lr"):
        Spectrograph("moons-rl")


def test_an_instrument_without_noise_is_refused() -> None:
    with pytest.raises(ConditionsError, match="noise of instrument 'generic' is not known"):
        Spectrograph("generic:1800")
    blind = replace(MOONS, arms=(*MOONS.arms[:2], replace(MOONS.arms[2], detector=None)))
    with pytest.raises(ConditionsError, match="neither an observatory"):
        Spectrograph(blind)


def test_a_noise_curve_serves_where_photons_are_not_counted() -> None:
    spectrograph = Spectrograph(curved_instrument())
    assert spectrograph.mode is None
    with pytest.raises(UnknownNameError, match="sky mode"):
        Spectrograph(curved_instrument(), mode="stare")


def test_flux_that_cannot_be_observed_is_refused(moons: Spectrograph) -> None:
    conditions = Conditions.nominal(MOONS, 2, "1h")
    flux = flat(moons, torch.tensor([20.0, 21.0]))
    with pytest.raises(ConditionsError, match=r"asks? for \[2"):
        moons.observe(flux[:, 1:], conditions, generator=seeded())
    with pytest.raises(ConditionsError, match="cannot be observed"):
        moons.observe(flux[:1], conditions, generator=seeded())
    flux[1, 5] = float("nan")
    with pytest.raises(ConditionsError, match="not finite"):
        moons.observe(flux, conditions, generator=seeded())


def test_an_unknown_tier_and_senseless_conditions_are_refused(moons: Spectrograph) -> None:
    flux = flat(moons, torch.tensor([20.0]))
    conditions = Conditions.nominal(MOONS, 1, "1h")
    with pytest.raises(ConditionsError, match="no noise tier 3"):
        moons.observe(flux, conditions, tier=3, generator=seeded())
    with pytest.raises(ConditionsError, match="airmass"):
        moons.observe(flux, replace(conditions, airmass=torch.tensor([0.2])), generator=seeded())


def test_a_pixel_without_light_is_a_gap() -> None:
    arm = MOONS.arms[0]
    dark = replace(arm, throughput=Curve((6470.0, 7000.0, 7001.0, 9340.0), (0.0, 0.0, 0.15, 0.15)))
    spectrograph = Spectrograph(replace(MOONS, arms=(dark,)))
    flux = flat(spectrograph, torch.tensor([20.0]))
    for tier in (0, 1):
        seen = spectrograph.observe(
            flux, Conditions.nominal(spectrograph.instrument, 1, "1h"), tier=tier, generator=seeded()
        )
        below = torch.as_tensor(arm.grid.centres < 7000.0)
        assert bool(seen.bad[0, below].all())
        assert bool((seen.ivar[0, below] == 0).all())
        assert bool((seen.flux[0, below] == 0).all())
        assert bool(torch.isfinite(seen.flux).all())


def test_the_observatory_alone_is_not_enough() -> None:
    assert isinstance(MOONS.observatory, Observatory)
    with pytest.raises(ConditionsError, match="not known"):
        Spectrograph(replace(get_instrument("sdss"), noise_curve=None))
