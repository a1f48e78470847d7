"""Array forms of what bagpipes does in loops or on badly laid out arrays; what comes out is the same to rounding.

bagpipes keeps its grids with wavelength as the first axis and takes slices of the last; summing over these visits all
of memory at each call. Here a copy with wavelength last is made once for a galaxy, and a sum over ages is a product of
a vector and a matrix. `python -m benchmarks.against_bagpipes --stock` times both.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml_bagpipes.resample import resample

Floats = NDArray[np.float64]


def use_arrays(bagpipes: Any) -> None:
    """Put the functions of this module in place of those of the imported package, for this process."""
    galaxy = bagpipes.model_galaxy
    module: Any = sys.modules[galaxy.__module__]
    if isinstance(module.spectres, SimpleNamespace):
        return
    module.spectres = SimpleNamespace(spectres=resample)
    galaxy._get_R_curve_wav_sampling = _once(galaxy._get_R_curve_wav_sampling)
    galaxy._calculate_uvj_mags = _nothing
    module.stellar.spectrum = _stars(bagpipes.config)
    module.nebular._interpolate_grid = _gas(bagpipes.config)
    module.igm.trans = _transmission(bagpipes.config)


def _nothing(model: Any) -> None:
    """Rest-frame colours are asked for by nobody here."""


def _once(sampling: Callable[..., Floats]) -> Callable[..., Floats]:
    """The wavelengths on which the line-spread function acts, made once for a galaxy and not at every redshift."""

    def remembered(model: Any, oversample: int = 4) -> Floats:
        if not hasattr(model, "lsf_wavelengths"):
            model.lsf_wavelengths = sampling(model, oversample=oversample)
        return model.lsf_wavelengths

    return remembered


def _wavelength_last(holder: Any, name: str) -> Floats:
    """A copy of the array `name` of a bagpipes object, its first axis last, kept with it."""
    kept: dict[str, Floats] = holder.__dict__.setdefault("wavelength_last", {})
    if name not in kept:
        kept[name] = np.ascontiguousarray(np.moveaxis(getattr(holder, name), 0, -1))
    return kept[name]


def _split(config: Any, t_bc: float) -> tuple[int, float]:
    """Ages of the birth cloud, as a number of bins, and the share of the last of them that has left it."""
    years = t_bc * 1e9
    n = int(np.sum(config.age_bins < years))
    left = float((config.age_bins[n] - years) / config.age_widths[n - 1])
    return max(n, 1), left


def _stars(config: Any) -> Callable[..., Any]:
    def spectrum(stellar: Any, formed: Floats, t_bc: float = 0.0) -> Any:
        """Light of stars within and outside of birth clouds; `formed` [n_Z, n_age] is the mass formed."""
        grid = _wavelength_last(stellar, "grid")
        n, left = _split(config, t_bc)
        young, old = formed[:, :n].copy(), formed[:, n - 1 :].copy()
        young[:, -1] *= 1 - left
        old[:, 0] *= left
        light = _summed(young, grid[:, :n]), _summed(old, grid[:, n - 1 :])
        return light if t_bc else light[1]

    return spectrum


def _gas(config: Any) -> Callable[..., Floats]:
    def interpolated(nebular: Any, grid: Floats, formed: Floats, t_bc: float, log_u: float) -> Floats:
        """Gas of one ionisation parameter; `grid` is one of the two arrays of `nebular`."""
        name = "combined_grid" if grid is nebular.combined_grid else "line_grid"
        parts = _wavelength_last(nebular, name)
        log_u = log_u + 1e-10 if log_u == config.logU[0] else log_u
        n, left = _split(config, t_bc)
        upper = int(np.sum(config.logU < log_u))
        low_share = (config.logU[upper] - log_u) / (config.logU[upper] - config.logU[upper - 1])
        young = formed[:, :n].copy()
        young[:, -1] *= 1 - left
        low, high = (_summed(young, parts[:, k, :n]) for k in (upper - 1, upper))
        mixed: Floats = high * (1 - low_share) + low * low_share
        return mixed

    return interpolated


def _transmission(config: Any) -> Callable[..., Floats]:
    def trans(igm: Any, redshift: float) -> Floats:
        """Share of the light that the intergalactic medium lets through."""
        grid = _wavelength_last(igm, "grid")
        known = config.igm_redshifts
        upper = max(int(np.sum(known < redshift)), 1)
        share = max((redshift - known[upper - 1]) / (known[upper] - known[upper - 1]), 0.0)
        through: Floats = grid[upper - 1] * (1 - share) + grid[upper] * share
        return through

    return trans


def _summed(weight: Floats, grid: Floats) -> Floats:
    """Sum over metallicities and ages, [n_wave], of weights [n_Z, n_age] times a grid [n_Z, n_age, n_wave]."""
    total = np.zeros(grid.shape[-1])
    for one, part in zip(weight, grid, strict=True):
        if one.any():
            total += one @ part
    return total
