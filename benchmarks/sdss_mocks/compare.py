"""From matches and mocks to stacks, deviations and tables of noise."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from benchmarks.sdss_mocks import noise
from benchmarks.sdss_mocks.match import Match
from benchmarks.sdss_mocks.mocks import Mocks
from benchmarks.sdss_mocks.stacks import REST, Stack, deviation, line_mask, median_stack, to_rest

Floats = NDArray[np.float64]

BLUE = 3900.0
"""Below it the stacks hold the calibration of the blue ends of the spectrographs; rest angstrom."""


def stacks_of(matches: list[Match], mocks: Mocks) -> Stack:
    """Stack of one type."""
    real = [to_rest(m.wavelength, m.flux, m.ivar > 0, m.redshift) for m in matches]
    mock = [
        to_rest(mocks.wavelength, flux, ivar > 0, m.redshift)
        for m, flux, ivar in zip(matches, mocks.flux, mocks.ivar, strict=True)
    ]
    return Stack(median_stack(real), median_stack(mock), len(matches))


def model_ratio(matches: list[Match]) -> Floats:
    """[n_rest] median of real over best model, without noise and calibration error."""
    rows = [to_rest(m.wavelength, m.flux / m.model, m.ivar > 0, m.redshift) for m in matches]
    return median_stack(rows)


def deviations(matches: dict[str, list[Match]], stacks: dict[str, Stack]) -> dict[str, dict[str, object]]:
    """Deviations of real from simulated stacks outside emission lines, by type; of real over model galaxies too."""
    lines, blue = line_mask(), REST < BLUE
    out: dict[str, dict[str, object]] = {}
    for kind, stack in stacks.items():
        out[kind] = {
            "n": stack.n,
            "all": asdict(deviation(stack.ratio, lines)),
            f"from {BLUE:.0f}": asdict(deviation(stack.ratio, lines | blue)),
            f"below {BLUE:.0f}": asdict(deviation(stack.ratio, lines | ~blue)),
            "model": asdict(deviation(model_ratio(matches[kind]), lines)),
        }
    return out


def bad_share(ivar: Floats) -> float:
    """Mean share of bad pixels between the first and the last good one of spectra [n, n_pix]."""
    return float(np.mean([1.0 - np.trim_zeros(row > 0).mean() for row in ivar]))


def noise_table(matches: list[Match], mocks: Mocks) -> dict[str, Floats]:
    """Magnitude and S/N of the real spectra, and S/N of mocks of the curve's own exposure."""
    real = [noise.signal_to_noise(m.wavelength, m.flux, m.ivar) for m in matches]
    mock = [noise.signal_to_noise(mocks.wavelength, f, i) for f, i in zip(mocks.flux, mocks.ivar, strict=True)]
    magnitudes = [noise.magnitude(m.wavelength, m.flux) for m in matches]
    return {"magnitude": np.array(magnitudes), "real": np.array(real), "mock": np.array(mock)}


def pull_samples(matches: dict[str, list[Match]], alike: dict[str, Mocks]) -> dict[str, tuple[Floats, Floats]]:
    """Fourth differences over their reported error, of all types, by observed range."""
    out: dict[str, tuple[Floats, Floats]] = {}
    for name in noise.BANDS:
        real, mock = [], []
        for kind, found in matches.items():
            mocks = alike[kind]
            use = noise.band(mocks.wavelength, name)
            real += [noise.pixel_pulls(m.flux, m.ivar)[noise.band(m.wavelength, name)] for m in found]
            mock += [noise.pixel_pulls(f, i)[use] for f, i in zip(mocks.flux, mocks.ivar, strict=True)]
        out[name] = (_finite(real), _finite(mock))
    return out


def _finite(parts: list[Floats]) -> Floats:
    joined = np.concatenate(parts)
    return joined[np.isfinite(joined)]
