"""Where everything stands in a mock file: parts with their offsets, known before the first spectrum is made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.instruments import Arm
from galfit_ml.mock_files import headers
from galfit_ml.mock_files.headers import BLOCK
from galfit_ml.mock_files.plan import FORMAT_VERSION, KIND, MockPlan, TruthColumn

ID_BYTES = 40
"""Longest name of a spectrum."""

ID_TYPE = np.dtype([("ID", f"S{ID_BYTES}")])
PIXEL_TYPE = np.dtype([("WAVELENGTH", ">f8"), ("LSF_SIGMA", ">f8")])

_PIXEL_COLUMNS = {
    "WAVELENGTH": TruthColumn("Angstrom", "pixel centre, vacuum"),
    "LSF_SIGMA": TruthColumn("Angstrom", "Gaussian sigma of the line-spread function, pixel included"),
}


@dataclass(frozen=True)
class Part:
    """A header and its data.

    Args:
        name: of the extension; "" for the primary header.
        header: a whole number of blocks.
        row_bytes: bytes of one row of the data.
        n_rows: rows.
        content: the data where they are known from the beginning.
    """

    name: str
    header: bytes
    row_bytes: int = 0
    n_rows: int = 0
    content: bytes = b""

    @property
    def span(self) -> int:
        """Bytes of header and data in the file, filled up to whole blocks."""
        return len(self.header) + -(-self.row_bytes * self.n_rows // BLOCK) * BLOCK


@dataclass(frozen=True)
class Layout:
    """Parts one after the other."""

    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return sum(part.span for part in self.parts)

    def placed(self) -> Iterator[tuple[Part, int]]:
        """Each part with the offset of its header."""
        offset = 0
        for part in self.parts:
            yield part, offset
            offset += part.span

    def data_offset(self, name: str) -> int:
        """Where the data of that part begin."""
        return next(offset + len(part.header) for part, offset in self.placed() if part.name == name)


def mock_layout(plan: MockPlan, truth: str, complete: bool = False) -> Layout:
    """The parts of a mock file; `truth` is the name of the truth table's file."""
    meta = json.dumps({"kind": KIND, "version": FORMAT_VERSION, "settings": plan.everything()}, indent=1).encode()
    ids = headers.table("ID", np.zeros(0, ID_TYPE), plan.n, {"ID": TruthColumn("", "as in the truth table")})
    parts = [
        Part("", headers.primary(plan, truth, complete)),
        Part("META", headers.as_bytes(headers.bytes_image("META", len(meta))), len(meta), 1, meta),
        Part("ID", headers.as_bytes(ids), ID_BYTES, plan.n),
    ]
    for arm in plan.instrument.arms:
        parts += _arm_parts(arm, plan)
    return Layout(tuple(parts))


def truth_layout(plan: MockPlan, columns: NDArray[Any], mock: str) -> Layout:
    """The parts of a truth file whose rows have the type of `columns`; `mock` is the name of the file of spectra."""
    from astropy.io import fits

    first = fits.PrimaryHDU().header
    first["EXTEND"] = True
    first["CONTENT"] = ("galfit_ml mock truth", "true parameters of simulated spectra")
    first["ORIGIN"] = f"galfit_ml {plan.version}"
    first["MOCKFILE"] = (headers.ascii_text(mock)[:60], "spectra, in the same order")
    header = headers.table("TRUTH", columns, plan.n, plan.columns)
    return Layout(
        (Part("", headers.as_bytes(first)), Part("TRUTH", headers.as_bytes(header), columns.dtype.itemsize, plan.n))
    )


def _arm_parts(arm: Arm, plan: MockPlan) -> list[Part]:
    grid = arm.grid
    pixels = np.empty(len(grid), PIXEL_TYPE)
    pixels["WAVELENGTH"], pixels["LSF_SIGMA"] = grid.centres, arm.resolution.sigma(grid.centres)
    header = headers.table(f"{arm.name}_PIXELS", pixels, len(grid), _PIXEL_COLUMNS)
    parts = [
        Part(f"{arm.name}_PIXELS", headers.as_bytes(header), PIXEL_TYPE.itemsize, len(grid), pixels.tobytes()),
        _image(arm, plan, "FLUX", headers.FLUX_UNIT),
        _image(arm, plan, "IVAR", headers.IVAR_UNIT),
        _mask(arm, plan),
    ]
    if "white-ivar" in plan.keep:
        parts.append(_image(arm, plan, "WHITE_IVAR", headers.IVAR_UNIT))
    if "noiseless" in plan.keep:
        parts.append(_image(arm, plan, "NOISELESS", headers.FLUX_UNIT))
    return parts


def _image(arm: Arm, plan: MockPlan, kind: str, unit: str) -> Part:
    name = f"{arm.name}_{kind}"
    header = headers.image(name, arm, plan.n, "f4", unit)
    return Part(name, headers.as_bytes(header), 4 * len(arm.grid), plan.n)


def _mask(arm: Arm, plan: MockPlan) -> Part:
    name = f"{arm.name}_MASK"
    header = headers.image(name, arm, plan.n, "u1")
    headers.mask_meaning(header, plan)
    return Part(name, headers.as_bytes(header), len(arm.grid), plan.n)
