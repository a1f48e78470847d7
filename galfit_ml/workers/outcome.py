"""What becomes of a task: a result, or in words why there is none."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from galfit_ml.errors import WorkerError

Result = TypeVar("Result")

News = Callable[[float], None]
"""Called by a task as news(share) with the share of it that is done, a few times a second at most."""


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """What became of a task.

    Args:
        result: what the function returned, None where it failed.
        error: "" for success, else the exception's type and message, or how the process died and what to do.
        details: the traceback, as text; "" where there is none.
    """

    result: Result | None = None
    error: str = ""
    details: str = field(default="", compare=False)

    @property
    def ok(self) -> bool:
        """Whether there is a result."""
        return not self.error

    def unwrap(self) -> Result:
        """The result.

        Raises:
            WorkerError: there is none; the traceback of the task is in the message.
        """
        if self.error:
            raise WorkerError(f"{self.error}\n{self.details}".rstrip())
        return self.result  # type: ignore[return-value] # without an error it is what the function returned


def attempt(call: Callable[[], Result]) -> Outcome[Result]:
    """What becomes of a call."""
    try:
        return Outcome(call())
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a task raises, the others must go on
        return failed(error)


def failed(error: BaseException, what: str = "") -> Outcome[Any]:
    """The outcome of an exception, as text: not every exception can be pickled, or even say what it is."""
    return Outcome(error=what + name_and_message(error), details="".join(traceback.format_exception(error)).rstrip())


def name_and_message(error: BaseException) -> str:
    """The exception's type and message."""
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ may raise anything
        message = ""
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
