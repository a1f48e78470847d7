"""`Library`: the templates of all redshift bins, made once and kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.limits.cache import read_arrays, short_hash, source_of, write_arrays
from galfit_ml.instruments import Instrument
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.prior import GalaxyPrior
from galfit_ml_emcee.library.axis import Bin, ScanAxis
from galfit_ml_emcee.library.library import Library, training_prior
from galfit_ml_emcee.library.templates import BinTemplates, Size, TemplateMaker

Report = Callable[[int, int, str], None]


def load_library(
    instrument: Instrument,
    axis: ScanAxis,
    size: Size,
    *,
    prior: GalaxyPrior | None = None,
    folder: Path | None = None,
    seed: int = 0,
    device: str = "cpu",
    report: Report | None = None,
) -> Library:
    """The library of these settings: from `folder`, where each bin is a file, or made now and kept there.

    Args:
        prior: of the templates; `training_prior` by default.
        folder: of the cache; None to keep nothing.
        report: called with (bins done, bins, message).
    """
    prior = prior or training_prior(instrument)
    model = GalaxyModel(device=device)
    maker = TemplateMaker(instrument, axis, prior, model)
    bins, made = axis.bins(), []
    key = settings_key(instrument, axis, prior, size, seed, str(model.grid.provenance.get("sha256")))
    for number, bin_ in enumerate(bins):
        path = None if folder is None else folder / f"templates-{key}" / f"bin-{number:02d}.npz"
        made.append(_bin(path, maker, bin_, size, seed).to(device))
        if report is not None:
            report(number + 1, len(bins), "redshift bins of templates")
    return Library(instrument, axis, prior, tuple(made), size, key, model.cosmology)


def _bin(path: Path | None, maker: TemplateMaker, bin_: Bin, size: Size, seed: int) -> BinTemplates:
    if path is not None and path.is_file():
        return read_bin(path)
    with torch.no_grad():
        made = maker.make(bin_, size, seed)
    if path is not None:
        write_arrays(path, {name: np.asarray(_plain(value)) for name, value in vars(made).items()})
    return made


def _plain(value: object) -> object:
    return value.cpu().numpy() if isinstance(value, Tensor) else value


def read_bin(path: Path) -> BinTemplates:
    """Templates of a bin from a file of the cache; FileFormatError where it is damaged."""
    arrays = read_arrays(path, {field.name for field in fields(BinTemplates)})
    start, stop = int(arrays.pop("start")), int(arrays.pop("stop"))
    return BinTemplates(start, stop, **{name: torch.from_numpy(value) for name, value in arrays.items()})


def settings_key(instrument: Instrument, axis: ScanAxis, prior: GalaxyPrior, size: Size, seed: int, grid: str) -> str:
    """Short hash of all that templates depend on: settings, stellar grid, the code of galaxy model and templates."""
    shape = [(a.name, a.low, a.high, a.sampling, a.step, a.resolution) for a in instrument.arms]
    settings = repr((shape, instrument.magnitude_band, axis, axis.bins(), prior, size, seed, grid)).encode()
    model = source_of("galfit_ml.simulate", "galaxy", "prior")
    return short_hash(settings, model, source_of("galfit_ml_emcee.library", "templates"))
