"""Real galaxies by type, and the model galaxy that matches each best."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.real_sdss import galaxies, read_set
from galfit_ml.instruments import Instrument
from galfit_ml.redshift_prior import RedshiftPriors
from galfit_ml.simulate.galaxies import Galaxies
from galfit_ml.simulate.galaxy import GalaxyModel, Pixels
from galfit_ml.simulate.prior import GalaxyPrior
from galfit_ml.spectra import SpectrumBatch
from galfit_ml_emcee.likelihood import Calibration, Likelihood, Spectrum
from galfit_ml_emcee.line_error import line_error_basis
from galfit_ml_emcee.optimise import find_start

Floats = NDArray[np.float64]

TYPES = {"E": "ellipticals", "Sp": "spirals", "Irr": "irregulars"}

CELL = 0.0015
"""Half-width of the redshift cell that is searched, in units of 1 + z."""

LEAST_GOOD = 0.98
"""Share of good pixels a spectrum needs."""

SEARCH = {"n_draws": 100, "n_keep": 2, "n_steps": 25}
"""Of `find_start`. Of 30 galaxies 21 came within 5 of the ln density that its defaults reach in ten times the time, 26
within 13, the worst within 50: 0.04 in chi2 per pixel."""


@dataclass(frozen=True)
class Match:
    """A real spectrum and its best model.

    Args:
        row: of the catalogue.
        redshift: of the catalogue.
        wavelength, flux, ivar: [n_pix] the data, observed frame; ivar 0 at bad pixels.
        model: [n_pix] the best model galaxy, noiseless.
        calibrated: [n_pix] the same times its most probable level and line factors.
        cube: [n_dim] its coordinates under `prior_of(redshift)`.
    """

    row: int
    redshift: float
    wavelength: Floats
    flux: Floats
    ivar: Floats
    model: Floats
    calibrated: Floats
    cube: Floats

    @property
    def galaxy(self) -> Galaxies:
        """The model galaxy."""
        return prior_of(self.redshift).transform(torch.as_tensor(self.cube)[None])

    @property
    def chi2_per_pixel(self) -> float:
        """Of the calibrated model."""
        good = self.ivar > 0
        return float((((self.flux - self.calibrated) ** 2) * self.ivar)[good].mean())


def prior_of(redshift: float) -> GalaxyPrior:
    """The prior that is searched: the redshift is known."""
    half = CELL * (1 + redshift)
    return GalaxyPrior((max(redshift - half, 1e-4), redshift + half), (11.0, 23.0))


def sample(folder: Path, per_type: int, seed: int) -> dict[str, NDArray[np.intp]]:
    """Rows of the catalogue by type, in random order: galaxies without broad lines or warnings, few bad pixels."""
    truth = pd.read_csv(folder / "sdss_cosmicds_truth.csv")
    with np.load(folder / "sdss_cosmicds.npz") as data:
        meta, good = data["meta"], (data["ivar"] > 0).mean(axis=1)
    sound = galaxies(meta) & (meta["zwarn"] == 0) & (good > LEAST_GOOD) & (meta["z"] > 3 * CELL)
    rng = np.random.default_rng(seed)
    return {
        kind: rng.permutation(np.flatnonzero(sound & (truth["type"] == kind).to_numpy()))[:per_type] for kind in TYPES
    }


def catalogue_ivar(folder: Path) -> Floats:
    """[n, n_pix] of all spectra of the catalogue, whatever their type."""
    with np.load(folder / "sdss_cosmicds.npz") as data:
        return np.asarray(data["ivar"], dtype=np.float64)


def match(folder: Path, row: int, cache: Path, model: GalaxyModel) -> Match:
    """The best model of one galaxy; read from `cache` if it is there."""
    batch, meta = read_set(folder, "sdss_cosmicds", np.array([row]))
    redshift = float(meta["z"][0])
    spectrum = _spectrum(batch, redshift)
    likelihood = Likelihood(model, spectrum, prior_of(redshift), RedshiftPriors.free(1)[0])
    x = _best(likelihood, row, _kept_at(cache, row))
    made = likelihood.spectra(x).flux
    calibrated = likelihood.calibrated(made, likelihood.log_noise_scale(x))
    cube = torch.special.ndtr(x[0, :-1])
    arrays = (spectrum.pixels.wavelength, spectrum.flux, spectrum.ivar, made[0], calibrated[0], cube)
    return Match(row, redshift, *(a.double().numpy() for a in arrays))


def _kept_at(cache: Path, row: int) -> Path:
    """File of a match; other settings of the search have other files."""
    return cache / ("-".join(str(value) for value in (f"{row:05d}", *SEARCH.values())) + ".npy")


def _best(likelihood: Likelihood, row: int, path: Path) -> Tensor:
    """[1, N_DIM] the most probable point."""
    if path.exists():
        return torch.as_tensor(np.load(path))
    found = find_start(likelihood, torch.Generator().manual_seed(row), **SEARCH)
    np.save(path, found.x[:1].numpy())
    return found.x[:1]


def _spectrum(batch: SpectrumBatch, redshift: float) -> Spectrum:
    """The data as the likelihood wants them, between the first and the last good pixel in the instrument's range."""
    arm, instrument = batch.arms[0], batch.instrument
    wave = arm.grid.centres
    good = ~arm.bad[0] & (wave > instrument.low) & (wave < instrument.high)
    first, last = np.flatnonzero(good)[[0, -1]]
    keep = slice(first, last + 1)
    flux, ivar = np.where(good, arm.flux[0], 0.0)[keep], np.where(good, arm.ivar[0], 0.0)[keep]
    edges = [arm.grid.edges[first : last + 2]]
    pixels = Pixels.from_arrays(wave[keep], edges, arm.lsf_sigma[0, keep], instrument.magnitude_band)
    return Spectrum(
        torch.as_tensor(flux, dtype=torch.float32),
        torch.as_tensor(ivar, dtype=torch.float32),
        pixels,
        _nuisances(instrument, wave[keep], flux, ivar, redshift),
        relative=False,
    )


def _nuisances(instrument: Instrument, wave: Floats, flux: Floats, ivar: Floats, redshift: float) -> Calibration:
    """A free level and free line ratios; no polynomial: the model has to make the shape of the continuum by itself."""
    calibration = Calibration.of(instrument, wave, np.zeros(len(wave), dtype=np.int64))
    level = Calibration(calibration.basis[:, :1].contiguous(), calibration.sigma[:1])
    return level.extended(*line_error_basis(wave, flux, ivar > 0, redshift))
