"""The contract that galfit_ml asks of every backend, and one promise of this backend's own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from galfit_ml import Estimator
from galfit_ml.testing import CheckResult, default_instrument, parametrize_with_checks, simulated_batch

NEARBY = default_instrument(resolving_power=500.0, redshift_range=(0.01, 0.2))


@parametrize_with_checks(["template-redshift"], instrument=NEARBY, n_calibration=20)
def test_contract(check: Callable[[], CheckResult]) -> None:
    check()


def test_redshifts_of_bright_galaxies_are_right() -> None:
    batch, truth = simulated_batch(NEARBY, n=4, snr=15.0, seed=11)
    posterior = Estimator("template-redshift", max_redshift=0.2).estimate(batch, seed=1, n_samples=200)
    error = (posterior.median()["redshift"] - truth["redshift"]) / (1 + truth["redshift"])
    assert np.abs(error).max() < 0.001
