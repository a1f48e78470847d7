"""`GalaxyNetwork`: trunk, redshift head, rest-frame encoder and branches.

ln p(z, properties | spectrum) = ln p(bin) + ln p(offset | bin) + sum of ln p(property | bin, offset, those before).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from galfit_ml_cnn.branches import Branches
from galfit_ml_cnn.inputs import N_CHANNELS, Inputs
from galfit_ml_cnn.layout import Layout
from galfit_ml_cnn.redshift_head import RedshiftHead
from galfit_ml_cnn.rest_frame import RestEncoder, to_rest
from galfit_ml_cnn.targets import NAMES
from galfit_ml_cnn.trunk import Trunk


@dataclass(frozen=True)
class Architecture:
    """Sizes.

    Args:
        width: feature maps of the trunk.
        dilations: of its residual blocks.
        n_templates: maps that are correlated with templates.
        kinds: of galaxies, with templates of their own at the width of a feature pixel.
        fine: the same, finer than a feature pixel.
        n_rest: maps that are shifted to rest.
        n_embedding: size of the latent layer.
        dropout: share of maps and of the embedding that is left out.
    """

    width: int = 48
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 1)
    n_templates: int = 24
    kinds: int = 12
    fine: int = 2
    n_rest: int = 24
    n_embedding: int = 96
    dropout: float = 0.03

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in 0 .. 1, not {self.dropout}.")


@dataclass(frozen=True)
class Loss:
    """Negative log densities of n truths, and what the network said of the redshift.

    Args:
        bins: [n] of the redshift bin.
        offset: [n] of the place within it.
        properties: [n, n_properties].
        logits: [n, n_bins].
    """

    bins: Tensor
    offset: Tensor
    properties: Tensor
    logits: Tensor

    def total(self, property_weight: float, weight: Tensor) -> Tensor:
        """Mean over spectra with weights [n]; `property_weight` is that of a property."""
        own = self.bins + 0.5 * self.offset + property_weight * self.properties.sum(1)
        return (own * weight).mean()


class GalaxyNetwork(nn.Module):
    """The network.

    Args:
        layout: grids.
        architecture: sizes.

    Attributes:
        fast: convolve in bfloat16, as training does.
    """

    def __init__(self, layout: Layout, architecture: Architecture) -> None:
        super().__init__()
        if layout.pool != 6:
            raise ValueError(f"The trunk pools six pixels, not {layout.pool}.")
        self.layout, self.architecture, self.fast = layout, architecture, False
        width = architecture.width
        self.trunk = Trunk(N_CHANNELS, width, architecture.dilations)
        self.maps = nn.Conv2d(width, architecture.n_templates + architecture.n_rest, 1)
        n_summary = 1 + N_CHANNELS + width
        self.head = RedshiftHead(layout, architecture.n_templates, n_summary, architecture.kinds, architecture.fine)
        self.encoder = RestEncoder(layout, architecture.n_rest + 2, n_summary, architecture.n_embedding)
        self.branches = Branches(architecture.n_embedding, len(NAMES))
        self.drop = nn.Dropout(architecture.dropout)

    def features(self, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
        """Maps for templates [n, n_templates, n_features], maps for the rest frame, and the summary [n, n_summary]."""
        with self._autocast(inputs.channels):
            trunk = self.trunk(inputs.channels)
            maps = self.maps(torch.relu(trunk)).squeeze(2).float()
        means = torch.cat([inputs.channels.mean(dim=2), trunk.mean(dim=(2, 3), dtype=torch.float32)], dim=1)
        coarse = torch.nn.functional.avg_pool1d(inputs.channels[:, [2, 5]], self.layout.pool)
        summary = torch.cat([inputs.log_scale[:, None], means], dim=1)
        templates, rest = maps.split([self.architecture.n_templates, self.architecture.n_rest], dim=1)
        return templates, torch.cat([rest, coarse], dim=1), summary

    def embedding(self, rest: Tensor, summary: Tensor, bins: Tensor) -> Tensor:
        """Latent features [n, n_embedding] of spectra read at redshift bins [n]."""
        aligned = to_rest(rest, bins, self.layout)
        with self._autocast(aligned):
            maps = self.encoder.maps_of(aligned)
        return self.encoder(maps.float(), summary, self.layout.log_stretch(bins).to(rest.dtype))

    def _autocast(self, x: Tensor) -> torch.autocast:
        return torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=self.fast)

    def loss(
        self, inputs: Inputs, bins: Tensor, offset: Tensor, encoded: Tensor, reading: Tensor | None = None
    ) -> Loss:
        """Of spectra whose truth is a redshift bin [n], the offset in it [n] and the properties [n, n_properties].

        The rest frame is read at bins `reading`, by default the true ones.
        """
        maps, rest, summary = self.features(inputs)
        logits = self.head(nn.functional.dropout1d(maps, self.architecture.dropout, self.training), summary)
        read = rest, summary, bins if reading is None else reading
        place, properties = self.branches.log_density(self.drop(self.embedding(*read)), offset, encoded)
        return Loss(nn.functional.cross_entropy(logits, bins, reduction="none"), -place, -properties, logits)

    def property_loss(self, inputs: Inputs, reading: Tensor, offset: Tensor, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Negative log densities of offset [n] and properties [n, n_properties], read at bins [n].

        What makes the features learns nothing of it.
        """
        with torch.no_grad():
            _, rest, summary = self.features(inputs)
        embedding = self.drop(self.embedding(rest, summary, reading))
        place, properties = self.branches.log_density(embedding, offset, encoded)
        return -place, -properties


def truth_in_bins(redshift: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
    """Bin [n] and offset within it [n] of redshifts [n]."""
    place = torch.log1p(redshift.double()) / layout.bin_width - layout.first_shift * layout.phases
    bins = place.floor().clamp(0, layout.n_bins - 1)
    return bins.long(), (place - bins - 0.5).clamp(-0.5, 0.5).float()
