"""Posteriors for ArviZ (Kumar et al. 2019, JOSS 4, 1143), and in the netCDF files that it reads.

Needs the extra `arviz`. ArviZ 0.x is what is supported: ArviZ 1 has another container.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import GalfitMLError
from galfit_ml.export.names import printable
from galfit_ml.optional import needed

if TYPE_CHECKING:
    from galfit_ml.posterior import Posterior

SAMPLES = ("chain", "draw", "spectrum")
"""Dimensions of what is drawn."""

Variable = tuple[tuple[str, ...], NDArray[Any], dict[str, str]]


def to_inference_data(posterior: Posterior, trace: bool = False) -> Any:
    """A posterior as `arviz.InferenceData`.

    The group `posterior` has one variable per parameter, [chain, draw, spectrum], with its unit and description as
    attributes; `sample_stats` has the flags and diagnostics, [spectrum]. What made the posterior stands in the
    attributes. Rows without a result are NaN.

    Args:
        posterior: what is exported.
        trace: False for the draws, which have equal weights and are one chain; True for the steps of the sampler's
            walkers, each a chain, with `lp` in `sample_stats`: to judge convergence, not to read off results.

    Raises:
        GalfitMLError: the trace is asked for and the posterior has none.
        MissingPackageError: ArviZ is not installed.
    """
    library = needed("arviz", "ArviZ", "arviz")
    return library.InferenceData(**_groups(posterior, trace), warn_on_custom_groups=False)


def as_netcdf(posterior: Posterior) -> memoryview:
    """The content of a netCDF file of the draws, as `arviz.from_netcdf` reads it; MissingPackageError."""
    check_netcdf()
    tree = needed("xarray", "xarray", "arviz").DataTree.from_dict(_groups(posterior, trace=False))
    content: memoryview = tree.to_netcdf(engine="h5netcdf")
    return content


def check_netcdf() -> None:
    """MissingPackageError unless `as_netcdf` has what it needs."""
    needed("xarray", "xarray", "arviz")
    needed("h5netcdf", "h5netcdf", "arviz")


def _groups(posterior: Posterior, trace: bool) -> dict[str, Any]:
    xarray = needed("xarray", "xarray", "arviz")
    drawn, told = _trace(posterior) if trace else (np.moveaxis(posterior.draws, 0, 1)[None], {})
    known = {"spectrum": [printable(name) for name in posterior.ids]}
    steps = {"chain": np.arange(drawn.shape[0]), "draw": np.arange(drawn.shape[1])}
    attributes = {"inference_library": "galfit_ml", **{k: printable(v) for k, v in posterior.provenance.items()}}
    variables: dict[str, Variable] = {
        p.name: (SAMPLES, drawn[..., i], {"units": p.column_unit, "long_name": p.doc})
        for i, p in enumerate(posterior.parameters)
    }
    stats = {**told, **_stats(posterior, told)}
    return {
        "posterior": xarray.Dataset(variables, {**steps, **known}, attributes),
        "sample_stats": xarray.Dataset(stats, {**(steps if told else {}), **known}, attributes),
    }


def _trace(posterior: Posterior) -> tuple[NDArray[np.float32], dict[str, Variable]]:
    """Steps of the walkers, [chain, draw, spectrum, parameter], and their log density."""
    if posterior.trace is None:
        raise GalfitMLError(
            f"This posterior has no trace of a sampler ({posterior.provenance.get('backend', 'its backend')} gives "
            "none): leave trace=True out, or estimate with backend='emcee'."
        )
    log_density = posterior.trace.log_density.transpose(2, 1, 0)
    told: Variable = (SAMPLES, log_density, {"long_name": "ln of likelihood times prior, up to a constant"})
    return posterior.trace.values.transpose(2, 1, 0, 3), {"lp": told}


def _stats(posterior: Posterior, taken: Mapping[str, Variable]) -> dict[str, Variable]:
    """Flags, reasons of failures and diagnostics, one number or text per spectrum."""
    reasons = np.array([printable(reason) for reason in posterior.reasons], dtype=object)
    stats: dict[str, Variable] = {
        "flags": (("spectrum",), posterior.flags, {"long_name": "bits of galfit_ml.Flag"}),
        "reason": (("spectrum",), reasons, {"long_name": "why there is no result"}),
    }
    for name, values in posterior.diagnostics.items():
        free = name if name not in {*stats, *taken} else f"{name}_diagnostic"
        stats[free] = (("spectrum",), np.asarray(values), {})
    return stats
