"""From the values of the coordinates to the dictionary that bagpipes takes; numpy alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml_bagpipes.prior import BURST_HALF_WIDTH

CLOUD_GYR, RECENT_GYR = 0.01, 0.1
N_HISTORY = 300


def components(values: Mapping[str, float], resolution: NDArray[np.float64] | None = None) -> dict[str, Any]:
    """A bagpipes model.

    Args:
        values: coordinate -> value, as `Prior.transform` gives them for one galaxy.
        resolution: [n_pix, 2] observed wavelength, angstrom, and R = wavelength / FWHM; None for no broadening.
    """
    out = {
        "redshift": values["redshift"],
        "veldisp": values["velocity_dispersion"],
        "t_bc": CLOUD_GYR,
        # Without a bump this is the curve of Calzetti et al. (2000) times (wavelength / 5500 A)^delta.
        "dust": {
            "type": "Salim",
            "Av": values["dust_av"],
            "eta": values["dust_eta"],
            "delta": values["dust_slope"],
            "B": 0.0,
        },
        "nebular": {"logU": values["log_ionisation"], "metallicity": 10 ** values["log_gas_metallicity"]},
        "noise": {"type": "white_scaled", "scaling": values["noise_scale"]},
        **star_formation(values),
    }
    if "calibration_0" in values:
        out["calib"] = calibration(values)
    return out if resolution is None else out | {"R_curve": resolution}


def calibration(values: Mapping[str, float]) -> dict[str, Any]:
    """The polynomial by which bagpipes divides the model: 1 plus the coefficients."""
    coefficients = [values[name] for name in values if name.startswith("calibration_")]
    numbered = {str(k): c + (k == 0) for k, c in enumerate(coefficients)}
    return {"type": "polynomial_bayesian", **numbered}


def star_formation(values: Mapping[str, float]) -> dict[str, Any]:
    """The last 10 Myr, the last 100 Myr, a burst, and a delayed exponential that ends 100 Myr ago."""
    mass, recent = 10 ** values["log_formed_mass"], 10 ** values["log_recent_fraction"]
    burst, age = 10 ** values["log_burst_fraction"], values["burst_age"]
    youngest = min(10 ** values["log_burstiness"], 9.5) * CLOUD_GYR / RECENT_GYR
    start = max(age * (1 - BURST_HALF_WIDTH), RECENT_GYR)
    parts: dict[str, dict[str, Any]] = {
        "constant1": {"age_min": 0.0, "age_max": CLOUD_GYR, "massformed": mass * recent * youngest},
        "constant2": {"age_min": CLOUD_GYR, "age_max": RECENT_GYR, "massformed": mass * recent * (1 - youngest)},
        "constant3": {
            "age_min": start,
            "age_max": age * (1 + BURST_HALF_WIDTH),
            "massformed": mass * (1 - recent) * burst,
        },
        "custom": {"history": delayed(values), "massformed": mass * (1 - recent) * (1 - burst)},
    }
    common = {"metallicity": 10 ** values["log_metallicity"]}
    return {name: part | common | {"massformed": np.log10(part["massformed"])} for name, part in parts.items()}


def delayed(values: Mapping[str, float]) -> NDArray[np.float64]:
    """Lookback time in yr and SFR ~ t exp(-t / tau) of what formed more than 100 Myr ago, [n, 2]."""
    age, tau = values["formation_age"], values["tau"]
    lookback = np.geomspace(RECENT_GYR, age, N_HISTORY)
    time = age - lookback
    return np.stack([lookback * 1e9, time * np.exp(-time / tau)], axis=1)
