"""Galaxies of the project's own model and prior, as the checks' simulator makes them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from galfit_ml.instruments import Instrument

if TYPE_CHECKING:
    from torch import Generator

    from galfit_ml.grid import WavelengthGrid
    from galfit_ml.posterior import Floats
    from galfit_ml.simulate.galaxies import Galaxies
    from galfit_ml.simulate.galaxy import GalaxyModel, ModelSpectra, Pixels

MAGNITUDES = (19.0, 22.0)
"""AB, in the instrument's band: few masses leave the prior at redshifts of 0.01 to 1."""

SPARE = 4
"""As many candidates are drawn for each galaxy, because those outside the prior's mass range are rejected."""


def draw_galaxies(
    instrument: Instrument, grids: tuple[WavelengthGrid, ...], n: int, rng: np.random.Generator
) -> tuple[Floats, dict[str, Floats]]:
    """Galaxies from `GalaxyPrior` over the instrument's redshifts, as noiseless spectra.

    Args:
        instrument: gives redshift range, magnitude band and line-spread function.
        grids: pixels of each arm.
        n: number of galaxies.
        rng: source of all randomness.

    Returns:
        Flux density [n, n_pix] of all arms one after the other, 1e-17 erg s^-1 cm^-2 A^-1, and the true parameters,
        name -> [n].
    """
    import torch

    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    parts: list[tuple[Floats, dict[str, Floats]]] = []
    with torch.no_grad():
        while sum(len(flux) for flux, _ in parts) < n:
            parts.append(_accepted(instrument, _pixels(instrument, grids), n, generator))
    flux = np.concatenate([part[0] for part in parts])[:n]
    return flux, {name: np.concatenate([part[1][name] for part in parts])[:n] for name in parts[0][1]}


def _accepted(instrument: Instrument, pixels: Pixels, n: int, generator: Generator) -> tuple[Floats, dict[str, Floats]]:
    from galfit_ml.simulate.prior import GalaxyPrior, log_mass_density

    prior = GalaxyPrior(instrument.redshift_range, MAGNITUDES)
    galaxies = prior.transform(prior.draw(n + SPARE, generator))
    made = _model().observe(galaxies, pixels)
    keep = np.isfinite(log_mass_density(made.log_stellar_mass).numpy())
    return made.flux.double().numpy()[keep], {name: value[keep] for name, value in _truth(galaxies, made).items()}


def _truth(galaxies: Galaxies, made: ModelSpectra) -> dict[str, Floats]:
    from galfit_ml.simulate.galaxy import reported_parameters

    return {name: tensor.numpy() for name, tensor in reported_parameters(galaxies, made).items()}


def _pixels(instrument: Instrument, grids: tuple[WavelengthGrid, ...]) -> Pixels:
    from galfit_ml.simulate.galaxy import Pixels

    sigma = [arm.resolution.sigma(grid.centres) for arm, grid in zip(instrument.arms, grids, strict=True)]
    wavelength = np.concatenate([grid.centres for grid in grids])
    return Pixels.from_arrays(wavelength, [g.edges for g in grids], np.concatenate(sigma), instrument.magnitude_band)


@cache
def _model() -> GalaxyModel:
    from galfit_ml.simulate.galaxy import GalaxyModel

    return GalaxyModel()


def calibration_error(instrument: Instrument, n_pix: int, n: int, rng: np.random.Generator) -> Floats:
    """Factor by which one arm's flux calibration is off, [n, n_pix]: Chebyshev polynomials of the stated rms."""
    x = np.linspace(-1.0, 1.0, n_pix)
    order = instrument.calibration_order
    smooth = instrument.calibration_rms * np.sqrt(2.0 / max(order, 1))
    width = np.array([instrument.calibration_offset, *[smooth] * order])
    basis = np.cos(np.arange(order + 1)[:, None] * np.arccos(x))
    factor: Floats = 1.0 + (width * rng.standard_normal((n, order + 1))) @ basis
    return factor
