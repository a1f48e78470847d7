"""The door of the suite: choose the checks, run them, hand them to pytest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from galfit_ml.backend import BackendInfo, Tags
from galfit_ml.errors import unknown_name
from galfit_ml.testing import answers, coverage, draws, inputs, objects
from galfit_ml.testing.contract import Check, CheckResult, ContractError
from galfit_ml.testing.subject import BackendLike, Subject, Trial

if TYPE_CHECKING:
    import pytest

CHECKS: tuple[Check, ...] = (
    answers.shapes,
    answers.parameters,
    answers.ranges,
    answers.n_samples,
    answers.redshift_fixed,
    answers.redshift_range,
    answers.redshift_distribution,
    answers.relative_flux,
    answers.flags_kept,
    answers.unusable_spectra,
    answers.best_fit,
    answers.embedding,
    draws.same_seed,
    draws.other_seed,
    draws.order,
    draws.streams,
    draws.global_state,
    inputs.input_untouched,
    inputs.masked_pixels,
    inputs.one_by_one,
    objects.pickling,
    objects.saving,
    objects.progress,
    coverage.coverage,
)
"""Every promise, in the order in which they are tried."""


def iter_checks(info: BackendInfo | Tags) -> Iterator[Check]:
    """The checks a backend of this description (or these tags) has to pass."""
    tags = info.tags if isinstance(info, BackendInfo) else info
    return (check for check in CHECKS if check.applies(tags))


def check_backend(
    backend: BackendLike,
    *,
    checks: Iterable[str] | None = None,
    tags: Tags | None = None,
    options: Mapping[str, Any] | None = None,
    **trial: Any,
) -> list[CheckResult]:
    """Try whether a backend keeps the promises of `galfit_ml.backend`; the first one broken is raised.

    Args:
        backend: a registered name, a `BackendInfo`, or a function (or class) that makes one when called.
        checks: names of the checks to run; None for all. Those the tags exclude are reported as skipped.
        tags: what it promises; by default those of its description, `Tags()` for a function.
        options: passed to its constructor.
        **trial: fields of `Trial`: `instrument`, `simulator`, `snr`, `n_samples`, `n_calibration`, `seed`.

    Raises:
        ContractError: a promise is broken; it says which, and what was seen.
        UnknownNameError: no backend or check of that name.
        PluginError: the backend cannot be loaded.
    """
    subject = Subject(backend, tags=tags, options=options, trial=Trial(**trial))
    chosen = CHECKS if checks is None else tuple(find_check(name) for name in checks)
    return [check.run(subject) if check.applies(subject.tags) else _skipped(check) for check in chosen]


def find_check(name: str) -> Check:
    """The check of this name; UnknownNameError with a suggestion."""
    known = {check.name: check for check in CHECKS}
    if name not in known:
        raise unknown_name("check", name, known)
    return known[name]


def _skipped(check: Check) -> CheckResult:
    return CheckResult(check.name, False, f"the backend's tags say {check.tag}=False")


def parametrize_with_checks(
    backends: Iterable[BackendLike],
    *,
    expected_failures: Mapping[str, str] | None = None,
    tags: Tags | None = None,
    options: Mapping[str, Any] | None = None,
    **trial: Any,
) -> pytest.MarkDecorator:
    """Decorator that gives a pytest function one `check` after the other; the function calls `check()`.

    ::

        @parametrize_with_checks(["emcee"], expected_failures={"coverage": "under 68 % at S/N 3: issue 12"})
        def test_contract(check):
            check()

    Args:
        backends: one or more, as in `check_backend`.
        expected_failures: check name -> reason. Such a check must fail: once it passes, the test fails.
        tags: as in `check_backend`, for every backend.
        options: as in `check_backend`, for every backend.
        **trial: as in `check_backend`, for every backend.
    """
    import pytest

    known = {find_check(name).name: reason for name, reason in (expected_failures or {}).items()}
    cases = []
    for backend in backends:
        subject = Subject(backend, tags=tags, options=options, trial=Trial(**trial))
        for check in iter_checks(subject.tags):
            reason = known.get(check.name)
            marks = [pytest.mark.xfail(strict=True, raises=ContractError, reason=reason)] if reason else []
            cases.append(pytest.param(_bound(check, subject), id=f"{subject.name}-{check.name}", marks=marks))
    return pytest.mark.parametrize("check", cases)


def _bound(check: Check, subject: Subject) -> Callable[[], CheckResult]:
    return lambda: check.run(subject)
