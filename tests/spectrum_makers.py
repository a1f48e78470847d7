"""Spectra for tests, as users and surveys make them; and what reading makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.nddata import InverseVariance
from specutils import Spectrum, SpectrumList

from galfit_ml.flags import Flag
from galfit_ml.reading import Reading, read_spectra
from galfit_ml.spectra import ArmSpectra, SpectrumBatch

FLAM = u.Unit("1e-17 erg / (s cm2 Angstrom)")
WAVE = np.linspace(4000.0, 8000.0, 900)
LOG_WAVE = 10 ** (1e-4 * np.arange(35800, 39600))


def flux_like(wave: np.ndarray, seed: int = 0) -> np.ndarray:
    return 10.0 + 0.001 * (wave - 6000.0) + np.random.default_rng(seed).normal(0.0, 0.5, wave.shape)


def spectrum(seed: int = 0, wave: np.ndarray = WAVE, **changes: Any) -> Spectrum:
    flux = flux_like(wave, seed)
    parts = {
        "flux": flux * FLAM,
        "spectral_axis": wave * u.AA,
        "uncertainty": InverseVariance(np.full(flux.shape, 4.0)),
    }
    return Spectrum(**{**parts, **changes})


def with_header(seed: int = 0, **header: Any) -> Spectrum:
    """A spectrum with the header of a file."""
    return spectrum(seed, meta={"header": fits.Header(header)})


def only_arm(value: Any, **options: Any) -> ArmSpectra:
    return only_batch(value, **options).arms[0]


def only_batch(value: Any, **options: Any) -> SpectrumBatch:
    read = read_spectra(value, **options)
    assert not read.failures, read.failures
    assert len(read.groups) == 1
    return read.groups[0].batch


def positions(read: Reading) -> list[list[int]]:
    return [group.positions.tolist() for group in read.groups]


def has(flag: Flag, value: Any, **options: Any) -> bool:
    return bool(only_batch(value, **options).flags[0] & flag)


def desi_arms(n: int | None = 2) -> SpectrumList:
    """What the DESI loader of specutils makes: bands b, r, z of the same targets, the common tables in the first."""
    arms = SpectrumList()
    for i, (band, low) in enumerate((("b", 3600.0), ("r", 5760.0), ("z", 7520.0))):
        wave = low + 0.8 * np.arange(300)
        flux = flux_like(wave, i) if n is None else np.stack([flux_like(wave, 10 * row + i) for row in range(n)])
        kernel = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
        meta: dict[str, Any] = {"band": band}
        if n is not None:
            meta["resolution_data"] = np.broadcast_to((kernel / kernel.sum())[None, :, None], (n, 11, len(wave)))
            meta["int_mask"] = np.zeros(flux.shape, int)
        if band == "b":
            meta |= {"bands": ["b", "r", "z"], "fibermap": {"TARGETID": np.arange(n or 1) + 39627835576420}}
        ivar = InverseVariance(np.full(flux.shape, 4.0, dtype=">f4"))
        arms.append(Spectrum(flux=flux.astype(">f4") * FLAM, spectral_axis=wave * u.AA, uncertainty=ivar, meta=meta))
    return arms


def sdss_file(path: Path, seed: int = 0, plate: int = 352, first: int = 35800, n_pix: int = 3800) -> Path:
    """A file as the SDSS writes it."""
    primary = fits.PrimaryHDU()
    for key, value in {
        "TELESCOP": "SDSS 2.5-M",
        "VERS2D": "v5_3_12",
        "PLATEID": plate,
        "MJD": 51694,
        "FIBERID": 7,
    }.items():
        primary.header[key] = value
    loglam = 1e-4 * (first + np.arange(n_pix))
    ivar = np.full(n_pix, 4.0)
    ivar[100:110] = 0.0
    wdisp = np.full(n_pix, 0.9)
    wdisp[100:105] = 0.0
    columns = {"flux": flux_like(10**loglam, seed), "loglam": loglam, "ivar": ivar, "wdisp": wdisp}
    table = [fits.Column(name, "E", array=values) for name, values in columns.items()]
    mask = np.zeros(n_pix, int)
    mask[200] = 1 << 23
    table += [fits.Column(name, "J", array=mask) for name in ("and_mask", "or_mask")]
    fits.HDUList([primary, fits.BinTableHDU.from_columns(table, name="COADD")]).writeto(path)
    return path
