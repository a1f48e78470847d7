"""Input that cannot be used: the message says what happened, why it usually does, what to type; the batch lives on."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import InverseVariance, StdDevUncertainty, UnknownUncertainty
from spectrum_makers import FLAM, WAVE, flux_like, sdss_file, spectrum
from specutils import Spectrum

import galfit_ml
from galfit_ml.backend import BackendInfo, Request
from galfit_ml.errors import FileFormatError, SpectrumError, UnknownNameError
from galfit_ml.flags import Flag
from galfit_ml.parameters import TARGETS
from galfit_ml.posterior import Posterior
from galfit_ml.reading import read_spectra
from galfit_ml.registry import Registry
from galfit_ml.spectra import SpectrumBatch

N = len(WAVE)


class MeanFlux:
    """A backend whose "redshift" is the mean flux of the spectrum, so that a row tells which spectrum it came from."""

    parameters = TARGETS

    def infer(self, batch: SpectrumBatch, request: Request) -> Posterior:
        means = np.concatenate([arm.flux for arm in batch.arms], axis=1).mean(axis=1)
        draws = np.broadcast_to(means[:, None, None], (len(batch), request.n_samples, len(TARGETS))).copy()
        return Posterior(TARGETS, draws, batch.ids, batch.flags, batch.reasons)


@pytest.fixture
def mean_flux(monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of `MeanFlux`, registered as if a plugin had brought it."""
    info = BackendInfo("mean-flux", f"{__name__}:MeanFlux", "for tests")
    registry = Registry({info.name: info}, {info.name: "tests"}, {})
    monkeypatch.setattr("galfit_ml.api.registry", lambda: registry)
    return info.name


def reason_of(value: Any, **options: Any) -> str:
    """Why a single spectrum cannot be used."""
    read = read_spectra(value, **options)
    assert (read.n, read.single, read.groups, list(read.failures)) == (1, True, (), [0])
    return read.failures[0].reason


def bad_fluxes() -> Iterator[Any]:
    """(name, spectrum, options, what its reason says)."""
    yield "empty", Spectrum(flux=[] * FLAM, spectral_axis=[] * u.AA), {}, r"is empty \(0 pixels\). Was it cut"
    yield "one pixel", Spectrum(flux=[1.0] * FLAM, spectral_axis=[5000.0] * u.AA), {}, r"is empty \(1 pixels\)"
    yield "all masked", spectrum(mask=np.ones(N, bool)), {}, "every pixel is masked.*give ~mask"
    yield "all NaN", spectrum(flux=np.full(N, np.nan) * FLAM, mask=np.zeros(N, bool)), {}, "every flux value is NaN"
    yield "all zero", spectrum(flux=np.zeros(N) * FLAM), {}, "exactly 0: an unplugged fibre"
    yield (
        "flux in K",
        spectrum(flux=flux_like(WAVE) * u.K, uncertainty=None),
        {},
        "unit 'K' is neither a flux density nor",
    )
    luminosity = flux_like(WAVE) * u.erg / u.s / u.AA
    yield "luminosity", spectrum(flux=luminosity, uncertainty=None), {}, "neither a flux density nor counts.*give flux"
    magnitudes = flux_like(WAVE) * u.ABmag
    yield (
        "magnitudes",
        spectrum(flux=magnitudes, uncertainty=None),
        {},
        r"convert magnitudes first, with flux.to\(u.Jy\)",
    )
    forgotten = flux_like(WAVE) * u.erg / u.s / u.cm**2 / u.AA
    yield "no 1e-17", spectrum(flux=forgotten), {}, "which no galaxy has. Usually the factor 1e-17 was forgotten"
    yield (
        "1e-17 twice",
        spectrum(flux=flux_like(WAVE) * 1e-17 * FLAM),
        {},
        "factor 1e-17 was forgotten or applied twice",
    )


def bad_axes() -> Iterator[Any]:
    """(name, spectrum, options, what its reason says)."""
    some = np.arange(N)
    in_pixels = spectrum(spectral_axis=some * u.pix)
    yield "axis in pixels", in_pixels, {}, "spectral axis is in 'pix'.*no wavelength calibration.*wavelength \\* u.AA"
    yield "velocities", spectrum(spectral_axis=some * u.km / u.s), {}, "is a velocity .*doppler_optical"
    yield "negative axis", spectrum(spectral_axis=(some - 5.0) * u.AA), {}, "not finite, positive and strictly"
    yield (
        "nm as AA",
        spectrum(spectral_axis=0.1 * WAVE * u.AA),
        {},
        "look like nm and were declared as AA.*wavelength \\* u.nm",
    )
    yield "um as AA", spectrum(spectral_axis=1e-4 * WAVE * u.AA), {}, "look like um and were declared as AA"
    yield (
        "AA as nm",
        spectrum(spectral_axis=WAVE * u.nm),
        {},
        "look like AA and were declared as nm.*wavelength \\* u.AA",
    )
    yield (
        "nm as um",
        spectrum(spectral_axis=0.1 * WAVE * u.um),
        {"instrument": "sdss"},
        "look like nm and were declared as um",
    )
    infrared = spectrum(spectral_axis=4.0 * WAVE * u.AA)
    yield (
        "no overlap",
        infrared,
        {"instrument": "sdss"},
        "covers 16000 to 32000 angstrom, and instrument 'sdss' works from 3800 to 9200 angstrom: none of its pixels",
    )


def bad_uncertainties() -> Iterator[Any]:
    """(name, spectrum, options, what its reason says)."""
    some = np.arange(N)
    few = np.where(some < 4, 4.0, 0.0)
    yield "few pixels", spectrum(uncertainty=InverseVariance(few)), {}, f"only 4 of {N} pixels are usable.*at least 10"
    yield (
        "negative ivar",
        spectrum(uncertainty=InverseVariance(-np.ones(N))),
        {},
        "100 % of the uncertainties are negative",
    )
    mostly = np.where(some < 0.6 * N, -1.0, 1.0)
    yield (
        "mostly negative sigma",
        spectrum(uncertainty=StdDevUncertainty(mostly)),
        {},
        "60 % of the uncertainties are neg",
    )
    yield (
        "zero ivar",
        spectrum(uncertainty=InverseVariance(np.zeros(N))),
        {},
        "ivar is 0 .* everywhere.*uncertainty=None",
    )
    infinite = StdDevUncertainty(np.full(N, np.inf))
    yield "infinite sigma", spectrum(uncertainty=infinite), {}, "no pixel has a usable uncertainty"
    smooth = spectrum(flux=(3.0 + 1e-3 * WAVE) * FLAM, uncertainty=None)
    yield "noiseless", smooth, {}, "no scatter between its pixels.*a noiseless model.*sigma"
    unknown = UnknownUncertainty(np.ones(N))
    yield "unknown kind", spectrum(uncertainty=unknown), {}, "of kind 'unknown'.*InverseVariance\\(array\\)"
    yield "sigma in nm", unit_trap(), {}, "uncertainty's unit 'nm' does not go with the flux's"
    yield (
        "short sigma",
        cut_afterwards("uncertainty"),
        {},
        f"uncertainty has shape \\({N - 10},\\) and the flux \\({N},\\)",
    )
    yield "short mask", cut_afterwards("mask"), {}, f"mask has shape \\({N - 10},\\) and the flux \\({N},\\).*Cut both"


def bad_companions() -> Iterator[Any]:
    """(name, spectrum, options, what its reason says)."""
    yield (
        "no R",
        spectrum(meta={"resolution": "high"}),
        {},
        "meta\\['resolution'\\] should hold R.*give resolving_power=",
    )
    short = spectrum(meta={"lsf_sigma": np.ones(7)})
    yield "short LSF", short, {}, f"positive, as one number or {N} of them; it is a array of shape \\(7,\\)"
    yield "negative LSF", spectrum(meta={"lsf_sigma": -1.0}), {}, "not finite and positive"
    arms = {"blue": spectrum(), "red": spectrum(flux=flux_like(WAVE) * u.K, uncertainty=None)}
    yield "one bad arm", arms, {}, "arm 'red': the flux unit 'K'"
    mixed = {"blue": spectrum(), "red": spectrum(flux=flux_like(WAVE) * u.adu, uncertainty=None)}
    yield "mixed arms", mixed, {}, "some arms have an absolute flux scale and others are relative"


def cut_afterwards(name: str) -> Spectrum:
    """A spectrum whose mask or uncertainty was cut behind the back of specutils, which checks when it is made."""
    given = spectrum()
    if name == "mask":
        given._mask = np.zeros(N - 10, bool)
    else:
        given._uncertainty = InverseVariance(np.ones(N - 10))
    return given


def unit_trap() -> Spectrum:
    given = spectrum(uncertainty=None)
    given._uncertainty = StdDevUncertainty(np.ones(N), unit=u.nm)
    return given


BAD = [*bad_fluxes(), *bad_axes(), *bad_uncertainties(), *bad_companions()]


@pytest.mark.parametrize(("value", "options", "message"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_bad_spectrum_is_told_what_is_wrong(value: Any, options: dict[str, Any], message: str) -> None:
    assert re.search(message, reason_of(value, **options)), reason_of(value, **options)


def test_a_length_mismatch_never_gets_past_specutils() -> None:
    with pytest.raises(ValueError, match="Spectral axis length"):
        Spectrum(flux=np.ones(N - 3) * FLAM, spectral_axis=WAVE * u.AA)


def truncated(tmp_path: Path, keep: float, name: str = "cut.fits") -> Path:
    whole = sdss_file(tmp_path / "whole.fits").read_bytes()
    path = tmp_path / name
    path.write_bytes(whole[: int(keep * len(whole))])
    return path


@pytest.mark.parametrize("keep", [0.9, 0.5, 0.05, 0.02])
def test_a_truncated_file_is_told_from_a_damaged_one(tmp_path: Path, keep: float) -> None:
    path = truncated(tmp_path, keep)
    with pytest.raises(
        FileFormatError, match="truncated, usually by an interrupted download; fetch it again"
    ) as caught:
        read_spectra(path)
    assert str(path) in str(caught.value)


def test_a_truncated_compressed_file_is_told_too(tmp_path: Path) -> None:
    packed = gzip.compress(sdss_file(tmp_path / "whole.fits").read_bytes())
    (tmp_path / "cut.fits.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(FileFormatError, match="truncated"):
        read_spectra(tmp_path / "cut.fits.gz")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.fits", None, "There is no file.*Check the spelling"),
        ("spec-*.fits", None, r"Patterns are not expanded here: write estimate\(sorted\(glob.glob\("),
        ("empty.fits", b"", r"is empty \(0 bytes\)"),
        ("page.html", b"<html>404 not found</html>", "does not recognise its format. Name it with format="),
        ("noise.fits", b"SIMPLE  = rubbish", "truncated|damaged"),
    ],
)
def test_a_file_that_is_none_is_told_what_is_wrong(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(FileFormatError, match=message):
        read_spectra(tmp_path / name)


def test_a_folder_is_told_how_to_name_its_files(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"is a folder. Name its files: estimate\(sorted\(Path"):
        read_spectra(tmp_path)


def test_a_file_of_another_format_than_stated_names_the_format(tmp_path: Path) -> None:
    path = sdss_file(tmp_path / "a.fits")
    with pytest.raises(FileFormatError, match="not of format 'MUSCLES SED'"):
        read_spectra(path, format="MUSCLES SED")


def test_an_unknown_instrument_is_an_error_through_the_whole_line(mean_flux: str) -> None:
    with pytest.raises(UnknownNameError, match="No instrument 'sds'. Did you mean 'sdss'"):
        galfit_ml.estimate(spectrum(), mean_flux, instrument="sds")


def test_a_single_bad_spectrum_raises_with_its_name_and_reason(mean_flux: str) -> None:
    with pytest.raises(SpectrumError, match="galaxy 7: every pixel is masked"):
        galfit_ml.estimate(spectrum(mask=np.ones(N, bool), meta={"id": "galaxy 7"}), mean_flux)


def test_a_batch_of_fifty_with_five_broken_ones_keeps_every_row_in_order(tmp_path: Path, mean_flux: str) -> None:
    other = np.linspace(4100.0, 7900.0, 700)
    grids = [WAVE if i % 3 else other for i in range(50)]
    spectra: list[Any] = [spectrum(i, w, flux=(flux_like(w, i) + i) * FLAM) for i, w in enumerate(grids)]
    broken = {
        3: (spectrum(mask=np.ones(N, bool)), "every pixel is masked"),
        11: (truncated(tmp_path, 0.5), "truncated"),
        20: (spectrum(flux=flux_like(WAVE) * u.K, uncertainty=None), "unit 'K'"),
        33: (tmp_path / "none.fits", "There is no file"),
        49: (spectrum(uncertainty=InverseVariance(-np.ones(N))), "negative"),
    }
    for position, (value, _) in broken.items():
        spectra[position] = value
    posterior = galfit_ml.estimate(spectra, mean_flux, n_samples=4, seed=1)
    assert len(posterior) == 50
    assert np.flatnonzero(~posterior.ok).tolist() == list(broken)
    for position, (_, message) in broken.items():
        assert message in posterior.reasons[position]
        assert posterior.flags[position] & Flag.FAILED
        assert np.isnan(posterior.draws[position]).all()
    good = np.flatnonzero(posterior.ok)
    # flux_like is 10 on average, with a slope of 1e-3 per angstrom about 6000
    np.testing.assert_allclose(posterior["redshift"][good, 0], 10.0 + good, atol=0.2)
    assert [posterior.reasons[i] for i in good] == [""] * 45
    assert posterior.ids[11] == "cut"
    assert posterior.ids[4] == "spectrum-4"


def test_a_batch_of_nothing_but_broken_ones_still_has_its_rows(mean_flux: str) -> None:
    posterior = galfit_ml.estimate([spectrum(mask=np.ones(N, bool))] * 3, mean_flux, n_samples=4)
    assert not posterior.ok.any()
    assert len(posterior) == 3


def test_the_priors_of_broken_spectra_are_theirs_and_nobody_elses(mean_flux: str) -> None:
    spectra = [spectrum(0), spectrum(1, mask=np.ones(N, bool)), spectrum(2)]
    posterior = galfit_ml.estimate(spectra, mean_flux, redshift=[0.1, 0.2, 0.3], n_samples=4)
    assert posterior.ok.tolist() == [True, False, True]
