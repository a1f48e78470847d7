"""`SpectrumBatch`: nothing non-finite gets in, shapes agree, rows can be taken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from galfit_ml.flags import Flag
from galfit_ml.grid import WavelengthGrid
from galfit_ml.instruments import get_instrument
from galfit_ml.spectra import ArmSpectra, SpectrumBatch

WAVE = np.linspace(4000.0, 9000.0, 200)
SDSS = get_instrument("sdss")


def a_batch(n: int = 3, **changes: Any) -> SpectrumBatch:
    flux = np.random.default_rng(1).normal(10.0, 1.0, (n, len(WAVE)))
    return SpectrumBatch.from_arrays(WAVE, flux, np.full(flux.shape, 4.0), SDSS, **changes)


def an_arm(**changes: Any) -> ArmSpectra:
    shape = (2, len(WAVE))
    columns = {
        "flux": np.ones(shape),
        "ivar": np.ones(shape),
        "bad": np.zeros(shape, bool),
        "lsf_sigma": np.ones(shape),
    }
    return ArmSpectra("optical", WavelengthGrid.from_centres(WAVE), **{**columns, **changes})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_flux_that_is_not_finite_is_bad_and_leaves_nothing_behind(value: float) -> None:
    flux = np.ones((2, len(WAVE)))
    flux[0, 5] = value
    arm = an_arm(flux=flux)
    assert arm.bad[0, 5]
    assert (arm.flux[0, 5], arm.ivar[0, 5]) == (0.0, 0.0)
    assert arm.bad.sum() == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 0.0])
def test_an_inverse_variance_that_says_nothing_makes_its_pixel_bad(value: float) -> None:
    ivar = np.ones((2, len(WAVE)))
    ivar[1, 7] = value
    arm = an_arm(ivar=ivar)
    assert np.argwhere(arm.bad).tolist() == [[1, 7]]
    assert arm.ivar[1, 7] == 0.0


def test_arrays_handed_in_stay_as_they_were() -> None:
    flux, ivar = np.ones((1, len(WAVE))), np.ones((1, len(WAVE)))
    flux[0, 0], ivar[0, 1] = np.nan, -1.0
    before = flux.copy(), ivar.copy()
    SpectrumBatch.from_arrays(WAVE, flux, ivar, SDSS)
    np.testing.assert_array_equal(flux, before[0])
    np.testing.assert_array_equal(ivar, before[1])


@pytest.mark.parametrize("name", ["ivar", "bad", "lsf_sigma"])
def test_columns_of_another_shape_are_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must have the shape of flux"):
        an_arm(**{name: np.ones((2, 3))})


def test_a_flux_that_does_not_fit_the_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="flux must be"):
        an_arm(flux=np.ones(len(WAVE)))


def test_rows_are_taken_in_the_order_asked_for() -> None:
    batch = a_batch(4, ids=["a", "b", "c", "d"])
    part = batch.take([2, 0])
    assert part.ids == ("c", "a")
    np.testing.assert_array_equal(part.arms[0].flux, batch.arms[0].flux[[2, 0]])
    assert len(part) == len(part.flags) == len(part.reasons) == len(part.meta) == 2


def test_the_line_spread_function_comes_from_the_instrument_unless_given() -> None:
    np.testing.assert_allclose(a_batch().arms[0].lsf_sigma[1], SDSS.sigma(WAVE))
    given = np.full((3, len(WAVE)), 1.5)
    np.testing.assert_array_equal(a_batch(lsf_sigma=given).arms[0].lsf_sigma, given)


def test_a_row_without_a_good_pixel_is_flagged_with_its_reason() -> None:
    bad = np.zeros((3, len(WAVE)), bool)
    bad[1] = True
    batch = a_batch(bad=bad)
    assert batch.usable.tolist() == [True, False, True]
    assert "masked" in batch.reasons[1]
    assert batch.reasons[0] == batch.reasons[2] == ""


def test_one_dimensional_arrays_make_a_batch_of_one() -> None:
    batch = SpectrumBatch.from_arrays(WAVE, np.ones(len(WAVE)), np.ones(len(WAVE)), SDSS)
    assert len(batch) == 1
    assert batch.ids == ("spectrum-0",)


def test_relative_rows_are_told_by_their_flag() -> None:
    batch = a_batch(2)
    marked = replace(batch, flags=np.array([0, int(Flag.RELATIVE_FLUX | Flag.LOW_SNR)]))
    assert marked.relative.tolist() == [False, True]


def test_a_batch_of_unequal_lengths_or_without_arms_is_refused() -> None:
    batch = a_batch(3)
    with pytest.raises(ValueError, match="3 rows"):
        replace(batch, reasons=("",))
    with pytest.raises(ValueError, match="at least one arm"):
        replace(batch, arms=())


def test_line_spread_without_sense_is_filled_with_the_rows_median() -> None:
    grid = WavelengthGrid.linear(4000.0, 4009.0, 1.0)
    sigma = np.full((2, 10), 2.0)
    sigma[0, 3], sigma[0, 4], sigma[1] = np.nan, 0.0, np.inf
    arm = ArmSpectra("a", grid, np.ones((2, 10)), np.ones((2, 10)), np.zeros((2, 10), dtype=bool), sigma)
    np.testing.assert_array_equal(arm.lsf_sigma, np.repeat([[2.0], [1.0]], 10, axis=1))
