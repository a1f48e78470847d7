"""The example plugin of the documentation, installed as a stranger's package in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from conftest import ROOT

PLUGIN = ROOT / "docs" / "example_plugin"

LISTING = """
import sys, galfit_ml
(row,) = [s for s in galfit_ml.backends() if s.name == "template-redshift"]
assert row.available and row.plugin == "example", row
assert "torch" not in sys.modules and "galfit_ml_example.backend" not in sys.modules
print(sys.modules["galfit_ml_example"].__file__)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Interpreter of an environment that holds the plugin, and sees this checkout and the libraries of this run."""
    home = tmp_path_factory.mktemp("example") / "venv"
    venv.EnvBuilder(with_pip=False).create(home)
    interpreter = home / "bin" / "python"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(interpreter),
        "--disable-pip-version-check",
        "install",
        "--quiet",
    ]
    (site,) = home.glob("lib/python*/site-packages")
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "libraries.pth").write_text("\n".join([str(ROOT), str(ROOT / "plugins"), *libraries]))
    offline = ["--no-deps", "--no-index", "--no-build-isolation"]
    done = subprocess.run([*pip, *offline, str(PLUGIN)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return interpreter


def run(python: Path, folder: Path, *arguments: str) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    command = [str(python), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_plugin_is_listed_without_importing_its_code(python: Path, tmp_path: Path) -> None:
    said = run(python, tmp_path, "-c", LISTING)
    assert Path(said.strip()).is_relative_to(python.parents[1])


def test_the_plugin_passes_its_own_tests(python: Path, tmp_path: Path) -> None:
    said = run(python, tmp_path, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(PLUGIN))
    assert "passed" in said
    assert not {"failed", "skipped", "xfailed"} & set(said.split())
