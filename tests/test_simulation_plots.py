"""Figures of instruments, of the exposure-time calculator and of mocks: they show what they should, whatever comes."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from instrument_files import write_small
from mock_makers import TOY, FakeSurvey, fake_chunk, toy_plan

from galfit_ml.cli.instruments import sky_shown
from galfit_ml.instruments import Instrument, get_instrument, shipped_instruments
from galfit_ml.plots.etc_figure import etc_figure, running_median
from galfit_ml.plots.instrument_figure import instrument_figure
from galfit_ml.plots.mock_figure import MockPanel, gallery, mock_figure, survey_gallery, truth_title
from galfit_ml.simulate import signal_to_noise
from galfit_ml.simulate.etc import Depth
from galfit_ml.spectra import ArmSpectra


def png(figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=40)
    return buffer.getvalue()


def labels(figure) -> list[str]:
    return [axes.get_ylabel() for axes in figure.axes]


@pytest.fixture
def small(tmp_path: Path) -> Instrument:
    return Instrument.from_toml(write_small(tmp_path))


@pytest.fixture
def depth(small: Instrument) -> Depth:
    return signal_to_noise(small, magnitude=22.0, exposure="1h")


@pytest.mark.parametrize("name", sorted(shipped_instruments()))
def test_every_instrument_has_a_figure(name: str) -> None:
    instrument = get_instrument(name)
    figure = instrument_figure(instrument, sky_shown(instrument))
    shown = " ".join(labels(figure))
    assert "FWHM" in shown
    assert ("throughput" in shown) == (instrument.observatory is not None)
    assert ("transmission" in shown) == (instrument.observatory is not None)
    assert ("noise" in shown) == (instrument.noise_curve is not None)
    assert png(figure).startswith(b"\x89PNG")


def test_throughput_and_resolution_are_those_of_the_instrument() -> None:
    instrument = get_instrument("moons-lr")
    axes = instrument_figure(instrument, sky_shown(instrument)).axes
    curve = next(line for line in axes[0].lines if line.get_label() == "H")
    x, y = curve.get_data()
    np.testing.assert_allclose(y, 100 * instrument.arms[2].throughput(x))
    power = axes[1].lines[2]
    np.testing.assert_allclose(power.get_ydata(), power.get_xdata() / 2.42687)
    emission, continuum = axes[2].lines[4:6]
    assert (emission.get_ydata() >= continuum.get_ydata()).all()
    assert max(emission.get_ydata()) > 100 * np.median(continuum.get_ydata())


def test_the_calculators_figure_shows_its_numbers_and_leaves_bad_pixels_out(small: Instrument, depth: Depth) -> None:
    depth.good[100:120] = False
    figure = etc_figure(small, depth, sky_shown(small), "title with $ and _")
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    median = np.median(depth.snr[:401][depth.good[:401]])
    assert legend[0].startswith(f"red: median {median:#.3g} per pixel")
    first = figure.axes[0].lines[0].get_ydata()
    assert np.isnan(first[100:120]).all()
    assert np.isfinite(first[120:140]).all()
    assert png(figure).startswith(b"\x89PNG")


def test_an_arm_without_a_usable_pixel_does_not_spoil_the_figure(small: Instrument, depth: Depth) -> None:
    depth.good[:] = False
    png(etc_figure(small, depth))
    depth.good[-10:] = True
    png(etc_figure(small, depth))


def test_a_running_median_ignores_what_is_missing() -> None:
    values = np.array([1.0, np.nan, 3.0, 100.0, 5.0, np.nan, np.nan, np.nan])
    found = running_median(values, 3)
    np.testing.assert_allclose(found, [1.0, 2.0, 51.5, 5.0, 52.5, 5.0, np.nan, np.nan])


@pytest.fixture
def panel() -> MockPanel:
    chunk = fake_chunk(toy_plan(), 0)
    return MockPanel.of(chunk.batch, {"redshift": np.full(5, 0.1), "class": np.array(["spiral"] * 5)}, 2, chunk.clean)


def test_a_mock_is_drawn_with_its_truth_and_its_lines(panel: MockPanel) -> None:
    figure = mock_figure([panel, panel], "toy")
    axes = figure.axes[0]
    assert axes.get_title(loc="left") == "spiral   z = 0.1000"
    named = [text.get_text() for text in axes.texts]
    assert "[O II]" in named  # 3728.5 x 1.1 = 4101, in the blue arm
    assert r"H$\beta$" in named  # 5349, in the red arm
    assert r"H$\alpha$ [N II]" not in named  # 7221, in none
    assert png(figure).startswith(b"\x89PNG")


def test_averages_are_weighted_by_inverse_variance_without_bad_pixels(panel: MockPanel) -> None:
    arm = panel.arms[0]
    line = mock_figure([panel]).axes[0].lines[0]
    size = max(1, round(sum(len(a.grid) for a in panel.arms) / 500))
    assert size > 1
    weight = arm.ivar[0, :size]
    assert line.get_ydata()[0] == pytest.approx((weight * arm.flux[0, :size]).sum() / weight.sum())


def test_spectra_without_galaxies_noiseless_flux_or_good_pixels_are_drawn_too(panel: MockPanel) -> None:
    lost = [ArmSpectra(a.name, a.grid, a.flux, a.ivar, np.ones_like(a.bad), a.lsf_sigma) for a in panel.arms]
    empty = MockPanel(tuple(lost), None, None, "sky")
    assert png(mock_figure([empty, MockPanel(panel.arms, None, None, "star $x$")]))
    with pytest.raises(ValueError, match="no spectrum to draw"):
        mock_figure([])


def test_the_gallery_shares_the_scale_within_a_row(panel: MockPanel) -> None:
    loud = MockPanel(tuple(_scaled(arm, 5.0) for arm in panel.arms), None, 0.1, "loud")
    figure = gallery([[panel, loud], [panel, panel]], ["H = 20", "H = 22"], ["1 h", "8 h"], "spiral")
    one, two, three, _ = figure.axes[:4]
    assert one.get_ylim() == two.get_ylim() != three.get_ylim()
    assert {"H = 20", "H = 22", "spiral"} <= {text.get_text() for text in figure.texts}
    assert png(figure).startswith(b"\x89PNG")
    for bad in ([[panel], [panel, loud]], []):
        with pytest.raises(ValueError, match="rows of the same length"):
            gallery(bad, ["a", "b"], ["1 h"])


def test_a_gallery_shows_one_galaxy_per_row_with_every_exposure() -> None:
    chunk = fake_chunk(toy_plan(n=6, chunk=6), 0)
    truth = {
        "class": np.array(["early", "spiral", "spiral", "early", "spiral", "spiral"]),
        "galaxy_id": np.array([0, 1, 2, 0, 1, 2]),
        "exposure_s": np.array([3600.0] * 3 + [28800.0] * 3),
        "m_r": np.array([20.0, 20.1, 22.2] * 2),
        "redshift": np.full(6, 0.1),
    }
    survey = FakeSurvey(chunk.batch, truth, chunk.clean, chunk.white_ivar, chunk.mask)
    figure = survey_gallery(survey, "spiral", (20, 22), (3600.0, 28800.0), "toy")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [f"spiral   z = 0.1000   r = {m} AB   {t}" for m in ("20.10", "22.20") for t in ("1 h", "8 h")]
    same = mock_figure([MockPanel.of(survey.batch, truth, 5, survey.clean)])
    wide, narrow = (f.axes[i].lines[0].get_ydata() for f, i in ((same, 0), (figure, 3)))
    assert np.nanmean(narrow) == pytest.approx(np.nanmean(wide), rel=0.03)
    with pytest.raises(ValueError, match="no galaxy of class 'star'"):
        survey_gallery(survey, "star", (20,), (3600.0,))


def _scaled(arm: ArmSpectra, factor: float) -> ArmSpectra:
    return ArmSpectra(arm.name, arm.grid, factor * arm.flux, arm.ivar / factor**2, arm.bad, arm.lsf_sigma)


def test_the_legend_names_what_is_drawn(panel: MockPanel) -> None:
    with_truth, without = (
        " ".join(text.get_text() for text in mock_figure([one]).texts)
        for one in (panel, replace(panel, noiseless=None))
    )
    assert "black: without noise" in with_truth
    assert "black" not in without
    assert "grey: reported" in without


def test_the_title_tells_the_truth_it_is_given() -> None:
    truth = {"redshift": [1.23456], "log_stellar_mass": [10.5], "exposure_s": [28800.0], "log_sfr": [np.nan]}
    truth |= {"m_h_total": [20.0], "m_h": [22.347], "snr": [1.234]}
    assert truth_title(truth, 0) == "z = 1.2346   H = 22.35 AB   log M = 10.50   8 h   S/N = 1.2"
    assert truth_title({"snr": [-0.04]}, 0) == "S/N = 0.0"


def test_the_toy_has_three_kinds_of_pixels() -> None:
    assert [arm.sampling for arm in TOY.arms] == ["linear", "log10", "resolution"]
