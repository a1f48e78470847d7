"""Doublets that tell the electron density: their ratio moves, their sum stays.

Sanders et al. (2016, ApJ 816, 23, eqs. 5 and 6, table 1): R(n) = a (b + n) / (c + n) with n in cm^-3 at 10^4 K, for
R = [O II] 3730 / 3727 and R = [S II] 6718 / 6733 (vacuum). R falls from a b / c (1.46 and 1.45) at low density to a
(0.38 and 0.43) at high density, where each level is filled by its statistical weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

USUAL_LOG_DENSITY = 2.0
"""log10 cm^-3, of lines whose density is not given: the value of the shipped nebular grid."""


@dataclass(frozen=True)
class Doublet:
    """Two lines of one ion that share their upper term's excitation.

    Args:
        blue, red: vacuum wavelengths, A.
        red_over_blue: whether R is the redder line over the bluer one.
        a, b, c: constants of Sanders et al. (2016).
    """

    blue: float
    red: float
    red_over_blue: bool
    a: float
    b: float
    c: float

    def ratio(self, log_density: Tensor) -> Tensor:
        """R at log10 electron density (cm^-3), any shape."""
        density = 10**log_density
        return self.a * (self.b + density) / (self.c + density)

    def blue_share(self, log_density: Tensor) -> Tensor:
        """Share of the doublet's flux in the bluer line, any shape."""
        ratio = self.ratio(log_density)
        return (1.0 if self.red_over_blue else ratio) / (1 + ratio)


OXYGEN = Doublet(3727.09, 3729.87, True, 0.3771, 2468.0, 638.4)
SULPHUR = Doublet(6718.29, 6732.68, False, 0.4315, 2107.0, 627.1)
DOUBLETS = (OXYGEN, SULPHUR)


def find_doublets(wavelength: Tensor) -> list[tuple[Doublet, int, int]]:
    """`DOUBLETS` whose two lines are in `wavelength` [n_line] (to 1 A), with the positions of both."""
    found = []
    for doublet in DOUBLETS:
        miss = [(wavelength - line).abs() for line in (doublet.blue, doublet.red)]
        if all(float(m.min()) < 1.0 for m in miss):
            found.append((doublet, int(miss[0].argmin()), int(miss[1].argmin())))
    return found


def split_doublets(lines: Tensor, log_density: Tensor, doublets: list[tuple[Doublet, int, int]]) -> Tensor:
    """Lines [n, n_line] whose doublets follow log_density [n], in place; rows whose density is NaN stay."""
    known = ~log_density.isnan()
    if not bool(known.any()):
        return lines
    for doublet, blue, red in doublets:
        total = lines[:, blue] + lines[:, red]
        share = doublet.blue_share(log_density)
        lines[:, blue] = torch.where(known, total * share, lines[:, blue])
        lines[:, red] = torch.where(known, total * (1 - share), lines[:, red])
    return lines
