"""Mask bits of simulated spectra."""

from __future__ import annotations

from enum import IntFlag

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from torch import Tensor

Floats = NDArray[np.float64]


class MaskBit(IntFlag):
    """Why a pixel is marked.

    BRIGHT_SKY and TELLURIC are remarks: the pixel has a variance that contains its sky residual and may be used. The
    others are `UNUSABLE`: their flux and inverse variances are 0.
    """

    BRIGHT_SKY = 1
    """The sky is more than ten times its running median."""
    SATURATED = 2
    """The electrons of one integration exceed what the detector holds."""
    TELLURIC = 4
    """The atmosphere transmits less than 60 %."""
    ABSORBED = 8
    """The atmosphere transmits less than 10 %."""
    BAD_PIXEL = 16
    """A defect of the detector or a cosmic ray."""
    GAP = 32
    """No light reaches the detector."""


UNUSABLE = int(MaskBit.SATURATED | MaskBit.ABSORBED | MaskBit.BAD_PIXEL | MaskBit.GAP)
"""Bits that make a pixel bad."""

BRIGHT = 10.0
WINDOW = 401
"""Pixels of the running median."""

TELLURIC, ABSORBED = 0.6, 0.1
BAD_FRACTION = (0.002, 0.01)
"""Least and largest share of bad pixels of a spectrum; flat between them."""


def bright_sky(sky: Floats) -> NDArray[np.bool_]:
    """True where the sky [n_pix] of an arm is more than ten times its running median."""
    return np.asarray(sky > BRIGHT * median_filter(sky, size=min(WINDOW, len(sky)), mode="nearest"))


def static_mask(sky: Floats, transmission: Floats, throughput: Floats) -> NDArray[np.uint8]:
    """Bits that every spectrum of an arm has, [n_pix], from its nominal sky, transmission and throughput."""
    mask = np.where(bright_sky(sky), int(MaskBit.BRIGHT_SKY), 0)
    mask |= np.where(transmission < TELLURIC, int(MaskBit.TELLURIC), 0)
    mask |= np.where(transmission < ABSORBED, int(MaskBit.ABSORBED), 0)
    mask |= np.where(throughput <= 0, int(MaskBit.GAP), 0)
    return mask.astype(np.uint8)


def add_bad_pixels(mask: Tensor, generator: torch.Generator) -> None:
    """Mark 0.2-1 % of the pixels of each spectrum in `mask` [n, n_pix], uint8, at random."""
    n, n_pix = mask.shape
    device = mask.device
    share = torch.rand(n, 1, generator=generator, device=device)
    wanted = n_pix * (BAD_FRACTION[0] + (BAD_FRACTION[1] - BAD_FRACTION[0]) * share)
    most = int(BAD_FRACTION[1] * n_pix) + 1
    position = torch.randint(n_pix, (n, most), generator=generator, device=device)
    position = torch.where(torch.arange(most, device=device) < wanted, position, position[:, :1])
    mask.scatter_(1, position, mask.gather(1, position) | int(MaskBit.BAD_PIXEL))
