"""What a new package is called, from the name of its backend."""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from galfit_ml.errors import GalfitMLError
from galfit_ml.registry import registry

PREFIX = "galfit-ml-"

SHAPE = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
LONGEST = 40


@dataclass(frozen=True)
class PluginNames:
    """The names in a new package.

    Args:
        name: of the backend and of the plugin: lower-case words of letters and digits, joined by '-' or '_'.

    Raises:
        GalfitMLError: it is no such name, or is taken by what is installed.
    """

    name: str

    def __post_init__(self) -> None:
        if self.name.startswith((PREFIX, PREFIX.replace("-", "_"))):
            short = self.name[len(PREFIX) :]
            raise GalfitMLError(f"'{self.name}' becomes the package {PREFIX}{self.name}: leave it out, type '{short}'.")
        if len(self.name) > LONGEST or not SHAPE.fullmatch(self.name):
            raise GalfitMLError(
                f"'{self.name}' cannot be the name of a backend and a package. Take up to {LONGEST} lower-case letters "
                f"and digits, the first one a letter, in words joined by '-' or '_'{_suggestion(self.name)}."
            )
        if taken := _taken(self):
            raise GalfitMLError(f"{taken} Take another name, or uninstall it first.")

    @property
    def distribution(self) -> str:
        """What pip installs."""
        return f"{PREFIX}{self.name.replace('_', '-')}"

    @property
    def package(self) -> str:
        """What Python imports."""
        return self.distribution.replace("-", "_")

    @property
    def class_name(self) -> str:
        """Of the backend."""
        return "".join(word.capitalize() for word in re.split("[-_]", self.name))


def _suggestion(name: str) -> str:
    """', for example ...' where something like `name` would do."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")[:LONGEST].strip("-")
    return f", for example '{plain}'" if SHAPE.fullmatch(plain) else ""


def _taken(names: PluginNames) -> str:
    """Who has the name already; "" if nobody."""
    found = registry()
    if names.name in found.infos:
        return f"The backend '{names.name}' is there already, from plugin '{found.owners[names.name]}'."
    if any(names.name == known.partition(":")[0] for known in found.broken):
        return f"A plugin '{names.name}' is installed already (and broken)."
    if importlib.util.find_spec(names.package) is not None:
        return f"A package '{names.package}' is installed already."
    try:
        return f"The package {names.distribution} {version(names.distribution)} is installed already."
    except PackageNotFoundError:
        return ""


def author_in_toml(author: str) -> str:
    """`Name <mail>`, or one of both, as an entry of `authors` in pyproject.toml; GalfitMLError where it is none."""
    match = re.fullmatch(r"\s*([^<>]*?)\s*(?:<\s*([^<>\s]+@[^<>\s]+)\s*>)?\s*", author)
    if match is None or not any(match.groups()) or not author.isprintable():
        raise GalfitMLError(
            f"{author!r} is no author. Write --author 'Ada Lovelace' or 'Ada Lovelace <ada@example.org>'."
        )
    # A JSON text is a basic string of TOML too.
    parts = {"name": match[1], "email": match[2]}
    listed = ", ".join(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in parts.items() if value)
    return f"{{ {listed} }}"
