"""A new plugin: its names, its files, and that it passes the contract as a stranger's package."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from conftest import ROOT, FreshPython

from galfit_ml import __version__, cli
from galfit_ml.errors import GalfitMLError, OutputExistsError, WriteError
from galfit_ml.registry import registry
from galfit_ml.scaffold import PluginNames, new_plugin
from galfit_ml.scaffold.names import author_in_toml
from galfit_ml.scaffold.write import filled

FILES = {
    *(".gitignore", "LICENSE", "README.md", "pyproject.toml", "tests/test_galfit_ml_my_fit.py"),
    *(f"src/galfit_ml_my_fit/{name}" for name in ("__init__.py", "backend.py", "learning.py", "py.typed")),
}


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    return new_plugin("my-fit", tmp_path / "here", "Ada Lovelace <ada@example.org>")


def test_everything_a_package_needs_is_there(plugin: Path) -> None:
    assert files_in(plugin) == FILES
    project = tomllib.loads((plugin / "pyproject.toml").read_text())["project"]
    assert project["name"] == "galfit-ml-my-fit"
    assert project["authors"] == [{"name": "Ada Lovelace", "email": "ada@example.org"}]
    assert project["entry-points"]["galfit_ml"] == {"my-fit": "galfit_ml_my_fit"}
    assert f"galfit-ml>={__version__}" in project["dependencies"]
    assert ", Ada Lovelace <ada@example.org>" in (plugin / "LICENSE").read_text()


def test_no_word_of_the_templates_is_left(plugin: Path) -> None:
    for file in files_in(plugin):
        assert "<<" not in (plugin / file).read_text(), file
        if file.endswith(".py"):
            ast.parse((plugin / file).read_text())


def test_listing_the_new_backend_loads_no_library(plugin: Path, fresh_python: FreshPython) -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import galfit_ml_my_fit as m; m.galfit_ml_backends(); "
    code += "print([n for n in ('numpy', 'torch') if n in sys.modules])"
    assert fresh_python(code, str(plugin / "src")).stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "distribution", "package", "class_name"),
    [
        ("x", "galfit-ml-x", "galfit_ml_x", "X"),
        ("my_fit2", "galfit-ml-my-fit2", "galfit_ml_my_fit2", "MyFit2"),
        ("nearest-galaxy", "galfit-ml-nearest-galaxy", "galfit_ml_nearest_galaxy", "NearestGalaxy"),
    ],
)
def test_names_follow_from_the_backend(name: str, distribution: str, package: str, class_name: str) -> None:
    names = PluginNames(name)
    assert (names.distribution, names.package, names.class_name) == (distribution, package, class_name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("My Fit", r"cannot be the name of a backend.*for example 'my-fit'"),
        ("2fast", r"cannot be the name.*for example 'fast'"),
        ("-x", r"cannot be the name.*for example 'x'"),
        ("a--b", r"cannot be the name.*for example 'a-b'"),
        ("../evil", r"cannot be the name.*for example 'evil'"),
        ("été", "cannot be the name"),
        ("", r"cannot be the name of a backend and a package\. .* joined by '-' or '_'\.$"),
        ("x" * 41, "Take up to 40"),
        ("galfit-ml-x", "leave it out, type 'x'"),
        ("emcee", r"The backend 'emcee' is there already, from plugin 'emcee'\. Take another name"),
        ("cnn", "The package 'galfit_ml_cnn' is installed already|The backend 'cnn' is there already"),
    ],
)
def test_names_that_make_no_package_are_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(GalfitMLError, match=message):
        new_plugin(name, tmp_path / "here")
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_a_broken_plugin_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("galfit_ml.registry.entry_points", lambda group: [EntryPoint("sad", "no_such", "galfit_ml")])
    registry.cache_clear()
    try:
        with pytest.raises(GalfitMLError, match=r"A plugin 'sad' is installed already \(and broken\)"):
            PluginNames("sad")
    finally:
        registry.cache_clear()


def test_a_folder_with_something_in_it_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("precious")
    (tmp_path / "file").write_text("precious")
    with pytest.raises(OutputExistsError, match=r"full' is there already and is not empty. Name another folder"):
        new_plugin("my-fit", tmp_path / "full")
    with pytest.raises(OutputExistsError, match="is there already and is a file"):
        new_plugin("my-fit", tmp_path / "file")
    with pytest.raises(OutputExistsError, match="does not exist. Make it first: mkdir -p"):
        new_plugin("my-fit", tmp_path / "no" / "where")
    assert files_in(tmp_path) == {"full/mine.txt", "file"}


def test_an_empty_folder_is_filled_and_the_name_of_the_package_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    assert files_in(new_plugin("my-fit", tmp_path / "empty")) == FILES
    monkeypatch.chdir(tmp_path)
    assert new_plugin("my-fit") == Path("galfit-ml-my-fit")
    licence = (tmp_path / "galfit-ml-my-fit" / "LICENSE").read_text()
    assert "The galfit-ml-my-fit developers" in licence


def test_a_full_disk_leaves_no_half_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def full(_: int) -> None:
        calls.append(1)
        if len(calls) > 4:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match=r"Nothing was made in .*No space left on device"):
        new_plugin("my-fit", tmp_path / "here")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("author", ["Ada <no mail>", "<>", "a\nb", "x > y"])
def test_authors_that_are_none_are_refused(tmp_path: Path, author: str) -> None:
    with pytest.raises(GalfitMLError, match="is no author. Write --author 'Ada Lovelace'"):
        new_plugin("my-fit", tmp_path / "here", author)


@pytest.mark.parametrize(
    ("author", "expected"),
    [
        ('Ada "A" \\ Lovelace', {"name": 'Ada "A" \\ Lovelace'}),
        ("Zoë <z@é.org>", {"name": "Zoë", "email": "z@é.org"}),
        ("<ada@example.org>", {"email": "ada@example.org"}),
    ],
)
def test_authors_survive_toml(author: str, expected: dict[str, str]) -> None:
    assert tomllib.loads(f"x = {author_in_toml(author)}")["x"] == expected


def test_a_word_that_stands_for_nothing_is_a_fault() -> None:
    with pytest.raises(GalfitMLError, match="<<who>>"):
        filled("<<who>>", {})


def test_the_command_says_what_to_do_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = tmp_path / "here"
    assert cli.main(["plugins", "new", "my-fit", "--out", str(where), "--author", "Ada"]) == 0
    said = capsys.readouterr().out
    assert f'pip install -e "{where}[test]"' in said
    assert cli.main(["plugins", "new", "my-fit", "--out", str(where)]) == 2
    assert "is there already and is not empty" in capsys.readouterr().err


GIVING = """
from pathlib import Path
from galfit_ml import BackendInfo, hookimpl
from galfit_ml.commands import CommandInfo

@hookimpl
def galfit_ml_backends():
    return [BackendInfo("ready", "json:JSONDecoder", "decodes"),
            BackendInfo("waiting", "json:JSONDecoder", "", "pip install no-such", requires=("no_such_library",))]

@hookimpl
def galfit_ml_commands():
    return [CommandInfo("dance", "json:dumps", "moves about")]

@hookimpl
def galfit_ml_instruments():
    return [Path(__file__).with_name("good.toml"), Path(__file__).with_name("bad.toml")]
"""


def test_plugins_are_listed_with_what_they_offer_and_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "scaffold_giving.py").write_text(GIVING)
    shipped = ROOT / "galfit_ml" / "data" / "instruments" / "sdss.toml"
    (tmp_path / "good.toml").write_text(shipped.read_text())
    (tmp_path / "bad.toml").write_text("name = 3")
    monkeypatch.syspath_prepend(tmp_path)
    points = [EntryPoint("giving", "scaffold_giving", "galfit_ml"), EntryPoint("sad", "no_such", "galfit_ml")]
    monkeypatch.setattr("galfit_ml.registry.entry_points", lambda group: points)
    registry.cache_clear()
    try:
        assert cli.main(["plugins"]) == 0
    finally:
        registry.cache_clear()
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "giving       scaffold_giving (no distribution)"
    assert "backend ready: decodes" in lines
    assert "backend waiting: not available: missing library no_such_library. pip install no-such" in lines
    assert "command dance: moves about" in lines
    assert any(line.startswith("instrument sdss: ") for line in lines)
    assert any(line.startswith("instrument in bad.toml: broken: ") for line in lines)
    assert "sad          no_such (no distribution)  broken" in lines
    assert "problem: ModuleNotFoundError: No module named 'no_such'" in lines


# As a stranger's package.


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Interpreter of a new environment that sees this checkout and the libraries of this run, nothing else."""
    home = tmp_path_factory.mktemp("scaffold") / "venv"
    venv.EnvBuilder(with_pip=False).create(home)
    (site,) = home.glob("lib/python*/site-packages")
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    # A path file within a site-packages that a path file names is not read: an editable galfit_ml is not seen twice.
    (site / "libraries.pth").write_text("\n".join([str(ROOT), str(ROOT / "plugins"), *libraries]))
    return home / "bin" / "python"


def run(folder: Path, *command: str | Path) -> str:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=folder, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_new_plugin_passes_its_own_tests(environment: Path, tmp_path: Path) -> None:
    """`pip install` without a network: the build backend, hatchling, is there already."""
    folder = new_plugin("my-fit", tmp_path / "here")
    pip = [sys.executable, "-m", "pip", "--python", environment, "--disable-pip-version-check", "install", "--quiet"]
    run(tmp_path, *pip, "--no-deps", "--no-index", "--no-build-isolation", folder)
    listed = run(tmp_path, environment, "-m", "galfit_ml", "plugins")
    assert "my-fit       galfit_ml_my_fit (galfit-ml-my-fit 0.1.0)" in listed
    assert "backend my-fit: redshift, mass and star-formation rate" in listed
    said = run(tmp_path, environment, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", folder)
    assert "passed" in said
    assert not {"failed", "skipped", "xfailed"} & set(said.split())


@pytest.mark.slow
def test_a_new_plugin_pleases_the_linters(plugin: Path) -> None:
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.is_file():
        pytest.skip("ruff is not installed: it belongs to the extra 'lint'")
    rules = "B,BLE,C4,D,E,F,I,NPY,PIE,PT,RUF,SIM,UP,W"
    options = ["--isolated", "--line-length", "120", "--target-version", "py311"]
    ignored = ["--ignore", "D100,D103,D107", "--config", 'lint.pydocstyle.convention = "google"']
    run(plugin, ruff, "check", *options, "--select", rules, *ignored, ".")
    run(plugin, ruff, "format", "--check", *options, ".")
