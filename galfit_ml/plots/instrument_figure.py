"""What an instrument and its sky look like: throughput, resolution, emission and transmission; or its noise curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from galfit_ml.instruments import FWHM_PER_SIGMA, Instrument
from galfit_ml.plots.canvas import DATA, FAINT, new_figure, own_style, plain_text, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from galfit_ml.instruments import Arm

Floats = NDArray[np.float64]

ARM_COLOURS = ("#17679f", "#2f8f5b", "#c0392b", "#80508f", "#b8860b")
"""Of the arms, in order; blue to red for a three-armed spectrograph."""

SKY_UNIT = r"photon s$^{-1}$ m$^{-2}$ $\mathrm{\AA}^{-1}$ arcsec$^{-2}$"
FLUX_UNIT = r"$10^{-17}\,\mathrm{erg\,s^{-1}\,cm^{-2}\,\AA^{-1}}$"


@dataclass(frozen=True, eq=False)
class SkyShown:
    """The sky as one arm sees it; arrays [n_pix].

    Args:
        wavelength: vacuum angstrom.
        emission, continuum: photon s^-1 m^-2 A^-1 arcsec^-2; the continuum is the part of it that is no line.
        transmission: of the atmosphere.
    """

    wavelength: Floats
    emission: Floats
    continuum: Floats
    transmission: Floats


def instrument_figure(instrument: Instrument, sky: Sequence[SkyShown] = ()) -> Figure:
    """Throughput, resolution and sky of an instrument against wavelength, the arms in colours.

    An instrument known by its noise curve shows that instead of throughput and sky; one of which the noise is not
    known, its resolution alone.

    Args:
        instrument: what to draw.
        sky: as each arm sees it; empty where photons are not counted.
    """
    with own_style():
        return _figure(instrument, sky)


def _figure(instrument: Instrument, sky: Sequence[SkyShown]) -> Figure:
    panels = _panels(instrument, sky)
    height = 1.35 + 1.95 * len(panels)
    figure = new_figure(10.0, height)
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    figure.subplots_adjust(left=0.085, right=0.925, top=1 - 0.72 / height, bottom=0.55 / height, hspace=0.08)
    for panel, draw in zip(axes, panels, strict=True):
        draw(panel)
        _dress(panel, instrument)
    axes[-1].set_xlabel(r"observed wavelength, vacuum  [$\mathrm{\AA}$]")
    axes[-1].set_xlim(_limits(instrument))
    plain_text(figure, 0.085, 1 - 0.14 / height, instrument.name, fontsize=13, weight="bold", va="top")
    plain_text(figure, 0.085, 1 - 0.42 / height, shortened(instrument.summary, 110), fontsize=9, va="top", color=DATA)
    return figure


def _panels(instrument: Instrument, sky: Sequence[SkyShown]) -> list[Any]:
    panels: list[Any] = []
    if any(arm.throughput is not None for arm in instrument.arms):
        panels.append(lambda axes: _throughput(axes, instrument))
    panels.append(lambda axes: _resolution(axes, instrument))
    if sky:
        panels += [lambda axes: _emission(axes, sky), lambda axes: _transmission(axes, sky)]
    if instrument.noise_curve is not None:
        panels.append(lambda axes: _noise(axes, instrument))
    return panels


def _limits(instrument: Instrument) -> tuple[float, float]:
    pad = 0.015 * (instrument.high - instrument.low)
    return instrument.low - pad, instrument.high + pad


def _coloured(instrument: Instrument) -> list[tuple[Arm, str]]:
    return [(arm, arm_colour(i)) for i, arm in enumerate(instrument.arms)]


def arm_colour(index: int) -> str:
    """Colour of the arm at that place."""
    return ARM_COLOURS[index % len(ARM_COLOURS)]


def _throughput(axes: Axes, instrument: Instrument) -> None:
    for arm, colour in _coloured(instrument):
        if arm.throughput is not None:
            wave = arm.grid.centres
            value = 100 * arm.throughput(wave)
            axes.fill_between(wave, value, color=colour, alpha=0.13, linewidth=0)
            axes.plot(wave, value, color=colour, linewidth=1.4, label=arm.name)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("throughput  [%]")
    axes.legend(fontsize=9, frameon=False, loc="lower right", ncols=len(instrument.arms))


def _resolution(axes: Axes, instrument: Instrument) -> None:
    """R on the left (full lines), FWHM on the right (dashed)."""
    from matplotlib.lines import Line2D

    right = axes.twinx()
    for arm, colour in _coloured(instrument):
        wave = np.linspace(arm.low, arm.high, 400)
        fwhm = FWHM_PER_SIGMA * arm.resolution.sigma(wave)
        axes.plot(wave, wave / fwhm, color=colour, linewidth=1.4)
        right.plot(wave, fwhm, color=colour, linewidth=1.2, linestyle=(0, (4, 2)))
    for side in (axes, right):
        low, high = side.get_ylim()
        side.set_ylim(max(0.0, low - 0.15 * (high - low) - 0.05 * high), high + 0.35 * (high - low) + 0.05 * high)
    axes.set_ylabel(r"$R = \lambda\,/\,\mathrm{FWHM}$")
    right.set_ylabel(r"FWHM  [$\mathrm{\AA}$]")
    right.tick_params(direction="in", labelsize=9)
    full = Line2D([], [], color=DATA, label="R")
    dashed = Line2D([], [], color=DATA, linestyle="--", label="FWHM")
    arms = [Line2D([], [], color=colour, label=arm.name) for arm, colour in _coloured(instrument)]
    named = [] if len(arms) == 1 or instrument.arms[0].throughput is not None else arms
    axes.legend(handles=[full, dashed, *named], fontsize=9, frameon=False, loc="upper left", ncols=6)


def _emission(axes: Axes, sky: Sequence[SkyShown]) -> None:
    for i, arm in enumerate(sky):
        axes.plot(arm.wavelength, arm.emission, color=arm_colour(i), linewidth=0.45)
        label = "continuum and thermal emission" if i == 0 else None
        axes.plot(arm.wavelength, arm.continuum, color="black", linewidth=1.1, label=label)
    axes.set_yscale("log")
    low = min(float(np.percentile(arm.continuum, 5)) for arm in sky)
    high = max(float(arm.emission.max()) for arm in sky)
    axes.set_ylim(0.4 * low, 8 * high)
    axes.set_ylabel(f"sky  [{SKY_UNIT}]", fontsize=8)
    axes.legend(fontsize=9, frameon=False, loc="upper left")


def _transmission(axes: Axes, sky: Sequence[SkyShown]) -> None:
    for i, arm in enumerate(sky):
        axes.plot(arm.wavelength, 100 * arm.transmission, color=arm_colour(i), linewidth=0.6)
    axes.set_ylim(0, 105)
    axes.set_ylabel("transmission  [%]")


def _noise(axes: Axes, instrument: Instrument) -> None:
    curve = instrument.noise_curve
    assert curve is not None
    wave = np.concatenate([arm.grid.centres for arm in instrument.arms])
    axes.plot(wave, curve.sky(wave), color=ARM_COLOURS[0], linewidth=0.7, label="without an object")
    for flux, colour in ((10.0, ARM_COLOURS[1]), (100.0, ARM_COLOURS[2])):
        total = np.sqrt(curve.sky(wave) ** 2 + flux * curve.object(wave))
        axes.plot(wave, total, color=colour, linewidth=0.7, label=f"with {flux:g} units of flux")
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * (high / low) ** 0.25)
    axes.set_ylabel(f"noise per pixel, {curve.exposure:g} s\n[{FLUX_UNIT}]", fontsize=8)
    axes.legend(fontsize=9, frameon=False, loc="upper center", ncols=3)


def _dress(axes: Axes, instrument: Instrument) -> None:
    axes.minorticks_on()
    axes.tick_params(which="both", direction="in", labelsize=9)
    axes.grid(True, which="major", color=FAINT, alpha=0.35, linewidth=0.5)
    axes.set_axisbelow(True)
    if len(instrument.arms) > 1:
        for arm, colour in _coloured(instrument):
            axes.axvspan(arm.low, arm.high, color=colour, alpha=0.035, linewidth=0)
