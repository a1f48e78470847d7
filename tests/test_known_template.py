"""Answers of the known template, which stand beside those of backends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import known_template
from galfit_ml.benchmark import Suite, get_suite, score
from galfit_ml.benchmark.errors import BenchmarkError
from galfit_ml.benchmark.folder import check_about, opened
from galfit_ml.benchmark.spectra import shard_names
from galfit_ml.benchmark.suite import Part
from galfit_ml.flags import Flag

BRIGHT = Suite("bright", "bright galaxies", seed=7, shard=8, n_draws=100, parts=(
    Part("moons-lr", exposure=("8h",), magnitude=(20.0, 21.0)),
))  # fmt: skip


def test_bright_galaxies_are_found_and_the_numbers_stand_beside_those_of_backends(tmp_path: Path) -> None:
    known = known_template.KnownTemplate()
    folder = tmp_path / BRIGHT.name / known_template.NAME
    with opened(folder, known_template.about(BRIGHT, 24), same_for_any_n=True) as own:
        for name, size in shard_names(BRIGHT, 24):
            own.write(name, known_template.answered(known, BRIGHT, 24, name, size), {}, "0123456789ab")
    rows, points = score(BRIGHT, tmp_path / BRIGHT.name)
    assert list(points["spectrum"]) == list(range(24))
    assert set(rows["backend"]) == {known_template.NAME}
    (success,) = rows[(rows["metric"] == "success") & (rows["axis"] == "all")]["value"]
    assert success > 0.9
    assert set(rows["parameter"]) <= {"redshift", "all", ""}
    scatter = (points["median_redshift"] - points["true_redshift"]) / (1 + points["true_redshift"])
    assert np.median(np.abs(scatter)) < 1e-4


def test_an_unusable_spectrum_gets_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_first(maker: object) -> object:
        def made(*arguments: object) -> object:
            found = maker(*arguments)  # type: ignore[operator]
            flags = np.where(np.arange(len(found)) == 0, int(Flag.FAILED), found.batch.flags)
            return replace(found, batch=replace(found.batch, flags=flags))

        return made

    for name in ("make_shard", "made_shard"):
        monkeypatch.setattr(known_template, name, without_first(getattr(known_template, name)))
    found = known_template.answered(known_template.KnownTemplate(), BRIGHT, 4, "00-0000", 4)
    assert np.isnan(found.draws[0]).all()
    assert np.isfinite(found.draws[1:]).all()
    assert np.isnan(found.told["redshift_1"]).tolist() == [True, False, False, False]


def test_spectra_that_something_was_done_to_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("moons-snr-rebinned", "real-sdss", "robustness"):
        assert known_template.main([name, "--out", str(tmp_path)]) == 2
        assert "no suite of mock galaxies as they were simulated" in capsys.readouterr().err
    assert known_template.main(["moons-snrr", "--out", str(tmp_path)]) == 2
    assert "Did you mean 'moons-snr'" in capsys.readouterr().err
    folder = tmp_path / "moons-snr" / known_template.NAME
    folder.mkdir(parents=True)
    (folder / "00-0000.npz").write_bytes(b"")
    suite = get_suite("moons-snr")
    (folder / "about.json").write_text('{"galfit_ml": "0.0.1"}')
    with pytest.raises(BenchmarkError, match="answers of another run"):
        check_about(folder, known_template.about(suite, 10))
    other = folder.with_name("cnn")
    folder.rename(other)
    (other / "about.json").write_text('{"spectra": "others"}')
    assert known_template.main(["moons-snr", "--out", str(tmp_path)]) == 2
    assert "answers to other spectra" in capsys.readouterr().err
