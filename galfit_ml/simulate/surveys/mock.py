"""`MockSurvey`: spectra as an instrument would deliver them, and what is true of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.spectra import SpectrumBatch, joined_batches


@dataclass(frozen=True, eq=False)
class MockSurvey:
    """n simulated spectra with their truth; all arrays are numpy's.

    Args:
        batch: the spectra, as backends take them.
        truth: column -> [n] values; `galfit_ml.simulate.surveys.TRUTH_COLUMNS` says what each is.
        clean: [n, n_pix] float32, noiseless flux, 1e-17 erg s^-1 cm^-2 A^-1, the arms one after the other.
        white_ivar: [n, n_pix] float32, inverse variance of the white noise alone, as it is; 0 where unusable.
        mask: [n, n_pix] uint8, bits of `galfit_ml.simulate.masks.MaskBit`.
    """

    batch: SpectrumBatch
    truth: dict[str, NDArray[Any]]
    clean: NDArray[np.float32]
    white_ivar: NDArray[np.float32]
    mask: NDArray[np.uint8]

    def __post_init__(self) -> None:
        n = len(self.batch)
        lengths = {len(self.clean), len(self.white_ivar), len(self.mask), *(len(v) for v in self.truth.values())}
        if lengths != {n}:
            raise ValueError(f"Batch, truth and arrays of a mock survey must all have {n} rows, not {sorted(lengths)}.")

    def __len__(self) -> int:
        return len(self.batch)

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> MockSurvey:
        """The spectra `rows`, in that order."""
        index = np.asarray(rows, dtype=np.intp)
        truth = {name: values[index] for name, values in self.truth.items()}
        return MockSurvey(self.batch.take(index), truth, self.clean[index], self.white_ivar[index], self.mask[index])


def joined(surveys: Sequence[MockSurvey]) -> MockSurvey:
    """Mock surveys of one instrument, one after the other."""
    if len(surveys) == 1:
        return surveys[0]
    return MockSurvey(
        joined_batches([s.batch for s in surveys]),
        {name: np.concatenate([s.truth[name] for s in surveys]) for name in surveys[0].truth},
        np.concatenate([s.clean for s in surveys]),
        np.concatenate([s.white_ivar for s in surveys]),
        np.concatenate([s.mask for s in surveys]),
    )
