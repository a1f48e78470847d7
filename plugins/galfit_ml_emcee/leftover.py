"""Draws from what no chain covers: redshifts with little probability each, which together may hold much of it.

Where a spectrum says little, p(z) is spread over hundreds of redshifts, too many to sample one by one. Their share of
the draws comes from the scan: a redshift from p(z), a template from its posterior at that redshift, an amplitude from
its Gaussian. A template is one of hundreds, so that these draws are coarse in everything but the redshift.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from galfit_ml.parameters import GALAXY
from galfit_ml.simulate.galaxies import Galaxies
from galfit_ml.simulate.galaxy import ModelSpectra, reported_parameters
from galfit_ml.simulate.prior import coordinate
from galfit_ml_emcee.library.data import ScanData
from galfit_ml_emcee.likelihood import Spectrum
from galfit_ml_emcee.redshift_scan import SEED, RedshiftScan

Floats = NDArray[np.float64]

LEAST_AMPLITUDE = 1e-3
"""Of the most probable one."""


def library_draws(
    scan: RedshiftScan, data: ScanData, spectrum: Spectrum, redshift: Floats, rng: np.random.Generator
) -> tuple[Galaxies, Floats]:
    """Galaxies and their reported parameters [n, n_par] at given redshifts.

    Args:
        scan: with the templates.
        data: the spectrum laid out for it, one row.
        spectrum: the same at its native pixels.
        redshift: [n] drawn from p(z), each within half a step of the grid of the scan.
        rng: source of all randomness.
    """
    lags = np.rint(np.log1p(redshift) / scan.axis.step).astype(int)
    numbers = _templates(scan, data, lags, bounded=not spectrum.relative, rng=rng)
    cube = scan.prior.draw(scan.size.templates, torch.Generator().manual_seed(SEED))[numbers]
    low, high = (np.log1p(z) for z in scan.prior.redshift)
    where = torch.as_tensor((np.log1p(redshift) - low) / (high - low)).clamp(0.0, 1.0)
    cube[:, coordinate("redshift")] = where
    galaxies = scan.prior.transform(cube)
    made = scan.model.observe(galaxies, spectrum.pixels)
    return galaxies, _scaled_values(galaxies, made, spectrum, rng)


def _templates(
    scan: RedshiftScan, data: ScanData, lags: NDArray[np.int64], *, bounded: bool, rng: np.random.Generator
) -> NDArray[np.int64]:
    """A template for each lag, drawn from their posterior there, [n] places in the order of drawing."""
    out, uniform = np.zeros(len(lags), dtype=np.int64), rng.random(len(lags))
    one = ScanData(*(getattr(data, name)[:1].float() for name in ("data", "weight", "slope", "modes")))
    for own in scan.bins(0.0, np.inf):
        inside = np.flatnonzero((lags >= own.start) & (lags < own.stop))
        if len(inside) == 0:
            continue
        machine = scan.bin_scan(own)
        terms = machine.terms(one)
        for lag in np.unique(lags[inside]):
            evidence, number = machine.template_evidence(terms, int(lag) - own.start, bounded=bounded)
            p = np.exp((evidence - evidence.max()).double().numpy())
            rows = inside[lags[inside] == lag]
            chosen = np.searchsorted(np.cumsum(p) / p.sum(), uniform[rows]).clip(max=len(p) - 1)
            out[rows] = number.numpy()[chosen]
    return out


def _scaled_values(galaxies: Galaxies, made: ModelSpectra, spectrum: Spectrum, rng: np.random.Generator) -> Floats:
    """Reported parameters with mass and star-formation rate scaled to the data, [n, n_par]."""
    flux, ivar = made.flux.double(), spectrum.ivar.double()
    power = (flux**2 * ivar).sum(1).clamp(min=1e-30)
    best = (flux * ivar * spectrum.flux.double()).sum(1) / power
    noise = torch.as_tensor(rng.standard_normal(len(flux))) / power.sqrt()
    amplitude = torch.maximum(best + noise, LEAST_AMPLITUDE * best.abs()).clamp(min=1e-12)
    shift = torch.log10(amplitude).float()
    scaled = replace(made, log_stellar_mass=made.log_stellar_mass + shift, log_sfr=made.log_sfr + shift)
    columns = reported_parameters(galaxies, scaled)
    return np.stack([columns[p.name].numpy() for p in GALAXY], axis=-1)
