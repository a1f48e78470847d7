"""Line ratios of gas that young stars do not ionise: narrow-line regions of AGN, and gas lit up by old stars (LIER).

The ratios are intrinsic. The gas is taken to lie behind the same diffuse dust as the stars, so neither component needs
dust of its own: strengths are equivalent widths over the attenuated starlight, and only the colour of the dust acts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galfit_ml.simulate.density import DOUBLETS, OXYGEN, SULPHUR, USUAL_LOG_DENSITY

OIII, HALPHA = 5008.24, 6564.61
"""Lines whose equivalent widths set the strength of an AGN and of a LIER, vacuum A."""

SAME_LINE = 0.5
"""Wavelengths, A, within which a line here and one of a nebular grid are the same."""

HYDROGEN = {
    12821.61: 0.162,
    10941.10: 0.0904,
    10052.16: 0.0554,
    4862.68: 1.0,
    4341.68: 0.468,
    4102.89: 0.259,
    3971.19: 0.159,
    3890.15: 0.105,
}
"""Recombination lines over H-beta: case B, 10^4 K, 100 cm^-3 (Osterbrock & Ferland 2006, table 4.4)."""


@dataclass(frozen=True)
class Ratio:
    """One line.

    Args:
        wavelength: vacuum A.
        log_ratio: log10 of its flux over the table's reference line.
        slope: change of log_ratio per unit of hardness.
    """

    wavelength: float
    log_ratio: float
    slope: float = 0.0


def _pair(strong: float, weak: float, log_ratio: float, slope: float, strong_over_weak: float) -> list[Ratio]:
    """Two lines of one ion in a fixed ratio; `log_ratio` is that of the stronger."""
    return [Ratio(strong, log_ratio, slope), Ratio(weak, log_ratio - math.log10(strong_over_weak), slope)]


def _sum(first: float, second: float, log_ratio: float, slope: float, first_share: float) -> list[Ratio]:
    """Two lines of one ion, `log_ratio` that of their sum."""
    return [
        Ratio(first, log_ratio + math.log10(first_share), slope),
        Ratio(second, log_ratio + math.log10(1 - first_share), slope),
    ]


def _usual_shares() -> tuple[float, float]:
    usual = torch.tensor(USUAL_LOG_DENSITY, dtype=torch.float64)
    oxygen, sulphur = (float(doublet.blue_share(usual)) for doublet in DOUBLETS)
    return oxygen, sulphur


_O2_SHARE, _S2_SHARE = _usual_shares()

AGN: tuple[Ratio, ...] = (
    *(Ratio(wavelength, math.log10(value)) for wavelength, value in HYDROGEN.items()),
    Ratio(HALPHA, math.log10(3.1)),
    Ratio(1215.67, math.log10(23.0)),
    *_pair(OIII, 4960.29, 0.90, 0.13, 2.98),
    *_pair(6585.27, 6549.86, 0.46, -0.04, 3.05),
    *_sum(SULPHUR.blue, SULPHUR.red, 0.18, -0.06, _S2_SHARE),
    *_pair(6302.04, 6365.54, -0.31, -0.05, 3.1),
    *_sum(OXYGEN.blue, OXYGEN.red, 0.50, -0.10, _O2_SHARE),
    *_pair(3869.86, 3968.59, 0.05, 0.12, 3.32),
    *_pair(3426.85, 3346.79, -0.10, 0.20, 2.73),
    *_pair(9533.23, 9071.11, -0.05, 0.0, 2.47),
    Ratio(4364.44, -0.70, 0.10),
    Ratio(4686.99, -0.60, 0.12),
    Ratio(1640.41, 0.25, 0.12),
    *_sum(1548.19, 1550.77, 0.45, 0.20, 2 / 3),
    *_sum(1906.68, 1908.73, 0.15, 0.05, 0.6),
    Ratio(2326.71, -0.30, -0.05),
    Ratio(2424.20, -0.10, 0.15),
    *_sum(2796.35, 2803.54, 0.0, -0.05, 2 / 3),
    Ratio(5201.71, -0.80, -0.10),
    Ratio(5877.29, -0.92),
    Ratio(7137.76, -0.70),
)
"""Narrow-line regions, over H-beta. Hardness is a standard normal coordinate along the Seyfert sequence of the BPT
diagrams: more of it, more of the highly ionised lines and slightly less of the others.

* [O III], [N II], [S II], [O I]: means and spread of SDSS Seyferts (Kewley et al. 2006, MNRAS 372, 961, figs. 4 and
  10), all above the maximum-starburst line of Kewley et al. (2001). H-alpha / H-beta 3.1 (Veilleux & Osterbrock 1987).
* [O II], [Ne III], [O III] 4364, [Ne V], He II 4687, Mg II, [N I], He I, [Ar III], [S III]: dereddened mean Seyfert 2
  (Ferland & Osterbrock 1986, ApJ 300, 658), the highly ionised lines lowered to the [O III] / H-beta of SDSS.
* He II 1640 is 7 times He II 4687 (recombination). C IV / He II = 1.6 and C III] / He II = 0.8, C II] and [Ne IV]: mean
  radio galaxies (McCarthy 1993, ARA&A 31, 639; De Breuck et al. 2000, A&A 362, 519), in the middle of the AGN models of
  Feltre, Charlot & Gutkin (2016, MNRAS 456, 3354). Lyman alpha: case B, times the galaxy's escape fraction.
* Fixed ratios of pairs: Storey & Zeippen (2000, MNRAS 312, 813) and transition probabilities.
"""

LIER: tuple[Ratio, ...] = (
    *(Ratio(wavelength, math.log10(value / 3.0)) for wavelength, value in HYDROGEN.items()),
    Ratio(HALPHA, 0.0),
    *_pair(6585.27, 6549.86, 0.0, 0.10, 3.05),
    *_pair(OIII, 4960.29, math.log10(1.8 / 3.0), 0.10, 2.98),
    *_sum(SULPHUR.blue, SULPHUR.red, math.log10(0.85), 0.08, _S2_SHARE),
    *_pair(6302.04, 6365.54, math.log10(0.16), 0.10, 3.1),
    *_sum(OXYGEN.blue, OXYGEN.red, math.log10(1.9), 0.10, _O2_SHARE),
    *_pair(3869.86, 3968.59, math.log10(0.4 / 3.0), 0.10, 3.32),
    Ratio(5201.71, math.log10(0.25 / 3.0), 0.10),
)
"""Gas ionised by hot evolved stars, over H-alpha. Harder light heats the gas: all forbidden lines gain on hydrogen.

H-alpha / H-beta = 3.0, [N II] / H-alpha = 1, [O III] / H-beta = 1.8, [S II] / H-alpha = 0.85, [O I] / H-alpha = 0.16:
middle of the LIER loci of Belfiore et al. (2016, MNRAS 461, 3111, fig. 3). [O II] / H-alpha = 1.9, [Ne III] / H-beta =
0.4, [N I] / H-beta = 0.25: red galaxies of Yan & Blanton (2012, ApJ 747, 61) and Yan (2018, MNRAS 481, 467).
The slopes stand for the width of the loci of Belfiore et al. about their middle, 0.1 dex; that one coordinate moves all
lines together is a simplification.
"""


@dataclass(frozen=True)
class RatioTable:
    """Ratios on a list of lines, as tensors.

    Args:
        ln_ratio, ln_slope: [n_line] natural logarithm of flux over that of the reference line, and its change per unit
            of hardness; -inf and 0 where the table has no such line.
    """

    ln_ratio: Tensor
    ln_slope: Tensor

    @classmethod
    def of(cls, table: tuple[Ratio, ...], reference: float, wavelength: Tensor) -> RatioTable:
        """`table` on the lines `wavelength` [n_line] (vacuum A), relative to the line `reference`."""
        ratio = torch.full((len(wavelength),), -math.inf, device=wavelength.device)
        slope = torch.zeros_like(ratio)
        base = next(line for line in table if line.wavelength == reference)
        for line in table:
            position = int((wavelength - line.wavelength).abs().argmin())
            ratio[position] = math.log(10) * (line.log_ratio - base.log_ratio)
            slope[position] = math.log(10) * (line.slope - base.slope)
        return cls(ratio, slope)

    def at(self, hardness: Tensor) -> Tensor:
        """Fluxes over the reference line at hardness [n]: [n, n_line]."""
        return torch.exp(self.ln_ratio + hardness[:, None] * self.ln_slope)


def missing_lines(wavelength: NDArray[np.float32]) -> list[float]:
    """Lines of the tables here that `wavelength` [n_line] lacks, vacuum A, increasing."""
    known = {line.wavelength for table in (AGN, LIER) for line in table}
    return sorted(line for line in known if float(np.abs(wavelength - line).min()) > SAME_LINE)
