"""From p(z) to tables: windows, reliability, cached answers, the command line of the reference limits."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from benchmarks.limits import references as references_module
from benchmarks.limits.__main__ import main
from benchmarks.limits.cache import read_arrays, short_hash, source_of, write_arrays
from benchmarks.limits.figure import draw
from benchmarks.limits.library import load_library, settings_key, training_prior
from benchmarks.limits.mocks import LimitsError, Mocks
from benchmarks.limits.options import number_range
from benchmarks.limits.references import References, references
from benchmarks.limits.tables import Scores, convergence_table, reliability_table, success_table, write_csv
from benchmarks.limits.window import SUCCESS, Answers, answers, probability, success, window_sums
from galfit_ml.errors import FileFormatError, UnknownNameError
from galfit_ml.instruments import get_instrument
from galfit_ml.simulate import survey
from galfit_ml_emcee.library.axis import Bin, ScanAxis
from galfit_ml_emcee.library.library import Library
from galfit_ml_emcee.library.scan import LibraryScan
from galfit_ml_emcee.library.templates import Size

AXIS = ScanAxis(3800.0, 9200.0, (0.0, 0.3), 70.0)
SDSS = get_instrument("sdss")


def peaks(*at: tuple[float, float], width: float = 3e-4) -> np.ndarray:
    """ln of a sum of Gaussians in ln(1 + z), [1, n_z]; pairs of redshift and share."""
    x = np.log1p(AXIS.redshifts)
    p = sum(share * np.exp(-0.5 * ((x - np.log1p(z)) / width) ** 2) for z, share in at)
    return np.log(np.maximum(p, 1e-300))[None]


def test_probabilities_add_up_to_one_however_small_the_likelihoods() -> None:
    log_p = peaks((0.1, 1.0)) - 1e5
    assert probability(log_p).sum() == pytest.approx(1.0)
    log_p[0, 3] = -np.inf
    assert probability(log_p)[0, 3] == 0.0


def test_window_sums_are_direct_sums_with_the_ends_cut() -> None:
    p = np.random.default_rng(0).random((2, 40))
    for reach in (0, 3, 60):
        direct = [[row[max(i - reach, 0) : i + reach + 1].sum() for i in range(40)] for row in p]
        np.testing.assert_allclose(window_sums(p, reach), direct)


def test_the_answer_is_the_middle_of_the_most_probable_window_not_the_highest_peak() -> None:
    # A high but narrow peak at 0.05; a lower and broader one at 0.2, which holds more probability.
    narrow, broad = peaks((0.05, 1.0), width=1e-4), peaks((0.2, 0.5), width=1e-3)
    log_p = np.logaddexp(narrow, broad)
    assert AXIS.redshifts[log_p.argmax()] == pytest.approx(0.05, abs=5e-4)
    found = answers(log_p, AXIS)
    assert found.redshift[0] == pytest.approx(0.2, abs=5e-4)
    assert found.second[0] == pytest.approx(0.05, abs=2 * SUCCESS)
    p = probability(log_p)[0]
    for z, stated in ((0.2, found.probability[0]), (0.05, found.second_probability[0])):
        assert stated == pytest.approx(p[np.abs(AXIS.redshifts - z) < SUCCESS * (1 + z)].sum(), abs=0.01)


def test_two_windows_do_not_overlap_and_are_the_best_there_are() -> None:
    rng = np.random.default_rng(1)
    log_p = 3 * rng.standard_normal((20, len(AXIS.lags)))
    found = answers(log_p, AXIS)
    reach = int(np.log1p(SUCCESS) / AXIS.step)
    assert reach == 14
    p = probability(log_p)
    for row in range(20):
        sums = np.array([p[row, max(i - reach, 0) : i + reach + 1].sum() for i in range(p.shape[1])])
        best = int(sums.argmax())
        assert found.probability[row] == pytest.approx(sums[best])
        sums[max(best - 2 * reach, 0) : best + 2 * reach + 1] = 0
        assert found.second_probability[row] == pytest.approx(sums.max())
        assert success(found.redshift[row : row + 1], AXIS.redshifts[best : best + 1])


def test_success_is_relative_to_one_plus_z() -> None:
    truth = np.array([0.0, 0.0, 4.0, 4.0])
    assert success(truth + np.array([0.0032, 0.0034, 0.016, 0.017]), truth).tolist() == [True, False, True, False]


def test_the_axis_has_every_redshift_in_one_bin_and_shifts_whole_pixels() -> None:
    axis = ScanAxis.of(get_instrument("moons-lr"))
    bins = axis.bins()
    assert np.concatenate([np.arange(b.start, b.stop) for b in bins]).tolist() == axis.lags.tolist()
    assert axis.redshifts[0] == 0.0
    assert 5.0 <= axis.redshifts[-1] < 5.001
    rest = axis.points(-axis.lags[-1], axis.n_pix)
    for lag in (0, 100, axis.lags[-1]):
        shifted = rest[axis.lags[-1] - lag :][: axis.n_pix] * (1 + axis.redshifts[lag])
        np.testing.assert_allclose(shifted, axis.points(0, axis.n_pix), rtol=1e-12)


def test_bins_are_narrower_where_the_forest_is_seen() -> None:
    axis = ScanAxis.of(get_instrument("moons-lr"))
    widths = {len(b) * axis.step for b in axis.bins() if axis.low / np.exp(b.start * axis.step) < 1215}
    assert max(widths) < 0.06
    assert max(len(b) * axis.step for b in axis.bins()) < 0.21


def test_spreading_keeps_sums_and_its_transpose_interpolates() -> None:
    wavelength = np.sort(np.random.default_rng(2).uniform(3810, 9190, 500))
    spread = AXIS.spreading(wavelength)
    np.testing.assert_allclose(np.asarray(spread.sum(axis=0)).ravel(), 1.0)
    linear = np.log(AXIS.points(0, AXIS.n_pix))
    np.testing.assert_allclose(spread.T @ linear, np.log(wavelength), rtol=1e-12)


def test_the_prior_of_the_library_is_that_of_the_training_mocks() -> None:
    from galfit_ml.simulate.surveys.settings import make_settings

    for name in ("moons-lr", "sdss", "desi"):
        instrument = get_instrument(name)
        settings, prior = make_settings(instrument, 1), training_prior(instrument)
        assert (settings.redshift, settings.magnitude) == (prior.redshift, prior.magnitude)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return load_library(SDSS, AXIS, Size(48, 8), folder=tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def mocks() -> Mocks:
    return Mocks.of(survey(SDSS, 6, "training", seed=1, redshift=(0.02, 0.28), magnitude=(17.0, 19.0)))


def same(left: References, right: References) -> bool:
    pairs = zip((left.known, *left.library), (right.known, *right.library), strict=True)
    return all(np.array_equal(a, b) for x, y in pairs for a, b in zip(vars(x).values(), vars(y).values(), strict=True))


def test_templates_from_the_cache_are_those_that_were_made(library: Library, tmp_path: Path) -> None:
    made = load_library(SDSS, AXIS, Size(48, 8), folder=tmp_path)
    files = list(tmp_path.rglob("*.npz"))
    assert len(files) == len(made.bins)
    times = [file.stat().st_mtime_ns for file in files]
    found = load_library(SDSS, AXIS, Size(48, 8), folder=tmp_path)
    assert [file.stat().st_mtime_ns for file in files] == times
    for one, other, third in zip(made.bins, found.bins, library.bins, strict=True):
        assert one.bin == other.bin
        assert torch.equal(one.coefficients @ one.basis, other.coefficients @ other.basis)
        assert torch.equal(one.age, third.age)


def test_a_damaged_template_file_is_told_with_its_remedy(tmp_path: Path) -> None:
    load_library(SDSS, AXIS, Size(8, 4), folder=tmp_path)
    path = next(tmp_path.rglob("*.npz"))
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"not an archive", whole[:-400]):
        path.write_bytes(damaged)
        with pytest.raises(FileFormatError, match=r"damaged.*Delete it and run again"):
            load_library(SDSS, AXIS, Size(8, 4), folder=tmp_path)
    write_arrays(path, {"start": np.array(0)})
    with pytest.raises(FileFormatError, match="basis.* missing"):
        load_library(SDSS, AXIS, Size(8, 4), folder=tmp_path)


def test_a_file_under_its_final_name_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "answers.npz"

    def interrupted(file: object, **arrays: np.ndarray) -> None:
        file.write(b"half of it")  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_arrays(path, {"a": np.ones(3)})
    assert list(path.parent.iterdir()) == []
    monkeypatch.undo()
    write_arrays(path, {"a": np.ones(3)})
    assert read_arrays(path, {"a"})["a"].tolist() == [1, 1, 1]


def test_the_key_changes_with_every_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    prior, size = training_prior(SDSS), Size(8, 4)
    keys = {
        settings_key(instrument, axis, own, n, seed, grid)
        for instrument, axis, own, n, seed, grid in (
            (SDSS, AXIS, prior, size, 0, "a"),
            (get_instrument("boss"), AXIS, prior, size, 0, "a"),
            (SDSS, replace(AXIS, step_kms=60.0), prior, size, 0, "a"),
            (SDSS, replace(AXIS, redshift=(0.0, 0.2)), prior, size, 0, "a"),
            (SDSS, AXIS, replace(prior, magnitude=(15.0, 20.0)), size, 0, "a"),
            (SDSS, AXIS, replace(prior, dust_av=(0.0, 1.0)), size, 0, "a"),
            (SDSS, AXIS, prior, Size(9, 4), 0, "a"),
            (SDSS, AXIS, prior, Size(8, 5), 0, "a"),
            (SDSS, AXIS, prior, size, 1, "a"),
            (SDSS, AXIS, prior, size, 0, "b"),
        )
    }
    assert len(keys) == 10
    assert settings_key(SDSS, AXIS, prior, size, 0, "a") in keys
    monkeypatch.setattr("benchmarks.limits.library.source_of", lambda *names: b"other code")
    assert settings_key(SDSS, AXIS, prior, size, 0, "a") not in keys


def test_the_source_that_a_key_covers_is_all_that_templates_are_made_with() -> None:
    text = source_of("galfit_ml.simulate", "galaxy", "prior").decode()
    for part in (
        "class GalaxyModel",
        "class GalaxyPrior",
        "class StarFormation",
        "def igm_transmission",
        "def add_lines",
    ):
        assert part in text
    assert "class LibraryScan" in source_of("galfit_ml_emcee.library", "scan").decode()
    assert short_hash(b"a", b"bc") != short_hash(b"ab", b"c")


def test_answers_come_from_the_cache_and_follow_the_spectra(
    library: Library, mocks: Mocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = references(mocks, library)
    kept = references(mocks, library, folder=tmp_path)
    assert same(fresh, kept)
    monkeypatch.setattr(references_module._Runner, "compute", refuse)
    assert same(references(mocks, library, folder=tmp_path), kept)
    brighter = replace(mocks, native=replace(mocks.native, flux=2 * mocks.native.flux))
    for other, settings in ((brighter, {}), (mocks, {"nuisances": "none"}), (mocks, {"sizes": (24, 48)})):
        with pytest.raises(ComputedAgain):
            references(other, library, folder=tmp_path, **settings)


class ComputedAgain(Exception):
    """The cache did not have it."""


def refuse(*_: object) -> None:
    raise ComputedAgain


def test_an_interrupted_run_takes_up_where_it_stopped(
    library: Library, mocks: Mocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = references(mocks, library)
    compute, done = references_module._Runner.compute, []

    def once(self: object, part: Mocks) -> dict[str, np.ndarray]:
        if done:
            raise KeyboardInterrupt
        done.append(len(part))
        return compute(self, part)  # type: ignore[arg-type]

    monkeypatch.setattr(references_module._Runner, "compute", once)
    with pytest.raises(KeyboardInterrupt):
        references(mocks, library, folder=tmp_path)
    assert len(list(tmp_path.rglob("*.npz"))) == 1
    again: list[int] = []
    monkeypatch.setattr(
        references_module._Runner, "compute", lambda self, part: again.append(len(part)) or compute(self, part)
    )
    assert same(references(mocks, library, folder=tmp_path), whole)
    assert (done, again) == ([4], [2])


def test_damaged_answers_are_told(library: Library, mocks: Mocks, tmp_path: Path) -> None:
    references(mocks, library, folder=tmp_path)
    next(tmp_path.rglob("*.npz")).write_bytes(b"PK\x03\x04 and nothing else")
    with pytest.raises(FileFormatError, match="Delete it"):
        references(mocks, library, folder=tmp_path)


def test_the_first_templates_of_a_library_answer_as_a_library_of_them_would(library: Library, mocks: Mocks) -> None:
    few = replace(
        library,
        bins=tuple(b.take(b.number < 16) for b in library.bins),
        size=Size(16, 8),
    )
    data = mocks.scan_data(AXIS, "calibration", known=False)
    both = LibraryScan(library, (16, 48)).log_posteriors(data)
    torch.testing.assert_close(both[0], LibraryScan(few).log_posterior(data), rtol=1e-4, atol=1e-2)
    assert not torch.allclose(both[0], both[1], rtol=1e-4, atol=1e-2)


def test_contaminants_have_no_redshift_to_be_found() -> None:
    mixed = survey(SDSS, 12, "training", seed=2, contaminants={"star": 0.5})
    assert 0 < len(Mocks.of(mixed)) < 12
    with pytest.raises(LimitsError, match="None of these mock spectra is a galaxy"):
        Mocks.of(survey(SDSS, 3, "training", seed=2, contaminants={"star": 1.0}))


def test_a_truth_table_without_galaxies_is_told(mocks: Mocks) -> None:
    whole = survey(SDSS, 1, "training", seed=2)
    bare = replace(whole, truth={"redshift": whole.truth["redshift"]})
    with pytest.raises(LimitsError, match="no column log_formed_mass"):
        Mocks.of(bare)
    with pytest.raises(UnknownNameError, match=r"No nuisances 'al'. Did you mean 'all'"):
        mocks.scan_data(AXIS, "al", known=False)


def scores_of(mocks: Mocks) -> Scores:
    """Known: all right. Library: right in the first half."""
    n = len(mocks)
    known = Answers(mocks.redshift, np.full(n, 0.9), mocks.redshift, np.zeros(n))
    wrong = np.where(np.arange(n) < n // 2, mocks.redshift, mocks.redshift + 0.1)
    library = [Answers(wrong + off, np.linspace(0, 1, n), wrong, np.zeros(n)) for off in (0.05, 0.0)]
    return Scores(mocks, References(known, tuple(library), (24, 48), (0.1, 0.2)))


def test_tables_count_what_is_right(mocks: Mocks, tmp_path: Path) -> None:
    scores = scores_of(mocks)
    last = success_table(scores)[-1].split()
    assert last[:3] == ["all", "all", "6"]
    assert last[4] == "1.000"
    assert last[7] == "0.500"
    assert [line.split()[:2] for line in convergence_table(scores)[1:]] == [["24", "0.000"], ["48", "0.500"]]
    assert convergence_table(scores)[-1].split()[2:] == ["+50.00", "3"]
    write_csv(scores, tmp_path / "new" / "table.csv")
    rows = np.genfromtxt(tmp_path / "new" / "table.csv", delimiter=",", names=True)
    np.testing.assert_array_equal(rows["library48_success"], [1, 1, 1, 0, 0, 0])
    np.testing.assert_allclose(rows["redshift"], mocks.redshift, rtol=1e-7)


def test_a_reliability_table_holds_every_spectrum_once() -> None:
    stated = np.array([0.0, 0.19, 0.2, 0.5, 0.99, 1.0])
    lines = reliability_table(stated, np.array([0, 0, 1, 1, 1, 0], dtype=bool))
    counts = [int(line[13:].split()[0]) for line in lines[1:]]
    assert counts == [2, 1, 1, 2, 6]
    # An error bar of zero where all are wrong would be a lie.
    assert "0.000 +- 0.000" not in lines[1]


@pytest.mark.parametrize("text", ["22-24", "a:b", "24:22", "", ":", "22:24:26", "nan:24"])
def test_a_malformed_range_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"type"):
        number_range(text)


def test_a_range_is_two_numbers_or_one() -> None:
    assert number_range("22:24.5") == (22.0, 24.5)
    assert number_range("-1") == (-1.0, -1.0)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--instrument", "mons-lr", "Did you mean 'moons-lr'"),
        ("--population", "trainin", "Did you mean 'training'"),
        ("--exposure", "8 years", "Type, for example"),
        ("--magnitude", "24:22", "the smaller number first"),
        ("--magnitude", "22-24", "type LOW:HIGH"),
        ("--n", "0", "at least 1"),
        ("--templates", "many", "at least 1"),
        ("--step", "0", "positive"),
        ("--step", "1000", "positive"),
        ("--nuisances", "some", "invalid choice"),
    ],
)
def test_bad_options_are_told_before_any_work(
    option: str, value: str, message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    try:
        status = main([option, value, "--cache", str(tmp_path)])
    except SystemExit as stopped:
        status = stopped.code
    assert status == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_every_table_and_goes_on_from_its_cache(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--instrument", "sdss", "--n", "3", "--magnitude", "17:19", "--templates", "32", "--vectors", "8"]
    command += ["--step", "140", "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "table.csv")]
    command += ["--plot", str(tmp_path / "figure.png")]
    assert main(command) == 0
    first = capsys.readouterr().out
    for words in (
        "3 spectra, 32 templates",
        "templates  success",
        "best window, library",
        "best window, known template",
    ):
        assert words in first
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npz")}
    assert main(command) == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npz")} == files
    tables = [text[text.index("class") :] for text in (first, capsys.readouterr().out)]
    assert tables[0] == tables[1]
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 4
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_a_figure_shows_a_point_for_each_bin_of_enough_spectra(
    mocks: Mocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: shown.append(figure))
    monkeypatch.setattr("benchmarks.limits.figure.LEAST", 1)
    scores = scores_of(mocks)
    draw(scores, tmp_path / "figure.png", width=20.0)
    reliability = shown[0].axes[2]
    right = {round(float(y), 6) for line in reliability.lines[1:] for y in np.atleast_1d(line.get_ydata())}
    # Stated 0 to 1, and right in the first half; the known template is always right.
    assert right == {1.0, 0.0}
    assert [axis.get_title() for axis in shown[0].axes] == ["star-forming", "quiescent", "reliability"]


def test_bins_have_a_length() -> None:
    assert len(Bin(3, 10)) == 7


def test_a_library_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one template"):
        Size(0, 4)
