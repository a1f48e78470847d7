"""What is sampled: names and ranges of the coordinates, in the order of the sampler's axes."""

from __future__ import annotations

import math

COORDINATES = (
    "redshift",
    "log_formed_mass",
    "log_recent_fraction",
    "log_burstiness",
    "burst_age",
    "log_burst_fraction",
    "formation_age",
    "tau",
    "log_metallicity",
    "log_gas_metallicity",
    "log_ionisation",
    "dust_av",
    "dust_eta",
    "dust_slope",
    "velocity_dispersion",
    "noise_scale",
)
"""Coordinates of every fit; those of the calibration polynomial come after them."""

NOISE_SCALE_SIGMA = 0.3
"""Sigma of the prior on ln(noise scale)."""

RANGES = {
    "log_formed_mass": (5.0, 13.0),
    "log_recent_fraction": (-5.0, math.log10(0.95)),
    "log_burstiness": (-2.0, 0.97),
    "burst_age": (0.1 / 0.86, 1.0),
    "log_burst_fraction": (-4.0, math.log10(0.9)),
    "formation_age": (0.0, 1.0),
    "tau": (0.02, 2.0),
    "log_metallicity": (-2.0, 0.39),
    "log_gas_metallicity": (math.log10(0.005), math.log10(2.5)),
    "log_ionisation": (-4.0, -1.5),
    "dust_av": (0.0, 3.0),
    "dust_eta": (1.0, 3.0),
    "dust_slope": (-0.7, 0.3),
    "velocity_dispersion": (40.0, 400.0),
    "noise_scale": (0.2, 5.0),
}
"""Ranges, in the units of `Galaxy` of `galfit_ml_bagpipes.prior`."""
