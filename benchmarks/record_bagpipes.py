"""Spectra, line fluxes and masses of bagpipes models, against which tests hold the galaxy model.

    python -m benchmarks.record_bagpipes                      # writes tests/data/bagpipes_oracle.npz
    python -m benchmarks.record_bagpipes --out other.npz

Needs the extra `bagpipes` (recorded with 1.3.6; Carnall et al. 2018, MNRAS 480, 4379). Its cosmology is flat with
H0 = 70 and Omega_m = 0.3, its masses are of living stars, its wavelengths are in air above 2000 A. The file holds, per
case: the continuum without lines at R = 1000, the fluxes of strong lines, the living mass and the star-formation rate.
Run it in a process of its own: importing bagpipes prints, warns and sets matplotlib up.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

OUT = Path(__file__).parents[1] / "tests" / "data" / "bagpipes_oracle.npz"

SAMPLING = {"ln_low": float(np.log(1400.0)), "n_wave": 11361, "dln": 1 / 6000, "smoothing": 6.0 / 2.355, "every": 3}
"""Rest-frame air wavelengths exp(ln_low + dln i), smoothed to R = 1000; every third from 1500 to 9000 A is kept."""

LINES = {
    "Halpha": ("H  1  6562.80A",),
    "Hbeta": ("H  1  4861.32A",),
    "OIII": ("O  3  5006.84A",),
    "OII": ("O  2  3726.03A", "O  2  3728.81A"),
    "NII": ("N  2  6583.45A",),
}

STEPS = {"masses": [3e7, 3e8, 1e10], "age": 3.0}
"""Formed masses of 0-10 Myr, 10-100 Myr and of a burst 3 Gyr ago (constant over 14 % either side), M_sun."""

CASES: list[dict[str, Any]] = [
    {"name": "solar, dusty birth clouds", "redshift": 0.1, "metallicity": 1.0, "log_u": -3.0, "av": 0.5, "eta": 2.0},
    {"name": "0.2 solar, no dust", "redshift": 0.1, "metallicity": 0.2, "log_u": -2.5, "av": 0.0, "eta": 1.0},
    {"name": "0.4 solar, between nodes", "redshift": 1.5, "metallicity": 0.4, "log_u": -2.75, "av": 1.0, "eta": 1.0},
    {"name": "0.02 solar, distant", "redshift": 1.5, "metallicity": 0.02, "log_u": -2.0, "av": 0.3, "eta": 2.0},
    {"name": "2.5 solar", "redshift": 0.1, "metallicity": 2.5, "log_u": -3.5, "av": 0.8, "eta": 1.0},
    {"name": "quiescent", "redshift": 0.1, "metallicity": 1.0, "log_u": -3.0, "av": 0.2, "eta": 1.0,
     "delayed": {"age": 8.0, "tau": 0.5, "log_mass": 10.5}},
    {"name": "declining", "redshift": 0.1, "metallicity": 0.4, "log_u": -3.0, "av": 0.4, "eta": 2.0,
     "delayed": {"age": 8.0, "tau": 2.0, "log_mass": 10.5}},
]  # fmt: skip


def components(case: dict[str, Any]) -> dict[str, Any]:
    """The dictionary that bagpipes takes."""
    out: dict[str, Any] = {
        "redshift": case["redshift"],
        "dust": {"type": "Calzetti", "Av": case["av"], "eta": case["eta"]},
        "nebular": {"logU": case["log_u"]},
        "t_bc": 0.01,
    }
    if "delayed" in case:
        shape = case["delayed"]
        out["delayed"] = {"age": shape["age"], "tau": shape["tau"], "massformed": shape["log_mass"]}
        out["delayed"]["metallicity"] = case["metallicity"]
        return out
    age = STEPS["age"]
    ranges = [(0.0, 0.01), (0.01, 0.1), (0.86 * age, 1.14 * age)]
    for i, ((start, stop), mass) in enumerate(zip(ranges, STEPS["masses"], strict=True)):
        out[f"constant{i + 1}"] = {
            "age_min": start, "age_max": stop, "massformed": np.log10(mass), "metallicity": case["metallicity"]
        }  # fmt: skip
    return out


def at_r1000(spectrum: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smooth a spectrum on the sampling of this file to R = 1000 and keep what is compared."""
    from scipy.ndimage import gaussian_filter1d

    smooth: NDArray[np.float64] = gaussian_filter1d(spectrum, SAMPLING["smoothing"])
    rest = rest_wavelength()
    return smooth[(rest > 1500) & (rest < 9000)][:: int(SAMPLING["every"])]


def rest_wavelength() -> NDArray[np.float64]:
    """The sampling of this file: [n_wave] air angstrom."""
    return np.exp(SAMPLING["ln_low"] + SAMPLING["dln"] * np.arange(int(SAMPLING["n_wave"])))


def model_case(case: dict[str, Any], models: dict[tuple[float, bool], Any]) -> dict[str, NDArray[np.float64]]:
    """What bagpipes gives for one case: continuum at R = 1000, line fluxes (erg/s/cm2), log mass and log SFR.

    `models` keeps bagpipes' models by redshift and kind of history: setting one up takes seconds.
    """
    kind = (case["redshift"], "delayed" in case)
    if kind not in models:
        models[kind] = _model_without_lines(case)
    model = models[kind]
    model.update(components(case))
    lines = [sum(model.line_fluxes[name] for name in names) for names in LINES.values()]
    return {
        "continuum": at_r1000(model.spectrum[:, 1]),
        "lines": np.array(lines),
        "log_living_mass": np.asarray(model.sfh.stellar_mass),
        "log_sfr": np.log10(model.sfh.sfr),
    }


def _model_without_lines(case: dict[str, Any]) -> Any:
    """A bagpipes model whose spectra lack emission lines; its line fluxes are what they were."""
    import bagpipes

    bagpipes.config.R_spec = 4000.0
    bagpipes.config.max_redshift = 2.0
    model = bagpipes.model_galaxy(components(case), spec_wavs=rest_wavelength() * (1 + case["redshift"]))
    _remove_lines(model.nebular, bagpipes.config.line_wavs)
    return model


def _remove_lines(nebular: Any, line_wavelengths: NDArray[np.float64]) -> None:
    """Take the lines out of the grid of nebular spectra, where each sits in one pixel."""
    wave = nebular.wavelengths
    for line, wavelength in enumerate(line_wavelengths):
        pixel = int(np.abs(wave - wavelength).argmin())
        if 0 < pixel < len(wave) - 1:
            nebular.combined_grid[pixel] -= nebular.line_grid[line] / ((wave[pixel + 1] - wave[pixel - 1]) / 2)


def main() -> None:
    """Record all cases."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, default=OUT)
    out: Path = parser.parse_args().out
    warnings.simplefilter("ignore")
    models: dict[tuple[float, bool], Any] = {}
    made = [model_case(case, models) for case in CASES]
    about = {"cases": CASES, "steps": STEPS, "sampling": SAMPLING, "lines": list(LINES), "version": _version()}
    columns = {key: np.stack([row[key] for row in made]) for key in made[0]}
    columns["continuum"] = columns["continuum"].astype(np.float32)
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out, about=np.array(json.dumps(about)), **columns)
    print(f"wrote {out}: {len(made)} cases, {out.stat().st_size / 1000:.0f} kB")


def _version() -> str:
    from importlib.metadata import version

    return version("bagpipes")


if __name__ == "__main__":
    main()
