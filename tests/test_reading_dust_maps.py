"""Dust maps: where they are asked, what they answer, and what a posterior and the command line say of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from spectrum_makers import desi_arms, only_arm, only_batch, positions, sdss_file, spectrum, with_header

from galfit_ml import cli, estimate
from galfit_ml.demo import example_path
from galfit_ml.errors import GalfitMLError, SpectrumError
from galfit_ml.reading import dust_maps, read_spectra

HERE = SkyCoord(150.2, 55.6, unit="deg")


def mag_per_degree(where: SkyCoord) -> Any:
    """A dust map that tells where it was asked: a thousandth of the declination in degrees."""
    return where.icrs.dec.deg / 1000.0


def test_a_dust_map_is_asked_at_the_coordinates_and_taken_as_it_is() -> None:
    where = SkyCoord([10.0, 20.0], [30.0, 40.0], unit="deg").galactic
    batch = only_batch([spectrum(0), spectrum(1)], dust_map=mag_per_degree, coordinates=where)
    assert [meta["ebv"] for meta in batch.meta] == pytest.approx([0.03, 0.04])
    np.testing.assert_allclose(batch.arms[0].flux[:1], only_arm(spectrum(0), ebv=0.03).flux, rtol=1e-9)


def test_one_place_serves_all_and_one_number_every_place() -> None:
    given = [spectrum(0), spectrum(1)]
    batch = only_batch(given, dust_map=mag_per_degree, coordinates=HERE)
    assert [meta["ebv"] for meta in batch.meta] == pytest.approx([0.0556, 0.0556])
    assert only_batch(given, dust_map=lambda _: 0.02, coordinates=HERE).meta[1]["ebv"] == 0.02


def test_coordinates_of_an_sdss_file_are_those_of_its_fibre() -> None:
    """The header of the example: RA, DEC of the telescope 150.81847, 55.078822; of the fibre 150.21698, 55.618834."""
    asked: list[SkyCoord] = []

    def map_of_a_user(where: SkyCoord) -> Any:
        asked.append(where)
        return np.full(where.shape, 0.01)

    read = read_spectra(str(example_path()), dust_map=map_of_a_user)
    assert read.groups[0].batch.meta[0]["ebv"] == 0.01
    assert "map_of_a_user" in read.extinction
    assert asked[0].ra.deg[0] == pytest.approx(150.21698)
    assert asked[0].dec.deg[0] == pytest.approx(55.618834)


@pytest.mark.parametrize(
    ("header", "declination"),
    [
        ({"RA": 150.2, "DEC": 55.6}, 55.6),
        ({"RA": "10:00:48", "DEC": "+55:36:00"}, 55.6),
        ({"RA": "150.2", "DEC": "55.6"}, 55.6),
        ({"RA": 1.0, "DEC": 2.0, "RA_TARG": 150.2, "DEC_TARG": 55.6}, 55.6),
        ({"TELESCOP": "SDSS 2.5-M", "RA": 1.0, "DEC": 2.0, "PLUG_RA": 150.2, "PLUG_DEC": 55.6}, 55.6),
        ({"TELESCOP": "SDSS 2.5-M", "RA": 150.2, "DEC": 55.6}, None),
        ({"RA": -999.0, "DEC": -999.0}, None),
        ({"RA": "unknown", "DEC": "unknown"}, None),
        ({"RA": 150.2}, None),
        ({}, None),
    ],
)
def test_coordinates_come_from_the_header_or_the_row_fails(header: dict[str, Any], declination: float | None) -> None:
    given = [with_header(0, **header), with_header(1, RA=10.0, DEC=20.0)]
    read = read_spectra(given, dust_map=mag_per_degree)
    assert read.groups[-1].batch.meta[-1]["ebv"] == pytest.approx(0.02)
    if declination is None:
        assert list(read.failures) == [0]
        assert "its header does not say it" in read.failures[0].reason
    else:
        assert read.groups[0].batch.meta[0]["ebv"] == pytest.approx(declination / 1000.0)


def test_right_ascension_in_text_is_in_hours() -> None:
    given = with_header(RA="10:00:48", DEC="+55:36:00")
    assert only_batch(given, dust_map=lambda where: where.ra.deg / 1000.0).meta[0]["ebv"] == pytest.approx(0.1502)


def test_each_target_of_desi_has_coordinates_of_its_own() -> None:
    arms = desi_arms()
    arms[0].meta["fibermap"] |= {"TARGET_RA": np.array([150.0, 151.0]), "TARGET_DEC": np.array([2.0, 3.0])}
    assert [m["ebv"] for m in only_batch(arms, dust_map=mag_per_degree).meta] == pytest.approx([0.002, 0.003])


def test_files_without_coordinates_are_rows_with_the_reason(tmp_path: Path) -> None:
    """Also where all of them are: the command line hands files over a few at a time."""
    files = [sdss_file(tmp_path / "a.fits"), sdss_file(tmp_path / "b.fits", 1)]
    read = read_spectra(files, dust_map=mag_per_degree)
    assert all("PLUG_RA" in read.failures[i].reason for i in range(2))


def test_a_place_that_is_not_finite_or_outside_the_map_fails_alone() -> None:
    where = SkyCoord([10.0, np.nan, 30.0], [10.0, 20.0, 30.0], unit="deg")
    given = [spectrum(i) for i in range(3)]
    read = read_spectra(given, dust_map=lambda c: np.where(c.dec.deg > 25.0, np.nan, 0.01), coordinates=where)
    assert positions(read) == [[0]]
    assert "coordinates= are not finite" in read.failures[1].reason
    assert "outside the dust map" in read.failures[2].reason


@pytest.fixture
def dustmaps(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A stand-in for the package dustmaps, with 0.1 mag everywhere."""
    module = ModuleType("dustmaps.sfd")
    module.SFDQuery = lambda: lambda where: np.full(where.shape, 0.1, dtype=np.float32)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dustmaps", ModuleType("dustmaps"))
    monkeypatch.setitem(sys.modules, "dustmaps.sfd", module)
    dust_maps._sfd.cache_clear()
    yield module
    dust_maps._sfd.cache_clear()


def test_the_map_of_sfd_is_recalibrated_and_the_same_query_of_a_user_is_not(dustmaps: ModuleType) -> None:
    assert only_batch(spectrum(), dust_map="sfd", coordinates=HERE).meta[0]["ebv"] == pytest.approx(0.086)
    query = dustmaps.SFDQuery()
    assert only_batch(spectrum(), dust_map=query, coordinates=HERE).meta[0]["ebv"] == pytest.approx(0.1)


def test_sfd_without_its_package_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    dust_maps._sfd.cache_clear()
    monkeypatch.setitem(sys.modules, "dustmaps.sfd", None)
    with pytest.raises(GalfitMLError, match="pip install dustmaps, then python -c .*dustmaps.sfd.fetch\\(\\)"):
        read_spectra(spectrum(), dust_map="sfd", coordinates=HERE)


def test_sfd_without_its_map_says_what_to_type(dustmaps: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    def missing() -> None:
        sys.stdout.write("The SFD'98 dust map is not in the data directory")
        raise FileNotFoundError("SFD_dust_4096_ngp.fits")

    dustmaps.SFDQuery = missing
    with pytest.raises(GalfitMLError, match="SFD_dust_4096_ngp.fits.*Fetch it once: python -c"):
        read_spectra(spectrum(), dust_map="sfd", coordinates=HERE)
    assert capsys.readouterr().out == ""


# through `estimate` and the command line


@pytest.mark.usefixtures("dummy")
def test_a_posterior_tells_what_was_taken_out() -> None:
    given = [spectrum(i) for i in range(3)]
    plain = estimate(given, "dummy", n_samples=20, seed=1)
    assert "extinction" not in plain.provenance
    assert "milky_way_ebv" not in plain.diagnostics
    corrected = estimate(given, "dummy", ebv=[0.1, np.nan, 0.3], n_samples=20, seed=1)
    assert corrected.ok.tolist() == [True, False, True]
    assert "missing in a catalogue" in corrected.reasons[1]
    np.testing.assert_array_equal(corrected.diagnostics["milky_way_ebv"], [0.1, np.nan, 0.3])
    assert corrected.provenance["extinction"] == "E(B-V) of each spectrum, Fitzpatrick (1999), R_V = 3.1"
    assert not np.array_equal(corrected.draws[0], plain.draws[0])
    with pytest.raises(SpectrumError, match="missing in a catalogue"):
        estimate(given[0], "dummy", ebv=[np.nan], n_samples=20)


@pytest.mark.usefixtures("dummy", "dustmaps")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["--ebv", "0.03"], 0.03), (["--dust-map", "sfd"], 0.086), (["--option", "ebv=0.03"], 0.03)],
)
def test_the_command_line_takes_the_dust_out(tmp_path: Path, arguments: list[str], expected: float) -> None:
    out = tmp_path / "r.ecsv"
    given = ["estimate", str(example_path()), "--backend", "dummy", "--samples", "50", "--out", str(out)]
    assert cli.main([*given, *arguments]) == 0
    assert QTable.read(out)["milky_way_ebv"][0] == pytest.approx(expected)


@pytest.mark.usefixtures("dummy")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--ebv", "3.1"], "is it A_V"), (["--ebv", "0.1", "--dust-map", "sfd"], "leave one of them out")],
)
def test_wrong_use_of_the_command_line_is_told(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["estimate", str(example_path()), "--backend", "dummy", *arguments]) == 2
    assert message in capsys.readouterr().err
