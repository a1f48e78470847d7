"""`Library`: the templates of all redshift bins, made once and kept on disk."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.limits.axis import Bin, ScanAxis
from benchmarks.limits.templates import BinTemplates, Size, TemplateMaker
from galfit_ml.errors import FileFormatError
from galfit_ml.instruments import Instrument
from galfit_ml.simulate.cosmology import Cosmology
from galfit_ml.simulate.galaxy import GalaxyModel
from galfit_ml.simulate.prior import GalaxyPrior

Report = Callable[[int, int, str], None]

MAGNITUDE_MARGIN = 1.0
"""The prior reaches this far beyond the magnitudes an instrument reports."""


def default_cache() -> Path:
    """Where templates and results are kept if nobody says: $XDG_CACHE_HOME/galfit_ml, by default ~/.cache/galfit_ml."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "galfit_ml"


def training_prior(instrument: Instrument) -> GalaxyPrior:
    """The prior of the training spectra of an instrument."""
    low, high = instrument.magnitude_range
    return GalaxyPrior(instrument.redshift_range, (low - MAGNITUDE_MARGIN, high + MAGNITUDE_MARGIN))


@dataclass(frozen=True, eq=False)
class Library:
    """Templates for a scan.

    Args:
        instrument, axis, prior: what they were made for.
        bins: templates of each redshift bin.
        key: changes with every setting and with the code of the galaxy model.
        cosmology: of the galaxy model.
    """

    instrument: Instrument
    axis: ScanAxis
    prior: GalaxyPrior
    bins: tuple[BinTemplates, ...]
    key: str
    cosmology: Cosmology

    def first(self, n: int) -> Library:
        """The same with only the n templates drawn first."""
        bins = tuple(b.first(n) for b in self.bins)
        return Library(self.instrument, self.axis, self.prior, bins, f"{self.key}-{n}", self.cosmology)

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
    return Library(instrument, axis, prior, tuple(made), key, model.cosmology)


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


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an npz file, under its final name only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    part.replace(path)


def read_bin(path: Path) -> BinTemplates:
    """Templates of a bin from a file of the cache; FileFormatError where it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        ends = {name: int(arrays.pop(name)) for name in ("start", "stop")}
        return BinTemplates(**ends, **{name: torch.from_numpy(value) for name, value in arrays.items()})
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise FileFormatError(
            f"The template file '{path}' is damaged ({error}). Delete it; it is made again."
        ) from error


def settings_key(instrument: Instrument, axis: ScanAxis, prior: GalaxyPrior, size: Size, seed: int, grid: str) -> str:
    """Short hash of all that templates depend on, the code of the galaxy model included."""
    shape = [(a.name, a.low, a.high, a.sampling, a.step, a.resolution) for a in instrument.arms]
    text = repr((shape, instrument.magnitude_band, axis, prior, size, seed, grid)).encode()
    return hashlib.sha256(text + galaxy_model_source()).hexdigest()[:16]


def galaxy_model_source() -> bytes:
    """The code of galaxy model and prior, with that of all modules beside them that they import."""
    folder, found = resources.files("galfit_ml.simulate"), {}
    waiting = ["galaxy", "prior"]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = (folder / f"{name}.py").read_text(encoding="utf-8")
            waiting += re.findall(r"from galfit_ml\.simulate\.(\w+) import", found[name])
    return "".join(found[name] for name in sorted(found)).encode()
