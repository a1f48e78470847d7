"""Eight galaxies at rest, made by galfit_ml's own galaxy model."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from galfit_ml.grid import SPEED_OF_LIGHT_KMS

Floats = NDArray[np.float64]

GALAXIES = {
    # three without young stars, a post-starburst, four that form stars: dusty, dust-free, metal-poor, hardly any metals
    "log_ssfr": (-13.0, -13.0, -13.0, -12.0, -9.8, -9.0, -8.2, -8.2),
    "formation_age": (1.0e10, 1.0e10, 2.0e9, 6.0e8, 8.0e9, 8.0e9, 3.0e9, 3.0e9),
    "tau": (3.0e8, 3.0e8, 3.0e8, 1.0e8, 5.0e9, 5.0e9, 3.0e9, 3.0e9),
    "log_metallicity": (0.2, -0.7, 0.0, -0.2, 0.0, 0.0, -0.6, -1.5),
    "log_gas_metallicity": (0.0, 0.0, 0.0, 0.0, 0.2, 0.2, -0.5, -1.7),
    "log_ionisation": (-3.0, -3.0, -3.0, -3.0, -3.2, -3.2, -2.4, -2.2),
    "dust_av": (0.2, 0.1, 0.3, 0.3, 2.0, 0.2, 0.2, 0.2),
}
NEARBY = 1e-3
STEP_KMS = 25.0
RANGE = (950.0, 24000.0)


@lru_cache(maxsize=4)
def rest_frame(lsf_kms: float) -> tuple[Floats, Floats]:
    """Templates smoothed to a line-spread function of sigma `lsf_kms`.

    Returns:
        ln of the rest-frame vacuum wavelength, angstrom, [n_wave], uniform; flux density [n_wave, 8] of unit mean.
    """
    import torch

    from galfit_ml.simulate.galaxies import simple_galaxies
    from galfit_ml.simulate.galaxy import GalaxyModel, Pixels

    step = STEP_KMS / SPEED_OF_LIGHT_KMS
    ln_rest = np.arange(np.log(RANGE[0]), np.log(RANGE[1]), step)
    wavelength = np.exp(ln_rest) * (1 + NEARBY)
    edges = np.exp(np.append(ln_rest, ln_rest[-1] + step) - step / 2) * (1 + NEARBY)
    pixels = Pixels.from_arrays(wavelength, [edges], wavelength * lsf_kms / SPEED_OF_LIGHT_KMS, (5600.0, 6900.0))
    columns = {name: torch.tensor(values) for name, values in GALAXIES.items()}
    with torch.no_grad():
        made = GalaxyModel().observe(simple_galaxies(8, NEARBY, **columns), pixels)
    flux = made.flux.double().numpy().T
    return ln_rest, np.ascontiguousarray(flux / flux.mean(axis=0))
