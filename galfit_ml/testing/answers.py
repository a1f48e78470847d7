"""Checks of what a backend answers: shapes, parameters, ranges, redshift priors, flags, optional outputs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.flags import Flag
from galfit_ml.parameters import GALAXY, ParameterSet
from galfit_ml.posterior import Posterior
from galfit_ml.redshift_prior import RedshiftPrior, RedshiftPriors
from galfit_ml.spectra import SpectrumBatch
from galfit_ml.testing.contract import promise, require
from galfit_ml.testing.mocks import with_masked
from galfit_ml.testing.subject import Subject

FEW_PIXELS = 3
ODD_N_SAMPLES = 67


@promise("infer() returns a Posterior: draws [n_spectra, n_samples, n_parameters] as floats, ids in the batch's order")
def shapes(subject: Subject) -> None:
    """The answer has the documented form."""
    posterior = subject.posterior
    require(isinstance(posterior, Posterior), f"infer() returned {type(posterior).__name__}")
    wanted = (len(subject.batch), subject.trial.n_samples, len(posterior.parameters))
    require(posterior.draws.shape == wanted, f"draws of shape {posterior.draws.shape} instead of {wanted}")
    require(posterior.draws.dtype.kind == "f", f"draws of type {posterior.draws.dtype}")
    require(posterior.ids == subject.batch.ids, f"ids {posterior.ids} for the spectra {subject.batch.ids}")
    require(posterior.flags.dtype.kind == "i", f"flags of type {posterior.flags.dtype}")


@promise(
    "`parameters` is the ParameterSet of the draws; its units are astropy's, and those of galfit_ml.parameters.GALAXY "
    "where the name is known there"
)
def parameters(subject: Subject) -> None:
    """Names and units mean what they mean everywhere."""
    declared = subject.backend.parameters
    require(isinstance(declared, ParameterSet), f"`parameters` is a {type(declared).__name__}")
    answered = subject.posterior.parameters.names
    require(declared.names == answered, f"declared {declared.names}, answered {answered}")
    from astropy import units

    for parameter in declared:
        try:
            units.Unit(parameter.unit)
        except ValueError:
            require(False, f"'{parameter.name}' has the unit {parameter.unit!r}, which astropy does not know")
        if parameter.name in GALAXY:
            known = GALAXY[parameter.name].unit
            require(parameter.unit == known, f"'{parameter.name}' in {parameter.unit!r} instead of {known!r}")


@promise("draws are finite and inside the declared range of each parameter, also where the data say nothing")
def ranges(subject: Subject) -> None:
    """No NaN, no value outside `low` .. `high`."""
    _require_ranges(subject.posterior)
    _require_ranges(_unusable(subject)[1])


def _require_ranges(posterior: Posterior) -> None:
    for parameter in posterior.parameters:
        draws = posterior[parameter.name][posterior.ok]
        finite = np.isfinite(draws)
        require(finite.all(), f"{np.sum(~finite)} of {draws.size} draws of '{parameter.name}' are not finite")
        outside = (draws < parameter.low) | (draws > parameter.high)
        extremes = f"from {draws.min(initial=np.inf):g} to {draws.max(initial=-np.inf):g}"
        allowed = f"the declared {parameter.low:g} to {parameter.high:g}"
        require(not outside.any(), f"draws of '{parameter.name}' go {extremes}, beyond {allowed}")


@promise("exactly Request.n_samples draws for each spectrum")
def n_samples(subject: Subject) -> None:
    """An odd number of draws is honoured too."""
    drawn = _unusable(subject)[1].n_draws
    require(drawn == ODD_N_SAMPLES, f"{drawn} draws where {ODD_N_SAMPLES} were asked for")


@promise("a fixed redshift is the redshift of every draw", tag="redshift_prior")
def redshift_fixed(subject: Subject) -> None:
    """`redshift=0.7`."""
    priors, posterior = _with_priors(subject)
    seen = posterior["redshift"][0]
    require(np.all(seen == priors[0].low), f"redshift fixed to {priors[0].low:.6f}, draws {_span(seen)}")


@promise("no draw lies outside the range of a redshift prior", tag="redshift_prior")
def redshift_range(subject: Subject) -> None:
    """`redshift=(0.5, 1.2)`."""
    priors, posterior = _with_priors(subject)
    seen, low, high = posterior["redshift"][1], priors[1].low, priors[1].high
    require(np.all((seen >= low) & (seen <= high)), f"prior {low:.6f} to {high:.6f}, draws {_span(seen)}")


@promise("a redshift distribution multiplies the backend's own density", tag="redshift_prior")
def redshift_distribution(subject: Subject) -> str:
    """`redshift=scipy.stats.norm(...)`: a normal one sigma off, as wide as the posterior, moves the mean half-way."""
    _, posterior = _with_priors(subject)
    free = subject.posterior["redshift"][0]
    shift = (posterior["redshift"][2].mean() - free.mean()) / free.std()
    seen = f"a prior one posterior sigma off moved the mean redshift by {shift:.2f} sigma (0.5 for a normal posterior)"
    require(0.15 < shift < 1.0, seen)
    return seen


def _span(values: NDArray[Any]) -> str:
    return f"from {values.min():.6f} to {values.max():.6f}"


def _with_priors(subject: Subject) -> tuple[RedshiftPriors, Posterior]:
    """The first spectrum three times: redshift fixed, in a range that cuts its posterior in half, and distributed."""

    def run() -> tuple[RedshiftPriors, Posterior]:
        from scipy.stats import norm

        free = subject.posterior["redshift"][0]
        middle, width = float(np.median(free)), float(free.std())
        near = norm(free.mean() + width, width)
        kinds = RedshiftPrior(middle, middle), RedshiftPrior(middle, middle + 0.05), RedshiftPrior(distribution=near)
        priors = RedshiftPriors(kinds)
        return priors, subject.infer(subject.batch.take([0, 0, 0]), redshift=priors)

    priors, posterior = subject.remember("priors", run)
    require(posterior.ok.all(), f"a prior around the answer made it fail: {'; '.join(filter(None, posterior.reasons))}")
    return priors, posterior


@promise(
    "a spectrum flagged RELATIVE_FLUX keeps the flag and has a finite redshift; what needs a flux scale (mass, "
    "star-formation rate) is NaN there, and only there",
    tag="absolute_flux",
)
def relative_flux(subject: Subject) -> None:
    """Counts give a redshift but no mass."""
    posterior = _flagged(subject)
    require(posterior.flags[0] & Flag.RELATIVE_FLUX, "the flag RELATIVE_FLUX is gone")
    require(posterior.ok.all(), f"a relative flux made it fail: {'; '.join(filter(None, posterior.reasons))}")
    for parameter in posterior.parameters:
        relative, absolute = np.isfinite(posterior[parameter.name])
        if parameter.needs_flux_scale:
            require(not relative.any(), f"'{parameter.name}' has numbers for a spectrum without a flux scale")
        else:
            require(relative.all(), f"'{parameter.name}', which needs no flux scale, is NaN")
        require(absolute.all(), f"'{parameter.name}' is NaN for the neighbour, which has a flux scale")


@promise("flags that a spectrum comes with stay on its row")
def flags_kept(subject: Subject) -> None:
    """What the reader knew must reach the user."""
    flags = _flagged(subject).flags
    require(flags[0] & Flag.NOISE_ESTIMATED, f"NOISE_ESTIMATED went in, {Flag(int(flags[0]))!r} came out")
    require(flags[1] & Flag.LSF_ASSUMED, f"LSF_ASSUMED went in, {Flag(int(flags[1]))!r} came out")


def _flagged(subject: Subject) -> Posterior:
    flags = np.array([Flag.RELATIVE_FLUX | Flag.NOISE_ESTIMATED, Flag.LSF_ASSUMED], dtype=np.int64)
    return subject.remember("flagged", lambda: subject.infer(replace(subject.batch, flags=flags)))


@promise(
    "every spectrum gets its row, in order; one that cannot be used is flagged FAILED, with a reason and NaN draws, "
    "and does no harm to the others"
)
def unusable_spectra(subject: Subject) -> None:
    """A spectrum without good pixels, one with three of them, and a good one."""
    batch, posterior = _unusable(subject)
    require(posterior.ids == batch.ids, f"rows {posterior.ids} for the spectra {batch.ids}")
    require(not posterior.ok[0], "a spectrum without a single good pixel is not flagged FAILED")
    require(posterior.ok[2], f"a good spectrum beside bad ones failed: {posterior.reasons[2]}")
    for row in np.flatnonzero(~posterior.ok):
        require(posterior.reasons[row], "a FAILED row gives no reason")
        require(np.isnan(posterior.draws[row]).all(), "a FAILED row has draws that are not NaN")


def _unusable(subject: Subject) -> tuple[SpectrumBatch, Posterior]:
    batch = _mostly_unusable(subject.batch)
    return batch, subject.remember("unusable", lambda: subject.infer(batch, n_samples=ODD_N_SAMPLES))


def _mostly_unusable(batch: SpectrumBatch) -> SpectrumBatch:
    bad = []
    for number, arm in enumerate(batch.arms):
        masked = np.zeros((3, len(arm.grid)), dtype=bool)
        masked[:2] = True
        if number == 0:
            masked[1, np.flatnonzero(~arm.bad[1])[:FEW_PIXELS]] = False
        bad.append(masked)
    rows = replace(batch.take([0, 1, 0]), ids=("no-good-pixel", "three-good-pixels", "good"))
    return with_masked(rows, bad)


@promise(
    "Posterior.best_fit holds data and model: equal shapes [n_spectra, n_pix], finite at good pixels", tag="best_fit"
)
def best_fit(subject: Subject) -> None:
    """What `plot_fit` needs is there."""
    fit, n = subject.posterior.best_fit, len(subject.batch)
    if fit is None:
        require(False, "best_fit is None")
        return
    found = {label: getattr(fit, label).shape for label in ("wavelength", "flux", "ivar", "model", "good")}
    require(len(set(found.values())) == 1 and fit.flux.shape[0] == n, f"shapes {found} for {n} spectra")
    require(fit.good.any(axis=1).all(), "a spectrum with a result has no good pixel in its fit")
    require(np.isfinite(fit.model[fit.good]).all(), "the model is not finite at some good pixel")
    require(fit.chi2.shape == fit.n_good.shape == (n,), f"chi2 {fit.chi2.shape} and n_good {fit.n_good.shape}")
    require(np.isfinite(fit.chi2).all(), "chi2 is not finite")


@promise("Posterior.embedding is [n_spectra, n_features] and finite", tag="embedding")
def embedding(subject: Subject) -> None:
    """Latent features for every spectrum."""
    found = subject.posterior.embedding
    if found is None:
        require(False, "embedding is None")
        return
    require(found.ndim == 2 and len(found) == len(subject.batch), f"an embedding of shape {found.shape}")
    require(np.isfinite(found).all(), "the embedding is not finite")
