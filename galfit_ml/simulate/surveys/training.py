"""The survey `training`: galaxies of the one prior, whole, without a bulge or disc of their own."""

from __future__ import annotations

import numpy as np
import torch

from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.pixels import Pixels
from galfit_ml.simulate.prior import MASS_RANGE, GalaxyPrior
from galfit_ml.simulate.surveys.deliver import aperture_factors
from galfit_ml.simulate.surveys.sample import Sample, joined, observe_parts, take_sample

REJECTED = 0.2
"""Share of the prior that lies outside its mass range, about: so many more candidates are drawn at once."""

QUIESCENT_BELOW = -11.0
"""log10 sSFR (1/yr) below which a galaxy of the prior is called quiescent."""


class TrainingPopulation:
    """Galaxies of a prior, those outside its mass range drawn again.

    The magnitude of the prior is that of the delivered flux, and so are all labels; only the total magnitude of the
    truth table knows of the scatter of the fibre loss.

    Args:
        model: galaxy model.
        pixels: of the instrument, on the model's device.
        prior: density of galaxies.
    """

    prefixes = ("",)

    def __init__(self, model: GalaxyModel, pixels: Pixels, prior: GalaxyPrior) -> None:
        self.model, self.pixels, self.prior = model, pixels, prior

    def sample(self, rows: range, rng: np.random.Generator) -> Sample:
        """As many galaxies as `rows` has."""
        kept: list[Sample] = []
        found = 0
        while found < len(rows):
            more = self._candidates(int((len(rows) - found) / (1 - REJECTED)) + 4, rng)
            kept.append(more)
            found += len(more)
        whole = joined(kept)
        return take_sample(whole, torch.arange(len(rows), device=whole.flux.device))

    def _candidates(self, n: int, rng: np.random.Generator) -> Sample:
        """Those of n draws from the prior that are inside its mass range."""
        device = self.model.device
        galaxies = self.prior.transform(torch.as_tensor(rng.random((n, self.prior.n_dim)), device=device))
        aperture = torch.as_tensor(aperture_factors(n, rng), device=device)
        flux, parts = observe_parts(self.model, [("", galaxies)], self.pixels)
        made = parts[0].made
        log_ssfr = (made.log_sfr - made.log_stellar_mass).cpu().numpy()
        kind = np.where(log_ssfr > QUIESCENT_BELOW, "star-forming", "quiescent")
        inside = (made.log_stellar_mass > MASS_RANGE[0]) & (made.log_stellar_mass < MASS_RANGE[1])
        return take_sample(Sample(flux, parts, kind, aperture), inside.nonzero()[:, 0])
