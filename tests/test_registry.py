"""Plugins: each fault is reported by name, and the others live."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from conftest import FreshPython

from galfit_ml.backend import API, BackendInfo
from galfit_ml.commands import CommandInfo
from galfit_ml.errors import PluginError, UnknownNameError
from galfit_ml.registry import GROUP, Registry, collect

Install = Callable[..., EntryPoint]

GOOD = """
from galfit_ml import BackendInfo, hookimpl

@hookimpl
def galfit_ml_backends():
    return [BackendInfo({name!r}, "json:JSONDecoder", "decodes")]
"""

FAULTS = {
    "missing": ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
    "raising": ("raise RuntimeError('no licence found')", "RuntimeError: no licence found"),
    "leaving": ("import sys; sys.exit('goodbye')", "SystemExit: goodbye"),
    "misspelt": (
        GOOD.format(name="misspelt").replace("galfit_ml_backends", "galfit_ml_backend"),
        "unknown hook 'galfit_ml_backend' in plugin",
    ),
    "undecorated": (GOOD.format(name="undecorated").replace("@hookimpl", ""), "it implements no hook; decorate"),
    "hookless": ("", "it implements no hook; decorate galfit_ml_backends() with galfit_ml.hookimpl"),
    "nothing": (
        GOOD.format(name="nothing").replace("return", "offered ="),
        "galfit_ml_backends() must return a list, got NoneType",
    ),
    "one": (
        GOOD.format(name="one").replace("[", "").replace("]", ""),
        "galfit_ml_backends() must return a list, got BackendInfo",
    ),
    "words": (
        "from galfit_ml import hookimpl\n@hookimpl\ndef galfit_ml_backends():\n    return ['mine', 3]",
        "must return a list of BackendInfo, got str, int in it",
    ),
    "failing": (
        "from galfit_ml import hookimpl\n@hookimpl\ndef galfit_ml_backends():\n    return 1 / 0",
        "ZeroDivisionError: division by zero",
    ),
    "shouting": (GOOD.format(name="LOUD"), "Backend name 'LOUD' must be lower-case"),
    "half": (
        GOOD.format(name="half") + "\n@hookimpl\ndef galfit_ml_instruments():\n    raise OSError('disk full')",
        "OSError: disk full",
    ),
}
"""Plugin -> its source, and words of what is reported."""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Writes a module and returns an entry point to it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str, source: str) -> EntryPoint:
        module = f"plugin_of_the_tests_{name.replace('-', '_')}"
        (tmp_path / f"{module}.py").write_text(source)
        monkeypatch.delitem(sys.modules, module, raising=False)
        return EntryPoint(name, module, GROUP)

    return write


def registry_of(*infos: BackendInfo, **broken: str) -> Registry:
    return Registry({info.name: info for info in infos}, {info.name: "tests" for info in infos}, broken)


@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_plugin_is_reported_by_name_and_the_others_live(name: str, install: Install) -> None:
    source, words = FAULTS[name]
    points = [install("a-good-one", GOOD.format(name="early")), install(name, source)]
    found = collect([*points, install("z-good-one", GOOD.format(name="late"))])
    assert list(found.infos) == ["early", "late"]
    assert list(found.broken) == [name]
    assert words in found.broken[name]
    shown = {status.name: status for status in found.statuses()}
    assert set(shown) == {"early", "late", name}
    assert shown["early"].available
    assert shown["late"].available
    assert not shown[name].available
    assert words in shown[name].problem


def test_the_second_of_two_backends_of_one_name_is_reported(install: Install) -> None:
    points = [install("first", GOOD.format(name="twin")), install("second", GOOD.format(name="twin"))]
    found = collect(points)
    assert found.owners == {"twin": "first"}
    assert found.broken == {"second:twin": "the name 'twin' is taken by plugin 'first'; uninstall one of them"}


def test_two_broken_plugins_of_one_name_are_both_reported(install: Install) -> None:
    points = [install("same", "import no_such_library"), EntryPoint("same", "plugin_that_is_not_there", GROUP)]
    problem = collect(points).broken["same"]
    assert "no_such_library" in problem
    assert "plugin_that_is_not_there" in problem


def test_a_newer_api_is_listed_but_refused() -> None:
    found = registry_of(BackendInfo("future", "json:JSONDecoder", "from tomorrow", api=API + 1))
    (status,) = found.statuses()
    assert (status.available, status.problem) == (
        False,
        f"written for API {API + 1}, this galfit_ml speaks {API}. Upgrade with: pip install -U galfit-ml",
    )
    with pytest.raises(PluginError, match="Backend 'future' cannot be used: written for API 2"):
        found.create("future", {})


def test_a_missing_library_is_listed_with_what_to_type() -> None:
    info = BackendInfo(
        "deep", "json:JSONDecoder", "deep", "Install it with: pip install deeplib", requires=("deeplib",)
    )
    (status,) = registry_of(info).statuses()
    assert status.problem == "missing library deeplib. Install it with: pip install deeplib"
    with pytest.raises(PluginError, match="pip install deeplib"):
        registry_of(info).create("deep", {})


def test_looking_for_a_library_does_not_import_it(fresh_python: FreshPython) -> None:
    code = """
import sys
from galfit_ml.backend import BackendInfo
from galfit_ml.registry import Registry
info = BackendInfo("deep", "scipy.special:erf", "deep", requires=("scipy.stats", "torch.nn"))
(status,) = Registry({"deep": info}, {"deep": "tests"}, {}).statuses()
assert status.available, status
assert not {"scipy", "torch"} & set(sys.modules)
"""
    fresh_python(code)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'. Try: pip install it"),
        ("raise OSError('libcudart.so.12: not found')", "OSError: libcudart.so.12: not found. Try: pip install it"),
        ("other = 3", "AttributeError"),
    ],
)
def test_a_backend_that_fails_to_load_says_why_and_what_to_type(source: str, words: str, install: Install) -> None:
    module = install("loading", source).value
    info = BackendInfo("fragile", f"{module}:Fragile", "breaks", "Try: pip install it")
    with pytest.raises(PluginError, match="Backend 'fragile' cannot be loaded from") as caught:
        registry_of(info).create("fragile", {})
    assert words in str(caught.value)
    assert caught.value.__cause__ is not None


def test_an_unknown_backend_is_suggested() -> None:
    found = registry_of(*(BackendInfo(name, "json:JSONDecoder", "") for name in ("emcee", "cnn")))
    with pytest.raises(UnknownNameError) as caught:
        found.info("emce")
    assert str(caught.value) == "No backend 'emce'. Did you mean 'emcee'? Installed: cnn, emcee."


def test_asking_for_a_broken_plugin_tells_what_is_wrong_with_it() -> None:
    found = registry_of(BackendInfo("emcee", "json:JSONDecoder", ""), cnn="ImportError: no torch")
    with pytest.raises(PluginError, match="Plugin 'cnn' is installed but broken: ImportError: no torch"):
        found.info("cnn")
    with pytest.raises(UnknownNameError, match="Installed: emcee. Plugin 'cnn' is installed but broken"):
        found.info("cnm")


def test_options_reach_the_backend_and_an_unknown_one_is_suggested() -> None:
    found = registry_of(BackendInfo("decoder", "json:JSONDecoder", ""))
    assert isinstance(found.create("decoder", {"strict": False}), json.JSONDecoder)
    with pytest.raises(UnknownNameError, match="No option of backend 'decoder' 'strikt'. Did you mean 'strict'"):
        found.create("decoder", {"strikt": False})


def test_a_type_error_inside_a_backend_is_not_blamed_on_its_options(install: Install) -> None:
    source = "class Fragile:\n    def __init__(self, depth=1):\n        raise TypeError('depth must be odd')"
    info = BackendInfo("fragile", f"{install('typed', source).value}:Fragile", "")
    with pytest.raises(TypeError, match="depth must be odd"):
        registry_of(info).create("fragile", {"depth": 2})


INSTRUMENT = """
name = "tester"
summary = "an instrument of the tests"
source = "none"

[[arms]]
name = "all"
range = [4000.0, 9000.0]
sampling = "linear"
step = 1.0
resolution = { R = 2000.0 }
"""


def test_instruments_of_plugins_are_found_and_a_broken_file_is_reported(install: Install, tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text(INSTRUMENT)
    (tmp_path / "bad.toml").write_text("name = 'bad'")
    files = [str(tmp_path / "bad.toml"), str(tmp_path / "good.toml"), str(tmp_path / "gone.toml")]
    source = f"from galfit_ml import hookimpl\n@hookimpl\ndef galfit_ml_instruments():\n    return {files!r}"
    found = collect([install("spectrographs", source)])
    assert list(found.instruments()) == ["tester"]
    bad, gone = found.broken_instruments()
    assert "bad.toml" in bad
    assert "key 'arms' is missing" in bad
    assert "gone.toml" in gone


COMMANDING = """
from galfit_ml import hookimpl
from galfit_ml.commands import CommandInfo

@hookimpl
def galfit_ml_commands():
    return [CommandInfo({name!r}, "builtins:len", "counts its arguments")]
"""


def test_commands_of_plugins_are_found_and_called(install: Install) -> None:
    found = collect(
        [install("first", COMMANDING.format(name="count")), install("second", COMMANDING.format(name="count"))]
    )
    assert found.commands["count"].call(["a", "b"]) == 2
    assert found.broken == {"second:count": "the command 'count' is taken by another plugin"}


def test_a_command_that_cannot_be_loaded_says_why(install: Install) -> None:
    source = COMMANDING.format(name="count").replace("builtins:len", "no_such_library:run")
    with pytest.raises(PluginError, match="Command 'count' cannot be loaded from no_such_library:run: ModuleNotFound"):
        collect([install("one", source)]).commands["count"].call([])


@pytest.mark.parametrize(("name", "target"), [("My Command", "json:loads"), ("mine", "json"), ("", "json:loads")])
def test_a_command_that_cannot_be_right_is_refused(name: str, target: str) -> None:
    with pytest.raises(ValueError, match=r"must be lower-case|must look like 'package.module:function'"):
        CommandInfo(name, target, "")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "My Backend"}, "must be lower-case"),
        ({"name": ""}, "must be lower-case"),
        ({"target": "json"}, "must look like 'package.module:Class'"),
        ({"target": "json:not a name"}, "must look like 'package.module:Class'"),
        ({"requires": "torch"}, r"requires must be a tuple like \('torch',\)"),
        ({"api": "2"}, "api must be an integer"),
    ],
)
def test_a_description_that_cannot_be_right_is_refused(changes: dict, words: str) -> None:
    good = BackendInfo("good", "json:JSONDecoder", "decodes")
    with pytest.raises(ValueError, match=words):
        replace(good, **changes)


def test_listing_backends_imports_nothing_heavy(fresh_python: FreshPython) -> None:
    code = """
import json, sys
import galfit_ml
from importlib.metadata import EntryPoint
from galfit_ml.registry import collect
rows = collect([EntryPoint("emcee", "galfit_ml_emcee", "galfit_ml")]).statuses()
assert [(r.name, r.available) for r in rows] == [("emcee", True), ("scan", True)], rows
print(json.dumps(sorted(sys.modules)))
galfit_ml.backends()
print(json.dumps(sorted(sys.modules)))
"""
    by_the_registry, by_the_api = map(set, map(json.loads, fresh_python(code).stdout.splitlines()))
    heavy = {"torch", "emcee", "scipy", "astropy", "specutils", "matplotlib", "pandas", "galfit_ml_emcee.backend"}
    assert not by_the_registry & (heavy | {"numpy"})
    assert not by_the_api & heavy
