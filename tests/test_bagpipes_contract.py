"""The bagpipes backend keeps the promises every backend makes.

Few free parameters, few live points, coarse spectra: what is checked is the bookkeeping. Needs the extra `bagpipes`
and a quarter of an hour on one core.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import pytest

from galfit_ml.testing import default_instrument, parametrize_with_checks
from galfit_ml_bagpipes import galfit_ml_backends

SHORT = {
    "n_live": 40,
    "n_eff": 100,
    "max_calls": 4000,
    "n_networks": 1,
    "calibration_order": None,
    "fixed": {
        "log_recent_fraction": -2.0,
        "log_burstiness": 0.0,
        "burst_age": 0.5,
        "log_burst_fraction": -3.0,
        "formation_age": 0.5,
        "tau": 0.3,
        "log_gas_metallicity": -0.5,
        "log_ionisation": -3.0,
        "dust_eta": 2.0,
        "dust_slope": 0.0,
        "velocity_dispersion": 150.0,
        "noise_scale": 1.0,
    },
}
MISSING = [name for name in ("bagpipes", "nautilus") if importlib.util.find_spec(name) is None]


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason="bagpipes is not installed: pip install 'galfit-ml[bagpipes]'")
@parametrize_with_checks(
    galfit_ml_backends(),
    options=SHORT,
    instrument=default_instrument(300.0, (0.05, 0.3)),
    n_samples=60,
)
def test_contract(check: Callable[[], object]) -> None:
    assert check() is not None
