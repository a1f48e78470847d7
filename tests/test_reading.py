"""What a user may hand in, which rows come out, and what is refused whatever else is in the batch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import InverseVariance, StdDevUncertainty
from spectrum_makers import (
    FLAM,
    WAVE,
    desi_arms,
    flux_like,
    only_batch,
    positions,
    sdss_file,
    spectrum,
)
from specutils import Spectrum, SpectrumCollection, SpectrumList

from galfit_ml.errors import GalfitMLError, SpectrumError, UnknownNameError
from galfit_ml.flags import Flag
from galfit_ml.instruments import get_instrument
from galfit_ml.reading import read_spectra
from galfit_ml.spectra import SpectrumBatch


def test_a_spectrum_becomes_one_row_in_the_units_of_a_batch() -> None:
    read = read_spectra(spectrum(), instrument="generic:1800")
    arm = read.groups[0].batch.arms[0]
    assert (read.n, read.single, read.failures) == (1, True, {})
    np.testing.assert_allclose(arm.grid.centres, WAVE)
    np.testing.assert_allclose(arm.flux[0], flux_like(WAVE), rtol=1e-12)
    np.testing.assert_allclose(arm.ivar, 4.0)
    assert not arm.bad.any()


@pytest.mark.filterwarnings("ignore:The class Spectrum1D is deprecated")
@pytest.mark.filterwarnings("ignore:.*Spectrum1D.*")
def test_the_deprecated_class_is_read_without_being_named() -> None:
    from specutils import Spectrum1D

    old = Spectrum1D(flux=flux_like(WAVE) * FLAM, spectral_axis=WAVE * u.AA)
    assert read_spectra(old).n == 1
    sources = Path(read_spectra.__code__.co_filename).parent.glob("*.py")
    assert not any("Spectrum1D" in path.read_text() for path in sources)


@pytest.mark.parametrize("make", [list, tuple, SpectrumList])
def test_a_list_means_separate_galaxies(make: Any) -> None:
    read = read_spectra(make([spectrum(0), spectrum(1)]))
    assert (read.n, read.single, positions(read)) == (2, False, [[0, 1]])
    np.testing.assert_allclose(read.groups[0].batch.arms[0].flux[1], flux_like(WAVE, 1), rtol=1e-12)


def test_a_list_of_one_is_not_a_single_spectrum() -> None:
    assert not read_spectra([spectrum()]).single


def test_spectra_of_different_grids_become_groups_that_remember_their_positions() -> None:
    other = np.linspace(4100.0, 7000.0, 500)
    read = read_spectra([spectrum(0), spectrum(1, other), spectrum(2), spectrum(3, other)])
    assert positions(read) == [[0, 2], [1, 3]]
    np.testing.assert_allclose(read.groups[1].batch.arms[0].flux[1], flux_like(other, 3), rtol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_cube_gives_its_spaxels_in_c_order_wherever_its_spectral_axis_is(axis: int) -> None:
    cube = np.stack([flux_like(WAVE, i) for i in range(6)]).reshape(2, 3, -1)
    moved = np.moveaxis(cube, -1, axis)
    mask = np.zeros(moved.shape, bool)
    mask[(0,) * 3] = True
    read = read_spectra(
        Spectrum(
            flux=moved * FLAM,
            spectral_axis=WAVE * u.AA,
            spectral_axis_index=axis,
            uncertainty=StdDevUncertainty(np.full(moved.shape, 0.5)),
            mask=mask,
        )
    )
    batch = read.groups[0].batch
    assert (read.n, read.single) == (6, False)
    np.testing.assert_allclose(batch.arms[0].flux[1:], cube.reshape(6, -1)[1:], rtol=1e-12)
    assert np.argwhere(batch.arms[0].bad).tolist() == [[0, 0]]
    assert [m["index"] for m in batch.meta] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]


def test_empty_spaxels_of_a_cube_fail_alone() -> None:
    flux = np.stack([flux_like(WAVE, i) for i in range(4)])
    flux[2] = np.nan
    read = read_spectra(Spectrum(flux=flux * FLAM, spectral_axis=WAVE * u.AA))
    assert list(read.failures) == [2]
    assert positions(read) == [[0, 1, 3]]


@pytest.mark.parametrize("shape", [(4,), (2, 2)])
def test_a_collection_gives_a_row_for_each_spectrum(shape: tuple[int, ...]) -> None:
    flux = np.stack([flux_like(WAVE, i) for i in range(4)])
    axis = WAVE + np.array([0.0, 0.0, 1.0, 1.0])[:, None]
    collection = SpectrumCollection(
        flux=flux.reshape(*shape, -1) * FLAM,
        spectral_axis=axis.reshape(*shape, -1) * u.AA,
        uncertainty=StdDevUncertainty(np.full((*shape, len(WAVE)), 0.5)),
        meta=[{"id": f"n{i}"} for i in range(4)],
    )
    read = read_spectra(collection)
    assert positions(read) == [[0, 1], [2, 3]]
    assert read.groups[1].batch.ids == ("n2", "n3")
    np.testing.assert_allclose(read.groups[1].batch.arms[0].flux[0], flux[2], rtol=1e-12)


def test_a_dictionary_holds_the_arms_of_one_galaxy() -> None:
    blue, red = np.linspace(4000.0, 6000.0, 300), np.linspace(5900.0, 9000.0, 400)
    read = read_spectra({"blue": spectrum(0, blue), "red": spectrum(1, red)})
    arms = read.groups[0].batch.arms
    assert (read.n, read.single) == (1, True)
    assert [arm.name for arm in arms] == ["blue", "red"]
    np.testing.assert_allclose(arms[1].flux[0], flux_like(red, 1), rtol=1e-12)


def test_a_list_of_dictionaries_is_grouped_by_arms() -> None:
    blue, red = spectrum(0, np.linspace(4000.0, 6000.0, 300)), spectrum(1, np.linspace(5900.0, 9000.0, 400))
    read = read_spectra([{"blue": blue, "red": red}, {"blue": blue}, {"blue": blue, "red": red}])
    assert positions(read) == [[0, 2], [1]]
    assert not read.single


def test_a_galaxy_keeps_its_good_arms_where_one_is_dead() -> None:
    red = spectrum(1, np.linspace(5900.0, 9000.0, 400))
    dead = spectrum(0, np.linspace(4000.0, 6000.0, 300), uncertainty=InverseVariance(np.zeros(300)))
    arms = only_batch({"blue": dead, "red": red}).arms
    assert arms[0].bad.all()
    assert not arms[1].bad.any()


def test_the_three_bands_of_desi_are_arms_of_the_same_galaxies() -> None:
    read = read_spectra(desi_arms())
    batch = read.groups[0].batch
    assert (read.n, read.single, positions(read)) == (2, False, [[0, 1]])
    assert [arm.name for arm in batch.arms] == ["b", "r", "z"]
    assert batch.ids == ("39627835576420", "39627835576421")
    assert read_spectra([desi_arms(), desi_arms()]).n == 4
    assert read_spectra(desi_arms(None)).single


def test_the_resolution_matrix_of_desi_becomes_a_line_spread_function() -> None:
    batch = only_batch(desi_arms())
    # the second moment of a Gaussian of 1.5 pixels cut at 5 of them
    np.testing.assert_allclose(batch.arms[0].lsf_sigma, 1.5 * 0.8, rtol=0.02)
    assert not batch.flags[0] & Flag.LSF_ASSUMED


def test_a_list_with_band_in_its_meta_but_nothing_of_desi_is_separate_galaxies() -> None:
    assert read_spectra([spectrum(0, meta={"band": "b"}), spectrum(1, meta={"band": "r"})]).n == 2


def test_a_batch_passes_through_untouched() -> None:
    batch = SpectrumBatch.from_arrays(WAVE, flux_like(WAVE), np.ones(len(WAVE)), get_instrument("sdss"))
    assert read_spectra(batch).groups[0].batch is batch
    with pytest.raises(SpectrumError, match="brings its instrument"):
        read_spectra(batch, instrument="boss")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"instrument": "sdsss"}, "No instrument 'sdsss'. Did you mean 'sdss'"),
        ({"medum": "air"}, "No reader option 'medum'. Did you mean 'medium'"),
        ({"medium": "aire"}, "No medium 'aire'. Did you mean 'air'"),
        ({"format": "tabular-fit"}, "No format 'tabular-fit'. Did you mean 'tabular-fits'"),
    ],
)
@pytest.mark.parametrize("many", [False, True])
def test_unknown_names_are_errors_also_for_a_batch(
    tmp_path: Path, options: dict[str, Any], message: str, many: bool
) -> None:
    path = sdss_file(tmp_path / "a.fits")
    with pytest.raises(UnknownNameError, match=message):
        read_spectra([path] if many else path, **options)


@pytest.mark.parametrize("power", [-1.0, 0.0, 1.0, np.nan, np.inf])
def test_a_resolving_power_that_is_none_is_refused(power: float) -> None:
    with pytest.raises(SpectrumError, match="is not a resolving power"):
        read_spectra(spectrum(), resolving_power=power)


def strange_things() -> Iterator[tuple[Any, str]]:
    yield np.ones(10), "A numpy.ndarray is not understood.*Spectrum\\(flux="
    yield [spectrum(), 3], "A int is not understood"
    yield None, "A NoneType is not understood"
    yield [], "list is empty"
    yield {}, "dictionary of arms is empty"
    yield {"blue": 3}, "arms of one galaxy.*hand in a list"
    yield {1: spectrum()}, "arms of one galaxy.*hand in a list"
    cube = Spectrum(flux=np.ones((2, len(WAVE))) * FLAM, spectral_axis=WAVE * u.AA)
    yield {"a": spectrum(), "b": cube}, "same number of spectra"


@pytest.mark.parametrize(("value", "message"), list(strange_things()))
def test_what_is_no_spectrum_at_all_is_refused_with_what_would_be(value: Any, message: str) -> None:
    with pytest.raises(GalfitMLError, match=message):
        read_spectra(value)
