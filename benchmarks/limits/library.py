"""`Library`: the templates of all redshift bins, made once and kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.limits.axis import Bin, ScanAxis
from benchmarks.limits.cache import read_arrays, short_hash, source_of, write_arrays
from benchmarks.limits.templates import BinTemplates, Size, TemplateMaker
from galfit_ml.instruments import Instrument
from galfit_ml.simulate.cosmology import Cosmology
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.prior import GalaxyPrior

Report = Callable[[int, int, str], None]


def training_prior(instrument: Instrument) -> GalaxyPrior:
    """The prior of the training spectra of an instrument, as `galfit_ml.simulate.survey` draws them."""
    return GalaxyPrior(instrument.redshift_range, instrument.magnitude_range)


@dataclass(frozen=True, eq=False)
class Library:
    """Templates for a scan.

    Args:
        instrument, axis, prior: what they were made for.
        bins: templates of each redshift bin.
        size: of each bin.
        key: changes with every setting and with the code of the galaxy model.
        cosmology: of the galaxy model.
    """

    instrument: Instrument
    axis: ScanAxis
    prior: GalaxyPrior
    bins: tuple[BinTemplates, ...]
    size: Size
    key: str
    cosmology: Cosmology

    @property
    def loss(self) -> Tensor:
        """[all templates of all bins] share of the sum of squares that truncation loses."""
        return torch.cat([b.loss for b in self.bins])


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
    return short_hash(settings, model, source_of("benchmarks.limits", "templates"))
