"""The latent space: probes with a known answer, matching that balances, rows that are kept, the report."""

from __future__ import annotations

import builtins
import csv
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import FreshPython
from posterior_samples import GALAXY, sample_draws, sample_posterior

from galfit_ml.cli import main
from galfit_ml.errors import UnknownNameError
from galfit_ml.flags import Flag
from galfit_ml.latent import (
    Folds,
    LatentError,
    MissingPackageError,
    classify,
    compare_classes,
    compare_values,
    embedding_of,
    imbalance,
    log_ssfr,
    matched_pairs,
    medians,
    pca,
    project,
    regress,
    umap,
)
from galfit_ml.latent.scores import auc, bootstrap_auc, r2
from galfit_ml.posterior import Posterior

FEW = Folds(n_bootstrap=200)


def noise(n: int, k: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, k))


def two_classes(n: int, shift: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features [n, 6] of which one is `shift` larger in the class "Sp", and the labels."""
    labels = np.where(np.arange(n) % 3 == 0, "E", "Sp")
    features = noise(n, 6, seed)
    features[:, 2] += shift * (labels == "Sp")
    return features, labels


def galaxies(n: int = 60, seed: int = 2) -> Posterior:
    """A posterior of which the embedding knows a class (feature 0) and a number (feature 1); the last row failed."""
    rng = np.random.default_rng(seed)
    embedding = rng.standard_normal((n, 5))
    embedding[:, 0] += 5.0 * (np.arange(n) % 2)
    draws = sample_draws(n, 40, GALAXY) + 0.2 * rng.standard_normal((n, 1, 1))
    flags = np.zeros(n, dtype=np.int64)
    flags[-1], draws[-1], embedding[-1] = int(Flag.FAILED), np.nan, np.nan
    reasons = ("",) * (n - 1) + ("every pixel is masked",)
    told = {"signal_to_noise": rng.uniform(1, 20, n)}
    made = {"backend": "cnn"}
    ids = tuple(f"galaxy-{i}" for i in range(n))
    return Posterior(GALAXY, draws, ids, flags, reasons, embedding=embedding, diagnostics=told, provenance=made)


def test_the_auc_is_the_share_of_pairs_in_the_right_order_and_ties_are_halves() -> None:
    score = np.array([0.0, 1.0, 1.0, 2.0, 3.0, 0.5])
    positive = np.array([False, True, False, True, False, False])
    pairs = [(p > q) + 0.5 * (p == q) for p in score[positive] for q in score[~positive]]
    assert auc(score, positive)[0] == pytest.approx(np.mean(pairs))


def test_a_weight_counts_a_row_so_often() -> None:
    score, positive = np.array([0.1, 0.7, 0.4, 0.9]), np.array([False, False, True, True])
    rows = np.repeat(np.arange(4), [1, 3, 2, 1])
    weighted = auc(score, positive, np.array([[1.0, 3.0, 2.0, 1.0]]))
    assert weighted[0] == pytest.approx(auc(score[rows], positive[rows])[0])


def test_the_bootstrap_error_is_that_of_hanley_and_mcneil() -> None:
    rng = np.random.default_rng(1)
    positive = np.arange(600) % 3 == 0
    score = rng.standard_normal(600) + positive
    area = float(auc(score, positive)[0])
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    n, m = positive.sum(), (~positive).sum()
    variance = (area * (1 - area) + (n - 1) * (q1 - area**2) + (m - 1) * (q2 - area**2)) / (n * m)
    assert bootstrap_auc(score, positive, 1000, 0).std() == pytest.approx(np.sqrt(variance), rel=0.15)


def test_r2_is_one_for_the_truth_zero_for_the_mean_and_survives_large_numbers() -> None:
    truth = 1e9 + np.arange(20.0)
    assert r2(truth, truth)[0] == 1.0
    assert r2(np.full(20, truth.mean()), truth)[0] == pytest.approx(0.0, abs=1e-9)


def test_separable_classes_are_told_apart() -> None:
    found = classify(*two_classes(240, 8.0), ("E", "Sp"), FEW)
    assert found.auc > 0.999
    assert found.score[found.positive].min() > found.score[~found.positive].max() - 1.0


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_random_labels_give_half(seed: int) -> None:
    found = classify(*two_classes(300, 0.0, seed), ("E", "Sp"), FEW)
    assert abs(found.auc - 0.5) < 4 * found.error
    assert 0.02 < found.error < 0.06


def test_a_known_overlap_gives_the_known_area() -> None:
    from scipy.stats import norm

    found = classify(*two_classes(3000, 1.0), ("E", "Sp"), FEW)
    assert found.auc == pytest.approx(norm.cdf(1 / np.sqrt(2)), abs=3 * found.error)


def test_the_order_of_the_classes_says_which_scores_high() -> None:
    features, labels = two_classes(150, 4.0)
    one, other = (classify(features, labels, pair, FEW) for pair in (("E", "Sp"), ("Sp", "E")))
    np.testing.assert_array_equal(one.positive, ~other.positive)
    assert one.auc == pytest.approx(other.auc, abs=0.01)


def test_the_share_that_is_linear_is_predicted() -> None:
    features = noise(3000, 8)
    target = 5.0 + features[:, 0] - 2 * features[:, 3] + np.sqrt(5.0) * noise(3000, 1, 9)[:, 0]
    found = regress(features, target, FEW)
    assert found.r2 == pytest.approx(0.5, abs=3 * found.error)
    assert 0.005 < found.error < 0.03


def test_noise_predicts_nothing_and_another_model_may_stand_in() -> None:
    features = noise(400, 5)
    assert abs(regress(features, noise(400, 1, 4)[:, 0], FEW).r2) < 0.05
    squared = features[:, 0] ** 2
    cheating = lambda _x, _y: lambda more: more[:, 0] ** 2  # noqa: E731
    assert regress(features, squared, FEW).r2 < 0.1
    assert regress(features, squared, FEW, cheating).r2 == pytest.approx(1.0)


def test_the_same_seed_gives_the_same_numbers() -> None:
    features, labels = two_classes(90, 1.0)
    one, other = (classify(features, labels, ("E", "Sp"), FEW) for _ in range(2))
    np.testing.assert_array_equal(one.score, other.score)
    np.testing.assert_array_equal(one.samples, other.samples)


def test_rows_without_features_are_kept_as_nan() -> None:
    features, labels = two_classes(120, 3.0)
    features[[4, 50]] = np.nan
    labels[10] = "Irr"
    found = classify(features, labels, ("E", "Sp"), FEW)
    assert len(found.score) == 120
    assert np.flatnonzero(np.isnan(found.score)).tolist() == [4, 10, 50]
    projection = pca(features)
    assert projection.coordinates.shape == (120, 2)
    assert np.flatnonzero(np.isnan(projection.coordinates[:, 0])).tolist() == [4, 50]
    predicted = regress(features, np.where(np.arange(120) == 7, np.nan, features[:, 1]), FEW)
    assert np.flatnonzero(~predicted.rows).tolist() == [4, 7, 50]


@pytest.mark.parametrize(
    ("labels", "pair", "message"),
    [
        (["E"] * 40, ("E", "Sp"), "'E' 40, 'Sp' 0; each needs at least 5"),
        (["E"] * 37 + ["Sp"] * 3, ("E", "Sp"), "'E' 37, 'Sp' 3; each needs at least 5"),
        (["E"] * 20 + ["Sp"] * 19, ("E", "Sp"), "40 spectra and 39 labels"),
        (["E"] * 20 + ["Sp"] * 20, ("E", "E"), "Two different classes"),
    ],
)
def test_labels_that_cannot_be_learnt_are_named_with_their_numbers(
    labels: list[str], pair: tuple[str, str], message: str
) -> None:
    with pytest.raises(LatentError) as caught:
        classify(noise(40, 3), labels, pair)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: regress(noise(40, 3), np.ones(40)), "nothing to predict"),
        (lambda: regress(noise(40, 3), np.full(40, np.nan)), "0 of 40 rows"),
        (lambda: classify(noise(4, 3)[:, :, None], ["E"] * 4, ("E", "Sp")), r"\[n, n_features\]"),
        (lambda: Folds(1), "At least 2 folds"),
        (lambda: pca(np.full((5, 3), np.nan)), "0 of 5 rows"),
        (lambda: pca(noise(9, 3), 4), "at most 3"),
        (lambda: compare_classes({}, ["E"], ("E", "Sp")), "no feature set"),
        (lambda: compare_values({"a": noise(4, 1), "b": noise(5, 1)}, np.ones(4)), "same number of rows"),
        (lambda: matched_pairs([0.0, 1.0], ["E", "Sp"], ("E", "Sp"), caliper=0.5), "do not overlap"),
        (lambda: matched_pairs([0.0, 1.0], ["E", "Sp"], ("E", "Sp"), caliper=2.0), "between 0 and 1"),
    ],
)
def test_what_makes_no_sense_is_said(call: Any, message: str) -> None:
    with pytest.raises(LatentError, match=message):
        call()


def test_principal_components_are_those_of_the_covariance() -> None:
    mixed = noise(500, 4) @ np.array([[3.0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0.5], [0, 0, 0, 0.1]])
    found = pca(mixed, 4)
    correlation = np.corrcoef(mixed.T)
    np.testing.assert_allclose(found.explained, np.sort(np.linalg.eigvalsh(correlation))[::-1] / 4, rtol=1e-6)
    np.testing.assert_allclose(np.cov(found.coordinates.T), np.diag(np.diag(np.cov(found.coordinates.T))), atol=1e-9)
    largest = found.directions[np.arange(4), np.abs(found.directions).argmax(axis=1)]
    assert (largest > 0).all()
    again = pca(mixed[::-1], 4)
    np.testing.assert_allclose(again.coordinates[::-1], found.coordinates, atol=1e-8)


def test_a_constant_feature_changes_nothing() -> None:
    features = noise(50, 3)
    more = np.concatenate([features, np.full((50, 1), 7.0)], axis=1)
    np.testing.assert_allclose(pca(more).coordinates, pca(features).coordinates, atol=1e-9)


def test_matching_balances_what_differed() -> None:
    rng = np.random.default_rng(5)
    labels = np.where(np.arange(900) % 3 == 0, "E", "Sp")
    shift = 0.8 * (labels == "E")
    covariates = np.stack(
        [10 ** (rng.standard_normal(900) + shift), 0.1 * rng.standard_normal(900) - 0.1 * shift], axis=1
    )
    covariates[17] = np.nan
    first, second = matched_pairs(covariates, labels, ("E", "Sp"), seed=1)
    assert 100 < len(first) == len(second)
    assert len(set(first)) == len(set(second)) == len(first)
    assert (labels[first] == "E").all()
    assert (labels[second] == "Sp").all()
    assert 17 not in {*first, *second}
    logs = np.stack([np.log10(covariates[:, 0]), covariates[:, 1]], axis=1)
    before = imbalance(logs, np.flatnonzero(labels == "E"), np.flatnonzero(labels == "Sp"))
    assert (np.abs(before) > 0.5).all()
    assert (np.abs(imbalance(logs, first, second)) < 0.1).all()
    other = matched_pairs(covariates, labels, ("Sp", "E"), seed=1)
    np.testing.assert_array_equal(other[0], second)
    np.testing.assert_array_equal(other[1], first)


def test_matching_takes_away_what_a_covariate_explains() -> None:
    rng = np.random.default_rng(6)
    labels = np.where(rng.random(1500) < 0.4, "E", "Sp")
    brightness = rng.standard_normal(1500) + 1.2 * (labels == "E")
    rows = np.concatenate(matched_pairs(brightness, labels, ("E", "Sp"), caliper=0.02))
    assert classify(brightness, labels, ("E", "Sp"), FEW).auc > 0.75
    assert classify(brightness[rows], labels[rows], ("E", "Sp"), FEW).auc < 0.56


def test_differences_have_paired_errors() -> None:
    features, labels = two_classes(600, 1.5)
    twin = features + 0.01 * noise(600, 6, 3)
    found = compare_classes({"one": features, "twin": twin, "noise": noise(600, 6, 8)}, labels, ("E", "Sp"), FEW)
    assert found.n == 600
    gain, error = found.gain("one", "twin")
    assert abs(gain) < 0.01
    assert error < 0.2 * found["one"][1]
    gain, error = found.gain("one", "noise")
    assert gain > 5 * error
    assert found.gain("noise", "one")[0] == -gain
    with pytest.raises(LatentError, match="there are: one, twin, noise"):
        found["two"]


def test_sets_are_compared_on_the_rows_that_all_know() -> None:
    features = noise(200, 3)
    column = features[:, 0].copy()
    column[:50] = np.nan
    found = compare_values({"all": features, "one": column}, features[:, 0], FEW)
    assert found.n == 150
    assert found["all"][0] == pytest.approx(1.0, abs=1e-3)


def test_a_posterior_gives_its_feature_sets() -> None:
    posterior = galaxies()
    latent = embedding_of(posterior)
    assert latent.shape == (60, 5)
    assert np.isnan(latent[-1]).all()
    names, values = medians(posterior)
    assert names == GALAXY.names
    assert values.shape == (60, 9)
    difference = posterior["log_sfr"][0] - posterior["log_stellar_mass"][0]
    assert log_ssfr(posterior)[0] == pytest.approx(np.median(difference))


def test_what_failed_has_no_embedding_whatever_the_backend_left_there() -> None:
    posterior = galaxies()
    filled = replace(posterior, embedding=np.nan_to_num(posterior.embedding))
    assert np.isnan(embedding_of(filled)[-1]).all()


def test_masses_that_nobody_can_give_are_left_out() -> None:
    posterior = galaxies()
    draws = posterior.draws.copy()
    draws[:, :, [1, 2]] = np.nan
    names, _ = medians(replace(posterior, draws=draws))
    assert "log_sfr" not in names
    assert len(names) == 7


def test_a_backend_without_a_latent_space_is_named() -> None:
    posterior = replace(sample_posterior(), embedding=None)
    for call in (lambda: embedding_of(posterior), posterior.plot_embedding):
        with pytest.raises(ValueError, match="The backend 'emcee' has no latent space; use backend='cnn'"):
            call()


def texts(figure: Any) -> list[str]:
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_the_plot_shows_every_spectrum_with_a_result() -> None:
    posterior = galaxies()
    figure = posterior.plot_embedding()
    (points,) = figure.axes[0].collections
    assert len(points.get_offsets()) == 59
    assert any(text.startswith("PC 1 (") for text in texts(figure))
    assert figure._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("colour", "shown"),
    [
        ("log_sfr", "SFR"),
        ("velocity_dispersion", "km / s"),
        ("log_ssfr", "sSFR"),
        ("signal_to_noise", "signal to noise"),
    ],
)
def test_points_are_coloured_by_what_is_named(colour: str, shown: str) -> None:
    figure = galaxies().plot_embedding(colour)
    assert any(shown in text for text in texts(figure))
    assert len(figure.axes) == 2
    figure.canvas.draw()


def test_points_are_coloured_by_numbers_and_labels() -> None:
    posterior = galaxies()
    numbers = posterior.plot_embedding(np.arange(60))
    assert numbers.axes[0].collections[1].get_array().max() == 58
    labels = ["$E_$"] * 30 + ["Sp"] * 20 + [None] * 10
    figure = posterior.plot_embedding(labels)
    assert {"$E_$ (30)", "Sp (20)", "no label (9)"} <= set(texts(figure))
    figure.canvas.draw()


def test_colours_that_nobody_knows_are_refused() -> None:
    posterior = galaxies()
    with pytest.raises(UnknownNameError, match="Did you mean 'log_sfr'"):
        posterior.plot_embedding("log_sfrr")
    with pytest.raises(LatentError, match="60 spectra and 3 colours"):
        posterior.plot_embedding([1, 2, 3])
    with pytest.raises(UnknownNameError, match="umap"):
        posterior.plot_embedding(method="tsne")


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **more: Any) -> Any:
        if name.partition(".")[0] in {"sklearn", "umap"}:
            raise ImportError(f"No module named {name!r}")
        return real(name, *args, **more)

    monkeypatch.setattr("importlib.import_module", lambda name: without(name))
    with pytest.raises(MissingPackageError, match=r'pip install "galfit-ml\[latent\]"'):
        classify(*two_classes(30, 1.0), ("E", "Sp"))
    with pytest.raises(MissingPackageError, match="umap-learn"):
        umap(noise(30, 3))


def test_scikit_learn_is_not_loaded_before_it_is_needed(fresh_python: FreshPython) -> None:
    code = "import sys, galfit_ml.latent, galfit_ml.cli; print([m for m in ('sklearn', 'umap') if m in sys.modules])"
    assert fresh_python(code).stdout.strip() == "[]"


def test_probes_may_learn_from_all_and_be_scored_in_some() -> None:
    features, labels = two_classes(300, 1.5)
    chosen = np.arange(300) < 120
    everything, some = (classify(features, labels, ("E", "Sp"), FEW, scored=rows) for rows in (None, chosen))
    np.testing.assert_array_equal(everything.score, some.score)
    assert some.rows.sum() == 120
    assert some.auc == auc(some.score[chosen], some.positive[chosen])[0]
    with pytest.raises(LatentError, match="300 times True or False"):
        classify(features, labels, ("E", "Sp"), FEW, scored=np.arange(12))
    with pytest.raises(LatentError, match="'E' 0"):
        classify(features, labels, ("E", "Sp"), FEW, scored=labels == "Sp")


def test_spectra_at_rest_have_their_lines_in_one_place() -> None:
    from benchmarks.latent.spectra import components, over_continuum
    from galfit_ml.prepare import Prepared
    from galfit_ml_cnn.layout import Layout

    layout = Layout(4000.0, 6 * 700, (0.0, 0.5))
    redshift = np.array([0.1, 0.2, 0.3, 0.3])
    wave = layout.grid.centres
    line = np.exp(-0.5 * ((wave / (1 + redshift[:, None]) - 4862.7) / 3.0) ** 2)
    flux = 10.0 + 10.0 * line
    one = np.ones_like(flux)
    seen = Prepared(wave, layout.grid.widths, flux, one, one > 0, one, np.zeros(len(wave), dtype=np.int64))
    rest = over_continuum(seen, layout, redshift)
    assert np.ptp(rest.argmax(axis=1)) <= 1
    observed = over_continuum(seen, layout)
    assert observed.shape == (4, 700)
    step = np.diff(observed[:3].argmax(axis=1)) * layout.step
    np.testing.assert_allclose(step, np.diff(np.log1p(redshift[:3])), atol=layout.step)
    found = components(observed, 2)
    assert found.shape == (4, 2)
    np.testing.assert_allclose(found[2], found[3], atol=1e-3)
    assert found[:, 0].var() >= found[:, 1].var()


@pytest.mark.slow
def test_umap_keeps_groups_apart_and_is_reproducible() -> None:
    pytest.importorskip("umap", exc_type=ImportError)
    features, labels = two_classes(120, 30.0)
    features[5] = np.nan
    one, other = (project(features, "umap", seed=3).coordinates for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert np.isnan(one[5]).all()
    known = np.isfinite(one[:, 0])
    assert classify(one[known], labels[known], ("E", "Sp"), FEW).auc > 0.99


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, Path]:
    """A posterior in a file, and labels of all but five of its spectra, in another order."""
    posterior = galaxies()
    table = tmp_path / "labels.csv"
    rows = [
        f"galaxy-{i},{'Sp' if i % 2 else 'E'},{embedding:.6f},{i / 60:.4f}"
        for i, embedding in enumerate(np.nan_to_num(posterior.embedding)[:55, 1])
    ]
    table.write_text("id,type,ratio,depth\n" + "\n".join(rows[::-1]) + "\n")
    return posterior.save(tmp_path / "result.fits"), table


def test_the_command_writes_a_report(saved: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    result, labels = saved
    out = tmp_path / "report"
    asked = ["latent", str(result), "--labels", str(labels), "--column", "type", "ratio", "--out", str(out)]
    assert main([*asked, "--match", "signal_to_noise", "depth", "--caliper", "0.3"]) == 0
    said = capsys.readouterr().out
    assert "E / Sp" in said
    with (out / "report.csv").open() as file:
        lines = {(line["column"], line["sample"], line["features"]): line for line in csv.DictReader(file)}
    assert len(lines) == 9
    assert float(lines["type", "all", "embedding"]["value"]) > 0.99
    assert float(lines["type", "all", "embedding"]["embedding_gain"]) == 0
    assert float(lines["type", "matched", "embedding"]["value"]) > 0.95
    assert float(lines["ratio", "all", "embedding"]["value"]) > 0.95
    assert lines["type", "all", "log sSFR alone"]["n"] == "55"
    page = (out / "index.html").read_text()
    pictures = sorted(path.name for path in out.glob("*.png"))
    assert len(pictures) == 7
    assert all(f'src="{name}"' in page for name in pictures)
    assert "http" not in page
    assert "55 of 60 spectra have a row" in page
    assert main(asked) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*asked, "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("table", "column", "message"),
    [
        ("name,type\na,E\n", "type", "has no column 'id'"),
        ("id,type\nnobody,E\n", "type", "like 'nobody'"),
        ("id,type\ngalaxy-1,E\n", "tpye", "Did you mean 'type'"),
        ("id,type\ngalaxy-1,E\ngalaxy-1,Sp\n", "type", "more than one row of 'galaxy-1'"),
        ("", "type", "cannot be read as a table"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(
    saved: tuple[Path, Path], capsys: pytest.CaptureFixture, table: str, column: str, message: str
) -> None:
    result, labels = saved
    labels.write_text(table)
    out = labels.parent / "report"
    assert main(["latent", str(result), "--labels", str(labels), "--column", column, "--out", str(out)]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_a_handful_of_pairs_is_not_compared(saved: tuple[Path, Path], capsys: pytest.CaptureFixture) -> None:
    result, labels = saved
    out = labels.parent / "report"
    asked = ["--labels", str(labels), "--column", "type", "--match", "signal_to_noise", "depth", "--caliper", "0.02"]
    assert main(["latent", str(result), *asked, "--out", str(out)]) == 0
    assert re.search(r"only \d pairs are alike in signal_to_noise, depth|do not overlap", capsys.readouterr().err)
    assert "matched" not in (out / "report.csv").read_text()


def test_classes_that_are_too_small_are_a_remark(
    saved: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    result, labels = saved
    labels.write_text("id,type\n" + "".join(f"galaxy-{i},{'E' if i else 'Irr'}\n" for i in range(30)))
    asked = ["--labels", str(labels), "--column", "type", "--out", str(tmp_path / "report")]
    assert main(["latent", str(result), *asked]) == 0
    assert "no two classes to compare" in capsys.readouterr().err


def test_a_posterior_without_a_latent_space_is_refused(
    saved: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    plain = replace(sample_posterior(), embedding=None).save(tmp_path / "plain.fits")
    asked = ["--labels", str(saved[1]), "--column", "type", "--out", str(tmp_path / "report")]
    assert main(["latent", str(plain), *asked]) == 2
    assert "use backend='cnn'" in capsys.readouterr().err
