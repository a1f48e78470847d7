"""Training: the pool, the stream of examples, checkpoints, and the posterior draws of a network that has learnt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import norm

from galfit_ml.errors import FileFormatError, GalfitMLError, OutputExistsError, PriorError, UnknownNameError
from galfit_ml.instruments import get_instrument
from galfit_ml.redshift_prior import RedshiftPrior
from galfit_ml.simulate.cosmology import Cosmology
from galfit_ml.simulate.prior import MASS_RANGE
from galfit_ml.simulate.threads import one_thread
from galfit_ml_cnn import draws
from galfit_ml_cnn import pool as pools
from galfit_ml_cnn.allowed import Allowed
from galfit_ml_cnn.brightness import Brightness
from galfit_ml_cnn.curves import draw_curves, read_log
from galfit_ml_cnn.draws import Question, draw
from galfit_ml_cnn.layout import Layout
from galfit_ml_cnn.network import Architecture
from galfit_ml_cnn.pool import COLUMNS, Piece, Pool, magnitude_limits
from galfit_ml_cnn.randomness import Random
from galfit_ml_cnn.schedule import Schedule
from galfit_ml_cnn.solutions import best_redshift
from galfit_ml_cnn.stream import Examples, Stream
from galfit_ml_cnn.targets import NAMES
from galfit_ml_cnn.team import Team, run_team
from galfit_ml_cnn.train import Watch, main, run
from galfit_ml_cnn.trainer import Recipe, Trainer
from galfit_ml_cnn.validation import fixed_examples, validate
from galfit_ml_cnn.weights import Trained, load, save

SDSS = get_instrument("sdss")
SMALL = Architecture(width=8, dilations=(1, 2), n_templates=4, kinds=3, fine=2, n_rest=4, n_embedding=8)
RECIPE = Recipe(batch=8, seed=3)


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> list[Piece]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pools, "PIECE", 96)
        patch.setattr(pools, "BATCH", 48)
        pool = Pool(tmp_path_factory.mktemp("pool"), SDSS, 5)
        pool.grow(2)
        return pool.load()


@pytest.fixture(scope="module")
def stream(pieces: list[Piece]) -> Stream:
    return Stream(SDSS, Layout.of(SDSS), pieces)


def column(labels: np.ndarray, name: str) -> np.ndarray:
    return np.asarray(labels[:, COLUMNS.index(name)])


# The pool.


def test_a_pool_grows_and_keeps_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "PIECE", 8)
    monkeypatch.setattr(pools, "BATCH", 8)
    pool = Pool(tmp_path, SDSS, 1)
    pool.grow(1)
    first = pool.path(0, "flux").read_bytes()
    seen: list[tuple[int, int]] = []
    pool.grow(2, lambda done, total, _: seen.append((done, total)))
    assert pool.path(0, "flux").read_bytes() == first
    assert [len(piece) for piece in pool.load()] == [8, 8]
    assert seen == [(16, 16)]
    assert not list(tmp_path.glob("*.part"))
    assert not np.array_equal(pool.load()[0].labels, pool.load()[1].labels)


def test_every_brightness_the_prior_allows_may_be_drawn(pieces: list[Piece]) -> None:
    labels = pieces[0].labels
    bright, faint = magnitude_limits(labels, SDSS)
    magnitude, mass = column(labels, "magnitude"), column(labels, "log_stellar_mass")
    assert (bright <= magnitude).all()
    assert (magnitude <= faint).all()
    for limit in (bright, faint):
        scaled = mass - 0.4 * (limit - magnitude)
        assert ((scaled > MASS_RANGE[0] - 1e-6) & (scaled < MASS_RANGE[1] + 1e-6)).all()


# Examples.


def test_examples_depend_on_the_seed_alone(stream: Stream) -> None:
    one, same, other = (stream.batch(8, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(one.inputs.channels, same.inputs.channels)
    assert not torch.equal(one.inputs.channels, other.inputs.channels)


def test_a_rescaled_galaxy_keeps_its_mass_to_light_ratio(stream: Stream, pieces: list[Piece]) -> None:
    rng = np.random.default_rng(4)
    flux, labels, _ = stream._rescaled(pieces[0], np.arange(20), rng)
    before = pieces[0].labels[:20]
    change = column(labels, "magnitude") - column(before, "magnitude")
    assert np.abs(change).max() > 0.5
    for name in ("log_stellar_mass", "log_sfr"):
        np.testing.assert_allclose(column(labels, name) - column(before, name), -0.4 * change, atol=1e-9)
    for name in ("redshift", "log_metallicity", "log_age"):
        np.testing.assert_array_equal(column(labels, name), column(before, name))
    stored = np.asarray(pieces[0].flux[:20], dtype=float).mean(1) * 10 ** column(before, "log_mean")
    np.testing.assert_allclose(flux.mean(1).numpy() / stored, 10 ** (-0.4 * change), rtol=1e-4)


def test_weights_make_the_magnitudes_flat_again() -> None:
    low, high = np.full(40000, 17.5), np.full(40000, 25.0)
    magnitude, weight = Brightness((17.0, 26.5)).draw(low, high, np.random.default_rng(0))
    assert magnitude.min() >= 17.5
    assert magnitude.max() <= 25.0
    drawn, flat = (np.histogram(magnitude, 10, (17.5, 25.0), weights=w)[0] / 4000 for w in (None, weight))
    np.testing.assert_allclose(flat, 1.0, atol=0.06)
    assert drawn.max() / drawn.min() > 2.5
    fixed, one = Brightness((17.0, 26.5)).draw(low, low, np.random.default_rng(0))
    np.testing.assert_allclose(fixed, 17.5)
    np.testing.assert_allclose(one, 1.0)


def test_what_is_left_out_is_marked_as_bad(stream: Stream) -> None:
    rng = np.random.default_rng(0)
    whole = stream.batch(64, rng, whole=True).inputs.channels[:, 5].mean(dim=1)
    cut = torch.cat([stream.batch(64, rng).inputs.channels[:, 5].mean(dim=1) for _ in range(2)])
    assert float(whole.min()) > 0.9 * float(whole.max())
    assert float(cut.min()) < 0.9 * float(whole.max())


# Learning.


def trainer(stream: Stream) -> Trainer:
    made = Trainer(("sdss",), SMALL, RECIPE, stream)
    made.standardise(fixed_examples(stream, 1, 64, 9))
    return made


def losses(trainer: Trainer, n: int) -> list[float]:
    with one_thread():  # two threads of a busy machine wait for each other
        return [trainer.learn(examples) for examples, _ in zip(trainer.examples(), range(n), strict=False)]


def test_a_run_taken_up_again_has_the_same_losses(stream: Stream, tmp_path: Path) -> None:
    whole = losses(trainer(stream), 6)
    first = trainer(stream)
    begun = losses(first, 3)
    first.save(tmp_path / "checkpoint.pt")
    second = trainer(stream)
    second.load(tmp_path / "checkpoint.pt")
    assert second.step == 3
    np.testing.assert_allclose([*begun, *losses(second, 3)], whole, rtol=1e-5)


def test_the_rate_rises_stays_and_falls_to_zero() -> None:
    schedule = Schedule(1.0, warm_up=10)
    assert schedule.rate(4) == pytest.approx(0.5)
    assert schedule.rate(500) == 1.0
    assert not schedule.finished(500)
    schedule.begin_descent(500, 100)
    schedule.begin_descent(550, 1)
    assert schedule.rate(549) == pytest.approx(0.5)
    assert schedule.rate(599) == pytest.approx(0.0)
    assert schedule.finished(600)


def test_the_last_stage_moves_encoder_and_branches_alone(stream: Stream) -> None:
    made = trainer(stream)
    made.finish()
    before = {name: value.clone() for name, value in made.network.state_dict().items()}
    losses(made, 2)
    moved = {name for name, value in made.network.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert all(name.startswith(("encoder.", "branches.")) for name in moved)


def test_a_run_in_its_last_stage_is_taken_up_there(stream: Stream, tmp_path: Path) -> None:
    first = trainer(stream)
    losses(first, 2)
    first.finish()
    losses(first, 2)
    first.save(tmp_path / "checkpoint.pt")
    second = trainer(stream)
    second.load(tmp_path / "checkpoint.pt")
    assert second.finishing
    np.testing.assert_allclose(losses(second, 2), losses(first, 2), rtol=1e-5)


@pytest.mark.slow
def test_a_training_runs_through_and_leaves_weights_and_a_log(stream: Stream, tmp_path: Path) -> None:
    made = trainer(stream)
    with one_thread():
        run(made, Watch(tmp_path, 12.0, 40, fixed_examples(stream, 1, 64, 9)))
    assert made.finishing
    assert made.schedule.finished(made.step)
    trained = load(tmp_path / "weights.safetensors")
    assert trained.about["steps"] == made.step
    rows = read_log(tmp_path / "log.jsonl")
    assert rows[-1]["step"] == made.step
    draw_curves(rows, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_that_is_absent_is_told_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(GalfitMLError, match="CUDA was asked for, and torch finds no CUDA device"):
        main(["moons-lr", "--out", str(tmp_path / "run"), "--device", "cuda"])
    assert not (tmp_path / "run").exists()


def test_a_folder_with_a_checkpoint_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"")
    with pytest.raises(OutputExistsError, match="Go on from it with --resume"):
        main(["moons-lr", "--out", str(tmp_path)])


def test_an_unknown_instrument_is_told_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="moons-lr"):
        main(["moons-l", "--out", str(tmp_path / "run")])


def averaged(team: Team, folder: str) -> None:
    parameter = torch.nn.Parameter(torch.zeros(3))
    parameter.grad = torch.tensor([1.0, 2.0, 3.0]) * (1 + team.rank)
    team.average([parameter])
    agreed = team.agree(10.0 + team.rank)
    np.save(Path(folder) / f"{team.rank}.npy", [*parameter.grad.tolist(), agreed])


@pytest.mark.slow
def test_processes_take_the_mean_step_and_the_time_of_the_first(tmp_path: Path) -> None:
    run_team(averaged, 2, str(tmp_path))
    for rank in (0, 1):
        np.testing.assert_allclose(np.load(tmp_path / f"{rank}.npy"), [1.5, 3.0, 4.5, 10.0])


@pytest.mark.slow
def test_a_small_network_learns_redshifts(stream: Stream) -> None:
    """Eight maps and 150 steps of sixteen spectra, all from 192 galaxies, which it then knows."""
    made = Trainer(("sdss",), SMALL, Recipe(batch=16, rate=5e-3), stream)
    held = fixed_examples(stream, 2, 64, 1)
    made.standardise(held)
    before = validate(made.network, held)
    losses(made, 150)
    after = validate(made.network, held)
    assert after.bins < before.bins - 1.0
    assert after.properties["log_stellar_mass"] < before.properties["log_stellar_mass"]


# Draws.


def drawn(
    stream: Stream, examples: Examples, dropout: float, n_draws: int = 64, prior: RedshiftPrior | None = None
) -> Any:
    torch.manual_seed(0)
    made_of = replace(SMALL, dropout=dropout)
    network = Trainer(("sdss",), made_of, RECIPE, stream).network.eval()
    network.fast = False
    random = [Random.of(made_of, n_draws, np.random.default_rng([7, i])) for i in range(len(examples.inputs))]
    allowed = Allowed.of([prior or RedshiftPrior()] * len(random), network.layout)
    question = Question(allowed, random, torch.ones(len(random)))
    return network, draw(network, examples.inputs, question, Cosmology.default())


def test_draws_lie_in_their_ranges(stream: Stream) -> None:
    examples = stream.batch(6, np.random.default_rng(2))
    network, made = drawn(stream, examples, 0.1)
    assert made.redshift.shape == (6, 64)
    low, high = network.layout.redshift
    assert bool(((made.redshift >= low) & (made.redshift <= high)).all())
    assert set(made.properties) == set(NAMES)
    assert all(bool(torch.isfinite(value).all()) and value.shape == (6, 64) for value in made.properties.values())
    torch.testing.assert_close(made.probability.sum(1), torch.ones(6), rtol=1e-4, atol=0)


def test_draws_have_the_stated_probabilities(stream: Stream) -> None:
    """Without dropout: the share of draws below the quartiles of the probability over bins."""
    examples = stream.batch(4, np.random.default_rng(2))
    network, made = drawn(stream, examples, 0.0, n_draws=4000)
    edges = torch.as_tensor(network.layout.bins + network.layout.bin_width / 2)
    for redshift, probability in zip(made.redshift, made.probability, strict=True):
        for share in (0.25, 0.5, 0.75):
            at = int(torch.searchsorted(probability.cumsum(0), share))
            below = float((torch.log1p(redshift) <= edges[at]).float().mean())
            assert below == pytest.approx(float(probability[: at + 1].sum()), abs=5 * 0.5 / np.sqrt(4000))


def test_a_range_of_redshifts_is_exact(stream: Stream) -> None:
    """Bins inside keep their proportions; no draw lies outside, nor beyond the middle of a bin that is cut."""
    examples = stream.batch(3, np.random.default_rng(2))
    network, free = drawn(stream, examples, 0.0)
    layout = network.layout
    low, high = np.expm1(layout.bins[100]), np.expm1(layout.bins[140] + layout.bin_width / 2)
    _, held = drawn(stream, examples, 0.0, prior=RedshiftPrior(low, high))
    expected = free.probability[:, 101:140] / free.probability[:, 101:140].sum(1, keepdim=True)
    found = held.probability[:, 101:140] / held.probability[:, 101:140].sum(1, keepdim=True)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)
    assert bool(((held.redshift >= low) & (held.redshift <= high)).all())
    assert float(held.probability[:, :100].sum()) == pytest.approx(0.0, abs=1e-6)


def test_a_fixed_redshift_is_every_draw(stream: Stream) -> None:
    examples = stream.batch(3, np.random.default_rng(2))
    _, made = drawn(stream, examples, 0.1, prior=RedshiftPrior(0.123456789, 0.123456789))
    assert bool((made.redshift == 0.123456789).all())
    assert float(made.properties["dust_av"].std()) > 0


def test_a_distribution_multiplies_the_density(stream: Stream) -> None:
    """A normal prior over what the network says, summed bin by bin."""
    examples = stream.batch(2, np.random.default_rng(2))
    network, free = drawn(stream, examples, 0.0)
    prior = norm(0.3, 0.02)
    _, held = drawn(stream, examples, 0.0, n_draws=4000, prior=RedshiftPrior(0.0, np.inf, prior))
    z = np.expm1(network.layout.bins)
    weight = free.probability.double().numpy() * prior.pdf(z)
    mean = (weight * z).sum(1) / weight.sum(1)
    width = np.sqrt((weight * (z - mean[:, None]) ** 2).sum(1) / weight.sum(1))
    np.testing.assert_allclose(held.redshift.mean(1), mean, atol=5 * width.max() / np.sqrt(4000) + 2e-4)
    np.testing.assert_allclose(held.redshift.std(1), width, rtol=0.08)


def test_a_prior_beyond_the_network_is_refused(stream: Stream) -> None:
    with pytest.raises(PriorError, match="what the network covers"):
        Allowed.of([RedshiftPrior(3.0, 4.0)], stream.layout)


def test_without_dropout_the_draws_know_no_network_error(stream: Stream) -> None:
    """p = 0: the masks' numbers change nothing. p > 0: they do."""
    examples = stream.batch(3, np.random.default_rng(2))
    for dropout, same in ((0.0, True), (0.4, False)):
        torch.manual_seed(0)
        made_of = replace(SMALL, dropout=dropout)
        network = Trainer(("sdss",), made_of, RECIPE, stream).network.eval()
        network.fast = False
        random = [Random.of(made_of, 16, np.random.default_rng([7, i])) for i in range(3)]
        other = [replace(one, maps=one.maps.flip(0), latent=one.latent.flip(0)) for one in random]
        allowed = Allowed.of([RedshiftPrior()] * 3, network.layout)
        asked = (Question(allowed, numbers, torch.ones(3)) for numbers in (random, other))
        first, second = (draw(network, examples.inputs, question, Cosmology.default()) for question in asked)
        assert torch.equal(first.redshift, second.redshift) is same
        assert torch.equal(first.properties["dust_av"], second.properties["dust_av"]) is same


def test_the_best_window_is_found(stream: Stream) -> None:
    layout = stream.layout
    logits = torch.full((1, layout.n_bins), -20.0)
    logits[0, 300:304] = 0.0
    logits[0, 900] = 0.5
    found = best_redshift(torch.softmax(logits.double(), dim=1).numpy(), layout)
    assert float(found[0]) == pytest.approx(np.expm1(layout.bins[300:304].mean()), abs=1e-4)


def test_few_shifts_are_summed_as_many_are_transformed(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Correlations at single shifts and by Fourier transforms make the same draws."""
    examples = stream.batch(3, np.random.default_rng(5))
    monkeypatch.setattr(draws, "HOPELESS", 1e9)
    made = []
    for few in (0, 10**6):
        monkeypatch.setattr(draws, "FEW", few)
        made.append(drawn(stream, examples, 0.2)[1])
    torch.testing.assert_close(made[0].probability, made[1].probability, rtol=1e-3, atol=1e-7)
    assert float((made[0].redshift != made[1].redshift).float().mean()) < 0.02


def test_hopeless_redshifts_are_left_out_and_the_rest_keeps_its_proportions(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = stream.batch(3, np.random.default_rng(5))
    layout = stream.layout
    window = RedshiftPrior(float(np.expm1(layout.bins[400])), float(np.expm1(layout.bins[430])))
    _, few = drawn(stream, examples, 0.2, prior=window)
    monkeypatch.setattr(draws, "FEW", 0)
    _, many = drawn(stream, examples, 0.2, prior=window)
    torch.testing.assert_close(few.probability, many.probability, rtol=1e-3, atol=1e-7)


def test_a_training_can_start_from_weights_of_the_same_sizes(stream: Stream, tmp_path: Path) -> None:
    made = Trainer(("sdss",), SMALL, RECIPE, stream)
    losses(made, 2)
    save(tmp_path / "w.safetensors", Trained(made.network, ("sdss",), {}))
    again = Trainer(("sdss",), SMALL, replace(RECIPE, seed=9), stream)
    again.begin_with(load(tmp_path / "w.safetensors"), tmp_path / "w.safetensors")
    first, second = (next(iter(one.network.trunk.parameters())) for one in (made, again))
    torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-4)
    other = Trainer(("sdss",), replace(SMALL, kinds=2), RECIPE, stream)
    with pytest.raises(GalfitMLError, match="Start from weights of the same instruments, --size and --phases"):
        other.begin_with(load(tmp_path / "w.safetensors"), tmp_path / "w.safetensors")


def test_weights_to_start_from_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no weights at .* to start from"):
        main(["sdss", "--out", str(tmp_path / "run"), "--start", str(tmp_path / "none.safetensors")])
