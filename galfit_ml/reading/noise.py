"""The noise of a spectrum that comes without uncertainties."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CHUNK = 200
"""Pixels over which the noise is taken as constant."""

LEAST_NOISE = 1e-5
"""Fraction of the median |flux|; what scatters less is a noiseless model with rounding errors."""

MIN_IN_CHUNK = 20
"""A chunk with fewer usable pixels takes the noise of its neighbours."""


def estimate_ivar(flux: Floats, bad: NDArray[np.bool_]) -> Floats:
    """Inverse variance from the scatter between neighbouring pixels.

    In chunks of `CHUNK` pixels sigma = 1.482602 / sqrt(6) median |2 f_i - f_(i-2) - f_(i+2)|, the DER_SNR estimator of
    Stoehr et al. (2008, ASP Conf. Ser. 394, 505); it takes the noise as independent two pixels apart, so resampled
    spectra come out too good. Sigma is interpolated linearly between the middles of the chunks.

    Args:
        flux: [n, n_pix], any unit.
        bad: [n, n_pix] True where a pixel must not be used.

    Returns:
        [n, n_pix] in flux units to the power -2; 0 where no noise could be estimated.
    """
    n, n_pix = flux.shape
    known = np.where(bad | ~np.isfinite(flux), np.nan, flux)
    n_chunks = -(-n_pix // CHUNK)
    scatter = np.full((n, n_chunks * CHUNK), np.nan)
    scatter[:, 2 : n_pix - 2] = np.abs(2.0 * known[:, 2:-2] - known[:, :-4] - known[:, 4:])
    sigma = 1.482602 / np.sqrt(6.0) * _median(scatter.reshape(n, n_chunks, CHUNK), min(MIN_IN_CHUNK, n_pix // 4))
    size = _median(np.abs(known), 1)[:, None]
    sigma = np.where(sigma > LEAST_NOISE * size, sigma, np.nan)
    middles = CHUNK * np.arange(n_chunks) + 0.5 * (CHUNK - 1)
    full = np.stack([_interpolated(np.arange(n_pix), middles, row) for row in sigma])
    return np.where(full > 0, 1.0 / np.where(full > 0, full, 1.0) ** 2, 0.0)


def _median(values: Floats, least: int) -> Floats:
    """Median along the last axis of what is not NaN; NaN where that is fewer than `least`, or nothing."""
    count = np.isfinite(values).sum(axis=-1, keepdims=True)
    ordered = np.sort(values, axis=-1)  # NaN last
    middle = [np.take_along_axis(ordered, np.maximum(k, 0), axis=-1) for k in ((count - 1) // 2, count // 2)]
    return np.where(count >= max(least, 1), 0.5 * (middle[0] + middle[1]), np.nan)[..., 0]


def _interpolated(at: NDArray[np.int64], middles: Floats, sigma: Floats) -> Floats:
    known = np.isfinite(sigma)
    return np.interp(at, middles[known], sigma[known]) if known.any() else np.zeros(len(at))
