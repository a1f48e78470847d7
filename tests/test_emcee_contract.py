"""The backends emcee and scan keep the promises every backend makes.

Short chains on coarse spectra: what is checked is the bookkeeping. Coverage needs long chains on many spectra and is
measured by a benchmark, `python -m benchmarks.emcee.calibration`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from galfit_ml.testing import default_instrument, parametrize_with_checks

SHORT = {"effort": 0.1, "max_steps": 10, "n_effective": 20.0}


@pytest.mark.slow
@parametrize_with_checks(
    ["emcee"],
    options=SHORT,
    instrument=default_instrument(300.0, (0.05, 0.3)),
    n_samples=60,
)
def test_contract(check: Callable[[], object]) -> None:
    assert check() is not None


@pytest.mark.slow
@parametrize_with_checks(
    ["scan"],
    options={"templates": 128, "vectors": 8},
    instrument=default_instrument(300.0, (0.05, 0.3)),
    n_samples=60,
)
def test_contract_of_the_scan(check: Callable[[], object]) -> None:
    assert check() is not None
