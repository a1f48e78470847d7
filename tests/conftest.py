"""What every test shares: a headless matplotlib, repeatable hypothesis runs, fresh interpreters, the survey data."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from hypothesis import settings

from galfit_ml.registry import registry

ROOT = Path(__file__).parents[1]
REAL_DATA = ROOT.parent / "shared" / "data" / "real"

os.environ["MPLBACKEND"] = "Agg"

# The same examples on every run: a failure in CI is a failure here. No deadline: two busy cores are slow cores.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

FreshPython = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def fresh_python() -> FreshPython:
    """Runs `fresh_python(code, *arguments)` in a new interpreter that sees this checkout; fails where the code does."""
    paths = [str(ROOT), str(ROOT / "plugins"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}

    def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture
def dummy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Only the dummy backend is installed."""
    points = [EntryPoint("dummy", "dummy_backend", "galfit_ml")]
    monkeypatch.setattr("galfit_ml.registry.entry_points", lambda group: points)
    registry.cache_clear()
    yield
    registry.cache_clear()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real survey spectra, which the repository does not contain."""
    if not REAL_DATA.is_dir():
        pytest.skip("the real survey spectra are not beside this checkout (../shared/data/real)")
    return REAL_DATA
