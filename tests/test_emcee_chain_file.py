"""Chains on disk: bit for bit what was run, continued after a kill as if nothing had been, refused where not theirs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any
from unittest import mock

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from galfit_ml.backend import Request
from galfit_ml.errors import FileFormatError, OutputExistsError
from galfit_ml.flags import Flag
from galfit_ml.parameters import GALAXY
from galfit_ml.redshift_prior import RedshiftPriors
from galfit_ml.spectra import SpectrumBatch
from galfit_ml.testing import default_instrument, simulated_batch
from galfit_ml.writing import PREFIX
from galfit_ml_emcee import sampler
from galfit_ml_emcee.backend import EmceeBackend, _distinct
from galfit_ml_emcee.chain_file import ChainFile, chain_path, fingerprint
from galfit_ml_emcee.ensemble import Plan
from galfit_ml_emcee.likelihood import N_DIM
from galfit_ml_emcee.moves import Modes
from galfit_ml_emcee.optimise import Start
from galfit_ml_emcee.sampler import Chain, sample
from galfit_ml_emcee.settings import SamplerSettings
from galfit_ml_emcee.surrogate import BENDS, SOFT_BENDS, Surrogate, pairs_of
from galfit_ml_emcee.target import Target

Floats = NDArray[np.float64]

ROOT = Path(__file__).parents[1]
FREE = [0, 1, 2, 5, 6, N_DIM - 1]
D = len(FREE)
QUICK = SamplerSettings(learn=60, asked=100, n_trial=1, trial=2, walk=20, block=5, max_steps=20)


@dataclass(frozen=True)
class Stub:
    """Stands for a likelihood, of which the spectrum does not see two coordinates."""

    unseen: tuple[int, ...] = (3, 4)


@dataclass(frozen=True, eq=False)
class Gaussian(Target):
    """A unit Gaussian; kills its process at call number `fatal`, raises at number `broken`."""

    fatal: int = 0
    broken: int = 0

    def log_density(self, points: Floats) -> Floats:
        return np.asarray(-0.5 * (points**2).sum(axis=1))

    def __call__(self, points: Floats) -> Floats:
        calls.append(len(points))
        if len(calls) == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        if len(calls) == self.broken:
            raise RuntimeError("no space left")
        mix = np.random.default_rng(1).standard_normal((D, len(GALAXY)))
        return np.column_stack([self.log_density(points), points @ mix])


calls: list[int] = []


def some_plan(seed: int = 0) -> Plan:
    rng = np.random.default_rng(seed)
    pairs = pairs_of(FREE)
    n_feature = 1 + D + D * (D + 1) // 2 + len(BENDS) * D + pairs.shape[1] * len(SOFT_BENDS) ** 2
    surrogate = Surrogate(
        middle=torch.as_tensor(rng.standard_normal(D)),
        turn=torch.as_tensor(np.eye(D)).float(),
        weights=torch.as_tensor(0.1 * rng.standard_normal((n_feature, 7))).float(),
        rest=812.3456789012345,
        precision=1.0 / 3.0,
        n_good=1234,
        noise=D - 1,
        pairs=pairs,
        redshift=0,
        known=torch.zeros(2, 0, dtype=torch.float64),
    )
    modes = Modes.of(0.1 * rng.standard_normal((2, D)), np.stack([np.eye(D), 2 * np.eye(D)]), np.array([0.7, 0.3]))
    return Plan(modes, surrogate, rng.standard_normal((60, D)), rng.standard_normal((56, D)), 1.0 / 7.0)


def run(folder: Path | None, *, fatal: int = 0, broken: int = 0, max_steps: int = 20, key: str = "key") -> Chain:
    """A chain of 20 steps in blocks of 5."""
    calls.clear()
    target = Gaussian(Stub(), np.zeros(N_DIM), FREE, fatal, broken)  # type: ignore[arg-type]
    start = Start(torch.zeros(1, N_DIM), torch.zeros(1), torch.eye(N_DIM)[None])
    file = None if folder is None else ChainFile(chain_path(folder, "one", 0), key)
    with mock.patch.object(sampler, "make_plan", return_value=some_plan()):
        settings = replace(QUICK, max_steps=max_steps, n_effective=1e6)
        return sample(target, start, np.random.default_rng(11), settings, file=file)


def assert_same(first: Chain, second: Chain) -> None:
    np.testing.assert_array_equal(first.x, second.x)
    np.testing.assert_array_equal(first.values, second.values)
    np.testing.assert_array_equal(first.log_density, second.log_density)
    np.testing.assert_array_equal(first.quality.effective, second.quality.effective)
    assert first.acceptance == second.acceptance


def steps_in(folder: Path) -> int:
    with h5py.File(chain_path(folder, "one", 0), "r") as file:
        return int(file["mcmc"].attrs["iteration"]) if "mcmc" in file else 0


def killed(folder: Path, call: int) -> None:
    """The same run in another process, killed at this call of its density."""
    code = "import sys, pathlib, test_emcee_chain_file as t; t.run(pathlib.Path(sys.argv[1]), fatal=int(sys.argv[2]))"
    done = in_another_process(code, folder, str(call))
    assert done.returncode == -signal.SIGKILL, done.stderr


def in_another_process(code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    paths = [str(ROOT), str(ROOT / "plugins"), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_a_file_changes_nothing(tmp_path: Path) -> None:
    assert_same(run(None), run(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["one-0.h5"]


def test_the_plan_survives_bit_for_bit(tmp_path: Path) -> None:
    plan, file = some_plan(3), ChainFile(tmp_path / "a.h5", "key")
    assert file.plan() is None
    file.begin(plan)
    again = ChainFile(tmp_path / "a.h5", "key").plan()
    assert again is not None
    for part in ("modes", "surrogate"):
        for field in fields(getattr(plan, part)):
            old, new = (getattr(getattr(p, part), field.name) for p in (plan, again))
            assert type(new) is type(old), field.name
            if isinstance(old, torch.Tensor):
                assert old.dtype == new.dtype
                assert torch.equal(old, new)
            else:
                np.testing.assert_array_equal(new, old)
    np.testing.assert_array_equal(again.archive, plan.archive)
    np.testing.assert_array_equal(again.points, plan.points)
    assert again.error == plan.error
    points = np.random.default_rng(0).standard_normal((9, D))
    np.testing.assert_array_equal(again.surrogate(points), plan.surrogate(points))


@pytest.mark.parametrize(("call", "steps"), [(3, 0), (9, 5), pytest.param(18, 15, marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_to_the_very_same_chain(tmp_path: Path, call: int, steps: int) -> None:
    """Call 1 is the start of the walkers, then one a step: killed in the first, second and fourth block."""
    killed(tmp_path, call)
    assert steps_in(tmp_path) == steps
    chain = run(tmp_path)
    assert sum(calls) <= 56 * (20 - steps + 1)
    assert_same(chain, run(None))


def test_a_run_that_failed_goes_on_and_leaves_no_litter(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no space"):
        run(tmp_path, broken=14)
    assert steps_in(tmp_path) == 10
    assert [p.name for p in tmp_path.iterdir()] == ["one-0.h5"]
    assert_same(run(tmp_path), run(None))


def test_a_finished_chain_is_read_without_a_step(tmp_path: Path) -> None:
    first = run(tmp_path)
    again = run(tmp_path)
    assert calls == []
    assert_same(first, again)


def test_what_the_spectrum_does_not_see_is_drawn_from_the_prior(tmp_path: Path) -> None:
    """Also when the chain is read: the same draws."""
    first, again = run(tmp_path, max_steps=200), run(tmp_path, max_steps=200)
    for index in Stub().unseen:
        assert stats.kstest(first.x[..., index].ravel(), "norm").pvalue > 1e-3
        np.testing.assert_array_equal(first.x[..., index], again.x[..., index])
    assert bool((first.x[..., 7] == 0).all())  # what is given stays as it is given


def test_an_unfinished_copy_is_not_taken_for_the_chain(tmp_path: Path) -> None:
    """A kill between two blocks leaves the last whole one; half a file of a kill while it is written is not read."""
    killed(tmp_path, 9)
    assert [p.name for p in tmp_path.iterdir()] == ["one-0.h5"]
    (tmp_path / f"{PREFIX}0123456789ab.part").write_bytes(b"half")
    chain = run(tmp_path)
    assert_same(chain, run(None))


def test_a_full_disk_leaves_the_last_whole_block_and_the_run_goes_on(tmp_path: Path) -> None:
    """After 10 steps the chain does not fit any more."""
    run(tmp_path, max_steps=10)
    fits = chain_path(tmp_path, "one", 0).stat().st_size
    chain_path(tmp_path, "one", 0).unlink()
    code = f"""
import resource, sys, pathlib
import test_emcee_chain_file as t
from galfit_ml.errors import WriteError
resource.setrlimit(resource.RLIMIT_FSIZE, ({fits}, {fits}))
try:
    t.run(pathlib.Path(sys.argv[1]))
except WriteError as error:
    print(error)
"""
    said = in_another_process(code, tmp_path).stdout
    assert "one-0.h5' could not be written: File too large. The disk of" in said
    assert "What stood there before is as it was." in said
    assert [p.name for p in tmp_path.iterdir()] == ["one-0.h5"]
    assert steps_in(tmp_path) == 10
    assert_same(run(tmp_path), run(None))


def test_another_chain_is_refused(tmp_path: Path) -> None:
    run(tmp_path)
    before = chain_path(tmp_path, "one", 0).read_bytes()
    with pytest.raises(
        OutputExistsError, match=r"one-0\.h5' holds a chain of other data, options or version"
    ) as caught:
        run(tmp_path, key="other")
    assert "resume=" in str(caught.value)
    assert chain_path(tmp_path, "one", 0).read_bytes() == before


@pytest.mark.parametrize("damage", ["text", "truncated", "empty", "other HDF5"])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: str) -> None:
    run(tmp_path)
    path = chain_path(tmp_path, "one", 0)
    whole = path.read_bytes()
    path.write_bytes({"text": b"hello", "truncated": whole[: len(whole) // 2], "empty": b""}.get(damage, b""))
    if damage == "other HDF5":
        with h5py.File(path, "w") as file:
            file["x"] = 1
    with pytest.raises(FileFormatError, match="no chain of galfit_ml, or damaged"):
        run(tmp_path)


def test_a_file_without_its_plan_is_refused(tmp_path: Path) -> None:
    run(tmp_path)
    with h5py.File(chain_path(tmp_path, "one", 0), "a") as file:
        del file["surrogate"]
    with pytest.raises(FileFormatError, match="damaged"):
        run(tmp_path)


def test_fingerprints_differ_by_any_number_and_any_setting() -> None:
    arrays = [np.arange(4.0), np.ones(3, dtype=np.float32)]
    keys = {
        fingerprint(arrays, QUICK),
        fingerprint([np.nextafter(arrays[0], 9.0), arrays[1]], QUICK),
        fingerprint(arrays, replace(QUICK, walk=21)),
    }
    assert len(keys) == 3
    assert fingerprint([a.copy() for a in arrays], replace(QUICK)) in keys


def test_each_name_and_peak_has_its_own_file(tmp_path: Path) -> None:
    names = ["a b", "a_b", "a/b", "..", "", "x" * 200, "x" * 199 + "y", "spec-1", "galaxy é", "galaxy è"]
    paths = [chain_path(tmp_path, name, number) for name in names for number in (0, 1)]
    assert len(set(paths)) == len(paths)
    assert all(path.parent == tmp_path and len(path.name) < 120 and path.name.isascii() for path in paths)
    assert chain_path(tmp_path, "spec-1", 0).name == "spec-1-0.h5"


def test_names_that_stand_twice_are_told_apart() -> None:
    assert _distinct(("a", "b")) == ["a", "b"]
    for ids in (("a", "a", "a"), ("a", "a", "a-2"), ("a-2", "a", "a", "a-2")):
        names = _distinct(ids)
        assert len(set(names)) == len(ids)
        assert all(name.startswith(own) for name, own in zip(names, ids, strict=True))


# The key of a fit.


@pytest.fixture(scope="module")
def mock_spectrum() -> tuple[SpectrumBatch, float]:
    batch, truth = simulated_batch(default_instrument(300.0, (0.05, 0.3)), 1, 10.0, 3)
    return batch, float(truth["redshift"][0])


def fitted(batch: SpectrumBatch, redshift: Any, folder: Path, **options: Any) -> Any:
    backend = EmceeBackend(workers=1, resume=folder, **options)
    backend.options = replace(backend.options, sampler=replace(QUICK, max_steps=5))
    backend.__setstate__(backend.__getstate__())
    return backend.infer(batch, Request(40, 5, RedshiftPriors.parse(redshift, 1)))


def test_a_fit_goes_on_where_it_is_the_same_and_is_refused_where_not(
    mock_spectrum: tuple[SpectrumBatch, float], tmp_path: Path
) -> None:
    batch, z = mock_spectrum
    first = fitted(batch, stats.norm(z, 1e-3), tmp_path)
    assert first.flags[0] == Flag.NOT_CONVERGED
    # A distribution is an object with another address in every process.
    again = fitted(batch, stats.norm(z, 1e-3), tmp_path)
    np.testing.assert_array_equal(again.draws, first.draws)
    arm = batch.arms[0]
    flux = arm.flux.copy()
    flux[0, 50] += 1e-3 * abs(flux[0, 50])
    others = {
        "another distribution": (batch, stats.norm(z, 1.1e-3), {}),
        "another flux": (replace(batch, arms=(replace(arm, flux=flux),)), stats.norm(z, 1e-3), {}),
        "another option": (batch, stats.norm(z, 1e-3), {"line_error": 0.1}),
    }
    for what, (data, redshift, options) in others.items():
        refused = fitted(data, redshift, tmp_path, **options)
        assert refused.flags[0] & Flag.FAILED, what
        assert "holds a chain of other data" in refused.reasons[0], what
