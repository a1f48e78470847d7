"""Noise of SDSS and BOSS spectra against wavelength, measured on a folder of public spectra.

    python -m benchmarks.noise_curves sdss --data FOLDER [--out galfit_ml/data/noise]
    python -m benchmarks.noise_curves boss --data FOLDER

The folder holds the surveys' own files (spec-PLATE-MJD-FIBER.fits, lite or full), in any depth, or archives of them
(*.npz with flux, ivar [n, pix], loglam0, dloglam and meta['plate']). The command writes NAME.csv (columns wavelength,
sky, object: see `galfit_ml.observatory.NoiseCurve`) and prints what else a `[noise_curve]` table needs.

The variance a pipeline reports is, pixel by pixel, sky^2 + object * flux + (relative * flux)^2. The three are the
regression with the least absolute error of ln(variance) over all spectra, so that sky and object are medians over
the survey. The last term is an error that the pipeline adds; `relative` is one number per survey. Spectra without an
object (fibres on the sky) then tell how large the scatter really is.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter, uniform_filter1d

Floats = NDArray[np.float64]

STEP = 1e-4
SMOOTH = 25
"""Pixels over which the flux is averaged: its own noise must not reach the regression."""

BLOCK = 201
"""Pixels over which `object` is smoothed where there are too few spectra to measure it in every pixel."""

RED_LIMIT = 9500.0
"""Beyond it the sky drowns the faint objects that `object` would be measured on, angstrom."""

EMPTY = 0.5
"""Median flux below which a spectrum has no object, 1e-17 erg s^-1 cm^-2 A^-1."""


OH_FOREST = 6700.0
"""Wavelength from which sky lines leave residuals in SDSS spectra (Wild & Hewett 2005, MNRAS 358, 1083), angstrom."""


@dataclass(frozen=True)
class Survey:
    """Which spectra make a curve, and what is written above it.

    Args:
        plates: first and last plate.
        log_range: log10 of the first and last wavelength.
        per_pixel: True where there are spectra enough to measure `object` in every pixel.
        exposure: s, typical of the spectra.
        header: comment lines of the file.
    """

    plates: tuple[int, int]
    log_range: tuple[float, float]
    per_pixel: bool
    exposure: float
    header: tuple[str, ...]

    @property
    def log_wavelength(self) -> Floats:
        """[n_pix] log10 of the pixels."""
        low, high = self.log_range
        return np.asarray(low + STEP * np.arange(round((high - low) / STEP) + 1), dtype=np.float64)


_COMMON = (
    "Per native pixel (log10 step 1e-4): variance = sky^2 + object * flux, flux in 1e-17 erg s^-1 cm^-2 A^-1,",
    "wavelength in vacuum angstrom. Medians over spectra; made by benchmarks/noise_curves.py.",
)
_PUBLIC = "The survey's data are public; statistics of them are free. See README.md for acknowledgement."

SURVEYS = {
    "sdss": Survey(
        (266, 3005),
        (3.5798, 3.9640),
        True,
        3300.0,
        (
            "Noise of Sloan Digital Sky Survey I/II spectra, for an exposure of 3300 s.",
            *_COMMON,
            "From 1146 spectra of SDSS I/II (York et al. 2000, AJ 120, 1579; Abazajian et al. 2009, ApJS 182, 543;",
            "spectrographs: Smee et al. 2013, AJ 146, 32).",
            _PUBLIC,
        ),
    ),
    "boss": Survey(
        (3510, 15000),
        (3.5563, 4.0170),
        False,
        4500.0,
        (
            "Noise of BOSS and eBOSS spectra, for an exposure of 4500 s.",
            *_COMMON,
            "`object` is smoothed over 200 pixels, measured up to a flux of 17 only and constant beyond 9500 A.",
            "From 44 spectra of SDSS-III/IV (Dawson et al. 2013, AJ 145, 10; Dawson et al. 2016, AJ 151, 44;",
            "spectrographs: Smee et al. 2013, AJ 146, 32).",
            _PUBLIC,
        ),
    ),
}


@dataclass(frozen=True)
class NoiseFit:
    """Result of the regression.

    Args:
        wavelength, sky, object: [n_pix].
        relative: see the module.
        ln_noise: [n] median over pixels of ln(reported noise / fitted noise).
    """

    wavelength: Floats
    sky: Floats
    object: Floats
    relative: float
    ln_noise: Floats

    @property
    def scatter(self) -> float:
        """Rms of ln(noise) between spectra."""
        return float(np.std(self.ln_noise))


def read_spectra(folder: Path, survey: Survey) -> tuple[Floats, Floats]:
    """Flux and ivar [n, n_pix] of all spectra of the survey in a folder, on its pixels; ivar 0 where there is none."""
    rows = [row for path in sorted(folder.rglob("*.npz")) for row in _from_archive(path, survey)]
    rows += [row for path in sorted(folder.rglob("spec-*.fits")) for row in _from_fits(path, survey)]
    if not rows:
        raise SystemExit(f"'{folder}' has no spectra of plates {survey.plates}: expected spec-*.fits or *.npz.")
    unique = {name: (flux, ivar) for name, flux, ivar in reversed(rows)}
    return np.stack([f for f, _ in unique.values()]), np.stack([i for _, i in unique.values()])


def _from_archive(path: Path, survey: Survey) -> list[tuple[str, Floats, Floats]]:
    with np.load(path) as data:
        if "dloglam" not in data:
            return []
        meta, flux, ivar = data["meta"], data["flux"].astype(float), data["ivar"].astype(float)
        first = round((float(data["loglam0"]) - survey.log_range[0]) / STEP)
    wanted = (meta["plate"] >= survey.plates[0]) & (meta["plate"] <= survey.plates[1])
    return [(str(meta["file"][i]), *_placed(flux[i], ivar[i], first, survey)) for i in np.flatnonzero(wanted)]


def _from_fits(path: Path, survey: Survey) -> list[tuple[str, Floats, Floats]]:
    from astropy.io import fits

    with fits.open(path) as hdus:
        if not survey.plates[0] <= int(hdus[0].header["PLATEID"]) <= survey.plates[1]:
            return []
        table: Any = hdus[1].data
        first = round((float(table["loglam"][0]) - survey.log_range[0]) / STEP)
        flux, ivar = table["flux"].astype(float), table["ivar"].astype(float)
    return [(path.name, *_placed(flux, ivar, first, survey))]


def _placed(flux: Floats, ivar: Floats, first: int, survey: Survey) -> tuple[Floats, Floats]:
    """One spectrum whose pixel 0 is pixel `first` of the survey's."""
    out = np.zeros((2, len(survey.log_wavelength)))
    low, high = max(first, 0), min(first + len(flux), out.shape[1])
    out[:, low:high] = np.stack([flux, ivar])[:, low - first : high - first]
    out[0] = np.where(out[1] > 0, out[0], 0.0)
    return out[0], out[1]


def smoothed(flux: Floats, good: NDArray[np.bool_], width: int = SMOOTH) -> Floats:
    """Mean of the good neighbours, not below 0, [n, n_pix]."""
    weight = uniform_filter1d(good.astype(float), width, axis=1)
    return np.maximum(uniform_filter1d(flux * good, width, axis=1) / np.maximum(weight, 1e-9), 0.0)


def least_absolute(variance: Floats, flux: Floats, fixed: dict[int, Floats], n_steps: int = 40) -> Floats:
    """Coefficients [3, n_pix] of 1, flux and flux^2 with the least sum of |ln(variance / fit)|.

    Args:
        variance: [n, n_pix]; NaN where there is none.
        flux: [n, n_pix], not negative.
        fixed: coefficients that are known, [n_pix] each, by their power of the flux.
    """
    slope = np.nanmedian(variance / np.maximum(flux, 5.0), axis=0)
    log_p = np.log(np.stack([np.nanpercentile(variance, 20, axis=0), 0.5 * slope, np.full(len(slope), 2e-4)]))
    for power, value in fixed.items():
        log_p[power] = np.log(np.maximum(value, 1e-30))
    free = [power for power in range(3) if power not in fixed]
    powers = np.stack([np.ones_like(flux), flux, flux**2])
    for _ in range(n_steps):
        log_p[free] += _newton_step(np.log(variance), np.exp(log_p)[:, None] * powers, free)
    return np.exp(log_p)


def _newton_step(log_variance: Floats, terms: Floats, free: list[int]) -> Floats:
    """Step in the logarithms of the free coefficients, by reweighted least squares; [n_free, n_pix]."""
    total = terms.sum(axis=0)
    error = log_variance - np.log(total)
    weight = np.where(np.isfinite(error), 1.0 / np.maximum(np.abs(error), 0.02), 0.0)
    share = terms[free] / total
    normal = np.einsum("inp,jnp,np->pij", share, share, weight) + 1e-3 * np.eye(len(free))
    right = np.einsum("inp,np->pi", share, weight * np.nan_to_num(error))
    return np.clip(np.linalg.solve(normal, right[..., None])[..., 0].T, -1.0, 1.0)


def fit_noise(flux: Floats, ivar: Floats, survey: Survey) -> NoiseFit:
    """The regression over spectra [n, n_pix]; pixels that fewer than a quarter of them have are left out."""
    seen, filled = (ivar > 0).mean(axis=0) > 0.25, (ivar > 0).any(axis=1)
    flux, ivar, wavelength = flux[filled][:, seen], ivar[filled][:, seen], 10 ** survey.log_wavelength[seen]
    good = ivar > 0
    variance = np.where(good, 1.0 / np.where(good, ivar, 1.0), np.nan)
    level = smoothed(flux, good)
    if survey.per_pixel:
        relative = float(np.sqrt(np.median(least_absolute(variance, level, {})[2])))
        known = {2: np.full(len(wavelength), relative**2)}
        known[1] = median_filter(least_absolute(variance, level, known)[1], 3, mode="nearest")
    else:
        relative, known = 0.0, {2: np.zeros(len(wavelength))}
        object_red = int(np.searchsorted(wavelength, RED_LIMIT))
        known[1] = _smooth_object(variance, level)
        known[1][object_red:] = known[1][object_red - 1]
    square, per_flux, _ = least_absolute(variance, level, known)
    fitted = square + per_flux * level + (relative * level) ** 2
    return NoiseFit(wavelength, np.sqrt(square), per_flux, relative, 0.5 * np.nanmedian(np.log(variance / fitted), 1))


def _smooth_object(variance: Floats, flux: Floats) -> Floats:
    """Variance per unit flux [n_pix] from running medians of the spectra, which sky lines do not reach."""
    filled = np.where(np.isfinite(variance), variance, np.nanmedian(variance, axis=0))
    calm = median_filter(filled, size=(1, BLOCK), mode="nearest")
    zero = {2: np.zeros(flux.shape[1])}
    raw = least_absolute(calm, smoothed(flux, np.ones_like(flux, dtype=bool), BLOCK), zero)[1]
    return uniform_filter1d(median_filter(raw, BLOCK, mode="nearest"), BLOCK, mode="nearest")


@dataclass(frozen=True)
class Reality:
    """What the scatter of object-free spectra says about the reported noise.

    Args:
        between: rms of flux / reported noise between sky lines.
        in_lines: the same where lines make more than half of the noise.
        neighbour: correlation of neighbouring pixels, after a running mean over 101 pixels is taken off.
        residual: rms over spectra of the amplitude of what the OH lines add to the noise, in units of it.
        outliers: share of pixels beyond 4 sigma of their own scatter.
        n: number of spectra.
    """

    between: float
    in_lines: float
    neighbour: float
    residual: float
    outliers: float
    n: int


def reality(flux: Floats, ivar: Floats, fit: NoiseFit, survey: Survey) -> Reality | None:
    """Pulls of the spectra without an object; None where there are fewer than five."""
    inside = np.isin(10**survey.log_wavelength, fit.wavelength)
    empty = np.abs(np.median(flux, axis=1)) < EMPTY
    if empty.sum() < 5 or not survey.per_pixel:
        return None
    flux, ivar = flux[empty][:, inside], ivar[empty][:, inside]
    pull = np.where(ivar > 0, flux * np.sqrt(ivar), np.nan)
    calm = median_filter(fit.sky, 401, mode="nearest")
    excess = np.maximum(fit.sky - calm, 0.0)
    between, lines = fit.sky < 1.1 * calm, fit.sky > 2.0 * calm
    high = np.nan_to_num(pull) - uniform_filter1d(np.nan_to_num(pull), 101, axis=1)
    neighbour = np.mean(high[:, 1:] * high[:, :-1]) / np.mean(high**2)
    spread = float(np.nanstd(pull[:, between]))
    outliers = float(np.nanmean(np.abs(pull[:, between]) > 4 * spread))
    residual = _line_amplitude(flux, ivar, excess * (fit.wavelength > OH_FOREST), spread)
    return Reality(spread, float(np.nanstd(pull[:, lines])), float(neighbour), residual, outliers, int(empty.sum()))


def _line_amplitude(flux: Floats, ivar: Floats, excess: Floats, spread: float) -> float:
    """Rms of the amplitude of `excess` in each spectrum, its measuring error taken off."""
    high = flux - median_filter(flux, size=(1, 101), mode="nearest")
    weight = ivar * excess
    power = (weight * excess).sum(axis=1)
    amplitude = (weight * high).sum(axis=1) / power
    return float(np.sqrt(max(np.var(amplitude) - spread**2 * np.mean(1.0 / power), 0.0)))


def masked_share(ivar: Floats) -> float:
    """Mean over spectra of the share of pixels without data between the first and the last with data."""
    return float(np.mean([1.0 - np.trim_zeros(row > 0).mean() for row in ivar]))


def write_csv(fit: NoiseFit, survey: Survey, path: Path) -> None:
    """The curve with its header."""
    lines = [f"# {line}" for line in survey.header] + ["wavelength,sky,object"]
    for wavelength, sky, per_flux in zip(fit.wavelength, fit.sky, fit.object, strict=True):
        lines.append(f"{wavelength:.2f},{sky:.4g},{per_flux:.3g}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("survey", choices=sorted(SURVEYS))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("galfit_ml/data/noise"))
    options = parser.parse_args()
    survey = SURVEYS[options.survey]
    flux, ivar = read_spectra(options.data, survey)
    fit = fit_noise(flux, ivar, survey)
    write_csv(fit, survey, options.out / f"{options.survey}.csv")
    print(
        f"{len(flux)} spectra; exposure {survey.exposure:g} s; relative {fit.relative:.4f}; scatter {fit.scatter:.3f}"
    )
    print(f"pixels without data, between the first and the last: {masked_share(ivar):.4f}")
    print(reality(flux, ivar, fit, survey) or "too few spectra without an object to tell the real scatter")


if __name__ == "__main__":
    main()
