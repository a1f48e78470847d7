"""Stellar populations and their ionised gas, as read from one compact file onto one logarithmic wavelength grid.

`StellarPopulations.load()` reads the grid that ships with the package (`galfit_ml/data/README.md` says what it is made
of); `StellarPopulations.load(path)` reads one of your own. `galfit_ml.simulate.build.grid_file.write_grid` writes the
format below from plain arrays, so a grid from FSPS, BPASS or E-MILES needs no knowledge of it.

The file, version 1, is a numpy `.npz` without pickles. Wavelengths are vacuum angstroms; luminosities are in units of
`SOLAR_LUMINOSITY` per solar mass of stars **formed**; metallicities in units of the Sun's (Z = 0.02).

===================== ============================== ====================================================
array                 shape, type                    meaning
===================== ============================== ====================================================
format, version       (), str and int                "galfit_ml stellar grid" and 1
provenance            (), str                        JSON object of strings: origin, citation, licence …
ln_wavelength0, dln   (), float64                    ln of the first edge of the fine grid; its step
segment_pixels        [n_segment], int               pixels stored in each wavelength segment
segment_refinement    [n_segment], int               fine pixels per stored pixel of that segment
metallicity           [n_Z], float64                 of the stars, increasing
age_edges             [n_age + 1], float64           yr; the spectra are means over these bins
stars_code            [n_Z, n_age, n_stored], uint16 0: no light; k > 0: ln L = offset + step (k − 1)
stars_offset, _step   [n_Z, n_age], float64          L in L_sun / A / M_sun, mean over the stored pixel
living_fraction       [n_Z, n_age], float64          mass in living stars / mass formed
remnant_fraction      [n_Z, n_age], float64          mass in white dwarfs, neutron stars, black holes / mass formed
ionising_rate         [n_Z, n_age], float64          photons / s / M_sun below 911.75 A
gas_metallicity       [n_Zg], float64                of the gas, increasing
log_u                 [n_u], float64                 log10 of the ionisation parameter, increasing
nebular_wavelength    [n_neb], float64               nodes; the continuum is linear in wavelength between them
nebular_code          [n_Zg, n_u, n_young, n_neb]    uint16, coded as the stars are, in L_sun / A / M_sun
nebular_offset, _step [n_Zg, n_u, n_young]           of the first n_young age bins
nebular_repaired      [n_Zg, n_u, n_young], bool     True where another cell's ratios stand in for a bad cell's
line_names            [n_line], str                  element, ion and the wavelength (or blend) that names the line
line_wavelength       [n_line], float64              vacuum A
line_luminosity       [n_Zg, n_u, n_young, n_line]   float32, L_sun / M_sun
lsf_wavelength        [k], float64                   vacuum A
lsf_sigma             [k], float64                   sigma of the library's own line spread, km/s
===================== ============================== ====================================================

A step of the code is at most 3.2e-4 in ln L (2.7e-4 in the shipped grid): a stored value is within half of that.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from galfit_ml.errors import FileFormatError

FORMAT = "galfit_ml stellar grid"
VERSION = 1
SOLAR_LUMINOSITY = 3.826e33
"""erg / s: the value of Bruzual & Charlot (2003), in whose units the shipped grid is."""


@dataclass(frozen=True, eq=False)
class StellarPopulations:
    """Spectra of stars and gas per solar mass formed, by metallicity, age bin and ionisation parameter.

    All tensors are float32 except `ionising_rate`, whose values do not fit. The last edge of the shipped grid is
    1.5e10 yr, so that any age of the Universe fits; its last spectrum is the mean over 11.2–13.5 Gyr.

    Args:
        ln_wavelength0: ln of the centre of the first pixel, vacuum A.
        dln: step of the pixel centres in ln wavelength (50 km/s in the shipped grid).
        wavelength: [n_wave] pixel centres, vacuum A.
        metallicity: [n_Z] of the stars, Z_sun (= 0.02).
        age_edges: [n_age + 1] edges of the age bins, yr.
        stars: [n_Z, n_age, n_wave] L_sun / A / M_sun formed, mean over the pixel and over the age bin.
        gas_metallicity: [n_Zg] of the gas, Z_sun; 12 + log O/H = 8.71 + log Z_gas in the shipped grid.
        log_u: [n_u] log10 of the ionisation parameter.
        nebular_wavelength: [n_neb] vacuum A; interpolate the continuum linearly in wavelength between these nodes.
        nebular_continuum: [n_Zg, n_u, n_young, n_neb] L_sun / A / M_sun formed, for the first n_young age bins.
        line_names: n_line names, such as "O 3 5006.84A" (air wavelengths above 2000 A, as CLOUDY names lines).
        line_wavelength: [n_line] vacuum A.
        line_luminosity: [n_Zg, n_u, n_young, n_line] L_sun / M_sun formed.
        ionising_rate: [n_Z, n_age] photons / s / M_sun formed, float64.
        living_fraction: [n_Z, n_age] mass in living stars per mass formed.
        remnant_fraction: [n_Z, n_age] mass in stellar remnants per mass formed.
        lsf_wavelength: [k] vacuum A.
        lsf_sigma: [k] sigma of the line spread of the library, km/s, linear between these nodes.
        provenance: where the grid comes from; "sha256" is the checksum of the file.
    """

    ln_wavelength0: float
    dln: float
    wavelength: Tensor
    metallicity: Tensor
    age_edges: Tensor
    stars: Tensor
    gas_metallicity: Tensor
    log_u: Tensor
    nebular_wavelength: Tensor
    nebular_continuum: Tensor
    line_names: tuple[str, ...]
    line_wavelength: Tensor
    line_luminosity: Tensor
    ionising_rate: Tensor
    living_fraction: Tensor
    remnant_fraction: Tensor
    lsf_wavelength: Tensor
    lsf_sigma: Tensor
    provenance: dict[str, str]

    def __post_init__(self) -> None:
        cells = (len(self.metallicity), len(self.age_edges) - 1)
        n_young = self.line_luminosity.shape[2] if self.line_luminosity.ndim == 4 else -1
        gas = (len(self.gas_metallicity), len(self.log_u), n_young)
        expected = {
            "stars": (*cells, len(self.wavelength)),
            "ionising_rate": cells,
            "living_fraction": cells,
            "remnant_fraction": cells,
            "line_luminosity": (*gas, len(self.line_names)),
            "line_wavelength": (len(self.line_names),),
            "nebular_continuum": (*gas, len(self.nebular_wavelength)),
            "lsf_sigma": (len(self.lsf_wavelength),),
        }
        for name, shape in expected.items():
            _check_array(name, getattr(self, name), shape)
        for name in ("metallicity", "age_edges", "gas_metallicity", "log_u", "nebular_wavelength", "lsf_wavelength"):
            if not bool((getattr(self, name).diff() > 0).all()):
                raise FileFormatError(f"`{name}` of a stellar grid must increase strictly; sort it before writing.")

    @classmethod
    def load(cls, path: str | Path | None = None, device: str | torch.device = "cpu") -> StellarPopulations:
        """Read a grid from `path` (None: the one that ships with the package) onto `device`.

        If a file of the same name with the suffix `.sha256` lies beside it, the checksum must agree.

        Raises:
            FileFormatError: the file is missing, truncated, damaged, newer than this package or of another kind.
        """
        source = resources.files("galfit_ml") / "data" / "stellar_grid.npz" if path is None else Path(path)
        content = _read_checked(source)
        arrays = _unpack(content, source)
        populations = _assemble(arrays, hashlib.sha256(content).hexdigest())
        return populations if str(device) == "cpu" else populations.to(device)

    def to(self, device: str | torch.device) -> StellarPopulations:
        """Return the same grid with every tensor on `device`."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        moved: dict[str, Any] = {name: value.to(device) for name, value in fields.items() if isinstance(value, Tensor)}
        return dataclasses.replace(self, **moved)


@lru_cache(maxsize=1)
def default_populations() -> StellarPopulations:
    """Return the grid that ships with the package, on the CPU, read once per process."""
    return StellarPopulations.load()


def refinement_weights(refinement: int) -> NDArray[np.float64]:
    """Weights [refinement, 5] that turn the means of 5 neighbouring pixels into means of parts of the middle one.

    The quartic with the given five means is integrated over each part, so the parts of a pixel average to the pixel.
    """
    power = np.arange(1, 6)
    cell = np.arange(-2, 4)[:, None] ** power / power
    part = (np.arange(refinement + 1)[:, None] / refinement) ** power / power
    weights: NDArray[np.float64] = refinement * np.diff(part, axis=0) @ np.linalg.inv(np.diff(cell, axis=0))
    return weights


def _check_array(name: str, value: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(value.shape) != shape:
        raise FileFormatError(f"`{name}` of a stellar grid has shape {tuple(value.shape)}; its axes need {shape}.")
    if not bool(torch.isfinite(value).all()) or bool((value < 0).any()):
        raise FileFormatError(f"`{name}` of a stellar grid must be finite and not negative.")


def _read_checked(source: Traversable | Path) -> bytes:
    if not source.is_file():
        raise FileFormatError(
            f"There is no stellar grid at {source}. Give the path of an .npz written by write_grid, or make the "
            "package's own again: galfit-ml data build-grid --out stellar_grid.npz"
        )
    content = source.read_bytes()
    beside = source.with_suffix(".sha256") if isinstance(source, Path) else None
    if beside is not None and beside.is_file():
        _compare_checksum(content, beside.read_text(), source)
    return content


def _compare_checksum(content: bytes, recorded: str, source: Traversable | Path) -> None:
    found, wanted = hashlib.sha256(content).hexdigest(), recorded.split()[0] if recorded.split() else "nothing"
    if found != wanted:
        raise FileFormatError(
            f"The stellar grid {source} has the checksum {found[:12]}…, but the .sha256 file beside it says "
            f"{wanted[:12]}…: the download or copy was cut short, or one of the two was replaced. "
            "Reinstall the package (pip install --force-reinstall galfit-ml) or write the grid again."
        )


def _unpack(content: bytes, source: Traversable | Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, AttributeError) as error:
        raise FileFormatError(
            f"The stellar grid {source} cannot be read ({error}): it is truncated, or not a numpy .npz file. "
            "Copy it again, or write it with galfit_ml.simulate.build.grid_file.write_grid."
        ) from error
    _check_kind(arrays, source)
    return arrays


def _check_kind(arrays: Mapping[str, NDArray[Any]], source: Traversable | Path) -> None:
    if str(arrays.get("format", "")) != FORMAT:
        raise FileFormatError(
            f"{source} is a numpy file but not a stellar grid of this package (no `format` of '{FORMAT}' in it). "
            "Write grids with galfit_ml.simulate.build.grid_file.write_grid."
        )
    if int(arrays["version"]) != VERSION:
        raise FileFormatError(
            f"The stellar grid {source} has version {int(arrays['version'])} of the format; this package reads version "
            f"{VERSION}. Update it (pip install -U galfit-ml) or write the grid again with the version you have."
        )


def _assemble(arrays: Mapping[str, NDArray[Any]], checksum: str) -> StellarPopulations:
    try:
        return _from_arrays(arrays, checksum)
    except KeyError as error:
        raise FileFormatError(
            f"The stellar grid lacks the array {error}: it was not written by write_grid. The format is in the "
            "documentation of galfit_ml.simulate.populations."
        ) from error


def _from_arrays(arrays: Mapping[str, NDArray[Any]], checksum: str) -> StellarPopulations:
    plain = (
        "metallicity", "age_edges", "gas_metallicity", "log_u", "nebular_wavelength", "line_wavelength",
        "line_luminosity", "living_fraction", "remnant_fraction", "lsf_wavelength", "lsf_sigma",
    )  # fmt: skip
    segments = list(zip(arrays["segment_pixels"].tolist(), arrays["segment_refinement"].tolist(), strict=True))
    dln = float(arrays["dln"])
    centre0 = float(arrays["ln_wavelength0"]) + 0.5 * dln
    n_wave = sum(n_pixels * refinement for n_pixels, refinement in segments)
    return StellarPopulations(
        ln_wavelength0=centre0,
        dln=dln,
        wavelength=_tensor(np.exp(centre0 + dln * np.arange(n_wave))),
        stars=torch.from_numpy(_refine(_decode(arrays, "stars"), segments)),
        nebular_continuum=torch.from_numpy(_decode(arrays, "nebular")),
        line_names=tuple(str(name) for name in arrays["line_names"]),
        ionising_rate=torch.from_numpy(arrays["ionising_rate"].astype(np.float64)),
        provenance={**json.loads(str(arrays["provenance"])), "sha256": checksum},
        **{name: _tensor(arrays[name]) for name in plain},
    )


def _tensor(values: NDArray[Any]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _decode(arrays: Mapping[str, NDArray[Any]], name: str) -> NDArray[np.float32]:
    code = arrays[f"{name}_code"]
    offset, step = (arrays[f"{name}_{part}"].astype(np.float32)[..., None] for part in ("offset", "step"))
    values: NDArray[np.float32] = code.astype(np.float32)
    values -= 1
    values *= step
    values += offset
    np.exp(values, out=values)
    values[code == 0] = 0
    return values


def _refine(stored: NDArray[np.float32], segments: list[tuple[int, int]]) -> NDArray[np.float32]:
    """Spread the stored pixels [..., n_stored] over the fine grid [..., n_wave], keeping the mean of each."""
    bounds = np.cumsum([n_pixels for n_pixels, _ in segments])[:-1]
    parts = np.split(stored, bounds, axis=-1)
    return np.concatenate(
        [_refine_segment(part, refinement) for part, (_, refinement) in zip(parts, segments, strict=True)], axis=-1
    )


def _refine_segment(values: NDArray[np.float32], refinement: int) -> NDArray[np.float32]:
    if refinement == 1:
        return values
    weights = refinement_weights(refinement).astype(np.float32)
    # Odd reflection continues the slope beyond both ends of the segment.
    padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(2, 2)], mode="reflect", reflect_type="odd")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 5, axis=-1)
    fine = np.maximum(windows @ weights.T, 0)
    return fine.reshape(*values.shape[:-1], -1)
