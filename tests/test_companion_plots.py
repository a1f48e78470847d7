"""Figures of histories, traces and calibration: what they draw is what the posterior holds."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from companion_samples import EDGES, NOISE_SCALE, sample_histories, sample_trace, whole_posterior
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from posterior_samples import GALAXY, REASON, sample_posterior
from test_plots import png, texts

from galfit_ml.errors import GalfitMLError, SpectrumError, UnknownNameError
from galfit_ml.flags import Flag
from galfit_ml.plots import available
from galfit_ml.plots.history_figure import _age_of_universe
from galfit_ml.posterior import BestFit
from galfit_ml.simulate.cosmology import Cosmology


def steps(axes: Axes, label: str) -> StepPatch:
    """The steps of this label."""
    return next(p for p in axes.patches if isinstance(p, StepPatch) and p.get_label() == label)


def labels_overlap(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of texts of a figure that lie on one another."""
    figure.canvas.draw()
    shown = [t for axes in figure.axes for t in [*axes.texts, axes.xaxis.label, axes.yaxis.label, axes.title]]
    boxes = [(t.get_text(), t.get_window_extent()) for t in [*shown, *figure.texts] if t.get_text()]
    return [(a, b) for i, (a, one) in enumerate(boxes) for b, other in boxes[:i] if one.overlaps(other)]


def test_the_history_shows_the_quantiles_of_the_rate() -> None:
    posterior = whole_posterior()
    top, _ = posterior.plot_history(1).axes
    bands = posterior.histories.quantile([0.05, 0.16, 0.5, 0.84, 0.95])[1]
    median = steps(top, "median").get_data()
    np.testing.assert_allclose(median.values[:8], bands[:8, 2])
    np.testing.assert_allclose(median.edges[1:11], EDGES[1:11] / 1e9)
    np.testing.assert_allclose(steps(top, "68 %").get_data().values[:8], bands[:8, 3])
    np.testing.assert_allclose(steps(top, "90 %").get_data().values[:8], bands[:8, 4])
    np.testing.assert_allclose(steps(top, "90 %").get_data().baseline[:8], bands[:8, 0])
    assert top.get_xscale() == top.get_yscale() == "log"
    assert r"\mathrm{M}_\odot\,\mathrm{yr}^{-1}" in top.get_ylabel()


def test_the_mass_formed_falls_from_1_to_0_through_t50() -> None:
    posterior = whole_posterior()
    figure = posterior.plot_history(0)
    bottom = figure.axes[1]
    times, formed = bottom.lines[0].get_data()
    assert formed[0] == pytest.approx(1.0, abs=0.01)
    assert formed[-1] == pytest.approx(0.0, abs=0.01)
    assert np.all(np.diff(formed) <= 1e-12)
    half = np.median(posterior.histories.time_of_fraction(0.5)[0]) / 1e9
    assert np.interp(half, times, formed) == pytest.approx(0.5, abs=0.02)
    assert any(rf"$t_{{50}}$ = ${half:.1f}" in t for t in texts(figure))


def test_the_age_of_the_universe_is_marked_and_nothing_drawn_beyond() -> None:
    posterior = whole_posterior()
    figure = posterior.plot_history(0)
    redshift = torch.tensor(float(np.median(posterior["redshift"][0])), dtype=torch.float64)
    age = float(Cosmology.default().age_yr(redshift)) / 1e9
    assert f"age of the Universe: {age:.1f} Gyr" in texts(figure)
    assert steps(figure.axes[0], "median").get_data().edges.max() == pytest.approx(age, rel=1e-4)
    assert figure.axes[0].get_xlim()[1] > age


@pytest.mark.parametrize("redshift", [0.0, 0.7, 3.3, 7.9])
def test_the_age_is_the_galaxy_model_s(redshift: float) -> None:
    expected = float(Cosmology.default().age_yr(torch.tensor(redshift, dtype=torch.float64)))
    assert _age_of_universe(redshift) == pytest.approx(expected, rel=1e-4)
    assert np.isnan(_age_of_universe(-0.01))


def test_the_oldest_bin_is_drawn_where_the_next_is_nan() -> None:
    posterior = whole_posterior()
    posterior.draws[..., 0] += 2.0  # the Universe was 3.2 Gyr old
    posterior.histories.sfr[:, :, EDGES[:-1] > 3.2e9] = np.nan
    top = posterior.plot_history(0).axes[0]
    for label in ("median", "68 %", "90 %"):
        data = steps(top, label).get_data()
        last = np.flatnonzero(np.isfinite(data.values))[-1]
        assert data.edges[last] == pytest.approx(2.0)
        assert data.edges[last + 1] == pytest.approx(_age_of_universe(np.median(posterior["redshift"][0])) / 1e9)


@pytest.mark.parametrize("rates", [[0.0] * 12, [0.0] * 11 + [3.0], [3.0] + [0.0] * 11])
def test_a_galaxy_that_formed_nothing_or_all_at_once_is_drawn(rates: list[float]) -> None:
    posterior = whole_posterior(1)
    posterior.histories.sfr[:] = np.array(rates, dtype=np.float32)
    png(posterior.plot_history())


def test_fixed_redshift_and_one_draw_are_drawn() -> None:
    posterior = replace(whole_posterior(1), histories=sample_histories(1, n_kept=1))
    posterior.draws[..., 0] = 0.03
    png(posterior.plot_history())


def test_the_trace_has_a_row_for_each_parameter_and_the_density() -> None:
    posterior = whole_posterior()
    figure = posterior.plot_trace(1)
    rows = [figure.axes[k] for k in range(0, 12, 2)]
    assert [axes.texts[0].get_text() for axes in rows] == [*(p.label for p in posterior.parameters), "ln density"]
    walker = rows[2].lines[3].get_ydata()
    np.testing.assert_array_equal(walker, posterior.trace.values[1, :250, 3, 2])
    np.testing.assert_array_equal(rows[5].lines[7].get_ydata(), posterior.trace.log_density[1, :250, 7])
    np.testing.assert_array_equal(
        rows[2].lines[24].get_ydata(), np.median(posterior.trace.values[1, :250, :, 2], axis=1)
    )
    assert rows[0].get_xlim() == (1, 250)
    png(figure)


def test_the_trace_s_title_tells_convergence_and_flags() -> None:
    posterior = whole_posterior()
    title = next(t for t in texts(posterior.plot_trace(0)) if "walkers" in t)
    told = ("acceptance 0.24", "autocorrelation 27 steps", "effective samples 830")
    for part in ("300 steps of 24 walkers shown", *told):
        assert part in title
    assert r"split $\hat{R}$ 1.010" in title
    assert "low snr, lsf assumed" in texts(posterior.plot_trace(0))
    untold = replace(posterior, diagnostics={"acceptance": np.full(3, np.nan)})
    assert "300 steps of 24 walkers shown" in texts(untold.plot_trace(0))


def test_the_trace_of_chosen_parameters_without_what_does_not_vary() -> None:
    posterior = whole_posterior(1)
    posterior.trace.values[..., 0], posterior.trace.values[..., 1] = 0.7, np.nan
    assert len(posterior.plot_trace(names=["log_sfr", "gas_metallicity"]).axes) == 6
    figure = posterior.plot_trace()
    assert len(figure.axes) == 8
    assert "redshift fixed, log_stellar_mass not given" in texts(figure)
    with pytest.raises(UnknownNameError, match="Did you mean 'log_sfr'"):
        posterior.plot_trace(names=["log_sf"])


@pytest.mark.parametrize(("n_steps", "n_walkers"), [(1, 2), (2, 1), (60, 3)])
def test_short_traces_are_drawn(n_steps: int, n_walkers: int) -> None:
    png(replace(sample_posterior(1), trace=sample_trace(1, n_steps, n_walkers)).plot_trace())


@pytest.mark.parametrize("kind", ["history", "trace"])
def test_a_backend_without_them_is_named_with_what_to_type(kind: str) -> None:
    with pytest.raises(GalfitMLError, match=rf"backend emcee gives none.*plot_{kind}\(\)"):
        getattr(sample_posterior(1), f"plot_{kind}")()


@pytest.mark.parametrize("kind", ["history", "trace"])
def test_a_row_without_a_result_says_why(kind: str) -> None:
    with pytest.raises(SpectrumError, match=f"galaxy-2 has no result to plot: {REASON}"):
        getattr(whole_posterior(), f"plot_{kind}")(2)
    with pytest.raises(IndexError, match="this posterior holds 3"):
        getattr(whole_posterior(), f"plot_{kind}")(3)


def test_a_row_without_its_history_or_trace_says_so() -> None:
    posterior = whole_posterior()
    posterior.histories.sfr[0], posterior.trace.log_density[0] = np.nan, np.nan
    with pytest.raises(SpectrumError, match="its flux is relative.*erg"):
        posterior.plot_history(0)
    with pytest.raises(SpectrumError, match="took no step that was kept"):
        posterior.plot_trace(0)
    assert list(available(posterior, 0)) == ["corner", "fit"]
    assert list(available(posterior, 1)) == ["corner", "fit", "history", "trace"]
    assert available(posterior, 2) == {}
    assert list(available(replace(sample_posterior(), best_fit=None), 1)) == ["corner"]


def test_the_calibration_has_a_panel_in_which_arms_are_not_joined() -> None:
    wave = np.concatenate([np.linspace(4000, 6000, 300), np.linspace(5800, 9000, 300)])[None]
    one, factor = np.ones_like(wave), np.repeat([0.97, 1.04], 300)[None]
    fit = BestFit(wave, one, one, one, np.ones(wave.shape, bool), np.array([1.0]), np.array([600]), factor)
    top, middle, _ = replace(sample_posterior(1), best_fit=fit).plot_fit().axes
    assert middle.get_ylabel() == "calibration\nfactor"
    drawn = middle.lines[1].get_ydata()
    np.testing.assert_array_equal(drawn[:300], 0.97)
    assert np.isnan(drawn[300])
    np.testing.assert_array_equal(drawn[301:], 1.04)
    assert top.get_xlim() == middle.get_xlim()
    low, high = middle.get_ylim()
    assert low < 0.97
    assert high > 1.04
    assert low + high == pytest.approx(2.0)


def test_the_noise_is_shown_as_it_was_found_and_says_so() -> None:
    posterior = whole_posterior()
    figure = posterior.plot_fit(0)
    plain = replace(posterior, best_fit=replace(posterior.best_fit, noise_scale=None)).plot_fit(0)
    scaled, reported = (f.axes[-1].lines[1].get_ydata() for f in (figure, plain))
    np.testing.assert_allclose(scaled * NOISE_SCALE, reported)
    assert any("reported noise $\\times$ 1.30" in t for t in texts(figure))
    assert any("(reported noise)" in t and "chi" in t for t in texts(figure))
    assert not any("reported noise" in t for t in texts(plain))


def test_a_row_whose_calibration_and_noise_are_not_known_is_drawn_without() -> None:
    posterior = whole_posterior()
    posterior.best_fit.calibration[0], posterior.best_fit.noise_scale[0] = np.nan, np.nan
    figure = posterior.plot_fit(0)
    assert len(figure.axes) == 2
    assert not any("reported noise" in t for t in texts(figure))
    assert len(posterior.plot_fit(1).axes) == 3


def test_a_calibration_of_exactly_1_is_drawn() -> None:
    posterior = whole_posterior(1)
    posterior.best_fit.calibration[:] = 1.0
    png(posterior.plot_fit())


def test_names_and_flags_leave_the_panels_alone() -> None:
    posterior = replace(whole_posterior(1, parameters=GALAXY), ids=("a$b_c" + "long" * 60,))
    posterior.flags[:] = int(Flag.LOW_SNR)
    for figure in (posterior.plot_history(), posterior.plot_trace()):
        assert labels_overlap(figure) == []


def test_figures_survive_pickling() -> None:
    posterior = whole_posterior(1)
    for figure in (posterior.plot_history(), posterior.plot_trace(names=["log_sfr"]), posterior.plot_fit()):
        assert png(pickle.loads(pickle.dumps(figure))) == png(figure)
