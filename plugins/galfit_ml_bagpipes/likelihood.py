"""bagpipes' own likelihood of one spectrum, driven by the coordinates of `Prior`. Needs bagpipes; see `worker`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.grid import air_to_vacuum
from galfit_ml_bagpipes.arrays import use_arrays
from galfit_ml_bagpipes.components import components
from galfit_ml_bagpipes.observed import Observed

Floats = NDArray[np.float64]

SAMPLES_PER_R = 2.5
"""bagpipes' internal resolving power over the highest of the spectrum: five of its pixels per FWHM."""

LEAST_R = 2000.0
MARGIN = 1.06
"""Room on the blue side, as a factor of wavelength, for broadening by the line-spread function."""


class Likelihood:
    """bagpipes' likelihood.

    Args:
        observed: the spectrum.
        start: coordinate -> value of any model, to set bagpipes up with.
        highest_redshift: that will be asked for.
        stock: leave bagpipes' loops over pixels as they are.
        resolving_power: bagpipes' internal one; None for what the spectrum needs.

    Attributes:
        n_calls: how often it was evaluated.
    """

    def __init__(
        self,
        observed: Observed,
        start: Mapping[str, float],
        highest_redshift: float,
        *,
        stock: bool = False,
        resolving_power: float | None = None,
    ) -> None:
        import bagpipes

        self.observed, self.n_calls = observed, 0
        self._resolution = np.stack([observed.wavelength, observed.resolution], axis=1)
        bagpipes.config.max_redshift = (1 + highest_redshift) * MARGIN - 1
        needed = max(LEAST_R, SAMPLES_PER_R * float(observed.resolution[observed.good].max()))
        bagpipes.config.R_spec = resolving_power or needed
        if not stock:
            use_arrays(bagpipes)
        first = components(start, self._resolution)
        self._fitted = bagpipes.fitting.fitted_model(_galaxy(bagpipes, observed), _instructions(first))
        # bagpipes would read its own parameters from a vector; here the vector is a dictionary of coordinates.
        self._fitted._update_model_components = self._place
        self._fitted.model_galaxy = bagpipes.model_galaxy(first, spec_wavs=observed.wavelength)
        # Stars and lines are at air wavelengths above 2000 A. bagpipes redshifts this array and nothing else.
        self.model.wavelengths = air_to_vacuum(self.model.wavelengths)

    @property
    def model(self) -> Any:
        """bagpipes' galaxy."""
        return self._fitted.model_galaxy

    def __call__(self, values: Mapping[str, float]) -> float:
        """ln likelihood of one galaxy, coordinate -> value; a huge negative number where bagpipes has no model."""
        self.n_calls += 1
        # bagpipes counts masked pixels too when it normalises the noise.
        unmasked = self.observed.n_ignored * np.log(values["noise_scale"])
        return float(self._fitted.lnlike(values) + unmasked)

    def spectrum(self, values: Mapping[str, float]) -> tuple[Floats, Floats]:
        """One galaxy, erg s^-1 cm^-2 A^-1, and the calibration that multiplies it, both [n_pix]."""
        self(values)
        galaxy: Floats = self.model.spectrum[:, 1]
        calibrated = "calibration_0" in values
        return galaxy, 1 / self._fitted.calib.model if calibrated else np.ones_like(galaxy)

    def rest_frame(self, values: Mapping[str, float]) -> tuple[Floats, Floats]:
        """Rest-frame vacuum wavelength, angstrom, and light without broadening, any unit, both [n_wave]."""
        self.model.update(components(values, self._resolution))
        return self.model.wavelengths, self.model.spectrum_full

    def derived(self, values: Mapping[str, float], remnants: Floats) -> dict[str, float]:
        """Masses, rate and age of one galaxy; `remnants` [n_Z, n_age] is their mass per mass formed."""
        history = self.model.sfh
        history.update(components(values, self._resolution))
        formed = history.ceh.grid
        return {
            "log_stellar_mass": float(np.log10(np.sum(formed * (history.live_frac_grid + remnants)))),
            "log_living_mass": float(history.stellar_mass),
            "log_sfr": float(np.log10(history.sfr)),
            "log_age": float(np.log10(history.mass_weighted_age) + 9),
        }

    def _place(self, values: Mapping[str, float]) -> None:
        self._fitted.model_components = components(values, self._resolution)


def _galaxy(bagpipes: Any, observed: Observed) -> Any:
    data = np.stack([observed.wavelength, observed.flux, observed.error], axis=1)
    return bagpipes.galaxy("spectrum", load_data=lambda _: data, photometry_exists=False)


def _instructions(first: Mapping[str, Any]) -> dict[str, Any]:
    """What bagpipes looks up in its instructions: whether there is a calibration and a noise model."""
    return {name: first[name] for name in ("redshift", "noise", "calib") if name in first}
