"""Point estimates: one pass without dropout, the best redshift and the mean of each property there."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from galfit_ml.simulate.cosmology import Cosmology
from galfit_ml_cnn.allowed import Allowed
from galfit_ml_cnn.draws import Drawn
from galfit_ml_cnn.inputs import Inputs
from galfit_ml_cnn.network import GalaxyNetwork, truth_in_bins
from galfit_ml_cnn.solutions import best_redshift
from galfit_ml_cnn.targets import Setting, decode


@torch.no_grad()
def point(network: GalaxyNetwork, inputs: Inputs, allowed: Allowed, temperature: Tensor, cosmology: Cosmology) -> Drawn:
    """Estimates of n spectra as if each were a single draw.

    Args:
        network: in evaluation mode.
        inputs: n spectra.
        allowed: n priors on the redshift.
        temperature: [n] by which logits are divided.
        cosmology: of the simulations.
    """
    maps, rest, summary = network.features(inputs)
    logits = network.head(maps, summary) / temperature[:, None] + allowed.log_weight
    probability = torch.softmax(logits, dim=1)
    best = torch.as_tensor(best_redshift(probability.double().numpy(), network.layout))
    redshift = best.maximum(_limits(allowed, np.inf)).minimum(_limits(allowed, -np.inf))
    embedding = network.embedding(rest, summary, truth_in_bins(redshift, network.layout)[0])
    setting = Setting(redshift, inputs.log_scale)
    values = decode(network.branches.means(embedding), setting, cosmology)
    columns = {name: value[:, None] for name, value in values.items()}
    return Drawn(redshift[:, None], columns, probability, embedding, summary)


def _limits(allowed: Allowed, side: float) -> Tensor:
    """Lower ends of the priors for side = inf, upper ends for -inf, [n]."""
    return torch.tensor([p.low if side > 0 else p.high for p in allowed.priors], dtype=torch.float64)
