"""Mock surveys as the references take them: native spectra, nuisances, and the galaxies to make templates from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import block_diag
from torch import Tensor

from benchmarks.limits.known import rest_spectra
from galfit_ml.errors import GalfitMLError, unknown_name
from galfit_ml.instruments import Instrument
from galfit_ml.prepare import Preparation, prepare
from galfit_ml.simulate.calibration import calibration_modes
from galfit_ml.simulate.conditions import Conditions
from galfit_ml.simulate.galaxies import Galaxies
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.history import StarFormation
from galfit_ml.simulate.spectrograph import Spectrograph
from galfit_ml.simulate.surveys import MockSurvey
from galfit_ml.simulate.surveys.sample import on_device
from galfit_ml_emcee.library.axis import ScanAxis
from galfit_ml_emcee.library.data import Native, ScanData, calibration_columns, scan_data

Floats = NDArray[np.float64]

NUISANCES = {
    "none": "reported inverse variance, independent pixels",
    "calibration": "the same, with the flux-calibration error of each arm marginalised",
    "reported": "the same, with the sky residual marginalised too: a cautious user",
    "all": "true white noise, with calibration error and sky residual marginalised: the whole noise model",
}
"""What of the noise model is marginalised.

The reported inverse variance contains the variance of the sky residual, as if it were independent from pixel to pixel.
It is not: a residual taken for independent noise makes false lines at the wavelengths of OH, and the stated
probabilities of "none" and "calibration" are far too large where there is a residual (tiers 1 and 2). "all" is the
noise model that the mocks are made with: white variance, and the residual as the few coherent modes that it is. Its
white variance is not reported, though a backend that was trained on mocks can learn it. "reported" needs nothing that a
user does not have: it marginalises the modes that the instrument's sky predicts for this exposure on top of the
reported variance. That counts the residual twice, and so gives away a little at bright sky lines.
"""

PREFIXES = ("bulge_", "disc_")


class LimitsError(GalfitMLError, ValueError):
    """A mock set without what a reference needs."""


@dataclass(frozen=True, eq=False)
class Mocks:
    """n spectra and what a reference needs to know of them.

    Args:
        instrument: they were taken with.
        native: flux and reported inverse variance.
        white_ivar: [n, n_pix]; only for `nuisances="all"`.
        clean: [n, n_pix] noiseless flux.
        truth: column -> [n].
    """

    instrument: Instrument
    native: Native
    white_ivar: Floats
    clean: Floats
    truth: Mapping[str, NDArray[Any]]

    @classmethod
    def of(cls, survey: MockSurvey) -> Mocks:
        """The galaxies of a mock survey; LimitsError if there is none."""
        galaxies = np.flatnonzero(np.isfinite(_formed_mass(survey.truth)) & survey.batch.usable)
        if len(galaxies) == 0:
            raise LimitsError("None of these mock spectra is a galaxy: there is no redshift to be found.")
        only = survey.take(galaxies)
        seen = prepare(only.batch, Preparation())
        native = Native(seen.wavelength, seen.flux, seen.ivar, seen.arm)
        white = np.where(seen.ivar > 0, only.white_ivar, 0.0)
        return cls(only.batch.instrument, native, white, only.clean.astype(np.float64), only.truth)

    def __len__(self) -> int:
        return len(self.clean)

    @property
    def redshift(self) -> Floats:
        """[n] true."""
        return np.asarray(self.truth["redshift"], dtype=np.float64)

    def take(self, rows: slice) -> Mocks:
        """The spectra `rows`."""
        native = Native(self.native.wavelength, self.native.flux[rows], self.native.ivar[rows], self.native.arm)
        truth = {name: values[rows] for name, values in self.truth.items()}
        return Mocks(self.instrument, native, self.white_ivar[rows], self.clean[rows], truth)

    def scan_data(self, axis: ScanAxis, nuisances: str, *, known: bool) -> ScanData:
        """Spectra laid out for a scan.

        Args:
            axis: grid.
            nuisances: one of `NUISANCES`.
            known: whether the calibration error acts on the true continuum or on one smoothed from the data.

        Raises:
            UnknownNameError: no such nuisances.
        """
        if nuisances not in NUISANCES:
            raise unknown_name("nuisances", nuisances, NUISANCES)
        if nuisances == "none":
            return scan_data(self.native, axis)
        native = self.native
        if nuisances == "all":
            native = Native(native.wavelength, native.flux, self.white_ivar, native.arm)
        columns = calibration_columns(native, self._calibration(), self.clean if known else native.continuum())
        if nuisances != "calibration":
            residual = self._true_residual() if nuisances == "all" else self._nominal_residual()
            columns = [np.concatenate(both) for both in zip(columns, residual, strict=True)]
        return scan_data(native, axis, columns)

    def _calibration(self) -> Floats:
        return block_diag(*[calibration_modes(self.instrument, len(arm.grid)) for arm in self.instrument.arms])

    def _nominal_residual(self) -> Floats:
        """Modes of the sky residual under nominal conditions, [n, n_mode, n_pix]."""
        spectrograph = Spectrograph(self.instrument)
        conditions = Conditions.nominal(self.instrument, len(self), torch.as_tensor(self.truth["exposure_s"]).float())
        modes = [exposure.residual_modes().double().numpy() for exposure in spectrograph.exposed(conditions)]
        out = np.zeros((len(self), sum(m.shape[1] for m in modes), spectrograph.n_pix))
        first = 0
        for arm, own in zip(spectrograph.arms, modes, strict=True):
            out[:, first : first + own.shape[1], arm] = own
            first += own.shape[1]
        return out

    def _true_residual(self) -> Floats:
        """The same, scaled in each pixel to the variance by which reported and white noise differ."""
        good = (self.native.ivar > 0) & (self.white_ivar > 0)
        scale = np.asarray(self.truth["noise_scale"])[:, None]
        variance = scale / np.where(good, self.native.ivar, 1.0) - 1.0 / np.where(good, self.white_ivar, 1.0)
        modes = self._nominal_residual()
        nominal = np.maximum((modes**2).sum(axis=1), 1e-300)
        return np.asarray(modes * np.sqrt(np.where(good, np.maximum(variance, 0.0), 0.0) / nominal)[:, None])

    def rest_spectra(self, axis: ScanAxis, model: GalaxyModel) -> Tensor:
        """Noiseless spectra of the galaxies, all components together, as `known.rest_spectra`."""
        parts = [on_device(part, model.device) for part in galaxies_of(self.truth)]
        return torch.stack([rest_spectra(part, self.instrument, axis, model) for part in parts]).sum(0)


def _formed_mass(truth: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    names = [name for name in ("log_formed_mass", "disc_log_formed_mass") if name in truth]
    if not names:
        raise LimitsError(
            "The truth table has no column log_formed_mass: the galaxies cannot be made again. Use a mock survey of "
            "galfit_ml.simulate.survey."
        )
    return np.asarray(truth[names[0]])


def galaxies_of(truth: Mapping[str, NDArray[Any]]) -> list[Galaxies]:
    """The components of the galaxies of a truth table: one, or bulge and disc."""
    prefixes = PREFIXES if "disc_log_formed_mass" in truth else ("",)
    return [_component(truth, prefix) for prefix in prefixes]


def _component(truth: Mapping[str, NDArray[Any]], prefix: str) -> Galaxies:
    def column(name: str) -> Tensor:
        return torch.as_tensor(np.asarray(truth[f"{prefix}{name}"], dtype=np.float64))

    history = {f.name: column(f.name).float() for f in fields(StarFormation)}
    own = {f.name: column(f.name).float() for f in fields(Galaxies) if f.name not in {"history", "redshift"}}
    redshift = torch.as_tensor(np.asarray(truth["redshift"], dtype=np.float64))
    return Galaxies(history=StarFormation(**history), redshift=redshift, **own)
