"""What training spectra are given so that real ones are no surprise, and what tells galaxies from everything else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from galfit_ml.instruments import Instrument, get_instrument
from galfit_ml.prepare import Prepared
from galfit_ml.simulate.surveys import ChunkMaker, make_settings
from galfit_ml_cnn import mismatch as mismatches
from galfit_ml_cnn import pool as pools
from galfit_ml_cnn.detector import Detector, signs_of
from galfit_ml_cnn.layout import Layout
from galfit_ml_cnn.mismatch import Mismatch
from galfit_ml_cnn.mocks import Alterations, Mocks
from galfit_ml_cnn.pool import Pool
from galfit_ml_cnn.resolution import corrected, excess_variance
from galfit_ml_cnn.strange import Strange
from galfit_ml_cnn.stream import Mixture, Stream, add_spikes

WAVE = 10 ** (3.58 + 1e-4 * np.arange(3800))


def only(monkeypatch: pytest.MonkeyPatch, **left: float) -> None:
    """Switch off all errors but those that are named."""
    for name in ("BLUE_ERROR", "LINE_ERROR"):
        monkeypatch.setattr(mismatches, name, left.get(name, 0.0))
    if "RIPPLE" not in left:
        monkeypatch.setattr(mismatches, "RIPPLE", ((600.0, 1e-12),))


def test_no_strength_changes_nothing() -> None:
    flux = torch.rand(4, len(WAVE)) + 1
    torch.testing.assert_close(Mismatch(WAVE, 0.0)(flux, torch.full((4,), 0.1), np.random.default_rng(1)), flux)


def test_the_ripple_has_the_stated_size_and_is_smooth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mismatches, "BLUE_ERROR", 0.0)
    monkeypatch.setattr(mismatches, "LINE_ERROR", 0.0)
    changed = Mismatch(WAVE)(torch.ones(3000, len(WAVE)), torch.full((3000,), 0.1), np.random.default_rng(1)) - 1
    rms = np.sqrt(sum(size**2 for _, size in mismatches.RIPPLE))
    # Amounts are flat between 0 and 2, whose mean square is 4/3.
    assert float(changed.square().mean().sqrt()) == pytest.approx(rms * np.sqrt(4 / 3), rel=0.05)
    steps = changed[:, 1:] - changed[:, :-1]
    assert float(steps.square().mean().sqrt()) < 0.3 * rms


def test_the_blue_end_alone_has_the_blue_error(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, BLUE_ERROR=0.06)
    redshift = torch.full((2000,), 0.2)
    changed = Mismatch(WAVE)(torch.ones(2000, len(WAVE)), redshift, np.random.default_rng(1)) - 1
    rest = WAVE / 1.2
    assert float(changed[:, rest > 4400].abs().max()) < 1e-3
    assert float(changed[:, rest < 3500].std()) == pytest.approx(0.06 * np.sqrt(4 / 3), rel=0.1)


def test_lines_change_and_absorption_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, LINE_ERROR=0.15)
    z = 0.05

    def gaussian(line: float) -> np.ndarray:
        return np.exp(-0.5 * (299792.458 * np.log(WAVE / (line * (1 + z))) / 150) ** 2)

    flux = 1 + 4 * gaussian(6564.61) - 0.5 * gaussian(4862.69)
    n = 2000
    changed = Mismatch(WAVE)(
        torch.as_tensor(flux).float().expand(n, -1), torch.full((n,), z), np.random.default_rng(2)
    ).numpy()
    at, absorbed = int(np.argmax(flux)), int(np.argmin(flux))
    strength = (changed[:, at] - 1) / (flux[at] - 1)
    assert strength.mean() == pytest.approx(1.0, abs=0.02)
    assert strength.std() == pytest.approx(0.15 * np.sqrt(4 / 3), rel=0.1)
    np.testing.assert_allclose(changed[:, absorbed], flux[absorbed], rtol=1e-5)
    continuum = np.abs(np.log(WAVE / (6564.61 * (1 + z)))) > 0.02
    np.testing.assert_allclose(changed[:, continuum], np.broadcast_to(flux[continuum], (n, continuum.sum())), rtol=1e-4)


def test_arms_with_gaps_are_no_trouble() -> None:
    moons = get_instrument("moons-lr")
    wave = np.concatenate([arm.grid.centres for arm in moons.arms])
    changed = Mismatch(wave)(torch.ones(8, len(wave)), torch.linspace(0, 5, 8), np.random.default_rng(3))
    assert bool(torch.isfinite(changed).all())
    assert 0.001 < float(changed.std()) < 0.2


def test_spikes_are_few_large_and_only_where_pixels_are_good() -> None:
    ivar = torch.full((400, 500), 4.0)
    ivar[:, :250] = 0.0
    flux = torch.zeros(400, 500)
    add_spikes(flux, ivar, np.random.default_rng(4))
    assert float(flux[:, :250].abs().max()) == 0.0
    hit = flux[flux != 0].abs() * 2
    assert 400 < len(hit) < 1400
    assert float(hit.median()) == pytest.approx(8.0, rel=0.2)


def test_strange_things_take_the_place_of_some_galaxies() -> None:
    strange = Strange(WAVE, 0.4)
    flux = torch.rand(500, len(WAVE)) + 1
    made = strange(flux, torch.zeros(500), np.random.default_rng(5))
    assert strange.rows.mean() == pytest.approx(0.4, abs=0.08)
    same = (made == flux).all(dim=1).numpy()
    np.testing.assert_array_equal(same, ~strange.rows)
    assert bool(torch.isfinite(made).all())
    np.testing.assert_allclose(made.mean(dim=1).abs(), flux.mean(dim=1), rtol=1e-3)


def test_a_survey_can_be_altered_before_noise() -> None:
    settings = make_settings("sdss", 6, "training", 3)
    plain, altered = ChunkMaker(settings), ChunkMaker(settings, alteration=lambda flux, _z, _rng: 3 * flux)
    one, three = plain(0).batch.arms[0], altered(0).batch.arms[0]
    bright = (one.flux * np.sqrt(one.ivar)) > 50
    assert bright.sum() > 100
    assert np.median(three.flux[bright] / one.flux[bright]) == pytest.approx(3.0, rel=0.02)


def test_mocks_with_strangers_say_which_rows_are_strange() -> None:
    maker = Mocks("sdss", 40, 3, 1.0, strangers=True).maker()
    made = maker(0)
    assert isinstance(maker.alteration, Alterations)
    assert len(maker.alteration.strange) == len(made) == 40
    assert 0 < maker.alteration.strange.sum() < 40
    assert {"star", "quasar"} & set(made.truth["class"])


def test_batches_come_from_both_instruments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "PIECE", 16)
    monkeypatch.setattr(pools, "BATCH", 16)
    instruments = [get_instrument(name) for name in ("sdss", "boss")]
    layout = Layout.of(*instruments, phases=16)
    streams = []
    for one in instruments:
        pool = Pool(tmp_path, one, 1)
        pool.grow(1)
        streams.append(Stream(one, layout, pool.load(), 1.0))
    mixture, rng = Mixture(streams), np.random.default_rng(6)
    reach = {int((mixture.batch(4, rng, whole=True).inputs.channels[:, 5] > 0).any(dim=0).sum()) for _ in range(12)}
    assert len(reach) > 1
    assert max(reach) > 0.99 * layout.n_pix > 0.93 * layout.n_pix > min(reach)


def test_a_detector_tells_clouds_apart_and_survives_a_file() -> None:
    rng = np.random.default_rng(7)
    galaxy = rng.random(4000) < 0.5
    signs = rng.standard_normal((4000, 6)) + np.where(galaxy, 0.0, 4.0)[:, None]
    detector = Detector.fit(signs, galaxy, np.full(4000, 10.0))
    again = Detector.of(detector.arrays())
    np.testing.assert_allclose(again.probability(signs), detector.probability(signs))
    other = rng.standard_normal((2000, 6))
    assert (detector.probability(other) < detector.limit).mean() < 0.02
    assert (detector.probability(other + 4) < detector.limit).mean() > 0.98


def test_signs_say_how_sure_the_redshift_is() -> None:
    sure, flat = np.eye(50)[:1], np.full((1, 50), 0.02)
    zeros = np.zeros((1, 2))
    first, second = (signs_of(zeros, zeros, p, np.array([3.0])) for p in (sure, flat))
    assert first[0, 4] == pytest.approx(0.0, abs=1e-9)
    assert second[0, 4] == pytest.approx(np.log(50))


def seen_with(widths: list[float]) -> tuple[Prepared, Instrument]:
    """Spectra whose line-spread function is so many times that of the instrument."""
    sdss = get_instrument("sdss")
    grid = Layout.of(sdss).grid
    usual = sdss.sigma(grid.centres)
    flux = np.ones((len(widths), len(grid)))
    sigma = np.stack([w * usual for w in widths])
    own = np.zeros(len(grid), dtype=np.int64)
    return Prepared(grid.centres, grid.widths, flux, flux, flux > 0, sigma, own), sdss


def test_a_wider_line_spread_function_is_taken_off_in_quadrature() -> None:
    seen, sdss = seen_with([1.0, 1.3])
    excess, ratio = excess_variance(seen, sdss, np.array([0.1, 0.1]))
    np.testing.assert_allclose(ratio, [1.0, 1.3])
    usual = 299792.458 / (2000 * 2.3548)
    assert excess[0] == 0.0
    assert excess[1] == pytest.approx((1.3**2 - 1) * usual**2, rel=0.15)
    sigma = corrected(np.array([[200.0, 45.0], [200.0, 45.0]]), excess)
    np.testing.assert_array_equal(sigma[0], [200.0, 45.0])
    assert sigma[1, 0] == pytest.approx(np.sqrt(200.0**2 - excess[1]))
    assert sigma[1, 1] == 40.0


def test_a_spectrum_without_good_pixels_is_no_trouble() -> None:
    seen, sdss = seen_with([1.1])
    blank = replace(seen, good=np.zeros_like(seen.good))
    excess, ratio = excess_variance(blank, sdss, np.array([0.1]))
    assert np.isfinite(excess).all()
    np.testing.assert_allclose(ratio, 1.1)
