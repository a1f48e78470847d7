"""How far the line ratios of a photoionisation grid can be trusted, as linear nuisances.

Two numbers (metallicity, log U) cannot give every H II region's line ratios: densities, N/O and geometry scatter them.
Each line (or close doublet) gets a free factor 1 + c with c ~ N(0, `RELATIVE_ERROR`), marginalised like the flux
calibration. Its column is the share of the light that is this line in the best model of the spectrum, pixel by pixel,
so that a spectrum without lines keeps all the weight of its absorption lines.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galfit_ml.simulate.galaxies import Galaxies
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.pixels import Pixels

RELATIVE_ERROR = 0.15
"""Relative error of a line flux beyond the grid's two parameters."""

LINES = (
    (3727.09, 3729.88),
    (3869.86,),
    (4341.69,),
    (4862.69,),
    (4960.30,),
    (5008.24,),
    (5877.25,),
    (6302.05,),
    (6549.86,),
    (6564.61,),
    (6585.27,),
    (6718.29,),
    (6732.67,),
    (9071.09,),
    (9533.20,),
)
"""Vacuum wavelengths, angstrom; the members of a group share one factor."""

NEAR_ANGSTROM = 0.6
"""A line of the model this near to one of `LINES` is that line."""

LEAST_SHARE = 0.003
"""Lines that are nowhere more of the light than this are left alone."""


class Dimmed:
    """The emission lines of a galaxy model without one group.

    Args:
        lines: of the model.
        group: wavelengths of those left out.
    """

    def __init__(self, lines: Any, group: tuple[float, ...]) -> None:
        self._lines = lines
        self._kept = torch.stack([(lines.wavelength - line).abs() > NEAR_ANGSTROM for line in group]).all(dim=0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lines, name)

    def strengths(self, *arguments: Any) -> Tensor:
        """Luminosities, [n, n_line]."""
        out: Tensor = self._lines.strengths(*arguments)
        return torch.where(self._kept, out, 0.0)


def line_factors(
    model: GalaxyModel, galaxy: Galaxies, pixels: Pixels, error: float = RELATIVE_ERROR
) -> NDArray[np.float64]:
    """Columns [n_pix, j] of the line factors: standard normals times these, summed, are the relative error of the flux.

    Args:
        model: galaxy model; its lines are put back.
        galaxy: the best one, a single row.
        pixels: of the spectrum.
        error: relative error of a line; 0 for none.
    """
    whole = model.observe(galaxy, pixels)
    fixed, lines = replace(galaxy, log_formed_mass=whole.log_formed_mass), model.lines
    columns = []
    try:
        for group in LINES if error > 0 else ():
            model.lines = Dimmed(lines, group)  # type: ignore[assignment] # has all that the model asks of it
            share = 1 - model.observe(fixed, pixels).flux[0] / whole.flux[0].clamp(min=1e-30)
            if float(share.max()) > LEAST_SHARE:
                columns.append(error * share.double().numpy())
    finally:
        model.lines = lines
    return np.stack(columns, axis=1) if columns else np.zeros((len(pixels.wavelength), 0))
