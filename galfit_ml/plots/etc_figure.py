"""What the exposure-time calculator found: signal-to-noise ratio and line limits against wavelength, above the sky."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from galfit_ml.instruments import FWHM_PER_SIGMA, Instrument
from galfit_ml.plots.canvas import DATA, FAINT, new_figure, own_style, plain_text, shortened
from galfit_ml.plots.instrument_figure import SKY_UNIT, SkyShown, arm_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from galfit_ml.simulate.etc import Depth

Floats = NDArray[np.float64]

LIMIT_UNIT = 1e-17

SMOOTH = 101
"""Pixels of the running median that shows where a forest of sky lines leaves the signal-to-noise ratio."""


def etc_figure(instrument: Instrument, depth: Depth, sky: Sequence[SkyShown] = (), title: str = "") -> Figure:
    """Signal-to-noise ratio per pixel and 5-sigma line limit against wavelength, with the sky below.

    Args:
        instrument: that observed.
        depth: what the calculator found.
        sky: as each arm sees it; empty where photons are not counted.
        title: what was asked.
    """
    with own_style():
        return _figure(instrument, depth, sky, title)


def _figure(instrument: Instrument, depth: Depth, sky: Sequence[SkyShown], title: str) -> Figure:
    ratios = [2.2, 1.4] + ([1.0] if sky else [])
    height = 1.3 + 1.45 * sum(ratios)
    figure = new_figure(10.0, height)
    axes = figure.subplots(len(ratios), 1, sharex=True, height_ratios=ratios)
    figure.subplots_adjust(left=0.085, right=0.98, top=1 - 0.5 / height, bottom=0.55 / height, hspace=0.07)
    arms = _arms(instrument, depth)
    _draw_snr(axes[0], arms)
    _draw_limits(axes[1], arms)
    if sky:
        _draw_sky(axes[2], sky)
    for panel in axes:
        panel.yaxis.set_label_coords(-0.052, 0.5)
        if panel.get_yscale() == "linear":
            panel.minorticks_on()
        panel.tick_params(which="both", direction="in", labelsize=9, right=True)
        panel.grid(True, which="major", color=FAINT, alpha=0.35, linewidth=0.5)
        panel.set_axisbelow(True)
    pad = 0.015 * (instrument.high - instrument.low)
    axes[-1].set_xlim(instrument.low - pad, instrument.high + pad)
    axes[-1].set_xlabel(r"observed wavelength, vacuum  [$\mathrm{\AA}$]")
    plain_text(figure, 0.085, 1 - 0.16 / height, shortened(title, 120), fontsize=10, va="top", color=DATA)
    return figure


class _ArmShown:
    """One arm, [n_pix]: wavelength, signal-to-noise ratio (also per FWHM), line limit (1e-17 erg s^-1 cm^-2).

    All but the wavelength are NaN where a pixel cannot be used.
    """

    def __init__(self, instrument: Instrument, index: int, depth: Depth, pixels: slice) -> None:
        arm = instrument.arms[index]
        grid = arm.grid
        good = depth.good[pixels]
        self.name, self.colour, self.wavelength = arm.name, arm_colour(index), depth.wavelength[pixels]
        self.snr = np.where(good, depth.snr[pixels], np.nan)
        per_fwhm = np.sqrt(FWHM_PER_SIGMA * arm.resolution.sigma(grid.centres) / grid.widths)
        self.snr_per_fwhm = self.snr * per_fwhm
        limit = depth.line_limit[pixels] / LIMIT_UNIT
        self.limit = np.where(good & np.isfinite(limit), limit, np.nan)


def _arms(instrument: Instrument, depth: Depth) -> list[_ArmShown]:
    shown, start = [], 0
    for i, arm in enumerate(instrument.arms):
        stop = start + len(arm.grid)
        shown.append(_ArmShown(instrument, i, depth, slice(start, stop)))
        start = stop
    return shown


def _draw_snr(axes: Axes, arms: Sequence[_ArmShown]) -> None:
    for arm in arms:
        if not np.isfinite(arm.snr).any():
            continue
        axes.plot(arm.wavelength, arm.snr, color=arm.colour, linewidth=0.45, alpha=0.6)
        middle = float(np.nanmedian(arm.snr))
        label = f"{arm.name}: median {middle:#.3g} per pixel, {np.nanmedian(arm.snr_per_fwhm):#.3g} per FWHM"
        axes.plot(arm.wavelength, running_median(arm.snr), color=arm.colour, linewidth=1.5, label=label)
    axes.axhline(0, color=DATA, linewidth=0.6)
    top = max((float(np.nanpercentile(arm.snr, 99.5)) for arm in arms if np.isfinite(arm.snr).any()), default=1.0)
    axes.set_ylim(-0.03 * top, 1.12 * top + 0.09 * len(arms) * top)
    axes.set_ylabel("S/N per pixel")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=9, frameon=False, loc="upper left")


def running_median(values: Floats, window: int = SMOOTH) -> Floats:
    """Median of the finite values in a window around each pixel, [n_pix]; NaN without any."""
    padded = np.pad(values, window // 2, constant_values=np.nan)
    views = np.lib.stride_tricks.sliding_window_view(padded, window // 2 * 2 + 1)
    out = np.full(len(values), np.nan)
    some = np.isfinite(views).any(axis=1)
    out[some] = np.nanmedian(views[some], axis=1)
    return out


def _draw_limits(axes: Axes, arms: Sequence[_ArmShown]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    for arm in arms:
        axes.plot(arm.wavelength, arm.limit, color=arm.colour, linewidth=0.5)
    finite = np.concatenate([arm.limit[np.isfinite(arm.limit)] for arm in arms])
    axes.set_yscale("log")
    if finite.size:
        axes.set_ylim(0.7 * finite.min(), 1.5 * float(np.percentile(finite, 98)))
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel("5$\\sigma$ line limit\n[$10^{-17}$ erg s$^{-1}$ cm$^{-2}$]", fontsize=9)


def _draw_sky(axes: Axes, sky: Sequence[SkyShown]) -> None:
    for i, arm in enumerate(sky):
        axes.plot(arm.wavelength, arm.emission, color=arm_colour(i), linewidth=0.4)
    low = min(float(np.percentile(arm.continuum, 5)) for arm in sky)
    axes.set_yscale("log")
    axes.set_ylim(0.4 * low, 2 * max(float(arm.emission.max()) for arm in sky))
    axes.set_ylabel(f"sky emission\n[{SKY_UNIT}]", fontsize=8)
