"""Figures: they show what the posterior holds, need no display, and leave the user's matplotlib alone."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from conftest import FreshPython
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.figure import Figure
from posterior_samples import CENTRE, GALAXY, REASON, sample_posterior

from galfit_ml.errors import GalfitMLError, SpectrumError, UnknownNameError
from galfit_ml.flags import Flag
from galfit_ml.plots import FEATURES
from galfit_ml.plots.corner_figure import _levels
from galfit_ml.plots.fit_figure import _peak
from galfit_ml.plots.line_marks import spread_apart
from galfit_ml.posterior import BestFit, Posterior


def texts(figure: Figure) -> list[str]:
    """Every text of a figure."""
    from matplotlib.text import Text

    return [t.get_text() for t in figure.findobj(Text) if t.get_text()]


def png(figure: Figure) -> bytes:
    """The figure as a notebook gets it."""
    data: bytes = figure._repr_png_()
    assert data.startswith(b"\x89PNG")
    return data


def test_the_fit_names_object_values_and_lines() -> None:
    figure = sample_posterior().plot_fit(0)
    shown = texts(figure)
    assert "galaxy-0" in shown
    assert "low snr, lsf assumed" in shown
    title = next(t for t in shown if "chi" in t)
    assert title.startswith("$z$ = $0.0312")
    assert "M_\\star" in title
    assert {"Mg b", "Na D", "Ca H", "Ca K", r"H$\beta$", "[O III]", r"H$\alpha$ [N II]", "[S II]"} <= set(shown)
    assert "[O II]" not in shown  # observed at 3845 A, and the spectrum begins at 3900
    png(figure)


def test_lines_stand_at_their_observed_wavelengths() -> None:
    figure = sample_posterior().plot_fit(0)
    marked = [line.get_xdata()[0] for line in figure.axes[0].lines if len(set(line.get_xdata())) == 1]
    for rest in (5896.6 - 5.02, 6564.61, 3934.78):
        assert np.min(np.abs(np.array(marked) - rest * (1 + CENTRE["redshift"]))) < 0.5


def test_the_rest_frame_axis_is_the_observed_one_over_1_plus_z() -> None:
    figure = sample_posterior().plot_fit(0)
    figure.canvas.draw()
    axes = figure.axes[0]
    rest = next(a for a in axes.child_axes if "rest-frame" in a.get_xlabel())
    np.testing.assert_allclose(np.array(axes.get_xlim()) / (1 + CENTRE["redshift"]), rest.get_xlim(), rtol=1e-5)


def test_data_model_residuals_and_masks_are_what_the_posterior_holds() -> None:
    posterior = sample_posterior()
    top, bottom = posterior.plot_fit(0).axes
    lines = {line.get_label(): line for line in top.lines}
    best = posterior.best_fit
    np.testing.assert_array_equal(lines["best model"].get_ydata(), best.model[0])
    data = lines["data"].get_ydata()
    assert np.isnan(data[500:520]).all()
    np.testing.assert_array_equal(data[:500], best.flux[0, :500])
    residual = bottom.lines[1].get_ydata()
    np.testing.assert_allclose(residual[:500], ((best.flux - best.model) * np.sqrt(best.ivar))[0, :500])
    spans = [c for c in top.collections if c.get_label().startswith("_") and len(c.get_paths()) == 1]
    edges = [c.get_paths()[0].vertices[:, 0] for c in spans]
    assert any(
        np.isclose(e.min(), best.wavelength[0, 500], atol=5) and np.isclose(e.max(), best.wavelength[0, 519], atol=5)
        for e in edges
    )


def test_a_shorter_row_is_plotted_over_its_own_range() -> None:
    posterior = sample_posterior()
    assert posterior.plot_fit(1).axes[0].get_xlim()[1] == np.nanmax(posterior.best_fit.wavelength[1])


def test_overlapping_arms_are_not_joined_by_a_line() -> None:
    wave = np.concatenate([np.linspace(4000, 6000, 300), np.linspace(5800, 9000, 300)])[None]
    one = np.ones_like(wave)
    best = BestFit(wave, one, one, one, np.ones(wave.shape, bool), np.array([1.0]), np.array([600]))
    figure = replace(sample_posterior(1), best_fit=best).plot_fit()
    drawn = figure.axes[0].lines[0].get_xdata()
    assert len(drawn) == 601
    assert np.isnan(drawn[300])
    png(figure)


def test_figures_are_the_same_after_saving_and_loading(tmp_path: Path) -> None:
    posterior = sample_posterior()
    again = Posterior.load(posterior.save(tmp_path / "p.fits"))
    assert png(again.plot_fit(1)) == png(posterior.plot_fit(1))
    assert png(again.plot(1, names=["log_sfr"])) == png(posterior.plot(1, names=["log_sfr"]))


@pytest.mark.parametrize("kind", ["plot", "plot_fit"])
def test_a_row_without_a_result_says_why(kind: str) -> None:
    with pytest.raises(SpectrumError, match=f"galaxy-2 has no result to plot: {REASON}"):
        getattr(sample_posterior(), kind)(2)
    with pytest.raises(IndexError, match="this posterior holds 3"):
        getattr(sample_posterior(), kind)(3)


def test_a_posterior_without_best_model_says_so() -> None:
    posterior = replace(sample_posterior(1), best_fit=None, provenance={"backend": "cnn"})
    with pytest.raises(GalfitMLError, match=r"backend cnn gives none. posterior.plot\(\) shows its draws"):
        posterior.plot_fit()
    empty = sample_posterior(1)
    empty.best_fit.model[:] = np.nan
    with pytest.raises(SpectrumError, match="no best model to plot"):
        empty.plot_fit()


def test_every_pixel_masked_in_the_best_fit_still_draws() -> None:
    posterior = sample_posterior(1)
    posterior.best_fit.good[:] = False
    png(posterior.plot_fit())


def test_relative_fluxes_carry_no_unit() -> None:
    posterior = sample_posterior(1)
    assert "erg" in posterior.plot_fit().axes[0].get_ylabel()
    posterior.flags[:] = int(Flag.RELATIVE_FLUX)
    posterior.draws[:, :, 1:3] = np.nan
    figure = posterior.plot_fit()
    assert "relative units" in figure.axes[0].get_ylabel()
    assert not any("M_\\star" in t for t in texts(figure))
    png(figure)


@pytest.mark.parametrize("name", ["a$b$c_d^e", r"$\frac$", "long" * 60, "Ω–7 / 宇宙"])
def test_any_name_is_plotted_as_it_stands(name: str) -> None:
    posterior = replace(sample_posterior(1), ids=(name,))
    figure = posterior.plot_fit()
    assert any(t == name or ("…" in t and t.startswith(name[:20])) for t in texts(figure))
    if name.isascii():
        png(figure)
        png(posterior.plot(names=["redshift"]))


def test_the_corner_shows_every_parameter_and_its_quantiles() -> None:
    posterior = sample_posterior(1, 2000)
    figure = posterior.plot()
    assert sum(axes.get_visible() for axes in figure.axes) == 15
    q16, q50, q84 = posterior.quantile("log_sfr", [0.16, 0.5, 0.84])[0]
    assert rf"${q50:.2f}^{{+{q84 - q50:.2f}}}_{{-{q50 - q16:.2f}}}$" in [a.get_title() for a in figure.axes]
    bottom = [axes.get_xlabel() for axes in figure.axes[-5:]]
    assert bottom == [p.label for p in posterior.parameters]
    png(figure)


def test_the_corner_of_chosen_parameters() -> None:
    posterior = sample_posterior(1, parameters=GALAXY)
    figure = posterior.plot(names=["dust_av", "redshift"])
    assert [a.get_xlabel() for a in figure.axes[-2:]] == ["$A_V$  [mag]", "$z$"]
    assert len(posterior.plot(names=["redshift"]).axes) == 1
    with pytest.raises(UnknownNameError, match="Did you mean 'redshift'"):
        posterior.plot(names=["redshft"])


def test_fixed_and_missing_parameters_are_named_beside_the_corner() -> None:
    posterior = sample_posterior(1)
    posterior.draws[:, :, 0], posterior.draws[:, :, 1] = 0.7, np.nan
    figure = posterior.plot()
    assert sum(axes.get_visible() for axes in figure.axes) == 6
    assert any("redshift: 0.7, fixed\nlog_stellar_mass: not given" in t for t in texts(figure))
    with pytest.raises(SpectrumError, match="no parameter has two different finite draws"):
        posterior.plot(names=["redshift"])


@pytest.mark.parametrize("n_draws", [2, 3, 20])
def test_few_draws_still_make_a_corner(n_draws: int) -> None:
    png(sample_posterior(1, n_draws).plot(names=["redshift", "log_sfr"]))


def test_contours_hold_39_and_86_per_cent() -> None:
    x = np.linspace(-6, 6, 401)
    density = np.exp(-0.5 * (x[:, None] ** 2 + x**2))
    two, one, top = _levels(density)
    assert density[density >= one].sum() / density.sum() == pytest.approx(0.393, abs=2e-3)
    assert density[density >= two].sum() / density.sum() == pytest.approx(0.865, abs=2e-3)
    assert one == pytest.approx(np.exp(-0.5), rel=5e-3)
    assert top > density.max()


def test_the_main_mode_is_found_where_the_median_falls_between_two() -> None:
    draws = np.concatenate([np.linspace(0.499, 0.501, 510), np.linspace(1.99, 2.01, 490)])
    assert _peak(draws) == pytest.approx(0.5, abs=1e-3)
    assert _peak(np.array([0.3])) == 0.3


@given(arrays(float, st.integers(0, 25), elements=st.floats(0, 1)))
def test_labels_keep_their_order_and_distance(centres: np.ndarray) -> None:
    places = spread_apart(centres, 0.03, 0.0, 1.0)
    order = np.argsort(centres, kind="stable")
    assert np.all(np.diff(np.sort(places)) >= 0.03 - 1e-9)
    if len(np.unique(centres)) == len(centres):
        np.testing.assert_array_equal(np.argsort(places), order)
    if len(centres):
        assert places.min() >= -1e-9
        assert places.max() <= 1 + 1e-9


def test_labels_with_room_stay_where_they_are() -> None:
    np.testing.assert_allclose(spread_apart(np.array([0.2, 0.5, 0.9]), 0.03, 0.0, 1.0), [0.2, 0.5, 0.9])


def test_line_wavelengths_are_vacuum_and_in_order() -> None:
    by_label = {f.label: f.wavelengths for f in FEATURES}
    assert by_label[r"H$\beta$"] == (4862.69,)  # 4861.33 in air
    for feature in FEATURES:
        assert list(feature.wavelengths) == sorted(feature.wavelengths)


def test_the_users_matplotlib_is_left_alone(fresh_python: FreshPython) -> None:
    code = """
import sys
sys.path.insert(0, sys.argv[1])
import matplotlib
from posterior_samples import sample_posterior
before = dict(matplotlib.rcParams)
posterior = sample_posterior()
posterior.plot()._repr_png_(), posterior.plot_fit()._repr_png_()
assert dict(matplotlib.rcParams) == before
print("matplotlib.pyplot" in sys.modules)
"""
    assert fresh_python(code, str(Path(__file__).parent)).stdout.split() == ["False"]


def test_figures_do_not_depend_on_the_users_style_and_survive_pickling() -> None:
    posterior = sample_posterior(1)
    with mpl.rc_context({"axes.facecolor": "black", "font.size": 30.0, "axes.labelsize": 40.0}):
        figure = posterior.plot_fit()
    assert png(pickle.loads(pickle.dumps(figure))) == png(posterior.plot_fit())


def test_noisy_spectra_are_also_shown_averaged() -> None:
    rng = np.random.default_rng(4)
    wave = np.linspace(4000.0, 9000.0, 6000)[None]
    flux, one = 1.0 + rng.standard_normal(wave.shape), np.ones_like(wave)
    best = BestFit(wave, flux, one, one, np.ones(wave.shape, bool), np.array([6000.0]), np.array([6000]))
    lines = {k.get_label(): k for k in replace(sample_posterior(1), best_fit=best).plot_fit().axes[0].lines}
    np.testing.assert_allclose(lines["mean of 4 pixels"].get_ydata(), flux.reshape(-1, 4).mean(axis=1))
    np.testing.assert_array_equal(lines["data"].get_ydata(), flux[0])
    clear = replace(best, ivar=100 * one)
    labels = [k.get_label() for k in replace(sample_posterior(1), best_fit=clear).plot_fit().axes[0].lines]
    assert not any(label.startswith("mean") for label in labels)
