"""Checks that any backend can run on itself.

::

    from galfit_ml.testing import check_backend
    check_backend("emcee")

or, in a test file of a plugin::

    from galfit_ml.testing import parametrize_with_checks

    @parametrize_with_checks(["mine"])
    def test_contract(check):
        check()

`Tags` choose the checks. Every check is proven by a backend that breaks exactly its promise (tests/test_contract.py).
"""

from __future__ import annotations

from galfit_ml.testing.contract import Check, CheckResult, ContractError
from galfit_ml.testing.mocks import Simulator, default_instrument, simulated_batch, toy_batch
from galfit_ml.testing.runner import CHECKS, check_backend, iter_checks, parametrize_with_checks
from galfit_ml.testing.subject import Trial

__all__ = [
    "CHECKS",
    "Check",
    "CheckResult",
    "ContractError",
    "Simulator",
    "Trial",
    "check_backend",
    "default_instrument",
    "iter_checks",
    "parametrize_with_checks",
    "simulated_batch",
    "toy_batch",
]
