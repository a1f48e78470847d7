"""What a check is, what it answers, and the error it raises."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from galfit_ml.errors import GalfitMLError

if TYPE_CHECKING:
    from galfit_ml.backend import Tags
    from galfit_ml.testing.subject import Subject


class ContractError(GalfitMLError, AssertionError):
    """A backend breaks a promise.

    Args:
        backend: its name.
        check: name of the check that noticed.
        promise: what every backend promises.
        seen: what this one did.
    """

    def __init__(self, backend: str, check: str, promise: str, seen: str) -> None:
        self.backend, self.check, self.promise, self.seen = backend, check, promise, seen
        super().__init__(
            f"Backend '{backend}' fails the check '{check}'.\n  promised: {promise}\n  seen:     {seen}\n"
            f"  again:    galfit_ml.testing.check_backend(..., checks=[{check!r}])"
        )

    def __reduce__(self) -> tuple[type[ContractError], tuple[str, str, str, str]]:
        return type(self), (self.backend, self.check, self.promise, self.seen)


class Breach(Exception):
    """Raised inside a check with what was seen; `Check.run` turns it into a `ContractError`."""


def require(kept: object, seen: str) -> None:
    """Raise `Breach(seen)` unless `kept` is true."""
    if not kept:
        raise Breach(seen)


@dataclass(frozen=True)
class CheckResult:
    """Outcome of one check.

    Args:
        name: the check.
        passed: False where it was skipped; a broken promise raises instead.
        note: why it was skipped, or what was measured.
        seconds: time it took.
    """

    name: str
    passed: bool
    note: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Check:
    """One promise and the function that tries it.

    Args:
        name: identifier.
        promise: one sentence.
        function: called with a `Subject`; raises `Breach`, or returns a note.
        tag: the field of `Tags` a backend must have set for the promise to be its own; "" for every backend.
    """

    name: str
    promise: str
    function: Callable[[Subject], str | None]
    tag: str = ""

    def applies(self, tags: Tags) -> bool:
        """Whether a backend of these tags makes this promise."""
        return not self.tag or bool(getattr(tags, self.tag))

    def run(self, subject: Subject) -> CheckResult:
        """Try the promise on `subject`.

        Raises:
            ContractError: the promise is broken, or the backend raised instead of answering.
            PluginError: the backend cannot be loaded at all.
        """
        subject.load()
        start = time.perf_counter()
        try:
            note = self.function(subject)
        except Breach as breach:
            raise ContractError(subject.name, self.name, self.promise, str(breach)) from None
        except Exception as error:  # whatever it is, the backend broke its promise to answer
            seen = f"it raised {type(error).__name__}: {error}"
            raise ContractError(subject.name, self.name, self.promise, seen) from error
        return CheckResult(self.name, True, note or "", time.perf_counter() - start)


def promise(text: str, *, tag: str = "") -> Callable[[Callable[[Subject], str | None]], Check]:
    """Decorator: the function below tries the promise `text`, made by backends with `tag` (all, if "")."""

    def make(function: Callable[[Subject], str | None]) -> Check:
        return Check(function.__name__, text, function, tag)

    return make
