"""Spectra with several pixels made one: what slow codes can afford."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from galfit_ml.grid import WavelengthGrid
from galfit_ml.spectra import ArmSpectra, SpectrumBatch


def rebinned(batch: SpectrumBatch, factor: int) -> SpectrumBatch:
    """Every `factor` pixels of each arm made one; the pixels left over at the red end are dropped.

    The flux is the mean weighted by inverse variance and width, which are summed; the line-spread function gains the
    variance of the wider pixel (a box of width w has w^2 / 12).
    """
    return batch if factor == 1 else replace(batch, arms=tuple(_arm(arm, factor) for arm in batch.arms))


def _arm(arm: ArmSpectra, factor: int) -> ArmSpectra:
    n = len(arm.grid) // factor
    edges = arm.grid.edges[: n * factor + 1 : factor]
    shape = (len(arm.flux), n, factor)
    flux, ivar, sigma = (a[:, : n * factor].reshape(shape) for a in (arm.flux, arm.ivar, arm.lsf_sigma))
    total = ivar.sum(axis=2)
    mean = (flux * ivar).sum(axis=2) / np.where(total > 0, total, 1.0)
    old = arm.grid.widths[: n * factor].reshape(n, factor).mean(axis=1)
    wider = (np.diff(edges) ** 2 - old**2) / 12.0
    lsf = np.sqrt(sigma.mean(axis=2) ** 2 + wider)
    grid = WavelengthGrid(edges, 0.5 * (edges[1:] + edges[:-1]))
    return ArmSpectra(arm.name, grid, mean, total, total <= 0, lsf)
