"""Spectra over their continuum, as observed and at rest: what a principal-component analysis is made of."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from galfit_ml.prepare import Prepared
from galfit_ml_cnn.inputs import running_mean
from galfit_ml_cnn.layout import Layout

Floats = NDArray[np.float64]

LARGEST = 3.0
"""Flux over continuum, less 1, is clipped here: a few pixels of emission or of noise would rule the components."""


def over_continuum(seen: Prepared, layout: Layout, redshift: Floats | None = None) -> NDArray[np.float16]:
    """Flux over continuum less 1, [n, n_bins], in bins of one feature pixel of the network (240 km/s).

    Continuum as the network sees it. The mean within a bin is weighted by inverse variance; 0 where there is no pixel.

    Args:
        seen: on the network's grid.
        layout: the network's grids.
        redshift: [n], to shift the spectra to rest; None leaves them as observed.
    """
    continuum = running_mean(torch.as_tensor(seen.flux), torch.as_tensor(seen.ivar), layout.pool)[0].numpy()
    signal = seen.ivar * continuum * (seen.flux - continuum)
    weight = seen.ivar * continuum**2
    if redshift is None:
        shape = len(signal), layout.n_features, layout.pool
        top, bottom = signal.reshape(shape).sum(axis=2), weight.reshape(shape).sum(axis=2)
    else:
        top, bottom = _at_rest(signal, redshift, layout), _at_rest(weight, redshift, layout)
    mean = np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), 0.0)
    return np.clip(mean, -LARGEST, LARGEST).astype(np.float16)


def _at_rest(values: Floats, redshift: Floats, layout: Layout) -> Floats:
    """Sums of pixels [n, n_pix] in bins of the rest frame [n, n_rest], which hold all that any redshift needs."""
    n_bins = layout.n_features + int(np.ceil(np.log1p(layout.redshift[1]) / layout.step))
    pixel = (np.arange(layout.n_pix) + 0.5) / layout.pool + n_bins - layout.n_features
    out = np.zeros((len(values), n_bins))
    for row, own, z in zip(out, values, redshift, strict=True):
        where = np.floor(pixel - np.log1p(z) / layout.step).astype(int)
        inside = (where >= 0) & (where < n_bins)
        row += np.bincount(where[inside], own[inside], n_bins)
    return out


def components(spectra: NDArray[np.float16], n: int) -> Floats:
    """The first n principal components [rows, n] of spectra [rows, n_bins], each as large as its variance makes it."""
    centred = spectra.astype(np.float32)
    centred -= centred.mean(axis=0)
    _, directions = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    return np.asarray(centred @ directions[:, : -n - 1 : -1])
