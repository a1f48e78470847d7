"""`BagpipesBackend`: bagpipes' galaxy model and likelihood, sampled by nautilus, one process for each spectrum."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from galfit_ml.backend import Request
from galfit_ml.errors import GalfitMLError
from galfit_ml.instruments import Instrument
from galfit_ml.parameters import GALAXY, ParameterSet
from galfit_ml.posterior import Posterior, concatenate
from galfit_ml.prepare import Preparation, Prepared, prepare, random_stream
from galfit_ml.redshift_prior import RedshiftPrior, redshift_range
from galfit_ml.spectra import SpectrumBatch
from galfit_ml_bagpipes.isolated import fit_isolated
from galfit_ml_bagpipes.job import Job
from galfit_ml_bagpipes.observed import observed
from galfit_ml_bagpipes.prior import Prior, RedshiftDensity
from galfit_ml_bagpipes.report import to_posterior
from galfit_ml_bagpipes.settings import Settings


class BagpipesBackend:
    """Fit with bagpipes and nautilus.

    Args:
        n_live: live points, >= 20.
        n_eff: effective samples wanted.
        max_calls: likelihood calls after which it stops.
        max_seconds: seconds of sampling after which it stops.
        calibration_order: degree of the calibration polynomial; None for none.
        n_networks: networks of nautilus; 0 for ellipsoids alone, which is quicker for few free parameters.
        fixed: coordinate -> value that it keeps; see `galfit_ml_bagpipes.coordinates`.
        stock: bagpipes exactly as it ships, thirty times slower a call.
    """

    parameters: ParameterSet = GALAXY

    def __init__(
        self,
        n_live: int = 400,
        n_eff: float = 1000.0,
        max_calls: int = 200_000,
        *,
        max_seconds: float = math.inf,
        calibration_order: int | None = 2,
        n_networks: int = 4,
        fixed: Mapping[str, float] | None = None,
        stock: bool = False,
    ) -> None:
        self.settings = Settings(
            n_live,
            n_eff,
            max_calls,
            max_seconds=max_seconds,
            calibration_order=calibration_order,
            n_networks=n_networks,
            fixed=dict(fixed or {}),
            stock=stock,
        )

    def infer(self, batch: SpectrumBatch, request: Request) -> Posterior:
        """Posterior of every spectrum; one that cannot be fitted is a flagged row with its reason."""
        native = prepare(batch, Preparation())
        rows = []
        for i in range(len(batch)):
            try:
                rows.append(self._infer_one(batch, native, i, request))
            except (GalfitMLError, ValueError, OSError) as error:
                rows.append(
                    Posterior.failed(GALAXY, request.n_samples, [batch.ids[i]], [str(error)], int(batch.flags[i]))
                )
            if request.progress is not None:
                request.progress(i + 1, len(batch), batch.ids[i])
        return concatenate(rows)

    def _infer_one(self, batch: SpectrumBatch, native: Prepared, i: int, request: Request) -> Posterior:
        spectrum = observed(native, i, bool(batch.relative[i]))
        rng = random_stream(request.seed, spectrum.flux, spectrum.error)
        job = Job(
            spectrum,
            make_prior(self.settings, batch.instrument, request.redshift[i]),
            request.redshift[i],
            self.settings,
            self._remnants,
            int(rng.integers(2**32)),
            request.n_samples,
        )
        answer = fit_isolated(job, self._ticker(request, i, batch))
        return to_posterior(batch.ids[i], int(batch.flags[i]), job, answer)

    @cached_property
    def _remnants(self) -> NDArray[np.float64]:
        """[n_Z, n_age] mass in remnants per mass formed, in the bins of bagpipes, from which the grid was made."""
        from galfit_ml.simulate.populations import default_populations

        return default_populations().remnant_fraction.double().numpy()

    def _ticker(self, request: Request, i: int, batch: SpectrumBatch) -> Callable[[int], None]:
        """Progress within one spectrum: the count stays, the message moves."""

        def tell(calls: int) -> None:
            if request.progress is not None:
                request.progress(i, len(batch), f"{batch.ids[i]}: {calls} likelihood calls")

        return tell


def make_prior(settings: Settings, instrument: Instrument, redshift: RedshiftPrior) -> Prior:
    """The prior of a spectrum of an instrument; PriorError where the redshift lies outside the model."""
    density = RedshiftDensity.of(redshift, *redshift_range(redshift, instrument))
    order = settings.calibration_order
    if order is None:
        return Prior(density, (), settings.fixed)
    smooth = instrument.calibration_rms * math.sqrt(2.0 / max(order, 1))
    sigma = (instrument.calibration_offset, *([smooth] * order))
    return Prior(density, sigma, settings.fixed)
