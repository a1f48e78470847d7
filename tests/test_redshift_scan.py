"""From a scan to redshifts: how p(z) is read, what a user's prior does, success on mocks and on real galaxies.

The algebra of the scan itself is tested in test_limits_scan.py.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from galfit_ml.errors import PriorError
from galfit_ml.flags import Flag
from galfit_ml.instruments import Instrument, get_instrument
from galfit_ml.redshift_prior import RedshiftPrior, RedshiftPriors, redshift_range
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.spectra import SpectrumBatch
from galfit_ml.testing import default_instrument, simulated_batch
from galfit_ml_emcee.fit_one import Machine
from galfit_ml_emcee.leftover import library_draws
from galfit_ml_emcee.library.axis import ScanAxis
from galfit_ml_emcee.library.templates import Size
from galfit_ml_emcee.options import Options
from galfit_ml_emcee.redshift_scan import RedshiftScan, ScanResult, scan_input
from galfit_ml_emcee.solutions import (
    CELL,
    LEAST_PROBABILITY,
    MOST,
    WINDOW,
    Solutions,
    axis_range,
    read_scan,
    scan_axis,
)
from galfit_ml_emcee.trim import Native

Floats = NDArray[np.float64]

STEP = 35.0 / 299792.458
LIMITS = (0.0005, 1.0)
FREE = RedshiftPrior()


@cache
def model() -> GalaxyModel:
    return GalaxyModel()


def grid(low: float = LIMITS[0], high: float = LIMITS[1]) -> Floats:
    """Points of the scan between two redshifts, and half a step beyond."""
    lags = np.arange(np.ceil(np.log1p(low) / STEP - 0.5), np.floor(np.log1p(high) / STEP + 0.5) + 1)
    return np.expm1(lags * STEP)


def bumps(z: Floats, *peaks: tuple[float, float, float]) -> ScanResult:
    """ln evidence of Gaussians (redshift, width in ln(1 + z), weight), on a floor of e^-60."""
    ln = np.log1p(z)[:, None]
    where, width, weight = np.array(peaks).T
    terms = np.log(weight / width) - 0.5 * ((ln - np.log1p(where)) / width) ** 2
    return ScanResult(z, np.logaddexp(np.logaddexp.reduce(terms, axis=1), -60.0)[None])


def solve(*peaks: tuple[float, float, float], prior: RedshiftPrior = FREE) -> Solutions:
    return read_scan(bumps(grid(), *peaks), 0, prior, LIMITS)


def check_cells(solutions: Solutions) -> None:
    """Peaks and sampled cells do not overlap, a cell holds its peak and its probability, and all adds up."""
    peaks = sorted(solutions.peaks, key=lambda p: p.redshift)
    z, p = solutions.redshift, solutions.probability
    assert p.sum() == pytest.approx(1.0)
    for peak in peaks:
        assert peak.cell[0] <= peak.redshift <= peak.cell[1]
        assert peak.share == pytest.approx(p[(z >= peak.cell[0]) & (z <= peak.cell[1])].sum())
        assert max(np.abs(np.array(peak.cell) - peak.redshift)) <= CELL * (1 + peak.redshift) + 1e-9
    for one, two in pairwise(peaks):
        assert np.log1p(two.redshift) - np.log1p(one.redshift) > 2 * np.log1p(WINDOW) - STEP
    for one, two in pairwise(sorted(solutions.sampled, key=lambda p: p.redshift)):
        assert two.cell[0] >= one.cell[1]
    probabilities = [peak.probability for peak in solutions.peaks]
    assert probabilities == sorted(probabilities, reverse=True)
    assert solutions.outside().sum() + sum(peak.share for peak in solutions.sampled) == pytest.approx(1.0, abs=1e-9)


def test_one_peak_is_one_solution_refined_below_the_grid() -> None:
    where = float(np.expm1(np.log1p(0.3) + 0.37 * STEP))
    solutions = solve((where, 2 * STEP, 1.0))
    check_cells(solutions)
    assert len(solutions.sampled) == 1
    assert solutions.peaks[0].redshift == pytest.approx(where, abs=0.05 * STEP)
    assert solutions.peaks[0].probability == pytest.approx(1.0, abs=1e-6)
    assert solutions.peaks[0].share == pytest.approx(1.0, abs=1e-6)
    assert solutions.flags == Flag(0)


@pytest.mark.parametrize(("share", "flags"), [
    (0.95, Flag(0)),
    (0.7, Flag.AMBIGUOUS_REDSHIFT),
    (0.4, Flag.AMBIGUOUS_REDSHIFT | Flag.NO_CLEAR_MINIMUM),
])  # fmt: skip
def test_peaks_have_their_probability_and_flags(share: float, flags: Flag) -> None:
    rest = (1 - share) / 2
    peaks = [(0.8, 5 * STEP, share), (0.1, 2 * STEP, rest), (0.3, 9 * STEP, rest)]
    solutions = solve(*peaks)
    check_cells(solutions)
    assert [p.redshift for p in solutions.peaks[:1]] == [pytest.approx(0.8, abs=1e-4)]
    found = {round(p.redshift, 2): p.probability for p in solutions.peaks}
    assert found[0.8] == pytest.approx(share, abs=0.002)
    assert found[0.1] == pytest.approx(rest, abs=0.002)
    assert found[0.3] == pytest.approx(rest, abs=0.005)
    assert solutions.flags == flags
    assert solutions.peaks[0].log_evidence == pytest.approx(0 if share > 0.5 else np.log(0.4 / 0.3 * 2 / 5), abs=0.03)


def test_chains_may_rank_redshifts_otherwise_than_the_scan() -> None:
    scan = solve((0.8, 5 * STEP, 0.95), (0.1, 2 * STEP, 0.05))
    assert scan.flags == Flag(0)
    z = np.array([0.8002, 0.1001])
    assert scan.weighed(np.array([0.6, 0.4]), z).flags == Flag.AMBIGUOUS_REDSHIFT
    assert scan.weighed(np.array([0.45, 0.45]), z).flags == Flag.AMBIGUOUS_REDSHIFT | Flag.NO_CLEAR_MINIMUM
    other = scan.weighed(np.array([0.02, 0.98]), z)
    assert other.flags == Flag(0)
    assert [p.redshift for p in other.peaks[:2]] == [0.1001, 0.8002]
    assert [p.probability for p in other.peaks[:2]] == pytest.approx([0.98, 0.02], abs=1e-3)
    assert other.diagnostics()["redshift_1"] == other.peaks[0].redshift
    same = scan.weighed(np.array([p.share for p in scan.sampled]), z)
    assert [p.probability for p in same.peaks] == pytest.approx([p.probability for p in scan.peaks])
    given = Solutions.given(0.3).weighed(np.ones(1), np.array([0.3]))
    assert (given.peaks, given.flags) == (Solutions.given(0.3).peaks, Flag(0))


def test_spread_redshifts_stay_within_half_a_step_of_the_grid() -> None:
    solutions = solve((0.8, 5 * STEP, 0.6), (0.1, 2 * STEP, 0.4))
    drawn = solutions.spread(4000, STEP, np.random.default_rng(1), solutions.probability)
    ln, grid_ln = np.log1p(drawn), np.log1p(solutions.redshift)
    offset = (ln - grid_ln[np.abs(ln[:, None] - grid_ln).argmin(axis=1)]) / STEP
    assert np.abs(offset).max() <= 0.5 + 1e-6
    assert offset.std() == pytest.approx(12**-0.5, abs=0.02)
    assert (drawn > 0.5).mean() == pytest.approx(0.6, abs=0.03)


def test_neighbouring_peaks_share_the_space_between_them() -> None:
    near = float(np.expm1(np.log1p(0.3) + 3 * np.log1p(WINDOW)))
    solutions = solve((0.3, 3 * STEP, 0.6), (near, 3 * STEP, 0.4))
    check_cells(solutions)
    first, second = solutions.sampled
    assert first.cell[1] == pytest.approx(0.5 * (0.3 + near), abs=1e-4)
    assert second.cell[0] == first.cell[1]
    assert [first.share, second.share] == pytest.approx([0.6, 0.4], abs=1e-3)


@pytest.mark.parametrize("width", [6.0, 12.0, 20.0])
def test_the_shoulder_of_a_peak_is_no_second_peak(width: float) -> None:
    """A peak with a broad foot: a window beside it holds much, but its highest point is the peak's flank."""
    reach = np.log1p(WINDOW)
    foot = (float(np.expm1(np.log1p(0.3) + 1.3 * reach)), 0.2 * reach, 0.3)
    solutions = solve((0.3, width * STEP / 4, 0.7), foot)
    check_cells(solutions)
    away = np.array([abs(np.log1p(p.redshift) - np.log1p(0.3)) for p in solutions.peaks])
    assert away[0] < 3 * STEP
    assert np.all(away[1:] > 2 * reach - STEP)  # the foot itself is 1.3 windows away


def test_a_flat_scan_has_as_many_peaks_as_there_may_be_and_leaves_the_rest() -> None:
    solutions = read_scan(ScanResult(grid(), np.zeros((1, len(grid())))), 0, FREE, LIMITS)
    check_cells(solutions)
    assert len(solutions.peaks) == MOST
    assert solutions.flags == Flag.AMBIGUOUS_REDSHIFT | Flag.NO_CLEAR_MINIMUM
    assert solutions.outside().sum() > 0.8


def test_hopeless_peaks_are_reported_but_not_sampled() -> None:
    solutions = solve((0.3, 3 * STEP, 1.0), (0.7, 3 * STEP, 0.5 * LEAST_PROBABILITY))
    assert len(solutions.peaks) > 1
    assert solutions.peaks[1].redshift == pytest.approx(0.7, abs=1e-4)
    assert len(solutions.sampled) == 1
    assert solutions.outside().sum() == pytest.approx(0.5 * LEAST_PROBABILITY, rel=0.05)


def test_a_user_may_leave_more_of_the_peaks_to_the_templates() -> None:
    found = bumps(grid(), (0.3, 3 * STEP, 0.9), (0.32, 3 * STEP, 0.06), (0.7, 3 * STEP, 0.04))
    sampled = [read_scan(found, 0, FREE, LIMITS, least).sampled for least in (0.01, 0.05, 0.5)]
    assert [len(peaks) for peaks in sampled] == [3, 2, 1]
    solutions = read_scan(found, 0, FREE, LIMITS, 0.05)
    check_cells(solutions)
    assert solutions.outside().sum() == pytest.approx(0.04, abs=0.002)
    assert sampled[2][0].cell[1] > sampled[1][0].cell[1]  # no neighbour to share the space with


def test_templates_that_do_not_exist_take_no_probability() -> None:
    found = bumps(grid(), (0.3, 3 * STEP, 1.0), (0.9, 3 * STEP, 99.0))
    found.log_evidence[0, found.redshift > 0.5] = -np.inf
    solutions = read_scan(found, 0, FREE, LIMITS)
    check_cells(solutions)
    assert solutions.peaks[0].redshift == pytest.approx(0.3, abs=1e-4)
    assert solutions.probability[solutions.redshift > 0.5].max() == 0


def test_a_distribution_multiplies_exactly() -> None:
    peaks, known = [(0.3, 3 * STEP, 0.9), (0.7, 3 * STEP, 0.1)], stats.norm(0.7, 0.15)
    free, told = solve(*peaks), solve(*peaks, prior=RedshiftPrior(0.0, np.inf, known))
    expected = free.probability * known.pdf(free.redshift)
    np.testing.assert_allclose(told.probability, expected / expected.sum(), atol=1e-12)
    odds = 0.1 * known.pdf(0.7) / (0.9 * known.pdf(0.3))
    assert told.peaks[0].redshift == pytest.approx(0.7, abs=1e-4)
    assert told.peaks[0].probability / told.peaks[1].probability == pytest.approx(odds, rel=0.01)


def test_a_range_chooses_between_peaks() -> None:
    prior = RedshiftPrior(0.65, 0.75)
    limits = redshift_range(prior, default_instrument())
    assert limits == (0.65, 0.75)
    found = bumps(grid(*limits), (0.3, 3 * STEP, 0.999), (0.7, 3 * STEP, 0.001))
    solutions = read_scan(found, 0, prior, limits)
    check_cells(solutions)
    assert [p.redshift for p in solutions.sampled] == [pytest.approx(0.7, abs=1e-4)]
    assert solutions.flags == Flag(0)


def test_a_peak_at_the_edge_of_a_range_stays_inside() -> None:
    prior = RedshiftPrior(0.3, 0.4)
    found = bumps(grid(0.3, 0.4), (0.2999, 4 * STEP, 1.0))
    solutions = read_scan(found, 0, prior, (0.3, 0.4))
    check_cells(solutions)
    assert solutions.peaks[0].redshift >= 0.3
    assert solutions.peaks[0].cell[0] == 0.3


@pytest.mark.parametrize("width", [1e-6, 0.3 * STEP, 1.1 * STEP, 4 * STEP])
def test_a_range_narrower_than_the_grid_keeps_all_probability(width: float) -> None:
    """The grid's points may lie outside: all that is known is that the redshift is in the range."""
    for low in 0.3 + STEP * np.linspace(0, 1.3, 7):
        limits = (float(low), float(low + width))
        solutions = read_scan(bumps(grid(*limits), (0.3, 3 * STEP, 1.0)), 0, RedshiftPrior(*limits), limits)
        check_cells(solutions)
        assert solutions.outside().sum() == 0
        assert solutions.peaks[0].share == pytest.approx(1.0)
        assert limits[0] <= solutions.redshift.min() <= solutions.redshift.max() <= limits[1]


def test_a_prior_without_probability_is_refused() -> None:
    nowhere = RedshiftPrior(0.0, np.inf, stats.uniform(0.5, 0.1))
    found = bumps(grid(0.1, 0.2), (0.15, 3 * STEP, 1.0))
    with pytest.raises(PriorError, match="no probability between 0.1 and 0.2"):
        read_scan(found, 0, nowhere, (0.1, 0.2))


@pytest.mark.parametrize(("prior", "expected"), [
    (FREE, (0.01, 1.0)),
    (RedshiftPrior(0.2, 0.5), (0.2, 0.5)),
    (RedshiftPrior(0.0, 99.0), (1e-4, 6.0)),
    (RedshiftPrior(3.0, 3.0), (3.0, 3.0)),
])  # fmt: skip
def test_range_to_scan(prior: RedshiftPrior, expected: tuple[float, float]) -> None:
    assert redshift_range(prior, default_instrument()) == expected


def test_range_of_a_distribution_holds_all_but_its_far_tails() -> None:
    prior = RedshiftPriors.parse(stats.norm(0.5, 0.01), 1)[0]
    low, high = redshift_range(prior, default_instrument())
    assert stats.norm(0.5, 0.01).cdf([low, high]) == pytest.approx([1e-6, 1 - 1e-6], rel=1e-3)


@pytest.mark.parametrize("prior", [RedshiftPrior(7.0, 9.0), RedshiftPrior(0.0, 5e-5), RedshiftPrior(0.0, 0.0)])
def test_a_range_outside_the_model_is_refused(prior: RedshiftPrior) -> None:
    with pytest.raises(PriorError):
        redshift_range(prior, default_instrument())


def test_a_given_redshift_needs_no_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> RedshiftScan:
        raise AssertionError

    monkeypatch.setattr(Machine, "scan", never)
    native = Native.of(simulated_batch(default_instrument(300.0), 1, 10.0, 4)[0])
    solutions, others = Machine(Options())._solve(native, RedshiftPrior(0.3, 0.3), (0.3, 0.3))
    assert solutions.peaks[0].redshift == 0.3
    assert solutions.peaks[0].cell == (0.3, 0.3)
    assert others is None


# Scans of spectra.


def scanned(batch: SpectrumBatch, scan: RedshiftScan, limits: tuple[float, float], **options: bool) -> ScanResult:
    native = Native.of(batch)
    with torch.no_grad():
        return scan.run(
            scan_input(native.prepared, native.all_factors(), native.all_terms(), scan.axis), *limits, **options
        )


def small_scan(instrument: Instrument, batch: SpectrumBatch, limits: tuple[float, float]) -> RedshiftScan:
    with torch.no_grad():
        return RedshiftScan(instrument, scan_axis(batch, axis_range(limits, instrument)), model(), Size(64, 8))


def with_arm(batch: SpectrumBatch, **changes: Any) -> SpectrumBatch:
    return replace(batch, arms=(replace(batch.arms[0], **changes),))


def best(found: ScanResult) -> Floats:
    return np.asarray(found.redshift[found.log_evidence.argmax(axis=1)])


MOCK_LIMITS = (0.02, 1.0)


@cache
def mock_scan() -> RedshiftScan:
    instrument = default_instrument(redshift_range=MOCK_LIMITS)
    return RedshiftScan(instrument, scan_axis(simulated_batch(instrument, 1, 9.0, 1)[0], MOCK_LIMITS), model())


@pytest.mark.parametrize(("snr", "least"), [(3.0, 0.9), (10.0, 0.97)])
def test_mocks_are_found(snr: float, least: float) -> None:
    limits, instrument = MOCK_LIMITS, default_instrument(redshift_range=MOCK_LIMITS)
    batch, truth = simulated_batch(instrument, 60, snr, 5)
    found = scanned(batch, mock_scan(), limits)
    solutions = [read_scan(found, row, FREE, limits) for row in range(60)]
    peaks = np.array([s.peaks[0].redshift for s in solutions])
    right = np.abs(peaks - truth["redshift"]) / (1 + truth["redshift"]) < WINDOW
    assert right.mean() >= least
    # Probabilities are those of being right: their sum is the number that are, to within three sigma of chance.
    p = np.array([s.peaks[0].probability for s in solutions])
    assert abs(p.sum() - right.sum()) < 3 * np.sqrt((p * (1 - p)).sum()) + 2
    for own in solutions:
        check_cells(own)


def test_masked_pixels_do_not_matter() -> None:
    limits = (0.05, 0.3)
    instrument = default_instrument(300.0, limits)
    batch, _ = simulated_batch(instrument, 2, 10.0, 2)
    scan, arm = small_scan(instrument, batch, limits), batch.arms[0]
    assert arm.bad.any()
    spoilt = with_arm(batch, flux=np.where(arm.bad, 1e6, arm.flux))
    np.testing.assert_array_equal(scanned(spoilt, scan, limits).log_evidence, scanned(batch, scan, limits).log_evidence)


def test_a_spectrum_scans_the_same_alone_and_in_a_batch() -> None:
    limits = (0.05, 0.3)
    instrument = default_instrument(300.0, limits)
    batch, _ = simulated_batch(instrument, 5, 10.0, 2)
    scan = small_scan(instrument, batch, limits)
    together = scanned(batch, scan, limits)
    for row in (1, 4):
        alone = scanned(batch.take([row]), scan, limits)
        np.testing.assert_allclose(alone.log_evidence[0], together.log_evidence[row], atol=0.05)


def test_a_flux_without_scale_is_scanned_without_mass_limits() -> None:
    """Multiplied by 1e5 it is far too bright for any galaxy: that matters where flux has a scale, and only there."""
    limits = (0.05, 0.3)
    instrument = default_instrument(300.0, limits)
    batch, truth = simulated_batch(instrument, 2, 10.0, 2)
    arm, scan = batch.arms[0], small_scan(instrument, batch, limits)
    bright = with_arm(batch, flux=1e5 * arm.flux, ivar=arm.ivar / 1e10)
    free = scanned(batch, scan, limits, bounded=False)
    scaled = scanned(bright, scan, limits, bounded=False)
    np.testing.assert_allclose(scaled.log_evidence, free.log_evidence, atol=0.3, rtol=1e-4)
    assert np.abs(best(scaled) - truth["redshift"]).max() < 0.003
    bounded = scanned(bright, scan, limits)
    assert np.all(bounded.log_evidence.max(axis=1) < free.log_evidence.max(axis=1) - 20)


def test_a_user_may_look_beyond_the_instruments_redshifts() -> None:
    """The instrument stops at 0.1, the galaxies do not."""
    batch, truth = simulated_batch(default_instrument(300.0, (0.2, 0.4)), 4, 20.0, 2)
    narrow = replace(batch, instrument=default_instrument(300.0, (0.05, 0.1)))
    native, prior = Native.of(narrow), RedshiftPrior(0.15, 0.5)
    limits = redshift_range(prior, narrow.instrument)
    assert limits == (0.15, 0.5)
    assert axis_range(limits, narrow.instrument) == (0.0, 6.0)
    assert axis_range((0.06, 0.1), narrow.instrument) == (0.05, 0.1)
    machine = Machine(Options())
    with torch.no_grad():
        scan = machine.scan(native, limits)
        found = scanned(narrow, scan, limits)
    assert found.redshift.min() == pytest.approx(0.15, abs=2 * STEP)
    assert found.redshift.max() == pytest.approx(0.5, abs=2 * STEP)
    assert (np.abs(best(found) - truth["redshift"]) < 0.005).sum() >= 3
    assert machine.scan(native, (0.3, 0.4)) is scan  # templates are kept


@pytest.mark.parametrize("width", [0.0, 0.1, 0.9, 1.5, 30.0])
def test_a_narrow_range_scans_the_points_nearest_to_it(width: float) -> None:
    """Also where it falls between two bins of templates."""
    limits = (0.05, 0.6)
    instrument = default_instrument(300.0, limits)
    batch, _ = simulated_batch(instrument, 1, 10.0, 2)
    scan = small_scan(instrument, batch, limits)
    native = Native.of(batch)
    data = scan_input(native.prepared, native.all_factors(), native.all_terms(), scan.axis)
    border = scan._bins[1].start
    for lag in (border - 0.7, border - 0.3, border + 0.2, border + 5.4):
        low, high = (float(np.expm1(s * scan.axis.step)) for s in (lag, lag + width))
        with torch.no_grad():
            found = scan.run(data, low, high)
        lags = np.log1p(found.redshift) / scan.axis.step
        expected = np.arange(np.ceil(lag - 0.5 + 1e-6), np.floor(lag + width + 0.5 - 1e-6) + 1)
        np.testing.assert_allclose(lags, np.clip(expected, lag, lag + width), atol=1e-6)


def test_draws_from_the_scan_follow_its_templates_and_the_flux() -> None:
    """At the true redshift the templates' masses are those of the galaxy, and scale with its flux."""
    limits = (0.05, 0.3)
    instrument = default_instrument(300.0, limits)
    batch, truth = simulated_batch(instrument, 1, 20.0, 2)
    arm, scan, z = batch.arms[0], small_scan(instrument, batch, limits), float(truth["redshift"][0])
    grid_z = scan.axis.redshifts
    near = float(grid_z[np.abs(grid_z - z).argmin()])
    masses = []
    for factor in (1.0, 10.0):
        own = Native.of(with_arm(batch, flux=factor * arm.flux, ivar=arm.ivar / factor**2))
        data = scan_input(own.prepared, own.all_factors(), own.all_terms(), scan.axis)
        with torch.no_grad():
            spectrum = replace(own.trimmed(0), relative=True)
            galaxies, values = library_draws(scan, data, spectrum, np.full(50, near), np.random.default_rng(1))
        np.testing.assert_allclose(galaxies.redshift.numpy(), near, atol=1e-6)
        np.testing.assert_allclose(values[:, 0], near, atol=0.002)
        masses.append(values[:, 1])
    assert np.median(masses[0]) == pytest.approx(truth["log_stellar_mass"][0], abs=0.5)
    assert np.median(masses[1] - masses[0]) == pytest.approx(1.0, abs=0.02)


def test_grid_of_a_generic_instrument_follows_the_spectra_in_round_numbers() -> None:
    instrument = get_instrument("generic:2000")
    axes = []
    for low in (4000.0, 4010.0):
        wave = np.linspace(low, 7000.0, 1500)
        batch = SpectrumBatch.from_arrays(wave, np.ones((1, 1500)), np.ones((1, 1500)), instrument)
        axes.append(scan_axis(batch, (0.0, 1.0)))
    assert axes[0] == axes[1]
    assert axes[0].low < 4000 < 1.025 * axes[0].low
    assert axes[0].high > 7000 > axes[0].high / 1.025
    sdss = get_instrument("sdss")
    own = ScanAxis.of(sdss)
    batch, _ = simulated_batch(sdss, 1, 10.0, 3)
    assert scan_axis(batch, sdss.redshift_range) == own


@pytest.mark.slow
def test_real_galaxies_are_found(real_data: Path) -> None:
    """Every third SDSS galaxy; the benchmark does all of them."""
    from benchmarks.real_sdss import galaxies, read_set

    with np.load(real_data / "sdss_cosmicds.npz") as data:
        rows = np.flatnonzero(galaxies(data["meta"]))[::3]
    batch, meta = read_set(real_data, "sdss_cosmicds", rows)
    limits = redshift_range(FREE, batch.instrument)
    with torch.no_grad():
        scan = RedshiftScan(batch.instrument, scan_axis(batch, axis_range(limits, batch.instrument)), model())
        found = scanned(batch, scan, limits)
    peaks = np.array([read_scan(found, row, FREE, limits).peaks[0].redshift for row in range(len(batch))])
    error = (peaks - meta["z"]) / (1 + meta["z"])
    assert (np.abs(error) < 0.001).mean() >= 0.99
    assert abs(np.median(error)) * 299792.458 < 15.0
