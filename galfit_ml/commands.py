"""Commands that plugins add to `galfit-ml`, as data: the function is imported when the command is called."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from galfit_ml.errors import PluginError


@dataclass(frozen=True)
class CommandInfo:
    """A command as data.

    Args:
        name: what a user types after `galfit-ml`; lower case, digits and '-'.
        target: "package.module:function", imported on first use and called as function(arguments); it returns the exit
            status and takes care of `--help`.
        summary: one line.
    """

    name: str
    target: str
    summary: str

    def __post_init__(self) -> None:
        if not self.name.replace("-", "").isalnum() or self.name != self.name.lower():
            raise ValueError(f"Command name {self.name!r} must be lower-case letters, digits or '-'.")
        module, colon, attribute = self.target.partition(":")
        if not (module and colon and attribute.isidentifier()):
            raise ValueError(f"Command '{self.name}': target {self.target!r} must look like 'package.module:function'.")

    def call(self, arguments: Sequence[str]) -> int:
        """Run it; PluginError where it cannot be loaded."""
        module, _, attribute = self.target.partition(":")
        try:
            function = getattr(importlib.import_module(module), attribute)
        except Exception as error:  # a library may fail with anything
            why = f"{type(error).__name__}: {error}"
            raise PluginError(f"Command '{self.name}' cannot be loaded from {self.target}: {why}") from error
        return int(cast("Callable[[list[str]], int]", function)(list(arguments)))
