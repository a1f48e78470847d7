"""What a report is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    import pandas as pd

_PLACE = ("suite", "backend", "parameter", "axis", "bin", "low", "high")
_NUMBER = ("metric", "value", "error", "n", "unit", "direction", "version", "machine", "reason")
ROW_COLUMNS = (*_PLACE, *_NUMBER)
"""Of the table of metrics, one metric of one backend in one bin per row."""

POINT_COLUMNS = ("suite", "backend", "spectrum")
"""That the table of points must have where it is not empty; everything else is shown where it is there."""

MOST_PIXELS = 500


@dataclass(frozen=True, eq=False)
class Spectra:
    """Spectra to look at.

    Args:
        wavelength: [n_pix] observed, vacuum, angstrom, increasing.
        flux: [n_spectrum, n_pix] any unit; NaN where there is no good pixel. Row i is the spectrum of number i of the
            points.

    Raises:
        BenchmarkError: the shapes do not fit each other.
    """

    wavelength: NDArray[Any]
    flux: NDArray[Any]

    def __post_init__(self) -> None:
        if np.ndim(self.wavelength) != 1 or np.ndim(self.flux) != 2 or np.shape(self.flux)[1] != len(self.wavelength):
            raise BenchmarkError(
                f"Spectra need a wavelength [n_pix] and a flux [n_spectrum, n_pix], not {np.shape(self.wavelength)} "
                f"and {np.shape(self.flux)}. Put all of them on one wavelength grid first."
            )

    def coarse(self) -> Spectra:
        """The same on at most `MOST_PIXELS` pixels: means of neighbours, those without a value left out."""
        step = -(-len(self.wavelength) // MOST_PIXELS)
        if step <= 1:
            return self
        starts = np.arange(0, len(self.wavelength), step)
        flux = np.asarray(self.flux, dtype=np.float64)
        known = np.isfinite(flux)
        total = np.add.reduceat(np.where(known, flux, 0.0), starts, axis=1)
        count = np.add.reduceat(known.astype(np.int64), starts, axis=1)
        width = np.diff(np.append(starts, len(self.wavelength)))
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        return Spectra(np.add.reduceat(np.asarray(self.wavelength, dtype=np.float64), starts) / width, mean)


@dataclass(frozen=True, eq=False)
class ReportData:
    """What a report is made from.

    Args:
        rows: the metrics, with the columns `ROW_COLUMNS`; may have no row.
        points: one row per backend and spectrum; may be empty. Of a parameter P it may hold `true_P`, `median_P`,
            `low_P` and `high_P` (16 and 84 %).
        about: what the head says of the run, by title: machine, versions, command, date.
        spectra: to show for selected points; of one suite by its name, or one object whose numbers hold in all suites.

    Raises:
        BenchmarkError: a column is missing; the message names it.
    """

    rows: pd.DataFrame
    points: pd.DataFrame
    about: Mapping[str, str] = field(default_factory=dict)
    spectra: Spectra | Mapping[str, Spectra] | None = None

    def __post_init__(self) -> None:
        _need("rows", self.rows, ROW_COLUMNS)
        if len(self.points):
            _need("points", self.points, POINT_COLUMNS)

    @property
    def suites(self) -> tuple[str, ...]:
        """Names, in the order in which they appear first."""
        return _names(self.rows, self.points, "suite")

    @property
    def backends(self) -> tuple[str, ...]:
        """Names, in the order in which they appear first."""
        return _names(self.rows, self.points, "backend")

    def rows_of(self, suite: str) -> pd.DataFrame:
        """The metrics of a suite."""
        return self.rows[self.rows["suite"].astype(str) == suite]

    def points_of(self, suite: str) -> pd.DataFrame:
        """The points of a suite."""
        return self.points[self.points["suite"].astype(str) == suite] if len(self.points) else self.points

    def spectra_of(self, suite: str) -> Spectra | None:
        """The spectra of a suite; None where there are none."""
        return self.spectra.get(suite) if isinstance(self.spectra, Mapping) else self.spectra


def _need(name: str, table: pd.DataFrame, columns: tuple[str, ...]) -> None:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise BenchmarkError(
            f"The table of {name} lacks {', '.join(missing)}. Read one that a benchmark wrote, or add the columns; "
            f"it has {', '.join(map(str, table.columns)) or 'none'}."
        )


def _names(rows: pd.DataFrame, points: pd.DataFrame, column: str) -> tuple[str, ...]:
    found = [str(name) for table in (rows, points) if column in table.columns for name in table[column].unique()]
    return tuple(dict.fromkeys(name for name in found if name not in {"", "nan", "None"}))
