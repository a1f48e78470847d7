"""Signal-to-noise of MOONS observations as moons1d calculates it, against which tests hold the photon noise.

moons1d 1.0.3 (M. Rodrigues and the MOONS team, MIT) needs an environment of its own, without this package. Two steps,
the first in ours, the second in its::

    python -m benchmarks.record_moons1d --spiral spiral.json

    python3.11 -m venv moons1d-env
    moons1d-env/bin/pip install numpy==1.23.5 scipy==1.10.1 astropy==5.2.2 matplotlib configobj synphot==1.2.1 spectres
    moons1d-env/bin/pip install --no-deps moons1d==1.0.3
    moons1d-env/bin/python benchmarks/record_moons1d.py --input spiral.json --out tests/data/moons1d.json

What the file holds is said in its own "about". No noise is drawn: the ratio is that of moons1d's noiseless object
counts and its noise array. What moons1d does otherwise than this package is listed in `FAULTS`.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np

OUT = Path(__file__).parents[1] / "tests" / "data" / "moons1d.json"

N_BINS = 40
"""Coarse bins per arm."""

ARMS = ("RI", "YJ", "H")
SKY_AIRMASSES = ("1.0", "1.2", "1.6", "2.0")
SKY_EDGES = {"first": 6000.0, "step": 120.0, "n": 100}
CONDITIONS = {"seeing": 0.8, "airmass": 1.2, "dit": 600, "mode": "XSWITCH", "resolution": "LR"}

SPIRAL = {
    "redshift": 1.0,
    "log_ssfr": -9.5,
    "log_burstiness": 0.0,
    "formation_age": 5e9,
    "tau": 2e9,
    "log_burst_fraction": -6.0,
    "log_metallicity": -0.2,
    "log_gas_metallicity": 0.0,
    "log_ionisation": -3.0,
    "dust_av": 0.2,
    "dust_eta": 2.0,
    "velocity_dispersion": 150.0,
    "gas_dispersion": 150.0,
}
"""A spiral as in the grid of mocks of moonz (H_AB 19-25.5; here z = 1, A_V 0.2, 150 km/s): a delayed exponential that
began 5 Gyr ago, tau 2 Gyr, and a specific star-formation rate of 10^-9.5 / yr in the last 100 Myr."""

SPIRAL_BAND = (15000.0, 17800.0)
SPIRAL_GRID = {"first": 6300.0, "last": 18300.0, "step_kms": 60.0}

CASES: list[dict[str, Any]] = [
    {"name": "flat-22-0.3-1h", "spectrum": "flat", "magnitude": 22.0, "size": 0.3, "hours": 1},
    {"name": "flat-22-0.3-8h", "spectrum": "flat", "magnitude": 22.0, "size": 0.3, "hours": 8},
    {"name": "flat-24-0.3-8h", "spectrum": "flat", "magnitude": 24.0, "size": 0.3, "hours": 8},
    {"name": "flat-22-point-1h", "spectrum": "flat", "magnitude": 22.0, "size": 0.0, "hours": 1},
    {"name": "flat-22-0.5-1h", "spectrum": "flat", "magnitude": 22.0, "size": 0.5, "hours": 1},
    *(
        {"name": f"spiral-{m}-0.3-{hours}h", "spectrum": "spiral", "magnitude": float(m), "size": 0.3, "hours": hours}
        for m in (20, 22, 24)
        for hours in (1, 8)
    ),
]

FAULTS = (
    "the fibre fraction multiplies the sky as well as the object",
    "Poisson noise is that of ADU: variance (object + 2 sky) * gain electrons, with read noise and dark current not "
    "multiplied by the gain; gain 0.6 in RI, 1 in YJ and H",
    "photons are converted at the wavelength in the middle of the arm",
    "read noise and dark current of one detector pixel per spectral pixel, no scattered light",
    "no thermal emission of telescope and instrument",
    "throughput, quantum efficiency and telescope tables are steps of 10 nm, 25-100 nm and 20-200 nm, not lines",
    "the line-spread function is a Gaussian that the pixels widen",
)

ABOUT = {
    "code": "moons1d 1.0.3, LR, XSWITCH; benchmarks/record_moons1d.py",
    "conditions": CONDITIONS,
    "magnitude": "total AB; flat: constant f_nu; spiral: mean f_nu over band, weighted with d(ln lambda)",
    "size": "half-light radius, arcsec: the point-spread function of moons1d is widened in quadrature by 2 size "
    "(FWHM); no atmospheric dispersion",
    "differences": FAULTS,
    "spiral": "f_lambda (any unit) at wavelengths first * exp(i * step_kms / 299792.458), linear in between: the same "
    "input for both codes",
    "arms": "throughput: mean of instrument x detector x telescope; fibre[size]: mean fibre fraction; "
    "transmission: mean of the atmosphere; edges: of the 40 coarse bins, angstrom",
    "cases": "per arm: snr, median over the pixels of object counts / noise; snr_bins, the same in the coarse bins; "
    "object_electrons, sky_electrons: per pixel and 600 s as moons1d has them (fibre fraction included, ADU / gain), "
    "medians in the coarse bins; sky_percentiles: 10, 50, 90, 99 % over all pixels",
    "sky": "by airmass, means over 120 A: emission, photon s^-1 m^-2 A^-1 arcsec^-2, and transmission",
}


def spiral_input() -> dict[str, Any]:
    """The input spectrum of the spiral, made by this package's galaxy model."""
    import torch

    from galfit_ml.simulate.galaxies import simple_galaxies
    from galfit_ml.simulate.galaxy import GalaxyModel
    from galfit_ml.simulate.pixels import Pixels

    step = SPIRAL_GRID["step_kms"] / 299792.458
    n_pix = int(np.log(SPIRAL_GRID["last"] / SPIRAL_GRID["first"]) / step)
    edges = SPIRAL_GRID["first"] * np.exp(step * (np.arange(n_pix + 1) - 0.5))
    wave = SPIRAL_GRID["first"] * np.exp(step * np.arange(n_pix))
    pixels = Pixels.from_arrays(wave, [edges], 1e-3 * np.ones(n_pix), SPIRAL_BAND)
    values = {key: value for key, value in SPIRAL.items() if key != "redshift"}
    with torch.no_grad():
        flux = GalaxyModel().observe(simple_galaxies(1, SPIRAL["redshift"], **values), pixels).flux[0].double().numpy()
    return {**SPIRAL_GRID, "galaxy": SPIRAL, "band": SPIRAL_BAND, "flux": [float(f"{v:.5g}") for v in flux]}


def spectrum_of(case: dict[str, Any], spiral: dict[str, Any], wave: np.ndarray) -> np.ndarray:
    """f_lambda, erg / s / cm^2 / A, of a case on `wave`."""
    light = 2.99792458e18
    per_frequency = 10 ** (-0.4 * (case["magnitude"] + 48.6))
    if case["spectrum"] == "flat":
        return np.asarray(per_frequency * light / wave**2)
    nodes = spiral["first"] * np.exp(np.arange(len(spiral["flux"])) * spiral["step_kms"] / 299792.458)
    flux = np.interp(wave, nodes, spiral["flux"])
    band = (wave >= spiral["band"][0]) & (wave <= spiral["band"][1])
    mean = np.average(flux[band] * wave[band] ** 2 / light, weights=1 / wave[band])
    return np.asarray(flux * per_frequency / mean)


def simulation(arm: str, size: float, hours: float) -> Any:
    """moons1d's simulation of an arm, ready for a source, its point-spread function widened by the source's size."""
    from configobj import ConfigObj
    from moons1d import simulator, spectra, utils

    setup = {
        "R_mode": CONDITIONS["resolution"],
        "observing_mode": CONDITIONS["mode"],
        "band": arm,
        "ndit": round(hours * 3600 / CONDITIONS["dit"]),
        **{key: CONDITIONS[key] for key in ("seeing", "airmass", "dit")},
    }
    point_source = simulator.seeing_to_IQ
    simulator.seeing_to_IQ = lambda *args: np.hypot(point_source(*args), 2 * size * simulator.u.arcsec)
    try:
        made = simulator.Simulation(ConfigObj(f"{utils.install_dir}/models/Instrument/MOONS_mode.ini"), setup)
        made.GenerateDispersionAxis(verbose=False)
        made.Generate_Telescope_Transmission(verbose=False)
        made.Generate_Instrument_Transmission(verbose=False)
        made.Generate_FibreLoss(atm_disp=False)
        made.Generate_Total_Transmission(verbose=False)
    finally:
        simulator.seeing_to_IQ = point_source
    sky, atmosphere = spectra.Sky(1), spectra.Atm_abs(1)
    sky.Load_ESOSkyCal_Template(CONDITIONS["airmass"])
    atmosphere.Load_ESOSkyCal_Template(CONDITIONS["airmass"])
    made.setSky(sky)
    made.setAtms_abs(atmosphere)
    return made


def observed(arm: str, case: dict[str, Any], spiral: dict[str, Any]) -> Any:
    """moons1d's simulation of a case, run."""
    from astropy import units as u
    from moons1d import spectra

    made = simulation(arm, case["size"], case["hours"])
    wave = np.arange(5500.0, 19900.0, 0.25)
    source = spectra.Template(1, type_source="point-source")
    source.wave, source.flux = wave * u.AA, spectrum_of(case, spiral, wave) * u.erg / u.s / u.cm**2 / u.AA
    source.meta.update(resolution=1e6, sampling=2.0 * u.pix, dispersion=0.25 * u.AA / u.pix)
    made.setTemplate(source)
    made.Match_resolution()
    made.ConvertFlux2Counts()
    made.Generate_Xswitch_Seq(verbose=False)
    return made


def record_arm(made: Any) -> dict[str, Any]:
    """What is kept of a simulation."""
    gain = made.config["gain"].value
    electrons = [np.asarray(made.model.Obj_pho.value) / gain, np.asarray(made.model.Sky_pho.value) / gain]
    snr = made.model.Obj_pho.value * made.observation["NDIT"].value / made.model.Noise_frame.value
    return {
        "snr": digits(np.median(snr)),
        "snr_bins": in_bins(snr),
        "object_electrons": in_bins(electrons[0]),
        "sky_electrons": in_bins(electrons[1]),
        "sky_percentiles": [digits(v) for v in np.percentile(electrons[1], [10, 50, 90, 99])],
    }


def record_sky() -> dict[str, Any]:
    """Emission and transmission of moons1d's SkyCalc tables by airmass, means over pieces of 120 A."""
    from astropy.io import fits
    from moons1d import utils

    found: dict[str, Any] = {"edges": SKY_EDGES}
    for airmass in SKY_AIRMASSES:
        with fits.open(f"{utils.install_dir}/models/Skymodel/SkyTemplate_ESO_a{airmass}.fits") as file:
            emission, transmission = file[0].data[:-1] * 1e4, file[1].data[:-1]
        parts = [array.reshape(100, -1).mean(axis=1) for array in (emission, transmission)]
        found[airmass] = dict(zip(("emission", "transmission"), ([digits(v) for v in p] for p in parts), strict=True))
    return found


def in_bins(values: np.ndarray) -> list[float]:
    """Medians over `N_BINS` equal runs of pixels."""
    return [digits(np.median(part)) for part in np.array_split(values, N_BINS)]


def digits(value: float) -> float:
    """Four significant digits."""
    return float(f"{value:.4g}")


def record(spiral: dict[str, Any]) -> dict[str, Any]:
    """All cases in all arms."""
    arms: dict[str, Any] = {}
    cases: list[dict[str, Any]] = [{**case, "arms": {}} for case in CASES]
    for arm in ARMS:
        for case in cases:
            made = observed(arm, case, spiral)
            case["arms"][arm] = record_arm(made)
            known = arms.setdefault(arm, {"fibre": {}})
            known["fibre"][str(case["size"])] = digits(np.mean(made.model.fibreLoss.to(1).value))
            print(arm, case["name"], case["arms"][arm]["snr"])
        parts = (made.model.instrument, made.model.detector, made.model.telescope)
        known["throughput"] = digits(np.mean(np.prod([part.to(1).value for part in parts], axis=0)))
        known["transmission"] = digits(np.mean(made.atm_abs.flux.value))
        wave = made.model.wave.value
        known["edges"] = [digits6(part[0]) for part in np.array_split(wave, N_BINS)] + [digits6(wave[-1])]
        known["n_pix"] = len(wave)
    return {"about": ABOUT, "spiral": spiral, "arms": arms, "cases": cases, "sky": record_sky()}


def digits6(value: float) -> float:
    """Six significant digits."""
    return float(f"{value:.6g}")


def main() -> None:
    """Make the spiral or record moons1d."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--spiral", type=Path, help="write the input spectrum of the spiral here, and stop")
    parser.add_argument("--input", type=Path, help="the input spectrum of the spiral")
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args()
    if chosen.spiral:
        chosen.spiral.write_text(json.dumps(spiral_input()))
        return
    if not chosen.input:
        parser.error("give --spiral FILE first, then --input FILE")
    warnings.simplefilter("ignore")
    np.__dict__["str"] = str  # moons1d still uses the alias that numpy 1.24 removed
    chosen.out.write_text(json.dumps(record(json.loads(chosen.input.read_text())), separators=(",", ":")) + "\n")
    print(f"wrote {chosen.out}: {chosen.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
