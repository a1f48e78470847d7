"""What a user installs: light imports, complete metadata, and a wheel that works outside the clone."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import sysconfig
import time
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, FreshPython

import galfit_ml

PLUGINS = ("galfit_ml_bagpipes", "galfit_ml_cnn", "galfit_ml_emcee")
PACKAGES = {"galfit_ml": ROOT / "galfit_ml", **{name: ROOT / "plugins" / name for name in PLUGINS}}
LIBRARIES = {"torch", "numpy", "scipy", "astropy", "specutils", "matplotlib", "pandas", "emcee", "h5py"}
LIGHT_NAMES = "__main__ backend cli commands errors flags hookspecs optional parameters progress registry scaffold"
LIGHT_NAMES += " time_left writing benchmark benchmark.errors"
LIGHT = {"galfit_ml", *PLUGINS, *(f"galfit_ml.{name}" for name in LIGHT_NAMES.split())}


def module_names(package: str) -> Iterator[str]:
    for path in sorted(PACKAGES[package].rglob("*.py")):
        parts = path.relative_to(PACKAGES[package]).with_suffix("").parts
        yield ".".join([package, *(parts[:-1] if parts[-1] == "__init__" else parts)])


def may_load(module: str) -> set[str]:
    """Libraries that importing `module` alone may load."""
    if module in LIGHT:
        return set()
    if module.startswith(("galfit_ml.simulate.build", "galfit_ml.testing", "galfit_ml_emcee.")):
        return LIBRARIES - {"specutils", "matplotlib", "pandas"}
    if module.startswith("galfit_ml.benchmark.metrics"):
        return {"numpy", "scipy"}
    if module.startswith("galfit_ml.benchmark."):
        return {"numpy", "torch", "scipy", "pandas"}
    if module == "galfit_ml.calibration":
        return {"numpy", "scipy"}
    if module.startswith("galfit_ml_bagpipes."):
        return {"numpy", "scipy"}
    return {"numpy", "torch", "scipy"} if module.startswith(("galfit_ml.simulate", "galfit_ml_cnn.")) else {"numpy"}


REPORT = "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"

IMPORT_EACH = """
import importlib, json, os, sys
already, *modules = sys.argv[1:]
for library in already.split():
    importlib.import_module(library)
for module in modules:
    reading, writing = os.pipe()
    if not os.fork():
        try:
            importlib.import_module(module)
            told = sorted({name.partition(".")[0] for name in sys.modules})
        except BaseException as error:
            told = repr(error)
        os.write(writing, json.dumps(told).encode())
        os._exit(0)
    os.close(writing)
    os.wait()
    print(json.dumps([module, json.load(open(reading))]))
"""


@pytest.fixture(scope="session")
def imported(fresh_python: FreshPython) -> dict[str, list[str] | str]:
    """Module -> what a process that imports it alone has loaded, or the error it met.

    Each process is the fork of an interpreter that knows no galfit_ml. Where torch may be loaded it is there already,
    since loading it for each of these modules would take minutes.
    """
    names = [name for package in PACKAGES for name in module_names(package)]
    heavy = [name for name in names if "torch" in may_load(name)]
    light = [name for name in names if name not in heavy]
    done = [fresh_python(IMPORT_EACH, "", *light), fresh_python(IMPORT_EACH, "numpy torch", *heavy)]
    return dict(json.loads(line) for run in done for line in run.stdout.splitlines())


@pytest.mark.parametrize("module", [name for package in PACKAGES for name in module_names(package)])
def test_each_module_imports_alone_and_loads_no_more_than_it_may(
    module: str, imported: dict[str, list[str] | str]
) -> None:
    assert isinstance(imported[module], list), imported[module]
    assert LIBRARIES & set(imported[module]) <= may_load(module)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["backends"]])
def test_listing_commands_load_no_torch(arguments: list[str], fresh_python: FreshPython) -> None:
    code = f"""
import sys
from galfit_ml.cli import main
try:
    status = main(sys.argv[1:])
except SystemExit as end:
    status = end.code
assert not status, status
{REPORT}
"""
    known = json.loads(fresh_python(code, *arguments).stdout.splitlines()[-1])
    assert "galfit_ml" in known
    assert not LIBRARIES & set(known)


def test_importing_costs_less_than_three_tenths_of_a_second(fresh_python: FreshPython) -> None:
    def fastest(code: str) -> float:
        times = []
        for _ in range(3):
            start = time.perf_counter()
            fresh_python(code)
            times.append(time.perf_counter() - start)
        return min(times)

    assert fastest("import galfit_ml") - fastest("pass") < 0.3


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def imported_libraries(package: str) -> set[str]:
    names: set[str] = set()
    for path in PACKAGES[package].rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(str(node.module).partition(".")[0])
    return names - set(sys.stdlib_module_names) - set(PACKAGES)


def requirement_names(requirements: list[str]) -> set[str]:
    return {re.match(r"[A-Za-z0-9_-]+", line).group().lower() for line in requirements}


def test_every_library_that_is_imported_is_declared() -> None:
    declared = requirement_names(project()["dependencies"])
    known = project()["optional-dependencies"]
    extras = requirement_names(known["bagpipes"] + known["benchmark"] + ["pytest"])
    extras |= {name.removesuffix("-sampler") for name in extras}  # what one imports of nautilus-sampler is nautilus
    used = set().union(*map(imported_libraries, PACKAGES))
    assert used - extras <= declared
    assert declared <= used


def test_constraints_pin_every_declared_requirement() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {re.sub(r"[-_.]+", "-", line.partition("==")[0].lower()) for line in lines if "==" in line}
    extras = project()["optional-dependencies"]
    wanted = requirement_names(project()["dependencies"] + extras["test"] + extras["lint"] + extras["docs"])
    assert wanted <= pinned


def test_citation_names_the_current_version() -> None:
    assert f"\nversion: {galfit_ml.__version__}\n" in (ROOT / "CITATION.cff").read_text()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    offline = ["--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("galfit_ml-*.whl")
    return built


def test_the_wheel_holds_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = {
        (Path(package) / path.relative_to(folder)).as_posix()
        for package, folder in PACKAGES.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == expected


def test_the_wheel_carries_the_licences(wheel: Path) -> None:
    licences = {name.partition(".dist-info/licenses/")[2] for name in zipfile.ZipFile(wheel).namelist()}
    in_data = {path.relative_to(ROOT).as_posix() for path in (ROOT / "galfit_ml" / "data").rglob("LICENSE*")}
    assert in_data
    assert {"LICENSE", *in_data} <= licences


@pytest.fixture(scope="session")
def clean_environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the executables of an environment outside the clone, galfit_ml in it from the wheel.

    The libraries come from the environment that runs the tests: its site-packages is appended to the path, whose own
    .pth files, and with them an editable install of this clone, are not read there.
    """
    home = tmp_path_factory.mktemp("clean") / "venv"
    venv.EnvBuilder(with_pip=False).create(home)
    pip = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    (site,) = home.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text("\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}))
    return home / "bin"


def run_clean(folder: Path, *command: str) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_installed_wheel_is_what_is_imported(clean_environment: Path, tmp_path: Path) -> None:
    code = """
import importlib.metadata as metadata, galfit_ml, galfit_ml_emcee
print(galfit_ml.__file__, galfit_ml_emcee.__file__, galfit_ml.__version__, metadata.version("galfit-ml"), sep="\\n")
"""
    core, plugin, version, recorded = run_clean(tmp_path, str(clean_environment / "python"), "-c", code).split()
    assert all(Path(file).is_relative_to(clean_environment.parent) for file in (core, plugin))
    assert version == recorded == galfit_ml.__version__


@pytest.mark.slow
def test_the_demo_runs_from_the_installed_wheel(clean_environment: Path, tmp_path: Path) -> None:
    said = run_clean(tmp_path, str(clean_environment / "galfit-ml"), "demo", "--out", "shown")
    assert "redshift" in said
    assert list((tmp_path / "shown").glob("*.ecsv"))
    pictures = list((tmp_path / "shown").glob("*.png"))
    assert pictures
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
