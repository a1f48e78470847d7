"""Templates of a redshift bin: draws from the prior on a rest-frame grid, compressed by singular vectors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from galfit_ml.grid import WavelengthGrid
from galfit_ml.instruments import Instrument
from galfit_ml.simulate.cosmology import Cosmology
from galfit_ml.simulate.galaxies import Galaxies
from galfit_ml.simulate.galaxy import GalaxyModel, ModelSpectra
from galfit_ml.simulate.history import BURST_HALF_WIDTH
from galfit_ml.simulate.pixels import Pixels
from galfit_ml.simulate.prior import GalaxyPrior
from galfit_ml_emcee.library.axis import Bin, ScanAxis

LEAST_REDSHIFT = 1e-3
"""Templates are made no nearer than this: at redshift 0 there is no distance."""

CHUNK = 256
POWER_ITERATIONS = 3


@dataclass(frozen=True)
class Size:
    """How many templates, and how many singular vectors they are made of.

    Args:
        templates: drawn from the prior for each bin.
        vectors: singular vectors; the time of a scan grows with the square of their number.
    """

    templates: int = 4096
    vectors: int = 28

    def __post_init__(self) -> None:
        if min(self.templates, self.vectors) < 1:
            raise ValueError(f"A library needs at least one template and one singular vector, not {self}.")


@dataclass(frozen=True, eq=False)
class BinTemplates:
    """Templates of one redshift bin, by increasing age; all have unit rms on the rest-frame grid of the bin.

    Args:
        start, stop: lags of the bin.
        coefficients, basis: [n, k], [k, n_rest]; their product are the templates.
        age: [n] of the oldest stars, yr, increasing.
        log_mass: [n] log10 of stellar mass per amplitude, at d_L^2 (1 + z) = 1 cm^2.
        number: [n] place in the order of drawing.
        loss: [n] share of the sum of squares that truncation loses.
    """

    start: int
    stop: int
    coefficients: Tensor
    basis: Tensor
    age: Tensor
    log_mass: Tensor
    number: Tensor
    loss: Tensor

    def __len__(self) -> int:
        return len(self.age)

    @property
    def bin(self) -> Bin:
        """The redshifts they are for."""
        return Bin(self.start, self.stop)

    def take(self, rows: Tensor) -> BinTemplates:
        """The templates `rows`, with the same basis."""
        own = ("coefficients", "age", "log_mass", "number", "loss")
        return replace(self, **{name: getattr(self, name)[rows] for name in own})

    def to(self, device: str | torch.device) -> BinTemplates:
        """The same on another device."""
        tensors = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in {"start", "stop"}}
        return replace(self, **{name: value.to(device) for name, value in tensors.items()})


def grid_pixels(instrument: Instrument, wavelength: np.ndarray) -> Pixels:
    """Grid points as pixels of the galaxy model, with the instrument's line-spread function."""
    grid = WavelengthGrid.from_centres(wavelength)
    return Pixels.from_arrays(grid.centres, [grid.edges], instrument.sigma(grid.centres), instrument.magnitude_band)


class TemplateMaker:
    """Makes the templates of any bin.

    Args:
        instrument: gives line-spread function and magnitude band.
        axis: grid.
        prior: density of galaxies.
        model: galaxy model.
    """

    def __init__(self, instrument: Instrument, axis: ScanAxis, prior: GalaxyPrior, model: GalaxyModel) -> None:
        self.instrument, self.axis, self.prior, self.model = instrument, axis, prior, model

    def make(self, bin_: Bin, size: Size, seed: int) -> BinTemplates:
        """Draw the templates of a bin; the galaxies are the same points of the unit cube in every bin."""
        device = self.model.device
        cube = self.prior.draw(size.templates, torch.Generator().manual_seed(seed)).to(device)
        flux = torch.empty(len(cube), self.axis.n_pix + len(bin_) - 1, device=device)
        age, log_mass = (torch.empty(len(cube), dtype=torch.float64, device=device) for _ in range(2))
        for rows, galaxies, lags in self._drawn(cube, bin_):
            made = self.model.observe(galaxies, self._pixels(bin_).to(device))
            flux[rows] = _shifted(made.flux, lags - bin_.start, flux.shape[1])
            age[rows], log_mass[rows] = _oldest(galaxies), _mass_constant(galaxies, made, self.model.cosmology)
        rms = flux.square().mean(dim=1).sqrt()
        flux /= rms[:, None]
        log_mass -= torch.log10(rms.double())
        order = torch.argsort(age)
        flux = flux[order]
        coefficients, basis = compress(flux, size.vectors, seed)
        loss = (flux - coefficients @ basis).square().sum(1) / flux.square().sum(1)
        ends = bin_.start, bin_.stop
        return BinTemplates(*ends, coefficients, basis, age[order], log_mass[order], order.clone(), loss)

    def _drawn(self, cube: Tensor, bin_: Bin) -> Iterator[tuple[slice, Galaxies, Tensor]]:
        """Chunks of galaxies whose redshifts are whole lags of the bin."""
        step = self.axis.step
        low, high = (float(np.expm1(s * step)) for s in (bin_.start, bin_.stop - 1))
        prior = replace(self.prior, redshift=(low, max(low, high)))
        nearest = int(np.ceil(np.log1p(LEAST_REDSHIFT) / step))
        for start in range(0, len(cube), CHUNK):
            rows = slice(start, min(start + CHUNK, len(cube)))
            galaxies = prior.transform(cube[rows])
            lags = (torch.log1p(galaxies.redshift) / step).round().long().clamp(min(nearest, bin_.stop - 1))
            yield rows, replace(galaxies, redshift=torch.expm1(lags.double() * step)), lags

    def _pixels(self, bin_: Bin) -> Pixels:
        wavelength = self.axis.points(1 - len(bin_), self.axis.n_pix + len(bin_) - 1)
        return grid_pixels(self.instrument, wavelength)


def _shifted(flux: Tensor, offset: Tensor, n_rest: int) -> Tensor:
    """Row t of `flux` from its pixel offset[t] on, [n, n_rest]."""
    index = offset[:, None] + torch.arange(n_rest, device=flux.device)
    return torch.gather(flux, 1, index)


def _oldest(galaxies: Galaxies) -> Tensor:
    history = galaxies.history
    return torch.maximum(history.formation_age, history.burst_age * (1 + BURST_HALF_WIDTH)).double()


def _mass_constant(galaxies: Galaxies, made: ModelSpectra, cosmology: Cosmology) -> Tensor:
    """log10 of mass over d_L^2 (1 + z), which a template of given amplitude keeps at every redshift."""
    return made.log_stellar_mass.double() - log_dilution(galaxies.redshift, cosmology)


def log_dilution(redshift: Tensor, cosmology: Cosmology) -> Tensor:
    """log10 of d_L^2 (1 + z), cm^2, [n] float64."""
    distance = cosmology.luminosity_distance_cm(redshift.double())
    return 2 * torch.log10(distance) + torch.log10(1 + redshift.double())


def compress(rows: Tensor, rank: int, seed: int) -> tuple[Tensor, Tensor]:
    """Coefficients [n, rank] and orthonormal basis [rank, n_rest] of the leading singular vectors of `rows`.

    A randomised range finder with power iterations (Halko, Martinsson & Tropp 2011, SIAM Rev. 53, 217, algorithm 4.4).
    """
    rank = min(rank, *rows.shape)
    generator = torch.Generator().manual_seed(seed + 1)
    test = torch.randn(len(rows), min(rank + 16, len(rows)), generator=generator).to(rows)
    basis = torch.linalg.qr(rows.T @ test).Q
    for _ in range(POWER_ITERATIONS):
        basis = torch.linalg.qr(rows.T @ (rows @ basis)).Q
    small = rows @ basis
    turn = torch.linalg.svd(small, full_matrices=False).Vh[:rank]
    return small @ turn.T, turn @ basis.T
