"""Spectra cut differently out of one lattice share a batch without being resampled."""

from __future__ import annotations

import numpy as np
import pytest
from spectrum_makers import (
    LOG_WAVE,
    WAVE,
    flux_like,
    only_arm,
    positions,
    spectrum,
)

from galfit_ml.grid import WavelengthGrid
from galfit_ml.reading import read_spectra
from galfit_ml.reading.grouping import Lattice


def test_log_grids_cut_from_one_lattice_become_one_group_without_resampling() -> None:
    cuts = [slice(0, 3700), slice(40, 3800), slice(13, 3750)]
    float32 = [LOG_WAVE[cut].astype(np.float32) for cut in cuts]
    read = read_spectra([spectrum(i, wave) for i, wave in enumerate(float32)])
    arm = read.groups[0].batch.arms[0]
    assert positions(read) == [[0, 1, 2]]
    np.testing.assert_allclose(arm.grid.centres, LOG_WAVE, rtol=1e-12)
    for row, cut in enumerate(cuts):
        np.testing.assert_allclose(arm.flux[row, cut], flux_like(float32[row], row), rtol=1e-12)
        np.testing.assert_array_equal(np.flatnonzero(~arm.bad[row]), np.arange(3800)[cut])
    assert np.all(arm.lsf_sigma > 0)


def test_a_spectrum_is_the_same_alone_and_in_company() -> None:
    wave = LOG_WAVE[30:3700].astype(np.float32)
    alone = only_arm(spectrum(1, wave))
    together = only_arm([spectrum(0, LOG_WAVE), spectrum(1, wave)])
    np.testing.assert_allclose(together.grid.centres[30:3700], alone.grid.centres, rtol=1e-14)
    for name in ("flux", "ivar", "bad", "lsf_sigma"):
        np.testing.assert_array_equal(getattr(together, name)[1, 30:3700], getattr(alone, name)[0], err_msg=name)
    assert together.bad[1, :30].all()
    assert together.bad[1, 3700:].all()


@pytest.mark.parametrize(("shift", "groups"), [(0.0, 1), (0.0002, 1), (0.1, 2), (0.5, 2)])
def test_lattices_of_another_phase_are_never_mixed(shift: float, groups: int) -> None:
    assert len(read_spectra([spectrum(0, LOG_WAVE), spectrum(1, LOG_WAVE * 10 ** (1e-4 * shift))]).groups) == groups


def test_lattices_of_another_step_are_never_mixed() -> None:
    finer = 10 ** (0.9999e-4 * np.arange(35800, 39600))
    assert len(read_spectra([spectrum(0, LOG_WAVE), spectrum(1, finer)]).groups) == 2


def test_padding_never_outweighs_data() -> None:
    ends = [LOG_WAVE[:300], LOG_WAVE[-300:], LOG_WAVE[100:400]]
    assert positions(read_spectra([spectrum(i, w) for i, w in enumerate(ends)])) == [[0, 2], [1]]


@pytest.mark.parametrize("step", [1e-4, 2.0412e-4, float(np.log10(1.0 + 69.0 / 299792.458))])
def test_a_lattice_reproduces_its_grid(step: float) -> None:
    centres = 10 ** (3.6 + step * np.arange(2000))
    lattice = Lattice.of(WavelengthGrid.from_centres(centres))
    assert lattice is not None
    assert np.abs(np.log10(lattice.grid.centres / centres)).max() < 2.5e-3 * step
    part = Lattice.of(WavelengthGrid.from_centres(centres[500:1500]))
    assert part is not None
    assert (part.step, part.phase, part.first) == (lattice.step, lattice.phase, lattice.first + 500)


def test_a_grid_that_is_not_logarithmic_has_no_lattice() -> None:
    assert Lattice.of(WavelengthGrid.from_centres(WAVE)) is None
    assert Lattice.of(WavelengthGrid.from_centres(WAVE[:5])) is None


def test_a_thousand_spectra_make_one_group() -> None:
    starts = np.random.default_rng(8).integers(0, 40, 1000)
    spectra = [spectrum(0, LOG_WAVE[s : s + 3700]) for s in starts]
    read = read_spectra(spectra)
    assert (len(read.groups), read.n) == (1, 1000)
