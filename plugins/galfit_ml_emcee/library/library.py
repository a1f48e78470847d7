"""`Library`: templates of redshift bins and what they were made for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from galfit_ml.instruments import Instrument
from galfit_ml.simulate.cosmology import Cosmology
from galfit_ml.simulate.prior import GalaxyPrior
from galfit_ml_emcee.library.axis import ScanAxis
from galfit_ml_emcee.library.templates import BinTemplates, Size


def training_prior(instrument: Instrument) -> GalaxyPrior:
    """The prior of the training spectra of an instrument, as `galfit_ml.simulate.survey` draws them."""
    return GalaxyPrior(instrument.redshift_range, instrument.magnitude_range)


@dataclass(frozen=True, eq=False)
class Library:
    """Templates for a scan.

    Args:
        instrument, axis, prior: what they were made for.
        bins: templates of each redshift bin.
        size: of each bin.
        key: changes with every setting and with the code of the galaxy model.
        cosmology: of the galaxy model.
    """

    instrument: Instrument
    axis: ScanAxis
    prior: GalaxyPrior
    bins: tuple[BinTemplates, ...]
    size: Size
    key: str
    cosmology: Cosmology

    @property
    def loss(self) -> Tensor:
        """[all templates of all bins] share of the sum of squares that truncation loses."""
        return torch.cat([b.loss for b in self.bins])
