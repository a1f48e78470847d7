"""Writing a stellar grid file from plain arrays: the door for grids of other libraries.

Fill a `GridContents` and call `write_grid`. Spectra go in as means over the pixels between `storage_edges()`;
`galfit_ml.simulate.build.rebin.pixel_means` makes these from tabulated spectra.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from galfit_ml.errors import FileFormatError
from galfit_ml.grid import SPEED_OF_LIGHT_KMS
from galfit_ml.simulate.populations import FORMAT, VERSION
from galfit_ml.writing import write_whole

Floats = NDArray[np.float64]

FIRST_EDGE = 900.0
"""A, vacuum: where the grid begins."""
STEP_KMS = 50.0
SEGMENTS = ((2394, 2), (8882, 1), (1055, 6))
"""(stored pixels, fine pixels in each): 100 km/s to 2000 A, 50 km/s to 8798 A, 300 km/s to 25285 A: 20,000 in all."""
DYNAMIC_RANGE = 1e9
"""Light fainter than the brightest pixel of a spectrum by more than this is stored as none."""
MOST_CODE = 65_535


@dataclass(frozen=True, eq=False)
class GridContents:
    """A stellar grid in double precision, with the shapes and units of the file format.

    `galfit_ml.simulate.populations` says what each array is; `stars` [n_Z, n_age, n_stored] and `nebular` [n_Zg, n_u,
    n_young, n_neb] are luminosities here, L_sun / A / M_sun formed, and coded when written.
    """

    metallicity: Floats
    age_edges: Floats
    stars: Floats
    living_fraction: Floats
    remnant_fraction: Floats
    ionising_rate: Floats
    gas_metallicity: Floats
    log_u: Floats
    nebular_wavelength: Floats
    nebular: Floats
    nebular_repaired: NDArray[np.bool_]
    line_names: tuple[str, ...]
    line_wavelength: Floats
    line_luminosity: Floats
    lsf_wavelength: Floats
    lsf_sigma: Floats
    provenance: dict[str, str]

    def __post_init__(self) -> None:
        n_stored = sum(n_pixels for n_pixels, _ in SEGMENTS)
        cells = (len(self.metallicity), len(self.age_edges) - 1, n_stored)
        if self.stars.shape != cells:
            raise FileFormatError(
                f"`stars` has shape {self.stars.shape}; metallicities, age bins and the pixels between "
                f"storage_edges() make {cells}. Rebin the spectra with galfit_ml.simulate.build.rebin.pixel_means."
            )


def storage_edges() -> Floats:
    """Edges [n_stored + 1], vacuum A, of the pixels in which spectra are stored."""
    widths = np.concatenate([np.full(n_pixels, refinement) for n_pixels, refinement in SEGMENTS])
    fine = np.concatenate([[0], np.cumsum(widths)])
    return FIRST_EDGE * np.exp(fine * (STEP_KMS / SPEED_OF_LIGHT_KMS))


def encode(luminosity: Floats) -> tuple[NDArray[np.uint16], Floats, Floats]:
    """Code spectra [..., n] as 16-bit steps in ln L: code [..., n], offset [...] and step [...] of each spectrum."""
    peak = luminosity.max(axis=-1, keepdims=True)
    lit = luminosity >= peak / DYNAMIC_RANGE
    ln = np.log(np.where(lit, luminosity, peak))
    low, high = ln.min(axis=-1, keepdims=True), ln.max(axis=-1, keepdims=True)
    step = np.maximum((high - low) / (MOST_CODE - 1), 1e-12)
    code = np.where(lit, np.rint((ln - low) / step) + 1, 0).astype(np.uint16)
    return code, low[..., 0], step[..., 0]


def write_grid(contents: GridContents, out: str | Path) -> Path:
    """Write a grid to `out` (.npz) and its checksum beside it (.sha256); the same contents give the same bytes."""
    path = Path(out)
    arrays = {field.name: getattr(contents, field.name) for field in fields(contents)}
    for name, key in (("stars", "stars"), ("nebular", "nebular")):
        parts = zip(("code", "offset", "step"), encode(arrays.pop(name)), strict=True)
        arrays |= {f"{key}_{part}": value for part, value in parts}
    arrays["line_luminosity"] = contents.line_luminosity.astype(np.float32)
    arrays["provenance"] = json.dumps(contents.provenance, sort_keys=True)
    segments = np.array(SEGMENTS)
    packed = io.BytesIO()
    np.savez(
        packed,
        format=FORMAT,
        version=VERSION,
        ln_wavelength0=np.log(FIRST_EDGE),
        dln=STEP_KMS / SPEED_OF_LIGHT_KMS,
        segment_pixels=segments[:, 0],
        segment_refinement=segments[:, 1],
        **arrays,
    )
    write_whole(path, packed.getvalue())
    checksum = hashlib.sha256(packed.getvalue()).hexdigest()
    # Killed in between, the grid has the old checksum beside it, and whoever loads it refuses it.
    write_whole(path.with_suffix(".sha256"), f"{checksum}  {path.name}\n".encode())
    return path
