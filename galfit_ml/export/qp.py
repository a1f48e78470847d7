"""Posteriors for qp (Malz et al. 2018, AJ 156, 35), the library of probability densities behind RAIL.

The file is qp's HDF5 layout, written with h5py alone. Each density is a histogram of its own draws: bins of equal
probability between quantiles, as a step function in qp's representation `interp_irregular`, whose cumulative
distribution is then exact at the quantiles and linear between them, also for a density of two peaks far apart.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import FileFormatError, OutputExistsError, SpectrumError
from galfit_ml.export.names import in_ascii
from galfit_ml.writing import write_whole

if TYPE_CHECKING:
    import h5py

    from galfit_ml.posterior import Posterior

Floats = NDArray[np.float64]

ENDING = ".qp.hdf5"
"""What the names of these files end in: qp takes .hdf5 for its layout, and .h5 for one of pandas."""

N_BINS = 50
"""Bins of equal probability of each density."""

NARROWEST = 1e-10
"""Least width of a bin, in units of the parameter: draws may coincide, all of them where a redshift is fixed."""


def write_qp(posterior: Posterior, path: str | Path, parameter: str = "redshift", *, overwrite: bool = False) -> Path:
    """Write the densities of one parameter to a file that `qp.read` reads.

    Rows without a result, and those where the parameter is NaN, are left out: qp has no density that is not known. The
    table `ancil` has for each density its `row` in the posterior, `id`, `flags`, and mean, median and standard
    deviation of the draws: `zmean`, `zmedian` and `zstd` for the redshift, `mean`, `median` and `std` for others.

    Raises:
        FileFormatError: the name does not end in .qp.hdf5.
        OutputExistsError: the file is there and `overwrite` is False.
        UnknownNameError: no such parameter.
        SpectrumError: not a single row has the parameter.
        WriteError: the disk is full or not writable.
    """
    target = Path(path)
    if not is_qp_name(target):
        raise FileFormatError(f"Densities for qp go into a file that ends in {ENDING}, not '{target}'.")
    if target.exists() and not overwrite:
        raise OutputExistsError(f"'{target}' exists already. Name another file, or replace it with overwrite=True.")
    write_whole(target, as_qp(posterior, parameter))
    return target


def is_qp_name(path: Path) -> bool:
    """Whether the name of a file says that it is qp's."""
    return path.name.lower().endswith(ENDING)


def as_qp(posterior: Posterior, parameter: str = "redshift") -> bytes:
    """The content of a file of qp; as `write_qp`."""
    import h5py

    draws = np.asarray(posterior[parameter], dtype=np.float64)
    rows = np.flatnonzero(posterior.ok & np.isfinite(draws).all(axis=1))
    if not len(rows):
        raise SpectrumError(f"No spectrum of this posterior has draws of '{parameter}': there is no density to write.")
    position, density = step_functions(draws[rows])
    packed = io.BytesIO()
    with h5py.File(packed, "w") as file:
        file["meta/pdf_name"] = np.array([b"interp_irregular"])
        file["meta/pdf_version"] = np.array([0])
        file["data/xvals"], file["data/yvals"] = position, density
        _write_ancil(file, posterior, parameter, rows)
    return packed.getvalue()


def _write_ancil(file: h5py.File, posterior: Posterior, parameter: str, rows: NDArray[np.intp]) -> None:
    draws, prefix = posterior[parameter][rows], "z" if parameter == "redshift" else ""
    columns = {
        "row": rows,
        "id": np.array(in_ascii(posterior.ids[i] for i in rows)),
        "flags": posterior.flags[rows],
        f"{prefix}mean": draws.mean(axis=1),
        f"{prefix}median": np.median(draws, axis=1),
        f"{prefix}std": draws.std(axis=1),
    }
    for name, values in columns.items():
        file[f"ancil/{name}"] = values


def step_functions(draws: Floats) -> tuple[Floats, Floats]:
    """Histograms of equal probability as points of a step function.

    Args:
        draws: [n, n_draws] finite.

    Returns:
        positions [n, 2 N_BINS], not falling, and density there [n, 2 N_BINS]: the two ends of each bin, its height
        twice. The integral of each row is 1.
    """
    edges = np.quantile(draws, np.linspace(0.0, 1.0, N_BINS + 1), axis=1).T
    least = NARROWEST * np.arange(N_BINS + 1)
    edges = np.maximum.accumulate(edges - least, axis=1) + least
    height = 1.0 / (N_BINS * np.diff(edges, axis=1))
    return np.repeat(edges, 2, axis=1)[:, 1:-1], np.repeat(height, 2, axis=1)
