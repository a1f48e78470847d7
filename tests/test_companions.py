"""What comes beside the draws: histories, trace, calibration; their sums, selection, joining and refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from companion_samples import EDGES, sample_histories, sample_trace, whole_posterior, with_calibration
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from posterior_samples import REASON, TARGETS, sample_fit, sample_posterior

from galfit_ml.companions import StarFormationHistories, Trace
from galfit_ml.posterior import Posterior, concatenate

GYR = 1e9


def constant(rates: list[list[float]], edges: list[float]) -> StarFormationHistories:
    """One galaxy, one draw per list of rates."""
    return StarFormationHistories(np.array(edges), np.array([rates], dtype=np.float32))


def test_half_of_the_stars_of_steady_formation_had_formed_half_way() -> None:
    steady = constant([[2.0, 2.0, 2.0], [0.0, 0.0, 5.0], [4.0, 0.0, 0.0]], [0, 1 * GYR, 2 * GYR, 10 * GYR])
    np.testing.assert_allclose(steady.time_of_fraction(0.5), [[5 * GYR, 6 * GYR, 0.5 * GYR]])
    np.testing.assert_allclose(steady.time_of_fraction(0.9)[0, 0], 1 * GYR)
    np.testing.assert_allclose(steady.formed_fraction()[0, 0], [1.0, 0.9, 0.8, 0.0])


@given(
    arrays(np.float32, (1, 4, 6), elements=st.floats(0, 100, width=32)),
    st.floats(0.01, 0.99),
)
def test_the_time_of_a_fraction_is_where_that_fraction_had_formed(sfr: np.ndarray, fraction: float) -> None:
    edges = np.array([0.0, 1e7, 1e8, 1e9, 3e9, 8e9, 1.3e10])
    histories = StarFormationHistories(edges, sfr)
    times, mass = histories.time_of_fraction(fraction)[0], sfr[0].astype(float) * np.diff(edges)
    for draw, time in enumerate(times):
        if mass[draw].sum() == 0:
            assert np.isnan(time)
            continue
        older = np.clip(edges[1:] - np.maximum(edges[:-1], time), 0, None) * sfr[0, draw]
        assert older.sum() / mass[draw].sum() == pytest.approx(fraction, abs=1e-5)


@pytest.mark.parametrize("fraction", [0.0, 1.0, 50.0, float("nan")])
def test_a_fraction_outside_0_to_1_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match=r"Write 0.5 for t50"):
        sample_histories(1).time_of_fraction(fraction)


def test_bins_older_than_the_universe_hold_no_mass_and_have_no_quantile() -> None:
    histories = sample_histories(3)
    assert list(histories.known) == [True, True, False]
    median = histories.quantile(0.5)
    assert median.shape == (3, len(EDGES) - 1)
    np.testing.assert_allclose(median[1, :-1], np.quantile(histories.sfr[1, :, :-1], 0.5, axis=0), rtol=1e-6)
    assert np.isnan(median[:, -1]).all()
    assert np.isnan(median[2]).all()
    assert histories.quantile([0.1, 0.9]).shape == (3, len(EDGES) - 1, 2)
    formed = (histories.sfr[:2, :, :-1] * np.diff(EDGES[:-1])).sum(axis=2)
    np.testing.assert_allclose(np.log10(formed), 10.4, atol=0.02)
    times = histories.time_of_fraction(0.5)
    assert np.isnan(times[2]).all()
    assert np.all((times[:2] > 3e8) & (times[:2] < 1.3e10))


def test_a_bin_that_only_some_draws_reach_is_theirs() -> None:
    found = constant([[1.0, 3.0], [2.0, np.nan], [3.0, np.nan]], [0, 1e9, 2e9]).quantile(0.5)
    np.testing.assert_array_equal(found, [[2.0, 3.0]])


def test_nonsense_is_refused() -> None:
    sfr = np.zeros((2, 5, 3), dtype=np.float32)
    for edges in ([0, 1, 1, 2], [-1, 0, 1, 2], [3, 2, 1, 0], [0, 1, np.nan, 3]):
        with pytest.raises(ValueError, match="that increase from 0 or more"):
            StarFormationHistories(np.array(edges, dtype=float), sfr)
    with pytest.raises(ValueError, match=r"must be \[n, n_kept, 4\]"):
        StarFormationHistories(np.arange(5.0), sfr)
    with pytest.raises(ValueError, match="A trace has values"):
        Trace(np.zeros((1, 4, 3, 5), dtype=np.float32), np.zeros((1, 4, 2), dtype=np.float32))
    fit = with_calibration(sample_fit(2))
    with pytest.raises(ValueError, match="calibration of a BestFit must share one shape"):
        replace(fit, calibration=fit.calibration[:, 1:])
    with pytest.raises(ValueError, match="noise_scale of a BestFit must have 2 rows"):
        replace(fit, noise_scale=np.ones(3))


def test_a_posterior_refuses_companions_of_other_spectra_or_parameters() -> None:
    good = sample_posterior(2)
    for part in ({"histories": sample_histories(3)}, {"trace": sample_trace(1)}):
        with pytest.raises(ValueError, match="histories and trace must have 2 rows"):
            replace(good, **part)
    trace = sample_trace(2)
    with pytest.raises(ValueError, match="The trace must hold the 5 parameters of the draws"):
        replace(good, trace=Trace(trace.values[..., :3], trace.log_density))


def test_selection_takes_the_rows_of_everything() -> None:
    posterior = whole_posterior()
    part = posterior[[2, 0]]
    np.testing.assert_array_equal(part.histories.sfr, posterior.histories.sfr[[2, 0]])
    np.testing.assert_array_equal(part.histories.lookback, EDGES)
    np.testing.assert_array_equal(part.trace.values[1], posterior.trace.values[0])
    np.testing.assert_array_equal(part.trace.log_density[1], posterior.trace.log_density[0])
    np.testing.assert_array_equal(part.best_fit.calibration[1], posterior.best_fit.calibration[0])
    assert list(posterior.trace.n_steps) == [300, 250, 0]
    assert part.best_fit.noise_scale.shape == (2,)


def test_joining_gives_rows_without_a_part_nan() -> None:
    whole, bare = whole_posterior(2), sample_posterior(2)
    failed = Posterior.failed(TARGETS, 400, ["x"], [REASON])
    joined = concatenate([bare, whole, failed])
    assert list(joined.histories.known) == [False, False, True, True, False]
    np.testing.assert_array_equal(joined.histories.sfr[2:4], whole.histories.sfr)
    assert list(joined.trace.n_steps) == [0, 0, 300, 250, 0]
    assert joined.trace.values.dtype == joined.histories.sfr.dtype == np.float32
    assert np.isnan(joined.best_fit.calibration[:2]).all()
    np.testing.assert_array_equal(joined.best_fit.calibration[2:4], whole.best_fit.calibration)
    np.testing.assert_array_equal(joined.best_fit.noise_scale, [np.nan, np.nan, 1.3, 1.3, np.nan])
    assert concatenate([bare, failed]).histories is None
    assert concatenate([bare, failed]).trace is None
    assert concatenate([bare, bare]).best_fit.calibration is None


def test_joining_pads_shorter_chains_and_fewer_draws() -> None:
    long, short = whole_posterior(2), whole_posterior(1)
    short = replace(short, trace=sample_trace(1, n_steps=40, n_walkers=6), histories=sample_histories(1, n_kept=30))
    joined = concatenate([short, long])
    assert joined.trace.values.shape == (3, 300, 24, 5)
    assert list(joined.trace.n_steps) == [40, 300, 250]
    np.testing.assert_array_equal(joined.trace.values[0, :40, :6], short.trace.values[0])
    assert np.isnan(joined.trace.log_density[0, :, 6:]).all()
    np.testing.assert_allclose(joined.histories.quantile(0.5)[0], short.histories.quantile(0.5)[0])


def test_histories_in_other_bins_cannot_be_joined() -> None:
    one = whole_posterior(1)
    other = replace(one, histories=StarFormationHistories(2 * EDGES, one.histories.sfr))
    with pytest.raises(ValueError, match=r"different bins of lookback time cannot be joined.*histories=None"):
        concatenate([one, other])
