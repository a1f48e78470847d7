"""How far the line ratios of a photoionisation grid can be trusted, as linear nuisances.

Two numbers (metallicity, log U) cannot give every H II region's line ratios: densities, N/O and geometry scatter them.
Each line (or close doublet) gets a free factor 1 + c with c ~ N(0, `RELATIVE_ERROR`), marginalised like the flux
calibration. Its column is a bump at the line times the share of the light there that is line, measured from the data,
so that a spectrum without lines keeps all the weight of its absorption lines.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from galfit_ml.simulate.smoothing import C_KMS

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

BUMP_KMS = 220.0
LEAST_SHARE = 0.01


def line_error_basis(
    wavelength: NDArray[np.float64], flux: NDArray[np.float64], good: NDArray[np.bool_], redshift: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Columns and prior widths of the line factors.

    Args:
        wavelength, flux, good: [n_pix] the spectrum.
        redshift: where its lines are.

    Returns:
        basis [n_pix, j] and sigma [j], for the j groups that have at least 1 % of line light.
    """
    columns, widths = [], []
    for group in LINES:
        velocity = np.min([np.abs(C_KMS * (wavelength / (line * (1 + redshift)) - 1)) for line in group], axis=0)
        share = _line_share(velocity, flux, good)
        if share > LEAST_SHARE:
            columns.append(np.exp(-0.5 * (velocity / BUMP_KMS) ** 2))
            widths.append(RELATIVE_ERROR * share)
    if not columns:
        return np.zeros((len(wavelength), 0)), np.zeros(0)
    return np.stack(columns, axis=1), np.array(widths)


def _line_share(velocity: NDArray[np.float64], flux: NDArray[np.float64], good: NDArray[np.bool_]) -> float:
    """Share of the flux at a line's centre that stands above its surroundings, 0 to 1."""
    centre, side = good & (velocity < BUMP_KMS), good & (velocity > 1200) & (velocity < 3000)
    if centre.sum() < 2 or side.sum() < 10:
        return 0.0
    level, peak = float(np.median(flux[side])), float(np.percentile(flux[centre], 75))
    return float(np.clip((peak - level) / peak, 0.0, 1.0)) if peak > 0 else 0.0
