"""Absorption lines of cold gas in front of the stars: the rest-ultraviolet lines of outflows, and Na D of discs.

The gas covers a share C of the starlight and has a Gaussian optical depth in velocity, so a line transmits
1 - C (1 - exp(-tau)): saturated lines all have the depth C, weak ones less (Martin & Bouche 2009, ApJ 703, 1394; Jones
et al. 2013, ApJ 779, 52). Central optical depths within an ion follow f lambda (Morton 2003, ApJS 149, 205). Between
ions they are fixed to the equivalent widths of galaxies at z ~ 3 (Shapley et al. 2003, ApJ 588, 65, table 3) and at
z ~ 1.4 (Weiner et al. 2009, ApJ 692, 187).

The absorption acts on stars and nebular continuum at rest, before the velocity dispersion of the stars smooths both:
the observed line keeps the equivalent width but is as deep as asked for only where that dispersion is small. Emission
lines are not absorbed. The optical depth is as wide as the gas and the resolution of the stellar library together, so
that an instrument adds to stars and gas alike only what the library lacks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from galfit_ml.simulate.galaxies import Galaxies
from galfit_ml.simulate.populations import StellarPopulations
from galfit_ml.simulate.smoothing import C_KMS

UV_SIGMA = 120.0
"""km/s: sigma of the optical depth of the ultraviolet lines; saturated, they are 500 km/s wide."""

SODIUM_SIGMA = 80.0

SLOWEST, FASTEST = -600.0, 300.0
"""Range of velocities, km/s, that the windows allow for; beyond it the profile is cut off."""

N_SIGMA = 5.0


@dataclass(frozen=True)
class Ion:
    """Absorption lines of one ion.

    Args:
        name: of the ion.
        depth: central optical depth of the first line.
        lines: vacuum wavelength (A) and oscillator strength of each (Morton 2003).
    """

    name: str
    depth: float
    lines: tuple[tuple[float, float], ...]

    def depths(self) -> list[tuple[float, float]]:
        """Wavelength and central optical depth of each line."""
        wave, strength = self.lines[0]
        return [(w, self.depth * w * f / (wave * strength)) for w, f in self.lines]


ULTRAVIOLET = (
    Ion("Si II", 20.0, ((1260.4221, 1.18), (1304.3702, 0.0863), (1526.7070, 0.133), (1808.0129, 0.00208))),
    Ion("O I", 6.0, ((1302.1685, 0.048),)),
    Ion("C II", 10.0, ((1334.5323, 0.1278),)),
    Ion("Si IV", 2.0, ((1393.7602, 0.513), (1402.7729, 0.254))),
    Ion("C IV", 2.0, ((1548.204, 0.1899), (1550.781, 0.09475))),
    Ion("Al II", 1.5, ((1670.7886, 1.74),)),
    Ion("Al III", 0.7, ((1854.7184, 0.559), (1862.7910, 0.278))),
    Ion(
        "Fe II",
        8.0,
        (
            (2382.7642, 0.320),
            (1608.4511, 0.0577),
            (2260.7805, 0.00244),
            (2344.2130, 0.114),
            (2374.4603, 0.0313),
            (2586.6496, 0.0691),
            (2600.1725, 0.239),
        ),
    ),
    Ion("Mg II", 10.0, ((2796.3543, 0.6155), (2803.5315, 0.3058))),
    Ion("Mg I", 0.5, ((2852.9631, 1.83),)),
)

SODIUM = (Ion("Na I", 2.0, ((5891.5833, 0.641), (5897.5581, 0.320))),)


class Absorber:
    """Absorption by a set of ions that share covering fraction, velocity and width, on one wavelength grid.

    Args:
        ions: the lines.
        sigma: of the optical depth, km/s.
        grid: gives pixels and resolution.
        library_variance: [n_wave] of the grid, (km/s)^2.
    """

    def __init__(self, ions: tuple[Ion, ...], sigma: float, grid: StellarPopulations, library_variance: Tensor) -> None:
        entries = [_entry(line, sigma, grid, library_variance) for ion in ions for line in ion.depths()]
        pixel = torch.cat([e.pixel for e in entries])
        order = torch.argsort(pixel, stable=True)
        pixel = pixel[order]
        self._velocity = torch.cat([e.velocity for e in entries])[order]
        self._sharpness = torch.cat([e.sharpness for e in entries])[order]
        self._ln_depth = torch.cat([e.ln_depth for e in entries])[order]
        self._pixel, self._place = torch.unique_consecutive(pixel, return_inverse=True)
        self._begin = torch.searchsorted(self._place, torch.arange(len(self._pixel) + 1, device=pixel.device))

    def absorb(self, light: Tensor, first: int, covering: Tensor, velocity: Tensor) -> None:
        """Absorb `light` [n, n_wave] of the grid's pixels from `first` on, in place.

        Args:
            light: changed.
            first: grid pixel at which it begins.
            covering: [n] covered share of the light.
            velocity: [n] km/s relative to the stars.
        """
        ends = torch.tensor([first, first + light.shape[1]], device=light.device)
        low, high = torch.searchsorted(self._pixel, ends).tolist()
        if low >= high or not bool((covering > 0).any()):
            return
        entries = slice(int(self._begin[low]), int(self._begin[high]))
        offset = self._velocity[entries] - velocity[:, None]
        part = torch.exp(self._ln_depth[entries] - offset**2 * self._sharpness[entries])
        depth = light.new_zeros(len(light), high - low)
        depth.index_add_(1, self._place[entries] - low, part)
        where = self._pixel[low:high] - first
        light[:, where] *= 1 + covering[:, None] * torch.expm1(-depth)


class InterstellarMedium:
    """Both absorbers of a galaxy.

    Args:
        grid: stellar populations.
        library_variance: [n_wave] of the grid, (km/s)^2.
    """

    def __init__(self, grid: StellarPopulations, library_variance: Tensor) -> None:
        self._ultraviolet = Absorber(ULTRAVIOLET, UV_SIGMA, grid, library_variance)
        self._sodium = Absorber(SODIUM, SODIUM_SIGMA, grid, library_variance)

    def absorb(self, light: Tensor, first: int, g: Galaxies) -> None:
        """Absorb rest-frame `light` [n, n_wave] of the grid's pixels from `first` on, in place.

        The ultraviolet lines move with `ism_velocity`; Na D is disc gas and moves with the ionised gas (Chen et al.
        2010, AJ 140, 445: most of it is at rest with the disc).
        """
        self._ultraviolet.absorb(light, first, 10**g.log_ism_depth, g.ism_velocity)
        full = -math.expm1(-SODIUM[0].depth)
        self._sodium.absorb(light, first, 10**g.log_sodium / full, g.gas_velocity)


@dataclass(frozen=True)
class _Entries:
    """Pixels that one line reaches: number, velocity (km/s), 1 / (2 sigma^2) and ln central depth, each [k]."""

    pixel: Tensor
    velocity: Tensor
    sharpness: Tensor
    ln_depth: Tensor


def _entry(line: tuple[float, float], sigma: float, grid: StellarPopulations, library_variance: Tensor) -> _Entries:
    wavelength, depth = line
    centre = (math.log(wavelength) - grid.ln_wavelength0) / grid.dln
    variance = sigma**2 + float(library_variance[round(centre)])
    reach = N_SIGMA * math.sqrt(variance)
    step = C_KMS * grid.dln
    pixel = torch.arange(
        math.ceil(centre + (SLOWEST - reach) / step), math.floor(centre + (FASTEST + reach) / step) + 1
    )
    velocity = (pixel.double() - centre) * step
    fill = torch.ones(len(pixel), dtype=torch.float64)
    columns = (velocity, fill / (2 * variance), fill * math.log(depth))
    device = grid.wavelength.device
    return _Entries(pixel.to(device), *(column.float().to(device) for column in columns))
