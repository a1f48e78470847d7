"""Plugins in, backends out. Entry points are loaded one at a time; a broken one is recorded, the others live."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pluggy

from galfit_ml import hookspecs
from galfit_ml.backend import API, BackendInfo
from galfit_ml.commands import CommandInfo
from galfit_ml.errors import FileFormatError, PluginError, unknown_name

if TYPE_CHECKING:
    from galfit_ml.backend import Backend
    from galfit_ml.instruments import Instrument

GROUP = "galfit_ml"


@dataclass(frozen=True)
class BackendStatus:
    """A backend as `galfit-ml backends` shows it: available, or why not."""

    name: str
    summary: str
    available: bool
    problem: str = ""
    plugin: str = ""


@dataclass(frozen=True)
class InstalledPlugin:
    """An entry point of the group `galfit_ml`, and what it offers; nothing where it is broken.

    Args:
        name: of the entry point.
        module: that holds its hooks.
        distribution: name and version of what pip installed, "" where that is not known.
        backends, commands: their names.
        instrument_files, suite_files: TOML files.
    """

    name: str
    module: str = ""
    distribution: str = ""
    backends: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    instrument_files: tuple[Path, ...] = ()
    suite_files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Registry:
    """What the installed plugins brought.

    Args:
        infos: backend name -> its description, in the order of discovery.
        owners: backend name -> plugin that brought it.
        broken: plugin or backend name -> what is wrong with it.
        instrument_files: TOML files of instruments.
        commands: commands of the command line, by name.
        suite_files: TOML files of benchmark suites.
        plugins: every entry point, the broken ones too, by name.
    """

    infos: Mapping[str, BackendInfo]
    owners: Mapping[str, str]
    broken: Mapping[str, str]
    instrument_files: tuple[Path, ...] = ()
    commands: Mapping[str, CommandInfo] = field(default_factory=dict)
    suite_files: tuple[Path, ...] = ()
    plugins: tuple[InstalledPlugin, ...] = ()

    def statuses(self) -> list[BackendStatus]:
        """Every backend and every broken plugin."""
        rows = []
        for name, info in self.infos.items():
            problem = _problem(info)
            rows.append(BackendStatus(name, info.summary, not problem, problem, self.owners[name]))
        rows += [BackendStatus(name, "(broken plugin)", False, why, name) for name, why in self.broken.items()]
        return rows

    def info(self, name: str) -> BackendInfo:
        """The description of backend `name`; UnknownNameError suggests, PluginError tells what is broken."""
        if name in self.infos:
            return self.infos[name]
        if name in self.broken:
            raise PluginError(f"Plugin '{name}' is installed but broken: {self.broken[name]}")
        hint = "".join(f" Plugin '{n}' is installed but broken: {why}" for n, why in self.broken.items())
        raise unknown_name("backend", name, self.infos, hint.strip())

    def create(self, name: str, options: Mapping[str, Any]) -> Backend:
        """Import and construct backend `name`; PluginError with the install hint where that fails."""
        info = self.info(name)
        if problem := _problem(info):
            raise PluginError(f"Backend '{name}' cannot be used: {problem}")
        factory = _load(info)
        try:
            return cast("Backend", factory(**options))
        except TypeError as error:
            if not options:
                raise
            raise unknown_name_for_options(name, factory, options, error) from error

    def instruments(self) -> dict[str, Instrument]:
        """Instruments that plugins brought, by name; a file that cannot be read stands in `broken_instruments`."""
        return {i.name: i for i in _read_instruments(self.instrument_files) if not isinstance(i, str)}

    def broken_instruments(self) -> list[str]:
        """For each instrument file that cannot be read, what is wrong with it."""
        return [problem for problem in _read_instruments(self.instrument_files) if isinstance(problem, str)]


def _read_instruments(files: Iterable[Path]) -> Iterator[Instrument | str]:
    from galfit_ml.instruments import Instrument

    for file in files:
        try:
            yield Instrument.from_toml(file)
        except FileFormatError as error:
            yield str(error)


def unknown_name_for_options(name: str, factory: Any, options: Mapping[str, Any], error: TypeError) -> Exception:
    """The error for options a backend does not take; the TypeError itself where the cause lies elsewhere."""
    import inspect

    known = [p for p in inspect.signature(factory).parameters if p != "self"]
    stranger = next((o for o in options if o not in known), None)
    return error if stranger is None else unknown_name(f"option of backend '{name}'", stranger, known)


def _load(info: BackendInfo) -> Any:
    module, _, attribute = info.target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:  # a library may fail with anything: torch without its CUDA files raises OSError
        why = f"{type(error).__name__}: {error}. {info.install_hint}".strip()
        raise PluginError(f"Backend '{info.name}' cannot be loaded from {info.target}: {why}") from error


def _problem(info: BackendInfo) -> str:
    if info.api > API:
        return f"written for API {info.api}, this galfit_ml speaks {API}. Upgrade with: pip install -U galfit-ml"
    missing = [m for m in (*info.requires, info.target.partition(":")[0]) if not _findable(m)]
    if missing:
        return f"missing library {', '.join(missing)}. {info.install_hint}".strip()
    return ""


def _findable(module: str) -> bool:
    """Whether the top-level package of `module` is installed; looking for a submodule would import it."""
    try:
        return importlib.util.find_spec(module.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return False


@dataclass
class _Collector:
    infos: dict[str, BackendInfo] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    commands: dict[str, CommandInfo] = field(default_factory=dict)
    suites: list[Path] = field(default_factory=list)

    def add(self, plugin_name: str, plugin: object) -> InstalledPlugin:
        """Take over what one plugin offers, all or nothing; a manager of its own keeps its faults its own."""
        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        manager.register(plugin, name=plugin_name)
        manager.check_pending()
        if not manager.get_hookcallers(plugin):
            raise PluginError("it implements no hook; decorate galfit_ml_backends() with galfit_ml.hookimpl")
        infos = _returned(manager, plugin, "galfit_ml_backends", BackendInfo)
        files = _returned(manager, plugin, "galfit_ml_instruments", str, Path)
        commands = _returned(manager, plugin, "galfit_ml_commands", CommandInfo)
        suites = _returned(manager, plugin, "galfit_ml_suites", str, Path)
        for info in infos:
            self._add_info(plugin_name, info)
        for command in commands:
            if self.commands.setdefault(command.name, command) is not command:
                self.record(f"{plugin_name}:{command.name}", f"the command '{command.name}' is taken by another plugin")
        offered = InstalledPlugin(
            plugin_name,
            backends=tuple(info.name for info in infos if self.infos[info.name] is info),
            commands=tuple(command.name for command in commands if self.commands[command.name] is command),
            instrument_files=tuple(map(Path, files)),
            suite_files=tuple(map(Path, suites)),
        )
        self.files += offered.instrument_files
        self.suites += offered.suite_files
        return offered

    def _add_info(self, plugin_name: str, info: BackendInfo) -> None:
        if info.name in self.infos:
            taken = f"the name '{info.name}' is taken by plugin '{self.owners[info.name]}'; uninstall one of them"
            self.record(f"{plugin_name}:{info.name}", taken)
            return
        self.infos[info.name] = info
        self.owners[info.name] = plugin_name

    def record(self, name: str, problem: str) -> None:
        """Keep what is wrong with `name`; a second problem of that name does not hide the first."""
        known = self.broken.get(name)
        self.broken[name] = f"{known}; {problem}" if known else problem


def _returned(manager: pluggy.PluginManager, plugin: object, hook: str, *kinds: type) -> list[Any]:
    """What the plugin's `hook` returns, [] without that hook; PluginError unless it is a list of `kinds`."""
    if hook not in {caller.name for caller in manager.get_hookcallers(plugin) or ()}:
        return []
    answers = getattr(manager.hook, hook)()
    answer = answers[0] if answers else None
    if not isinstance(answer, (list, tuple)):
        raise PluginError(f"{hook}() must return a list, got {type(answer).__name__}")
    if strangers := [type(item).__name__ for item in answer if not isinstance(item, kinds)]:
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise PluginError(f"{hook}() must return a list of {wanted}, got {', '.join(strangers)} in it")
    return list(answer)


def collect(points: Iterable[EntryPoint]) -> Registry:
    """Load each entry point inside a `try`; what fails is recorded under its name with the reason."""
    found, plugins = _Collector(), []
    for point in sorted(points, key=lambda p: p.name):
        plugin = InstalledPlugin(point.name)
        try:
            plugin = found.add(point.name, point.load())
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a plugin raises, the others must live
            found.record(point.name, f"{type(error).__name__}: {error}")
        distribution = f"{point.dist.name} {point.dist.version}" if point.dist else ""
        plugins.append(replace(plugin, module=point.value, distribution=distribution))
    files, suites = tuple(found.files), tuple(found.suites)
    return Registry(found.infos, found.owners, found.broken, files, found.commands, suites, tuple(plugins))


@cache
def registry() -> Registry:
    """The plugins of this installation; found once per process (`registry.cache_clear()` looks again)."""
    return collect(entry_points(group=GROUP))
